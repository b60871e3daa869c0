"""The stage `prepare`: start the job's task and connect to it."""

from __future__ import annotations

import logging
import os
import shlex
import stat
import time
from typing import TYPE_CHECKING, Any

from fargate_driver import jobs, log, settings
from fargate_driver.console import Section, say, warn
from fargate_driver.costs import prices
from fargate_driver.costs import task as task_costs
from fargate_driver.ecs import watch
from fargate_driver.ecs.errors import StartTimeoutError
from fargate_driver.errors import DriverError, JobConfigurationError
from fargate_driver.gitlab import exits, job, variables
from fargate_driver.gitlab.environment import RunnerEnvironment
from fargate_driver.metrics import record, results
from fargate_driver.owner import owner_of_this_call
from fargate_driver.ssh.errors import NoShellError
from fargate_driver.stages import asked, connecting, late_services, lock, services, sweep
from fargate_driver.stages.cancel import Cancelled, ignore_sigterm, raise_on_sigterm
from fargate_driver.stages.ending import end_job
from fargate_driver.stages.service_log import ServiceLog
from fargate_driver.stages.starting import Starter

if TYPE_CHECKING:
    from fargate_driver.ecs.client import Ecs
    from fargate_driver.ecs.watch import Watch
    from fargate_driver.flags import Flags
    from fargate_driver.gitlab.job import Job
    from fargate_driver.owner import Owner
    from fargate_driver.settings import Settings
    from fargate_driver.ssh.probe import Probe
    from fargate_driver.stages.asked import Asked

_LOGGER = logging.getLogger(__name__)
_AFTER_THE_JOB = 3600
"""Seconds that a task may live on after its job's timeout, where MaxLifetime says nothing."""
_LOOK_INTERVAL = 3.0
"""Seconds between looks at the task while sshd is awaited."""


def main(flags: Flags) -> int:
    """Start the job's task and open the connection that the later stages use.

    Args:
        flags: the command line's global flags.

    Returns:
        The exit code for gitlab-runner.

    Raises:
        DriverError: no usable task; what was started is stopped, or named by the error.
    """
    env = RunnerEnvironment.from_environ(os.environ)
    variables.hide_secrets(env)
    loaded = settings.load(flags, env)
    this_job = job.load(env)
    log.setup(loaded.settings, this_job)
    for warning in loaded.job_warnings:
        warn(warning)
    directory = os.path.join(loaded.settings.task_metadata.directory, this_job.key)
    _warn_if_others_may_write(loaded.settings)
    raise_on_sigterm()
    try:
        sweep.in_passing(directory)
        with lock.for_prepare(directory), Section("fargate_start", "starting the job's task"):
            _prepare(loaded.settings, this_job, directory, env)
        if loaded.settings.fargate.print_shell_command:
            path = shlex.quote(os.path.abspath(loaded.path))
            command = f"fargate --config {path} shell {this_job.id}"
            say(f"for a terminal in it, on the runner's host: {command}")
    except Cancelled:
        say("cancelled while the task started")
        return exits.system_failed(env)
    return exits.succeeded(env)


def _prepare(config: Settings, this_job: Job, directory: str, env: RunnerEnvironment) -> None:
    """Start the job's task, or leave nothing of it."""
    try:
        # What an earlier try of this job left would run beside the new task, unwatched.
        end_job(directory, "another try of the same job begins", again=True)
        jobs.link(directory, env.tmpdir, env.variable("CI_JOB_ID") or "")
        wanted = asked.read(config, env)
        wanted.say_warnings()
        if not wanted.images:
            _say_what_is_ignored(this_job)
        longest = this_job.timeout + config.fargate.start_timeout
        owner = owner_of_this_call(env.tmpdir, longest)
        _begin_numbers(config, directory)
        starter = start(wanted, this_job, directory, owner)
        ignore_sigterm()
        _leave_numbers(config, directory, starter)
    except BaseException as e:
        # The runner's cleanup may be far away, or never come.
        ignore_sigterm()
        cancelled = isinstance(e, Cancelled)
        cause = "cancelled while it started" if cancelled else f"it could not start: {e}"
        try:
            end_job(directory, cause, "canceled" if cancelled else "not started", hurry=cancelled)
        except DriverError as left:
            say(str(left))
            if config.metrics.text_file:
                results.settle(directory, str(config.metrics.text_file))
        if config.metrics.text_file:
            records = str(config.task_metadata.directory)
            problem = record.not_started(config.metrics.text_file, records, e, canceled=cancelled)
            if problem:
                _LOGGER.warning("%s", problem)
        if not cancelled:
            _LOGGER.info("%s", cause)
        raise


def start(wanted: Asked, this_job: Job, directory: str, owner: Owner) -> Starter:
    """Start a job's task and connect to it; who calls this ends what is left when it fails.

    Args:
        wanted: what the job asks for.
        this_job: whose task it is.
        directory: the job's directory, which the caller has to itself.
        owner: for the record.

    Returns:
        What started it.

    Raises:
        DriverError: there is no usable task.
    """
    config = wanted.config
    lifetime = config.fargate.max_lifetime or this_job.timeout + _AFTER_THE_JOB
    derived = wanted.images is not None
    places = connecting.places(config, directory, lifetime, derived=derived)

    def connect(starter: Starter, watcher: Watch, task: dict[str, Any]) -> None:
        running = time.monotonic()
        deadline = starter.deadline
        address = _address(starter.ecs, watcher, task, config, deadline)
        waiting = _Waiting(watcher)
        try:
            found = [place.connect(address, deadline, waiting, watcher) for place in places]
        except NoShellError as e:
            if wanted.images and wanted.is_authors(config.fargate.container_name):
                raise JobConfigurationError(f"image: {wanted.images.image.name}: {e}") from e
            raise
        # The health check may have failed while sshd already answered.
        watcher.look()
        starter.tell_phase("SSH", time.monotonic() - running)
        if wanted.images:
            log = ServiceLog(starter.ecs.target, wanted.definition, str(task["taskArn"]))
            connection = places[0].connection(address)
            living = services.check(connection, wanted.images.services, watcher, log)
            late_services.note(directory, wanted.definition, living)
        else:
            _say_what_is_missing(found[0])

    if wanted.images:
        connecting.make_helper_directory(directory)
    starter = Starter(wanted, this_job, directory, lifetime, owner)
    starter.start(connect)
    return starter


def _begin_numbers(config: Settings, directory: str) -> None:
    """Let whoever ends the job count it, should this process be killed."""
    if config.metrics.text_file:
        try:
            results.begin(directory, str(config.metrics.text_file))
        except OSError as e:
            _LOGGER.warning("the job will be missing in the metrics: %s", e)


def _leave_numbers(config: Settings, directory: str, starter: Starter) -> None:
    """Leave what later stages tell about costs and metrics; no job fails for want of it."""
    try:
        known = prices.known(config.costs.price_file)
        bill = task_costs.bill(starter.task, config.fargate.region, known)
        if bill:
            bill.save(directory)
    except (DriverError, OSError) as e:
        _LOGGER.warning("what the job costs can't be told: %s", e)
    text_file = config.metrics.text_file
    if text_file:
        records = str(config.task_metadata.directory)
        results.note_started(directory)
        if problem := record.started(text_file, records, starter.phases):
            _LOGGER.warning("%s", problem)


def _warn_if_others_may_write(config: Settings) -> None:
    """Who may write to the directory of records can put other records into it."""
    directory = config.task_metadata.directory
    try:
        mode = os.stat(directory).st_mode
    except OSError:
        return  # it is made later, or what is wrong is told then
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        _LOGGER.warning(
            "[TaskMetadata] Directory %s: other users may write to it; chmod go-w %s",
            directory,
            directory,
        )


class _Waiting:
    """What is done while sshd is awaited: see that the task lives, tell new reasons."""

    def __init__(self, watcher: Watch) -> None:
        self._watcher = watcher
        self._quiet_until = time.monotonic() + _LOOK_INTERVAL
        self._said = ""

    def __call__(self, reason: str) -> None:
        self._watcher.look_again(_LOOK_INTERVAL)
        if reason != self._said and time.monotonic() > self._quiet_until:
            self._said = reason
            say(f"waiting for SSH: {reason}")


def _address(
    ecs: Ecs, watcher: Watch, task: dict[str, Any] | None, config: Settings, deadline: float
) -> str:
    """Find where to connect to; ECS may show a task as RUNNING before its address."""
    while True:
        address = None
        if task and config.fargate.connects_to_public_ip:
            interface = watch.network_interface(task)
            address = ecs.public_address(interface) if interface else None
        elif task:
            address = watch.private_address(task, config.fargate.container_name)
        if address:
            return address
        if time.monotonic() > deadline:
            kind = "public" if config.fargate.connects_to_public_ip else "private"
            raise StartTimeoutError(
                f"the task runs, but got no {kind} address within StartTimeout; see"
                " EnablePublicIP, UsePublicIP and the subnet's settings"
            )
        time.sleep(1)
        task = watcher.look()


def _say_what_is_ignored(this_job: Job) -> None:
    ignored = []
    if this_job.image:
        ignored.append(f"image: {this_job.image}")
    if this_job.services:
        ignored.append(f"services: {', '.join(this_job.services)}")
    if ignored:
        names = job.printable("; ".join(ignored))
        say(f"ignored: {names} (the task definition names the job's image)")


def _say_what_is_missing(found: Probe) -> None:
    if "git" not in found.programs:
        say("the job's image has no git: sources can't be fetched")
    if not found.environment_readable:
        say(
            "the environment of the container's first process can't be read: variables of the image"
            " and the task role don't reach the scripts (is sshd itself PID 1? see job images in"
            " the documentation)"
        )
    if "gitlab-runner" not in found.programs:
        say("the job's image has no gitlab-runner: artifacts and caches are skipped")
