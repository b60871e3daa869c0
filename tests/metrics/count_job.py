"""What one process of a job adds to the metrics: `count_job.py TEXTFILE RECORDS NUMBER`."""

from __future__ import annotations

import sys
from pathlib import Path

from fargate_driver.metrics import families, textfile
from fargate_driver.metrics.events import Events

text_file, records, number = sys.argv[1:]
n = int(number)
events = Events()
events.count(families.STARTS, "started", "")
events.count(families.JOBS, "success" if n % 4 else "script_failure", "")
events.count(families.AWS_CALLS, "DescribeTasks", "ok", by=n)
events.observe(families.PHASE, n, "network")
textfile.save(Path(text_file), events, records)
