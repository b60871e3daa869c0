"""Faults that strike a running stage, between two stages, and cleanup.

What a network that falls silent does to a running stage takes a minute to see: tests/e2e.
"""

from __future__ import annotations

from faults import sources as by
from faults.case import AIM, LONG, Act, Case, Rule, error, task, throttled

_OOM = "OutOfMemoryError: Container killed due to memory usage"
_EXITS = task(container_exits_after=AIM, exit_code=1)
_MAY_NOT_LOOK = (
    "User: arn:aws:sts::123456789012:assumed-role/manager/i-0abc is not authorized to perform:"
    " ecs:DescribeTasks on resource: * because no identity-based policy allows the"
    " ecs:DescribeTasks action"
)
_MAY_NOT_STOP = _MAY_NOT_LOOK.replace("ecs:DescribeTasks", "ecs:StopTask")


def _lost(
    name: str,
    strikes: str,
    verdict: str | None,
    source: str,
    *says: str,
    rule: Rule | None = None,
    later: tuple[Rule, ...] = (),
    acts: tuple[Act, ...] = (),
) -> Case:
    """The task ends before the script's exit record: never a success, never the script's fault."""
    return Case(
        name=name,
        strikes="stage" if strikes == "stage" else "between",
        rules=(rule,) if rule else (),
        later=later,
        acts=acts,
        script=LONG,
        result="system_failure",
        says=says,
        verdict=verdict,
        source=source,
    )


def _ends(strikes: str) -> tuple[Case, ...]:
    """The ways in which ECS, a container and others end a task, told apart."""
    return (
        _lost(
            "taken-away",
            strikes,
            "spot-interruption",
            by.BLAME,
            "the task stopped: SpotInterruption: Your Spot Task was interrupted.",
            rule=task(interrupt_after=AIM, grace=5),
        ),
        _lost(
            "container-exits",
            strikes,
            "container-exited",
            by.WHO_STOPPED,
            "EssentialContainerExited: Essential container in task exited",
            "exit code 1",
            rule=_EXITS,
        ),
        _lost(
            "stopped-by-others",
            strikes,
            "stopped-by-user",
            by.WHO_STOPPED,
            "the task stopped: UserInitiated: Task stopped by user",
            acts=("stop the task",),
        ),
    )


def _asking(name: str, rule: Rule, source: str) -> Case:
    """DescribeTasks fails while it is asked why the task ended, and says it in the end."""
    return _lost(
        name,
        "stage",
        "container-exited",
        source,
        "EssentialContainerExited",
        rule=_EXITS,
        later=(rule,),
    )


def _cleaned(name: str, source: str, *later: Rule, rules: tuple[Rule, ...] = ()) -> Case:
    """Trouble that cleanup gets over."""
    return Case(
        name=name,
        strikes="cleanup",
        rules=rules,
        later=later,
        result="success",
        says=("ran",),
        source=source,
    )


STAGE = (
    *_ends("stage"),
    _lost(
        "container-exits-with-0",
        "stage",
        "container-exited",
        by.CUT_OFF,
        "EssentialContainerExited: Essential container in task exited",
        "exit code 0",
        rule=task(container_exits_after=AIM, exit_code=0),
    ),
    _lost(
        "container-out-of-memory",
        "stage",
        "container-out-of-memory",
        by.OUT_OF_MEMORY,
        "exit code 137, " + _OOM,
        # The local task has 2 vCPU and 4 GB; the next size of AWS's table is 5 GB.
        "4096 MiB",
        "cpu 2048, memory 5120",
        rule=task(container_exits_after=AIM, exit_code=137, container_reason=_OOM),
    ),
    _lost(
        "container-killed",
        "stage",
        "container-killed",
        by.WHO_STOPPED,
        "exit code 137",
        "4096 MiB",
        rule=task(container_exits_after=AIM, exit_code=137),
    ),
    Case(
        name="script-out-of-memory",
        strikes="stage",
        rules=(task(script_oom_after=AIM),),
        script=LONG,
        result="script_failure",
        script_code=137,
        says=("begun",),
        source=by.KILLED,
    ),
    Case(
        name="script-fails-before-the-container",
        strikes="cleanup",
        rules=(_EXITS,),
        script="exit 7",
        result="script_failure",
        script_code=7,
        says=("started task ",),
        source=by.DONE_BEFORE,
    ),
    _asking("why-throttled", throttled("DescribeTasks", 2), by.POLLING),
    _asking(
        "why-server-error",
        error("DescribeTasks", "ServerException", "Try later.", status=500),
        by.DESCRIBE_TASKS,
    ),
    _asking("why-reset", {"operation": "DescribeTasks", "reset": True}, by.DESCRIBE_TASKS),
    _asking("why-lost", {"operation": "DescribeTasks", "lose_answer": True}, by.DESCRIBE_TASKS),
    _asking("why-slow", {"operation": "DescribeTasks", "hang": 15}, by.DESCRIBE_TASKS),
    _lost(
        "why-denied",
        "stage",
        "manager-denied",
        by.COMMON_ERRORS,
        "allow ecs:DescribeTasks",
        rule=_EXITS,
        later=(error("DescribeTasks", "AccessDeniedException", _MAY_NOT_LOOK, times=99),),
    ),
    _lost(
        "why-unknown",
        "stage",
        None,
        by.MISSING,
        "ECS does not know the task any more",
        rule=_EXITS,
        later=({"operation": "DescribeTasks", "missing_for": 10_000},),
    ),
)

BETWEEN = (
    *_ends("between"),
    _lost(
        "network-silent-and-ssh-gone",
        "between",
        None,
        by.KEEPALIVE,
        "ECS shows the task as RUNNING",
        rule=task(blackhole_after=AIM),
        acts=("kill ssh",),
    ),
    _lost(
        "other-host-key",
        "between",
        None,
        by.HOST_KEYS,
        "the host key of ",
        "is not the one that this job saw first",
        rule=task(sshd_other_host_key=True),
        acts=("kill ssh",),
    ),
    Case(
        name="ssh-gone",
        strikes="between",
        acts=("kill ssh",),
        result="success",
        says=("ran",),
        source=by.CUSTOM,
    ),
    Case(
        name="script-out-of-memory-without-a-script",
        strikes="between",
        rules=(task(script_oom_after=AIM),),
        result="success",
        says=("ran",),
        source=by.OUT_OF_MEMORY,
    ),
)

CLEANUP = (
    _cleaned("throttled", by.THROTTLING, throttled("StopTask", 2)),
    _cleaned(
        "server-error", by.STOP_TASK, error("StopTask", "ServerException", "Later.", status=500)
    ),
    _cleaned("reset", by.STOP_TASK, {"operation": "StopTask", "reset": True, "times": 2}),
    _cleaned("answer-lost", by.STOP_TASK, {"operation": "StopTask", "lose_answer": True}),
    _cleaned("slow", by.STOP_TASK, {"operation": "StopTask", "hang": 15}),
    _cleaned("task-gone", by.STOP_TASK, rules=(_EXITS,)),
    _cleaned("taken-away", by.SPOT, rules=(task(interrupt_after=AIM, grace=1),)),
    _cleaned("network-silent", by.LEAK, rules=(task(blackhole_after=AIM),)),
    Case(
        name="may-not-stop",
        strikes="cleanup",
        later=(error("StopTask", "AccessDeniedException", _MAY_NOT_STOP),),
        # gitlab-runner doesn't change the job's status then, and warns in the log.
        result="success",
        cleanup=2,
        says=("could not be stopped: StopTask failed: AccessDenied", "allow ecs:StopTask"),
        verdict="manager-denied",
        source=by.NO_STOP_RIGHT,
    ),
    Case(
        name="refused",
        strikes="cleanup",
        later=(error("StopTask", "InvalidParameterException", "Not this one."),),
        result="success",
        cleanup=2,
        says=("could not be stopped: StopTask failed: InvalidParameterException: Not this one.",),
        verdict="request-refused",
        source=by.STOP_TASK,
    ),
    Case(
        name="may-not-stop-what-never-started",
        strikes="wait",
        rules=(
            task(never_starts=True),
            error("StopTask", "AccessDeniedException", _MAY_NOT_STOP),
        ),
        start_timeout=2,
        # prepare can't stop it; the cleanup that follows can.
        result="system_failure",
        says=("could not be stopped: StopTask failed: AccessDenied", "allow ecs:StopTask"),
        verdict="manager-denied",
        source=by.LEAK,
    ),
)

JOBS = (*STAGE, *BETWEEN, *CLEANUP)
