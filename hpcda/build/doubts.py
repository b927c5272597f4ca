"""Checks for implausible data: values that would overflow the action are refused, others reported."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpcda.data import SHOWN, Table, more
from hpcda.errors import Mistake
from hpcda.job.kinds import LARGEST

Array = npt.NDArray[np.float64]

FAR = 1e6
"""Widths of a state's range beyond which a datum is told."""
OUTSIDE = 6.0
"""Standard deviations of the noise beyond a state's bounds from which a datum is told."""
COARSE = 0.1
"""Noise, in steps of the data's resolution, below which it is told; rounding alone makes 0.29 of one."""
DROWNED = 10.0
"""Noise, in units of all that the data span, above which it is told."""
FEWEST = 5
"""Different values that tell a resolution."""


def too_large(table: Table, name: str, values: Array, rows: npt.NDArray[np.int64]) -> list[Mistake]:
    """Find numbers whose squares would overflow the action."""
    wrong = rows[np.abs(values[rows]) > LARGEST]
    mistakes = [
        Mistake(
            table.where(int(row), name),
            f"{values[row]:g} is too large to be squared",
            f"correct it, leave it empty, or choose units in which it is at most {LARGEST:g}",
        )
        for row in wrong[:SHOWN]
    ]
    return more(mistakes, len(wrong))


def looks_missing(
    table: Table, name: str, cells: npt.NDArray[np.int64], values: Array, place: str, needed: bool
) -> list[Mistake]:
    """Find numbers that look like fill values for missing data.

    Args:
        table: The file.
        name: The column.
        cells: Rows that hold such numbers.
        values: The numbers of the column, shape (rows,).
        place: The job table that takes the key `missing`.
        needed: Whether a value is needed in every row.
    """
    stored = np.asarray(table.column(name).stored)
    mistakes = []
    others = np.delete(values, cells)
    others = others[np.isfinite(others)]
    span = f", while the others lie between {others.min():.6g} and {others.max():.6g}" if len(others) else ""
    for row in map(int, cells[:SHOWN]):
        mark = str(stored[row]).strip()
        packed = "" if float(mark) == values[row] else f", stored for {values[row]:.6g},"
        remedy = f"if so, write missing = [{mark}] in [{place}]; if it is a value, missing = []"
        if needed:
            remedy = f"write the value; or missing = [] in [{place}] if it is one"
        mistakes.append(
            Mistake(
                table.where(row, name),
                f"{mark}{packed} looks like a missing-value mark{span}",
                remedy,
            )
        )
    return more(mistakes, len(cells))


def far_note(
    table: Table, name: str, values: Array, rows: npt.NDArray[np.int64], state: str, low: float, high: float
) -> list[str]:
    """A note on the datum farthest from the range of its state, if it is implausibly far."""
    width = max(high - low, np.finfo(float).tiny)
    with np.errstate(over="ignore", invalid="ignore"):
        away = np.nan_to_num(np.maximum(values[rows] - high, low - values[rows]) / width, nan=-np.inf)
    if not len(away) or not away.max() > FAR:
        return []
    row = int(rows[int(away.argmax())])
    return [
        f"{table.where(row, name)}: {values[row]:g} lies {away.max():.1e} times the width of the range of "
        f"{state}, [{low:g}, {high:g}], away from it."
    ]


def bound_note(
    table: Table,
    name: str,
    values: Array,
    std: Array,
    rows: npt.NDArray[np.int64],
    state: str,
    bounds: tuple[float, float],
) -> list[str]:
    """A note on the datum farthest outside the bounds of its state, in units of the noise."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        away = np.maximum(values[rows] - bounds[1], bounds[0] - values[rows]) / std[rows]
    away = np.nan_to_num(away, nan=-np.inf, neginf=-np.inf)
    if not len(away) or not away.max() > OUTSIDE:
        return []
    row, count = int(rows[int(away.argmax())]), int((away > OUTSIDE).sum())
    others = f", and {count - 1} more" if count > 1 else ""
    return [
        f"{table.where(row, name)}: {values[row]:g} lies {away.max():.3g} σ outside the bounds of {state}, "
        f"[{bounds[0]:g}, {bounds[1]:g}], where no path can reach it{others}."
    ]


def small_note(table: Table, name: str, values: Array, rows: npt.NDArray[np.int64]) -> list[str]:
    """A note on the smallest nonzero number, if it is implausibly small."""
    size = np.abs(values[rows])
    tiny = rows[(size > 0.0) & (size < 1.0 / LARGEST)]
    if not len(tiny):
        return []
    return [f"{table.where(int(tiny[0]), name)}: {values[tiny[0]]:g} is effectively 0."]


def noise_notes(table: Table, name: str, key: str, values: Array, std: Array, step: float) -> list[str]:
    """Notes on standard deviations of the noise that contradict the data.

    Args:
        table: The file.
        name: The column.
        key: What is measured.
        values: The data that are used, shape (n,), NaN where there is none.
        std: Their standard deviations, shape (n,).
        step: Resolution of the data, 0 if unknown.
    """
    known = np.isfinite(values) & np.isfinite(std)
    values, least = values[known], float(std[known].min(initial=np.inf))
    if not len(values) or np.abs(values).max() > LARGEST:
        return []
    step = step or resolution(values)
    if least < COARSE * step:
        return [
            f"noise_std of {key} is {least:g}, far below the resolution of its data, {step:g} "
            f"({table.shown}, column {name!r}): rounding alone makes errors of {step / np.sqrt(12.0):.2g}."
        ]
    span = float(np.ptp(values))
    if span > 0.0 and least > DROWNED * span:
        return [
            f"noise_std of {key} is {least:g}, and all of its data lie within {span:.3g} "
            f"({table.shown}, column {name!r}): they carry almost no information."
        ]
    return []


def resolution(values: Array) -> float:
    """The power of ten, 1 or less, of which all values are multiples; 0 where there is none."""
    different = np.unique(values)
    if len(different) < FEWEST:
        return 0.0
    for digits in range(10):
        scaled = different * 10.0**digits
        if np.abs(scaled).max() > 1e12:
            return 0.0
        if (np.abs(scaled - np.rint(scaled)) <= 1e-9 * np.maximum(1.0, np.abs(scaled))).all():
            return float(10.0**-digits)
    return 0.0
