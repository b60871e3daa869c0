"""The words of the command line: the stages, the global flags, and the parser for these.

The flags, their spelling and their order (all before the command) are those of GitLab's Go driver,
whose command line follows Go's `flag` package: `-name`, `--name`, `--name value`, `--name=value`.
`custom run` is called for every stage of every job, and importing argparse or click would cost more
than the stage itself, hence this parser. The click application shows the same table in its help.
"""


class Flags:
    """The values of the global flags; None where a flag is absent or empty."""

    __slots__ = (
        "config",
        "debug",
        "log_file",
        "log_format",
        "log_level",
        "platform_version",
        "task_def",
    )

    def __init__(self) -> None:
        self.debug = False
        self.log_level: str | None = None
        self.log_file: str | None = None
        self.log_format: str | None = None
        self.config: str | None = None
        self.task_def: str | None = None
        self.platform_version: str | None = None


# Name, alias (the Go driver's; config has none), the arguments, help.
STAGES = (
    ("config", "", (), "Answer on stdout with what gitlab-runner should know before it starts."),
    ("prepare", "p", (), "Start the job's task and connect to it."),
    ("run", "r", ("SCRIPT", "STAGE"), "Run one script of the job in its task."),
    ("cleanup", "cl", (), "Stop the task and remove what the job left on this host."),
)

# Name, what its value is (None: a switch), help. The attribute of Flags is the name with _ for -.
GLOBAL_FLAGS = (
    ("debug", None, "Log everything and show tracebacks."),
    ("log-level", "LEVEL", "debug, info, warning, error, fatal or panic."),
    ("log-file", "FILE", "Append the operator's log to this file."),
    ("log-format", "text|json", "The form of the operator's log."),
    ("config", "FILE", "The configuration file."),
    ("task-def", "TASKDEF", "Use this task definition for every job."),
    ("platform-version", "VERSION", "Use this Fargate platform version for every job."),
)

_METAVARS = {name: metavar for name, metavar, _ in GLOBAL_FLAGS}
_ASIDE = {"help": "--help", "h": "--help", "version": "--version", "v": "--version"}
# What Go's strconv.ParseBool takes (https://pkg.go.dev/strconv#ParseBool).
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


class UsageError(Exception):
    """The command line makes no sense; the text says what to write instead."""


def parse(words: list[str]) -> tuple[Flags, list[str]]:
    """Read the flags before the command.

    Args:
        words: The command line without the program's name.

    Returns:
        The flags, and the words from the command on. `--help` and `--version`, in any of Go's
        spellings, are handed back as the first of these words.

    Raises:
        UsageError: An unknown flag, a missing value, or a value for a switch that is no boolean.
    """
    flags = Flags()
    rest = iter(words)
    for word in rest:
        if word == "--":
            break
        if not word.startswith("-") or word == "-":
            return flags, [word, *rest]
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if name in _ASIDE:
            return flags, [_ASIDE[name]]
        if name == "debug":
            flags.debug = _boolean(name, value) if equals else True
        elif name not in _METAVARS:
            raise UsageError(f"unknown flag {word.partition('=')[0]!r}; see fargate --help")
        else:
            found = value if equals else next(rest, None)
            if found is None:
                raise UsageError(f"--{name} needs a value: --{name} {_METAVARS[name]}")
            setattr(flags, name.replace("-", "_"), found or None)
    return flags, list(rest)


def _boolean(name: str, value: str) -> bool:
    if value not in _BOOLEANS:
        raise UsageError(f"--{name} takes true or false, not {value!r}")
    return _BOOLEANS[value]
