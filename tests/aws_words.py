"""Whether a command line of the AWS CLI names what the services' models know."""

from __future__ import annotations

import functools

import botocore.session
from botocore import xform_name
from botocore.exceptions import UnknownServiceError

# https://docs.aws.amazon.com/cli/latest/reference/#global-options
_GLOBAL = {"region", "endpoint-url", "query", "output", "profile", "no-cli-pager", "cli-input-json"}
# Commands of the CLI's own, which no service has, and those of their options that pages use.
_CUSTOM = {
    ("cloudformation", "deploy"): {
        "stack-name",
        "template-file",
        "capabilities",
        "parameter-overrides",
    },
    ("ecr", "get-login-password"): set(),
    ("s3", "mb"): set(),
    ("s3", "ls"): set(),
    ("sts", "get-caller-identity"): set(),
}


@functools.cache
def _session() -> botocore.session.Session:
    return botocore.session.Session()


def problems(words: list[str]) -> list[str]:
    """What is wrong with a call; empty where nothing is.

    Args:
        words: `aws`, the service, the operation, and so on.
    """
    plain = [word for word in words[1:] if not word.startswith("--")]
    service, operation = (*plain[:2], "", "")[:2]
    options = {word[2:].partition("=")[0] for word in words if word.startswith("--")} - _GLOBAL
    if (service, operation) in _CUSTOM:
        known = _CUSTOM[service, operation]
    else:
        try:
            model = _session().get_service_model(service)
        except UnknownServiceError:
            return [f"no service {service}"]
        named = {xform_name(name, "-"): name for name in model.operation_names}
        if operation not in named:
            return [f"{service} has no {operation}"]
        shape = model.operation_model(named[operation]).input_shape
        members = {xform_name(name, "-") for name in shape.members} if shape else set()
        known = members | {f"no-{name}" for name in members}
    return [f"{service} {operation} has no --{option}" for option in sorted(options - known)]
