"""Starting a job's task: launched, and launched again where the start failed by no one's fault."""

from __future__ import annotations

import contextlib
import logging
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fargate_driver import jobs, log, masking, moment, records
from fargate_driver.console import say
from fargate_driver.ecs import launch, links, pace
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.errors import EcsError, StartTimeoutError, TaskStoppedError
from fargate_driver.ecs.plan import Plan
from fargate_driver.ecs.shared import SharedLooks
from fargate_driver.ecs.watch import Watch, container
from fargate_driver.errors import DriverError
from fargate_driver.ssh import keys
from fargate_driver.stages import connecting
from fargate_driver.stages.cancel import check

if TYPE_CHECKING:
    from collections.abc import Callable

    from fargate_driver.gitlab.job import Job
    from fargate_driver.owner import Owner
    from fargate_driver.stages.asked import Asked

    Connect = Callable[["Starter", Watch, dict[str, Any]], None]

_LOGGER = logging.getLogger(__name__)
_SPREAD = 0.5
"""Seconds within which those who wait for a turn try again."""
_WORTH_A_WORD = 2.0
"""Seconds of waiting for the host's launch rate that the job's log mentions."""


class Starter:
    """The launches of one prepare.

    Args:
        wanted: what the job asks for.
        this_job: whose task it is.
        directory: the job's directory.
        lifetime: seconds after which the task is to end by itself.
        owner: for the record.

    Attributes:
        deadline: when the start must be over (time.monotonic).
        ecs: the client.
        task: the task that was connected to, as ECS showed it last.
        phases: how many seconds each phase of its start took.
    """

    def __init__(
        self, wanted: Asked, this_job: Job, directory: str, lifetime: int, owner: Owner
    ) -> None:
        config = wanted.config
        self.deadline = time.monotonic() + config.fargate.start_timeout
        self._wanted = wanted
        self._config = config
        self._lifetime = lifetime
        self._directory = directory
        target = launch.target(config)
        image = masking.whole(wanted.images.image.name) if wanted.images else ""
        about = this_job.about() | {"image": image}
        self._record = records.JobRecord(directory, this_job.describe(), target, owner, about)
        self._public_key = keys.make_key(directory, f"gitlab-job-{this_job.id}")
        self.ecs = Ecs(target, deadline=self.deadline)
        account = (target.region, target.endpoint_url, target.assume_role)
        self._turns = pace.place(Path(directory).parent, "RunTask", *account)
        self._sent = False
        self.task: dict[str, Any] = {}
        self.phases: dict[str, float] = {}
        self.ecs.before_launches(self._wait_for_turn)

    def start(self, connect: Connect) -> None:
        """Launch until a task is connected to.

        Args:
            connect: waits for the task and connects to it. What it raises decides whether the task
                is given up for another one.

        Raises:
            DriverError: of the last launch, where another one would fail too or come too late.
        """
        plan = Plan(self._config.capacity)
        self._wanted.resolve(self.ecs, self.deadline)
        renewed = False
        while True:
            try:
                self._launch(plan, connect)
            except (EcsError, TaskStoppedError) as e:
                # A start that goes well pays nothing for the diagnosis.
                from fargate_driver.ecs.again import again
                from fargate_driver.ecs.verdict import Retry

                sure = isinstance(e, EcsError) and e.refused and self._wanted.is_gone(e)
                if sure and not renewed:
                    renewed = True
                    self._wanted.resolve(self.ecs, self.deadline)
                    continue
                name = self._config.fargate.container_name
                retry = again(e, name, self._wanted.essential)
                before = str(plan)
                elsewhere = retry is Retry.NEXT_CAPACITY
                pause = None if retry is Retry.NEVER else plan.next(elsewhere=elsewhere)
                if pause is None or time.monotonic() + pause >= self.deadline:
                    told = self._wanted.blamed(e)
                    if told is e:
                        raise
                    raise told from e
                self._end_launch(e)
                what = f"no capacity on {before}" if elsewhere else "the start failed"
                after = f" in {pause:.0f} s" if pause >= 1 else ""
                say(f"{what}: {e}; trying {plan}{after}")
                _LOGGER.info("%s: %s; trying %s%s", what, e, plan, after)
                time.sleep(pause)
            else:
                pace.drop_full(self._turns, launch.RATE)
                return

    def _launch(self, plan: Plan, connect: Connect) -> None:
        asked = self._wanted.parameters(self._public_key, self._lifetime)
        request = launch.request(self._config, self._public_key, plan.capacity, **asked)
        intent = records.Launch(request, moment.now())
        self._record.launches.append(intent)
        self._record.save()
        self._sent = False
        self.phases = {}
        begun = time.monotonic()
        try:
            task = self.ecs.run_task(request, chosen=self._wanted.chosen)
        except EcsError as e:
            intent.refused = e.refused
            # The older record would only make cleanup look for a task in vain.
            with contextlib.suppress(jobs.RecordError):
                self._record.save()
            raise
        except BaseException:
            if not self._sent:
                # Cancelled before its turn came, or too late: there is nothing to look for.
                intent.refused = True
                with contextlib.suppress(jobs.RecordError):
                    self._record.save()
            raise
        task_arn = intent.task_arn = str(task["taskArn"])
        intent.size = _size(task, self._config.fargate.container_name)
        intent.essential = self._wanted.essential
        intent.capacity = str(task.get("capacityProviderName") or task.get("launchType") or "")
        intent.definition = definition = str(task.get("taskDefinitionArn")).rpartition("/")[2]
        self._save_or_stop(task_arn)
        say(f"started task {task_arn} ({definition})")
        self.phases["launch"] = time.monotonic() - begun
        log.add(task=task_arn.rpartition("/")[2])
        page = (
            None
            if self.ecs.target.endpoint_url
            else links.task_page(task_arn, self.ecs.target.cluster)
        )
        if page:
            say(page)
        _LOGGER.info("started task %s", task_arn)
        with contextlib.closing(SharedLooks(self.ecs, self._directory, task_arn)) as looks:
            watcher = Watch(
                looks,
                task_arn,
                container_name=self._config.fargate.container_name,
                essential=self._wanted.essential,
                chosen=self._wanted.chosen,
                deadline=self.deadline,
                on_look=check,
                on_phase=self.tell_phase,
            )
            # The driver's own task definition has no health check for the job's container.
            healthy = self._config.fargate.wait_for_healthy and not self._wanted.images
            self.task = watcher.until_running(healthy=healthy)
            connect(self, watcher, self.task)

    def tell_phase(self, name: str, seconds: float) -> None:
        """Tell the job's log, and the metrics, how long a phase of the start took.

        Args:
            name: the phase.
            seconds: how long.
        """
        self.phases[name] = seconds
        _LOGGER.debug("%s took %.1f s", name, seconds)
        say(f"  {name:<10} {seconds:7.1f} s")

    def _save_or_stop(self, task_arn: str) -> None:
        try:
            self._record.save()
        except jobs.RecordError as e:
            # What is on disk, if anything, may not lead to the task.
            try:
                self.ecs.stop_task(task_arn, "its job's record can't be written")
            except EcsError as left:
                raise DriverError(f"{e}\n{task_arn} could not be stopped: {left}") from e
            raise

    def _wait_for_turn(self) -> None:
        """Keep to the rate of launches that AWS allows.

        At the last moment, since on a busy host time passes between any two steps, and launches
        that waited would come all at once.
        """
        begun = time.monotonic()
        told = False
        while wait := pace.take(self._turns, launch.RATE):
            now = time.monotonic()
            wait += random.uniform(0, _SPREAD)  # noqa: S311 - spreads those who wait
            if now + wait >= self.deadline:
                if self._sent:
                    break
                raise StartTimeoutError(
                    f"this host starts more than {launch.RATE.per_second:g} tasks a second: the"
                    " turn of this one did not come within StartTimeout"
                )
            if now + wait - begun > _WORTH_A_WORD and not told:
                told = True
                say(f"waiting: this host starts {launch.RATE.per_second:g} tasks a second at most")
            time.sleep(wait)
        self._sent = True

    def _end_launch(self, error: Exception) -> None:
        """See that nothing is left of a launch before another one: a job never has two tasks."""
        task_arn = self._record.task_arn
        if task_arn:
            self.ecs.stop_task(task_arn, f"another task takes its place: {error}")
        connecting.close(self._directory)
        connecting.forget_host_keys(self._directory)


def _size(task: dict[str, Any], container_name: str) -> dict[str, Any]:
    """What a verdict about memory needs to know."""
    own = {"name": container_name, "memory": container(task, container_name).get("memory")}
    return {"cpu": task.get("cpu"), "memory": task.get("memory"), "containers": [own]}
