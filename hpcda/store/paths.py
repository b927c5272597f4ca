"""Group /paths: the paths that the job asks to keep, each with a checksum; written, read, checked."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcda.annealing.record import Rung
from hpcda.problem import Array
from hpcda.results.layout import RunLayout, best_of
from hpcda.results.rows import last_rungs
from hpcda.store.checksums import DamageError, parts_of, path_check
from hpcda.store.column import ROWS, Column, Table, bytes_of
from hpcda.store.ensemble import rows_in, rows_of, used_rows
from hpcda.store.space import Space

GROUP = "paths"
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Paths:
    """The table of kept paths of a shard that is being written.

    Args:
        file: The shard.
        layout: What the run holds.
        space: Where it grows.

    Attributes:
        every_rung: Whether the path of every rung is kept.
    """

    def __init__(self, file: h5py.File, layout: RunLayout, space: Space) -> None:
        group = file.create_group(GROUP)
        self.every_rung = layout.keep_paths == "all"
        self._best = best_of(layout.keep_paths)
        self._lowest: list[tuple[int, float, int, int]] = []
        self._count = 0
        points, unknowns = layout.points
        self._cut = points * unknowns
        self._states = Column(group, "states", "f8", layout.points, np.nan, 1, space)
        self._parameters = Column(group, "parameters", "f8", (layout.size - self._cut,), np.nan, ROWS, space)
        self._start = Column(group, "start", "i8", (), -1, ROWS, space)
        self._rung = Column(group, "rung", "i4", (), -1, ROWS, space)
        check = Column(group, "check", "u4", (), 0, ROWS, space)
        columns = (self._states, self._parameters, self._rung, check, self._start)
        self._table = Table(columns, space, check, self._start, ahead=self._best is None)

    def add(self, start: int, rung: int, path: Array) -> None:
        """Keep a path, flat, shape (size,)."""
        self._write(self._count, start, rung, path)
        self._count += 1

    def end(self, start: int, rung: Rung, path: Array) -> None:
        """Keep the path with which a start has ended, if the job asks for it and it is not there already."""
        if self._best is not None:
            self._add_best(start, rung, path)
        elif not self.every_rung:
            self.add(start, rung.number, path)

    def _add_best(self, start: int, rung: Rung, path: Array) -> None:
        """Keep the K lowest: write the new one to the free place, then strike off what it pushes out."""
        assert self._best is not None
        if rung.reason.failed or not np.isfinite(rung.action):
            return
        rank = (-rung.number, rung.action, start)
        full = len(self._lowest) == self._best
        worst = max(self._lowest) if full else None
        if worst is not None and rank >= worst[:3]:
            return
        taken = {place for *_, place in self._lowest}
        place = next(place for place in range(self._best + 1) if place not in taken)
        self._write(place, start, rung.number, path)
        self._lowest.append((*rank, place))
        if worst is not None:
            self._start.write(worst[3], -1)
            self._lowest.remove(worst)

    def _write(self, place: int, start: int, rung: int, path: Array) -> None:
        self._table.make_room(place)
        self._states.write_part(place, bytes_of(path[: self._cut]))
        self._parameters.write_part(place, bytes_of(path[self._cut :]))
        self._rung.write(place, rung)
        self._table.commit(place, [(0, path_check(start, rung, path))], start)

    @staticmethod
    def check(file: h5py.File, table: dict[str, npt.NDArray[Any]], last: Numbers, closed: bool) -> None:
        """Compute all checksums again.

        Args:
            file: A shard.
            table: The columns of `PER_START` of its rows, shape (S,).
            last: Last committed rung of each, shape (S,).
            closed: Whether its process closed it.

        Raises:
            DamageError: One is wrong, or something is missing.
        """
        paths = file[GROUP]
        used = rows_in(paths)
        if closed and used < used_rows(paths["start"][:]):
            raise DamageError("paths are missing at its end")
        start, rung, check = (paths[name][:used] for name in ("start", "rung", "check"))
        ended = dict(zip(table["start"].tolist(), (table["finished"] == 1).tolist(), strict=True))
        reached = dict(zip(table["start"].tolist(), last.tolist(), strict=True))
        width = 8 * int(np.prod(paths["states"].shape[1:]) + paths["parameters"].shape[1])
        for part in parts_of(used, width):
            states, parameters = paths["states"][part], paths["parameters"][part]
            for k, place in enumerate(range(part.start, part.stop)):
                one, at = int(start[place]), int(rung[place])
                if one == -1 or path_check(one, at, states[k], parameters[k]) == check[place]:
                    continue
                # A path that was being written belongs to a start that had not ended.
                if closed or ended.get(one) or at < reached.get(one, -1):
                    raise DamageError(f"the path of start {one} does not match its checksum")

    @staticmethod
    def at(file: h5py.File, start: int, rung: int) -> Array | None:
        """The path of a start at a rung in a shard, flat, shape (size,); None where it was not kept."""
        paths = file[GROUP]
        kept = np.flatnonzero((paths["start"][:] == start) & (paths["rung"][:] == rung))
        return _flat(paths, int(kept[-1])) if len(kept) else None

    @staticmethod
    def of(file: h5py.File, start: int, rungs: Numbers) -> tuple[tuple[int, Array], ...]:
        """Rung and path, flat, of all that were kept of a start at some rungs, in a shard."""
        paths = file[GROUP]
        number = paths["rung"][:]
        places = np.flatnonzero(paths["start"][:] == start)
        order = {int(number[place]): int(place) for place in places[np.isin(number[places], rungs)]}
        return tuple((rung, _flat(paths, place)) for rung, place in sorted(order.items()))


def _flat(paths: h5py.Group, place: int) -> Array:
    return np.concatenate([paths["states"][place].ravel(), paths["parameters"][place]])


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
    for k in np.flatnonzero(~finished[position] & (rungs[place] == last_rungs(own[position]))):
        if wrong_path(place[k : k + 1], *read_paths(file, place[k : k + 1])) is not None:
            place[k] = -1
    place = place[place >= 0]
    return place, starts[place], rungs[place].astype(np.int32)


def read_paths(file: h5py.File, places: Numbers) -> tuple[Array, ...]:
    """Paths at rising places: starts, rungs, checksums, states (n, Σ N, D + V), parameters (n, P)."""
    names = ("start", "rung", "check", "states", "parameters")
    return tuple(rows_of(file["paths"][name], places) for name in names)


def wrong_path(
    places: Numbers, start: Array, rung: Array, check: Array, states: Array, parameters: Array
) -> tuple[int, int] | None:
    """Place and start of the first of some paths that does not match its checksum; None where all have it."""
    for k, place in enumerate(places):
        if path_check(int(start[k]), int(rung[k]), states[k], parameters[k]) != check[k]:
            return int(place), int(start[k])
    return None
