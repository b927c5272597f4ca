"""/ended and /minima of a shard: what a search needs of the starts that have ended, beside the paths kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import h5py
import numpy as np

from hpcda.store.checks import path_check
from hpcda.store.column import ROWS, Column, Table, bytes_of
from hpcda.store.room import Room
from hpcda.store.schema import Array


class Sketches:
    """A few numbers of the last path of every start that has ended, in the rows of /ensemble.

    Args:
        file: The shard.
        size: How many numbers.
        room: Where it grows.
    """

    def __init__(self, file: h5py.File, size: int, room: Room) -> None:
        group = file.create_group("ended")
        self._sketch = Column(group, "sketch", "f8", (size,), np.nan, ROWS, room)
        self._check = Column(group, "check", "u4", (), 0, ROWS, room)
        self._table = Table((self._sketch, self._check), room)

    def make_room(self, row: int) -> None:
        """Grow until `row` exists."""
        self._table.make_room(row)

    def write(self, row: int, start: int, committed: int, sketch: Array) -> None:
        """Write the sketch that a start has after so many rungs, shape (size,)."""
        self._sketch.write_part(row, bytes_of(sketch))
        self._check.write(row, path_check(start, committed, sketch))


class Minima:
    """Paths of the lowest minima; places that are given up are used again.

    Args:
        file: The shard.
        size: Numbers of a path.
        room: Where it grows.
    """

    def __init__(self, file: h5py.File, size: int, room: Room) -> None:
        group = file.create_group("minima")
        self._path = Column(group, "path", "f8", (size,), np.nan, 1, room)
        self._start = Column(group, "start", "i8", (), -1, 1, room)
        self._check = Column(group, "check", "u4", (), 0, 1, room)
        self._table = Table((self._path, self._start, self._check), room, ahead=False)
        self._places: dict[int, int] = {}

    def keep(self, minima: Mapping[int, Array], spared: Collection[int]) -> None:
        """Keep the paths of these starts and no others; new ones are whole before old ones go.

        Args:
            minima: Start -> flat path, shape (size,).
            spared: Starts whose paths stay where they have been kept so far.
        """
        new = [start for start in minima if start not in self._places]
        if not new:
            return
        for start in new:
            taken = set(self._places.values())
            place = next(place for place in range(len(taken) + 1) if place not in taken)
            self._table.make_room(place)
            self._path.write_part(place, bytes_of(minima[start]))
            self._check.write(place, path_check(start, 0, minima[start]))
            self._start.write(place, start)
            self._places[start] = place
        for start in [one for one in self._places if one not in minima and one not in spared]:
            self._start.write(self._places.pop(start), -1)
