"""The place of a shard on the disk: room is taken before HDF5 needs it, data go straight to their place."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from hpcda.errors import StorageError
from hpcda.store.failure import writing
from hpcda.store.undo import Span, forget, joined, save

LOOK_SECONDS = 5.0
MARGIN = 16384
"""Bytes of metadata that come with the growth of an array, at most."""


class Room:
    """The place of a file on the disk.

    Room is taken before HDF5 writes: a full disk is found while the file is whole. A process that is killed
    may leave some of it, unused, at the end of the file.

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

    def take(self, size: int) -> None:
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
            save(self._path, self._handle, self._id.get_filesize(), self._numbers)
            yield
            self.flush()
            forget(self._path)

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
