"""A stand-in for GitLab: a repository over HTTP, and job artifacts."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

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


class _Handler(BaseHTTPRequestHandler):
    """Fetches through `git http-backend`; artifacts are kept in memory."""

    protocol_version = "HTTP/1.1"
    gitlab: GitLab
    folder: Path

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/api/v4/jobs/request":
            jobs = self.gitlab.jobs
            self._answer(HTTPStatus.CREATED if jobs else HTTPStatus.NO_CONTENT, *jobs[:1])
            del jobs[:1]
        elif self._job() is None:
            self._git(body)
        elif self._may():
            self.gitlab.artifacts[self._job() or ""] = body
            self._answer(HTTPStatus.CREATED)

    def do_GET(self) -> None:
        job = self._job()
        if self.path.startswith("/cache/"):
            found = self.path in self.gitlab.caches
            status = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
            self._answer(status, self.gitlab.caches.get(self.path, b""))
        elif job is None:
            self._git(b"")
        elif self._may():
            found = job in self.gitlab.artifacts
            status = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
            self._answer(status, self.gitlab.artifacts.get(job, b""))

    def do_PATCH(self) -> None:
        self.gitlab.traces.append(self._body())
        self._answer(HTTPStatus.ACCEPTED)

    def do_PUT(self) -> None:
        if self.path.startswith("/cache/"):
            self.gitlab.caches[self.path] = self._body()
            self._answer(HTTPStatus.OK)
            return
        self.gitlab.updates.append(json.loads(self._body()))
        self._answer(HTTPStatus.OK)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _job(self) -> str | None:
        """The job of a path /api/v4/jobs/ID/artifacts."""
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:3] == ["api", "v4", "jobs"] and parts[4:] == ["artifacts"]:
            return parts[3]
        return None

    def _may(self) -> bool:
        if self.headers.get("JOB-TOKEN") == job_token(self._job()):
            return True
        self._answer(HTTPStatus.FORBIDDEN)
        return False

    def _git(self, body: bytes) -> None:
        if not self.headers.get("Authorization", "").startswith("Basic "):
            self._answer(HTTPStatus.UNAUTHORIZED, WWW_Authenticate='Basic realm="GitLab"')
            return
        path, _, query = self.path.partition("?")
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            stdout=subprocess.PIPE,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            },
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = HTTPStatus(int(headers.pop("Status", "200").split()[0]))
        self._answer(status, answer, **headers)

    def _answer(self, status: HTTPStatus, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def job_token(job: object) -> str:
    """The token of a job, as in the recorded calls."""
    return f"glcbt-fake-{job}"


@contextmanager
def gitlab(folder: Path) -> Iterator[GitLab]:
    """Run a stand-in on the loopback interface, with a new repository in a folder."""
    sha = _make_repository(folder)

    class Handler(_Handler):
        pass

    Handler.folder = folder / "www"
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = GitLab(f"http://127.0.0.1:{server.server_port}", sha)
        Handler.gitlab = running
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()


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
