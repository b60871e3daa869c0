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
for what you chose, limited to your cluster, task definitions, roles and log group. The tests
compare it with every call that the driver makes in them, feature by feature: no call is missing, no
action is unused. [What `fargate doctor` needs](doctor.md) beyond that is for whoever runs it.

"""

ABOUT = {
    "public_addresses": "connecting to public addresses (`UsePublicIP`)",
    "tags": "`Tags` or `PropagateTags`",
    "wide_reap": "`fargate reap` for tasks without a record ([leftovers](reap.md))",
    "images": "`[Images]` ([plain images](images.md))",
    "logs": "`fargate logs` ([looking at jobs](operating.md))",
    "prune": "`fargate images --prune`; better given to whoever runs it",
}

FOOT = """
`Resource` is `*` only where AWS can't limit the action
([reference](https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html)):
`ecs:ListTasks` (limited to the cluster by its condition), `ecs:DescribeTaskDefinition`,
`ecs:DeregisterTaskDefinition`, `ecs:ListTaskDefinitionFamilies` and
`ec2:DescribeNetworkInterfaces`. Task definitions may be registered only in the families of
`[Images] Family`. `ecs:TagResource` is allowed only for tags that RunTask gives, `iam:PassRole`
only for these roles and only to ECS.

The other roles that init's template makes:

| role | may |
|---|---|
| execution role of jobs | pull from the ECR repositories that init was told of, write logs |
| manager on EC2 | what is below, read the runner's token, be reached by Session Manager |
| manager on Fargate | what is below |
| execution role of a manager on Fargate | pull, write logs, read the runner's token |

With `[Images]` the policy that init writes starts only task definitions that the driver derived.
For jobs with `FARGATE_TASK_DEFINITION` add their families to `StartTasks`, and their roles to
`GiveTasksTheirRoles`; for roles in `[Allow] TaskRoles` the latter.

All of it, for jobs in images on the cluster `gitlab-ci`:

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
        ("gitlab-ci-image-*",),
        ("arn:aws:iam::123456789012:role/gitlab-ci-eu-central-1-execution",),
        "arn:aws:logs:eu-central-1:123456789012:log-group:/gitlab-fargate/gitlab-ci",
        "gitlab-ci-image-*",
    )
    everything = policy(Features(**dict.fromkeys(Features._fields, True)), scope)
    return HEAD + "\n".join(rows) + "\n" + FOOT + json.dumps(everything, indent=2) + "\n```\n"


def _code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.exit(main(TARGET, text(), sys.argv[1:]))
