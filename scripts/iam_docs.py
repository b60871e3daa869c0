#!/usr/bin/env python3
"""Writes docs/iam.md from the policy of `fargate init`; called by scripts/docs."""

from __future__ import annotations

import json
import sys

from generated import DOCS, main, row

from fargate_driver.setup.policy import Features, Scope, actions, policy

TARGET = DOCS / "iam.md"

HEAD = """\
<!-- Made by scripts/docs from src/fargate_driver/setup/policy.py: edit there. -->
# IAM rights of the manager

The role of gitlab-runner's host needs these rights, and no others. `fargate init` writes the policy
for what you chose, limited to your cluster, task definitions and roles. Tests compare it with the
calls that jobs make on the embedded Fargate, feature by feature.

"""

ABOUT = {
    "public_addresses": "connecting to public addresses (`UsePublicIP`)",
    "tags": "`Tags` or `PropagateTags`",
    "wide_reap": "`fargate reap` for tasks without a record ([leftovers](reap.md))",
    "images": "`[Images]` ([plain images](images.md))",
    "prune": "`fargate images --prune`; better given to whoever runs it",
}

FOOT = """
`Resource` is `*` only where AWS can't limit the action: `ecs:ListTasks` (limited to the cluster by
its condition), `ecs:DescribeTaskDefinition`, `ecs:RegisterTaskDefinition`,
`ecs:DeregisterTaskDefinition`, `ecs:ListTaskDefinitionFamilies` and
`ec2:DescribeNetworkInterfaces`.

With `[Images]` the policy that init writes starts only task definitions that the driver derived.
For jobs with `FARGATE_TASK_DEFINITION` add their families to `StartTasks`, and their roles to
`GiveTasksTheirRoles`; for roles in `[Allow] TaskRoles` the latter.

All of it, for task definitions `ci-job`:

```json
"""


def text() -> str:
    """The page."""
    base = actions(Features())
    rows = [row("for", "actions"), "|---|---|", row("every job", _code(base))]
    for name, about in ABOUT.items():
        more = [one for one in actions(Features(**{name: True})) if one not in base]
        rows.append(row(about, _code(more)))
    scope = Scope(
        "arn:aws:ecs:eu-central-1:123456789012",
        "gitlab-ci",
        ("ci-job",),
        ("arn:aws:iam::123456789012:role/gitlab-ci-task-execution",),
    )
    everything = policy(Features(**dict.fromkeys(Features._fields, True)), scope)
    return HEAD + "\n".join(rows) + "\n" + FOOT + json.dumps(everything, indent=2) + "\n```\n"


def _code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.exit(main(TARGET, text(), sys.argv[1:]))
