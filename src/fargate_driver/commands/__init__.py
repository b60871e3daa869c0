"""What people call: one module per command, imported only when it is called."""

from __future__ import annotations

import errno
import sys
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper

import click

from fargate_driver import __version__
from fargate_driver.commands import global_flags
from fargate_driver.commands.group import Group
from fargate_driver.console import say
from fargate_driver.errors import explained
from fargate_driver.flags import GLOBAL_FLAGS, STAGES, Flags

# Name: module in this package, the click command in it, help for the list of commands.
COMMANDS = {
    "try": ("try_", "try_", "Run one job from start to end, on an embedded Fargate or your own."),
    "jobs": ("jobs", "jobs", "Show the jobs of this host."),
    "shell": ("shell", "shell", "Open a terminal in a running job's container."),
    "logs": ("logs", "logs", "Show what a job's container logs to CloudWatch."),
    "doctor": ("doctor", "doctor", "Check all that a job depends on."),
    "init": ("init", "init", "Write a configuration, and what it needs in AWS, from answers."),
    "reap": ("reap", "reap", "Stop tasks of jobs that are over, and remove what they left."),
    "images": ("images", "images", "List, or prune, the task definitions derived for images."),
    "helper-image": (
        "helper_image",
        "helper_image",
        "Print how to build and push the tools image.",
    ),
    "prices": ("prices", "prices", "Show what tasks cost, or fetch AWS's prices."),
    "local": ("local", "local", "Run the embedded Fargate."),
    "completion": ("completion", "completion", "Print the completion of a shell: bash, zsh, fish."),
}

_ELSEWHERE = {
    "costs": " See `fargate jobs --cost`",
    "metrics": " See [Metrics] TextFile in docs/monitoring",
}
"""What is no command, and yet there."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

EPILOG = """\b
Examples:
  fargate try -- echo hello
  fargate --config /etc/gitlab-runner/fargate.toml doctor
  fargate --config /etc/gitlab-runner/fargate.toml jobs --watch
"""


class Application(click.Group):
    """The commands by name; the global flags were read before click is asked."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order that help shows them."""
        return ["custom", *COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the one command that is called."""
        if cmd_name == "custom":
            return _custom()
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), attribute)
        global_flags.accept(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called, or say which one is close to what was typed."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = get_close_matches(args[0][:60], COMMANDS, n=1)
            hint = _ELSEWHERE.get(args[0]) or (f" Did you mean {close[0]!r}?" if close else "")
            raise click.UsageError(f"{error.message}{hint}", ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table that the parser of the command line goes by, then the commands."""
        rows = [(f"--{name} {metavar or ''}".strip(), text) for name, metavar, text in GLOBAL_FLAGS]
        rows += [("--version", "Show the version and exit."), ("--help", "Show this and exit.")]
        with formatter.section("Global flags, before the command or after it (of custom: before)"):
            formatter.write_dl(rows)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the commands without importing them."""
        with formatter.section("Commands"):
            rows = [(name, text) for name, (_, _, text) in COMMANDS.items()]
            formatter.write_dl([("custom", "What gitlab-runner calls."), *rows])


def application(flags: Flags, words: list[str]) -> int:
    """Run what people call.

    Args:
        flags: The global flags; commands get them with click.pass_obj.
        words: The command line from the command on; empty asks for help.

    Returns:
        The exit code: the command's own, 2 for a wrong command line and for
            whatever it raised.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # no letter is worth a failure
    try:
        return _application(flags, words)
    except click.ClickException as error:
        say(_with_hint(error))
        return error.exit_code
    except click.Abort:
        return 130  # as a shell reports an end by Ctrl-C
    except BrokenPipeError:
        return 1  # whoever read the output is gone; silent, as click is about it
    except Exception as error:  # noqa: BLE001 - a traceback is for --debug
        say(_output_is_full(error) or str(explained(error, debug=flags.debug)))
        return 2


def _application(flags: Flags, words: list[str]) -> int:
    if words[:1] == ["--version"]:
        click.echo(f"fargate {__version__}")
        return 0
    if words[:1] in ([], ["help"], ["h"]):
        words = [*words[1:], "--help"]
    try:
        result = root().main(words, prog_name="fargate", standalone_mode=False, obj=flags)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    if sys.stdout:  # None where descriptor 1 was closed
        sys.stdout.flush()
    return result if isinstance(result, int) else 0


def root() -> Application:
    """The command `fargate`, with all that people call below it."""
    return Application(
        "fargate",
        help="Run GitLab CI jobs as Amazon ECS tasks on Fargate.",
        params=global_flags.options(),  # read before, but by a shell's completion
        epilog=EPILOG,
        subcommand_metavar="COMMAND [ARGS]...",
        options_metavar="[GLOBAL FLAGS]",
        context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    )


def _output_is_full(error: Exception) -> str:
    """The line about a standard output that takes nothing more; "" for other errors."""
    if not isinstance(error, OSError) or error.errno not in _FULL or error.filename:
        return ""
    return f"the output can't be written: {error.strerror}"


def _with_hint(error: click.ClickException) -> str:
    if not isinstance(error, click.UsageError):
        return error.format_message()
    where = error.ctx.command_path if error.ctx else "fargate"
    text = " ".join(error.format_message().split())  # choices are a line each
    return f"{text.rstrip('.')}; see {where} --help"


def _custom() -> click.Group:
    # Only help text: cli.py calls the stages without click.
    group = Group(
        "custom",
        help="What gitlab-runner's custom executor calls, once or more per job. Alias: c.",
        epilog=_example("run /tmp/script step_script"),
    )
    for name, alias, arguments, text in STAGES:
        params = [click.Argument([argument]) for argument in arguments]
        note = f"{text} Alias: {alias}." if alias else text
        words = "run /tmp/script step_script" if name == "run" else name
        group.add_command(
            click.Command(
                name, help=note, short_help=note, params=list(params), epilog=_example(words)
            )
        )
    return group


def _example(words: str) -> str:
    config = "/etc/gitlab-runner/fargate.toml"
    return f"\b\nExample:\n  fargate --config {config} custom {words}\n"
