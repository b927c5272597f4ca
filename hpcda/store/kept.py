"""/paths of a shard: the paths that the job asks to keep, each with its check sum."""

from __future__ import annotations

from collections.abc import Set

import h5py
import numpy as np

from hpcda.store.checks import path_check
from hpcda.store.column import ROWS, Column, Table, bytes_of
from hpcda.store.room import Room
from hpcda.store.schema import Array, RungRecord, RunLayout, best_of


class KeptPaths:
    """The table of kept paths.

    Args:
        file: The shard.
        layout: What the run holds.
        room: Where it grows.

    Attributes:
        every_rung: Whether the path of every rung is kept.
    """

    def __init__(self, file: h5py.File, layout: RunLayout, room: Room) -> None:
        group = file.create_group("paths")
        self.every_rung = layout.keep_paths == "all"
        self._best = best_of(layout.keep_paths)
        self._failed: Set[int] = {
            code for code, (name, _) in layout.reasons.items() if name.startswith("FAILED")
        }
        self._lowest: list[tuple[int, float, int, int]] = []
        self._count = 0
        points, unknowns = layout.points
        self._cut = points * unknowns
        self._states = Column(group, "states", "f8", layout.points, np.nan, 1, room)
        self._parameters = Column(group, "parameters", "f8", (layout.size - self._cut,), np.nan, ROWS, room)
        self._start = Column(group, "start", "i8", (), -1, ROWS, room)
        self._rung = Column(group, "rung", "i4", (), -1, ROWS, room)
        self._check = Column(group, "check", "u4", (), 0, ROWS, room)
        columns = (self._states, self._parameters, self._start, self._rung, self._check)
        self._table = Table(columns, room, ahead=self._best is None)

    def add(self, start: int, rung: int, path: Array) -> None:
        """Keep a path, flat, shape (size,)."""
        self._write(self._count, start, rung, path)
        self._count += 1

    def end(self, start: int, rung: int, record: RungRecord, path: Array) -> None:
        """Keep the path with which a start has ended, if the job asks for it and it is not there already."""
        if self._best is not None:
            self._add_best(start, rung, record, path)
        elif not self.every_rung:
            self.add(start, rung, path)

    def _add_best(self, start: int, rung: int, record: RungRecord, path: Array) -> None:
        """Keep the K lowest: write the new one to the free place, then strike off what it pushes out."""
        assert self._best is not None
        if record.reason in self._failed or not np.isfinite(record.action):
            return
        rank = (-rung, record.action, start)
        full = len(self._lowest) == self._best
        worst = max(self._lowest) if full else None
        if worst is not None and rank >= worst[:3]:
            return
        taken = {place for *_, place in self._lowest}
        place = next(place for place in range(self._best + 1) if place not in taken)
        self._write(place, start, rung, path)
        self._lowest.append((*rank, place))
        if worst is not None:
            self._start.write(worst[3], -1)
            self._lowest.remove(worst)

    def _write(self, place: int, start: int, rung: int, path: Array) -> None:
        """Write a path; it counts once its start is written, which comes last."""
        self._table.make_room(place)
        self._states.write_part(place, bytes_of(path[: self._cut]))
        self._parameters.write_part(place, bytes_of(path[self._cut :]))
        self._rung.write(place, rung)
        self._check.write(place, path_check(start, rung, path))
        self._start.write(place, start)
