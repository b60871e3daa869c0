"""A job's directory on disk: what one stage leaves for the next.

Every job has a directory of its own (0700) below `[TaskMetadata] Directory`, named by its key. It
holds `record.json` (see records.py), `access` (how run reaches the task), a note `running-…` while
a stage runs, `services.json` until a script fails (see stages/late_services.py), and the
connection's files: the private key, the pinned host key, the ControlMaster's socket and its log.
Where the driver made the task definition, a directory `helper` in it holds the same for the
connection to the helper's container. The directory is gone when nothing of the job is left.

gitlab-runner gives every call of a job the same temporary directory. prepare leaves a link in it to
the job's directory, so that later stages find the record without reading any configuration.
"""

from __future__ import annotations

import os
import stat

from fargate_driver.errors import DriverError

RECORD = "record.json"
PREPARE = "prepare"
"""Names the process that prepares the job, for a cleanup that comes meanwhile."""
SERVICES = "services.json"
"""The services that a job began with, for the script that fails (stages/late_services.py)."""
_HELPER = "helper"
_ACCESS = "access"
_LOST = "lost"
_RUNNING = "running-"


class RecordError(DriverError):
    """A record can't be written, read or understood."""


class Access:
    """How the run stage reaches the job's task.

    It is kept apart from the record, one value a line: run reads it at every stage, and importing
    json would cost more than the rest of reading it.

    Args:
        user: who logs in.
        host: the task's address.
        port: the port of its SSH server.
        wrapper_shell: as `Connection` has it.
        shell: the interpreter of scripts.
        init_pid: the container's first process; 0 where unknown.
        state_directory: the driver's private directory in the container.
    """

    __slots__ = ("host", "init_pid", "port", "shell", "state_directory", "user", "wrapper_shell")

    def __init__(
        self,
        *,
        user: str,
        host: str,
        port: int,
        wrapper_shell: str,
        shell: str,
        init_pid: int,
        state_directory: str,
    ) -> None:
        self.user = user
        self.host = host
        self.port = port
        self.wrapper_shell = wrapper_shell
        self.shell = shell
        self.init_pid = init_pid
        self.state_directory = state_directory

    def save(self, directory: str) -> None:
        """Write it into the job's directory.

        Raises:
            RecordError: it can't be written.
        """
        lines = [f"{name}={getattr(self, name)}" for name in self.__slots__]
        path = os.path.join(directory, _ACCESS)
        if any("\n" in line for line in lines):
            raise RecordError(f"{path}: a value holds a newline: {lines}")
        write(path, "".join(f"{line}\n" for line in lines))


def load_access(directory: str) -> Access | None:
    """Read how to reach the job's task.

    Args:
        directory: the job's directory.

    Returns:
        The access, or None while prepare has not succeeded.

    Raises:
        RecordError: it is unreadable or damaged.
    """
    path = os.path.join(directory, _ACCESS)
    try:
        check_own(directory)
        with open(path, encoding="utf-8") as file:
            values = dict(line.rstrip("\n").split("=", 1) for line in file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as e:
        raise RecordError(f"{path}: can't be read: {e}") from e
    try:
        return Access(
            user=values["user"],
            host=values["host"],
            port=int(values["port"]),
            wrapper_shell=values["wrapper_shell"],
            shell=values["shell"],
            init_pid=int(values["init_pid"]),
            state_directory=values["state_directory"],
        )
    except (KeyError, ValueError) as e:
        raise RecordError(f"{path}: is damaged: {e!r}") from e


def note_lost(directory: str) -> None:
    """Note for the stages to come that the connection to the task was lost.

    A note that can't be written costs them a longer wait, and nothing else.

    Args:
        directory: of the connection; one that is gone is fine.
    """
    try:
        write(os.path.join(directory, _LOST), "")
    except RecordError:
        return


def is_lost(directory: str) -> bool:
    """Whether the connection to the task was lost, and nobody has got it back.

    Args:
        directory: of the connection.
    """
    return os.path.exists(os.path.join(directory, _LOST))


def forget_lost(directory: str) -> None:
    """Note that the connection stands again."""
    _forget(os.path.join(directory, _LOST))


class Running:
    """The note of a stage that runs in the task, for when this process is killed (ADR 0015).

    It is locked as long as this process lives. A note that can't be written or removed is no reason
    to fail.

    Args:
        directory: of the connection.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._stage = ""

    def begin(self, stage: str) -> None:
        """Make the note, in place of an earlier one.

        Args:
            stage: what names its processes.
        """
        self.over()
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        try:
            note = os.open(os.path.join(self._directory, _RUNNING + stage), flags, 0o600)
            self._stage = stage
            os.lockf(note, os.F_TLOCK, 0)  # open until the process ends, and with it the lock
        except OSError:
            return

    def over(self) -> None:
        """Nothing of the stage runs any more."""
        if self._stage:
            forget_running(self._directory, self._stage)
            self._stage = ""


def places(directory: str) -> list[str]:
    """The directories of a job's connections.

    Args:
        directory: the job's directory.
    """
    helper = helper_directory(directory)
    return [directory, helper] if os.path.isdir(helper) else [directory]


def left_running(directory: str) -> list[str]:
    """The stages that nobody hears any more, and which may still run in the task.

    Args:
        directory: of the connection; one that is gone or can't be read has none.
    """
    notes = _notes(directory)
    return [name.removeprefix(_RUNNING) for name, locked in notes.items() if not locked]


def is_running(directory: str) -> bool:
    """Whether a stage runs in the task, and its process hears it.

    Args:
        directory: of the connection; one that is gone or can't be read has none.
    """
    return any(_notes(directory).values())


def forget_running(directory: str, stage: str) -> None:
    """Note that nothing of a stage runs any more; where that can't be done, it is ended once more.

    Args:
        directory: of the connection.
        stage: as `left_running` has it.
    """
    _forget(os.path.join(directory, _RUNNING + stage))


def _forget(note: str) -> None:
    try:
        os.unlink(note)
    except OSError:
        return


def _notes(directory: str) -> dict[str, bool]:
    """The notes of stages, and whether each is locked."""
    try:
        names = [name for name in os.listdir(directory) if name.startswith(_RUNNING)]
    except OSError:
        return {}
    return {name: _is_locked(os.path.join(directory, name)) for name in names}


def _is_locked(path: str) -> bool:
    try:
        # To ask for a lock no right to write is needed, as to a file system that became read-only.
        note = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True  # it is over just now, or nobody can tell: then it isn't ended
    try:
        os.lockf(note, os.F_TEST, 0)
    except OSError:
        return True
    finally:
        os.close(note)
    return False


def write(path: str, text: str) -> None:
    """Write a private file so that a crash leaves the old one or the new one.

    Args:
        path: its name.
        text: its content.

    Raises:
        RecordError: it can't be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        with open(os.open(f"{path}.new", flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)
    except OSError as e:
        raise RecordError(
            f"{path}: the job's record can't be written: {e.strerror}; make room there, or let"
            " [TaskMetadata] Directory name a directory that the driver may write to"
        ) from e


def helper_directory(directory: str) -> str:
    """The directory of the connection to the helper's container.

    Args:
        directory: the job's directory.
    """
    return os.path.join(directory, _HELPER)


def create(directory: str) -> None:
    """Make a job's directory; what stands there already is kept.

    Args:
        directory: below `[TaskMetadata] Directory`, which is made (0700) where it is missing.

    Raises:
        RecordError: it can't be made.
    """
    parent = os.path.dirname(directory)
    try:
        os.makedirs(parent, mode=0o700, exist_ok=True)
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            check_own(directory)
            # Made by an earlier prepare under another umask or by hand: the key must be safe in it.
            os.chmod(directory, 0o700)
    except OSError as e:
        raise RecordError(
            f"[TaskMetadata] Directory {parent}: {e.strerror} ({e.filename}); name a directory that"
            f" user id {os.geteuid()} may create and write to"
        ) from e


def check_own(directory: str) -> None:
    """See that a job's directory is no link and nobody else's.

    Raises:
        RecordError: it is not safe to use.
        OSError: it can't be looked at.
    """
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise RecordError(
            f"{directory}: is not a directory of user id {os.geteuid()}, who runs the driver; look"
            " who made it, and remove it"
        )


def link(directory: str, temporary: str | None, job_id: str) -> None:
    """Leave a link to the job's directory in the runner's temporary directory.

    Args:
        directory: the job's directory.
        temporary: the runner's TMPDIR. None, or one that can't be written to, costs the later
            stages a look into the configuration, and nothing else.
        job_id: CI_JOB_ID, lest jobs whose runner gives them one TMPDIR find each other's.
    """
    path = _link(temporary, job_id)
    if not path:
        return
    try:
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(directory, path)
    except OSError:
        return


def linked(temporary: str | None, job_id: str) -> str | None:
    """Find the job's directory by the link that prepare left.

    Args:
        temporary: the runner's TMPDIR.
        job_id: CI_JOB_ID.

    Returns:
        The job's directory, or None.
    """
    path = _link(temporary, job_id)
    try:
        # In a directory that others may write to, the link could be theirs.
        if not path or os.lstat(path).st_uid != os.geteuid():
            return None
        directory = os.readlink(path)
        check_own(directory)
    except (OSError, RecordError):
        return None
    return directory


def unlink(temporary: str | None, job_id: str) -> None:
    """Remove the link; one that can't be removed goes with the runner's temporary directory.

    Args:
        temporary: the runner's TMPDIR.
        job_id: CI_JOB_ID.
    """
    path = _link(temporary, job_id)
    try:
        # In a directory that others may write to, the link could be theirs.
        if path and os.lstat(path).st_uid == os.geteuid():
            os.unlink(path)
    except OSError:
        return


def _link(temporary: str | None, job_id: str) -> str | None:
    # The author of the job can set CI_JOB_ID to anything: only a plain number takes part.
    plain = job_id.isascii() and job_id.isdigit() and len(job_id) <= 20
    return os.path.join(temporary, f"fargate-job-{job_id}") if temporary and plain else None


def all_directories(parent: str) -> list[str]:
    """The directories of jobs below `[TaskMetadata] Directory`, known by their names.

    Args:
        parent: it need not exist.

    Raises:
        RecordError: it can't be read.
    """
    try:
        with os.scandir(parent) as entries:
            found = [e for e in entries if e.is_dir(follow_symlinks=False) and _is_key(e.name)]
    except FileNotFoundError:
        return []
    except OSError as e:
        raise RecordError(f"[TaskMetadata] Directory {parent}: can't be read: {e.strerror}") from e
    return sorted(entry.path for entry in found)


def _is_key(name: str) -> bool:
    """Whether a name is one that a job's key gives (gitlab/job.py)."""
    number, _, digest = name.partition("-")
    return number.isdigit() and len(digest) == 20 and set(digest) <= set("0123456789abcdef")


def empty(directory: str, *, but: str = "") -> None:
    """Remove all that is in a job's directory: first the access, then the record, then the rest.

    So a half-emptied directory speaks of no task any more, and one with an access but no record is
    none that the driver leaves.

    Args:
        directory: the job's directory; one that is gone is fine.
        but: the name of a file to keep.

    Raises:
        RecordError: something can't be removed.
    """
    try:
        first = (_ACCESS, RECORD)
        for name in sorted(os.listdir(directory), key=lambda name: (*first, name).index(name)):
            if name == _HELPER:
                remove(helper_directory(directory))
            elif name != but:
                _unlink(os.path.join(directory, name))
    except FileNotFoundError:
        return
    except OSError as e:
        raise RecordError(f"{directory}: can't be emptied: {e.strerror} ({e.filename})") from e


def remove(directory: str) -> None:
    """Remove a job's directory with all that is in it.

    Args:
        directory: the job's directory; one that is gone is fine.

    Raises:
        RecordError: something can't be removed.
    """
    empty(directory)
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return
    except OSError as e:
        raise RecordError(f"{directory}: can't be removed: {e.strerror} ({e.filename})") from e


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return  # another process ends the same job
