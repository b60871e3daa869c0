"""`fargate try`: runs one job from start to end, as gitlab-runner would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fargate_driver import owner, settings
from fargate_driver.console import say
from fargate_driver.errors import DriverError
from fargate_driver.flags import GLOBAL_FLAGS, Flags
from fargate_driver.local.directory import CONFIG_NAME, IMAGES_CONFIG_NAME, MARK
from fargate_driver.local.image_store.names import BadNameError, canonical
from fargate_driver.local.image_store.store import Store, stores_of, users_store
from fargate_driver.runner import services
from fargate_driver.runner.console import ConsoleLog
from fargate_driver.runner.embedded import EmbeddedFargateError, embedded_fargate
from fargate_driver.runner.executor import Result, Runner
from fargate_driver.runner.job import Job, Variable, describe
from fargate_driver.runner.variables import Place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fargate_driver.runner.shells import Shell

_SYSTEM_FAILURE = 2
_DIRECTORIES = Place(builds_dir="/builds", cache_dir="/cache")
"""What a runner's own configuration usually says; BuildsDir and CacheDir come first."""


def _read_variable(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> list[Variable]:
    try:
        return [Variable.parse(_checked(text)) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _read_service(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> list[dict[str, Any]]:
    try:
        return [services.parse(_checked(text)) for text in texts]
    except services.BadServiceError as error:
        raise click.BadParameter(str(error)) from None


@click.command(
    "try",
    epilog="\b\nExamples:\n"
    "  fargate try -- echo hello\n"
    "  fargate try --config fargate.toml --variable GREETING=hi --script job.sh\n"
    "  fargate try --image node:22 --service redis:7,alias=db,variable=A=b -- npm test\n",
    context_settings={"allow_interspersed_args": False},
)
@click.option("--image", help="The image that the job asks for.")
@click.option(
    "--service",
    "given_services",
    multiple=True,
    metavar="SERVICE",
    callback=_read_service,
    help="A service of the job: NAME[,alias=A][,variable=K=V][,entrypoint=E][,command=C], or a JSON"
    " object as in services: of .gitlab-ci.yml; repeatable.",
)
@click.option(
    "--variable",
    "variables",
    multiple=True,
    metavar="K=V",
    callback=_read_variable,
    help="A variable of the job, taken as it stands; repeatable.",
)
@click.option("--shell", type=click.Choice(["bash", "sh"]), default="bash", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="End with the result as one JSON object.")
@click.option("--script", type=click.Path(path_type=Path), help="A file with the job's script.")
@click.argument("command", nargs=-1)
@click.pass_obj
def try_(
    flags: Flags,
    *,
    image: str | None,
    given_services: list[dict[str, Any]],
    variables: list[Variable],
    shell: Shell,
    as_json: bool,
    script: Path | None,
    command: tuple[str, ...],
) -> int:
    """Run one job through config, prepare, run and cleanup, exactly as gitlab-runner would.

    Without --config it runs on an embedded Fargate that lives as long as this command. The job has
    no sources. The exit code is that of its script, or 2 for a system failure.
    """
    config = Path(flags.config) if flags.config else None
    stores = [Store(users_store())]
    if config and image:
        with_images = _with_images(config)
        stores = stores_of(config.parent) if with_images else []
        config = with_images or config
    if image and stores:
        _say_what_is_missing(stores, image, *(service["name"] for service in given_services))
    job = describe(
        [_read_script(script, command)],
        # Two of these at once, on one configuration, are two jobs.
        job_id=secrets.randbelow(9 * 10**8) + 10**8,
        name="try",
        server_url="https://gitlab.example.com",
        project="fargate/try",
        image=image and _checked(image),
        services=given_services,
        variables=variables,
    )
    attempt = _Attempt(_driver_flags(flags), job, shell, images=bool(image))
    try:
        if config is not None:
            flags.config = str(config)
            # A mistake in it is told once, here, and not by every try of every stage.
            settings.load(flags)
        result = asyncio.run(attempt.run(config))
    except (DriverError, EmbeddedFargateError) as error:
        say(str(error))
        result = Result("system_failure", reason=str(error))
    except OSError as error:
        click.echo(f"fargate: {error}", err=True)
        result = Result("system_failure", reason=str(error))
    if as_json:
        attempt.log.line(json.dumps(_plain(result)))
    if attempt.signal is not None:
        return 128 + attempt.signal
    return _exit_code(result)


class _Attempt:
    """One run of the command: a job, and the signals that may end it early."""

    def __init__(self, driver_flags: list[str], job: Job, shell: Shell, *, images: bool) -> None:
        self.signal: signal.Signals | None = None
        self.log = ConsoleLog(lambda: self._end(signal.SIGPIPE))
        self._driver_flags = driver_flags
        self._job = job
        self._images = images
        self._shell: Shell = shell
        self._runner: Runner | None = None
        self._task: asyncio.Task[object] | None = None

    async def run(self, config: Path | None) -> Result:
        """Run the job on what the configuration describes, or on an embedded Fargate."""
        # By its name the driver knows it, and `fargate reap` that it is gone (owner.py).
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(owner.TRY, "ascii")
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._end, number)
        try:
            async with contextlib.AsyncExitStack() as stack:
                if config is None:
                    say("starting an embedded Fargate for this job")
                    config = await stack.enter_async_context(embedded_fargate(images=self._images))
                driver = (sys.executable, "-m", "fargate_driver")
                self._runner = Runner(
                    (*driver, "--config", str(config.absolute()), *self._driver_flags, "custom"),
                    self._job,
                    self.log,
                    environment=_environment(),
                    place=_DIRECTORIES,
                    shell=self._shell,
                )
                return await self._runner.run()
        except asyncio.CancelledError:
            return Result("system_failure", reason="ended before the job began")

    def _end(self, number: signal.Signals) -> None:
        """Cancel the job; a second signal no longer waits for its script to end."""
        first = self.signal is None
        self.signal = self.signal or number
        if self._runner is not None:
            self._runner.abort()
        elif first and self._task is not None:
            self._task.cancel()


def _with_images(config: Path) -> Path | None:
    """The other configuration of an embedded Fargate; None where this one isn't its own."""
    other = config.with_name(IMAGES_CONFIG_NAME)
    try:
        own = config.read_bytes().startswith(f"# {MARK}".encode())
    except OSError:
        return None  # it is told where it is read
    return other if own and config.name == CONFIG_NAME and other.exists() else None


def _say_what_is_missing(stores: list[Store], *images: str) -> None:
    """Tell beforehand: to the driver, the embedded Fargate is a registry that lacks an image."""
    for image in images:
        if not _is_in(stores, image):
            name = shlex.quote(image)
            say(
                f"no image {image} here: the embedded Fargate pulls none, so bring it first:"
                f" fargate local image import {name} PATH, or:"
                f" docker save {name} | fargate local image import {name} /dev/stdin"
            )


def _is_in(stores: Iterable[Store], image: str) -> bool:
    try:
        name = canonical(image)
    except BadNameError:
        return False
    for store in stores:
        if held := store.hold(name):
            held.close()
            return True
    return False


def _environment() -> dict[str, str]:
    """The environment of the driver's calls: marks for GitLab's log only where they don't show."""
    return {**os.environ, **({} if sys.stdout.isatty() else {"NO_COLOR": "1"})}


def _read_script(script: Path | None, command: tuple[str, ...]) -> str:
    if (script is None) == (not command):
        raise click.UsageError("name either a command after -- or a file with --script")
    if script is None:
        return _checked(shlex.join(command))
    try:
        text = script.read_text(encoding="utf-8")
        if not text.strip():
            raise click.UsageError(f"--script {script}: is empty")
        return _checked(text)
    except UnicodeDecodeError:
        raise click.UsageError(f"--script {script}: not UTF-8") from None
    except OSError as error:
        raise click.UsageError(f"--script {script}: {error.strerror}") from None


def _checked(text: str) -> str:
    """Refuse what neither a job response nor a script can hold."""
    if "\0" in text:
        raise click.UsageError("a script can't hold a NUL byte")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise click.UsageError(f"not UTF-8: {text!r:.60}") from None
    return text


def _driver_flags(flags: Flags) -> list[str]:
    """The global flags of this call, for the driver's calls."""
    found = []
    for name, metavar, _ in GLOBAL_FLAGS:
        value = getattr(flags, name.replace("-", "_"))
        if value and name != "config":
            found += [f"--{name}" if metavar is None else f"--{name}={value}"]
    return found


def _plain(result: Result) -> dict[str, Any]:
    """The result for programs; docs/local-fargate.md describes it."""
    in_script = result.stage not in ("config", "prepare")
    return {
        # An ended job is no verdict on its script.
        "status": "system_failure" if result.status == "canceled" else result.status,
        "stage": result.stage or None,
        "exit_code": result.exit_code if in_script else None,
        "reported_exit_code": result.exit_code,
        "failure_reason": result.failure_reason,
        "phases": {name: round(s, 3) for name, s in result.phases.items()},
    }


def _exit_code(result: Result) -> int:
    if result.status == "success":
        return 0
    if result.status == "script_failure":
        # No larger one fits, and only a success is 0.
        return result.exit_code if result.exit_code and 0 < result.exit_code < 256 else 1
    return _SYSTEM_FAILURE
