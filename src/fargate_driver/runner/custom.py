"""gitlab-runner's custom executor: what it hands to each call of a driver, and where."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fargate_driver.runner.calls import (
    BUILD_FAILURE,
    SYSTEM_FAILURE,
    Call,
    Grace,
    Outcome,
    Verdict,
    interpret,
)
from fargate_driver.runner.variables import Place, driver_environment, expanded_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fargate_driver.runner.job import Job
    from fargate_driver.runner.shells import Shell

_KINDS: dict[str, type] = {
    "driver": dict,
    "hostname": str,
    "builds_dir": str,
    "cache_dir": str,
    "builds_dir_is_shared": bool,
    "job_env": dict,
    "shell": str,
}


class ConfigError(Exception):
    """What `config` printed is no use; the text is one line.

    Args:
        text: What is wrong.
        retried: Whether the runner tries again.
    """

    def __init__(self, text: str, *, retried: bool) -> None:
        super().__init__(text)
        self.retried = retried


class Answer(NamedTuple):
    """What `config` may set (`executors/custom/api/config.go`)."""

    place: Place
    shell: Shell
    hostname: str = ""
    job_env: Mapping[str, str] = {}
    driver: str = ""


class Custom:
    """The calls of one try at a job: they share a temporary directory, gone after `close`.

    Args:
        driver: The program and its first arguments.
        job: The job.
        environment: The runner's own environment.
        place: Where the job runs, unless `config` says otherwise.
        shell: The shell of its scripts, unless `config` says otherwise.
        grace: How a call that is told to stop is treated.
    """

    def __init__(
        self,
        driver: Sequence[str],
        job: Job,
        *,
        environment: Mapping[str, str],
        place: Place,
        shell: Shell,
        grace: Grace,
    ) -> None:
        self._driver = tuple(driver)
        self._job = job
        self._environment = environment
        self._default = place
        self._grace = grace
        self._current: Call | None = None
        self._stop_at_start = False
        self._given_up: list[Call] = []
        self.answer = Answer(place, shell)
        self.directory = Path(tempfile.mkdtemp(prefix="custom-executor"))
        self._write_response()

    async def config(
        self, status: str, on_stderr: Callable[[bytes], None], limit: float
    ) -> Outcome:
        """Call `config` and take over what it answers.

        Raises:
            ConfigError: the answer is not what the runner expects.
        """
        answer = bytearray()
        # At this point the runner doesn't know the directories yet.
        before = Place(
            short_token=self._default.short_token,
            concurrent_id=self._default.concurrent_id,
            concurrent_project_id=self._default.concurrent_project_id,
        )
        outcome = await self._call(
            ("config",), before, status, on_stdout=answer.extend, on_stderr=on_stderr, limit=limit
        )
        if outcome.verdict is Verdict.SUCCESS:
            self.answer = _read_answer(bytes(answer), self.answer)
            self._write_response()
        return outcome

    async def prepare(self, status: str, output: Callable[[bytes], None], limit: float) -> Outcome:
        """Call `prepare`."""
        return await self._call(
            ("prepare",),
            self.answer.place,
            status,
            on_stdout=output,
            on_stderr=output,
            limit=limit,
        )

    async def run(
        self,
        stage: str,
        script: str,
        status: str,
        output: Callable[[bytes], None],
        limit: float | None,
    ) -> Outcome:
        """Call `run` with a file of its own that holds the script."""
        folder = Path(tempfile.mkdtemp(prefix="script", dir=self.directory))
        file = folder / "script"
        file.touch(mode=0o700)
        file.write_bytes(script.encode(errors="surrogateescape"))
        return await self._call(
            ("run", str(file), stage),
            self.answer.place,
            status,
            on_stdout=output,
            on_stderr=output,
            limit=limit,
        )

    async def cleanup(
        self, status: str, on_stderr: Callable[[bytes], None], limit: float
    ) -> Outcome:
        """Call `cleanup`, which no cancel cuts short."""
        return await self._call(
            ("cleanup",),
            self.answer.place,
            status,
            on_stdout=lambda _: None,
            on_stderr=on_stderr,
            limit=limit,
            can_be_stopped=False,
        )

    def stop(self) -> None:
        """Tell the running call to stop, or one that is about to run."""
        self._stop_at_start = True
        if self._current is not None:
            self._current.stop()

    def kill(self) -> None:
        """End the running call without more ado."""
        if self._current is not None:
            self._current.kill()

    async def close(self) -> None:
        """Remove the directory, and what is left of calls that were given up."""
        for call in self._given_up:
            await call.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    async def _call(
        self,
        arguments: tuple[str, ...],
        place: Place,
        status: str,
        *,
        on_stdout: Callable[[bytes], None],
        on_stderr: Callable[[bytes], None],
        limit: float | None,
        can_be_stopped: bool = True,
    ) -> Outcome:
        code_file = self.directory / "build_exit_code"
        environment = {
            **self._environment,
            "TMPDIR": str(self.directory),
            "BUILD_FAILURE_EXIT_CODE": str(BUILD_FAILURE),
            "SYSTEM_FAILURE_EXIT_CODE": str(SYSTEM_FAILURE),
            "BUILD_EXIT_CODE_FILE": str(code_file),
            "JOB_RESPONSE_FILE": str(self._response_file),
            **self.answer.job_env,
            **driver_environment(self._job, place, status),
        }
        self._stop_at_start = False
        try:
            call = await Call.start(
                (*self._driver, *arguments),
                cwd=self.directory,
                environment=environment,
                on_stdout=on_stdout,
                on_stderr=on_stderr,
                grace=self._grace,
            )
        except OSError as error:
            return Outcome(Verdict.SYSTEM_FAILURE, f"cannot start the driver: {error}")
        if can_be_stopped:
            self._current = call
            if self._stop_at_start:
                call.stop()
        try:
            returncode = await call.wait(limit)
        except asyncio.CancelledError:
            await call.close()
            raise
        finally:
            self._current = None
        if returncode is None:
            self._given_up.append(call)
            return Outcome(Verdict.SYSTEM_FAILURE, "the driver did not end when it was told to")
        return interpret(returncode, code_file)

    @property
    def _response_file(self) -> Path:
        return self.directory / "response.json"

    def _write_response(self) -> None:
        """The job with all its secrets, for the driver's eyes only."""
        response = expanded_response(self._job, self.answer.place)
        self._response_file.touch(mode=0o600)
        self._response_file.write_text(
            json.dumps(response, separators=(",", ":")), encoding="utf-8"
        )


def _read_answer(text: bytes, default: Answer) -> Answer:
    """Read what `config` printed; nothing means no change, and unknown keys are ignored."""
    answer: dict[str, Any] = {}
    if text.strip():
        try:
            answer = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"config printed no valid JSON: {error}", retried=True) from error
        if not isinstance(answer, dict):
            raise ConfigError("config printed JSON that is no object", retried=True)
    for key, kind in _KINDS.items():
        if answer.get(key) is not None and not isinstance(answer[key], kind):
            raise ConfigError(f"config printed a {key} that is no {kind.__name__}", retried=True)
    shell = answer.get("shell") or default.shell
    if shell not in ("bash", "sh"):
        raise ConfigError(f"no scripts can be made for the shell {shell!r}", retried=False)
    place = Place(
        builds_dir=answer.get("builds_dir") or default.place.builds_dir,
        cache_dir=answer.get("cache_dir") or default.place.cache_dir,
        shared=bool(answer.get("builds_dir_is_shared", default.place.shared)),
        short_token=default.place.short_token,
        concurrent_id=default.place.concurrent_id,
        concurrent_project_id=default.place.concurrent_project_id,
    )
    for name, path in (("builds_dir", place.builds_dir), ("cache_dir", place.cache_dir)):
        if not path:
            raise ConfigError(
                f"the {name} is not configured: config must print it, or the runner's own "
                "configuration name it",
                retried=False,
            )
    driver = answer.get("driver") or {}
    return Answer(
        place,
        shell,
        str(answer.get("hostname") or ""),
        {str(key): str(value) for key, value in (answer.get("job_env") or {}).items()},
        " ".join(str(driver[key]) for key in ("name", "version") if driver.get(key)),
    )
