"""What the doctor looks at: a configuration, on a local Fargate."""

from __future__ import annotations

import copy
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.config import Config

from doctor.relay import Answer, relay
from fargate_driver.doctor.finding import Finding, Status
from fargate_driver.doctor.plan import play
from front_calls import flags

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local_fargate import LocalFargate

DENIED = (
    "User: arn:aws:sts::123456789012:assumed-role/manager/i-0abc is not authorized to perform: {}"
)


def toml(value: Any) -> str:
    """A value as TOML has it: as JSON does, but for tables and numbers."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)} = {toml(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return repr(value) if isinstance(value, float) else json.dumps(value)


class Patient:
    """A configuration that starts out right.

    Attributes:
        settings: Its sections; to be changed before `findings` is called.
        more: TOML for its end.
    """

    def __init__(self, fargate: LocalFargate, directory: Path) -> None:
        self.fargate = fargate
        self.directory = directory
        self.config = directory / "fargate.toml"
        self.settings: dict[str, dict[str, Any]] = copy.deepcopy(fargate.settings)
        self.settings["TaskMetadata"]["Directory"] = str(directory / "records")
        self.more = ""
        self._closing = ExitStack()

    def client(self, service: str = "ecs") -> Any:
        """A client of the local Fargate, in the region of the settings."""
        client = botocore.session.get_session().create_client(
            service,
            region_name=self.fargate.settings["Fargate"]["Region"],
            endpoint_url=self.fargate.url,
            aws_access_key_id="placeholder",
            aws_secret_access_key="placeholder",
            config=Config(proxies={}),
        )
        self._closing.callback(client.close)
        return client

    def relay(
        self, change: Callable[[str, Answer], Answer] = lambda _, answer: answer, later: float = 0.0
    ) -> None:
        """Have AWS's answers be changed on their way."""
        through = relay(self.fargate.url, change, later=later)
        self.settings["Fargate"]["EndpointURL"] = self._closing.enter_context(through)

    def setenv(self, name: str, value: str) -> None:
        """Set a variable of this process until the end of the test."""
        change = self._closing.enter_context(pytest.MonkeyPatch.context())
        change.setenv(name, value)

    def close(self) -> None:
        """End what was begun."""
        self._closing.close()

    def image_mode(self) -> None:
        """Have jobs run in images."""
        self.settings["Images"] = {"Enabled": True, "HelperImage": "helper"}

    def deny(self, *operations: str, service: str = "ecs") -> None:
        """Have calls be refused by IAM."""
        code = "AccessDeniedException" if service == "ecs" else "UnauthorizedOperation"
        self.fault(*operations, error=code, message=DENIED.format(f"{service}:{operations[0]}"))

    def fault(self, *operations: str, error: str, message: str = "no") -> None:
        """Have calls fail, however often they are tried."""
        self.fargate.faults(
            *(
                {"operation": one, "error": error, "message": message, "times": 99}
                for one in operations
            )
        )

    def define(self, **changes: Any) -> None:
        """Register a task definition, and name it."""
        container = {
            "name": "ci-coordinator",
            "image": "fargate-local/host:latest",
            "portMappings": [{"containerPort": self.settings["SSH"]["Port"]}],
        }
        request = {
            "family": "doctor",
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": [container | changes.pop("container", {})],
        } | changes
        wanted = {name: value for name, value in request.items() if value is not None}
        answer = self.client().register_task_definition(**wanted)["taskDefinition"]
        self.settings["Fargate"]["TaskDefinition"] = f"doctor:{answer['revision']}"

    def write(self) -> None:
        """Write the configuration."""
        lines = []
        for section, values in self.settings.items():
            lines += [f"[{section}]"] * bool(section)
            lines += [f"{key} = {toml(value)}" for key, value in values.items()]
        self.config.write_text("\n".join([*lines, self.more, ""]))

    def findings(self, runner_config: Path | None = None) -> list[Finding]:
        """Have the doctor look at it."""
        self.write()
        groups = play(flags(config=str(self.config)), runner_config, run=False)
        return [finding for group in groups for finding in group.findings]

    def wrong(self, runner_config: Path | None = None) -> dict[str, str]:
        """What is wrong: by check, what was found and how it is mended."""
        return wrong(self.findings(runner_config))


def wrong(findings: list[Finding]) -> dict[str, str]:
    """Of all that was found what is wrong: by check, what was found and how it is mended."""
    found = [one for one in findings if one.status is Status.WRONG]
    texts = {one.check: f"{one.found} / {one.mend}" for one in found}
    assert len(texts) == len(found), "a mistake is told twice"
    return texts
