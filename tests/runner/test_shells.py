"""Text survives quoting, in every shell that a job may have."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fargate_driver.runner.job import Variable
from fargate_driver.runner.shells import Shell, notice, quote, script
from fargate_driver.runner.variables import expand

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def output(shell: str, text: str) -> str:
    return subprocess.run(
        [shell], input=text.encode(), stdout=subprocess.PIPE, check=True
    ).stdout.decode()


@pytest.mark.parametrize(("program", "shell"), [("bash", "bash"), ("sh", "sh"), ("bash", "sh")])
@settings(max_examples=30)
@given(texts=st.lists(TEXT, min_size=1, max_size=20))
def test_text_survives_a_whole_script(program: str, shell: Shell, texts: list[str]) -> None:
    commands = [f"printf '%s\\n' {quote(text, shell)}" for text in texts]
    assert output(program, script(commands, shell)) == "".join(f"{text}\n" for text in texts)


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_notice_shows_the_command_as_it_is(shell: Shell) -> None:
    command = r"""printf 'a\nb' "$HOME" # it's"""
    shown = output(shell, script([notice(f"$ {command}", shell)], shell))
    assert shown == f"\x1b[32;1m$ {command}\x1b[0;m\n"


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_first_failing_command_ends_the_script(shell: Shell) -> None:
    text = script(["echo one", "(exit 7)", "echo two"], shell)
    done = subprocess.run([shell], input=text.encode(), stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (7, b"one\n")


def test_expansion() -> None:
    values = {"A": "a", "B_1": "$A"}
    assert expand("$A-${A}-$B_1-$MISSING-$$A-$1x-$.-${", values) == "a-a-$A--$A-x-$.-${"


@given(TEXT)
def test_variable_is_read_or_refused(text: str) -> None:
    try:
        variable = Variable.parse(text)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either way is right
    else:
        assert f"{variable.key}={variable.value}" == text
