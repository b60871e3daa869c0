"""The git part of the generated scripts: how a job gets its sources and forgets their secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from fargate_driver.runner.shells import notice, quote
from fargate_driver.runner.variables import RUNNER_ARCHITECTURE, RUNNER_VERSION

if TYPE_CHECKING:
    from fargate_driver.runner.job import Job
    from fargate_driver.runner.shells import Shell
    from fargate_driver.runner.variables import Place

_LEFT_BY_A_KILLED_GIT = ("index.lock", "shallow.lock", "HEAD.lock", "config.lock")


def fetch(job: Job, place: Place, shell: Shell) -> list[str]:
    """The commands that bring the job's commit to the project's folder.

    The repository's credentials stay in a configuration file beside it: the remote's URL, which
    a job's script may print, has none.

    Args:
        job: The job; its variable GIT_STRATEGY may be `fetch`, `clone` or `none`.
        place: Where it runs.
        shell: The shell to write for.
    """

    def words(*texts: str) -> str:
        return " ".join(quote(text, shell) for text in texts)

    project, tmp = place.project_dir(job), place.project_tmp(job)
    strategy = job.value("GIT_STRATEGY", "fetch")
    if strategy == "none":
        return [notice("Skipping Git repository setup", shell), f"mkdir -p {words(project)}"]
    info = job.response["git_info"]
    with_credentials = str(info["repo_url"])
    url = without_credentials(with_credentials)
    depth = int(info.get("depth") or 0)
    template = f"{tmp}/git-template"
    secrets = _secrets_file(place, job)
    settings = {
        "init.defaultBranch": "none",
        "fetch.recurseSubmodules": "false",
        "credential.interactive": "never",
        "gc.autoDetach": "false",
        "include.path": secrets,
    }
    how = f"Fetching changes with git depth set to {depth}..." if depth else "Fetching changes..."
    agent = f"http.userAgent=gitlab-runner {RUNNER_VERSION} {RUNNER_ARCHITECTURE}"
    history = ("--depth", str(depth)) if depth else ()
    options = ("--no-recurse-submodules", *info["refspecs"], *history, "--prune", "--quiet")
    return [
        "export GIT_TERMINAL_PROMPT=0 GCM_INTERACTIVE=Never GIT_LFS_SKIP_SMUDGE=1",
        *([f"rm -rf {words(project)}"] if strategy == "clone" else []),
        *_remove_leftovers(project, shell),
        f"mkdir -p {words(template)}",
        *(
            f"git config -f {words(f'{template}/config', key, value)}"
            for key, value in settings.items()
        ),
        f"git config -f {words(secrets, f'url.{with_credentials}.insteadOf', url)}",
        notice(how, shell),
        f"git init {words(project)} --template {words(template)}",
        f"cd {words(project)}",
        f"if git remote add origin {words(url)} >/dev/null 2>&1 ; then",
        notice("Created fresh repository.", shell),
        "else",
        f"git remote set-url origin {words(url)}",
        f"git config -f .git/config --replace-all {words('include.path', secrets)}",
        "fi",
        f"git -c {words(agent)} fetch origin {words(*options)}",
        notice(f"Checking out {info['sha'][:8]} as detached HEAD (ref is {info['ref']})...", shell),
        f"git -c submodule.recurse=false checkout -f -q {words(info['sha'])}",
        "git clean -ffdx",
        notice("Skipping Git submodules setup", shell),
        *_forget_credentials(job, shell),
    ]


def forget(job: Job, place: Place, shell: Shell) -> list[str]:
    """The commands that remove what the job must not leave behind: credentials, hooks, locks."""
    secrets = quote(_secrets_file(place, job), shell)
    return [
        *_forget_credentials(job, shell),
        f"rm -f {secrets}",
        *_remove_leftovers(place.project_dir(job), shell),
    ]


def without_credentials(url: str) -> str:
    """The URL without its user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _secrets_file(place: Place, job: Job) -> str:
    return f"{place.project_tmp(job)}/.gitlab-runner.ext.conf"


def _forget_credentials(job: Job, shell: Shell) -> list[str]:
    # Fails where there is no git, which a job without sources doesn't need.
    question = quote(f"url={job.value('CI_SERVER_URL')}\nusername=gitlab-ci-token", shell)
    return [f"echo {question} | git credential reject || true"]


def _remove_leftovers(project: str, shell: Shell) -> list[str]:
    """What an earlier job's git or script may have left in a project that is used again."""
    names = [f"{project}/.git/{name}" for name in _LEFT_BY_A_KILLED_GIT]
    config, hooks = f"{project}/.git/config", f"{project}/.git/hooks"
    return [
        *(f"rm -f {quote(name, shell)}" for name in (*names, config)),
        f"rm -rf {quote(hooks, shell)}",
    ]
