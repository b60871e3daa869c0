from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargate_driver.local.runtimes.base import SshFaults
from fargate_driver.local.runtimes.inside.front import KeyExchange
from local_runtime.runtime_lab import EVERY, lab, processes_with, token, until

if TYPE_CHECKING:
    from pathlib import Path

    from local_runtime.runtime_lab import Lab


async def _scan(here: Lab, address: str) -> str:
    """Return the host key that is shown, by a key exchange that isn't completed."""
    process = await asyncio.create_subprocess_exec(
        *("ssh-keyscan", "-t", "ed25519", "-p", str(here.runtime.ssh_port), address),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    return output.decode().split()[-1]


@pytest.mark.parametrize("name", EVERY)
def test_another_host_key_after_the_first_completed_exchange(name: str, tmp_path: Path) -> None:
    known = (
        "-v",
        "-o",
        "StrictHostKeyChecking=accept-new",
        "-o",
        f"UserKnownHostsFile={tmp_path}/k",
    )

    async def story() -> None:
        async with lab(name) as here:
            task = await here.start(ssh=SshFaults(other_host_key=True))
            client = await here.client(task, "sleep 1; echo done; exit 3", options=known)
            assert client.stderr
            assert client.stdout
            while b"SSH2_MSG_NEWKEYS received" not in await client.stderr.readline():
                pass
            # From here on the client may connect again at any time.
            second = await _scan(here, task.address)
            await client.stderr.read()
            assert await client.stdout.read() == b"done\n"
            assert await client.wait() == 3
            assert second not in (tmp_path / "k").read_text()
            assert await _scan(here, task.address) == second
            code, _, errors = await here.run(task, "echo sent", options=known)
            assert code == 255
            assert "Host key verification failed" in errors
            data = "x" * (1 << 20)
            loose = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
            script = f"head -c {len(data)} /dev/zero | tr '\\0' x"
            code, output, _ = await here.run(task, script, options=loose)
            assert (code, output == data) == (0, True)

    asyncio.run(story())


def test_probes_do_not_count_as_exchanges() -> None:
    async def story() -> None:
        async with lab("process") as here:
            other = await here.start(ssh=SshFaults(other_host_key=True))

            async def first() -> str:
                async with asyncio.timeout(30):
                    while True:
                        try:
                            return await _scan(here, other.address)
                        except IndexError:  # nothing listens yet
                            await asyncio.sleep(0.05)

            key = await first()
            for _ in range(3):
                reader, writer = await asyncio.open_connection(other.address, here.runtime.ssh_port)
                assert (await reader.readline()).startswith(b"SSH-2.0-OpenSSH")
                writer.close()
                await writer.wait_closed()
            assert await _scan(here, other.address) == key

    asyncio.run(story())


@given(st.lists(st.integers(0, 255).filter(lambda kind: kind != 21), max_size=5), st.data())
def test_sees_new_keys_in_any_pieces(kinds: list[int], data: st.DataObject) -> None:
    stream = b"SSH-2.0-client\r\n"
    for kind in [*kinds, 21]:
        body = data.draw(st.binary(max_size=40))
        packet = bytes([4, kind]) + body + bytes(4)
        stream += len(packet).to_bytes(4, "big") + packet
    before = len(stream)
    stream += data.draw(st.binary(max_size=64))  # encrypted from there on
    exchange = KeyExchange()
    completed_at = None
    position = 0
    while position < len(stream):
        size = data.draw(st.integers(1, 30))
        if exchange.feed(stream[position : position + size]):
            assert completed_at is None
            completed_at = position + size
        position += size
    assert completed_at is not None
    assert completed_at >= before


@pytest.mark.parametrize("name", ["process", "user"])
def test_refuses_keys_for_a_while(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            for_a_while = await here.start(ssh=SshFaults(refuses_key=3))
            for_ever = await here.start(ssh=SshFaults(refuses_key=math.inf))
            code, _, errors = await here.run(for_a_while, "true")
            assert (code, "Permission denied" in errors) == (255, True)
            async with asyncio.timeout(30):
                while (await here.run(for_a_while, "true"))[0] != 0:
                    pass
            assert (await here.run(for_ever, "true"))[0] == 255

    asyncio.run(story())


def test_listens_late() -> None:
    async def story() -> None:
        async with lab("process") as here:
            task = await here.start(ssh=SshFaults(delay=1.5))
            await asyncio.sleep(0.5)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(task.address, here.runtime.ssh_port)
            assert (await here.run(task, "true"))[0] == 0

    asyncio.run(story())


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("front", [False, True])
def test_blackhole(name: str, *, front: bool) -> None:
    async def story() -> None:
        async with lab(name) as here:
            task = await here.start(ssh=SshFaults(other_host_key=front))
            mark = token()
            client = await here.client(task, f"echo begun; sleep 1 && exec sleep {mark}")
            assert client.stdout
            assert await client.stdout.readline() == b"begun\n"
            await task.blackhole()
            reader, writer = await asyncio.open_connection(task.address, here.runtime.ssh_port)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.5)
            # The script goes on.
            await until(lambda: processes_with(f"sleep\0{mark}"))
            await task.blackhole()
            assert client.returncode is None
            await task.stop(10)
            assert not processes_with(f"sleep\0{mark}")
            writer.close()
            await client.communicate()

    asyncio.run(story())


@pytest.mark.parametrize("name", EVERY)
def test_kills_the_scripts_largest_process(name: str) -> None:
    async def story() -> None:
        async with lab(name) as here:
            task = await here.start()
            await task.kill_largest_script_process()  # none: no error
            mark = token()
            # As a driver does: a shell that waits for the script, a relay for its output.
            script = f"""
                mkfifo ~/fifo-{mark}; cat ~/fifo-{mark} &
                bash -ec 'echo begun; sleep {mark}; echo never' >~/fifo-{mark}
                code=$?; rm ~/fifo-{mark}; exit $code
            """
            client = await here.client(task, script)
            assert client.stdout
            assert await client.stdout.readline() == b"begun\n"
            await until(lambda: processes_with(f"sleep\0{mark}"))
            await task.kill_largest_script_process()
            assert await client.stdout.read() == b""
            assert await client.wait() == 137
            assert (await here.run(task, "echo lives"))[1] == "lives\n"

    asyncio.run(story())
