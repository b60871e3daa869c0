"""A server that shows another key."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from e2e_jobs import new_job, run_job
from fargate_driver.runner.scripts import Stage, stage_script

if TYPE_CHECKING:
    from local_fargate import LocalFargate


def test_changed_host_key_gets_no_script(fargate: LocalFargate) -> None:
    fargate.faults({"task": {"sshd_other_host_key": True}})

    def scripts(stage: Stage) -> str | None:
        if stage.name == "build_script":
            # The next stage has to connect anew, and is shown the other key.
            masters = [
                pid for pid, words in fargate.processes().items() if words.startswith("ssh ")
            ]
            assert masters
            for pid in masters:
                os.kill(pid, signal.SIGKILL)
        return stage_script(stage)

    run = run_job(fargate, new_job(["echo the script ran"]), scripts=scripts)
    assert run.result.status == "system_failure", str(run)
    assert "the script ran" not in run.text, str(run)
