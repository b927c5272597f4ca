"""Assigns the measured times of a file to the points of a path: on a uniform grid of samples, or uneven."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcda.data import SHOWN, Table, more
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.job.inputs import DataTable
from hpcda.job.kinds import LARGEST

Array = npt.NDArray[np.float64]
OFF_GRID = 0.02
"""How far a time may lie from its point of the grid, in sample steps."""
ROUNDED_UP = 1e-6
"""Part of a step by which steps of uneven times may be longer than asked."""
ROUNDED = 0.1
"""How far the difference of two rounded times may be from a whole number of steps, in the smallest one."""


@dataclass(frozen=True)
class SampleTimes:
    """Rows that are used and their places on the grid of samples, or among uneven times.

    Attributes:
        rows: Rows of the table, shape (n,).
        positions: Sample on which each of them falls, from 0, shape (n,); in turn, of uneven times.
        first: First time.
        step: Time from one sample to the next; the median, of uneven times.
        uneven: The times themselves, shape (n,), where they are uneven.
    """

    rows: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    first: float
    step: float
    uneven: Array | None = None

    @property
    def samples(self) -> int:
        """How many samples there are, missing ones included."""
        return int(self.positions[-1]) + 1

    def between(self, steps: int, span: int) -> npt.NDArray[np.int64]:
        """Steps of the path from each of the uneven times to the next, shape (n - 1,).

        Args:
            steps: Steps over a time of `step`, at least.
            span: Steps of an interval of the discretization, which are alike.
        """
        assert self.uneven is not None
        parts = np.diff(self.uneven) * steps / (span * self.step)
        return span * np.maximum(np.ceil(parts - ROUNDED_UP), 1.0).astype(np.int64)

    def points(self, steps: int, span: int) -> tuple[npt.NDArray[np.int64], Array]:
        """The point of a path at which each row stands, shape (n,), and the times of all points, shape (M,).

        Args:
            steps: Steps of the path from sample to sample; see `between`.
            span: See `between`.
        """
        if self.uneven is None:
            at = self.positions * steps
            return at, np.asarray(self.first + self.step / steps * np.arange(at[-1] + 1), dtype=np.float64)
        counts = self.between(steps, span)
        at = np.concatenate([[0], np.cumsum(counts)])
        inner = np.arange(at[-1]) - np.repeat(at[:-1], counts)
        step = np.diff(self.uneven) / counts
        points = np.repeat(self.uneven[:-1], counts) + inner * np.repeat(step, counts)
        return at, np.append(points, self.uneven[-1])


def sample_times(entry: DataTable, place: str, table: Table, t: Array) -> SampleTimes:
    """The rows of the range that is used, on a uniform grid of samples."""
    name = table.key(entry.time, f"{place}.time")
    empty = np.flatnonzero(np.isnan(t))
    if len(empty):
        mistakes = [
            Mistake(table.where(int(row), name), "the time is empty", "write the time of every row")
            for row in empty[:SHOWN]
        ]
        raise InputError(more(mistakes, len(empty)))
    slack = 1e-9 * float(np.ptp(t)) if len(t) else 0.0
    used = np.ones(len(t), dtype=bool)
    if entry.from_ is not None:
        used &= t >= entry.from_ - slack
    if entry.to is not None:
        used &= t <= entry.to + slack
    rows = np.flatnonzero(used)
    if len(rows) < 2:
        span = f", its times range from {t.min():g} to {t.max():g}" if len(t) else ""
        problem = f"{table.shown} has {counted(len(rows), 'row')} in the range used{span}"
        raise InputError(Mistake(f"{place}.file", problem, "give at least two rows; check from and to"))
    times = t[rows]
    gaps = np.diff(times)
    back = np.flatnonzero(gaps <= 0.0)
    if len(back):
        mistakes = [
            Mistake(
                table.where(int(rows[k + 1]), name),
                f"{times[k + 1]:.12g} does not come after {times[k]:.12g}",
                "sort the rows by time and give every time once",
            )
            for k in back[:SHOWN]
        ]
        raise InputError(more(mistakes, len(back)))
    step = entry.sample_step
    if step is None:
        step = float(np.median(gaps) if entry.uneven else gaps.min())
    if step < 1.0 / LARGEST or max(abs(times[0]), abs(times[-1])) > LARGEST:
        problem = f"the times go from {times[0]:g} to {times[-1]:g} in steps of {step:g}"
        raise InputError(Mistake(f"{place}.time", problem, "choose another unit of time"))
    if (times[-1] - times[0]) / step > 1e9:
        problem = f"a step of {step:g} divides the times into more than 1e9 samples"
        raise InputError(
            Mistake(f"{place}.sample_step", problem, "give the time from one sample to the next")
        )
    if entry.uneven:
        if gaps.min() < 1.0 / LARGEST:
            problem = f"two times are {gaps.min():g} apart"
            raise InputError(Mistake(f"{place}.time", problem, "choose another unit of time"))
        return SampleTimes(rows, np.arange(len(rows)), float(times[0]), step, times)
    positions = np.rint((times - times[0]) / step).astype(np.int64)
    if entry.sample_step is None and (np.abs(gaps / step - np.rint(gaps / step)) < ROUNDED).all():
        # Written times are rounded; the whole span gives the step more exactly than one difference.
        positions = np.concatenate([[0], np.cumsum(np.rint(gaps / step))]).astype(np.int64)
        step = float((times[-1] - times[0]) / positions[-1])
    off = np.abs(times - times[0] - positions * step) > OFF_GRID * step
    off[1:] |= np.diff(positions) < 1
    if off.any():
        note = "" if entry.sample_step is not None else ", the smallest difference of the times"
        mistakes = [
            Mistake(
                table.where(int(rows[k]), name),
                f"{times[k]:.12g} is not a whole number of steps of {step:.9g}{note} after {times[0]:.12g}",
                f"write uneven = true in [{place}] (in Python uneven=True): the path then has its points at "
                f"these times; or give {place}.sample_step",
            )
            for k in np.flatnonzero(off)[:SHOWN]
        ]
        raise InputError(more(mistakes, int(off.sum())))
    missing = np.flatnonzero(np.diff(positions) > 1)
    if len(missing) and not entry.gaps:
        mistakes = [
            Mistake(
                table.where(int(rows[k + 1]), name),
                f"{counted(int(positions[k + 1] - positions[k]) - 1, 'sample is', 'samples are')} missing "
                f"before {times[k + 1]:.12g}",
                f"write gaps = true in [{place}] if this is intended, or give sample_step",
            )
            for k in missing[:SHOWN]
        ]
        raise InputError(more(mistakes, len(missing)))
    return SampleTimes(rows, positions, float(times[0]), step)
