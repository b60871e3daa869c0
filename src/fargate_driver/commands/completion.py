"""`fargate completion`: what makes a shell complete the command line, job numbers too."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from fargate_driver import settings
from fargate_driver.commands import job_list
from fargate_driver.ecs.words import one_line
from fargate_driver.errors import DriverError
from fargate_driver.flags import Flags

if TYPE_CHECKING:
    from fargate_driver.history import Entry

_PROGRAM = "fargate"
_VARIABLE = "_FARGATE_COMPLETE"
"""Where click finds that it is called to complete."""
_LONGEST = 60
"""Characters of a job's description."""


@click.command(
    "completion",
    epilog="\b\nExamples:\n"
    "  fargate completion bash > ~/.local/share/bash-completion/completions/fargate\n"
    "  fargate completion zsh > ~/.fargate.zsh\n"
    "  fargate completion fish > ~/.config/fish/completions/fargate.fish\n",
)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion of `fargate` for SHELL: bash (from 4.4 on), zsh or fish.

    It completes commands, options, files, and for `shell` and `logs` the numbers of jobs. bash and
    fish find the file at the places below; zsh needs `source ~/.fargate.zsh` in ~/.zshrc, after
    compinit.
    """
    found = get_completion_class(shell)
    if not found:
        raise DriverError(f"there is no completion for {shell}")
    click.echo(found(context.find_root().command, {}, _PROGRAM, _VARIABLE).source())


def running_jobs(
    context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """The running jobs whose number begins so."""
    return [_item(one) for one in _jobs(context)[0] if one.job.startswith(typed)]


def all_jobs(
    context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """The running and the ended jobs whose number begins so, each once."""
    running, ended = _jobs(context)
    newest = {one.job: one for one in (*ended, *running) if one.job.startswith(typed)}
    return [_item(one) for one in reversed(newest.values())]


def _jobs(context: click.Context) -> tuple[list[Entry], list[Entry]]:
    """Running and ended ones; none where the configuration or the records can't be read."""
    with contextlib.suppress(DriverError):
        loaded = settings.load(context.find_object(Flags) or Flags())
        found = job_list.own_jobs(str(loaded.settings.task_metadata.directory))
        return [one.entry for one in found.running], found.ended
    return [], []


def _item(entry: Entry) -> CompletionItem:
    return CompletionItem(entry.job, help=one_line(f"{entry.project} {entry.name}", _LONGEST))
