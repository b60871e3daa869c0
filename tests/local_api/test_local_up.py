from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import tomllib
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from click.testing import CliRunner

from fargate_driver.commands.local import local
from fargate_driver.local.unavailable import machine_architecture
from local_api.fargate_under_test import NETWORK, PATIENCE
from local_api.sleeping_runtime import COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parents[1]


def command_line(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "local_api.local_up", "up", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TESTS), **more}


class Up:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.fullmatch(r"ready: (http://127\.0\.0\.1:[0-9]+)\n", line)
        assert match, line
        self.url = match[1]

    def get(self, path: str) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path, timeout=PATIENCE) as answer:
            return json.load(answer)

    def run(self, command: str = "exec sleep 600") -> dict[str, Any]:
        """Start a task, and return it when it runs."""
        client = botocore.session.get_session().create_client(
            "ecs",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        variables = [{"name": COMMAND, "value": command}]
        overrides = {"containerOverrides": [{"name": "ci-coordinator", "environment": variables}]}
        client.run_task(
            taskDefinition="ci-coordinator", networkConfiguration=NETWORK, overrides=overrides
        )
        client.close()
        deadline = time.monotonic() + PATIENCE
        # A rule may have it stop at once.
        while (task := self.get("/_tasks")[-1])["lastStatus"] not in {"RUNNING", "STOPPING"}:
            assert time.monotonic() < deadline, task
            time.sleep(0.02)
        result: dict[str, Any] = task
        return result

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors


@contextmanager
def up(*arguments: str | Path, **variables: str) -> Iterator[Up]:
    with subprocess.Popen(
        command_line(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    ) as process:
        try:
            yield Up(process)
        finally:
            process.kill()


def refused(*arguments: str | Path) -> str:
    """Return the last line on stderr of a start that fails."""
    result = subprocess.run(
        command_line(*arguments),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr.splitlines()[-1]


def processes_of(marker: str) -> list[int]:
    """Return the processes whose environment holds a marker."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def told(directory: Path) -> str:
    """What one life says on stderr."""
    left = f"{directory} keeps its configuration; its tasks and the jobs' history are gone"
    return f"runtime: sleeping\nfargate: ended: {left}\n"


def test_a_whole_life(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "fargate"
    with up("--dir", directory) as here:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        config = tomllib.loads((directory / "fargate.toml").read_text())
        assert config["Fargate"] == {
            "Cluster": "default",
            "Region": "us-east-1",
            "Subnet": "subnet-0fa46a7e10ca1f0a0",
            "SecurityGroup": "sg-0fa46a7e10ca1f0a0",
            "TaskDefinition": "ci-coordinator:1",
            "EndpointURL": here.url,
            "BuildsDir": "/builds",
            "CacheDir": "/cache",
        }
        assert config["SSH"] == {"Username": "nobody", "Port": 2222}
        assert "Images" not in config
        records = Path(config["TaskMetadata"]["Directory"])
        assert directory in records.parents
        assert stat.S_IMODE(records.stat().st_mode) == 0o700
        marker = f"TEST_{tmp_path.name}"
        here.run(f"{marker}=1 sleep 600 & trap '' TERM; sleep 600")
        assert processes_of(marker)
        code, errors = here.end()
    assert code == 0
    assert errors == told(directory)
    assert not processes_of(marker)
    assert [path.name for path in directory.iterdir()] == ["fargate.toml"]
    assert stat.S_IMODE((directory / "fargate.toml").stat().st_mode) == 0o600


def test_a_runtime_that_runs_images(tmp_path: Path) -> None:
    with up("--dir", tmp_path, "--runtime", "user") as here:
        plain = tomllib.loads((tmp_path / "fargate.toml").read_text())
        with_images = tomllib.loads((tmp_path / "images.toml").read_text())
        assert with_images == plain | {
            "Images": {
                "Enabled": True,
                "HelperImage": "fargate-helper",
                "Architecture": machine_architecture(),
            }
        }
        here.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_end_it_too(tmp_path: Path, number: int) -> None:
    with up("--dir", tmp_path) as here:
        here.run()
        assert here.end(number) == (0, told(tmp_path))


def test_a_task_in_its_grace_and_a_hanging_call_do_not_delay_the_end(tmp_path: Path) -> None:
    faults = tmp_path / "rules.json"
    rules = [
        {"operation": "ListTasks", "hang": 600},
        {"task": {"interrupt_after": 0, "grace": 600}},
    ]
    faults.write_text(json.dumps(rules))
    with up("--dir", tmp_path / "d", "--faults", faults) as here:
        here.run("trap '' TERM; while :; do sleep 0.1; done")
        deadline = time.monotonic() + PATIENCE
        while here.get("/_tasks")[-1]["lastStatus"] != "STOPPING":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        address, port = here.url.removeprefix("http://").split(":")
        with socket.create_connection((address, int(port))) as hanging:
            hanging.sendall(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                b"X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListTasks\r\n"
                b"Authorization: AWS4 Credential=x/20260101/eu-west-1/ecs/aws4_request\r\n\r\n{}"
            )
            while here.get("/_calls")[-1]["operation"] != "ListTasks":
                time.sleep(0.02)
            assert here.end()[0] == 0


def test_a_start_after_a_kill(tmp_path: Path) -> None:
    with up("--dir", tmp_path) as first:
        marker = f"TEST_{tmp_path.name}"
        first.run(f"{marker}=1 sleep 600")
        first.process.kill()
        first.process.wait()
        for pid in processes_of(marker):  # what a real runtime sees to by itself
            os.kill(pid, signal.SIGKILL)
    assert (tmp_path / "fargate-local" / "tasks").exists()
    (tmp_path / "of the user").touch()
    with up("--dir", tmp_path) as second:
        assert second.get("/_tasks") == []
        second.run()
        assert second.end()[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fargate.toml", "of the user"]


def test_one_directory_one_fargate(tmp_path: Path) -> None:
    with up("--dir", tmp_path):
        assert "another `fargate local up` uses it" in refused("--dir", tmp_path)


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refused("--dir", tmp_path, "--port", port)
    assert re.fullmatch(rf"Error: --port {port}: .*address already in use.*: choose.*", line)
    assert list(tmp_path.iterdir()) == []


def refused_here(*arguments: str | Path) -> str:
    """As `refused`, for what is refused before anything starts: no process is needed."""
    result = CliRunner().invoke(local, ["up", *map(str, arguments)])
    assert result.exit_code == 2, result
    return str(result.output.splitlines()[-1])


def test_wrong_arguments(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("[")
    directory = tmp_path / "d"
    assert "not JSON" in refused_here("--dir", directory, "--faults", file)
    assert "No such file" in refused_here("--dir", directory, "--faults", tmp_path / "none")
    file.write_text('[{"task": {"x": 1}}]')
    line = refused("--dir", directory, "--faults", file)
    assert line == "Error: --faults: rule 1: task.x: unknown key"
    assert refused("--dir", file) == f"Error: --dir {file}: File exists: choose another one"
    for scale in ("0", "-1", "nan", "inf", "x"):
        assert "--time-scale" in refused_here("--dir", directory, "--time-scale", scale)
    assert "--port" in refused_here("--dir", directory, "--port", "70000")
    assert "--runtime" in refused_here("--dir", directory, "--runtime", "magic")
    assert not directory.exists()


def test_a_configuration_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    config = tmp_path / "fargate.toml"
    config.write_text("[Fargate]\n")
    assert "is not one that `fargate local up` wrote" in refused("--dir", tmp_path)
    assert config.read_text() == "[Fargate]\n"


def test_directories_that_cannot_be_named(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path in (loop, os.fsdecode(os.fsencode(tmp_path) + b"/\xff")):
        assert "choose another one" in refused("--dir", path)


def test_an_unwritable_directory() -> None:
    assert "--dir /proc/none: " in refused("--dir", "/proc/none")


def test_jobs_that_share_their_directories(tmp_path: Path) -> None:
    with up("--dir", tmp_path, "--runtime", "process") as here:
        config = tomllib.loads((tmp_path / "fargate.toml").read_text())
        builds, cache = (Path(config["Fargate"][key]) for key in ("BuildsDir", "CacheDir"))
        assert builds.is_dir()
        assert cache.is_dir()
        assert tmp_path in builds.parents
        (builds / "closed").mkdir(mode=0o500)
        code, errors = here.end()
    assert code == 0
    assert "not isolated" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["fargate.toml"]


def test_without_aiohttp(tmp_path: Path) -> None:
    (tmp_path / "aiohttp.py").write_text("raise ModuleNotFoundError('none', name='aiohttp')\n")
    result = subprocess.run(
        command_line("--dir", tmp_path / "d"),
        capture_output=True,
        text=True,
        env=environment(PYTHONPATH=f"{TESTS}:{tmp_path}"),
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 2
    assert "pip install 'gitlab-fargate-driver[local]'" in result.stderr
    assert len(result.stderr.splitlines()) == 1
