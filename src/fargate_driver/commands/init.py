"""`fargate init`: writes a configuration, and what it needs in AWS, from a few answers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fargate_driver.errors import DriverError
from fargate_driver.setup import files, next_steps
from fargate_driver.setup.question import NeededError
from fargate_driver.setup.questions import QUESTIONS, answer

if TYPE_CHECKING:
    from fargate_driver.setup.question import Question


def _options(command: click.Command) -> click.Command:
    command.params += [
        click.Option([question.flag], help=f"{question.text}.", metavar="TEXT")
        for question in QUESTIONS
    ]
    return command


@_options
@click.command(
    "init",
    epilog="\b\nExamples:\n"
    "  fargate init --dir fargate\n"
    "  fargate init --dir fargate --yes --region eu-central-1 --account 123456789012 \\\n"
    "    --infrastructure none --subnets subnet-0abc --security-groups sg-0abc \\\n"
    "    --execution-role arn:aws:iam::123456789012:role/ecsTaskExecutionRole\n",
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("fargate"),
    show_default=True,
    help="Folder to write into; made if absent.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: flags, and defaults where there are none.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def init(*, directory: Path, yes: bool, force: bool, **given: str | None) -> None:
    """Write fargate.toml, the runner's configuration, the IAM policy and the infrastructure.

    Asks what it isn't told by flags. Calls nothing in AWS, and replaces no file without asking.
    """
    try:
        plan = answer(given, _default if yes else _ask)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        written = _write(directory, files.contents(plan), yes=yes, force=force)
    except OSError as error:
        raise DriverError(f"{error.filename or directory}: {error.strerror}") from None
    for name in written:
        click.echo(f"wrote {directory / name}")
    click.echo("\n".join(["", "Next:", *next_steps.of(plan, directory)]))


def _default(question: Question, default: str | None) -> Any:
    """Take the default: nobody is there to ask."""
    if default is None:
        raise NeededError(f"{question.flag} is needed: {question.text}")
    try:
        return question.read(default)
    except ValueError as error:
        raise ValueError(f"{question.flag}: {error}") from None


def _ask(question: Question, default: str | None) -> Any:
    """Ask until the answer is right; an empty one is the default."""

    def read(text: str) -> Any:
        try:
            return question.read(text.strip())
        except ValueError as error:
            allowed = str(error).partition("; ")[2] or str(error)
            said = str(error) if text.strip() else f"an answer is needed; {allowed}"
            raise click.UsageError(said) from None

    try:
        # Without a default click would ask again in silence.
        return click.prompt(
            question.text, default or "", value_proc=read, show_default=bool(default)
        )
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo()
        raise ValueError(f"{question.flag} is needed, or somebody who answers") from None


def _write(directory: Path, texts: dict[str, str], *, yes: bool, force: bool) -> list[str]:
    """Write what may be written; nothing at all where nobody can be asked about one of them."""
    there = [name for name in texts if os.path.lexists(directory / name)]
    if there and yes and not force:
        raise _is_there(directory / there[0])
    chosen = {}
    for name, text in texts.items():
        if name in there and not force and not _may_replace(directory / name):
            click.echo(f"kept {directory / name}")
        else:
            chosen[name] = text
    for name, text in chosen.items():
        files.write(directory / name, text)
    return list(chosen)


def _may_replace(path: Path) -> bool:
    try:
        return click.confirm(f"{path} is there. Replace it?")
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo()
        raise _is_there(path) from None


def _is_there(path: Path) -> click.UsageError:
    return click.UsageError(
        f"{path} is there already; give --force to replace it, or another --dir"
    )
