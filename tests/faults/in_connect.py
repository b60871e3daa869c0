"""Faults between RUNNING and the open connection."""

from __future__ import annotations

from faults import sources as by
from faults.case import Case, task

_NO_SSHD = 10_000
_OOM = "OutOfMemoryError: Container killed due to memory usage"

CONNECT = (
    Case(
        name="network-silent",
        strikes="connect",
        rules=(task(blackhole_after=0),),
        start_timeout=4,
        result="system_failure",
        says=("no SSH connection to ", "Check that the security group"),
        source=by.GITLAB,
    ),
    Case(
        name="sshd-late",
        strikes="connect",
        rules=(task(sshd_delay=20),),
        result="success",
        says=("started task ",),
        source=by.REFUSED,
    ),
    Case(
        name="sshd-never",
        strikes="connect",
        rules=(task(sshd_delay=_NO_SSHD),),
        start_timeout=3,
        result="system_failure",
        says=("no SSH connection to ", "Check that the security group"),
        source=by.GITLAB,
    ),
    Case(
        name="key-refused-at-first",
        strikes="connect",
        rules=(task(sshd_refuses_key=15.0),),
        result="success",
        says=("started task ",),
        source=by.GITLAB,
    ),
    Case(
        name="key-refused",
        strikes="connect",
        rules=(task(sshd_refuses_key=True),),
        start_timeout=8,
        result="system_failure",
        says=("refuses the job's key", "SSH_PUBLIC_KEY"),
        source=by.GITLAB,
    ),
    Case(
        name="other-host-key-to-come",
        strikes="connect",
        rules=(task(sshd_other_host_key=True),),
        # One connection per job: the second host key is never seen.
        result="success",
        says=("started task ",),
        source=by.HOST_KEYS,
    ),
    Case(
        name="taken-away",
        strikes="connect",
        rules=(task(sshd_delay=_NO_SSHD, interrupt_after=2, grace=1),),
        result="success",
        tasks=2,
        says=("SpotInterruption: Your Spot Task was interrupted.", "trying"),
        verdict="spot-interruption",
        source=by.SPOT_REASON,
    ),
    Case(
        name="container-exits",
        strikes="connect",
        rules=(task(sshd_delay=_NO_SSHD, container_exits_after=2, exit_code=1),),
        result="system_failure",
        says=("the task stopped: EssentialContainerExited: ", "exit code 1"),
        verdict="container-exited",
        source=by.WHO_STOPPED,
    ),
    Case(
        name="container-exits-with-0",
        strikes="connect",
        rules=(task(sshd_delay=_NO_SSHD, container_exits_after=2, exit_code=0),),
        result="system_failure",
        says=("the task stopped: EssentialContainerExited: ", "exit code 0"),
        verdict="container-exited",
        source=by.WHO_STOPPED,
    ),
    Case(
        name="container-out-of-memory",
        strikes="connect",
        rules=(
            task(
                sshd_delay=_NO_SSHD,
                container_exits_after=2,
                exit_code=137,
                container_reason=_OOM,
            ),
        ),
        result="system_failure",
        # The local task has 2 vCPU and 4 GB; the next size of AWS's table is 5 GB.
        says=("exit code 137, " + _OOM, "4096 MiB", "cpu 2048, memory 5120"),
        verdict="container-out-of-memory",
        source=by.OUT_OF_MEMORY,
    ),
    Case(
        name="script-out-of-memory-before-any-script",
        strikes="connect",
        rules=(task(script_oom_after=0),),
        result="success",
        says=("started task ",),
        source=by.OUT_OF_MEMORY,
    ),
)
