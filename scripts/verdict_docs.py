#!/usr/bin/env python3
"""Writes docs/troubleshooting.md's section of verdicts from their table; called by scripts/docs."""

from __future__ import annotations

import sys

from generated import DOCS, main, row

from fargate_driver.ecs.facts import FACTS
from fargate_driver.ecs.verdict import Retry, Row
from fargate_driver.ecs.verdict_table import ROWS

TARGET = DOCS / "troubleshooting.md"
BEGIN = "<!-- Made by scripts/docs from src/fargate_driver/ecs/verdict_table.py: edit there. -->\n"
END = "<!-- The end of what scripts/docs makes. -->\n"

HEAD = """\
## What ECS said

A line of the job log that ends in `[NAME]` is about one of these. All are system failures, for
which `retry: when: runner_system_failure` is made, except those marked with *: where the job itself
chose what is wrong (`image:`, `services:`, `FARGATE_TASK_DEFINITION`, `FARGATE_PLATFORM_VERSION`),
it fails as a script failure, since trying again would not help. What is wrong with an image that
the operator chose (`[Images] HelperImage`, `DefaultImage`, a container of `BaseTaskDefinition`)
stays a system failure.

"Tried again" is what prepare does by itself, within `StartTimeout`. A new task is started only
where it is sure that the first one is gone, or never was; never after somebody stopped it, and
never where its container had run and ended by itself.
"""

TAIL = """\
What isn't in the table is called `unknown`, and shown in AWS's own words. `script-killed` is the
hint for a script that ends with exit code 137 while its container lives on: a process was killed,
most often because the task's memory was used up. It stays a failure of the script.
"""

RETRY = {
    Retry.NEVER: "no",
    Retry.RELAUNCH: "a new task",
    Retry.NEXT_CAPACITY: "a new task, on the next capacity",
    Retry.WAIT: "after a pause",
}

# What stands in a remedy for facts that only a case has.
WORDS = dict.fromkeys(FACTS, "") | {
    "container": "the container",
    "grant": "allow the action that the line names, on its resource, for its role",
    "image": "the image",
    "larger": "give the task more memory (the line names the next size)",
    "operation": "the call",
    "registry": "the registry",
}


def document() -> str:
    """The whole page: what is written by hand, and the section."""
    page = TARGET.read_text("utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"docs/{TARGET.name} has lost the lines that scripts/docs writes between")
    return before + BEGIN + section() + END + after


def section() -> str:
    """All verdicts."""
    head = row(
        "Verdict", "AWS says, for example", "Whose fault", "What to do", "Tried again", "Why"
    )
    rows = "\n".join(_row(one) for one in ROWS)
    return f"{HEAD}\n{head}\n|---|---|---|---|---|---|\n{rows}\n\n{TAIL}\n"


def _row(one: Row) -> str:
    return row(
        f"`{one.name}`{'*' if one.chosen else ''}",
        f"`{one.example}`",
        one.fault.value,
        one.remedy.format_map(WORDS),
        RETRY[one.retry],
        f"[source]({one.source})",
    )


if __name__ == "__main__":
    sys.exit(main(TARGET, document(), sys.argv[1:]))
