"""Requests and answers, checked against botocore's own models of the services.

ECS and CloudWatch Logs speak AWS JSON 1.1: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, NoReturn

from botocore.loaders import create_loader
from botocore.model import (
    ListShape,
    MapShape,
    OperationNotFoundError,
    ServiceModel,
    StructureShape,
)
from botocore.validate import ParamValidator

from fargate_driver.local.api_errors import ApiError, invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import Shape

_TARGETS = {"AmazonEC2ContainerServiceV20141113": "ecs", "Logs_20140328": "logs"}
"""The service by what the X-Amz-Target header puts before the operation's name."""

_LONGEST_REPORT = 500  # an error must not send a whole request back


class InvalidAnswerError(Exception):
    """An answer of ours does not fit the service's model: a mistake in this package."""


@functools.cache
def _service(name: str) -> Any:
    # Not through a session: that would load all of botocore's client for its data files.
    return ServiceModel(create_loader().load_service_model(name, "service-2"), name)


def operation_names() -> frozenset[str]:
    """Return the names of all operations that the services have."""
    return frozenset(name for one in _TARGETS.values() for name in _service(one).operation_names)


def enum_of(shape: str) -> tuple[str, ...]:
    """Return the values that ECS's model allows for a shape, such as `TaskStopCode`."""
    return tuple(_service("ecs").shape_for(shape).enum)


def service_of(target: str) -> str:
    """Return the service, `ecs` or `logs`, that an X-Amz-Target header names.

    Raises:
        ApiError: it is another one.
    """
    prefix = target.rpartition(".")[0]
    if prefix not in _TARGETS:
        raise ApiError("UnknownOperationException", f"There is no service {prefix[:100]}.")
    return _TARGETS[prefix]


def parse(service: str, operation: str, body: bytes) -> dict[str, Any]:
    """Return a request's parameters; nulls count as absent, as on AWS.

    Raises:
        ApiError: the operation is unknown, or the request doesn't fit its model.
    """
    try:
        shape = _service(service).operation_model(operation).input_shape
    except OperationNotFoundError:
        raise ApiError(
            "UnknownOperationException", f"There is no operation {operation[:100]} of {service}."
        ) from None
    try:
        values = json.loads(body.decode() or "{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ApiError("SerializationException", f"The request is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ApiError("SerializationException", "The request must be a JSON object.")
    parameters: dict[str, Any] = _without_nulls(values)
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        text = " ".join(report.generate_report().split())[:_LONGEST_REPORT]
        if "Invalid type" in text:
            raise ApiError("SerializationException", text)
        raise invalid_parameter(text)
    for problem in _problems(parameters, shape, ""):
        raise invalid_parameter(f"1 validation error detected: {problem}"[:_LONGEST_REPORT])
    return parameters


def encode(service: str, operation: str, answer: dict[str, Any]) -> bytes:
    """Return an answer as JSON; times are seconds since the epoch.

    Raises:
        InvalidAnswerError: the answer doesn't fit the service's model.
    """
    shape = _service(service).operation_model(operation).output_shape
    report = ParamValidator().validate(answer, shape)
    if report.has_errors():
        raise InvalidAnswerError(report.generate_report())
    for problem in _problems(answer, shape, ""):
        raise InvalidAnswerError(problem)
    return json.dumps(answer).encode()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value


def _problems(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Yield what botocore's validator leaves to the service: enums, upper bounds and characters."""
    if isinstance(shape, StructureShape):
        for name, item in value.items():
            yield from _problems(item, shape.members[name], f"{path}.{name}" if path else name)
        return
    most = shape.metadata.get("max")
    if most is not None and not isinstance(value, int | float) and len(value) > most:
        yield (
            f"Value at '{path}' failed to satisfy constraint: "
            f"Member must have length less than or equal to {most}"
        )
    if isinstance(shape, ListShape):
        for number, item in enumerate(value):
            yield from _problems(item, shape.member, f"{path}.{number + 1}.member")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from _problems(item, shape.value, f"{path}.{key}")
    elif isinstance(value, str):
        yield from _text_problems(value, getattr(shape, "enum", []), path)


def _text_problems(value: str, allowed: list[str], path: str) -> Iterator[str]:
    if allowed and value not in allowed:
        yield (
            f"Value '{value[:100]}' at '{path}' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(allowed)}]"
        )
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        yield f"Value at '{path}' failed to satisfy constraint: Member must be text without NUL"
