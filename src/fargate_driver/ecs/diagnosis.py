"""Why did this task die, or never start, and what can be done?

From what AWS says to a Verdict, by the table in verdict_table.py; nothing is called.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from fargate_driver.ecs import facts as facts_of
from fargate_driver.ecs import words
from fargate_driver.ecs.verdict import ExitKind, Fault, Retry, Row, Verdict, Where
from fargate_driver.ecs.verdict_table import ROWS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

_LONGEST_RAW = 2000
_LONGEST_SENTENCE = 800
_KILLED = 137  # 128 + SIGKILL, as shells report it


def of_stopped_task(
    task: Mapping[str, Any],
    container_name: str = "",
    *,
    essential: Collection[str] = (),
    chosen: Iterable[str] = (),
) -> Verdict:
    """Say why a task stopped.

    Args:
        task: the task as DescribeTasks shows it
            (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Task.html).
        container_name: the container that the job runs in.
        essential: the containers whose end ends the task; none where that isn't known.
        chosen: what the job's author chose (values of Chosen), rather than the operator.

    Returns:
        The verdict; `unknown` for a reason that is not in the table.
    """
    containers = [c for c in task.get("containers") or () if isinstance(c, dict)]
    culprit = facts_of.culprit(task, container_name, essential)
    code = str(task.get("stopCode") or "")
    raw = _said(task, containers)
    # What another container ended by, before, did not end the task.
    text = _said(task, [culprit]) if code == facts_of.CONTAINER_EXITED else raw
    facts = facts_of.from_words(text)
    facts["container"] = facts_of.container(culprit.get("name"))
    if image := words.image_in(text) or culprit.get("image"):
        facts["image"] = f"image {words.value(image)}"
        facts["registry"] = words.value(words.registry_of(str(image)))
    if (exit_code := culprit.get("exitCode")) is not None:
        facts["exit_code"] = f"exit code {words.value(exit_code)}"
    facts |= facts_of.memory(task, culprit)
    return _verdict(Where.TASK, raw, facts, chosen, text=text, code=code, exit_code=exit_code)


def of_failures(failures: Sequence[Mapping[str, Any]], *, chosen: Iterable[str] = ()) -> Verdict:
    """Say why RunTask, or DescribeTasks, answered with `failures` instead of a task.

    Args:
        failures: what the answer has
            (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Failure.html).
        chosen: what the job's author chose (values of Chosen), rather than the operator.

    Returns:
        The verdict; `unknown` for a reason that is not in the table, or none.
    """
    text = "; ".join(
        ": ".join(str(failure[k]) for k in ("reason", "detail") if failure.get(k))
        + (f" ({failure['arn']})" if failure.get("arn") else "")
        for failure in failures
    )
    text = words.one_line(text, _LONGEST_RAW)
    return _verdict(Where.FAILURE, text, facts_of.from_words(text), chosen)


def of_api_error(
    operation: str,
    code: str,
    message: str,
    *,
    status: int = 0,
    chosen: Iterable[str] = (),
) -> Verdict:
    """Say why an API call failed.

    Args:
        operation: the call, such as `RunTask` or `ec2:DescribeNetworkInterfaces`.
        code: AWS's error code; "" where no answer came.
        message: AWS's message, or botocore's where no answer came.
        status: the HTTP status; 0 where no answer came.
        chosen: what the job's author chose (values of Chosen), rather than the operator.

    Returns:
        The verdict; `unknown` for an error that is not in the table.
    """
    text = words.one_line(f"{code}: {message}" if code else message, _LONGEST_RAW)
    facts = facts_of.from_words(text, action=operation if ":" in operation else f"ecs:{operation}")
    facts["operation"] = words.value(operation)
    verdict = _verdict(Where.API, text, facts, chosen, code=code)
    if verdict.name == "unknown" and status >= 400:
        return _verdict(Where.API, text, facts, chosen, code=str(status))
    return verdict


def of_script_exit(code: int, task: Mapping[str, Any], container_name: str = "") -> Verdict | None:
    """Explain a script's exit code 137 in a container that lives on.

    The kernel kills the largest process when a task's memory is used up; the container ends with it
    only where that is its first process, and only then does ECS tell.

    Args:
        code: the script's exit code.
        task: the task as DescribeTasks shows it; {} where it isn't known.
        container_name: the container that the job runs in.

    Returns:
        A verdict whose `line` is a hint for the job's log, or None for other codes. It stays a
        failure of the script.
    """
    if code != _KILLED:
        return None
    containers = [c for c in task.get("containers") or () if isinstance(c, dict)]
    job = next((c for c in containers if c.get("name") == container_name), {})
    memory = facts_of.memory(task, job)
    return Verdict(
        "script-killed",
        f"a process of the script was killed (SIGKILL, exit code 137){memory['limit']}",
        Fault.SCRIPT,
        f"unless the script did that itself, the memory was used up: {memory['larger']}, or use"
        " less",
        Retry.NEVER,
        ExitKind.JOB,
        "",
        "https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html",
    )


def _verdict(
    where: Where,
    raw: str,
    facts: dict[str, str],
    chosen: Iterable[str],
    *,
    text: str = "",
    code: str = "",
    exit_code: object = None,
) -> Verdict:
    # Expressions meet one line of bounded length, so none can run away.
    code = words.value(code)
    for row in ROWS:
        groups = _matches(row, where, code, text or raw, exit_code)
        if groups is not None:
            return _fill(row, facts_of.Facts(facts | groups), raw, chosen)
    return Verdict(
        "unknown",
        _UNKNOWN[where],
        Fault.UNKNOWN,
        "AWS's reason is not in the driver's table" if raw else "AWS gives no reason",
        Retry.NEVER,
        ExitKind.SYSTEM,
        raw,
        "",
    )


_UNKNOWN = {
    Where.TASK: "the task stopped",
    Where.FAILURE: "ECS gave no task",
    Where.API: "AWS refuses the call",
}


def _matches(
    row: Row, where: Where, code: str, text: str, exit_code: object
) -> dict[str, str] | None:
    if where not in row.where or row.exit_code not in (None, exit_code):
        return None
    if row.code and not _expression(row.code).fullmatch(code):
        return None
    if not row.text:
        return {}
    match = _expression(row.text).search(text)
    return match and {k: words.value(v) for k, v in match.groupdict().items() if v}


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _fill(row: Row, facts: facts_of.Facts, raw: str, chosen: Iterable[str]) -> Verdict:
    authors = row.chosen if row.chosen in tuple(chosen) else None
    return Verdict(
        row.name,
        words.one_line(row.summary.format_map(facts), _LONGEST_SENTENCE),
        row.fault,
        words.one_line(row.remedy.format_map(facts), _LONGEST_SENTENCE),
        row.retry,
        ExitKind.JOB if authors else ExitKind.SYSTEM,
        raw,
        row.source,
        authors,
    )


def _said(task: Mapping[str, Any], containers: Iterable[Mapping[str, Any]]) -> str:
    """What ECS says of a task and of some of its containers."""
    head = ": ".join(str(task[k]) for k in ("stopCode", "stoppedReason") if task.get(k))
    parts = "; ".join(part for part in (head, *_said_of(containers, task)) if part)
    return words.one_line(parts, _LONGEST_RAW)


def _said_of(containers: Iterable[Mapping[str, Any]], task: Mapping[str, Any]) -> Iterator[str]:
    """What is known of each container; a reason that several have is told once."""
    told = {str(task.get("stoppedReason"))}
    for container in containers:
        code = container.get("exitCode")
        facts = [] if code is None else [f"exit code {code}"]
        reason = str(container.get("reason") or "")
        if reason and reason not in told:
            told.add(reason)
            facts.append(reason)
        if facts:
            yield f"container {container.get('name')}: {', '.join(facts)}"
