"""Groups /ended and /minima of a shard: what a search needs of finished starts; written, read, checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcda.problem import Array
from hpcda.store.checksums import DamageError, parts_of, path_check
from hpcda.store.column import ROWS, Column, Table, bytes_of
from hpcda.store.ensemble import rows_in
from hpcda.store.space import Space

ENDED, MINIMA = "ended", "minima"


class Sketches:
    """A few numbers of the last path of every start that has ended, in the rows of /ensemble.

    Args:
        file: The shard.
        size: How many numbers.
        space: Where it grows.
    """

    def __init__(self, file: h5py.File, size: int, space: Space) -> None:
        group = file.create_group(ENDED)
        self._sketch = Column(group, "sketch", "f8", (size,), np.nan, ROWS, space)
        check = Column(group, "check", "u4", (), 0, ROWS, space)
        self._table = Table((self._sketch, check), space, check)

    def make_room(self, row: int) -> None:
        """Grow until `row` exists."""
        self._table.make_room(row)

    def write(self, row: int, start: int, committed: int, sketch: Array) -> None:
        """Write the sketch that a start has after so many rungs, shape (size,)."""
        self._sketch.write_part(row, bytes_of(sketch))
        self._table.commit(row, [(0, path_check(start, committed, sketch))])

    @staticmethod
    def check(file: h5py.File, table: dict[str, npt.NDArray[Any]]) -> None:
        """Compute all checksums again, of a shard whose rows have these columns of `PER_START`.

        Raises:
            DamageError: One is wrong, or something is missing.
        """
        if ENDED not in file:
            return
        ended = file[ENDED]
        finished = np.flatnonzero(table["finished"] == 1)
        if len(finished) and finished[-1] >= min(len(array) for array in ended.values()):
            raise DamageError("sketches are missing at its end")
        check = ended["check"][:]
        for part in parts_of(len(table["start"]), 8 * ended["sketch"].shape[1]):
            sketches = ended["sketch"][part]
            for row in finished[(finished >= part.start) & (finished < part.stop)]:
                sketch, start = sketches[row - part.start], int(table["start"][row])
                if check[row] == 0 and np.isnan(sketch).all():
                    continue
                if path_check(start, int(table["committed"][row]), sketch) != check[row]:
                    raise DamageError(f"the sketch of start {start} does not match its checksum")

    @staticmethod
    def rows(file: h5py.File, first: int, end: int) -> Array | None:
        """Sketches of some rows of a shard; None where none are kept.

        There may be fewer of them than of other arrays after a kill, but for starts that have ended.
        """
        return np.asarray(file[ENDED]["sketch"][first:end]) if ENDED in file else None


class Minima:
    """Paths of the lowest minima; places that are given up are used again.

    Args:
        file: The shard.
        size: Numbers of a path.
        space: Where it grows.
    """

    def __init__(self, file: h5py.File, size: int, space: Space) -> None:
        group = file.create_group(MINIMA)
        self._path = Column(group, "path", "f8", (size,), np.nan, 1, space)
        self._start = Column(group, "start", "i8", (), -1, 1, space)
        check = Column(group, "check", "u4", (), 0, 1, space)
        self._table = Table((self._path, check, self._start), space, check, self._start, ahead=False)
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
            self._table.commit(place, [(0, path_check(start, 0, minima[start]))], start)
            self._places[start] = place
        for start in [one for one in self._places if one not in minima and one not in spared]:
            self._start.write(self._places.pop(start), -1)

    @staticmethod
    def check(file: h5py.File) -> None:
        """Compute all checksums of a shard again.

        Raises:
            DamageError: One is wrong.
        """
        if MINIMA not in file:
            return
        minima = file[MINIMA]
        for place in range(rows_in(minima)):
            start = int(minima["start"][place])
            if start != -1 and path_check(start, 0, minima["path"][place]) != minima["check"][place]:
                raise DamageError(f"the minimum of start {start} does not match its checksum")

    @staticmethod
    def starts(file: h5py.File) -> set[int]:
        """Starts of a shard whose minima are kept."""
        return {int(one) for one in file[MINIMA]["start"][:]} if MINIMA in file else set()

    @staticmethod
    def of(file: h5py.File, start: int) -> Array | None:
        """The minimum of a start, flat, shape (size,); None where it is not kept."""
        if MINIMA not in file:
            return None
        same = np.flatnonzero(file[MINIMA]["start"][:] == start)
        return np.asarray(file[MINIMA]["path"][int(same[-1])]) if len(same) else None
