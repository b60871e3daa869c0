"""The embedded Fargate as a whole: from an empty directory to an endpoint, and back."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from fargate_driver.local import config_file, definitions
from fargate_driver.local.directory import MARK, Directory, DirectoryError, occupy
from fargate_driver.local.faults import Faults, RuleError
from fargate_driver.local.images import HELPER_IMAGE, HOST_IMAGE
from fargate_driver.local.lifecycle import Fleet
from fargate_driver.local.limits import AWS_RATES, Limits
from fargate_driver.local.log_streams import LogStreams
from fargate_driver.local.runtimes.base import RuntimeUnavailableError
from fargate_driver.local.server import Api
from fargate_driver.local.unavailable import machine_architecture
from fargate_driver.local.world import Cluster, Region, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from fargate_driver.local.runtimes.base import Runtime

    Note = Callable[[str], None]
    Choose = Callable[[str, Path, Note], Awaitable[Runtime]]

_REGION = "us-east-1"
_CLUSTER = "default"
_FAMILY = "ci-coordinator"
_SUBNET = "subnet-0fa46a7e10ca1f0a0"
_SECURITY_GROUP = "sg-0fa46a7e10ca1f0a0"
_SHUTDOWN = 0.1  # seconds for answers that are being written when the end comes


class StartError(Exception):
    """The embedded Fargate can't start; the text is one line that says what to change."""


@dataclass(frozen=True)
class Options:
    """How an embedded Fargate is to be."""

    directory: Path
    port: int = 0
    """The TCP port on 127.0.0.1; 0 for a free one."""
    runtime: str = "auto"
    time_scale: float = 1.0
    """What every duration is multiplied by, stopTimeout and the seconds of fault rules included."""
    aws_limits: bool = False
    """Whether AWS's request rates are enforced."""
    rules: Any = field(default_factory=list)
    """The fault rules to begin with, as `POST /_faults` takes them."""


@dataclass(frozen=True)
class Embedded:
    """An embedded Fargate that serves."""

    url: str
    config: Path
    """A working configuration of the driver for it."""
    runtime: Runtime


@asynccontextmanager
async def serve(options: Options, choose: Choose, note: Note) -> AsyncIterator[Embedded]:
    """Serve an embedded Fargate for as long as the context lasts; all of its tasks end with it.

    Args:
        options: How it is to be.
        choose: Picks the runtime, given its name, a directory and `note`.
        note: Takes a line for the user.

    Raises:
        StartError: something about the machine or the options forbids it.
    """
    faults = Faults()
    try:
        faults.replace(options.rules)
        with occupy(options.directory) as directory:
            runtime = await choose(options.runtime, directory.contents, note)
            try:
                async with _world(options, faults, runtime, directory) as world:
                    application = Api(world, options.time_scale).application()
                    async with _listening(application, options.port) as url:
                        _write_config(directory, url, runtime, note)
                        yield Embedded(url, directory.config, runtime)
            finally:
                await runtime.close()
    except RuleError as error:
        raise StartError(f"--faults: {error}") from None
    except RuntimeUnavailableError as error:
        raise StartError(f"--runtime {options.runtime}: {error}") from None
    except DirectoryError as error:
        raise StartError(str(error)) from None


@asynccontextmanager
async def _world(
    options: Options, faults: Faults, runtime: Runtime, directory: Directory
) -> AsyncIterator[World]:
    logs = LogStreams()
    fleet = Fleet(runtime, directory.tasks, options.time_scale, logs)

    def furnish(region: Region) -> None:
        _furnish(region, runtime.ssh_port)

    limits = Limits(AWS_RATES if options.aws_limits else {})
    try:
        yield World(faults, limits, fleet, logs, furnish)
    finally:
        await fleet.close()


@asynccontextmanager
async def _listening(application: web.Application, port: int) -> AsyncIterator[str]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError as error:
            reason = error.strerror or str(error)
            raise StartError(f"--port {port}: {reason}: choose another one, or 0") from None
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _furnish(region: Region, ssh_port: int) -> None:
    """Put a cluster, its network and a task definition into a new region."""
    region.subnets.append(_SUBNET)
    region.security_groups[_SECURITY_GROUP] = "tasks"
    region.open_groups.add(_SECURITY_GROUP)
    strategy = [{"capacityProvider": "FARGATE", "weight": 1, "base": 0}]
    region.clusters[_CLUSTER] = Cluster(
        region.name, _CLUSTER, ["FARGATE", "FARGATE_SPOT"], strategy
    )
    definitions.add(
        region,
        {
            "family": _FAMILY,
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "2048",
            "memory": "4096",
            "containerDefinitions": [
                {
                    "name": "ci-coordinator",
                    "image": HOST_IMAGE,
                    "portMappings": [{"containerPort": ssh_port}],
                }
            ],
        },
    )


def _write_config(directory: Directory, url: str, runtime: Runtime, note: Note) -> None:
    try:
        _write_sections(directory, url, runtime, note)
    except OSError as error:
        raise StartError(f"{directory.config}: {error.strerror}: choose another --dir") from None


def _write_sections(directory: Directory, url: str, runtime: Runtime, note: Note) -> None:
    builds, cache = "/builds", "/cache"
    if runtime.shares_builds:
        directory.builds.mkdir(mode=0o700)
        directory.cache.mkdir(mode=0o700)
        builds, cache = str(directory.builds), str(directory.cache)
        note(f"jobs are not isolated from each other: they share {builds} and {cache}")
    sections: dict[str, dict[str, str | int | bool]] = {
        "Fargate": {
            "Cluster": _CLUSTER,
            "Region": _REGION,
            "Subnet": _SUBNET,
            "SecurityGroup": _SECURITY_GROUP,
            "TaskDefinition": f"{_FAMILY}:1",
            "EndpointURL": url,
            "BuildsDir": builds,
            "CacheDir": cache,
        },
        # A container's host name need not be its own.
        "TaskMetadata": {"Directory": str(directory.records), "Manager": "embedded"},
        "SSH": {"Username": runtime.ssh_user, "Port": runtime.ssh_port},
    }
    comment = f"{MARK}; it works while that runs."
    config_file.write(directory.config, comment, sections)
    directory.images_config.unlink(missing_ok=True)
    if runtime.runs_images:
        sections["Images"] = {
            "Enabled": True,
            "HelperImage": HELPER_IMAGE,
            "Architecture": machine_architecture(),
        }
        config_file.write(directory.images_config, comment, sections)
