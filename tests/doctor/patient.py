"""What the doctor looks at: a configuration, on a local Fargate."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

from fargate_driver.doctor.finding import Finding, Status
from fargate_driver.doctor.plan import play
from front_calls import flags

if TYPE_CHECKING:
    from pathlib import Path

    from local_fargate import LocalFargate

DENIED = (
    "User: arn:aws:sts::123456789012:assumed-role/manager/i-0abc is not authorized to perform: {}"
)


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
        self._clients: list[Any] = []

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
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()

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
            lines += [f"[{section}]", *(f"{key} = {json.dumps(v)}" for key, v in values.items())]
        self.config.write_text("\n".join([*lines, self.more, ""]))

    def findings(self, runner_config: Path | None = None) -> list[Finding]:
        """Have the doctor look at it."""
        self.write()
        groups = play(flags(config=str(self.config)), runner_config, run=False)
        return [finding for group in groups for finding in group.findings]

    def wrong(self, runner_config: Path | None = None) -> dict[str, str]:
        """What is wrong: by check, what was found and how it is mended."""
        return {
            one.check: f"{one.found} / {one.mend}"
            for one in self.findings(runner_config)
            if one.status is Status.WRONG
        }
