"""Writing one value into a growing HDF5 array in microseconds.

h5py's `dataset[i, j] = value` costs about 50 µs; with the data spaces made once a call of H5Dwrite costs
about 3 µs. Arrays grow by whole chunks whose space is allocated at once, so that a rung changes data only, no
metadata: a process that is killed while it writes leaves a file that opens.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np


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
        self.grow = grow
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
            self._id.set_extent((rows, *self._id.shape[1:]))
            self._space = self._id.get_space()

    def write(self, index: tuple[int, ...], value: Any) -> None:
        """Write the element or the row that `index` (of the length of `depth`) names."""
        if self._empty:
            return
        array = np.ascontiguousarray(value, dtype=self.dtype).reshape(self._rest or (1,))
        self._space.select_hyperslab((*index, *(0 for _ in self._rest)), self._count)
        self._id.write(self._memory, self._space, array)
