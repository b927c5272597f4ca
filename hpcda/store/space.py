"""Disk space reserved before HDF5 writes, and a rollback journal for growing arrays.

When an array grows, HDF5 changes what it keeps about the file (its end, trees of chunks, sizes) in many
writes, and a file between two of them may not open. Before it begins, all of that is copied to a rollback
journal beside the shard, `rank-0000.undo`, which goes when it is done and before anything is written to the
new rows. Where it is still there the process was killed meanwhile, and what it holds is put back: the shard
is as it was before it grew.
"""

from __future__ import annotations

import errno
import os
import re
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py

from hpcda.errors import ROOM, StorageError

Span = tuple[int, int]
"""Where a stretch of a file begins, and where it ends, in bytes."""
_SPAN = struct.Struct("<QQ")
_SEAL = struct.Struct("<I")
LOOK_SECONDS = 5.0
MARGIN = 16384
"""Bytes of metadata that come with the growth of an array, at most."""
_ERRNO = re.compile(r"errno = (\d+)")


@contextmanager
def writing(path: Path, remedy: str = "") -> Iterator[None]:
    """Raise what goes wrong with a file as a StorageError.

    Args:
        path: The file.
        remedy: What to do then; by default to mend the cause and to resume.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        found = _ERRNO.search(str(error))
        code = int(found[1]) if found else getattr(error, "errno", None)
        if isinstance(error, ValueError) and not found:
            raise  # a mistake of the caller, not of the disk
        text = os.strerror(code) if code else " ".join(str(error).split())[:200]
        run = next((one.parent for one in path.parents if one.name == "shards"), path.parent)
        again = f"`hpcda resume {run}`. All committed rungs are intact."
        first = ROOM.get(code or 0, "make it writable")
        raise StorageError(
            os.fspath(path), f"it cannot be written: {text}", remedy or f"{first}, then {again}"
        ) from error


class Space:
    """The place of an open file on the disk.

    Space is reserved before HDF5 writes: a full disk is found while the file is whole. A process that is
    killed may leave some of it, unused, at the end of the file.

    Args:
        file: An open file.
        path: The name under which it stands, or will.

    Attributes:
        lost: Whether it could not be written.
    """

    def __init__(self, file: h5py.File, path: Path) -> None:
        self._path, self._id = path, file.id
        self._handle = file.id.get_vfd_handle()
        self._looked = time.monotonic()
        self._numbers: list[Span] = []
        self.lost = False

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Raise what goes wrong as a StorageError."""
        try:
            with writing(self._path):
                yield
        except StorageError:
            self.lost = True
            raise

    def reserve(self, size: int) -> None:
        """Make sure that the file can grow by `size` bytes.

        Raises:
            OSError: It cannot.
        """
        try:
            os.posix_fallocate(self._handle, self._id.get_filesize(), size + MARGIN)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Hand bytes to the operating system; they are its own when this returns.

        Args:
            data: The bytes.
            offset: Their place in the file, within what HDF5 has allocated.

        Raises:
            StorageError: They cannot be written.
        """
        try:
            done = os.pwrite(self._handle, data, offset)
            while done < len(data):
                done += os.pwrite(self._handle, data[done:], offset + done)
        except OSError:
            with self.writing():
                raise

    def holds_numbers(self, begin: int, size: int) -> None:
        """Say that a stretch of the file holds numbers: HDF5 never changes it by itself."""
        self._numbers.append((begin, begin + size))

    @contextmanager
    def growing(self) -> Iterator[None]:
        """Let arrays grow: all of it is on the disk afterwards, or, where the process is killed, nothing.

        Raises:
            StorageError: There is no room.
        """
        with self.writing():
            self._numbers = joined(self._numbers)
            save_journal(self._path, self._handle, self._id.get_filesize(), self._numbers)
            yield
            self.flush()
            drop_journal(self._path)

    def flush(self) -> None:
        """Hand what HDF5 holds to the operating system.

        Raises:
            StorageError: It cannot be written.
        """
        with self.writing():
            h5py.h5f.flush(self._id, h5py.h5f.SCOPE_LOCAL)

    def look(self) -> None:
        """See now and then whether the file is there.

        Raises:
            StorageError: It has been removed or replaced.
        """
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            with self.writing():
                if not os.path.samestat(os.fstat(self._handle), self._path.stat()):
                    raise FileNotFoundError(errno.ENOENT, "another file has its name")

    def trim(self) -> None:
        """Give back the room that was not used."""
        os.ftruncate(self._handle, self._id.get_filesize())

    def abandon(self) -> None:
        """Leave the file as it is on the disk: what HDF5 still writes, in order to close it, goes nowhere.

        It is then what a process that is killed leaves behind. Letting HDF5 try, and fail, would end the
        process in its memory management.
        """
        nowhere = os.memfd_create("hpcda")
        os.dup2(nowhere, self._handle, inheritable=False)
        os.close(nowhere)

    def leave(self) -> None:
        """Forget the file, which is about to be closed: whoever writes from now on gets an error."""
        self._handle = -1


def journal_of(shard: Path) -> Path:
    """The file beside a shard that exists while it grows."""
    return shard.with_suffix(".undo")


def joined(data: Iterable[Span]) -> list[Span]:
    """The same stretches, rising, those that touch as one."""
    found: list[Span] = []
    for begin, stop in sorted(data):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((begin, stop))
    return found


def save_journal(shard: Path, handle: int, end: int, data: Iterable[Span]) -> None:
    """Copy all of a shard that growing may change.

    Args:
        shard: The file.
        handle: Its open descriptor.
        end: Where it ends.
        data: Stretches that hold numbers, which growing leaves alone; rising and apart, as `joined` makes
            them.

    Raises:
        OSError: It cannot be written.
    """
    pieces = []
    for begin, stop in _between(data, end):
        pieces += [_SPAN.pack(begin, stop), os.pread(handle, stop - begin, begin)]
    content = b"".join(pieces)
    target = journal_of(shard)
    draft = target.with_name(f".{target.name}")
    try:
        draft.write_bytes(content + _SEAL.pack(zlib.crc32(content)))
        draft.rename(target)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def drop_journal(shard: Path) -> None:
    """Say that a shard has grown.

    Raises:
        OSError: It cannot be said.
    """
    journal_of(shard).unlink()


def roll_back(shard: Path) -> None:
    """Bring a shard whose process was killed while it grew back to what it was before; else do nothing.

    Raises:
        OSError: The shard or its directory cannot be written.
    """
    saved = journal_of(shard)
    try:
        content = saved.read_bytes()
    except FileNotFoundError:
        return
    body = memoryview(content)[: -_SEAL.size]
    if content[-_SEAL.size :] == _SEAL.pack(zlib.crc32(body)) and shard.exists():
        with shard.open("r+b") as file:
            for begin, piece in _pieces(body):
                file.seek(begin)
                file.write(piece)
    with suppress(FileNotFoundError):
        saved.unlink()


def _pieces(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(content):
        begin, stop = _SPAN.unpack_from(content, at)
        at += _SPAN.size
        yield begin, content[at : at + stop - begin]
        at += stop - begin


def _between(data: Iterable[Span], end: int) -> Iterator[Span]:
    """What lies between rising stretches, up to the end."""
    at = 0
    for begin, stop in data:
        if begin > at:
            yield at, begin
        at = stop
    if end > at:
        yield at, end
