"""The one place that talks to AWS."""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from fargate_driver.ecs import answers
from fargate_driver.ecs.endpoint import endpoint_for, is_loopback
from fargate_driver.ecs.errors import NO_TASK_STARTED, EcsError
from fargate_driver.ecs.session import session_for
from fargate_driver.ecs.words import one_line
from fargate_driver.errors import DriverError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fargate_driver.ecs.target import Target

CALLS: Counter[tuple[str, str]] = Counter()
"""This process's attempts of calls, for the metrics: by operation, and "ok", AWS's error code or
"no_answer"."""

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_LONGEST_REASON = 255
"""Characters of StopTask's reason that ECS is sure to keep; the API names no limit."""


class Ecs:
    """ECS (and the little of EC2) that a job needs, as a client of one Target.

    Args:
        target: where to call.
        deadline: until when (time.monotonic) calls that are throttled, or that AWS fails to serve,
            are tried again.
        longest_attempt: seconds that an answer may take.

    Attributes:
        target: the same.
        deadline: the same, which whoever makes many calls may move.
    """

    def __init__(self, target: Target, *, deadline: float, longest_attempt: float = 60.0) -> None:
        self.target = target
        self.deadline = deadline
        self._uncertain = False
        """Whether an attempt of the latest call may have had its effect unheard."""
        self._sent = False
        """Whether the latest attempt came as far as to be sent."""
        self._session = session_for(target, deadline=deadline, longest_attempt=longest_attempt)
        self._ecs = self._client("ecs")

    def run_task(self, request: dict[str, Any], *, chosen: Collection[str] = ()) -> dict[str, Any]:
        """Call RunTask.

        Args:
            request: its parameters, with a clientToken, so that all attempts are one intent.
            chosen: what of it the job's author chose, for the verdict (verdict.Chosen).

        Returns:
            The started task.

        Raises:
            EcsError: no task was started, or it isn't known whether one was (`refused` tells).
        """
        answer = self._call(self._ecs.run_task, "RunTask", request, chosen=chosen)
        if answer["tasks"]:
            task: dict[str, Any] = answer["tasks"][0]
            return task
        # Calls that go well pay nothing for the table.
        from fargate_driver.ecs import diagnosis

        verdict = diagnosis.of_failures(answer.get("failures") or (), chosen=chosen)
        raise EcsError(
            verdict.beside(f"ECS started no task: {verdict.raw or 'it gave no reason'}"),
            "RunTask",
            NO_TASK_STARTED,
            verdict.raw,
            # An earlier attempt of this call, whose answer was lost, may have started one.
            refused=not self._uncertain,
            verdict=verdict,
        )

    def before_launches(self, act: Callable[[], None]) -> None:
        """Have something done right before each RunTask is sent, further attempts included.

        Args:
            act: what; RunTask is not sent if it raises, which is passed on. It may take its time:
                the request is signed, with the time of day, only then.
        """

        def handler(**_: Any) -> None:
            act()

        # https://botocore.amazonaws.com/v1/documentation/api/latest/topics/events.html
        self._ecs.meta.events.register("before-sign.ecs.RunTask", handler)

    def tasks_of_conflict(self, error: EcsError) -> list[str]:
        """ARNs of the tasks that a ConflictException names (API_RunTask, Errors)."""
        answer = getattr(error.__cause__, "response", {})
        arns = answer.get("resourceIds")
        return [arn for arn in arns if isinstance(arn, str)] if isinstance(arns, list) else []

    def describe_task(self, task_arn: str) -> dict[str, Any] | None:
        """Call DescribeTasks for one task.

        Returns:
            The task, or None while ECS doesn't know it (which is so for a moment after RunTask).

        Raises:
            EcsError: the call failed.
        """
        tasks, failures = self.describe_tasks([task_arn])
        if task_arn in failures:
            raise EcsError(f"DescribeTasks: {failures[task_arn]}", "DescribeTasks")
        return tasks.get(task_arn)

    def describe_tasks(
        self, task_arns: list[str], *, once: bool = False
    ) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Call DescribeTasks.

        Args:
            task_arns: at most 100.
            once: don't try again what may work later.

        Returns:
            By ARN the tasks, and the reasons of failures. A task that is in neither is not known to
            ECS. Moments of tasks are in seconds since the epoch.

        Raises:
            EcsError: the call failed; `passing` tells whether it may work later.
        """
        answer = self._call(
            self._ecs.describe_tasks,
            "DescribeTasks",
            {"cluster": self.target.cluster, "tasks": task_arns},
            once=once,
        )
        failures = {
            str(failure.get("arn")): " ".join(
                str(failure[name]) for name in ("reason", "detail") if failure.get(name)
            )
            for failure in answer.get("failures", [])
            if failure.get("reason") != "MISSING"
        }
        return {task["taskArn"]: _plain(task) for task in answer["tasks"]}, failures

    def stop_task(self, task_arn: str, reason: str) -> None:
        """Call StopTask; a task that is no more is no failure.

        Args:
            task_arn: the task.
            reason: shown as the task's stoppedReason, also to those who may not see the job: in
                one line, without secrets.

        Raises:
            EcsError: the task may still run.
        """
        try:
            self._call(
                self._ecs.stop_task,
                "StopTask",
                {
                    "cluster": self.target.cluster,
                    "task": task_arn,
                    "reason": one_line(reason, _LONGEST_REASON),
                },
            )
        except EcsError as e:
            if e.code == "InvalidParameterException" and "was not found" in str(e):
                return
            raise

    def list_tasks(self, **filters: str) -> list[str]:
        """Call ListTasks, which the default IAM policy need not allow.

        Args:
            filters: such as startedBy, RunTask's own, or family; ListTasks matches them exactly.

        Returns:
            ARNs of the tasks that are to run (desiredStatus RUNNING).

        Raises:
            EcsError: the call failed.
        """
        arns: list[str] = []
        parameters = {"cluster": self.target.cluster, **filters}
        while True:
            answer = self._call(self._ecs.list_tasks, "ListTasks", parameters)
            arns += answer["taskArns"]
            if not answer.get("nextToken"):
                return arns
            parameters["nextToken"] = answer["nextToken"]

    def describe_task_definition(
        self, name: str, *, tags: bool = False
    ) -> tuple[dict[str, Any], list[dict[str, str]]]:
        """Call DescribeTaskDefinition.

        Args:
            name: family (for its latest active revision), family:revision, or an ARN of one.
            tags: whether its tags are wanted too.

        Returns:
            The task definition, with moments in seconds since the epoch, and its tags.

        Raises:
            EcsError: the call failed, or there is none.
        """
        parameters: dict[str, Any] = {"taskDefinition": name}
        if tags:
            parameters["include"] = ["TAGS"]
        answer = self._call(
            self._ecs.describe_task_definition, "DescribeTaskDefinition", parameters
        )
        return _plain(answer["taskDefinition"]), answer.get("tags", [])

    def active_task_definition(self, family: str) -> str | None:
        """Call DescribeTaskDefinition for a family's latest active revision.

        Returns:
            `family:revision`, or None where there is none.

        Raises:
            EcsError: the call failed.
        """
        try:
            found, _ = self.describe_task_definition(family)
        except EcsError as e:
            if e.code == "ClientException" and "Unable to describe" in e.message:
                return None
            raise
        return _revision(found) if found.get("status") == "ACTIVE" else None

    def register_task_definition(self, request: dict[str, Any]) -> str:
        """Call RegisterTaskDefinition.

        Args:
            request: its parameters.

        Returns:
            `family:revision` of what was registered.

        Raises:
            EcsError: the call failed.
        """
        answer = self._call(self._ecs.register_task_definition, "RegisterTaskDefinition", request)
        return _revision(answer["taskDefinition"])

    def list_families(self, prefix: str) -> list[str]:
        """Call ListTaskDefinitionFamilies, which the default IAM policy need not allow.

        Args:
            prefix: how their names begin.

        Returns:
            The families that have an active revision.

        Raises:
            EcsError: the call failed.
        """
        families: list[str] = []
        parameters = {"familyPrefix": prefix, "status": "ACTIVE"}
        while True:
            answer = self._call(
                self._ecs.list_task_definition_families, "ListTaskDefinitionFamilies", parameters
            )
            families += answer["families"]
            if not answer.get("nextToken"):
                return families
            parameters["nextToken"] = answer["nextToken"]

    def deregister_task_definition(self, definition: str) -> None:
        """Call DeregisterTaskDefinition, which the default IAM policy need not allow.

        Args:
            definition: `family:revision`.

        Raises:
            EcsError: the call failed.
        """
        self._call(
            self._ecs.deregister_task_definition,
            "DeregisterTaskDefinition",
            {"taskDefinition": definition},
        )

    def public_address(self, network_interface: str) -> str | None:
        """Call EC2's DescribeNetworkInterfaces for a task's public address.

        Args:
            network_interface: its id (eni-…).

        Returns:
            The public IPv4 address, or None while there is none.

        Raises:
            EcsError: the call failed.
        """
        try:
            answer = self._call(
                self._client("ec2").describe_network_interfaces,
                "ec2:DescribeNetworkInterfaces",
                {"NetworkInterfaceIds": [network_interface]},
            )
        except EcsError as e:
            # EC2 may learn of what ECS has made a moment later
            # (https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html).
            if e.code == "InvalidNetworkInterfaceID.NotFound":
                return None
            raise
        for interface in answer["NetworkInterfaces"]:
            address: str | None = interface.get("Association", {}).get("PublicIp")
            return address
        return None

    def log_events(
        self, group: str, stream: str, *, region: str, limit: int, token: str | None = None
    ) -> tuple[list[dict[str, Any]], str]:
        """Call CloudWatch Logs' GetLogEvents, which the default IAM policy need not allow.

        Args:
            group: the log group's name.
            stream: the log stream's name.
            region: where they are.
            limit: events at most, from 1 to 10000.
            token: where to go on; None for the latest events.

        Returns:
            The events (`timestamp` in milliseconds since the epoch, `message`), and the token to go
            on with: the same one where there is nothing more yet.

        Raises:
            EcsError: the call failed; of the code ResourceNotFoundException where there is no such
                group or stream, the latter being so until something is logged.
        """
        place = {} if token is None else {"nextToken": token}
        answer = self._call(
            self._client("logs", region).get_log_events,
            "logs:GetLogEvents",
            {
                "logGroupName": group,
                "logStreamName": stream,
                "limit": limit,
                "startFromHead": token is not None,
                **place,
            },
        )
        return answer["events"], answer["nextForwardToken"]

    def _client(self, service: str, region: str | None = None) -> Any:
        endpoint = endpoint_for(service, self.target.endpoint_url)
        # A proxy cannot reach this machine's own loopback.
        config = Config(proxies={}) if is_loopback(endpoint) else None
        try:
            client = self._session.create_client(
                service, region_name=region, endpoint_url=endpoint, config=config
            )
        except Exception as e:
            from fargate_driver.ecs.explain import said

            text = f"AWS's {service.upper()} client can't be set up: {said(e)}"
            raise EcsError(text, service, refused=True) from e
        client.meta.events.register("before-send", self._note_sent)
        return client

    def _note_sent(self, **_: Any) -> None:
        self._sent = True

    def _call(
        self,
        method: Any,
        operation: str,
        parameters: dict[str, Any],
        *,
        once: bool = False,
        chosen: Collection[str] = (),
    ) -> Any:
        begun = time.monotonic()
        pause = _FIRST_PAUSE
        self._uncertain = False
        while True:
            self._sent = False
            try:
                answer = method(**parameters)
                answers.check(method.__self__, operation.rpartition(":")[2], answer)
            except DriverError:
                raise  # of what is done before a launch
            except Exception as e:  # botocore's parsers raise anything at odd answers
                # Calls that go well pay nothing for the diagnosis.
                from fargate_driver.ecs.explain import Call, explain

                call = Call(operation, begun, self.deadline, self._sent, chosen)
                error, again_until = explain(e, call)
                CALLS[operation, error.code or "no_answer"] += 1
                self._uncertain = self._uncertain or not error.refused
                error.refused = not self._uncertain
                error.passing = again_until > 0
                wait = pause * random.uniform(0.5, 1.5)  # noqa: S311 - spreads calls
                if once or time.monotonic() + wait > again_until:
                    raise error from e
            else:
                CALLS[operation, "ok"] += 1
                return answer
            time.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE)


def _revision(definition: dict[str, Any]) -> str:
    return f"{definition['family']}:{definition['revision']}"


def _plain(answer: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold, without the request's overrides: nobody's business elsewhere."""
    return {
        name: value.timestamp() if isinstance(value, datetime) else value
        for name, value in answer.items()
        if name != "overrides"
    }
