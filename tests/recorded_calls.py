"""Compares the calls of AWS that the driver makes in all tests with the rights that init grants.

Tests that start the driver mark its environment with what its configuration and command need
rights for (`mark`). botocore sends the mark with each call, the embedded Fargate lists it as the
call's source, and `keep` puts down what was called. At the end of a session, over all workers:

- no call is beyond the policy of its features;
- after all tests, the calls are the policy's actions, for each feature alone and for all of them.
  Where FARGATE_TEST_RECORDED_CALLS names a directory, calls of earlier sessions are in it too: then
  it is after those that failed in them (scripts/test).
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import uuid
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fargate_driver import settings
from fargate_driver.errors import DriverError
from fargate_driver.setup.policy import Features, actions
from front_calls import flags

if TYPE_CHECKING:
    from collections.abc import Iterable

NOT_RECORDED = {"iam:PassRole", "ecs:TagResource"}
"""No operations of their own: AWS asks for them in RunTask and RegisterTaskDefinition."""
COMMANDS = {
    "reap": Features(wide_reap=True),
    "images": Features(images=True, prune=True),
    "logs": Features(logs=True),
}
"""What commands need rights for, whatever is configured. The doctor's are no part of the policy."""

_RIGHTS_DIFFER = 10
"""The exit code then; scripts/test tries again what failed, which would hide this."""
_DIRECTORY = "FARGATE_TEST_RECORDED_CALLS"
_MARK = "features-"
_COMPLAINTS = pytest.StashKey[list[str]]()
_GOES_ON = pytest.StashKey[bool]()

Recorded = dict[Features, set[str]]


def mark(config: Path, command: str = "custom") -> dict[str, str]:
    """The environment by which the calls of a command are known; none for one that makes none."""
    with contextlib.suppress(DriverError):
        found = settings.load(flags(config=str(config))).settings
        configured = Features(
            public_addresses=found.fargate.connects_to_public_ip,
            tags=bool(found.fargate.tags or found.fargate.propagate_tags),
            images=found.images.enabled,
            # The log of a service that fails is where its base definition says.
            logs=found.images.enabled and bool(found.images.base_task_definition),
        )
        needed = zip(configured, COMMANDS.get(command, Features()), strict=True)
        bits = "".join(str(int(any(pair))) for pair in needed)
        # https://docs.aws.amazon.com/sdkref/latest/guide/feature-appid.html
        return {"AWS_SDK_UA_APP_ID": f"{_MARK}{bits}"}
    return {}


def recorded(calls: Iterable[dict[str, Any]]) -> Recorded:
    """The operations among calls that are marked, by their features."""
    found: Recorded = defaultdict(set)
    for call in calls:
        head, begins, bits = str(call["source"]).partition(_MARK)
        if begins and not head:
            found[Features(*[bit == "1" for bit in bits])].add(call["operation"])
    return found


def keep(calls: Iterable[dict[str, Any]]) -> None:
    """Put down what was called, for the end of the session."""
    if directory := os.environ.get(_DIRECTORY):
        content = [[list(features), sorted(names)] for features, names in recorded(calls).items()]
        (Path(directory) / f"{uuid.uuid4()}.json").write_text(json.dumps(content))


def operations(features: Features) -> set[str]:
    """What the policy of these features allows to call."""
    named = (action for action in actions(features) if action not in NOT_RECORDED)
    return {action.partition(":")[2] for action in named}


def beyond(found: Recorded) -> list[str]:
    """Complaints about calls that the policy does not allow."""
    return [
        f"the policy of {_named(features)} does not allow {', '.join(sorted(more))}"
        for features, called in found.items()
        if (more := called - operations(features))
    ]


def unused(found: Recorded) -> list[str]:
    """Complaints about actions that no call needed, for each feature alone and for all."""
    alone = [Features(**{name: True}) for name in Features._fields]
    everything = Features(*[True] * len(alone))
    complaints = []
    for chosen in (Features(), *alone, everything):
        # To prune is of use with images only.
        features = chosen._replace(images=chosen.images or chosen.prune)
        within = [
            called
            for one, called in found.items()
            if all(wide or not narrow for narrow, wide in zip(one, features, strict=True))
        ]
        if more := operations(features) - set().union(*within):
            complaints.append(
                f"the policy of {_named(features)} allows what nothing called:"
                f" {', '.join(sorted(more))}"
            )
    return complaints


def _named(features: Features) -> str:
    return " and ".join(name for name, on in features._asdict().items() if on) or "every job"


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.stash[_GOES_ON] = _DIRECTORY in os.environ
        if config.stash[_GOES_ON]:
            return
        directory = tempfile.TemporaryDirectory(prefix="recorded-calls-")
        # Workers inherit it.
        os.environ[_DIRECTORY] = directory.name
        config.add_cleanup(directory.cleanup)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config = session.config
    if hasattr(config, "workerinput"):
        return
    found: Recorded = defaultdict(set)
    for path in Path(os.environ[_DIRECTORY]).iterdir():
        for features, called in json.loads(path.read_text()):
            found[Features(*features)] |= set(called)
    complaints = beyond(found)
    if exitstatus == pytest.ExitCode.OK and (config.stash[_GOES_ON] or _all_tests(config)):
        complaints += unused(found)
    config.stash[_COMPLAINTS] = complaints
    if complaints:
        session.exitstatus = _RIGHTS_DIFFER


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if complaints := config.stash.get(_COMPLAINTS, []):
        terminalreporter.section("calls of AWS and rights", red=True)
        for line in complaints:
            terminalreporter.line(line)


def _all_tests(config: pytest.Config) -> bool:
    chosen = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "stepwise")
    return (
        config.args_source is config.ArgsSource.TESTPATHS
        and not config.option.collectonly
        and not any(config.getoption(name, None) for name in chosen)
    )
