"""Group /current of a shard: the newest path of each start in progress, in two copies.

After n rungs a path is written to copy n mod 2, so that the copy which the mark of /ensemble points at is
never the one being written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcda.problem import Array
from hpcda.store.checksums import DamageError, path_check
from hpcda.store.column import Column, Table, bytes_of
from hpcda.store.space import Space

GROUP = "current"
COPIES = 2


def committed_at_once(rungs: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """Rungs of one start cut in two, to be committed one after the other.

    An even number of them would overwrite the copy of the path that the mark points at.
    """
    first = len(rungs) - 1 + len(rungs) % COPIES
    return rungs[:first], rungs[first:]


class CurrentPaths:
    """The newest paths of the starts at work, each in a place of its own that is used again.

    Args:
        file: The shard.
        size: Numbers of a path.
        space: Where it grows.

    Attributes:
        places: How many there are.
        free: Those that no start has.
    """

    def __init__(self, file: h5py.File, size: int, space: Space) -> None:
        group = file.create_group(GROUP)
        self.places = 0
        self.free: list[int] = []
        self._size = size
        self._path = Column(group, "path", "f8", (COPIES, size), np.nan, 1, space)
        check = Column(group, "check", "u4", (COPIES,), 0, 1, space)
        self._row = Column(group, "row", "i8", (), -1, 1, space)
        self._table = Table((self._path, check, self._row), space, check, ahead=False)

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
        copy = committed % COPIES
        self._path.write_part(place, bytes_of(path), copy * self._size)
        self._table.commit(place, [(copy, path_check(start, committed, path))])

    @staticmethod
    def check(file: h5py.File, table: dict[str, npt.NDArray[Any]]) -> None:
        """Compute the checksums of the paths again that starts at work go on from.

        Args:
            file: A shard.
            table: The columns of `PER_START` of its rows, shape (S,).

        Raises:
            DamageError: One is wrong.
        """
        current = file[GROUP]
        slots = min(len(array) for array in current.values())
        for slot, row in enumerate(current["row"][:slots]):
            if not 0 <= row < len(table["start"]):
                continue
            committed, start = int(table["committed"][row]), int(table["start"][row])
            if table["finished"][row] or not committed:
                continue
            copy = committed % COPIES
            if path_check(start, committed, current["path"][slot, copy]) != current["check"][slot, copy]:
                raise DamageError(f"the newest path of start {start} does not match its checksum")

    @staticmethod
    def of(file: h5py.File, start: int, committed: int) -> Array | None:
        """The path of a start at work after so many rungs, flat, shape (size,); None where there is none."""
        ensemble, current = file["ensemble"], file[GROUP]
        for slot, row in enumerate(current["row"][:]):
            if row >= 0 and ensemble["start"][row] == start and ensemble["committed"][row] == committed:
                return np.asarray(current["path"][slot, committed % COPIES])
        return None
