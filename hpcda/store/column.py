"""Growing arrays of a shard, appended one value or row at a time, in about a microsecond.

HDF5 lays the file out: it makes the arrays, lets them grow by whole chunks whose space is allocated at once,
and says where each chunk lies. Values are then written straight to their place, without H5Dwrite, which takes
20 µs a call, and without the flush that it needs, which writes whole chunks again. No chunk is ever in HDF5's
own cache, so that nothing is written over. Growing is all that changes metadata, and these are on the disk
before anything is written into the new rows: a process that is killed while it writes leaves a file that
opens.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence

import h5py
import numpy as np

from hpcda.problem import Array
from hpcda.store.checksums import CODES
from hpcda.store.space import Space

ROWS = 32
"""Rows of a chunk, but where a row is a path."""
AHEAD, MOST = 0.125, 2**18
"""Tables grow by this share of their rows, by so many bytes at most, and by one chunk at least."""


class Column:
    """An array that grows along its first dimension; little-endian, whatever the machine is.

    Args:
        group: Where the array is made.
        name: Its name.
        dtype: Its type.
        tail: Its shape without the first dimension.
        fill: What unwritten elements hold.
        grow: Rows of a chunk.
        space: Where it grows.
    """

    def __init__(
        self,
        group: h5py.Group,
        name: str,
        dtype: str,
        tail: tuple[int, ...],
        fill: float | bytes,
        grow: int,
        space: Space,
    ) -> None:
        kind = np.dtype(dtype).newbyteorder("<")
        inner = tuple(max(n, 1) for n in tail)
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        dataset = group.create_dataset(
            name,
            shape=(0, *tail),
            maxshape=(None, *inner),
            chunks=(grow, *inner),
            dtype=kind,
            fillvalue=np.asarray(fill, dtype=kind)[()],
            dcpl=plist,
        )
        self._id, self._tail, self._grow, self._space = dataset.id, tail, grow, space
        self._item = kind.itemsize
        self.width = self._item * math.prod(tail)
        self._pack = struct.Struct(f"<{CODES[dtype]}").pack
        self._chunks: list[int] = []

    @property
    def rows(self) -> int:
        """Rows there is room for."""
        return len(self._chunks) * self._grow

    def extend(self, rows: int) -> None:
        """Grow until there are so many rows at least.

        Raises:
            OSError: There is no room.
        """
        first, chunks = len(self._chunks), -(-rows // self._grow)
        if chunks <= first:
            return
        if self.width:
            self._space.reserve((chunks - first) * self._grow * self.width)
        self._id.set_extent((chunks * self._grow, *self._tail))
        for chunk in range(first, chunks):
            self._chunks.append(self._place(chunk) if self.width else 0)

    def _place(self, chunk: int) -> int:
        """Where a chunk begins in the file."""
        index = (chunk * self._grow, *(0 for _ in self._tail))
        begin: int = self._id.get_chunk_info_by_coord(index).byte_offset
        self._space.holds_numbers(begin, self._grow * self.width)
        return begin

    def write(self, row: int, value: float | bytes, element: int = 0) -> None:
        """Write one element of a row, the first by default."""
        chunk, rest = divmod(row, self._grow)
        offset = self._chunks[chunk] + rest * self.width + element * self._item
        self._space.write(self._pack(value), offset)

    def write_part(self, row: int, values: bytes | memoryview, element: int = 0) -> None:
        """Write the bytes of some elements of a row, of all of them by default."""
        if values:
            chunk, rest = divmod(row, self._grow)
            self._space.write(values, self._chunks[chunk] + rest * self.width + element * self._item)


class Table:
    """Columns that grow together, ahead of what is asked for: every growth is a change of metadata.

    What is written counts once it is committed, which is the same everywhere: first the data, then their
    checksum, then the mark that tells readers of them, each with the operating system before the next.

    Args:
        columns: The columns; those of checksums and of marks last.
        space: Where they grow.
        check: The column of the checksums.
        mark: The column of the marks; None where that of another table marks what stands here.
        ahead: Whether they grow ahead.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        space: Space,
        check: Column,
        mark: Column | None = None,
        ahead: bool = True,
    ) -> None:
        self._columns, self._space = columns, space
        self._check, self._mark = check, mark
        self._most = MOST // max(column.width for column in columns) if ahead else 0
        self._rows = 0

    def make_room(self, row: int) -> None:
        """Grow until `row` exists; that it does is on the disk then.

        Raises:
            StorageError: There is no room.
        """
        if row < self._rows:
            return
        rows = row + 1 + min(int(AHEAD * self._rows), self._most)
        with self._space.growing():
            for column in self._columns:
                column.extend(rows)
        self._rows = min(column.rows for column in self._columns)

    def commit(self, row: int, checks: Iterable[tuple[int, int]], mark: int | None = None) -> None:
        """Make the data count that were written to a row.

        A reader takes what has its checksum for complete, a run that goes on what is marked: next to nothing
        comes between the two.

        Args:
            row: The row.
            checks: Element and value of every checksum.
            mark: The mark.
        """
        for element, check in checks:
            self._check.write(row, check, element)
        if mark is not None:
            assert self._mark is not None
            self._mark.write(row, mark)


def bytes_of(values: Array) -> bytes | memoryview:
    """The bytes of some numbers, as a file holds them; not copied where that can be helped."""
    if not values.size:
        return b""
    return np.ascontiguousarray(values, dtype="<f8").view(np.uint8).data
