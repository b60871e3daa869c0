"""The HTTP endpoint of the embedded Fargate: AWS's APIs, and what controls and shows faults."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import re
import socket
import struct
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web

from fargate_driver.local import ec2, model
from fargate_driver.local.api_errors import ApiError
from fargate_driver.local.faults import OperationRule, RuleError
from fargate_driver.local.operations import OPERATIONS
from fargate_driver.local.query_operations import QUERY_OPERATIONS
from fargate_driver.local.run_task import wanted_providers
from fargate_driver.local.tasks import describe_tasks, named_tasks, youngest

if TYPE_CHECKING:
    from collections.abc import Callable

    from fargate_driver.local.world import Region, World

_CREDENTIAL = re.compile(r"Credential=[^/\s]+/[0-9]{8}/([a-z0-9-]+)/[a-z0-9-]+/aws4_request")
_STATUS = {"ServerException": 500, "InternalFailure": 500, "ServiceUnavailable": 503}
_APPLICATION = re.compile(r"(?:^|\s)app/(\S{1,50})")
"""Who calls, as AWS's SDKs have it: https://docs.aws.amazon.com/sdkref/latest/guide/feature-appid.html"""
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends RST in place of FIN

_log = logging.getLogger(__name__)


class _ResetError(Exception):
    """The connection is to be reset; the text is the call's outcome."""


class Api:
    """What the endpoint serves.

    Args:
        world: What the operations work on.
        time_scale: What the rules' seconds are multiplied by.
    """

    def __init__(self, world: World, time_scale: float) -> None:
        self._world = world
        self._time_scale = time_scale
        self._calls: list[dict[str, Any]] = []

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application()
        application.add_routes(
            [
                web.post("/", self._serve_call),
                web.post("/_faults", self._serve_faults),
                web.get("/_calls", self._serve_calls),
                web.get("/_tasks", self._serve_tasks),
            ]
        )
        return application

    async def _serve_faults(self, request: web.Request) -> web.Response:
        try:
            rules = json.loads(await request.text())
            self._world.faults.replace(rules)
        except RuleError as error:
            return web.Response(status=400, text=f"{error}\n")
        except (ValueError, RecursionError) as error:
            return web.Response(status=400, text=f"the rules are not JSON: {error}\n")
        return web.json_response({"rules": len(rules)})

    async def _serve_calls(self, _request: web.Request) -> web.Response:
        return web.json_response(self._calls)

    async def _serve_tasks(self, _request: web.Request) -> web.Response:
        return web.json_response([task.describe(tags=True) for task in self._world.tasks.values()])

    async def _serve_call(self, request: web.Request) -> web.Response:
        body = await request.read()
        target = request.headers.get("X-Amz-Target")
        query = {} if target else dict(parse_qsl(body.decode(errors="replace")))
        operation = (target or query.get("Action", "")).rpartition(".")[2]
        call = {"time": time.time(), "operation": operation, "outcome": "pending"}
        self._calls.append(call | {"source": _source(request)})
        call = self._calls[-1]
        try:
            region = _region(request)
            if target:
                answer = await self._json(target, region, body)
            else:
                answer = await self._query(operation, region, query)
        except ApiError as error:
            call["outcome"] = error.code
            return _failed(error, json_protocol=bool(target))
        except _ResetError as error:
            call["outcome"] = str(error)
            _reset(request)
            return web.Response()  # to nobody
        except Exception as error:  # noqa: BLE001 - a mistake of ours is answered as AWS's would be
            _log.error("%s: %s", operation, error, exc_info=error)
            call["outcome"] = "ServerException"
            return _failed(
                ApiError("ServerException", "internal error of the embedded Fargate", 500),
                json_protocol=bool(target),
            )
        call["outcome"] = "ok"
        return _response(answer, 200, json_protocol=bool(target))

    async def _json(self, target: str, region_name: str, body: bytes) -> bytes:
        service, operation = model.service_of(target), target.rpartition(".")[2]
        parameters = model.parse(service, operation, body)
        if operation not in OPERATIONS[service]:
            raise ApiError(
                "UnknownOperationException", f"The embedded Fargate does not offer {operation}."
            )
        region = self._world.region(region_name)
        rule = self._rule(operation, region, parameters)
        return await self._perform(
            rule, functools.partial(self._answer, service, operation, region, parameters, rule)
        )

    async def _query(self, operation: str, region: str, query: dict[str, str]) -> bytes:
        if operation not in QUERY_OPERATIONS:
            raise ApiError(
                "InvalidAction", f"The action {operation[:60]} is not valid for this web service."
            )
        rule = self._world.faults.for_call(operation, (), youngest=0.0)
        return await self._perform(
            rule,
            functools.partial(QUERY_OPERATIONS[operation], self._world, region, query),
        )

    def _rule(
        self, operation: str, region: Region, parameters: dict[str, Any]
    ) -> OperationRule | None:
        named = named_tasks(self._world, region, parameters)
        providers = {task.placed_on for task in named}
        if operation == "RunTask":
            providers = wanted_providers(region, parameters)
        age = youngest(named) / self._time_scale
        return self._world.faults.for_call(operation, providers, youngest=age)

    def _answer(
        self,
        service: str,
        operation: str,
        region: Region,
        parameters: dict[str, Any],
        rule: OperationRule | None,
    ) -> bytes:
        """Do what was asked for, and return the answer's body."""
        self._world.limits.take(region.name, operation)
        if rule and rule.failure:
            failure = rule.failure.model_dump()
            return model.encode(service, operation, {"tasks": [], "failures": [failure]})
        if rule and rule.missing_for is not None:
            seconds = rule.missing_for * self._time_scale
            answer = describe_tasks(self._world, region, parameters, missing_for=seconds)
        else:
            answer = OPERATIONS[service][operation](self._world, region, parameters)
        return model.encode(service, operation, answer)

    async def _perform(self, rule: OperationRule | None, effect: Callable[[], bytes]) -> bytes:
        """Return the effect's answer, unless the rule says otherwise."""
        if rule is None:
            return effect()
        hang = rule.hang * self._time_scale
        if rule.lose_answer:
            try:
                effect()
            except ApiError as error:
                _log.info("the answer that is lost was %s", error)
            await asyncio.sleep(hang)
            raise _ResetError("AnswerLost")
        await asyncio.sleep(hang)
        if rule.reset:
            raise _ResetError("ConnectionReset")
        if rule.error is not None:
            status = rule.status or _STATUS.get(rule.error, 400)
            raise ApiError(rule.error, rule.message, status)
        return effect()


def _region(request: web.Request) -> str:
    """Return the region that the request was signed for; the signature itself isn't checked."""
    authorization = request.headers.get("Authorization")
    if not authorization:
        code = "MissingAuthenticationToken"
        if "X-Amz-Target" in request.headers:
            code += "Exception"
        raise ApiError(code, "Missing Authentication Token")
    match = _CREDENTIAL.search(authorization)
    if not match:
        raise ApiError(
            "IncompleteSignatureException", "The Authorization header has no credential scope."
        )
    return match[1]


def _source(request: web.Request) -> str:
    """The application ID of a call that has one, else the only caller that is expected."""
    found = _APPLICATION.search(request.headers.get("User-Agent", ""))
    return found[1] if found else "driver"


def _failed(error: ApiError, *, json_protocol: bool) -> web.Response:
    if json_protocol:
        body = json.dumps({"__type": error.code, "message": error.message, **error.details})
        return _response(body.encode(), error.status, json_protocol=True)
    return _response(ec2.error_answer(error), error.status, json_protocol=False)


def _response(body: bytes, status: int, *, json_protocol: bool) -> web.Response:
    return web.Response(
        body=body,
        status=status,
        headers={"x-amzn-RequestId": str(uuid.uuid4())},
        content_type="application/x-amz-json-1.1" if json_protocol else "text/xml",
    )


def _reset(request: web.Request) -> None:
    """Reset the connection as a broken network does: the client sees ECONNRESET, not an end."""
    transport = request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
