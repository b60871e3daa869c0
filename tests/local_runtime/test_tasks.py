from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest

from fargate_driver.local.runtimes import processes
from fargate_driver.local.runtimes.base import (
    ContainerSpec,
    Exit,
    ImageNotFoundError,
)
from local_runtime.runtime_lab import (
    EVERY,
    ISOLATED,
    end,
    lab,
    processes_with,
    task_of,
    token,
    until,
)

ENVIRONMENT = {
    "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/x",
    "LINES": "one\ntwo 'three' \"four\"",
    "my.dot": "=",
}
# What the driver does: the topmost readable environment that names the metadata endpoint.
FIND_ENVIRONMENT = """
pid=$$ found=
while [ "$pid" -gt 0 ]; do
  grep -qz ^ECS_CONTAINER_METADATA_URI_V4= /proc/$pid/environ 2>/dev/null && found=$pid
  pid=$(sed 's/.*) . \\([0-9]*\\) .*/\\1/' /proc/$pid/stat)
done
cat /proc/$found/environ
"""


@pytest.mark.parametrize("name", EVERY)
def test_runs_commands_and_keeps_the_containers_environment(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            task = await here.start(ENVIRONMENT)
            assert await here.run(task, "echo out; echo err >&2; exit 7") == (
                7,
                "out\n",
                _warning(task.address, here.runtime.ssh_port) + "err\n",
            )
            code, output, _ = await here.run(task, FIND_ENVIRONMENT)
            assert code == 0
            found = dict(entry.split("=", 1) for entry in output.split("\0") if entry)
            assert found.pop("HOME")
            assert found.pop("PATH") == os.environ["PATH"]
            assert found == {**ENVIRONMENT, "SSH_PUBLIC_KEY": here.public_key}
            if name != "process" or os.geteuid() == 0:
                # Whether another user's sshd can hand out terminals is up to the host's /dev/pts.
                code, output, _ = await here.run(task, "tty", options=_pty())
                assert (code, output.strip()[:9]) == (0, "/dev/pts/")
            await task.stop(10)
            assert await task.wait() == Exit(143)
            await task.stop(0)  # again, after the end

    asyncio.run(story())


def _warning(address: str, port: int) -> str:
    shown = f"[{address}]:{port}" if port != 22 else address
    return f"Warning: Permanently added '{shown}' (ED25519) to the list of known hosts.\r\n"


def _pty() -> tuple[str, ...]:
    return (
        *("-tt", "-o", "StrictHostKeyChecking=no"),
        *("-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
    )


@pytest.mark.parametrize("name", EVERY)
def test_everything_ends_with_the_task(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            task = await here.start()
            mark = token()
            script = (
                f"sleep {mark} & setsid sleep {mark} & "
                f"(setsid sh -c 'trap : TERM; sleep {mark}' &); "
                f"nohup setsid -f sleep {mark} >/dev/null 2>&1; trap '' TERM; sleep {mark}"
            )
            client = await here.client(task, script)
            await until(lambda: len(processes_with(f"sleep\0{mark}")) == 5)
            await task.stop(10)
            assert set(processes_with(mark)) <= {client.pid}
            # In a PID namespace the connection is gone with the server.
            async with asyncio.timeout(30):
                await client.communicate()
            assert client.returncode == 255
            assert await task.wait() == Exit(143)

    asyncio.run(story())


@pytest.mark.parametrize("name", ["process", "user"])
def test_kills_what_does_not_end_in_time_and_ends_with_the_server(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            task = await here.start()
            code, _, _ = await here.run(task, "true")
            assert code == 0
            await task.blackhole()
            await task.stop(0)
            assert (await task.wait()).code in {137, 143}
            task = await here.start()
            # As a container whose entrypoint ends by itself, to the surprise of the job.
            client = await here.client(task, "while ps -o ppid= $PPID; do sleep 1; done")
            server = next(iter(processes.servers(task.container.supervisor.pid)))  # type: ignore[attr-defined]
            os.kill(server, signal.SIGTERM)
            assert await task.wait() == Exit(0)
            await end(client)

    asyncio.run(story())


def test_unknown_image(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab("process") as here:
            container = ContainerSpec("c", "alpine:3", {})
            with pytest.raises(ImageNotFoundError, match="alpine:3"):
                await here.runtime.start(task_of(container, tmp_path))

    asyncio.run(story())


@pytest.mark.parametrize("name", ISOLATED)
def test_own_files_over_the_hosts(name: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with lab(name) as here:
            one, other = [await here.start(), await here.start()]
            marker = f"runtime-{token()}"
            script = f"""
                set -e
                cd /builds; mkdir -p a/b; touch {marker} a/b/c; chmod 0 a/b a
                touch /cache/{marker} /tmp/{marker} /dev/shm/{marker} ~/{marker} /{marker}
                test ! -e {shlex.quote(str(tmp_path))}
                test -z "$(ls {shlex.quote(str(here.directory))} 2>/dev/null)"
                mkdir /tmp/x; sh -c 'echo "$$"'
                if [ "$(id -u)" = 0 ]; then echo changed >/etc/hostname; rm /usr/bin/env; fi
            """
            code, _, errors = await here.run(one, script)
            assert code == 0, errors
            code, output, errors = await here.run(
                other, "ls -A /builds /cache /tmp /dev/shm; ls -Ad /* ~/* | cat; /usr/bin/env true"
            )
            assert code == 0, errors
            assert marker not in output
            assert not list(Path.home().glob(marker))
            assert not Path("/", marker).exists()
            assert Path("/usr/bin/env").exists()

    asyncio.run(story())


@pytest.mark.parametrize("name", ["process", *ISOLATED])
def test_sees_the_callers_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "some tools" / "bin"
    tools.mkdir(parents=True)
    tool = tools / "a-tool"
    tool.write_text(f"#!{sys.executable}\nprint('used')\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}:/no/such:relative")

    async def story() -> None:
        async with lab(name) as here:
            task = await here.start()
            code, output, errors = await here.run(task, shlex.quote(str(tool)))
            assert (code, output) == (0, "used\n"), errors
            if name != "process":
                code, _, _ = await here.run(task, f"touch {shlex.quote(str(tools))}/x")
                assert code == 1

    asyncio.run(story())


@pytest.mark.parametrize("name", ["process", "user"])
def test_reaches_the_hosts_loopback(name: str) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        writer.close()
        await writer.wait_closed()

    async def story() -> None:
        async with lab(name) as here, await asyncio.start_server(greet, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            task = await here.start()
            _, output, _ = await here.run(task, f"bash -c 'cat </dev/tcp/127.0.0.1/{port}'")
            assert output == "hello\n"

    asyncio.run(story())


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_own_network_and_limits() -> None:
    async def story() -> None:
        async with lab("namespace") as here:
            task = await here.start(memory=64)
            (name,) = (path.name[:12] for path in here.directory.iterdir())
            assert list(Path("/sys/class/net").glob(f"fl{name}"))
            _, output, _ = await here.run(task, "ls /sys/class/net; cat /proc/net/dev")
            assert "eth0:" in output
            assert "eth1:" not in output
            eat = f"{sys.executable} -c 'b = bytearray(1 << 28); print(len(b))'; exit $?"
            code, output, errors = await here.run(task, eat)
            limited = any(Path("/sys/fs/cgroup").rglob("fargate-local/*"))
            assert (code, output) == ((137, "") if limited else (0, f"{1 << 28}\n")), errors
            await task.stop(10)
            assert await task.wait() == Exit(143)
            assert not list(Path("/sys/fs/cgroup").rglob(f"fargate-local/{os.getpid()}-*"))
            assert not list(Path("/sys/class/net").glob(f"fl{name}"))

    asyncio.run(story())


@pytest.mark.parametrize("name", EVERY)
def test_nothing_outlives_the_embedded_fargate(name: str) -> None:
    program = f"""
import asyncio, sys
sys.path[:0] = {sys.path!r}
from local_runtime.runtime_lab import lab

async def main():
    async with lab({name!r}) as here:
        task = await here.start()
        client = await here.client(task, sys.argv[1])
        print(here.directory, flush=True)
        await client.wait()

asyncio.run(main())
"""

    async def story() -> None:
        mark = token()
        script = f"setsid sleep {mark} >/dev/null 2>&1 & sleep {mark}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, script), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout
        directory = (await process.stdout.readline()).decode().strip()
        await until(lambda: len(processes_with(f"sleep\0{mark}")) == 2)
        process.kill()
        await process.communicate()
        await until(lambda: not processes_with(mark))
        await until(lambda: not list(Path(directory).glob("*/*.storage")))
        await until(lambda: not processes_with(directory))
        shutil.rmtree(Path(directory).parent)

    asyncio.run(story())


@pytest.mark.parametrize("name", EVERY)
def test_a_command_within_the_container(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            task = await here.start({"ANSWER": "42"})
            run = task.container.run
            assert await run(["sh", "-c", 'test "$ANSWER" = 42 && exit 3'], 20) == 3
            if name != "process":
                assert await run(["sh", "-c", "test $PPID = 0 && touch /builds/here"], 20) == 0
                assert (await here.run(task, "ls /builds"))[1] == "here\n"
            mark = token()
            assert await run(["sh", "-c", f"sleep {mark} & sleep {mark}"], 0.5) == 137
            await until(lambda: not processes_with(f"sleep\0{mark}"))
            await task.stop(10)
            assert await run(["true"], 20) == 137

    asyncio.run(story())
