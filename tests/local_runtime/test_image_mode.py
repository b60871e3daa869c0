"""Tasks as image mode has them, with the real tools."""

from __future__ import annotations

import asyncio
import math
import os
import time
from typing import TYPE_CHECKING

import pytest

from fargate_driver.local.runtimes.base import RuntimeUnavailableError, SshFaults
from local_runtime.image_lab import begin, import_busybox, job, listening, ssh
from local_runtime.runtime_lab import ISOLATED, lab, processes_with, token, until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ISOLATED)
def test_job_and_helper_share_builds(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            import_busybox(here, "example.com/job:1", User="app", Env=["PATH=/bin", "X=a b"])
            spec = job(here, "example.com/job:1")
            running = await begin(here, spec)
            script = (
                'echo "$PATH $X $(id -u)"; echo made >/builds/file; ls -A / | tr "\\n" " "; exit 3'
            )
            code, output, errors = await ssh(here, running.address, 2222, script)
            assert code == 3, errors
            lines = output.splitlines()
            assert lines[0] == "/bin a b 1234"
            assert "opt" in lines[1]
            assert "usr" not in lines[1]
            script = (
                "cat /builds/file; echo $PATH; id -u; ls /usr/bin/env; touch /builds/2 /cache/2"
            )
            code, output, errors = await ssh(here, running.address, 2223, script)
            assert code == 0, errors
            assert output.splitlines() == ["made", os.environ["PATH"], "0", "/usr/bin/env"]
            code, output, _ = await ssh(
                here, running.address, 2222, "ls /builds; touch /opt/fargate/x"
            )
            assert (code, output) == (1, "2\nfile\n")
            await running.stop(0)

    asyncio.run(story())


@pytest.mark.parametrize("name", ISOLATED)
def test_late_and_deaf_servers(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            import_busybox(here)
            start = time.monotonic()
            running = await begin(here, job(here, "busybox", ssh=SshFaults(delay=3)))
            await asyncio.gather(*(listening(running.address, port) for port in (2222, 2223)))
            assert time.monotonic() - start >= 3
            await running.stop(0)

            running = await begin(here, job(here, "busybox", ssh=SshFaults(refuses_key=math.inf)))
            for port in (2222, 2223):
                code, _, errors = await ssh(here, running.address, port, "true")
                assert (code, "Permission denied" in errors) == (255, True)
            await running.stop(0)
            with pytest.raises(RuntimeUnavailableError, match="use sshd_refuses_key true"):
                await begin(here, job(here, "busybox", ssh=SshFaults(refuses_key=3)))

    asyncio.run(story())


@pytest.mark.parametrize("name", ISOLATED)
def test_another_host_key(name: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with lab(name) as here:
            import_busybox(here)
            running = await begin(here, job(here, "busybox", ssh=SshFaults(other_host_key=True)))
            for port in (2222, 2223):
                options = (
                    *("-o", "StrictHostKeyChecking=accept-new"),
                    *("-o", f"UserKnownHostsFile={tmp_path}/{port}"),
                )
                assert await ssh(here, running.address, port, "echo x", *options) == (0, "x\n", "")
                code, _, errors = await ssh(here, running.address, port, "echo x", *options)
                assert (code, "Host key verification failed" in errors) == (255, True)
                assert (await ssh(here, running.address, port, "echo x"))[:2] == (0, "x\n")
            await running.stop(0)

    asyncio.run(story())


@pytest.mark.parametrize("name", ISOLATED)
def test_blackhole_and_out_of_memory(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            import_busybox(here)
            spec = job(here, "busybox")
            running = await begin(here, spec)
            mark = token()
            script = f"sh -c 'sleep {mark}'; echo $?"
            client = asyncio.create_task(ssh(here, running.address, 2222, script))
            await until(lambda: processes_with(f"sleep\0{mark}"))
            await running.kill_largest_script_process()
            assert (await client)[:2] == (0, "137\n")
            client = asyncio.create_task(ssh(here, running.address, 2222, f"sleep {mark}; true"))
            await until(lambda: processes_with(f"sleep\0{mark}"))
            await running.blackhole()
            for port in (2222, 2223):
                reader, writer = await asyncio.open_connection(running.address, port)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.5)
                writer.close()
            assert not client.done()
            await running.stop(0)
            assert (await client)[0] == 255
            assert processes_with(f"sleep\0{mark}") == []

    asyncio.run(story())
