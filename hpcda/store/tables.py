"""Rows and rungs of the tables: which of them count, and reading some."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def committed_rungs(
    reason: npt.NDArray[np.int16], committed: npt.NDArray[np.int32], not_run: int
) -> npt.NDArray[np.bool_]:
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
    complete: npt.NDArray[np.bool_] = visited & (np.cumsum(visited, axis=1) <= committed[:, None])
    return complete


def current_rows(
    start: npt.NDArray[np.int64], finished: npt.NDArray[np.int8], committed: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
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
    current: npt.NDArray[np.int64] = order[last]
    return current


def used_rows(start: npt.NDArray[np.int64]) -> int:
    """Number of rows in use: arrays grow by whole chunks, whose unused rows hold -1."""
    used = np.flatnonzero(start >= 0)
    return int(used[-1]) + 1 if len(used) else 0


def rows_in(group: Any) -> int:
    """Number of rows in use in a group of arrays that grow together, /ensemble or /paths.

    A process that was killed while the group grew may leave some of its arrays shorter; what lies beyond the
    shortest was never committed.
    """
    return min(used_rows(group["start"][:]), *(len(array) for array in group.values()))


def rows_of(dataset: Any, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Rows by rising number, read stretch by stretch: HDF5 is slow with scattered selections."""
    stretches = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    parts = [dataset[int(part[0]) : int(part[-1]) + 1] for part in stretches if len(part)]
    return np.concatenate(parts) if parts else np.zeros((0, *dataset.shape[1:]))
