"""A task for tests: a real sshd on a loopback port, under a first process of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fargate_driver.ssh.connection import Connection
from fargate_driver.ssh.keys import make_key
from fargate_driver.ssh.master import close_master, open_master
from fargate_driver.ssh.probe import Probe, probe
from fargate_driver.ssh.session import Outcome, run_script
from free_port import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

METADATA = "http://169.254.170.2/v4/0123456789abcdef"
USER = pwd.getpwuid(os.getuid()).pw_name
SSHD = "/usr/sbin/sshd"


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.02)


# What a test kills in there by mistake is not this machine's.
_NAMESPACE = [
    shutil.which("unshare") or "unshare",
    *([] if os.getuid() == 0 else ["--user", "--map-current-user"]),
    *("--pid", "--fork", "--kill-child", "--mount-proc"),
]


class Task:
    """A started task; `directory` holds sshd's files and `directory/job` those of the job.

    Args:
        directory: An empty one.
        environment: The container's, beside what a task has.
        force_command: sshd's ForceCommand.
        contained: Whether it has a PID namespace, as every test needs that has the driver kill.
        sshd_first: Whether sshd is the first process, of a PID namespace as well.
        host_key_type: As ssh-keygen calls it.
    """

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        *,
        force_command: str = "",
        contained: bool = False,
        sshd_first: bool = False,
        host_key_type: str = "ed25519",
    ) -> None:
        self.directory = directory
        self.job = directory / "job"
        self.job.mkdir(mode=0o700)
        self.port = free_port()
        self.environment = {
            "PATH": os.environ["PATH"],
            "ECS_CONTAINER_METADATA_URI_V4": METADATA,
            **(environment or {}),
        }
        self._force_command = force_command
        self._contained = contained or sshd_first
        self._sshd_first = sshd_first
        self._state_directory = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._init_pid = 0
        self.connection = Connection(str(self.job), "127.0.0.1", self.port, USER)
        self.public_key = make_key(str(self.job), "test")
        self.authorize()
        self.make_host_key(host_key_type)

    def authorize(self) -> None:
        (self.directory / "authorized_keys").write_text(self.public_key + "\n")

    def make_host_key(self, kind: str) -> None:
        for name in ("host_key", "host_key.pub"):
            (self.directory / name).unlink(missing_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", self.directory / "host_key"],
            check=True,
        )

    def start(self) -> None:
        config = self.directory / "sshd_config"
        lines = [
            "ListenAddress 127.0.0.1",
            f"Port {self.port}",
            f"HostKey {self.directory}/host_key",
            f"AuthorizedKeysFile {self.directory}/authorized_keys",
            f"PidFile {self.directory}/sshd.pid",
            "UsePAM no",
            "StrictModes no",
            "LogLevel DEBUG1",
            # bash then leaves out the .bashrc of whoever runs the tests.
            "SetEnv SHLVL=9",
        ]
        if self._force_command:
            lines.append(f"ForceCommand {self._force_command}")
        config.write_text("\n".join(lines) + "\n")
        log = self.directory / "sshd.log"
        init = [sys.executable, "-I", str(Path(__file__).with_name("task_init.py"))]
        if self._sshd_first:
            init = []
        if self._contained:
            init = [*_NAMESPACE, *init]
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self._init_pid = 0
        self._process = subprocess.Popen(
            [*init, SSHD, "-D", "-f", str(config), "-E", str(log)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
        )

    @property
    def init_pid(self) -> int:
        """The first process, as this machine numbers it."""
        assert self._process is not None
        if not self._init_pid:
            pid = self._process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children")
            self._init_pid = int(children.read_text()) if self._contained else pid
        return self._init_pid

    def alive(self, pid: int) -> bool:
        """Whether a process lives, by its number in the task."""
        place = Path(f"/proc/{self.init_pid}/root/proc" if self._contained else "/proc")
        try:
            return ") Z " not in (place / str(pid) / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False

    def stop(self) -> None:
        close_master(str(self.job))
        if self._process is not None:
            # The namespace ends with `unshare`, which SIGTERM does not end.
            self._process.send_signal(signal.SIGKILL if self._contained else signal.SIGTERM)
            self._process.wait(30)
            self._process = None
        if self._state_directory:
            shutil.rmtree(self._state_directory, ignore_errors=True)

    def open(self, seconds: float = 30.0) -> Probe:
        open_master(self.connection, time.monotonic() + seconds, lambda _reason: None)
        found = probe(self.connection, time.monotonic() + seconds)
        self._state_directory = found.state_directory
        return found


class Run:
    """One stage's run, with its output kept in files."""

    def __init__(self, outcome: Outcome, stdout: bytes, stderr: bytes) -> None:
        self.outcome = outcome
        self.stdout = stdout
        self.stderr = stderr


class Stages:
    """Runs scripts in an opened task, each as a stage."""

    def __init__(self, task: Task, found: Probe) -> None:
        self.task = task
        self.found = found

    def run(
        self,
        script: bytes | str,
        *,
        shell: str = "",
        init_pid: int | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        wakeup_fd: int = -1,
        suffix: str = "",
        state_directory: str = "",
        reconnect: Callable[[str], bool] = lambda _why: False,
    ) -> Run:
        data = script.encode() if isinstance(script, str) else script
        unique = os.urandom(4).hex()
        path = self.task.directory / f"script-{unique}{suffix}"
        path.write_bytes(data)
        outputs = [self.task.directory / f"{name}-{unique}" for name in ("stdout", "stderr")]
        reading, writing = os.pipe()
        try:
            with outputs[0].open("wb") as stdout, outputs[1].open("wb") as stderr:
                outcome = run_script(
                    self.task.connection,
                    str(path),
                    shell=shell or self.found.shell,
                    init_pid=self.found.init_pid if init_pid is None else init_pid,
                    state_directory=state_directory or self.found.state_directory,
                    cancelled=cancelled,
                    wakeup_fd=reading if wakeup_fd < 0 else wakeup_fd,
                    reconnect=reconnect,
                    stdout=stdout.fileno(),
                    stderr=stderr.fileno(),
                )
        finally:
            os.close(reading)
            os.close(writing)
        return Run(outcome, outputs[0].read_bytes(), outputs[1].read_bytes())
