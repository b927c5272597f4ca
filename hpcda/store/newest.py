"""/current of a shard: the newest path of every start at work, kept twice.

Rung n is written to copy n mod 2, so that the copy which the mark points at is never the one being written.
"""

from __future__ import annotations

import h5py
import numpy as np

from hpcda.store.checks import path_check
from hpcda.store.column import Column, Table, bytes_of
from hpcda.store.room import Room
from hpcda.store.schema import Array


class NewestPaths:
    """The newest paths of the starts at work, each in a place of its own that is used again.

    Args:
        file: The shard.
        size: Numbers of a path.
        room: Where it grows.

    Attributes:
        places: How many there are.
        free: Those that no start has.
    """

    def __init__(self, file: h5py.File, size: int, room: Room) -> None:
        group = file.create_group("current")
        self.places = 0
        self.free: list[int] = []
        self._size = size
        self._path = Column(group, "path", "f8", (2, size), np.nan, 1, room)
        self._check = Column(group, "check", "u4", (2,), 0, 1, room)
        self._row = Column(group, "row", "i8", (), -1, 1, room)
        self._table = Table((self._path, self._check, self._row), room, ahead=False)

    def take(self) -> int:
        """A place for a start."""
        if self.free:
            return self.free.pop()
        self._table.make_room(self.places)
        self.places += 1
        return self.places - 1

    def belongs(self, place: int, row: int) -> None:
        """Say which row of /ensemble a place belongs to."""
        self._row.write(place, row)

    def give_back(self, place: int) -> None:
        """Free the place of a start that has ended."""
        self._row.write(place, -1)
        self.free.append(place)

    def write(self, place: int, start: int, committed: int, path: Array) -> None:
        """Write the path that a start has after so many rungs, flat, shape (size,)."""
        copy = committed % 2
        self._path.write_part(place, bytes_of(path), copy * self._size)
        self._check.write(place, path_check(start, committed, path), copy)
