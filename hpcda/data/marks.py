"""Fill values such as -999 or -32768, which instruments and archives write for missing data.

Nothing is guessed: a number is told only where it is one of the usual marks, or the fill value of its file,
and lies away from all others of its column by more than these span; the job then says what it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

USUAL = (
    *(sign * float("9" * n + tail) for n in range(2, 7) for tail in ("", ".9", ".99") for sign in (1, -1)),
    *(sign * 8.0 * (10.0**n - 1.0) / 9.0 for n in (3, 4, 5) for sign in (1, -1)),
    -32768.0, -32767.0, 32767.0, 65535.0,
    -2147483648.0, -2147483647.0, 2147483647.0, 4294967295.0,
    float(-(2**63)), float(-(2**63) + 2), float(2**63 - 1), float(2**64 - 1), float(2**64 - 2),
    9.969209968386869e36, *(sign * 10.0**n for n in (20, 30, 33, 34, 35, 36, 37, 38) for sign in (1, -1)),
    3.4028234663852886e38, -3.4028234663852886e38, 1.7976931348623157e308, -1.7976931348623157e308,
)  # fmt: skip
"""Marks of loggers and archives, netCDF's default fill values, the limits of types."""
CLOSE = 1e-6
"""Relative difference up to which a number is a mark: single precision, and a few digits."""


def marks_in(
    stored: npt.NDArray[Any], missing: npt.NDArray[np.bool_], fill: float | None
) -> npt.NDArray[np.int64]:
    """Rows whose numbers look like marks of missing values.

    Args:
        stored: The numbers as they are stored, shape (n,).
        missing: Which of them are known to be missing, shape (n,).
        fill: What the file holds where nothing was written, or None.
    """
    numbers = stored.astype(np.float64)
    known = np.isfinite(numbers) & ~missing
    marks = np.array([*USUAL, *([] if fill is None else [fill])])
    present = np.unique(numbers[known])
    near = np.zeros(len(present), dtype=bool)
    for mark in marks:
        with np.errstate(over="ignore"):
            begin = np.searchsorted(present, mark - CLOSE * abs(mark), "left")
            end = np.searchsorted(present, mark + CLOSE * abs(mark), "right")
        near[begin:end] = True
    candidates, others = present[near], present[~near]
    if not len(candidates):
        return np.zeros(0, dtype=np.int64)
    if len(others):
        low, high = others[0], others[-1]
        width = high - low
        candidates = candidates[(candidates < low - width) | (candidates > high + width)]
    return np.flatnonzero(known & np.isin(numbers, candidates))
