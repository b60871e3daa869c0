"""Runs an embedded Fargate in a thread, and talks to it as the driver and its tester do."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from fargate_driver.local.embedded import Embedded, Options, serve
from local_api.sleeping_runtime import SleepingRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 60.0
NAME = "ci-coordinator"
IMAGE = "fargate-local/host:latest"
SIGNED = "AWS4-HMAC-SHA256 Credential=x/20260101/eu-west-1/ecs/aws4_request, Signature=0"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-0abc"], "securityGroups": ["sg-0abc"]}}
_SESSION = botocore.session.get_session()


class Fargate:
    """A running embedded Fargate."""

    def __init__(self, embedded: Embedded, runtime: SleepingRuntime, notes: list[str]) -> None:
        self.url = embedded.url
        self.config = embedded.config
        self.runtime = runtime
        self.notes = notes
        self._clients: dict[tuple[str, str, float], Any] = {}

    def client(self, service: str = "ecs", region: str = "eu-west-1", timeout: float = 60) -> Any:
        key = service, region, timeout
        if key not in self._clients:
            self._clients[key] = _SESSION.create_client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id="placeholder",
                aws_secret_access_key="placeholder",
                config=Config(retries={"total_max_attempts": 1}, proxies={}, read_timeout=timeout),
            )
        return self._clients[key]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def run(self, **changes: Any) -> dict[str, Any]:
        request = {"taskDefinition": "ci-coordinator", "networkConfiguration": NETWORK} | changes
        task: dict[str, Any] = self.client().run_task(**request)["tasks"][0]
        return task

    def describe(self, task: dict[str, Any]) -> dict[str, Any]:
        found = self.client().describe_tasks(tasks=[task["taskArn"]], include=["TAGS"])["tasks"]
        result: dict[str, Any] = found[0]
        return result

    def stop(self, task: dict[str, Any], reason: str = "test") -> dict[str, Any]:
        self.client().stop_task(task=task["taskArn"], reason=reason)
        return self.until(task, "STOPPED")

    def until(self, task: dict[str, Any], status: str) -> dict[str, Any]:
        return self.wait(task, lambda shown: shown["lastStatus"] == status)

    def wait(
        self, task: dict[str, Any], happened: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while not happened(shown := self.describe(task)):
            assert time.monotonic() < deadline, shown
            time.sleep(0.005)
        return shown

    def faults(self, *rules: Any) -> None:
        status, text = self.request("/_faults", json.dumps(rules).encode())
        assert status == 200, text

    def calls(self) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = json.loads(self.request("/_calls")[1])
        return calls

    def tasks(self) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = json.loads(self.request("/_tasks")[1])
        return tasks

    def request(
        self, path: str, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        request = urllib.request.Request(self.url + path, data, headers or {})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@contextmanager
def fargate(directory: Path, **options: Any) -> Iterator[Fargate]:
    """Serve an embedded Fargate over the sleeping runtime."""
    runtime = SleepingRuntime(shares_builds=options.pop("shares_builds", False))
    notes: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()
    served: list[Embedded] = []
    failure: list[BaseException] = []

    async def main() -> None:
        async with serve(Options(directory, **options), runtime.choose, notes.append) as embedded:
            served.append(embedded)
            ready.set()
            await over.wait()

    def body() -> None:
        try:
            loop.run_until_complete(main())
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            failure.append(error)
        finally:
            loop.close()
            ready.set()

    thread = threading.Thread(target=body)
    thread.start()
    ready.wait(PATIENCE)
    if failure:
        thread.join()
        raise failure[0]
    here = Fargate(served[0], runtime, notes)
    try:
        yield here
    finally:
        here.close()
        loop.call_soon_threadsafe(over.set)
        thread.join(PATIENCE)
        assert not thread.is_alive()
    if failure:
        raise failure[0]
    assert runtime.closed


def fails(code: str, says: str, call: Any, **request: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    response: dict[str, Any] = caught.value.response
    assert response["Error"]["Code"] == code, response
    assert says in response["Error"]["Message"], response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return response


def raw(here: Fargate, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Send what botocore would refuse to send."""
    headers = {
        "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": SIGNED,
    }
    status, text = here.request("/", body, headers)
    answer: dict[str, Any] = json.loads(text)
    return status, answer


def definition(here: Fargate, family: str, **changes: Any) -> dict[str, Any]:
    request = {
        "family": family,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [{"name": NAME, "image": IMAGE}],
    } | changes
    wanted = {name: value for name, value in request.items() if value is not None}
    answer: dict[str, Any] = here.client().register_task_definition(**wanted)
    return answer
