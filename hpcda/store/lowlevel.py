"""Writing one value into a growing HDF5 array in microseconds.

h5py's `dataset[i, j] = value` costs about 50 µs; with the data spaces made once a call of H5Dwrite costs
about 3 µs. Arrays grow by whole chunks whose space is allocated at once, so that a rung changes data only, no
metadata: a process that is killed while it writes leaves a file that opens.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hpcda.errors import StorageError
from hpcda.store.failure import writing

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

    def flush(self) -> None:
        """Hand all that was written to the operating system; see now and then whether the file is there.

        Raises:
            StorageError: It cannot be written, or has been removed or replaced.
        """
        with self.writing():
            h5py.h5f.flush(self._id, h5py.h5f.SCOPE_LOCAL)
            if time.monotonic() - self._looked > LOOK_SECONDS:
                self._looked = time.monotonic()
                if not os.path.samestat(os.fstat(self._handle), self._path.stat()):
                    raise FileNotFoundError(errno.ENOENT, "another file has its name")


class Column:
    """An array that grows along its first dimension, written one element or one row at a time.

    Args:
        group: Where the array is made.
        name: Its name.
        dtype: Its type.
        tail: Its shape without the first dimension.
        fill: What unwritten elements hold.
        grow: Rows by which it grows.
        depth: Number of indices that a write names: 1 for a row, 2 for an element of a matrix.
        room: Where it grows.
    """

    def __init__(
        self,
        group: h5py.Group,
        name: str,
        dtype: str,
        tail: tuple[int, ...],
        fill: float,
        grow: int,
        depth: int,
        room: Room,
    ) -> None:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        self.dataset = group.create_dataset(
            name,
            shape=(0, *tail),
            maxshape=(None, *(max(n, 1) for n in tail)),
            chunks=(grow, *(max(n, 1) for n in tail)),
            dtype=dtype,
            fillvalue=np.asarray(fill, dtype=dtype)[()],
            dcpl=plist,
        )
        self.grow, self._room = grow, room
        self._chunk = grow * int(np.prod([max(n, 1) for n in tail])) * np.dtype(dtype).itemsize
        self.dtype = np.dtype(dtype)
        self._depth = depth
        self._rest = tail[depth - 1 :]
        self._id = self.dataset.id
        self._count = (*(1 for _ in range(depth)), *self._rest)
        self._memory = h5py.h5s.create_simple(self._rest or (1,))
        self._space = self._id.get_space()
        self._empty = 0 in self._rest

    @property
    def rows(self) -> int:
        """Rows there is room for."""
        return int(self._id.shape[0])

    def make_room(self, row: int) -> None:
        """Grow until `row` exists."""
        if row >= self.rows:
            rows = (row // self.grow + 1) * self.grow
            with self._room.writing():
                self._room.take((rows - self.rows) // self.grow * self._chunk)
                self._id.set_extent((rows, *self._id.shape[1:]))
            self._space = self._id.get_space()

    def write(self, index: tuple[int, ...], value: Any) -> None:
        """Write the element or the row that `index` (of the length of `depth`) names."""
        if self._empty:
            return
        array = np.ascontiguousarray(value, dtype=self.dtype).reshape(self._rest or (1,))
        self._space.select_hyperslab((*index, *(0 for _ in self._rest)), self._count)
        try:
            self._id.write(self._memory, self._space, array)
        except (OSError, RuntimeError):
            with self._room.writing():
                raise
