"""Runs one job the way gitlab-runner's custom executor does.

The order of the calls, what is tried again, what still runs after a failure and what a cancelled
job gets follow gitlab-runner 19.4 (`executors/custom/custom.go`, `common/build.go`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from fargate_driver.runner.calls import Grace, Outcome, Verdict
from fargate_driver.runner.custom import ConfigError, Custom
from fargate_driver.runner.scripts import Stage, stage_script
from fargate_driver.runner.variables import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from fargate_driver.runner.job import Job
    from fargate_driver.runner.shells import Shell

PREPARE_TRIES = 3
_TITLES = {
    "prepare_script": "Preparing environment",
    "get_sources": "Getting source from Git repository",
    "clear_worktree": "Deleting all tracked and untracked files due to source fetch failure",
    "restore_cache": "Restoring cache",
    "download_artifacts": "Downloading artifacts",
    "build_script": 'Executing "step_script" stage of the job script',
    "after_script": "Running after_script",
    "archive_cache": "Saving cache for successful job",
    "archive_cache_on_failure": "Saving cache for failed job",
    "upload_artifacts_on_success": "Uploading artifacts for successful job",
    "upload_artifacts_on_failure": "Uploading artifacts for failed job",
    "cleanup_file_variables": "Cleaning up project directory and file based variables",
}
_ATTEMPTS = {
    "get_sources": "GET_SOURCES_ATTEMPTS",
    "restore_cache": "RESTORE_CACHE_ATTEMPTS",
    "download_artifacts": "ARTIFACT_DOWNLOAD_ATTEMPTS",
}
_MOST_ATTEMPTS = 10
_TIMED_OUT = "job_execution_timeout"
_SUCCESS = Outcome(Verdict.SUCCESS)

Status = Literal["success", "script_failure", "system_failure", "canceled"]


class JobLog(Protocol):
    """Where the job's log goes."""

    def section(self, title: str) -> None:
        """A new stage begins."""

    def message(self, text: str) -> None:
        """The runner itself has something to say."""

    def output(self, data: bytes) -> None:
        """What a call printed, byte for byte."""

    def cleanup_error(self, data: bytes) -> None:
        """What `cleanup` printed on stderr, which is in no job's log."""


@dataclass(frozen=True)
class Timing:
    """The seconds a runner waits, by the names in its config.toml where it has them.

    Args:
        grace: How a call that is told to stop is treated.
        exec_timeout: `config_exec_timeout`, `prepare_exec_timeout` and `cleanup_exec_timeout`.
        prepare_pause: The pause after each failed prepare, the last one included.
        stage_pause: The pause before a stage's second attempt; doubled before each further one.
        after_script: What an after_script may take (RUNNER_AFTER_SCRIPT_TIMEOUT).
    """

    grace: Grace = field(default_factory=Grace)
    exec_timeout: float = 3600.0
    prepare_pause: float = 3.0
    stage_pause: float = 5.0
    after_script: float = 300.0


@dataclass(frozen=True)
class Result:
    """What became of a job.

    Args:
        status: The verdict.
        exit_code: What gitlab-runner tells GitLab: the script's exit code, 0 for a success, 1 where
            `config` or `prepare` refused the job; None where there is none to tell.
        reason: One line for a human being; empty for a success.
        stage: The call that decided: `config`, `prepare` or a sub-stage; "" for a success, and
            where none ran.
        phases: Seconds that each call took, by `config`, `prepare`, the sub-stages and `cleanup`;
            of repeated calls the sum.
    """

    status: Status
    exit_code: int | None = None
    reason: str = ""
    phases: Mapping[str, float] = field(default_factory=dict)
    stage: str = ""

    @property
    def failure_reason(self) -> str | None:
        """As GitLab names it (`failure_reason` of its jobs API); None where it didn't fail."""
        if self.reason == _TIMED_OUT:
            return _TIMED_OUT
        reasons = {
            "script_failure": "script_failure",
            "system_failure": "runner_system_failure",
        }
        return reasons.get(self.status)


class _AbortedError(Exception):
    """The job was aborted, or its time is over: nothing but cleanup follows."""


class Runner:
    """Runs one job, once.

    Args:
        driver: The program and its first arguments; the stage's name and what it takes follow.
        job: The job.
        log: Where its log goes.
        place: Where it runs, unless `config` says otherwise.
        shell: The shell that the scripts are for, unless `config` says otherwise.
        timing: The seconds that the runner waits.
        scripts: Makes the stages' scripts; None for a stage that has nothing to do.
        environment: The runner's own environment, which each call gets.
    """

    def __init__(
        self,
        driver: Sequence[str],
        job: Job,
        log: JobLog,
        *,
        environment: Mapping[str, str],
        place: Place | None = None,
        shell: Shell = "bash",
        timing: Timing | None = None,
        scripts: Callable[[Stage], str | None] = stage_script,
    ) -> None:
        self._driver = driver
        self._job = job
        self._log = log
        self._environment = environment
        self._place = place or Place()
        self._shell: Shell = shell
        self._timing = timing or Timing()
        self._scripts = scripts
        self._custom: Custom | None = None
        self._phases: dict[str, float] = {}
        self._status = "running"
        self._stage = ""
        self._phase = ""
        self._aborted = asyncio.Event()
        self._reason = ""
        self._canceled = False

    def abort(self, reason: str = "canceled") -> None:
        """End the job: the running call gets SIGTERM, then only cleanup follows.

        Called again, it waits for that call no longer: SIGKILL.
        """
        again = self._aborted.is_set()
        self._reason = self._reason or reason
        self._aborted.set()
        if self._custom is not None:
            (self._custom.kill if again else self._custom.stop)()

    def cancel(self) -> None:
        """Cancel the job gracefully: the script gets SIGTERM, what comes after it still runs.

        As with gitlab-runner, before the script this aborts the job, during after_script it ends
        that, and later it changes nothing.
        """
        in_script = self._stage == "build_script" or self._stage.startswith("step_")
        if self._custom is None or (self._status == "running" and not in_script):
            self.abort()
        elif in_script or self._stage == "after_script":
            self._canceled = self._canceled or in_script
            self._custom.stop()

    async def run(self) -> Result:
        """Run the job.

        Returns:
            What became of it; nothing that goes wrong with the driver is an exception.
        """
        timer = asyncio.get_running_loop().call_later(self._job.timeout, self.abort, _TIMED_OUT)
        try:
            outcome: Outcome | None = await self._prepare()
            if self._custom is not None:
                outcome = await self._run_stages(self._custom)
        except _AbortedError:
            outcome = None
            if self._status == "running":
                self._status = "failed"
        finally:
            timer.cancel()
            if self._custom is not None:
                await self._cleanup(self._custom)
        return self._result(outcome)

    def _result(self, outcome: Outcome | None) -> Result:
        phases = self._phases
        if outcome is None or self._canceled:
            reason = self._reason or "canceled"
            self._log.message(f"ERROR: Job failed: {reason}")
            status: Status = "script_failure" if reason == _TIMED_OUT else "canceled"
            return Result(status, None, reason, phases, self._phase)
        if outcome.verdict is Verdict.SUCCESS:
            self._log.message("Job succeeded")
            return Result("success", 0, "", phases)
        if outcome.verdict is Verdict.SYSTEM_FAILURE:
            self._log.message(f"ERROR: Job failed (system failure): {outcome.message}")
            return Result("system_failure", None, outcome.message, phases, outcome.phase)
        self._log.message(f"ERROR: Job failed: {outcome.message}")
        return Result("script_failure", outcome.exit_code, outcome.message, phases, outcome.phase)

    async def _prepare(self) -> Outcome:
        """Call config and prepare, up to three times; a try that failed is cleaned up."""
        outcome = _SUCCESS
        for _ in range(PREPARE_TRIES):
            self._go_on()
            custom = self._custom = Custom(
                self._driver,
                self._job,
                environment=self._environment,
                place=self._place,
                shell=self._shell,
                grace=self._timing.grace,
            )
            outcome, retried = await self._try_to_prepare(custom)
            self._go_on()
            if outcome.verdict is Verdict.SUCCESS:
                return outcome
            await self._cleanup(custom)
            self._custom = None
            if not retried:
                return outcome
            self._log.message(f"ERROR: Preparation failed: {outcome.message}")
            self._log.message(f"Will be retried in {self._timing.prepare_pause:g}s ...")
            await self._pause(self._timing.prepare_pause)
        return outcome

    async def _try_to_prepare(self, custom: Custom) -> tuple[Outcome, bool]:
        """Call config and prepare once; returns what came of it and whether to try again."""
        self._log.section('Preparing the "custom" executor')
        limit = self._timing.exec_timeout
        try:
            outcome = await self._timed(
                "config", custom.config(self._status, self._log.output, limit)
            )
        except ConfigError as error:
            text = str(error)
            return Outcome(Verdict.SYSTEM_FAILURE, text, phase="config"), error.retried
        if outcome.verdict is Verdict.SUCCESS:
            driver = f" with driver {custom.answer.driver}" if custom.answer.driver else ""
            self._log.message(f"Using Custom executor{driver}...")
            self._go_on()
            outcome = await self._timed(
                "prepare", custom.prepare(self._status, self._log.output, limit)
            )
        return outcome, outcome.verdict is Verdict.SYSTEM_FAILURE

    async def _run_stages(self, custom: Custom) -> Outcome:
        """Call run for each stage that has something to do, in order."""
        outcome = await self._run_stage(custom, "prepare_script")
        if outcome.verdict is not Verdict.SUCCESS:
            self._status = "failed"
            return outcome
        for stage in ("get_sources", "restore_cache", "download_artifacts"):
            outcome = await self._attempt_stage(custom, stage)
            if outcome.verdict is not Verdict.SUCCESS:
                break
        else:
            outcome = await self._run_script(custom)
        self._settle(outcome)
        succeeded = self._status == "success"
        for stage in (
            "archive_cache" if succeeded else "archive_cache_on_failure",
            "upload_artifacts_on_success" if succeeded else "upload_artifacts_on_failure",
        ):
            later = await self._run_stage(custom, stage)
            if outcome.verdict is Verdict.SUCCESS:
                outcome = later
        # What became of it changes nothing for the job.
        await self._run_stage(custom, "cleanup_file_variables")
        return outcome

    async def _run_script(self, custom: Custom) -> Outcome:
        """The script, further steps while all goes well, then after_script in any case."""
        outcome = _SUCCESS
        for stage in ("build_script", *(f"step_{name}" for name in self._job.extra_steps)):
            outcome = await self._run_stage(custom, stage)
            if self._canceled or outcome.verdict is not Verdict.SUCCESS:
                break
        self._settle(outcome)
        await self._run_stage(custom, "after_script", self._timing.after_script)
        return outcome

    def _settle(self, outcome: Outcome) -> None:
        """From here on the job's scripts see how it went."""
        if self._canceled:
            self._status = "canceled"
        else:
            self._status = "success" if outcome.verdict is Verdict.SUCCESS else "failed"

    async def _attempt_stage(self, custom: Custom, stage: str) -> Outcome:
        """Run a stage as often as the job's variable for it says, until it succeeds."""
        given = self._job.value(_ATTEMPTS[stage], "1")
        attempts = int(given) if given.isascii() and given.isdigit() else 1
        outcome = await self._run_stage(custom, stage)
        for attempt in range(1, min(attempts, _MOST_ATTEMPTS)):
            if outcome.verdict is Verdict.SUCCESS:
                break
            await self._pause(self._timing.stage_pause * 2 ** (attempt - 1))
            if stage == "get_sources":
                await self._run_stage(custom, "clear_worktree")
            outcome = await self._run_stage(custom, stage)
        return outcome

    async def _run_stage(self, custom: Custom, name: str, limit: float | None = None) -> Outcome:
        self._go_on()
        answer = custom.answer
        stage = Stage(name, self._job, answer.place, self._status, answer.shell, answer.hostname)
        script = self._scripts(stage)
        if script is None:
            return _SUCCESS
        self._log.section(_TITLES.get(name, f'Executing "{name}" stage of the job script'))
        self._stage = name
        outcome = await self._timed(
            name, custom.run(name, script, self._status, self._log.output, limit)
        )
        self._stage = ""
        self._go_on()
        return outcome

    async def _cleanup(self, custom: Custom) -> None:
        outcome = await self._timed(
            "cleanup",
            custom.cleanup(self._status, self._log.cleanup_error, self._timing.exec_timeout),
        )
        await custom.close()
        if outcome.verdict is not Verdict.SUCCESS:
            self._log.message(f"WARNING: Cleanup script failed: {outcome.message}")

    async def _timed(self, phase: str, call: Coroutine[Any, Any, Outcome]) -> Outcome:
        if phase != "cleanup":
            self._phase = phase
        start = time.monotonic()
        try:
            return replace(await call, phase=phase)
        finally:
            self._phases[phase] = self._phases.get(phase, 0.0) + time.monotonic() - start

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._aborted.wait(), seconds)
        self._go_on()

    def _go_on(self) -> None:
        """Raise _AbortedError where the job is over."""
        if self._aborted.is_set():
            raise _AbortedError
