"""Kept paths in the index of a run: which of them count, and whether they are what was written."""

from __future__ import annotations

import h5py
import numpy as np
import numpy.typing as npt

from hpcda.store.checks import path_check
from hpcda.store.schema import Array, best_of
from hpcda.store.tables import rows_of

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def counting_paths(
    file: h5py.File, keep_paths: str, rows: Numbers, start: Numbers, finished: Flags, own: Flags
) -> tuple[Numbers, Numbers, npt.NDArray[np.int32]]:
    """The kept paths that belong to committed rungs, each (start, rung) once.

    Args:
        file: The index.
        keep_paths: What the job asked for.
        rows: Rows of /ensemble of the starts, shape (S,).
        start: Their numbers, rising, shape (S,).
        finished: Whether each has ended, shape (S,).
        own: Rungs that each has climbed by itself, shape (S, R).

    Returns:
        Places, starts and rungs of the paths, each of shape (K,), ordered by start, then rung.
    """
    starts, rungs = file["paths/start"][:], file["paths/rung"][:].astype(np.int64)
    order = np.lexsort((np.arange(len(starts)), rungs, starts))
    place = order[starts[order] >= 0]
    position = np.searchsorted(start, starts[place])
    position = np.minimum(position, max(len(start) - 1, 0))
    if len(start) and len(place):
        known = (start[position] == starts[place]) & own[position, rungs[place]]
        place = place[known]
    else:
        place = place[:0]
    keep = np.ones(len(place), dtype=bool)
    keep[1:] = (np.diff(starts[place]) != 0) | (np.diff(rungs[place]) != 0)
    if keep_paths != "all":
        keep[:-1] &= np.diff(starts[place]) != 0
    place = place[keep]
    best = best_of(keep_paths)
    if best is not None and len(place) > best:
        among = rows[np.searchsorted(start, starts[place])]
        actions = file["ensemble/action"][:]
        lowest = np.lexsort((actions[among, rungs[place]], -rungs[place]))[:best]
        place = place[np.sort(lowest)]
    # Of a start that was interrupted the newest path may be half written.
    position = np.searchsorted(start, starts[place])
    for k in np.flatnonzero(~finished[position] & (rungs[place] == _last(own[position]))):
        if wrong_path(place[k : k + 1], *read_paths(file, place[k : k + 1])) is not None:
            place[k] = -1
    place = place[place >= 0]
    return place, starts[place], rungs[place].astype(np.int32)


def read_paths(file: h5py.File, places: Numbers) -> tuple[Array, ...]:
    """Paths at rising places: starts, rungs, check sums, states (n, Σ N, D + V), parameters (n, P)."""
    names = ("start", "rung", "check", "states", "parameters")
    return tuple(rows_of(file["paths"][name], places) for name in names)


def wrong_path(
    places: Numbers, start: Array, rung: Array, check: Array, states: Array, parameters: Array
) -> tuple[int, int] | None:
    """Place and start of the first of some paths that does not have its check sum; None where all have it."""
    for k, place in enumerate(places):
        if path_check(int(start[k]), int(rung[k]), states[k], parameters[k]) != check[k]:
            return int(place), int(start[k])
    return None


def _last(own: Flags) -> Numbers:
    return np.where(own.any(axis=1), own.shape[1] - 1 - np.argmax(own[:, ::-1], axis=1), -1)
