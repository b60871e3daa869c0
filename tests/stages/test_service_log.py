"""What a job's author is shown of the log of a service that failed, or why nothing is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fargate_driver.ecs.target import Target
from fargate_driver.stages import service_log

if TYPE_CHECKING:
    from local_fargate import LocalFargate

OPTIONS = {"awslogs-group": "ci", "awslogs-stream-prefix": "job"}
DENIED = {
    "operation": "GetLogEvents",
    "error": "AccessDeniedException",
    "message": "User: x is not authorized to perform: logs:GetLogEvents",
}


@pytest.mark.parametrize(
    ("log", "fault", "said"),
    [
        (None, {}, "its log can't be shown: its container has no logConfiguration; only awslogs"),
        ({"logDriver": "splunk"}, {}, "its container has the log driver splunk; only awslogs"),
        ({"logDriver": "awslogs", "options": {}}, {}, "its container has no awslogs-group"),
        ({"logDriver": "awslogs", "options": OPTIONS}, DENIED, "can't be shown: logs:GetLogEvents"),
        ({"logDriver": "awslogs", "options": OPTIONS}, {}, "  service-1-db logged nothing"),
    ],
)
def test_why_nothing_is_shown(
    fargate: LocalFargate,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    log: dict[str, Any] | None,
    fault: dict[str, Any],
    said: str,
) -> None:
    monkeypatch.setattr(service_log, "_PAUSE", 0.01)
    if fault:
        fargate.faults(fault)
    names = ("service-1-db", "service-2-web")
    containers = [{"name": name, "logConfiguration": log} for name in names]
    target = Target("us-east-1", "default", fargate.url)
    shown = service_log.ServiceLog(target, {"containerDefinitions": containers}, "a/b/c")
    for name in names:
        shown.show(name)
    lines = capfd.readouterr().err.splitlines()
    assert said in lines[0]
    # Why it can't be read at all is said once.
    assert len(lines) == (2 if "nothing" in said else 1)
