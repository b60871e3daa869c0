"""kill -9 of the driver at any point of prepare: the runner's cleanup leaves no task."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import killed_driver
from e2e_jobs import new_job
from fargate_driver.runner.calls import Grace, Outcome, Verdict
from fargate_driver.runner.custom import Custom
from fargate_driver.runner.variables import Place
from job_log import KeptLog
from local_fargate import until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from local_fargate import LocalFargate

POINTS = 12


def try_to_prepare(
    fargate: LocalFargate,
    driver: tuple[str, ...],
    act: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> Outcome:
    """One try as gitlab-runner makes it: config, prepare, cleanup; returns prepare's outcome."""

    async def run() -> Outcome:
        log = KeptLog()
        custom = Custom(
            driver,
            new_job(["true"]),
            environment=fargate.environment,
            place=Place("/builds", "/cache"),
            shell="bash",
            grace=Grace(),
        )
        try:
            assert (await custom.config("running", log.output, 60)).verdict is Verdict.SUCCESS
            preparing = asyncio.create_task(custom.prepare("running", log.output, 120))
            if act is not None:
                await act()
            outcome = await preparing
            cleanup = await custom.cleanup("running", log.cleanup_error, 120)
            assert cleanup.verdict is Verdict.SUCCESS, log.cleanup_errors.decode()
            return outcome
        finally:
            await custom.close()

    return asyncio.run(run())


def killed_at(fargate: LocalFargate, count_file: Path, number: int) -> tuple[str, ...]:
    """A driver that is killed before its Nth visible act in prepare, and only there."""
    file = count_file.with_suffix(".sh")
    words = " ".join(fargate.driver[3:])
    file.write_text(
        f"#!/bin/sh\n"
        f'[ "$1" != prepare ] && exec {sys.executable} -m fargate_driver {words} "$@"\n'
        f'exec {sys.executable} {killed_driver.__file__} {count_file} {number} {words} "$@"\n'
    )
    file.chmod(0o755)
    return (str(file),)


@pytest.fixture(scope="module")
def acts(shared_fargate: LocalFargate, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What an undisturbed prepare does, one line per act."""
    count_file = tmp_path_factory.mktemp("count") / "acts"
    outcome = try_to_prepare(shared_fargate, killed_at(shared_fargate, count_file, 0))
    assert outcome.verdict is Verdict.SUCCESS
    return count_file.read_text().splitlines()


@pytest.mark.parametrize("point", range(POINTS))
def test_killed_before_an_act(
    fargate: LocalFargate, acts: list[str], tmp_path: Path, point: int
) -> None:
    # Not the very last: how often a task is looked at varies.
    number = 1 + point * (len(acts) - 1) * 9 // (10 * (POINTS - 1))
    count_file = tmp_path / "acts"
    outcome = try_to_prepare(fargate, killed_at(fargate, count_file, number))
    assert outcome.verdict is Verdict.SYSTEM_FAILURE
    assert "code -1" in outcome.message, (outcome, acts)
    assert len(count_file.read_text().splitlines()) == number


@pytest.mark.parametrize(
    "rule",
    [
        {"operation": "RunTask", "hang": 6.0},
        {"operation": "RunTask", "hang": 6.0, "lose_answer": True},
        {"operation": "DescribeTasks", "hang": 6.0},
        {"operation": "DescribeTasks", "hang": 6.0, "lose_answer": True},
    ],
    ids=["before-RunTask", "after-RunTask", "before-DescribeTasks", "after-DescribeTasks"],
)
def test_killed_during_a_call_of_aws(fargate: LocalFargate, rule: dict[str, Any]) -> None:
    fargate.faults({**rule, "times": 1})
    before = len(fargate.tasks())

    def preparing() -> list[int]:
        return [pid for pid, words in fargate.processes().items() if " custom prepare" in words]

    def hangs() -> bool:
        """Whether the call is on its way: its effect is seen, or there is a connection."""
        effect = rule["operation"] == "DescribeTasks" or "lose_answer" in rule
        if effect:
            return len(fargate.tasks()) > before
        return any(connected(pid) for pid in preparing())

    async def kill() -> None:
        await asyncio.to_thread(until, hangs, lambda: "prepare made no call")
        await asyncio.sleep(0.5)
        for pid in preparing():
            os.kill(pid, signal.SIGKILL)

    outcome = try_to_prepare(fargate, fargate.driver, kill)
    assert outcome.verdict is Verdict.SYSTEM_FAILURE
    assert "code -1" in outcome.message


def connected(pid: int) -> bool:
    try:
        return any(
            str(file.readlink()).startswith("socket:") for file in Path(f"/proc/{pid}/fd").iterdir()
        )
    except OSError:
        return False
