"""What the stages of a job leave for the metrics, until its end is counted.

prepare makes the file before it starts a task, where metrics are wanted, and notes when it has
counted the start; every run stage adds a line. So run needs neither the configuration nor an
import, and pays for one attempt to open a file.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as in gitlab/exits.py
if TYPE_CHECKING:
    from collections import Counter

_NAME = "results"

LOST = "lost"
CANCELED = "canceled"
"""Results of a stage that are no exit code of its script: a system failure, a stage that was
stopped."""


def begin(directory: str, text_file: str) -> None:
    """Make the file.

    Args:
        directory: the job's directory.
        text_file: `[Metrics] TextFile`.

    Raises:
        OSError: it can't be written.
    """
    with open(os.path.join(directory, _NAME), "w", encoding="utf-8") as file:
        file.write(f"to\t{text_file}\n")


def note_started(directory: str) -> None:
    """Note that prepare has counted a start that went well.

    Args:
        directory: the job's directory.
    """
    _note(directory, "started\n")


def note_stage(directory: str, stage: str, seconds: float, result: str) -> None:
    """Note the end of a stage.

    Args:
        directory: the job's directory.
        stage: as gitlab-runner names it.
        seconds: how long it took.
        result: what gitlab-runner was told: the script's exit code, CANCELED or LOST.
    """
    _note(directory, f"stage\t{' '.join(stage.split())}\t{seconds:.3f}\t{result}\n")


def note_verdict(directory: str, verdict: str) -> None:
    """Note why the task ended before its job.

    Args:
        directory: the job's directory.
        verdict: the verdict's name.
    """
    _note(directory, f"verdict\t{verdict}\n")


def note_calls(directory: str, calls: Counter[tuple[str, str]]) -> None:
    """Move a stage's calls of AWS to where cleanup counts them.

    Args:
        directory: the job's directory.
        calls: how many, by operation and outcome; empty afterwards.
    """
    for (operation, outcome), n in calls.items():
        _note(directory, f"calls\t{operation}\t{outcome}\t{n}\n")
    calls.clear()


def settle(directory: str, text_file: str) -> None:
    """Note that the job is counted, although something is left of it; what fails is left out.

    Args:
        directory: the job's directory, emptied of what its stages left.
        text_file: `[Metrics] TextFile`.
    """
    try:
        begin(directory, text_file)
    except OSError:
        return
    _note(directory, "settled\n")


def _note(directory: str, line: str) -> None:
    try:
        file = os.open(os.path.join(directory, _NAME), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(file, line.encode("utf-8", "backslashreplace"))
    except OSError:
        return
    finally:
        os.close(file)


class Results:
    """What the stages of a job left.

    Attributes:
        text_file: `[Metrics] TextFile`.
        stages: name, seconds and result of each.
        calls: the stages' calls of AWS: operation, outcome, how many.
        verdict: why the task ended before its job; "" where it didn't, or nobody knows.
        started: whether prepare has counted the start; where not, it was killed.
        settled: whether the job is counted already.
    """

    __slots__ = ("calls", "settled", "stages", "started", "text_file", "verdict")

    def __init__(self, text_file: str) -> None:
        self.text_file = text_file
        self.stages: list[tuple[str, float, str]] = []
        self.calls: list[tuple[str, str, int]] = []
        self.verdict = ""
        self.started = False
        self.settled = False


def load(directory: str) -> Results | None:
    """Read what the stages left.

    Args:
        directory: the job's directory.

    Returns:
        It, or None where no metrics are wanted of this job.
    """
    found = None
    try:
        with open(os.path.join(directory, _NAME), encoding="utf-8", errors="replace") as file:
            for line in file:
                kind, *values = line.rstrip("\n").split("\t")
                if kind == "to":
                    found = Results(values[0])
                elif found and kind == "stage":
                    stage, seconds, result = values
                    found.stages.append((stage, float(seconds), result))
                elif found and kind == "calls":
                    operation, outcome, n = values
                    found.calls.append((operation, outcome, int(n)))
                elif found and kind == "verdict":
                    found.verdict = values[0]
                elif found and kind == "started":
                    found.started = True
                elif found and kind == "settled":
                    found.settled = True
    except (OSError, ValueError):
        return found
    return found
