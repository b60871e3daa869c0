from __future__ import annotations

import sys
from types import ModuleType

import click
import pytest

from fargate_driver.commands import COMMANDS, application
from fargate_driver.errors import DriverError
from front_calls import flags


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("probe")
    @click.argument("how")
    @click.pass_obj
    def probe(given: object, how: str) -> int:
        if how == "flags":
            click.echo(getattr(given, "config", None))
        outcomes: dict[str, type[BaseException]] = {
            "driver": DriverError,
            "bug": ZeroDivisionError,
            "stop": KeyboardInterrupt,
        }
        if how in outcomes:
            raise outcomes[how]("why")
        return 7

    module = ModuleType("fargate_driver.commands.probe")
    module.probe = probe  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(COMMANDS, "probe", ("probe", "probe", "For the tests."))


def test_a_command_gets_the_flags_and_gives_the_exit_code(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert application(flags(config="f"), ["probe", "flags"]) == 7
    assert capfd.readouterr().out == "f\n"


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["probe", "driver"], 2, "why"),
        (
            ["probe", "bug"],
            2,
            (
                "internal error: ZeroDivisionError: why (please report this; "
                "--debug shows the traceback)"
            ),
        ),
        (["probe"], 2, "Missing argument 'HOW'; see fargate probe --help"),
        (["prob"], 2, "No such command 'prob'. Did you mean 'probe'?; see fargate --help"),
        (["zzz"], 2, "No such command 'zzz'; see fargate --help"),
        (
            ["costs"],
            2,
            "No such command 'costs'. See `fargate jobs --cost`; see fargate --help",
        ),
        (
            ["jobs", "--config"],
            2,
            "Option '--config' requires an argument; see fargate --help",
        ),
        (
            ["completion"],
            2,
            (
                "Missing argument 'SHELL'. Choose from: bash, zsh, fish;"
                " see fargate completion --help"
            ),
        ),
    ],
)
def test_what_goes_wrong_is_one_line(
    capfd: pytest.CaptureFixture[str], words: list[str], code: int, line: str
) -> None:
    assert application(flags(), words) == code
    assert capfd.readouterr().err == f"fargate: {line}\n"


def test_an_interrupt_ends_as_in_a_shell() -> None:
    assert application(flags(), ["probe", "stop"]) == 130
