"""What strikes the soak's jobs, and what may then become of them.

A job whose fault can be survived has to end as its script does. Where the fault ends the task, the
connection or a call of the driver, it may be a system failure too, never another verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from random import Random

SPOT = "FARGATE_SPOT"
"""Where struck jobs start, and only they: so a rule strikes the job that it is for."""

Act = Literal["abort", "cancel", "kill driver", "kill connection"]


@dataclass(frozen=True)
class Fault:
    """One way to disturb a job.

    Args:
        name: For the report.
        rules: Of the embedded Fargate, in force until the job has a task.
        act: What is done to the job itself, `after` seconds from its start.
        after: See act.
        fatal: Whether the job may be a system failure.
        killed: The exit code that the script has where the fault ends it; None where it can't.
    """

    name: str
    rules: tuple[dict[str, Any], ...] = ()
    act: Act | None = None
    after: float = 0.0
    fatal: bool = False
    killed: int | None = None


def choose(random: Random) -> Fault:
    """Choose a fault, of each part as often as of another, with random times and numbers."""
    return random.choice(random.choice([_calls, _starts, _lives, _acts])(random))


def _calls(random: Random) -> list[Fault]:
    """Calls of AWS that fail; the driver has to get through."""
    times = random.randint(1, 3)
    ways: dict[str, dict[str, Any]] = {
        "throttled": {"error": "ThrottlingException", "message": "Rate exceeded", "status": 400},
        "server error": {"error": "ServerException", "status": 500},
        "unavailable": {"error": "ServiceUnavailable", "status": 503},
        "reset": {"reset": True},
        "lost answer": {"lose_answer": True},
        "slow": {"hang": 2.0},
    }
    found = [
        Fault(f"{operation} {name}", ({"operation": operation, "times": times} | way,))
        for operation in ("RunTask", "DescribeTasks", "StopTask")
        for name, way in ways.items()
    ]
    missing = {"operation": "DescribeTasks", "missing_for": random.uniform(0.5, 3)}
    return [*found, Fault("task not yet known", (missing,))]


def _starts(random: Random) -> list[Fault]:
    """Starts that fail or take long; the driver has to start again, or wait."""
    no_capacity = {
        "reason": "Capacity is unavailable at this time. Please try again later or in a different "
        "availability zone"
    }
    ways: dict[str, dict[str, Any]] = {
        "no network interface": {
            "stop_at": "PROVISIONING",
            "stopped_reason": "Timeout waiting for network interface provisioning to complete.",
        },
        "registry time-out": {
            "stop_at": "PENDING",
            "stopped_reason": "CannotPullContainerError: pull command failed: i/o timeout",
        },
        "interrupted at the start": {"stop_at": "PENDING", "stop_code": "SpotInterruption"},
        "slow start": {"start_delay": random.uniform(0.5, 5)},
        "slow network interface": {"eni_delay": random.uniform(0.5, 5)},
        "sshd starts late": {"sshd_delay": random.uniform(0.5, 8)},
        "sshd refuses the key at first": {"sshd_refuses_key": random.uniform(0.5, 4)},
    }
    spot = {"capacity_provider": SPOT}
    return [
        Fault("no capacity", ({"operation": "RunTask", "failure": no_capacity} | spot,)),
        *(Fault(name, ({"task": way} | spot,)) for name, way in ways.items()),
    ]


def _lives(random: Random) -> list[Fault]:
    """What ends a task, or its script, at some time after it runs."""
    after = random.uniform(0.1, 5)
    spot = {"capacity_provider": SPOT}
    ways: dict[str, dict[str, Any]] = {
        "interrupted": {"interrupt_after": after, "grace": random.uniform(0, 2)},
        "container exits": {"container_exits_after": after, "exit_code": random.randint(0, 255)},
        "stopped by a service": {"stop_at": "RUNNING", "stop_code": "ServiceSchedulerInitiated"},
        "silent network": {"blackhole_after": after},
    }
    oom = {"task": {"script_oom_after": after}} | spot
    other_key = {"task": {"sshd_other_host_key": True}} | spot
    return [
        *(Fault(name, ({"task": way} | spot,), fatal=True) for name, way in ways.items()),
        Fault("script out of memory", (oom,), killed=137),
        Fault("other host key", (other_key,), act="kill connection", after=after, fatal=True),
    ]


def _acts(random: Random) -> list[Fault]:
    """What the runner does to a job, or somebody to its processes."""
    after = random.uniform(0.1, 10)
    return [
        Fault("aborted", act="abort", after=after),
        Fault("cancelled", act="cancel", after=after),
        Fault("driver killed", act="kill driver", after=after, fatal=True),
        Fault("connection killed", act="kill connection", after=after, fatal=True),
    ]
