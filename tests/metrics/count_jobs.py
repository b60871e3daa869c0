"""What the processes of many jobs add to the metrics at once: `count_jobs.py TEXTFILE RECORDS N`.

Forked, since starting as many interpreters would take longer than all that is tested.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fargate_driver.metrics import families, render, textfile
from fargate_driver.metrics.events import Events


def count(text_file: Path, records: str, n: int) -> None:
    """Count one job."""
    events = Events()
    events.count(families.STARTS, "started", "")
    events.count(families.JOBS, "success" if n % 4 else "script_failure", "")
    events.count(families.AWS_CALLS, "DescribeTasks", "ok", by=n)
    events.observe(families.PHASE, n, "network")
    textfile.save(text_file, events, records)


assert render
children = []
for number in range(1, int(sys.argv[3]) + 1):
    child = os.fork()
    if not child:
        count(Path(sys.argv[1]), sys.argv[2], number)
        os._exit(0)
    children.append(child)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
