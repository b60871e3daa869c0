from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from fargate_driver.local.directory import remove_tree
from fargate_driver.local.image_store.store import Store
from fargate_driver.local.runtimes import cgroups
from fargate_driver.local.runtimes.base import (
    ContainerSpec,
    Exit,
    ImageNotFoundError,
    Mount,
    RuntimeUnavailableError,
)
from fargate_driver.local.runtimes.cgroups import Cgroups, within
from fargate_driver.local.runtimes.inside import limits, supervisor
from fargate_driver.local.runtimes.starting import Surroundings
from local_images.archive_makers import archive, entry
from local_runtime.image_lab import import_busybox, import_glibc, result, shell, task
from local_runtime.runtime_lab import ISOLATED, lab, processes_with, token, until

ROOT = os.geteuid() == 0


@pytest.mark.parametrize("name", ISOLATED)
def test_an_image_is_all_that_a_container_sees(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            import_busybox(here)
            script = """
                ls -A / ; echo "$$"; hostname; cat /etc/hostname; cat /etc/hosts /etc/resolv.conf
                echo x >>/etc/hosts && echo x >/etc/resolv.conf && echo x >/bin/busybox-2
                rm -r /etc/passwd && touch /new && ls -d /proc/1 /sys/kernel /kernel/class
                for name in null zero full random urandom tty; do test -c /dev/$name || echo -; done
                head -c 3 /dev/zero | wc -c; echo >/dev/null; ls -l /dev/fd /dev/stdin >/dev/null
                echo x >/dev/shm/x && cat /dev/shm/x; test -e /dev/pts/ptmx && echo pty
                (echo 1 >/proc/sys/kernel/printk) 2>/dev/null || echo refused
                (mkdir /sys/x) 2>/dev/null || echo refused
            """
            first = task(here, shell(script))
            code, output = await result(here, first)
            lines = output.splitlines()
            assert code == 0, output
            top = ["bin", "dev", "etc", "kernel", "proc", "run", "sys"]
            assert lines[: len(top)] == top
            rest = lines[len(top) :]
            assert rest[0] == "1"
            assert rest[1] == rest[2]
            assert rest[1].startswith("ip-1")
            assert "127.0.0.1\tlocalhost" in rest
            assert any(line.endswith(f"\t{rest[1]}") for line in rest)
            assert rest[-5:] == ["3", "x", "pty", "refused", "refused"]
            code, output = await result(here, task(here, shell("ls -A /; cat /etc/passwd")))
            assert "new" not in output
            assert "app:" in output

    asyncio.run(story())


@pytest.mark.parametrize("name", ISOLATED)
def test_links_in_an_image_stay_in_it(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            outside = here.directory.parent / "outside"
            outside.mkdir()
            file = here.directory.parent / "image.tar"
            links = ("etc", "dev", "sys", "builds", "opt", "work")
            file.write_bytes(
                archive(
                    (entry("bin/busybox"), Path("/bin/busybox").read_bytes()),
                    entry("bin/sh", type=tarfile.SYMTYPE, linkname="busybox"),
                    *(
                        entry(link, type=tarfile.SYMTYPE, linkname=f"{outside}/{link}")
                        for link in links
                    ),
                    entry("up", type=tarfile.SYMTYPE, linkname=f"../../../../../..{outside}"),
                )
            )
            Store(here.directory.parent / "images").add("links", file)
            container = shell(
                "touch /builds/a/x /up/b/y /work/x && echo x >>/etc/hosts"
                " && echo /builds/* /up/b/*",
                image="links",
                working_directory="/work/dir",
                mounts=(Mount("v", "/builds/a"), Mount("v", "/up/b")),
            )
            code, output = await result(here, task(here, container, volumes=("v",)))
            assert (code, output) == (0, "/builds/a /up/b/x /up/b/y\n")
            assert list(outside.iterdir()) == []
            file.write_bytes(archive(entry("etc", type=tarfile.SYMTYPE, linkname="etc")))
            Store(here.directory.parent / "images").add("loop", file)
            with pytest.raises(RuntimeUnavailableError, match="/etc"):
                await result(here, task(here, shell("true", image="loop")))

    asyncio.run(story())


@pytest.mark.parametrize("name", ISOLATED)
def test_docker_rules_for_what_runs(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            import_busybox(
                here,
                Env=["PATH=/bin:/x", "A=image", "B=image", "C=a=b"],
                Entrypoint=["echo"],
                Cmd=["from", "cmd"],
                WorkingDir="/work/dir",
            )

            async def run(*words: str, **more: object) -> tuple[int, str]:
                environment = {"B": "definition"}
                container = ContainerSpec("c", *words, environment=environment, **more)  # type: ignore[arg-type,misc]
                return await result(here, task(here, container))

            assert await run("busybox") == (0, "from cmd\n")
            assert await run("docker.io/library/busybox:latest", command=("mine",)) == (0, "mine\n")
            assert await run("busybox", entry_point=("pwd",)) == (0, "/work/dir\n")
            assert await run("busybox", entry_point=("pwd",), working_directory="/n/e/w") == (
                0,
                "/n/e/w\n",
            )
            _, output = await run("busybox", entry_point=("env",))
            variables = dict(line.split("=", 1) for line in output.splitlines())
            assert variables.pop("HOSTNAME").startswith("ip-1")
            variables.pop("FARGATE_LISTEN_ADDRESS", None)
            assert variables == {
                "PATH": "/bin:/x",
                "A": "image",
                "B": "definition",
                "C": "a=b",
                "HOME": "/root",
            }
            with pytest.raises(ImageNotFoundError, match="fargate local image import") as caught:
                await run("busybox:2")
            assert caught.value.image == "busybox:2"
            import_glibc(here, "no-command", "true")
            for words, problem in (
                (("nope",), r'exec: "nope": executable file not found in \$PATH'),
                (("/nope",), 'exec: "/nope": stat /nope: no such file or directory'),
                (("/etc/passwd",), 'exec: "/etc/passwd": permission denied'),
                (("/etc/script",), "exec /etc/script: no such file or directory"),
            ):
                with pytest.raises(RuntimeUnavailableError, match=problem):
                    await run("busybox", entry_point=words)
            with pytest.raises(RuntimeUnavailableError, match="no command specified"):
                await run("no-command")
            with pytest.raises(RuntimeUnavailableError, match="unable to find user nobody"):
                await run("busybox", user="nobody")

    asyncio.run(story())


@pytest.mark.parametrize("name", ISOLATED)
def test_users(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            import_busybox(here, User="app")
            script = "id -u; id -g; id -G; echo $HOME; touch /tmp/x 2>/dev/null; stat -c %u /bin"
            extra = "1235 77" if ROOT else "1235"
            for user, expected in (
                (None, ["1234", "1235", extra, "/home/app"]),
                ("0", ["0", "0", "0", "/root"]),
                ("1234:77", ["1234", "77", "77", "/home/app"]),
                ("4321", ["4321", "0", "0", "/"]),
            ):
                code, output = await result(here, task(here, shell(script, user=user)))
                assert code == 0, output
                assert output.splitlines()[:4] == expected
                assert output.splitlines()[4] == ("0" if ROOT else expected[0])
            script = "grep ^Cap /proc/self/status; mknod /x b 8 0; mount -t tmpfs x /kernel"
            code, output = await result(here, task(here, shell(f"cat /proc/self/status; {script}")))
            values = dict(line.split(":\t") for line in output.splitlines() if ":\t" in line)
            assert int(values["CapEff"], 16) == 0
            assert int(values["CapBnd"], 16) == 0xA80425FB  # Docker's default
            assert code != 0

    asyncio.run(story())


@pytest.mark.parametrize("name", ISOLATED)
def test_containers_share_network_and_volumes_and_nothing_else(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            import_busybox(here)
            mount, guest = Mount("shared", "/srv/a/b"), Mount("shared", "/guest", read_only=True)
            server = shell(
                "mkdir /srv/a/b/www && echo hello >/srv/a/b/www/index.html;"
                " exec httpd -f -p ${FARGATE_LISTEN_ADDRESS:-0.0.0.0}:8080 -h /srv/a/b/www",
                "server",
                mounts=(mount,),
            )
            client = shell(
                "until wget -qO- http://${FARGATE_LISTEN_ADDRESS:-127.0.0.1}:8080/; do sleep 0.1;"
                " done 2>/dev/null; stat -c %u:%a /srv 2>/dev/null; stat -c %a /guest;"
                " cat /guest/www/index.html; (touch /guest/x) 2>/dev/null || echo refused; ps",
                "client",
                mounts=(guest,),
            )
            spec = task(here, server, client, volumes=("shared",))
            running = await here.runtime.start(spec)
            assert not list(spec.directory.glob("*.log"))
            serving = await running.start("server")
            asking = await running.start("client")
            async with asyncio.timeout(30):
                assert await asking.wait() == Exit(0)
            lines = spec.log("client").read_text().splitlines()
            assert lines[:4] == ["hello", "755", "hello", "refused"]
            assert not any("httpd" in line for line in lines)
            check = ["/bin/sh", "-c", "test -e /srv/a/b/www && id -u >/srv/a/b/id && exit 5"]
            assert await serving.run(check, 20) == 5
            assert await serving.run(["nonsense"], 20) == 126
            assert (spec.directory / "volumes/shared/id").read_text() == "0\n"
            await serving.stop(0)
            assert await serving.wait() == Exit(137)
            await running.stop(0)

    asyncio.run(story())


@pytest.mark.parametrize("name", ISOLATED)
def test_stops_as_the_image_wants(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            import_busybox(here, StopSignal="SIGUSR1")
            mark = token()
            script = f"trap 'echo asked; exit 9' USR1; trap : TERM; sleep {mark} & wait"
            spec = task(here, shell(script), shell(f"sleep {mark}; true", "deaf"))
            running = await here.runtime.start(spec)
            polite, deaf = await running.start("c"), await running.start("deaf")
            await until(lambda: len(processes_with(f"sleep\0{mark}")) == 2)
            await polite.stop(20)
            assert await polite.wait() == Exit(9)
            assert spec.log("c").read_text() == "asked\n"
            await deaf.stop(0.3)  # PID 1 of a namespace: what it has no handler for is ignored
            assert await deaf.wait() == Exit(137)
            assert processes_with(mark) == []
            await running.stop(0)

    asyncio.run(story())


@pytest.mark.parametrize("name", ISOLATED)
def test_read_only_root(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            import_busybox(here)
            script = (
                "touch /x 2>/dev/null || echo refused; echo x >>/etc/hosts; touch /v/x /dev/shm/x"
            )
            container = shell(script, read_only=True, mounts=(Mount("v", "/v"),))
            code, output = await result(here, task(here, container, volumes=("v",)))
            assert (code, output) == (0, "refused\n")

    asyncio.run(story())


@pytest.mark.parametrize("name", ISOLATED)
def test_glibc(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            import_glibc(here, "registry.example.com/a/bash:5", "bash", "ls")
            script = "ls / && echo ${BASH_VERSION:0:1} && exit 3"
            container = ContainerSpec(
                *("c", "registry.example.com/a/bash:5", {"LD_LIBRARY_PATH": "/nowhere"}),
                entry_point=("bash", "-c", script),
            )
            code, output = await result(here, task(here, container))
            assert code == 3, output
            assert output.split()[-1] in "56"

    asyncio.run(story())


@pytest.mark.root
@pytest.mark.skipif(not ROOT, reason="needs root")
def test_memory_limit_of_a_container() -> None:
    async def story() -> None:
        async with lab("namespace") as here:
            import_busybox(here)
            eat = "exec head -c 300000000 /dev/zero | { x=$(cat | tr '\\0' x); echo ${#x}; }"
            spec = task(here, shell(f"sh -c {eat!r}; kill -9 $$", memory=32), memory=1024)
            running = await here.runtime.start(spec)
            limited = list(Path("/sys/fs/cgroup").rglob(f"fargate-local/*-{spec.task_id}"))
            container = await running.start("c")
            async with asyncio.timeout(60):
                ended = await container.wait()
            await running.stop(0)
            output = spec.log("c").read_text()
            if limited:
                assert "300000000" not in output
            assert not list(Path("/sys/fs/cgroup").rglob(f"fargate-local/*-{spec.task_id}"))
            assert ended.code in {0, 137}

    asyncio.run(story())


@pytest.mark.parametrize("name", ISOLATED)
def test_nothing_outlives_the_embedded_fargate(name: str) -> None:
    program = f"""
import asyncio, sys
sys.path[:0] = {sys.path!r}
from local_runtime.image_lab import import_busybox, shell, task
from local_runtime.runtime_lab import lab

async def main():
    async with lab({name!r}) as here:
        import_busybox(here)
        script = "sleep " + sys.argv[1]
        spec = task(here, shell(script, "a"), shell(script + "; true", "b"), volumes=("v",))
        running = await here.runtime.start(spec)
        for container in "ab":
            await running.start(container)
        print(here.directory, flush=True)
        await asyncio.sleep(100)

asyncio.run(main())
"""

    async def story() -> None:
        mark = token()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, mark), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout
        directory = Path((await process.stdout.readline()).decode().strip())
        await until(lambda: len(processes_with(f"sleep\0{mark}")) == 2)
        process.kill()
        await process.communicate()
        await until(lambda: not processes_with(mark))
        await until(lambda: not list(directory.glob("*/*.storage")))
        mounted = Path("/sys/fs/cgroup")
        await until(lambda: not list(mounted.rglob(f"fargate-local/{process.pid}-*")))
        await until(lambda: not processes_with(str(directory)))
        remove_tree(directory.parent)

    asyncio.run(story())


@pytest.mark.root
def test_a_cgroup_goes_with_its_last_process() -> None:
    made = within(Cgroups().make(token(), 256, 64), "c", None)
    with subprocess.Popen(["sleep", "0.5"]) as visitor:
        for cgroup in made:
            (cgroup / "cgroup.procs").write_text(str(visitor.pid))
        limits.remove([str(cgroup) for cgroup in made], with_those_above=True)
    assert not any(cgroup.parent.exists() for cgroup in made)


def test_the_order_to_end_waits_for_a_program_that_has_just_begun() -> None:
    program = f"""
import os, signal, subprocess, sys
sys.path[:0] = {sys.path!r}
from fargate_driver.local.runtimes.inside import stop_signal

stop_signal._PATIENCE = 60
begin = "read go; trap 'exit 7' TERM; while :; do sleep 0.1; done"
child = subprocess.Popen(["sh", "-c", begin], stdin=subprocess.PIPE)
stop_signal.StopSignal(child.pid, signal.SIGTERM, isolated=True).begun()
os.kill(os.getpid(), signal.SIGTERM)
child.stdin.write(b"go\\n")
child.stdin.flush()
sys.exit(child.wait())
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=100, check=False)
    assert done.returncode == 7


def test_what_can_not_be_cleaned_up_keeps_neither_the_rest_nor_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with lab("user") as here:
            import_busybox(here)
            # A directory that isn't empty stands for a cgroup with a process in it.
            place = Surroundings("127.0.0.1", cgroups=[tmp_path])
            monkeypatch.setattr(here.runtime, "_surround", AsyncMock(return_value=place))
            spec = task(here, shell("exit 3"))
            code, output = await result(here, spec)
            assert code == 3
            assert output == f"{tmp_path}/c: Directory not empty\n"
            assert not list(spec.directory.glob("*.storage"))

    asyncio.run(story())


def test_a_parent_that_another_takes_along_is_made_and_enabled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain directory stands for cgroups of version 2, which few machines of tests have."""
    (tmp_path / "cgroup.controllers").touch()
    monkeypatch.setattr(cgroups, "_ROOT", tmp_path)
    make, taken = Path.mkdir, list[Path]()

    def mkdir(path: Path, *arguments: object, **more: object) -> None:
        if path.name.endswith("-task") and not taken:
            taken.append(path)
            remove_tree(path.parent)
        make(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", mkdir)
    (made,) = Cgroups().make("task", 256, 64)
    assert taken == [made]
    for cgroup in (made, made.parent):
        assert (cgroup / "cgroup.subtree_control").read_text() == "+cpu +memory"


def test_who_has_closed_all_files_is_dying(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        for parent, gone in ((process.pid, True), (os.getpid(), False)):
            monkeypatch.setattr(os, "getppid", lambda parent=parent: parent)
            assert supervisor._is_gone(parent) is gone


@pytest.mark.parametrize("name", ISOLATED)
def test_a_supervisor_that_is_killed_takes_the_container_with_it(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            import_busybox(here)
            mark = token()
            spec = task(here, shell(f"sleep {mark}; true", user="1234"))
            running = await here.runtime.start(spec)
            container = await running.start("c")
            await until(lambda: processes_with(f"sleep\0{mark}"))
            os.kill(container.supervisor.pid, signal.SIGKILL)  # type: ignore[attr-defined]
            await until(lambda: not processes_with(mark))
            await running.stop(0)
            remove_tree(spec.directory)

    asyncio.run(story())
