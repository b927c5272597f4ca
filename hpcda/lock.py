"""The lock of a run directory: one process at a time; the lock is released when its owner ends.

Two things together say who owns a run. A lock of the file system (flock) on the file `lock` ends with the
process that holds it, in whatever way it ends, and is proof wherever it reaches: between processes of one
host, and between hosts where the file system passes it on (NFS from Linux 2.6.12, GPFS, Lustre mounted with
-o flock). Some file systems keep flock to one host or refuse it, so the file also names its owner (host,
process, Slurm job), and the owner touches it every `BEAT` seconds: an owner on another host counts as dead
once its Slurm job is gone, or, where Slurm cannot be asked, once it has been silent for `SILENT` seconds.
Ages are differences of times that the file server gave, so that the clocks of the hosts need not agree.

Parts of a run hold `lock.K-N` each, side by side, and share `lock`; who runs the whole holds `lock` alone.
The last part to end removes the shared file: only it can lock the file alone, and whoever has opened it
before looks afterwards whether it is still there.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from hpcda.errors import InputError, Mistake, no_room
from hpcda.process import alive, born

FILE = "lock"
BEAT, SILENT = 15.0, 120.0
"""Seconds between two heartbeats; after how many without one an owner on another host counts as dead."""
GRACE = 0.5
"""Seconds of trying again: whoever asks for the state of a run holds its lock for an instant."""
GONE = frozenset(
    "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED TIMEOUT REVOKED".split()
)
_UNKNOWN = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}


@dataclass(frozen=True)
class Holder:
    """Who holds a run, as the lock file names it.

    Attributes:
        host: Where its rank 0 runs.
        pid: Its process number.
        born: When that process began, in clock ticks since its host started; 0 where that is not known.
        since: When the lock was taken, in seconds since 1970-01-01 UTC.
        job: Number of its Slurm job, or "".
        requeues: How many times Slurm had requeued that job.
        part: The part of the run that is held, "K/N", or "" for the whole.
        token: Tells two holders apart.
    """

    host: str
    pid: int
    born: int
    since: float
    job: str = ""
    requeues: int = 0
    part: str = ""
    token: str = ""

    def __str__(self) -> str:
        since = f"{datetime.fromtimestamp(self.since).astimezone():%Y-%m-%d %H:%M:%S %Z}"
        job = f", Slurm job {self.job}" if self.job else ""
        part = f", part {self.part}" if self.part else ""
        return f"process {self.pid} on {self.host}{job}{part}, since {since}"


def holder(directory: str | os.PathLike[str], part: str = "") -> Holder | None:
    """Who holds a run, None where nobody does.

    Args:
        directory: Directory of the run.
        part: Which part, "K/N"; by default whoever holds the whole, or any of its parts.
    """
    found = _holders(Path(directory))
    wanted = [one for one in found if not part or one.part in ("", part)]
    return wanted[0] if wanted else None


def left_by(directory: str | os.PathLike[str], part: str = "") -> Holder | None:
    """The last holder, where it ended without giving the lock back; None where it did, or still holds it."""
    path = Path(directory) / _name(part)
    known = _read(path)
    return known if known is not None and not _held(path, known) else None


def refuse_held(directory: str | os.PathLike[str], part: str = "") -> None:
    """Refuse a run that somebody else holds, without taking it.

    Args:
        directory: Directory of the run, which need not exist.
        part: The part "K/N" that is wanted, "" for the whole.

    Raises:
        InputError: Somebody holds it.
    """
    other = _first(Path(directory), part)
    if other is not None:
        raise InputError(_refusal(Path(directory), other))


class RunLock:
    """The right to write into the directory of a run; for one rank of a world, best in a `with`.

    Args:
        directory: Directory of the run, which exists.
        part: The part "K/N" of the run that is to be written, "" for the whole.
        wait: Seconds to wait for whoever holds it.

    Raises:
        InputError: On entering: somebody else holds it, or the lock file cannot be written.
        StorageError: On entering: there is no room for the lock file.
    """

    def __init__(self, directory: str | os.PathLike[str], part: str = "", wait: float = 0.0) -> None:
        if part and not re.fullmatch(r"[1-9]\d*/[1-9]\d*", part):
            raise ValueError(f"{part!r} is not a part K/N")
        self._directory, self._part, self._wait = Path(directory), part, wait
        self._files: list[tuple[int, Path]] = []
        self._ended = threading.Event()
        self._token = secrets.token_hex(8)

    def __enter__(self) -> Self:
        until = time.monotonic() + max(self._wait, GRACE)
        while True:
            try:
                other = self._take()
            except OSError as error:
                self._remove_empty()
                self._let_go()
                raise no_room(self._directory, error) or InputError(
                    Mistake(
                        os.fspath(self._directory),
                        f"cannot lock it: {error.strerror or error}",
                        "make the directory writable, or give --output DIR",
                    )
                ) from None
            if other is None:
                break
            self._let_go()
            if time.monotonic() >= until:
                raise InputError(_refusal(self._directory, other))
            time.sleep(min(0.1, max(self._wait, GRACE)))
        threading.Thread(target=self._beat, name="hpcda-lock", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._remove_empty()
        mine = self._directory / _name(self._part)
        known = _read(mine)
        if known is not None and known.token == self._token:
            with suppress(OSError):
                mine.unlink()
        self._let_go()

    def _take(self) -> Holder | None:
        """Take the lock; or the one who holds it."""
        shared = [(FILE, fcntl.LOCK_SH)] if self._part else []
        for name, how in [*shared, (_name(self._part), fcntl.LOCK_EX)]:
            if not self._lock(self._directory / name, how):
                return _first(self._directory, self._part) or _unnamed()
        for other in _holders(self._directory, ours=_name(self._part)):
            if _excludes(other.part, self._part) and other.token != self._token:
                return other
        me = Holder(
            host=socket.gethostname(),
            pid=os.getpid(),
            born=born(os.getpid()),
            since=time.time(),
            job=os.environ.get("SLURM_JOB_ID", ""),
            requeues=_requeues(),
            part=self._part,
            token=self._token,
        )
        mine, _ = self._files[-1]
        os.ftruncate(mine, 0)
        os.pwrite(mine, (json.dumps(asdict(me)) + "\n").encode(), 0)
        os.fsync(mine)
        return None

    def _lock(self, path: Path, how: int) -> bool:
        """Lock a file, which is made where it is not there; whether that was possible."""
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._files.append((file, path))
            try:
                fcntl.flock(file, how | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                    return False
                if error.errno not in _UNKNOWN:
                    raise
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), path.stat()):
                    return True
            os.close(self._files.pop()[0])  # its last holder has removed it in between

    def _remove_empty(self) -> None:
        """Remove the files held that name nobody and that nobody else holds: what parts share, or no room."""
        for file, path in self._files:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                known = os.fstat(file)
                if os.path.samestat(known, path.stat()) and not known.st_size:
                    path.unlink()

    def _let_go(self) -> None:
        while self._files:
            os.close(self._files.pop()[0])

    def _beat(self) -> None:
        mine = self._directory / _name(self._part)
        while not self._ended.wait(BEAT):
            known = _read(mine)
            if known is not None and known.token == self._token:
                with suppress(OSError):
                    os.utime(mine)


def _name(part: str) -> str:
    return f"{FILE}.{part.replace('/', '-')}" if part else FILE


def _requeues() -> int:
    count = os.environ.get("SLURM_RESTART_COUNT", "")
    return int(count) if count.isdecimal() else 0


def _excludes(one: str, other: str) -> bool:
    """Whether two holders of these parts may not work side by side."""
    return not one or not other or one == other or one.partition("/")[2] != other.partition("/")[2]


def _refusal(directory: Path, other: Holder) -> Mistake:
    return Mistake(
        os.fspath(directory),
        f"another process is writing it: {other}",
        "wait for it to end, stop it, or give --output DIR; the lock of a killed process is released "
        "at once on "
        f"the same host, {SILENT:g} s later on another",
    )


def _unnamed() -> Holder:
    return Holder("an unknown host", 0, 0, time.time())


def _first(directory: Path, part: str) -> Holder | None:
    return next((one for one in _holders(directory) if _excludes(one.part, part)), None)


def _holders(directory: Path, ours: str = "") -> list[Holder]:
    """All who hold the run or a part of it; the file `ours` is locked by this process."""
    found = []
    for path in sorted(directory.glob(f"{FILE}*")):
        if re.fullmatch(rf"{FILE}(\.\d+-\d+)?", path.name) and (known := _read(path)) is not None:
            if _held(path, known, path.name == ours):
                found.append(known)
    return found


def _read(path: Path) -> Holder | None:
    """Whom a lock file names; None where it names nobody."""
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _held(path: Path, known: Holder, ours: bool = False) -> bool:
    """Whether the holder that a lock file names still lives; `ours`: the file is locked by this process."""
    locked = False if ours else _locked(path)
    if locked:
        return True
    if known.host == socket.gethostname():
        return locked is None and alive(known.pid, known.born)
    if known.job and known.job == os.environ.get("SLURM_JOB_ID") and known.requeues != _requeues():
        return False
    if known.job and (there := _in_slurm(known.job)) is not None:
        return there
    return _age(path) < SILENT


def _locked(path: Path) -> bool | None:
    """Whether somebody has locked a file; None where the file system cannot tell."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return True if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    finally:
        os.close(file)
    return False


def _in_slurm(job: str) -> bool | None:
    """Whether Slurm still has a job; None where it cannot be asked."""
    try:
        asked = subprocess.run(
            ["squeue", "--noheader", "--format=%T", "--jobs", job],
            capture_output=True,
            text=True,
            timeout=10.0,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if asked.returncode:
        return False if "Invalid job id" in asked.stderr else None
    return any(state not in GONE for state in asked.stdout.split())


def _age(path: Path) -> float:
    """Seconds since the last heartbeat, by the clock of the file server where it can be asked."""
    try:
        last = path.stat().st_mtime
        probe = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            probe.touch()
            return probe.stat().st_mtime - last
        except OSError:
            return time.time() - last
        finally:
            probe.unlink(missing_ok=True)
    except OSError:
        return 0.0
