from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.flags import GLOBAL_FLAGS, Flags, UsageError, parse


def values(flags: Flags) -> dict[str, object]:
    return {name: getattr(flags, name) for name in Flags.__slots__ if getattr(flags, name)}


@pytest.mark.parametrize(
    ("words", "expected", "rest"),
    [
        ([], {}, []),
        (["--config", "f", "custom", "run"], {"config": "f"}, ["custom", "run"]),
        (["-config", "f", "custom"], {"config": "f"}, ["custom"]),
        (["--config=f=g", "-task-def=x"], {"config": "f=g", "task_def": "x"}, []),
        (["--debug", "custom", "--config", "f"], {"debug": True}, ["custom", "--config", "f"]),
        (["--debug=true", "-debug=F"], {}, []),
        (["--config", "a", "--config", "b"], {"config": "b"}, []),
        (["--config", "--debug"], {"config": "--debug"}, []),
        (["--task-def", "", "x"], {}, ["x"]),
        (["--log-level=debug", "--log-file=f"], {"log_level": "debug", "log_file": "f"}, []),
        (["--log-format", "json"], {"log_format": "json"}, []),
        (["--platform-version=1.4.0"], {"platform_version": "1.4.0"}, []),
        (["--", "--x"], {}, ["--x"]),
        (["-h", "custom"], {}, ["--help"]),
        (["-version"], {}, ["--version"]),
    ],
)
def test_the_command_line_of_the_go_driver(
    words: list[str], expected: dict[str, object], rest: list[str]
) -> None:
    flags, found = parse(words)
    assert (values(flags), found) == (expected, rest)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--x", "custom"], "unknown flag '--x'; see fargate --help"),
        (["-conf=secret"], "unknown flag '-conf'; see fargate --help"),
        (["---config=f"], "unknown flag '---config'; see fargate --help"),
        (["--config"], "--config needs a value: --config FILE"),
        (["--debug=maybe"], "--debug takes true or false, not 'maybe'"),
    ],
)
def test_what_makes_no_sense(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert str(caught.value) == message


@given(st.lists(st.sampled_from([f"--{name}" for name, _, _ in GLOBAL_FLAGS]) | st.text()))
def test_any_words(words: list[str]) -> None:
    try:
        _, rest = parse(words)
    except UsageError as error:
        message = str(error)
    else:
        assert rest in (["--help"], ["--version"]) or words[len(words) - len(rest) :] == rest
        return
    assert len(message.splitlines()) == 1
