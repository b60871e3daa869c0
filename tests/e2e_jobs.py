"""Runs jobs on a local Fargate through the stand-in for gitlab-runner."""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import TYPE_CHECKING, Any

import recorded_calls
from fargate_driver.runner.executor import Result, Runner, Timing
from fargate_driver.runner.job import Job, Sources, describe
from fargate_driver.runner.scripts import Stage, stage_script
from gitlab_server import PROJECT, GitLab, job_token
from job_log import KeptLog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from local_fargate import LocalFargate

_NUMBERS = itertools.count(os.getpid() * 1000)


def new_job(script: list[str], server: GitLab | None = None, **rest: Any) -> Job:
    """A job of its own number; with a GitLab it has sources."""
    number = next(_NUMBERS)
    if server is not None:
        rest["server_url"] = server.url
        rest["sources"] = Sources(server.repo_url(number), server.sha)
    return describe(
        script, job_id=number, name="e2e", project=PROJECT, token=job_token(number), **rest
    )


class Run:
    """One job's run: the runner, its log and, at the end, its result."""

    def __init__(
        self,
        fargate: LocalFargate,
        job: Job,
        *,
        scripts: Callable[[Stage], str | None] = stage_script,
        timing: Timing | None = None,
    ) -> None:
        self.log = KeptLog()
        self.runner = Runner(
            fargate.driver,
            job,
            self.log,
            environment=fargate.environment | recorded_calls.mark(fargate.config),
            scripts=scripts,
            timing=timing,
        )
        self.result = Result("canceled")

    async def go(self, act: Callable[[Run], Coroutine[Any, Any, None]] | None = None) -> Run:
        """Run the job; `act` runs beside it."""
        job = asyncio.create_task(self.runner.run())
        try:
            if act is not None:
                acting = asyncio.create_task(act(self))
                await asyncio.wait({job, acting}, return_when=asyncio.FIRST_COMPLETED)
                if job.done() and not acting.done():
                    acting.cancel()
                    raise AssertionError(f"the job ended too soon: {self}")
                await acting
            self.result = await job
        finally:
            if not job.done():
                self.runner.abort()
                await job
        return self

    @property
    def text(self) -> str:
        """What the job printed."""
        return self.log.text

    def __str__(self) -> str:
        return f"{self.result}\n{self.log.messages}\n{self.text[-3000:]}"


def run_job(
    fargate: LocalFargate,
    job: Job,
    act: Callable[[Run], Coroutine[Any, Any, None]] | None = None,
    **rest: Any,
) -> Run:
    """Run a job to its end."""

    async def run() -> Run:
        return await Run(fargate, job, **rest).go(act)

    return asyncio.run(run())
