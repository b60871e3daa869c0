from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fargate_driver.ssh import stage
from fargate_driver.ssh.errors import SessionRefusedError
from fargate_driver.ssh.master import _masters
from fargate_driver.ssh.mux import Session
from fargate_driver.ssh.remote import stage_command
from ssh.container_shells import KINDS, SHELLS_GO_BY, make_task
from ssh.pretended_task import Stages, Task, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=KINDS)
def shells(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stages]:
    """Opened tasks with different shells."""
    task = make_task(tmp_path, request.param)
    task.start()
    yield Stages(task, task.open())
    task.stop()


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_output_and_verdict(shells: Stages) -> None:
    for code in (0, 1, 2, 7, 254, 255):
        run = shells.run(f"echo out; echo err >&2; exit {code}")
        assert (run.stdout, run.stderr) == (b"out\n", b"err\n")
        assert (run.outcome.code, run.outcome.lost, run.outcome.cancelled) == (code, "", False)


def test_a_script_that_dies_by_signal(shells: Stages) -> None:
    for name, number in (("KILL", 9), ("TERM", 15), ("SEGV", 11)):
        run = shells.run(f"kill -{name} $$")
        assert (run.outcome.code, run.stdout, run.stderr) == (128 + number, b"", b"")


def test_a_script_that_signals_its_group_still_reports(shells: Stages) -> None:
    assert shells.run("trap 'kill 0' EXIT; exit 4").outcome.code == 128 + signal.SIGTERM
    assert shells.run("kill -INT 0; sleep 5; exit 6").outcome.code in {6, 128 + signal.SIGINT}


def test_background_processes_neither_delay_the_end_nor_die_of_it(shells: Stages) -> None:
    (shells.task.directory / "noise").touch()
    started = time.monotonic()
    run = shells.run(
        f"cd {shells.task.directory}\n"
        "sleep 300 &\n"
        "echo $! >held\n"
        "sleep 300 >/dev/null 2>&1 </dev/null &\n"
        "echo $! >free\n"
        "(while :; do echo noise; echo noise >&2; echo x >>noise; sleep 0.01; done) &\n"
        "echo $! >noisy\n"
        "echo done\n"
    )
    assert time.monotonic() - started < 60
    assert run.outcome.code == 0
    assert b"done\n" in run.stdout
    pids = [int((shells.task.directory / name).read_text()) for name in ("held", "free", "noisy")]
    # Written on for longer than a pipe holds: it is being drained, and SIGPIPE does not strike.
    before = (shells.task.directory / "noise").stat().st_size
    wait_until(lambda: (shells.task.directory / "noise").stat().st_size > before + 40)
    assert all(alive(pid) for pid in pids)


# A log on the side, lines with the time, a service's last words: all is written after the script.
@pytest.mark.parametrize(
    "script",
    [
        'mkfifo p; (while read -r l; do echo "t $l"; done) <p & exec >p 2>&1; rm p\n',
        "mkfifo p; tee log <p & exec >p 2>&1; rm p\n",
        "(sleep 0.5; echo end) & exec >/dev/null\n",
        "(sleep 0.5; echo end >&2) & exec >/dev/null\n",
    ],
)
def test_last_words_of_what_a_script_leaves_behind_arrive(shells: Stages, script: str) -> None:
    counting = "n=0; while [ $n -lt 200 ]; do n=$((n + 1)); echo line $n; done; echo end"
    run = shells.run(f"cd {shells.task.directory}\n{script}{counting}; exit 3")
    assert run.outcome.code == 3
    assert (run.stdout + run.stderr).endswith(b"end\n")
    if "p" in script.split()[:2]:
        assert run.stdout.count(b"line") == 200


def test_stages_that_leave_holders_do_not_use_up_the_sessions(shells: Stages) -> None:
    for _ in range(30):
        run = shells.run("sleep 300 & echo stage")
        assert (run.outcome.code, run.stdout) == (0, b"stage\n")


def test_nothing_is_left_in_the_container(shells: Stages) -> None:
    shells.run("true")
    state = Path(shells.found.state_directory)
    wait_until(lambda: [path.name for path in state.iterdir()] == ["environment"])
    assert state.stat().st_mode & 0o777 == 0o700


def test_the_container_environment_reaches_the_script(tmp_path: Path) -> None:
    values = {
        "QUOTES": 'it\'s "so" `so` $so \\',
        "LINES": "one\ntwo\n\nfour\n",
        "UTF8": "grün",
        "EMPTY": "",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/0",
        "HOME": str(tmp_path),
        "UID": "4711",
        "IFS": ":",
        "PWD": "/nowhere",
        "SSH_PUBLIC_KEY": "ssh-ed25519 AAAA",
        "SSH_CONNECTION": "1 2 3 4",
        "not.a.name": "x",
    }
    task = Task(tmp_path, values)
    task.start()
    try:
        stages = Stages(task, task.open())
        for shell in ("bash", "sh"):
            run = stages.run("exec env -0", shell=shell)
            assert run.outcome.code == 0
            got = dict(
                entry.partition("=")[::2] for entry in run.stdout.decode().split("\0") if entry
            )
            for name in ("QUOTES", "LINES", "UTF8", "EMPTY", "HOME"):
                assert got[name] == values[name]
            assert got["ECS_CONTAINER_METADATA_URI_V4"].startswith("http://")
            assert [name for name in got if name.startswith("SSH_")] == []
            assert got.get("PWD") != "/nowhere"
            assert "LOGNAME" in got
    finally:
        task.stop()


def test_the_environment_reaches_the_script_in_every_shell(shells: Stages) -> None:
    run = shells.run('printf "%s|%s" "$ECS_CONTAINER_METADATA_URI_V4" "${SSH_CLIENT-unset}"')
    assert run.stdout == b"http://169.254.170.2/v4/0123456789abcdef|unset"


def test_a_large_environment_is_not_applied_twice(tmp_path: Path) -> None:
    task = Task(tmp_path, {f"BIG{number}": "x" * 100_000 for number in range(4)})
    task.start()
    try:
        run = Stages(task, task.open()).run('echo "${#BIG0} ${#BIG3}"')
        assert run.stdout == b"100000 100000\n"
    finally:
        task.stop()


def test_a_script_may_empty_tmp(stages: Stages) -> None:
    state = stages.found.state_directory
    assert stages.run(f"rm -rf {state}; exit 3").outcome.code == 3
    run = stages.run('echo "$ECS_CONTAINER_METADATA_URI_V4"; umask')
    assert run.stdout == b"http://169.254.170.2/v4/0123456789abcdef\n0022\n"


@pytest.mark.parametrize("size", [0, 1, 4096, 65536, 300_000, 50_000_000])
def test_scripts_of_any_size(stages: Stages, size: int) -> None:
    head = b"exit 5\n"
    run = stages.run(head + b"#" * (size - len(head)) if size > 1 else b" " * size)
    assert run.outcome.code == (5 if size > 1 else 0)


def test_nothing_runs_before_the_whole_script_has_arrived(stages: Stages) -> None:
    touched = stages.task.directory / "touched"
    script = f"touch {touched}\n".encode()
    command = stage_command(
        wrapper_shell="/bin/sh",
        stage="01",
        size=len(script) + 1,
        shell="sh",
        init_pid=0,
        state_directory=stages.found.state_directory,
    )
    stdin, feed = os.pipe()
    reading, writing = os.pipe()
    session = Session(str(stages.task.job), command, (stdin, writing, writing))
    for descriptor in (stdin, writing):
        os.close(descriptor)
    os.write(feed, b"00\n" + script)
    os.close(feed)
    output = b""
    while data := os.read(reading, 4096):
        output += data
    while not session.ended:
        session.receive()
    session.close()
    os.close(reading)
    assert b"it was not run" in output
    assert session.status == 93
    assert not touched.exists()


def test_the_script_reads_nothing(stages: Stages) -> None:
    assert stages.run("cat; readlink /proc/self/fd/0").stdout == b"/dev/null\n"


def test_standard_streams_can_be_opened_by_name(shells: Stages) -> None:
    run = shells.run("echo a >/dev/stdout; echo b >/dev/stderr; echo c >/proc/self/fd/1")
    assert (run.stdout, run.stderr) == (b"a\nc\n", b"b\n")


def test_large_output_in_long_lines_is_unchanged(stages: Stages) -> None:
    run = stages.run(
        "i=0; l=$(printf '%0100000d' 7); while [ $i -lt 100 ]; do echo $l; i=$((i+1)); done"
    )
    assert run.stdout == (b"0" * 99_999 + b"7\n") * 100


def test_large_output_in_single_bytes_is_unchanged(stages: Stages) -> None:
    program = stages.task.directory / "bytes.py"
    program.write_text(
        "import os\nfor n in range(1_000_000): os.write(1 + n % 2, bytes([n // 2 % 256]))\n"
    )
    run = stages.run(f"/usr/bin/python3 {program}")
    expected = (bytes(range(256)) * 2000)[:500_000]
    assert run.outcome.code == 0
    assert (run.stdout, run.stderr) == (expected, expected)


def test_binary_output_is_unchanged(stages: Stages) -> None:
    data = stages.task.directory / "data"
    data.write_bytes(os.urandom(3_000_000) + bytes(3_000_000))
    run = stages.run(f"cat {data}")
    assert hashlib.sha256(run.stdout).digest() == hashlib.sha256(data.read_bytes()).digest()


def test_output_streams_while_the_script_runs(stages: Stages) -> None:
    gate = stages.task.directory / "gate"
    seen: list[bytes] = []

    def watch() -> None:
        wait_until(
            lambda: any(path.read_bytes() for path in stages.task.directory.glob("stdout-*"))
        )
        seen.extend(path.read_bytes() for path in stages.task.directory.glob("stdout-*"))
        gate.touch()

    thread = threading.Thread(target=watch)
    thread.start()
    run = stages.run(f"printf x; while ! [ -e {gate} ]; do sleep 0.01; done; printf y")
    thread.join()
    assert seen == [b"x"]
    assert run.stdout == b"xy"


def test_powershell_gets_a_ps1_file(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "pwsh").write_text('#!/bin/sh\necho "$@"\nexit 9\n')
    (programs / "pwsh").chmod(0o755)
    task = Task(tmp_path, {"PATH": f"{programs}:{os.environ['PATH']}"})
    task.start()
    try:
        stages = Stages(task, task.open())
        assert "pwsh" in stages.found.programs
        run = stages.run("exit 9", shell="pwsh", suffix=".ps1")
    finally:
        task.stop()
    assert run.outcome.code == 9
    assert run.stdout.startswith(b"-NoProfile -NonInteractive -ExecutionPolicy Bypass -File /")
    assert run.stdout.endswith(b".ps1\n")


def test_a_killed_master_is_no_verdict(stages: Stages) -> None:
    (pid,) = _masters(str(stages.task.job))
    run = stages.run(f"echo before; sleep 1; kill -9 {pid}; sleep 300")
    assert run.outcome.code is None
    assert "lost" in run.outcome.lost
    assert run.stdout == b"before\n"


def test_a_server_that_drops_the_connection_is_no_verdict(stages: Stages) -> None:
    # $PPID is the wrapper, its parent the connection's sshd.
    run = stages.run("read -r _ _ _ sshd _ </proc/$PPID/stat; kill -9 $sshd; sleep 300")
    assert run.outcome.code is None
    assert "closed from the task's side" in run.outcome.lost


@pytest.mark.timeout(60)
@pytest.mark.parametrize("holder", ["", "echo before; sleep 300 & "])
def test_a_killed_wrapper_is_no_verdict(shells: Stages, holder: str) -> None:
    run = shells.run(f"{holder}kill -9 $PPID; exit 0")
    assert (run.outcome.code, run.stdout) == (None, b"before\n" if holder else b"")
    assert "killed in the container before the script's end was reported" in run.outcome.lost


# Sets $1 and $2 to the relays of standard output and standard error.
RELAYS = (
    "relays() {\n"
    "  found=\n"
    "  for p in $(cat /proc/$PPID/task/$PPID/children); do\n"
    '    read -r name </proc/$p/comm; [ $name = tee ] && found="$found $p"\n'
    "  done\n"
    "  set -- $found; [ $# -eq 2 ]\n"
    "}\n"
    "until relays; do sleep 0.1; done\n"
    "set -- $found\n"
)


# The end mark goes to standard output first: it alone is a verdict, the other alone is not written.
@pytest.mark.parametrize(("which", "code"), [("$1", None), ("$2", 6)])
def test_a_killed_relay_ends_the_stage_at_once(
    shells: Stages, which: str, code: int | None
) -> None:
    # Something holds the output, so the stage doesn't end by its streams.
    run = shells.run(
        f"sleep 300 &\n{RELAYS}kill -9 {which}\n"
        f"while grep -q ') [^Z]' /proc/{which}/stat; do sleep 0.1; done 2>/dev/null\n"
        "exit 6"
    )
    assert run.outcome.code == code
    if code is None:
        assert "the session ended with status 97 before the script's end" in run.outcome.lost
        assert run.outcome.connected


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("which", "printed"), [("$1", b""), ("$2", b"out\n")])
def test_a_relay_that_takes_its_end_mark_and_keeps_it_holds_no_stage_up(
    stages: Stages, monkeypatch: pytest.MonkeyPatch, which: str, printed: bytes
) -> None:
    monkeypatch.setattr(stage, "_OTHER_MARK", 1.0)
    run = stages.run(f"sleep 300 &\n{RELAYS}kill -STOP {which}; echo out; exit 6")
    assert (run.outcome.code, run.stdout) == (6, printed)


def test_no_stage_begins_in_a_task_that_is_ending(shells: Stages) -> None:
    init = shells.task.init_pid
    run = shells.run(f"kill -USR1 {init}; echo going on; sleep 1; exit 5")
    assert (run.outcome.code, run.stdout) == (5, b"going on\n")
    wait_until(lambda: Path(f"/proc/{init}/comm").read_text() == "ending\n")
    run = shells.run("echo never")
    assert (run.outcome.code, run.stdout) == (None, b"")
    assert run.outcome.connected
    assert b"the task is being stopped: no other stage begins in it" in run.stderr


def test_a_refused_session_is_said_so(tmp_path: Path) -> None:
    task = Task(tmp_path)
    task.start()
    try:
        stages = Stages(task, task.open())
        with contextlib.ExitStack() as held:
            for _ in range(10):
                held.callback(_hold(task).close)
            with pytest.raises(SessionRefusedError, match="refused"):
                stages.run("true")
    finally:
        task.stop()


def _hold(task: Task) -> Session:
    """Open a session that stays; the probe's own may still be ending, and count."""
    before = len(list(_children(task, "sleep")))
    nothing = os.open(os.devnull, os.O_RDWR)
    deadline = time.monotonic() + 30
    try:
        while True:
            session = Session(str(task.job), b"sleep 300", (nothing, nothing, nothing))
            try:
                while len(list(_children(task, "sleep"))) == before:
                    assert time.monotonic() < deadline, "no session could be opened"
                    if select.select([session], [], [], 0.02)[0]:
                        session.receive()
            except SessionRefusedError:
                session.close()
            else:
                return session
    finally:
        os.close(nothing)


def test_eight_stages_at_once_report_their_own_codes(stages: Stages) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda code: stages.run(f"echo {code}; exit {code}"), range(1, 9)))
    assert [run.outcome.code for run in runs] == list(range(1, 9))
    assert [int(run.stdout) for run in runs] == list(range(1, 9))


# Prints an end mark for each hexadecimal word that any process has in its command line or
# environment, and for each name in the state directory.
FORGERY = r"""
for n in $({ cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; ls "$1"; } 2>/dev/null |
  tr -c '0-9a-f' '\n' | sort -u); do
  [ ${#n} -ne 16 ] || printf '\0fargate-end:%s:000\n' "$n" | tee /dev/stderr
done
exit 1
"""


def test_what_a_script_can_read_forges_no_verdict(shells: Stages) -> None:
    run = shells.run(FORGERY.replace("$1", shells.found.state_directory))
    assert run.stdout.count(b"fargate-end") >= 2  # the stage's own name, at least
    assert (run.outcome.code, run.outcome.lost) == (1, "")


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_container_that_exports_everything_does_not_export_the_nonce(
    tmp_path: Path, shell: str
) -> None:
    task = make_task(tmp_path, f"{shell}+{shell}")
    task.environment |= {"SHELLOPTS": "allexport", "fargate_nonce": "exported"}
    task.start()
    try:
        run = Stages(task, task.open()).run(
            "printf '\\0fargate-end:%s:000\n' \"$fargate_nonce\" | tee /dev/stderr; exit 1"
        )
    finally:
        task.stop()
    assert run.outcome.code == 1


def test_what_shells_go_by_changes_no_stage_and_reaches_the_script(tmp_path: Path) -> None:
    task = make_task(tmp_path, "bash+bash", login=SHELLS_GO_BY)
    task.environment["TMOUT"] = "1"
    task.start()
    try:
        stages = Stages(task, task.open())
        # Longer than `read` waits in bash, and than the guard gives the relays then.
        run = stages.run('echo "$TMOUT"; sleep 2.5; echo end; exit 3')
        assert (run.stdout, run.stderr) == (b"1\nend\n", b"")
        assert (run.outcome.code, run.outcome.lost) == (3, "")
        state = Path(stages.found.state_directory)
        wait_until(lambda: [path.name for path in state.iterdir()] == ["environment"])
    finally:
        task.stop()


def test_secrets_are_in_no_command_line(stages: Stages) -> None:
    run = stages.run("secret=hunter2; cat /proc/[0-9]*/cmdline | tr '\\0' ' '", shell="bash")
    assert b"fargate-stage" in run.stdout
    assert b"hunter2" not in run.stdout


def _children(task: Task, name: str) -> Iterator[int]:
    """Processes of this name in the task."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().strip() == name:
                pid = int(entry.name)
                while pid > 1 and pid != task.init_pid:
                    pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
                if pid == task.init_pid:
                    yield int(entry.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
