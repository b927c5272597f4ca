"""Rows of the table of starts: which are valid, and which of their rungs are complete."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


def committed_rungs(reason: npt.NDArray[np.int16], committed: npt.NDArray[np.int32], not_run: int) -> Flags:
    """Rungs whose data are complete.

    Rungs of a start are written in rising order and marked by their number, so that the first `committed` of
    those that hold a reason are complete; one more may be there that was being written when its process was
    killed.

    Args:
        reason: Code of the reason of every rung, shape (S, R).
        committed: Number of marked rungs, shape (S,).
        not_run: Code of the rungs that were not visited.

    Returns:
        Shape (S, R).
    """
    visited = reason != not_run
    complete: Flags = visited & (np.cumsum(visited, axis=1) <= committed[:, None])
    return complete


def current_rows(start: Numbers, finished: npt.NDArray[np.int8], committed: npt.NDArray[np.int32]) -> Numbers:
    """Rows that count, in the order of their starts, shape (S',).

    A start that was interrupted and resumed has several rows: the finished one counts, else the one that came
    furthest, else the newest. A row without a single committed rung that did not end counts as not begun.

    Args:
        start: Number of the start of each row, shape (S,); -1 where there is none.
        finished: 1 where it has ended, shape (S,).
        committed: Number of committed rungs, shape (S,).
    """
    rows = np.flatnonzero((start >= 0) & ((finished == 1) | (committed > 0)))
    order = rows[np.lexsort((rows, committed[rows], finished[rows], start[rows]))]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = start[order[1:]] != start[order[:-1]]
    current: Numbers = order[last]
    return current


def last_rungs(visited: Flags) -> Numbers:
    """Last visited rung of every row, -1 where there is none, shape (S,)."""
    rungs = visited.shape[1]
    return np.where(visited.any(axis=1), rungs - 1 - np.argmax(visited[:, ::-1], axis=1), -1)
