"""Showing the job's author what a service that failed wrote to its log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fargate_driver.console import say
from fargate_driver.ecs import container_log
from fargate_driver.ecs.client import Ecs
from fargate_driver.ecs.errors import EcsError
from fargate_driver.ecs.words import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fargate_driver.ecs.target import Target

_LINES = 20
"""As many as GitLab's page shows at a glance."""
_LONGEST = 300
_LOOKS = 4
_PAUSE = 1.5
"""Seconds between looks: a line takes a few seconds until CloudWatch Logs has it."""
_PATIENCE = 10.0
"""Seconds in which calls of AWS that are throttled or not served are tried again."""


class ServiceLog:
    """The logs of one task's services, as far as they can be read.

    Args:
        target: Where ECS is called.
        definition: The task definition.
        task_arn: The task.
        deadline: Until when (time.monotonic) it is waited for lines; None for as long as they take.
    """

    def __init__(
        self,
        target: Target,
        definition: Mapping[str, Any],
        task_arn: str,
        deadline: float | None = None,
    ) -> None:
        self._target = target
        self._definition = definition
        self._task_arn = task_arn
        self._deadline = deadline
        self._ecs: Ecs | None = None
        self._unreadable = False

    def show(self, container: str) -> None:
        """Show the last lines of a service; why not is said once for all services.

        Args:
            container: The name of its container.
        """
        if self._unreadable:
            return
        try:
            lines = self._last(container)
        except container_log.NoLogError as error:
            self._give_up(f"its container {error}")
        except EcsError as error:
            self._give_up(str(error))
        else:
            for line in lines:
                say(f"  {container} | {one_line(line, _LONGEST)}")
            if not lines:
                say(f"  {container} logged nothing")

    def _give_up(self, why: str) -> None:
        self._unreadable = True
        say(f"  its log can't be shown: {one_line(why, 3 * _LONGEST)}")

    def _last(self, container: str) -> list[str]:
        target = self._target
        place = container_log.stream(self._definition, container, self._task_arn, target.region)
        if not self._ecs:
            now = time.monotonic()
            patience = min(_PATIENCE, max(0.1, (self._deadline or now + _PATIENCE) - now))
            self._ecs = Ecs(target, deadline=now + patience, longest_attempt=patience)
        for look in range(_LOOKS):
            if look:
                if self._deadline and time.monotonic() + _PAUSE > self._deadline:
                    break
                time.sleep(_PAUSE)
            try:
                events, _ = self._ecs.log_events(
                    place.group, place.name, region=place.region, limit=_LINES
                )
            except EcsError as error:
                # So it is until the first line is there.
                if error.code != "ResourceNotFoundException":
                    raise
                events = []
            if events:
                return [event["message"] for event in events]
        return []
