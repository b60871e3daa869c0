"""Whether an answer is AWS's, and has what the driver reads of it.

Between the manager and AWS there may be a proxy, a captive portal or a broken line: what they
answer is no word of AWS's, and proves nothing about the call.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TYPES: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "double": (float, int),
    "float": (float, int),
    "integer": (int,),
    "list": (list,),
    "long": (int,),
    "map": (dict,),
    "string": (str,),
    "structure": (dict,),
    "timestamp": (datetime,),
}
"""botocore's names of types, and what its parser makes of them where an answer keeps to them."""
_NEEDED = {
    "DeregisterTaskDefinition": ("taskDefinition",),
    "DescribeClusters": ("clusters",),
    "DescribeNetworkInterfaces": ("NetworkInterfaces",),
    "DescribeSubnets": ("Subnets",),
    "DescribeTaskDefinition": (
        "taskDefinition.family",
        "taskDefinition.revision",
        "taskDefinition.taskDefinitionArn",
        "taskDefinition.containerDefinitions",
    ),
    "DescribeTasks": ("tasks.taskArn",),
    "GetCallerIdentity": ("Arn",),
    "GetLogEvents": ("events.timestamp", "events.message", "nextForwardToken"),
    "GetProducts": ("PriceList",),
    "ListTaskDefinitionFamilies": ("families",),
    "ListTasks": ("taskArns",),
    "RegisterTaskDefinition": ("taskDefinition.family", "taskDefinition.revision"),
    "RunTask": ("tasks.taskArn",),
    "StopTask": ("task.taskArn",),
}
"""What is always in an answer of AWS's, and read without a look; of lists, in each item."""


class OddAnswerError(Exception):
    """An answer that is none of AWS's; the text says how that is seen, and quotes nothing."""


def check(client: Any, operation: str, answer: Mapping[str, Any]) -> None:
    """See that an answer can be relied on.

    Args:
        client: the botocore client that was called.
        operation: the API operation.
        answer: as botocore returned it.

    Raises:
        OddAnswerError: it lacks something, or something is of another type than AWS's model says.
    """
    _check_types(client.meta.service_model.operation_model(operation).output_shape, answer, "it")
    for path in _NEEDED.get(operation, ()):
        _check_needed(answer, path.split("."), path)


def of_error(response: Mapping[str, Any]) -> str:
    """How it is seen that a refusal is none of AWS's, which all carry an error code.

    Args:
        response: what botocore's ClientError holds; it takes the HTTP status for a missing code.

    Returns:
        The words; "" for AWS's own.
    """
    code = str((response.get("Error") or {}).get("Code") or "")
    if code and not code.isdigit():
        return ""
    about = response.get("ResponseMetadata") or {}
    headers = about.get("HTTPHeaders") or {}
    said = f"HTTP {about.get('HTTPStatusCode')} without an error code"
    if kind := headers.get("content-type"):
        said += f", {kind}"
    if headers.get("location"):
        said += f", a redirect to {_host(headers['location'])}"
    return said


def _host(url: str) -> str:
    """The rest of it may hold a session."""
    try:
        return urlsplit(url).hostname or "a path"
    except ValueError:
        return "no URL"


def _check_types(shape: Any, value: object, where: str) -> None:
    kinds = _TYPES.get(shape.type_name)
    # A structure may be botocore's own kind of dict; a bool is no integer, though one by class.
    odd = kinds and not isinstance(value, kinds)
    if odd or (isinstance(value, bool) and shape.type_name != "boolean"):
        raise OddAnswerError(f"{where} is of type {type(value).__name__}, not {shape.type_name}")
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, member in shape.members.items():
            if name in value:
                _check_types(member, value[name], name)
    elif shape.type_name == "list" and isinstance(value, list):
        for item in value:
            _check_types(shape.member, item, f"an item of {where}")
    elif shape.type_name == "map" and isinstance(value, dict):
        for item in value.values():
            _check_types(shape.value, item, f"a value of {where}")


def _check_needed(value: Any, path: Sequence[str], whole: str) -> None:
    if isinstance(value, list):
        for item in value:
            _check_needed(item, path, whole)
    elif path:
        if value.get(path[0]) in (None, ""):
            raise OddAnswerError(f"it has no {whole}")
        _check_needed(value[path[0]], path[1:], whole)
