"""/ensemble of a shard: a row for every start, numbers for every rung of it, check sums of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import h5py
import numpy as np

from hpcda.store.checks import BEGIN, begin_check, end_check, rung_check
from hpcda.store.column import ROWS, Column, Table
from hpcda.store.room import Room
from hpcda.store.schema import PER_RUNG, PER_START, RungRecord, RunLayout

FILL: dict[str, float | bytes] = {
    "way": b"",
    **dict.fromkeys(("start", "first_rung", "parent", "partner", "same_as"), -1),
    **dict.fromkeys(("began", "ended"), np.nan),
}
"""What rows hold before they are written, where it is not 0."""


class Starts:
    """The table of the starts.

    Args:
        file: The shard.
        layout: What the run holds.
        room: Where it grows.
    """

    def __init__(self, file: h5py.File, layout: RunLayout, room: Room) -> None:
        group, rungs = file.create_group("ensemble"), len(layout.rf)
        self._rows = 0
        self._single = {
            name: Column(group, name, dtype, (), FILL.get(name, 0), ROWS, room)
            for name, (dtype, _, _) in PER_START.items()
        }
        fill = {"iterations": 0, "factorizations": 0, "reason": layout.not_run}
        self._numbers = {
            name: Column(group, name, dtype, (rungs,), fill.get(name, np.nan), ROWS, room)
            for name, (dtype, _, _) in PER_RUNG.items()
        }
        self._shared = len(layout.told)
        self._parameters = Column(group, "parameters", "f8", (rungs, self._shared), np.nan, ROWS, room)
        self._check = Column(group, "check", "u4", (rungs,), 0, ROWS, room)
        columns = (*self._single.values(), *self._numbers.values(), self._parameters, self._check)
        self._table = Table(columns, room)

    def begin(self, values: Mapping[str, float | bytes]) -> int:
        """Write what is known when a start begins.

        Args:
            values: By the names of `PER_START`; what is left out is not known.

        Returns:
            The row.
        """
        row = self._rows
        self._rows += 1
        self._table.make_room(row)
        for name, value in values.items():
            if value != FILL.get(name, 0):
                self._single[name].write(row, value)
        check = begin_check(*(values[name] for name in BEGIN))
        self._single["begin_check"].write(row, check)
        return row

    def rung(self, row: int, rung: int, record: RungRecord) -> None:
        """Write a rung; it counts once it is marked."""
        for name, column in self._numbers.items():
            column.write(row, getattr(record, name), rung)
        inner = np.asarray(record.parameters, dtype="<f8").tobytes()
        self._parameters.write_part(row, inner, rung * self._shared)

    def seen(self, row: int, now: float) -> None:
        """Say when a row was written to, in seconds since 1970-01-01 UTC."""
        self._single["ended"].write(row, now)

    def mark(self, row: int, start: int, rungs: Sequence[tuple[int, RungRecord]], committed: int) -> None:
        """Say that these rungs are complete, so many with those before: their check sums, then the mark.

        A reader takes a rung that has its check sum for complete, a run that goes on one that is marked: next
        to nothing comes between the two.
        """
        checks = [(rung, rung_check(start, rung, record)) for rung, record in rungs]
        for rung, check in checks:
            self._check.write(row, check, rung)
        self._single["committed"].write(row, committed)

    def became(self, row: int, same_as: int) -> None:
        """Say which start's path this one has become."""
        self._single["same_as"].write(row, same_as)

    def finish(self, row: int, start: int, same_as: int, committed: int, now: float) -> None:
        """Say that a start has ended."""
        self.seen(row, now)
        self._single["end_check"].write(row, end_check(start, same_as, committed, now))
        self._single["finished"].write(row, 1)
