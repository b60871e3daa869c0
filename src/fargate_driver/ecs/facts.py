"""What a case's own values are, for a verdict's sentences to name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fargate_driver.ecs import denials, sizes, words

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CONTAINER_EXITED = "EssentialContainerExited"
"""The stop code of a task that one of its containers ended."""
_ENDED_BY_OTHERS = (0, 143, 137)
"""Exit codes of containers that ECS stops because another one ended."""
_SUBNET = re.compile(r"subnet-[0-9a-z]+")
_SECRET = re.compile(r"arn:aws[a-z-]*:(?:secretsmanager|ssm):[^\s'\",;]+")
_PLATFORM = re.compile(r"matching platform '([^']{1,60})'")
_ROLE = re.compile(r"role '([^']{1,300})'")

FACTS = (
    "container",
    "denied",
    "exit_code",
    "grant",
    "image",
    "larger",
    "limit",
    "operation",
    "platform",
    "registry",
    "role",
    "secret",
    "subnet",
)
"""What a row's sentences can name, besides named groups of the row's own expression."""


class Facts(dict[str, str]):
    """Facts of a case; one that AWS's words leave out must not spoil the sentence."""

    def __missing__(self, _name: str) -> str:
        return "(not named)"


def from_words(text: str, action: str = "") -> dict[str, str]:
    """What the words alone tell.

    Args:
        text: AWS's words.
        action: the IAM action that was refused where the words name none.
    """
    denial = denials.read(text)
    return {
        "container": container(None),
        "denied": _denied(denial, denial.action or action),
        "exit_code": "no exit code",
        "grant": _grant(denial, denial.action or action),
        "image": "the image",
        "platform": _found(_PLATFORM, text, " ({})"),
        "registry": "the registry",
        "role": _found(_ROLE, text, " {}"),
        "secret": _found(_SECRET, text, ": {}"),
        "subnet": _found(_SUBNET, text, " {}"),
    }


def _denied(denial: denials.Denial, action: str) -> str:
    who = denial.principal or "it"
    on = f" on {denial.resource}" if denial.resource else ""
    return words.value(f"{who} may not {action}{on}" if action else f"{who} was refused")


def _grant(denial: denials.Denial, action: str) -> str:
    if denial.explicit:
        return words.value(f"a {denial.explicit} forbids it; allowing it elsewhere doesn't help")
    on = f" on {denial.resource}" if denial.resource else ""
    policy = denial.lacking or "policies"
    # A policy of the resource, an endpoint or the organisation is not one of the caller's own.
    link = "of" if policy.startswith(("identity", "policies", "permissions", "session")) else "for"
    return words.value(
        f"allow {action or 'it'}{on} in the {policy}"
        + (f" {link} {denial.principal}" if denial.principal else "")
    )


def memory(task: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, str]:
    """The memory limit that was hit, and how to raise it.

    Args:
        task: the task as DescribeTasks shows it.
        one: its container that was killed; {} where that isn't known.
    """
    cpu, mib = sizes.amount(task.get("cpu")), sizes.amount(task.get("memory"))
    own = sizes.amount(one.get("memory"))
    if own and (mib is None or own < mib):
        return {
            "limit": f"; its own limit is {own} MiB",
            "larger": "raise the container's `memory` in the task definition",
        }
    if mib is None:
        return {"limit": "", "larger": "give the task more memory"}
    larger = sizes.next_size(cpu or 0, mib)
    return {
        "limit": f"; the task has {mib} MiB",
        "larger": f"give the task more memory (next size: cpu {larger[0]}, memory {larger[1]})"
        if larger
        else "the task has the most memory that Fargate offers",
    }


def culprit(
    task: Mapping[str, Any], container_name: str, essential: Collection[str] = ()
) -> dict[str, Any]:
    """The container that ended the task, or kept it from starting, as far as that can be told.

    ECS gives a reason for the one at fault; the others are stopped because of it. But a container
    whose end ends no task may have ended before, and have a reason of its own.

    Args:
        task: the task as DescribeTasks shows it.
        container_name: the container that the job runs in.
        essential: the containers whose end ends the task; none where that isn't known.
    """
    containers = [c for c in task.get("containers") or () if isinstance(c, dict)]
    order = sorted(containers, key=lambda c: c.get("name") != container_name)
    own: list[dict[str, Any]] = []
    if task.get("stopCode") == CONTAINER_EXITED:
        possible = [c for c in order if c.get("name") in essential and _ended(c)]
        order = possible or order
        own = [c for c in order if c.get("name") == container_name and _by_itself(c)]
    for candidates in (
        own,
        [c for c in order if c.get("reason")],
        [c for c in order if _by_itself(c)],
        [c for c in order if c.get("exitCode") is not None],
        order,
    ):
        if candidates:
            return candidates[0]
    return {}


def _ended(one: dict[str, Any]) -> bool:
    return one.get("exitCode") is not None or bool(one.get("reason"))


def _by_itself(one: dict[str, Any]) -> bool:
    return one.get("exitCode") not in (None, *_ENDED_BY_OTHERS)


def container(name: object) -> str:
    """Words for a container, whether or not its name is known."""
    return f"container {words.value(name)}" if name else "a container"


def _found(pattern: re.Pattern[str], text: str, form: str) -> str:
    match = pattern.search(text)
    return form.format(words.value(match[match.lastindex or 0])) if match else ""
