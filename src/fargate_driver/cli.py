"""The command `fargate`: finds out what is called, and imports nothing else.

`custom run` is called for every stage of every job, so the stages are reached with the parser in
flags.py alone. All that people call, and every help text, is the click application in commands/.
"""

from __future__ import annotations

import _signal as signal  # without enum, whose import takes longer than the rest of a run stage
import os
import sys
from importlib import import_module

from fargate_driver.console import say
from fargate_driver.errors import DriverError, explained
from fargate_driver.flags import STAGES, Flags, UsageError, parse
from fargate_driver.gitlab import exits
from fargate_driver.gitlab.environment import RunnerEnvironment, system_failure_exit_code


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The words after the program's name; sys.argv's where None.

    Returns:
        The exit code: for a stage what gitlab-runner expects (a usage error is a system failure to
        it), for other commands 0, 1 or 2 (2: a wrong command line).
    """
    _open_standard_streams()
    try:
        return _main(argv)
    finally:
        _drop_what_cannot_be_written()


def _main(argv: list[str] | None) -> int:
    try:
        flags, words = parse(sys.argv[1:] if argv is None else argv)
        call = _stage_call(words)
    except UsageError as error:
        say(str(error))
        return system_failure_exit_code(os.environ)
    if call is None:
        # click's import costs more than a stage
        code: int = import_module("fargate_driver.commands").application(flags, words)
        return code
    return _run_stage(flags, *call)


def _open_standard_streams() -> None:
    """Fill descriptors 0 to 2 where closed: a connection in their place would be written to."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _drop_what_cannot_be_written() -> None:
    """Keep Python from making the exit code 120 where its last flush fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _stage_call(words: list[str]) -> tuple[str, list[str]] | None:
    """The stage that is called, and its arguments; None where click has to answer."""
    if not words or words[0] not in ("custom", "c"):
        return None
    words[0] = "custom"
    stages = {name: (name, needed) for name, _, needed, _ in STAGES}
    stages |= {alias: stages[name] for name, alias, _, _ in STAGES if alias}
    wanted, arguments = (words[1] if len(words) > 1 else ""), words[2:]
    if wanted in stages:
        words[1] = stages[wanted][0]
    for position, word in enumerate(words[1:3], 1):
        if word.lstrip("-") in ("help", "h") and word not in stages:
            words[position:] = ["--help"]
            return None
    if wanted not in stages:
        found = f"unknown stage {wanted!r}" if wanted else "the stage is missing"
        hint = " (global flags come before custom)" if wanted.startswith("-") else ""
        raise UsageError(f"{found}{hint}: fargate custom config | prepare | run | cleanup")
    name, needed = stages[wanted]
    if len(arguments) != len(needed):
        found = "missing" if len(arguments) < len(needed) else "unexpected"
        usage = " ".join(("fargate custom", name, *needed))
        raise UsageError(f"{found} arguments for {name}: {usage}")
    return name, arguments


def _run_stage(flags: Flags, stage: str, arguments: list[str]) -> int:
    # systemd stops gitlab-runner gracefully with SIGQUIT, by default to the whole control group:
    # the runner then waits for its jobs, so the job's processes have to go on.
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Keys, records and ssh's own files are for this user alone.
    os.umask(0o077)
    try:
        return _stage(flags, stage, arguments)
    except BaseException:  # noqa: BLE001 - Python's own exit code, 1, is a build failure
        # Memory is short, or a signal came just then: telling why failed as well.
        _write_plainly(b"fargate: the stage failed, and why can't be told; is memory short?\n")
        return system_failure_exit_code(os.environ)


def _stage(flags: Flags, stage: str, arguments: list[str]) -> int:
    try:
        code: int = import_module("fargate_driver.stages." + stage).main(flags, *arguments)
    except BaseException as error:  # noqa: BLE001 - as above
        # gitlab-runner is told by the exit code alone, and that is on its way.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return _failed(_without_secrets(error, debug=flags.debug))
    return code


def _write_plainly(text: bytes) -> None:
    try:
        os.write(2, text)
    except OSError:
        return


def _without_secrets(error: BaseException, *, debug: bool) -> DriverError:
    try:
        _hide_secrets()
    except Exception as unknown:  # noqa: BLE001 - whatever it is, they aren't known
        return DriverError(
            f"{type(error).__name__}; its text is not shown, since the job's secrets, which it may"
            f" hold, can't be read: {type(unknown).__name__}"
        )
    return explained(error, debug=debug)


def _hide_secrets() -> None:
    """What went wrong may quote what the job asked for."""
    try:
        env = RunnerEnvironment.from_environ(os.environ)
    except DriverError:
        return
    import_module("fargate_driver.gitlab.variables").hide_secrets(env)


def _failed(error: DriverError) -> int:
    try:
        env = RunnerEnvironment.from_environ(os.environ)
    except DriverError as unusable:
        if str(error) != str(unusable):
            say(str(error))
        say(str(unusable))
        return system_failure_exit_code(os.environ)
    return exits.failed(env, error)
