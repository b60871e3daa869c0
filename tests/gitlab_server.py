"""A stand-in for GitLab: a repository over HTTP, and job artifacts."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from http_peer import Answer, Request, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = "group/project"


class GitLab:
    """A running stand-in.

    Args:
        url: Its address.
        sha: The commit at the head of branch main.
        artifacts: What was uploaded, by job.
        caches: What was uploaded as to S3, by path.

    For a real gitlab-runner it hands out `jobs` and keeps what it gets back in `traces` and
    `updates`.
    """

    def __init__(self, url: str, sha: str) -> None:
        self.url = url
        self.sha = sha
        self.artifacts: dict[str, bytes] = {}
        self.caches: dict[str, bytes] = {}
        self.jobs: list[bytes] = []
        self.traces: list[bytes] = []
        self.updates: list[dict[str, object]] = []

    @property
    def host(self) -> str:
        """Name and port."""
        return self.url.removeprefix("http://")

    def repo_url(self, job: int) -> str:
        """The repository's address with a job's token."""
        return f"http://gitlab-ci-token:{job_token(job)}@{self.host}/{PROJECT}.git"


class _Answers:
    """Fetches through `git http-backend`; artifacts are kept in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gitlab: GitLab

    def __call__(self, asked: Request) -> Answer:
        path = asked.path
        if path == "/api/v4/jobs/request":
            return self._next_job()
        if path.startswith("/cache/"):
            return _store(asked, self.gitlab.caches, path)
        if asked.method in ("PATCH", "PUT"):
            return self._keep(asked)
        job = _job(path)
        if job is None:
            return self._git(asked)
        if asked.headers.get("JOB-TOKEN") != job_token(job):
            return Answer(HTTPStatus.FORBIDDEN)
        return _store(asked, self.gitlab.artifacts, job)

    def _next_job(self) -> Answer:
        if not self.gitlab.jobs:
            return Answer(HTTPStatus.NO_CONTENT)
        return Answer(HTTPStatus.CREATED, self.gitlab.jobs.pop(0))

    def _keep(self, asked: Request) -> Answer:
        if asked.method == "PATCH":
            self.gitlab.traces.append(asked.body)
            return Answer(HTTPStatus.ACCEPTED)
        self.gitlab.updates.append(json.loads(asked.body))
        return Answer()

    def _git(self, asked: Request) -> Answer:
        if not asked.headers.get("Authorization", "").startswith("Basic "):
            return Answer(
                HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": 'Basic realm="GitLab"'}
            )
        path, _, query = asked.path.partition("?")
        done = subprocess.run(
            ["git", "http-backend"],
            input=asked.body,
            stdout=subprocess.PIPE,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": asked.method,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": asked.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(asked.body)),
                "HTTP_CONTENT_ENCODING": asked.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": asked.headers.get("Git-Protocol", ""),
            },
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(headers.pop("Status", "200").split()[0])
        return Answer(status, answer, headers)


def _job(path: str) -> str | None:
    """The job of a path /api/v4/jobs/ID/artifacts."""
    parts = path.partition("?")[0].strip("/").split("/")
    if parts[:3] == ["api", "v4", "jobs"] and parts[4:] == ["artifacts"]:
        return parts[3]
    return None


def _store(asked: Request, kept: dict[str, bytes], name: str) -> Answer:
    """Keep what is sent, or hand out what is kept."""
    if asked.method == "GET":
        status = HTTPStatus.OK if name in kept else HTTPStatus.NOT_FOUND
        return Answer(status, kept.get(name, b""))
    kept[name] = asked.body
    return Answer(HTTPStatus.OK if asked.method == "PUT" else HTTPStatus.CREATED)


def job_token(job: object) -> str:
    """The token of a job, as in the recorded calls."""
    return f"glcbt-fake-{job}"


@contextmanager
def gitlab(folder: Path) -> Iterator[GitLab]:
    """Run a stand-in on the loopback interface, with a new repository in a folder."""
    sha = _make_repository(folder)

    answers = _Answers(folder / "www")
    with serving(answers) as url:
        answers.gitlab = GitLab(url, sha)
        yield answers.gitlab


def _make_repository(folder: Path) -> str:
    work, bare = folder / "work", folder / "www" / f"{PROJECT}.git"
    bare.parent.mkdir(parents=True)
    (work / "sub").mkdir(parents=True)
    (work / "README.md").write_text("readme of the project\n")
    (work / "sub" / "file").write_text("from the repository\n")
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_AUTHOR_NAME": "dev",
        "GIT_AUTHOR_EMAIL": "dev@example.com",
        "GIT_COMMITTER_NAME": "dev",
        "GIT_COMMITTER_EMAIL": "dev@example.com",
    }

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments],
            env=environment,
            cwd=work,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    git("init", "--quiet", "--initial-branch", "main")
    git("add", ".")
    git("commit", "--quiet", "--message", "first line\n\nsecond paragraph")
    git("clone", "--quiet", "--bare", ".", str(bare))
    git("--git-dir", str(bare), "update-ref", "refs/pipelines/500", "HEAD")
    return git("rev-parse", "HEAD").strip()


def write_helper(folder: Path) -> Path:
    """Make a program `gitlab-runner` with the sub-commands that generated scripts call."""
    folder.mkdir(exist_ok=True)
    program = folder / "gitlab-runner"
    program.write_text(_HELPER)
    program.chmod(0o755)
    return folder


# Not `env python3`: inside a task the test's own interpreter may be out of reach.
_HELPER = r'''#!/usr/bin/python3
"""Artifacts and caches as gitlab-runner's helper moves them, as far as the tests need it."""
import argparse, io, os, pathlib, sys, urllib.request, zipfile

parser = argparse.ArgumentParser()
parser.add_argument("command")
parser.add_argument("--path", action="append", default=[])
for option in ("url", "token", "id", "timeout", "response-header-timeout", "name", "expire-in",
               "artifact-format", "artifact-type", "file", "alternate-file", "env-file"):
    parser.add_argument("--" + option)
if "--version" in sys.argv:
    print("Version: 19.4.0")
    sys.exit()
options = parser.parse_args()


def archive():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as target:
        for path in map(pathlib.Path, options.path):
            for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
                target.write(file)
    return data.getvalue()


def extract(data):
    zipfile.ZipFile(io.BytesIO(data)).extractall(".")


def request(data=None):
    url = f"{options.url}/api/v4/jobs/{options.id}/artifacts"
    return send(urllib.request.Request(url, data, {"JOB-TOKEN": options.token}))


def cache(data=None):
    """As to S3, whose address comes in --url there; SHARED_CACHE stands for it here."""
    url = os.environ.get("SHARED_CACHE")
    if url or not data:
        path = "/".join(pathlib.Path(options.file).absolute().parts[-2:])
        method = "PUT" if data else "GET"
        return send(urllib.request.Request(f"{url}/cache/{path}", data, method=method))


def send(wanted):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(wanted, timeout=30) as answer:
        return answer.read()


if options.command == "artifacts-uploader":
    request(archive())
    print("Uploading artifacts as archive to coordinator... 201 Created")
elif options.command == "artifacts-downloader":
    extract(request())
    print("Downloading artifacts from coordinator... ok")
elif options.command == "cache-archiver":
    file = pathlib.Path(options.file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(archive())
    cache(archive())
elif options.command == "cache-extractor":
    file = pathlib.Path(options.file)
    extract(file.read_bytes() if file.exists() else cache())
else:
    sys.exit(f"unknown command {options.command}")
'''
