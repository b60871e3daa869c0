"""The scripts that gitlab-runner generates, one per stage of a job."""

from __future__ import annotations

import hashlib
import json
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fargate_driver.runner import sources
from fargate_driver.runner.shells import notice, quote, script, warning
from fargate_driver.runner.variables import job_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fargate_driver.runner.job import Job
    from fargate_driver.runner.shells import Shell
    from fargate_driver.runner.variables import Place


@dataclass(frozen=True)
class Stage:
    """One stage of one job.

    Args:
        name: The sub-stage, as the driver gets it: `prepare_script`, `build_script`, …
        job: The job.
        place: Where it runs.
        status: CI_JOB_STATUS: running, success, failed or canceled.
        shell: The shell to write for.
        hostname: What the driver's `config` said; empty where it said nothing.
    """

    name: str
    job: Job
    place: Place
    status: str
    shell: Shell = "bash"
    hostname: str = ""


def stage_script(stage: Stage) -> str | None:
    """The script of a stage, or None where the job has nothing to do in it."""
    if stage.name.startswith("step_"):
        commands = _Writer(stage).commands(stage.job.script(stage.name.removeprefix("step_")))
    else:
        commands = _BODIES[stage.name](_Writer(stage))
    return script(commands, stage.shell) if commands else None


class _Writer:
    """Writes the commands of one stage."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.job = stage.job
        self.shell = stage.shell
        self.project_dir = stage.place.project_dir(stage.job)
        self.tmp = stage.place.project_tmp(stage.job)
        self.environment_file = f"{self.tmp}/gitlab_runner_env"

    def word(self, text: str) -> str:
        return quote(text, self.shell)

    def words(self, *texts: str) -> str:
        return " ".join(map(self.word, texts))

    def remove(self, *names: str) -> list[str]:
        return [f"rm -f {self.word(name)}" for name in names]

    def exports(self, *, write_files: bool = True) -> Iterator[str]:
        """The job's variables, and what earlier stages left in the file GITLAB_ENV names."""
        for variable in job_variables(self.job, self.stage.place, self.stage.status):
            if not variable.file:
                yield f"export {variable.key}={self.word(variable.value)}"
                continue
            path = self.word(f"{self.tmp}/{variable.key}")
            if write_files:
                yield f"mkdir -p {self.word(self.tmp)}"
                yield f"printf '%s' {self.word(variable.value)} > {path}"
            yield f"export {variable.key}={path}"
        file = self.word(self.environment_file)
        yield f"export GITLAB_ENV={file}"
        yield f"mkdir -p {self.word(self.tmp)}"
        yield f"touch {file}"
        yield f'while read -r line; do export "$line"; done < {file}'

    def enter(self) -> Iterator[str]:
        yield from self.exports()
        yield f"cd {self.word(self.project_dir)}"

    def commands(self, lines: Sequence[str], title: str = "") -> list[str]:
        """The user's commands, each shown before it runs."""
        if not lines:
            return []
        found = [*self.enter()]
        if title:
            found.append(notice(title, self.shell))
        for line in lines:
            first, _, rest = line.partition("\n")
            shown = f"$ {first} # collapsed multi-line command" if rest else f"$ {first}"
            found += [notice(shown, self.shell), line]
        return found

    def with_gitlab_runner(self, what: str, commands: Sequence[str]) -> list[str]:
        """Commands that need a program `gitlab-runner`; without it the stage only says so."""
        missing = f"Missing gitlab-runner. {what} is disabled."
        return [
            "if gitlab-runner --version >/dev/null 2>&1 ; then",
            *commands,
            "else",
            warning(missing, self.shell),
            "fi",
        ]

    def cache_file(self, key: str) -> str:
        """The local cache of a key, relative to the project, where its commands run."""
        cache = self.stage.place.project_cache(self.job)
        return posixpath.relpath(f"{cache}/{key}/cache.zip", self.project_dir)


def _prepare_script(writer: _Writer) -> list[str]:
    runner = writer.stage.hostname or "gitlab-runner"
    return [
        f'echo "Running on $(hostname) via "{writer.word(runner)}...',
        *writer.remove(writer.environment_file, f"{writer.tmp}/masking.db"),
    ]


def _get_sources(writer: _Writer) -> list[str]:
    stage = writer.stage
    return [*writer.exports(), *sources.fetch(stage.job, stage.place, stage.shell)]


def _clear_worktree(writer: _Writer) -> list[str]:
    worktree = writer.word(f"{writer.project_dir}/.git")
    return [
        *writer.exports(),
        f"if [ -d {worktree} ]; then",
        f"cd {writer.word(writer.project_dir)}",
        "git clean -ffdx",
        "git reset --hard",
        "fi",
    ]


def _restore_cache(writer: _Writer) -> list[str]:
    found: list[str] = []
    for cache in writer.job.response.get("cache") or []:
        if cache.get("policy", "pull-push") not in ("pull", "pull-push"):
            continue
        file = writer.cache_file(cache["key"])
        call = writer.words("gitlab-runner", "cache-extractor", "--file", file, "--timeout", "10")
        found += writer.with_gitlab_runner(
            "Extracting cache",
            [
                notice(f"Checking cache for {cache['key']}...", writer.shell),
                f"if {call} ; then",
                notice("Successfully extracted cache", writer.shell),
                "else",
                warning("Failed to extract cache", writer.shell),
                "fi",
            ],
        )
    return [*writer.enter(), *found] if found else []


def _download_artifacts(writer: _Writer) -> list[str]:
    calls: list[str] = []
    url = writer.job.value("CI_SERVER_URL")
    for dependency in writer.job.response.get("dependencies") or []:
        if not dependency.get("artifacts_file"):
            continue
        number = str(dependency["id"])
        options = ("--url", url, "--token", dependency["token"], "--id", number)
        calls += [
            notice(f"Downloading artifacts for {dependency['name']} ({number})...", writer.shell),
            writer.words("gitlab-runner", "artifacts-downloader", *options),
        ]
    if not calls:
        return []
    return [*writer.enter(), *writer.with_gitlab_runner("Artifacts downloading", calls)]


def _archive_cache(writer: _Writer) -> list[str]:
    found: list[str] = []
    for cache in writer.job.response.get("cache") or []:
        if cache.get("policy", "pull-push") in ("push", "pull-push") and _wanted(writer, cache):
            found += _archive_one_cache(writer, cache)
    return [*writer.enter(), *found] if found else []


def _archive_one_cache(writer: _Writer, cache: dict[str, Any]) -> list[str]:
    key = str(cache["key"])
    hashed = hashlib.sha256(key.encode()).hexdigest()
    metadata_file = f"{writer.tmp}/gitlab_runner_cache_env"
    metadata = json.dumps(json.dumps({"cachekey": key}, separators=(",", ":")))
    assignment = writer.word(f"CACHE_METADATA={metadata}")
    call = writer.words(
        *("gitlab-runner", "cache-archiver", "--file", writer.cache_file(key)),
        *("--alternate-file", writer.cache_file(hashed), "--timeout", "10"),
        *(word for path in cache.get("paths") or [] for word in ("--path", path)),
        *(("--untracked",) if cache.get("untracked") else ()),
        *("--env-file", metadata_file),
    )
    return writer.with_gitlab_runner(
        "Creating cache",
        [
            notice(f"Creating cache {key}...", writer.shell),
            f"printf '%s\\n' {assignment} > {writer.word(metadata_file)}",
            f"if {call} ; then",
            notice("Created cache", writer.shell),
            "else",
            warning("Failed to create cache", writer.shell),
            "fi",
            *writer.remove(metadata_file),
        ],
    )


def _upload_artifacts(writer: _Writer) -> list[str]:
    calls: list[str] = []
    url = writer.job.value("CI_SERVER_URL")
    for artifact in writer.job.response.get("artifacts") or []:
        if not _wanted(writer, artifact):
            continue
        options = ["--url", url, "--token", writer.job.token, "--id", str(writer.job.id)]
        options += ["--timeout", "1h0m0s", "--response-header-timeout", "10m0s"]
        for path in artifact.get("paths") or []:
            options += ["--path", path]
        for path in artifact.get("exclude") or []:
            options += ["--exclude", path]
        if artifact.get("untracked"):
            options.append("--untracked")
        for option, key in (
            ("--name", "name"),
            ("--expire-in", "expire_in"),
            ("--artifact-format", "artifact_format"),
            ("--artifact-type", "artifact_type"),
        ):
            if artifact.get(key):
                options += [option, artifact[key]]
        calls += [
            notice("Uploading artifacts...", writer.shell),
            writer.words("gitlab-runner", "artifacts-uploader", *options),
        ]
    if not calls:
        return []
    return [*writer.enter(), *writer.with_gitlab_runner("Uploading artifacts", calls)]


def _cleanup_file_variables(writer: _Writer) -> list[str]:
    variables = job_variables(writer.job, writer.stage.place, writer.stage.status)
    files = [f"{writer.tmp}/{variable.key}" for variable in variables if variable.file]
    return [
        *writer.exports(write_files=False),
        *writer.remove(writer.environment_file, f"{writer.tmp}/masking.db", *files),
        *sources.forget(writer.job, writer.stage.place, writer.shell),
    ]


def _wanted(writer: _Writer, thing: dict[str, Any]) -> bool:
    """Whether the thing's `when` matches how the job went."""
    now = "on_failure" if writer.stage.name.endswith("_on_failure") else "on_success"
    return (thing.get("when") or "on_success") in ("always", now)


_BODIES: dict[str, Callable[[_Writer], list[str]]] = {
    "prepare_script": _prepare_script,
    "get_sources": _get_sources,
    "clear_worktree": _clear_worktree,
    "restore_cache": _restore_cache,
    "download_artifacts": _download_artifacts,
    "build_script": lambda writer: writer.commands(writer.job.script("script")),
    "after_script": lambda writer: writer.commands(
        writer.job.script("after_script"), "Running after script..."
    ),
    "archive_cache": _archive_cache,
    "archive_cache_on_failure": _archive_cache,
    "upload_artifacts_on_success": _upload_artifacts,
    "upload_artifacts_on_failure": _upload_artifacts,
    "cleanup_file_variables": _cleanup_file_variables,
}
