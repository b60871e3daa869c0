"""What `fargate init` asks: the one table behind its flags, its prompts and its help."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from fargate_driver import __version__
from fargate_driver.helper import image_tag
from fargate_driver.runner.variables import RUNNER_VERSION
from fargate_driver.setup import checks, hosts
from fargate_driver.setup.plan import Plan, registry_of
from fargate_driver.setup.question import NeededError, Question

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fargate_driver.setup.question import Answers


# Where the templates' managers have these.
PROGRAM = "/opt/gitlab-fargate-driver/bin/fargate"
CONFIG = "/etc/gitlab-runner/fargate.toml"
RECORDS = "/var/lib/gitlab-runner/fargate"


def _always(text: str) -> Callable[[Answers], str | None]:
    return lambda _: text


def _made(answers: Answers) -> bool:
    return bool(answers["infrastructure"] != "none")


def _hosted(answers: Answers) -> bool:
    return answers["manager"] in ("ec2", "fargate")


def _own_image(answers: Answers, name: str, tag: str) -> str:
    """An image in the account's registry, in a repository of the cluster's own."""
    folder = re.sub("[_-]+", "-", answers["cluster"].lower()).strip("-")
    return f"{registry_of(answers['account'], answers['region'])}/{folder}/{name}:{tag}"


def _helper_image(answers: Answers) -> str:
    return _own_image(answers, "fargate-helper", image_tag(answers["runner_version"]))


def _job_image(answers: Answers) -> str:
    if answers["images"]:
        return "public.ecr.aws/docker/library/debian:stable-slim"
    return _own_image(answers, "ci-job", "1")


def _manager_image(answers: Answers) -> str:
    return _own_image(answers, "fargate-manager", f"{__version__}-{answers['runner_version']}")


QUESTIONS = (
    Question(
        "region",
        "AWS Region",
        checks.region,
        lambda _: os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
    ),
    Question("account", "AWS account, 12 digits", checks.account),
    Question(
        "infrastructure",
        "Make cluster, roles and security groups with: cloudformation, terraform, or none to use"
        " what is there",
        checks.one_of("cloudformation", "terraform", "none"),
        _always("cloudformation"),
    ),
    Question(
        "manager",
        "Host for gitlab-runner to make: ec2, fargate, or none to use one of yours",
        checks.one_of("ec2", "fargate", "none"),
        _always("ec2"),
        _made,
    ),
    Question("vpc", "VPC", checks.vpc, when=_made),
    Question("subnets", "Subnets of tasks, with commas between", checks.subnets),
    Question(
        "security_groups",
        "Security groups of tasks, with commas between",
        checks.security_groups,
        when=lambda answers: not _made(answers),
        absent=(),
    ),
    Question("cluster", "ECS cluster", checks.cluster, _always("gitlab-ci")),
    Question(
        "images",
        "Run jobs in the image: that they ask for, yes; or in that of one task definition, no",
        checks.yes_or_no,
        _always("yes"),
    ),
    Question(
        "runner_version",
        "Version of gitlab-runner",
        checks.version,
        _always(RUNNER_VERSION),
        lambda answers: answers["images"] or _hosted(answers),
    ),
    Question(
        "helper_image",
        "Tools image, made with `fargate helper-image`",
        checks.image,
        _helper_image,
        lambda answers: bool(answers["images"]),
    ),
    Question(
        "job_image",
        "Image of jobs that ask for none",
        checks.image,
        _job_image,
        lambda answers: answers["images"] or _made(answers),
    ),
    Question(
        "task_definition",
        "Family of the task definition",
        checks.family,
        lambda answers: f"{answers['cluster']}-job",
        lambda answers: not answers["images"] or _made(answers),
    ),
    Question(
        "execution_role",
        "Role by which ECS pulls images and writes logs",
        checks.role,
        when=lambda answers: not _made(answers),
    ),
    Question(
        "task_role", "Role that jobs call AWS with; empty for none", checks.role, optional=True
    ),
    Question(
        "public_ip",
        "Public addresses of tasks: none, outbound (only to reach the internet), or ssh (the"
        " manager connects to them)",
        checks.one_of("none", "outbound", "ssh"),
        _always("none"),
    ),
    Question(
        "manager_cidr",
        "Where gitlab-runner's host connects from, an IPv4 network",
        checks.network,
        when=lambda answers: answers["public_ip"] == "ssh" and answers["manager"] == "none",
    ),
    Question("spot", "Start tasks on Spot where there is room", checks.yes_or_no, _always("no")),
    Question(
        "tags",
        "Tags of tasks, KEY=VALUE with commas between; empty for none",
        checks.tags,
        optional=True,
        absent={},
    ),
    Question(
        "wide_reap",
        "Let `fargate reap` also look for tasks whose record was lost (ecs:ListTasks)",
        checks.yes_or_no,
        _always("yes"),
    ),
    Question(
        "logs",
        "Let `fargate logs` read what the tasks' containers wrote (logs:GetLogEvents)",
        checks.yes_or_no,
        _always("yes"),
    ),
    Question(
        "log_group",
        "Log group that the task definition names; empty for none",
        checks.log_group,
        when=lambda answers: answers["logs"] and not _made(answers),
        optional=True,
    ),
    Question("gitlab_url", "GitLab's address", checks.url, _always("https://gitlab.com")),
    Question("name", "Name of the runner", checks.name, _always("fargate")),
    Question(
        "token_secret",
        "ARN of the secret in AWS Secrets Manager that holds the runner's token",
        checks.secret,
        when=_hosted,
    ),
    Question(
        "driver_package",
        "What the manager installs the driver from: an https:// address of a wheel, git+https:// of"
        " a repository, or NAME==VERSION where an index has it",
        checks.package,
        when=_hosted,
    ),
    Question(
        "manager_image",
        "Image with gitlab-runner and the driver",
        checks.image,
        _manager_image,
        lambda answers: answers["manager"] == "fargate",
    ),
    Question(
        "prune",
        "Let `fargate images --prune` run with the policy too, yes or no",
        checks.yes_or_no,
        _always("no"),
        lambda answers: bool(answers["images"]),
        absent=False,
        asked=False,
    ),
    Question(
        "limit",
        "Most jobs at once",
        checks.number(1, 10_000),
        _always("50"),
        asked=False,
    ),
    Question(
        "program",
        "The driver on gitlab-runner's host",
        checks.path,
        _always(PROGRAM),
        lambda answers: not _hosted(answers),
        absent=PROGRAM,
        asked=False,
    ),
    Question(
        "config_path",
        "Where fargate.toml will be there",
        checks.path,
        _always(CONFIG),
        lambda answers: not _hosted(answers),
        absent=CONFIG,
        asked=False,
    ),
    Question(
        "records",
        "Folder there for the records of running jobs",
        checks.path,
        _always(RECORDS),
        lambda answers: not _hosted(answers),
        absent=RECORDS,
        asked=False,
    ),
    Question(
        "builds_dir", "Sources in the job's container", checks.path, _always("/builds"), asked=False
    ),
    Question(
        "cache_dir", "Caches in the job's container", checks.path, _always("/cache"), asked=False
    ),
    Question("ssh_user", "User in the job's container", checks.user, _always("root"), asked=False),
    Question(
        "ssh_port",
        "Port of the image's own SSH server",
        checks.number(1, 65535),
        _always("22"),
        asked=False,
    ),
    Question(
        "endpoint_url",
        "Address to call ECS at instead of AWS's, such as that of `fargate local up`",
        checks.url,
        optional=True,
        asked=False,
    ),
)


# All that is made is named by the cluster, and two clusters must have no name in common: stacks
# take no underscore (API_CreateStack), repositories no capitals (API_CreateRepository), and roles
# that differ by capitals alone are one (API_CreateRole).
_MADE_CLUSTER = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
# Parts of ARNs. ECS takes neither a role of another account nor a secret of another Region.
_PLACES = (
    ("execution_role", 4, "account"),
    ("task_role", 4, "account"),
    ("token_secret", 3, "region"),
)


def answer(given: Mapping[str, str | None], ask: Callable[[Question, str | None], Any]) -> Plan:
    """Take an answer for every question that matters.

    Args:
        given: The texts of flags.
        ask: Asks for one that wasn't given, with its default; returns the checked value.

    Raises:
        ValueError: A flag is wrong, is needed, or has no use; the message begins with the flag.
    """
    answers: dict[str, Any] = {}
    needed: list[str] = []
    for question in QUESTIONS:
        text = given.get(question.key)
        if not question.when(answers):
            if text and text != "none":
                raise ValueError(f"{question.flag} has no use with the other answers")
            answers[question.key] = question.absent
        elif text is None and question.asked:
            try:
                answers[question.key] = ask(question, question.suggestion(answers))
            except NeededError as error:
                needed.append(str(error))
                answers[question.key] = ""
            except ValueError:
                if not needed:
                    raise
                answers[question.key] = ""  # its default is made of answers that are missing
        else:
            try:
                answers[question.key] = question.read(
                    question.suggestion(answers) or "" if text is None else text
                )
            except ValueError as error:
                raise ValueError(f"{question.flag}: {error}") from None
    if needed:
        raise ValueError("; ".join(needed))
    _check_together(answers)
    return Plan(**answers)


def _check_together(answers: Answers) -> None:
    """What no answer shows alone."""
    for key, part, where in _PLACES:
        arn = answers[key]
        if arn and arn.split(":")[part] != answers[where]:
            raise ValueError(
                f"--{key.replace('_', '-')}: {arn} is of another {where} than {answers[where]}"
            )
    if _made(answers) and not _MADE_CLUSTER.fullmatch(answers["cluster"]):
        raise ValueError(
            f"--cluster: {answers['cluster']!r} is not allowed for one that is made; allowed:"
            " lower-case letters, digits and single - between them, a letter first"
        )
    if answers["manager"] == "fargate" and not hosts.fargate_size(answers["limit"]):
        raise ValueError(
            f"--limit: no task of Fargate's has the memory to start {answers['limit']} jobs at the"
            f" same time; allowed: up to {hosts.most_on_fargate()}, or --manager ec2"
        )
    if answers["public_ip"] == "ssh" and _hosted(answers):
        raise ValueError(
            "--public-ip: ssh is for a host outside of the VPC, and the one that is made is in it;"
            " allowed: none or outbound"
        )
