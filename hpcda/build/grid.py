"""The time grid of a window: assigns data to path points, and cuts off what is held out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hpcda.action import SCHEMES
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.problem import Beyond, Window
from hpcda.source import Source

Array = npt.NDArray[np.float64]
MOST_POINTS = 20_000_000


@dataclass(frozen=True)
class Grid:
    """A window and the held-out data after it, on M path points.

    Attributes:
        t: Times, shape (M,).
        data: Measured values by observed key, each of shape (M,), NaN where there is none.
        noise_std: Their standard deviations by observed key, each of shape (M,).
        series: Stimuli and parameters that are known series, shape (M, U).
        inside: Number of points that belong to the window.
        notes: Warnings about the data, one sentence each.
        source: File, lines and columns of the data, one column for each key of `data`; None for a twin.
    """

    t: Array
    data: dict[str, Array]
    noise_std: dict[str, Array]
    series: Array
    inside: int
    notes: tuple[str, ...] = ()
    source: Source | None = None

    def window(self, observed: tuple[str, ...]) -> Window:
        """The window, with one column for each of `observed`."""
        stop = self.inside
        return Window(
            self.t[:stop],
            np.column_stack([self._data(key)[:stop] for key in observed]),
            np.column_stack([self.noise_std.get(key, np.ones(len(self.t)))[:stop] for key in observed]),
            self.series[:stop],
        )

    def read(self, observed: tuple[str, ...]) -> Source | None:
        """Where the data of the window were read, one column for each of `observed`."""
        if self.source is None:
            return None
        columns = dict(zip(self.data, self.source.columns, strict=True))
        return replace(
            self.source,
            numbers=self.source.numbers[: self.inside],
            columns=tuple(columns.get(key, "") for key in observed),
        )

    def beyond(self, observed: tuple[str, ...]) -> Beyond:
        """What is kept back, from the window's last time on; at that time itself there is no datum."""
        begin = self.inside - 1
        data = np.column_stack([self._data(key)[begin:] for key in observed])
        data[0] = np.nan
        return Beyond(self.t[begin:], data, self.series[begin:])

    def _data(self, key: str) -> Array:
        return self.data.get(key, np.full(len(self.t), np.nan))


def points_inside(samples: int, hold_back: int, steps: int, place: str) -> tuple[int, int]:
    """Number of path points in the window, and the number including held-out samples.

    Args:
        samples: Number of samples, held-out ones included.
        hold_back: Number of held-out samples.
        steps: Time steps of the path between two samples.
        place: Key of the window in the job, for messages.

    Raises:
        InputError: The window is left with fewer than two samples, or the path has too many points.
    """
    if samples - hold_back < 2:
        if not hold_back:
            raise InputError(Mistake(place, f"has {counted(samples, 'sample')}", "give at least two"))
        problem = f"leaves {max(samples - hold_back, 0)} of {counted(samples, 'sample')} to the window"
        raise InputError(Mistake(f"{place}.hold_back", problem, f"give at most {max(samples - 2, 0)}"))
    total = (samples - 1) * steps + 1
    refuse_too_many(total, place)
    return (samples - hold_back - 1) * steps + 1, total


def refuse_too_many(total: int, place: str) -> None:
    """Refuse a path of more than `MOST_POINTS` points.

    Raises:
        InputError: It has more.
    """
    if total > MOST_POINTS:
        problem = f"the path has {total} points, more than {MOST_POINTS}"
        remedy = "use fewer samples, a larger step between them, or fewer steps_per_sample"
        raise InputError(Mistake(place, problem, remedy))


def fits_discretization(inside: int, discretization: str, steps: int, place: str) -> list[Mistake]:
    """Check that a window divides into intervals of m steps, such as m = 2 for Hermite–Simpson."""
    span = SCHEMES[discretization].span if discretization in SCHEMES else 1
    if (inside - 1) % span == 0:
        return []
    needs = "an odd number" if span == 2 else f"one more than a multiple of {span}"
    fewer = "one sample more" if place.startswith("twin") else "one sample less (with from or to)"
    if span > 2:
        fewer = "more or fewer samples"
    remedy = f"use {fewer}, or write action.steps_per_sample = {span * steps}"
    return [Mistake(place, f"has {inside} points of the path, but {discretization} needs {needs}", remedy)]
