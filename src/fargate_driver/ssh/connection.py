"""Where the job's SSH server is, and where the files of the connection are."""

from __future__ import annotations

from fargate_driver.errors import DriverError

KEY = "key"
KNOWN_HOSTS = "known_hosts"
LOG = "ssh.log"
SOCKET = "mux"


class Connection:
    """One job's connection: plain data, made anew by every stage.

    Args:
        directory: The job's private directory (mode 0700), an absolute path of any length. It holds
            `key` and `key.pub`, `known_hosts`, `mux` (the ControlMaster's socket) and `ssh.log`.
        host: The task's IP address.
        port: TCP port of its SSH server.
        user: Whom to log in as.
        wrapper_shell: Path in the container of the POSIX shell that runs the driver's own texts;
            in image mode that of the tools, since the image's may be missing.

    Raises:
        DriverError: A value could be taken for an option of ssh, or is out of range.
    """

    __slots__ = ("directory", "host", "port", "user", "wrapper_shell")

    def __init__(
        self, directory: str, host: str, port: int, user: str, wrapper_shell: str = "/bin/sh"
    ) -> None:
        if not user or user.startswith("-") or not user.isprintable() or " " in user:
            raise DriverError(
                f"SSH user {user!r} is not usable: give a plain user name, such as root"
            )
        if not host or host.strip("0123456789abcdefABCDEF.:"):
            raise DriverError(f"SSH host {host!r} is not an IP address")
        if not 0 < port < 65536:
            raise DriverError(f"SSH port {port} is not between 1 and 65535")
        self.directory = directory
        self.host = host
        self.port = port
        self.user = user
        self.wrapper_shell = wrapper_shell

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port}"


def log_reason(directory: str) -> str:
    """What ssh said last about the job's connection: one line, "" when it said nothing.

    Args:
        directory: The job's private directory.
    """
    try:
        with open(f"{directory}/{LOG}", "rb") as log:
            lines = log.read()[-4096:].decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else ""
