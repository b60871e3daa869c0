#!/usr/bin/env python3
"""Writes docs/configuration.md from the settings model; called by scripts/docs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from generated import DOCS, main, row

from fargate_driver.flags import GLOBAL_FLAGS
from fargate_driver.settings.file import CANDIDATES
from fargate_driver.settings.load import JOB_VARIABLES
from fargate_driver.settings.model import LISTS, SECTIONS, keys_of

if TYPE_CHECKING:
    from fargate_driver.settings.section import Key

TARGET = DOCS / "configuration.md"

HEAD = """\
<!-- Made by scripts/docs from src/fargate_driver/settings/model.py: edit there. -->
# Configuration

The driver reads one TOML file. Files of GitLab's Go driver work unchanged.

```toml
LogFile = "/var/log/fargate.log"

[Fargate]
Cluster = "ci"
Region = "us-east-1"
Subnet = ["subnet-0abc", "subnet-0def"]
SecurityGroup = "sg-0abc"
TaskDefinition = "ci-coordinator"

[TaskMetadata]
Directory = "/var/lib/fargate"

[SSH]
Username = "root"
```

Keys and sections may be written in any letter case. A key that the driver doesn't know is ignored
with a warning, and an empty string counts as absent. A wrong value stops the job before anything is
started, with one line per mistake: the file, the key, what is wrong, what is allowed.
"""

SEARCH = """\
## Where the file is looked for

`--config FILE` names it. Without that flag it is the first of these files that exists; the names
without a folder are looked for in the folder that the driver is called in, which for gitlab-runner
is a temporary one, so always give `--config` there:

{candidates}

A file with `[[runners]]` in it is gitlab-runner's own and is skipped (with `--config`: refused).
"""

CHOICE = """\
## Who wins

A flag beats the job's variable, and that beats the file.

| Flag, before the command (or after it, but for `custom`) | What it does |
|---|---|
{flags}

The author of a job can choose two things, by CI/CD variables in `.gitlab-ci.yml`, and more where
`[Allow]` says so ([plain images](images.md#what-jobs-may-choose)); no other variable changes the
configuration. An empty variable counts as absent.

| Variable | Beats the key |
|---|---|
{variables}

Write them without the prefix `CUSTOM_ENV_`, which gitlab-runner adds by itself. To keep authors
from choosing, give the flag `--task-def` or `--platform-version`. A wrong value in such a variable
fails the job as a script failure, since trying again would not help.

## The operator's log

Warnings about this file, and more with a lower `LogLevel`, go to `LogFile`. Without one they go to
stderr, and gitlab-runner shows that in the log of each job. Each line of the form `json` has
`time`, `level` and `msg`, and `job`, `pipeline`, `project` and `task` where they are known. The
file is created with mode 0600.
"""


def document() -> str:
    """The whole page."""
    candidates = "\n".join(f"{n}. `{path}`" for n, path in enumerate(CANDIDATES, 1))
    flags = "\n".join(
        row(f"`--{name}{' ' + metavar if metavar else ''}`", text)
        for name, metavar, text in GLOBAL_FLAGS
    )
    variables = "\n".join(
        row(f"`{variable}`", f"`[{section}] {name}`")
        for variable, (section, name) in JOB_VARIABLES.items()
    )
    parts = [
        HEAD,
        *(_section(section) for section in SECTIONS),
        SEARCH.format(candidates=candidates),
        CHOICE.format(flags=flags, variables=variables),
    ]
    return "\n".join(parts)


def _section(section: str) -> str:
    head = f"`[[{section}]]`, as many as wanted" if section in LISTS else f"`[{section}]`"
    title = head if section else "At the top of the file, before all sections"
    rows = "\n".join(
        row(_name(key), key.about, key.allowed, _default(key))
        for key in keys_of(section).values()
        if section or key.name not in SECTIONS
    )
    return f"## {title}\n\n| Key | What it does | Allowed | Default |\n|---|---|---|---|\n{rows}\n"


def _name(key: Key) -> str:
    return f"`{key.name}`" + (f" or `{key.also}`" if key.also else "")


def _default(key: Key) -> str:
    if key.default is ...:
        return "required"
    if key.default in (None, "", {}, ()):
        return "none"
    if isinstance(key.default, tuple):
        return ", ".join(f"`{item}`" for item in key.default)
    if isinstance(key.default, bool):
        return f"`{str(key.default).lower()}`"
    return f"`{key.default:g}`" if isinstance(key.default, float) else f"`{key.default}`"


if __name__ == "__main__":
    sys.exit(main(TARGET, document(), sys.argv[1:]))
