"""Group /ensemble: one row per start, with numbers for each of its rungs; written, read, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcda.annealing.record import BEGIN, END, PER_RUNG, PER_START
from hpcda.problem import Array
from hpcda.results.layout import RunLayout
from hpcda.results.rows import committed_rungs, last_rungs
from hpcda.store.checksums import DamageError, parts_of, rung_check, rung_checks, start_check, start_checks
from hpcda.store.column import ROWS, Column, Table
from hpcda.store.space import Space

GROUP = "ensemble"
SHARED = ("parameters", "check")
"""Beside the columns of `PER_RUNG`, of every rung."""
Columns = dict[str, npt.NDArray[Any]]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


class Ensemble:
    """The table of the starts of a shard that is being written.

    Args:
        file: The shard.
        layout: What the run holds.
        space: Where it grows.
    """

    def __init__(self, file: h5py.File, layout: RunLayout, space: Space) -> None:
        group, rungs = file.create_group(GROUP), len(layout.rf)
        self._rows = 0
        self._of_start = {
            name: Column(group, name, one.dtype, (), one.fill, ROWS, space) for name, one in PER_START.items()
        }
        self._of_rung = [
            Column(group, name, one.dtype, (rungs,), one.fill, ROWS, space) for name, one in PER_RUNG.items()
        ]
        self._shared = len(layout.recorded)
        self._parameters = Column(group, "parameters", "f8", (rungs, self._shared), np.nan, ROWS, space)
        check = Column(group, "check", "u4", (rungs,), 0, ROWS, space)
        columns = (*self._of_start.values(), *self._of_rung, self._parameters, check)
        self._table = Table(columns, space, check, self._of_start["committed"])

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
            if value != PER_START[name].fill:
                self._of_start[name].write(row, value)
        self._of_start[BEGIN].write(row, start_check(BEGIN, values))
        return row

    def write_rung(self, row: int, rung: int, values: tuple[Any, ...], parameters: Array) -> None:
        """Write a rung, its values in the order of `PER_RUNG`; it counts once it is committed."""
        for column, value in zip(self._of_rung, values, strict=True):
            column.write(row, value, rung)
        inner = np.asarray(parameters, dtype="<f8").tobytes()
        self._parameters.write_part(row, inner, rung * self._shared)

    def seen(self, row: int, now: float) -> None:
        """Say when a row was written to, in seconds since 1970-01-01 UTC."""
        self._of_start["ended"].write(row, now)

    def commit(
        self, row: int, start: int, rungs: Sequence[tuple[int, tuple[Any, ...], Array]], committed: int
    ) -> None:
        """Make rungs of a row count: their numbers, values and parameters; so many with those before."""
        checks = [(rung, rung_check(start, rung, values, shared)) for rung, values, shared in rungs]
        self._table.commit(row, checks, committed)

    def became(self, row: int, same_as: int) -> None:
        """Say which start's path this one has become."""
        self._of_start["same_as"].write(row, same_as)

    def finish(self, row: int, start: int, same_as: int, committed: int, now: float) -> None:
        """Say that a start has ended."""
        self.seen(row, now)
        values = {"start": start, "same_as": same_as, "committed": committed, "ended": now}
        self._of_start[END].write(row, start_check(END, values))
        self._of_start["finished"].write(row, 1)

    @staticmethod
    def check(file: h5py.File, closed: bool) -> tuple[Columns, Numbers]:
        """Compute all checksums again.

        Args:
            file: A shard.
            closed: Whether its process closed it; else that was killed, perhaps while it wrote.

        Returns:
            The columns of `PER_START`, shape (S,), and the last committed rung of each row, -1 where there is
            none.

        Raises:
            DamageError: One is wrong, or something is missing.
        """
        ensemble, rungs = file[GROUP], len(file["axes/rf"])
        if any(ensemble[name].shape[1] != rungs for name in (*PER_RUNG, "check")):
            raise DamageError("its tables do not have the rungs of its ladder")
        used = rows_in(ensemble)
        begun = np.flatnonzero(ensemble[BEGIN][:])
        if closed and max(used_rows(ensemble["start"][:]), begun[-1] + 1 if len(begun) else 0) > used:
            raise DamageError("rows are missing at its end")
        table = {name: ensemble[name][:used] for name in PER_START}
        good = good_rows(table, strict=closed) & (table["start"] >= 0)
        if not good.all():
            raise DamageError(f"row {int(np.argmin(good))} does not match its checksum")
        last = np.full(used, -1)
        for part in parts_of(used, 8 * rungs * (len(PER_RUNG) + ensemble["parameters"].shape[2])):
            last[part] = _last_of(file, table, part, closed)
        return table, last


def _last_of(file: h5py.File, table: Columns, part: slice, closed: bool) -> Numbers:
    """Check the rungs of some rows; the last committed one of each, -1 where there is none."""
    values = {name: file[GROUP][name][part] for name in (*PER_RUNG, *SHARED)}
    start, committed = table["start"][part], table["committed"][part]
    complete = committed_rungs(values["reason"], committed, int(file.attrs["not_run"]))
    short = complete.sum(axis=1) != committed
    if short.any():
        raise DamageError(f"start {int(start[np.argmax(short)])} has fewer rungs than were committed")
    wrong = np.argwhere(complete & ~good_rungs(start, complete, values))
    if len(wrong):
        row, rung = wrong[0]
        raise DamageError(f"rung {int(rung)} of start {int(start[row])} does not match its checksum")
    ended = (table["finished"][part] == 1) | closed
    more = ended & ((values["check"] != 0).sum(axis=1) > committed)
    if more.any():
        raise DamageError(f"start {int(start[np.argmax(more)])} has more rungs than were committed")
    return last_rungs(complete)


def good_rungs(start: Numbers, visited: Flags, table: Columns) -> Flags:
    """Which of the visited rungs have their checksum, shape (S, R).

    Args:
        start: Number of the start of each row, shape (S,).
        visited: Rungs to be checked, shape (S, R).
        table: The arrays of `PER_RUNG`, "parameters" and "check" by name, their first axes (S, R).
    """
    row, rung = np.nonzero(visited)
    values = {name: table[name][row, rung] for name in PER_RUNG}
    found = rung_checks(start[row], rung, values, table["parameters"][row, rung])
    good = np.zeros(visited.shape, dtype=bool)
    good[row, rung] = found == table["check"][row, rung]
    return good


def good_rows(table: Columns, strict: bool | Flags) -> Flags:
    """Which rows say of themselves what was written, shape (S,).

    Args:
        table: The arrays of `PER_START` by name, shape (S,).
        strict: Whether the shard of each was closed; else a row that counts as not begun may be half written.
    """
    finished = table["finished"] == 1
    begun = finished | (table["committed"] > 0) | strict
    right = (start_checks(BEGIN, table) == table[BEGIN]) & (
        ~finished | (start_checks(END, table) == table[END])
    )
    known = (table["finished"] == 0) & ~(strict & (table[END] != 0)) | finished
    good: Flags = known & (right | ~begun) & (table["committed"] >= 0)
    return good


def marked_rungs(
    group: h5py.Group,
    start: Numbers,
    finished: npt.NDArray[np.int8],
    committed: npt.NDArray[np.int32],
    not_run: int,
) -> npt.NDArray[np.int32]:
    """Number of complete rungs of every row, shape (rows,).

    The mark of a start that was interrupted may come a commit after its rungs: those that have their
    checksum are complete.

    Raises:
        DamageError: A rung that was marked does not match its checksum; the row comes with it.
    """
    at_work = np.flatnonzero((finished != 1) & (start >= 0))
    if not len(at_work):
        return committed
    table = {name: rows_of(group[name], at_work) for name in (*PER_RUNG, *SHARED)}
    visited = table["reason"] != not_run
    complete = good_rungs(start[at_work], visited, table)
    complete &= np.cumsum(visited & ~complete, axis=1) == 0
    found = complete.sum(axis=1)
    if np.any(found < committed[at_work]):
        wrong = int(at_work[np.argmax(found < committed[at_work])])
        raise DamageError(f"a rung of start {start[wrong]} does not match its checksum", wrong)
    committed = committed.copy()
    committed[at_work] = found
    return committed


def used_rows(start: Numbers) -> int:
    """Number of rows in use: arrays grow by whole chunks, whose unused rows hold -1."""
    used = np.flatnonzero(start >= 0)
    return int(used[-1]) + 1 if len(used) else 0


def rows_in(group: Any) -> int:
    """Number of rows in use in a group of arrays that grow together, /ensemble or /paths.

    A process that was killed while the group grew may leave some of its arrays shorter; what lies beyond the
    shortest was never committed.
    """
    return min(used_rows(group["start"][:]), *(len(array) for array in group.values()))


def rows_of(dataset: Any, rows: Numbers) -> npt.NDArray[Any]:
    """Rows by rising number, read stretch by stretch: HDF5 is slow with scattered selections."""
    stretches = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    parts = [dataset[int(part[0]) : int(part[-1]) + 1] for part in stretches if len(part)]
    return np.concatenate(parts) if parts else np.zeros((0, *dataset.shape[1:]))
