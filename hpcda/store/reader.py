"""Reading a finished run: tables in the order of the starts, windows, and paths one at a time.

Nothing stays open: every read opens run.h5 and closes it, so that a RunFile can be sent to another process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcda.annealing.record import PER_RUNG, PER_START
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array
from hpcda.store.chains import Chains
from hpcda.store.checksums import BYTES, DamageError
from hpcda.store.ensemble import (
    SHARED,
    committed_rungs,
    current_rows,
    good_rows,
    good_rungs,
    last_rungs,
    marked_rungs,
)
from hpcda.store.header import read_header, ways_of
from hpcda.store.index import damaged, fit_index, reading
from hpcda.store.network import StoredNetwork, read_network
from hpcda.store.paths import counting_paths, read_paths, wrong_path
from hpcda.store.shards import INDEX
from hpcda.store.windows import StoredWindow, read_windows

SPENT = ("iterations", "factorizations", "seconds")
"""What a start has spent itself, not the one that it has become the same as."""


class RunFile:
    """A run that has ended, or was stopped.

    Attributes:
        run_dir: Its directory.
        header: What it is about.
        start: Numbers of the starts that left something, rising, shape (S,). All tables are in this order.
        committed: Number of committed rungs of each, shape (S,).
        finished: Whether it has ended (else it was interrupted), shape (S,).
        same_as: Number of the start whose path each has become, else its own, shape (S,).
        visited: Which rungs are complete, by the start itself or by the one it is the same as, shape (S, R).
        path_start: Start of every kept path, shape (K,), ordered by start, then rung.
        path_rung: Rung of every kept path, shape (K,).

    Args:
        run_dir: Directory of the run.

    Raises:
        InputError: There is no such run, it is being written, or a shard is missing.
    """

    def __init__(self, run_dir: str | os.PathLike[str]) -> None:
        self.run_dir = Path(run_dir)
        self.file = self.run_dir / INDEX
        if not self.run_dir.is_dir():
            raise InputError(
                Mistake(os.fspath(run_dir), "there is no such directory", "name the directory of a run")
            )
        fit_index(self.run_dir)
        with reading(self.run_dir):
            self._read()

    def _read(self) -> None:
        with h5py.File(self.file, "r") as file:
            self.header = read_header(file)
            ensemble = file["ensemble"]
            table = {name: ensemble[name][:] for name in PER_START}
            start, finished = table["start"], table["finished"]
            rows, closed = file["shards/rows"][:], file["shards/closed"][:] == 1
            good = good_rows(table, strict=np.repeat(closed, rows))
            if not good.all():
                wrong = int(np.argmin(good))
                raise damaged(
                    self.run_dir, "ensemble", wrong, f"start {start[wrong]} does not have its check sum"
                )
            try:
                marked = table["committed"]
                committed = marked_rungs(ensemble, start, finished, marked, self.header.not_run)
            except DamageError as error:
                raise damaged(self.run_dir, "ensemble", error.row, str(error)) from None
            self._rows = current_rows(start, finished, committed)
            self.start: npt.NDArray[np.int64] = start[self._rows]
            self.finished: npt.NDArray[np.bool_] = finished[self._rows] == 1
            self.committed: npt.NDArray[np.int32] = committed[self._rows]
            self._trusted = np.zeros(len(self.start), dtype=bool)
            reason = ensemble["reason"][:][self._rows]
            self._own = committed_rungs(reason, self.committed, self.header.not_run)
            self._chains = Chains(self.start, table["same_as"][self._rows], self._own)
            self.same_as: npt.NDArray[np.int64] = self.start[self._chains.leader]
            self.visited = self._own.copy()
            for members, others, rungs in self._chains.hops(np.arange(len(self.start))):
                self.visited[members] |= rungs & self._own[others]
            self._place, self.path_start, self.path_rung = counting_paths(
                file, self.header.keep_paths, self._rows, self.start, self.finished, self._own
            )

    @property
    def taken_over(self) -> npt.NDArray[np.bool_]:
        """Rungs that a start did not climb because it had become the same as another, shape (S, R)."""
        return self.visited & ~self._own

    def table(self, name: str, positions: npt.NDArray[np.int64] | None = None) -> npt.NDArray[Any]:
        """One array of /ensemble in the order of the starts; incomplete rungs are NaN, 0 or NOT_RUN.

        Args:
            name: "action", "measurement", …, "parameters" (shape (S, R, P)); "way", "began", … (shape
                (S,)). A way is its position in `header.ways`.
            positions: Positions in `start` of the starts that are wanted; all of them by default.
        """
        wanted = np.arange(len(self.start)) if positions is None else positions
        if name not in PER_START:
            self._check(wanted)
        values = self._stored(name, wanted)
        if name in PER_START:
            return values
        own = self._own[wanted]
        values[~own] = PER_RUNG[name].fill if name in PER_RUNG else np.nan
        if name not in SPENT:
            for members, others, rungs in self._chains.hops(wanted):
                filled = rungs & self._own[others]
                self._check(others)
                part = values[members]
                part[filled] = self._stored(name, others)[filled]
                values[members] = part
        return values

    def _check(self, positions: npt.NDArray[np.int64]) -> None:
        """Compute the check sums of the rungs of some starts, unless that was done before.

        Raises:
            InputError: One is wrong.
        """
        todo = np.unique(positions[~self._trusted[positions]])
        todo = todo[np.argsort(self._rows[todo], kind="stable")]
        width = 8 * self._own.shape[1] * (len(PER_RUNG) + len(self.header.parameter))
        for part in np.array_split(todo, max(1, len(todo) * width // BYTES)):
            if not len(part):
                continue
            names = (*PER_RUNG, *SHARED)
            wrong = self._own[part] & ~good_rungs(
                self.start[part], self._own[part], {name: self._stored(name, part) for name in names}
            )
            if wrong.any():
                position, rung = part[np.argwhere(wrong)[0, 0]], int(np.argwhere(wrong)[0, 1])
                start, row = int(self.start[position]), int(self._rows[position])
                reason = f"rung {rung} of start {start} does not have its check sum"
                raise damaged(self.run_dir, "ensemble", row, reason)
            self._trusted[part] = True

    def _stored(self, name: str, positions: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Rows of one array of /ensemble as they are stored."""
        rows = self._rows[positions]
        with reading(self.run_dir), h5py.File(self.file, "r") as file:
            dataset = file["ensemble"][name]
            first, end = (int(rows.min()), int(rows.max()) + 1) if rows.size else (0, 0)
            values: npt.NDArray[Any] = dataset[first:end][rows - first]
        return ways_of(values, self.header.ways) if name == "way" else values

    def parents(self) -> dict[int, list[int]]:
        """Start -> the starts from whose minima it began, none where it began anew."""
        elders = np.stack([self.table("parent"), self.table("partner")], axis=1)
        return {
            int(start): [int(elder) for elder in pair if elder >= 0]
            for start, pair in zip(self.start, elders, strict=True)
        }

    def parts(self, count: int) -> list[npt.NDArray[np.int64]]:
        """Positions of all starts, cut into `count` parts whose rows lie together in the shards."""
        by_row = np.argsort(self._rows, kind="stable")
        return [np.sort(part) for part in np.array_split(by_row, max(1, count)) if len(part)]

    def tables(self) -> dict[str, npt.NDArray[Any]]:
        """All per-rung arrays of shape (S, R) by name."""
        return {name: self.table(name) for name in PER_RUNG}

    @property
    def last(self) -> npt.NDArray[np.int64]:
        """Last complete rung of every start, -1 where there is none, shape (S,)."""
        return last_rungs(self.visited)

    def windows(self) -> tuple[StoredWindow, ...]:
        """All windows with their data, the data kept back, and the truth."""
        with reading(self.run_dir), h5py.File(self.file, "r") as file:
            return read_windows(file, self.header.lengths)

    def network(self) -> StoredNetwork:
        """The network of a run that trained one."""
        with reading(self.run_dir), h5py.File(self.file, "r") as file:
            return read_network(file)

    def split(self, states: Array) -> list[Array]:
        """Cut an array of shape (…, Σ N, D + V) into one a window, each of shape (…, N, D + V)."""
        return np.split(states, np.cumsum(self.header.lengths)[:-1], axis=-2)

    def has_path(self, start: int) -> bool:
        """Whether a path of this start, or of the one it has become the same as, was kept."""
        return any(one in self.path_start for one in self._who(start))

    def _who(self, start: int, rung: int | None = None) -> tuple[int, ...]:
        """The starts that a path of this one may be kept with; the one it became at last comes first.

        Args:
            start: The start.
            rung: Rung of the path; None for the last.
        """
        position = int(np.searchsorted(self.start, start))
        if position >= len(self.start) or self.start[position] != start:
            return (start,)
        wanted = np.array([position])
        chain = [start, *(int(self.start[others[0]]) for _, others, _ in self._chains.hops(wanted))]
        if rung is None:
            return tuple(reversed(chain))
        gone = [bool(rungs[0, rung]) for _, _, rungs in self._chains.hops(wanted)]
        return (chain[sum(gone)],)

    def path_places(self, start: int, rung: int | None = None) -> int:
        """Position among the kept paths of the one of a start at a rung, by default its last.

        Raises:
            KeyError: It was not kept.
        """
        for one in self._who(start, rung):
            begin, end = np.searchsorted(self.path_start, [one, one + 1])
            found = np.arange(begin, end)
            if rung is not None:
                found = found[self.path_rung[begin:end] == rung]
            if len(found):
                return int(found[-1])
        where = "" if rung is None else f" at rung {rung}"
        raise KeyError(f"no path of start {start}{where} was kept (keep_paths = {self.header.keep_paths!r})")

    def paths(self, places: npt.ArrayLike) -> tuple[Array, Array]:
        """Kept paths by their positions: states, shape (n, Σ N, D + V), and parameters, shape (n, P)."""
        wanted = self._place[np.asarray(places, dtype=np.int64)]
        order = np.argsort(wanted, kind="stable")
        unique, inverse = np.unique(wanted[order], return_inverse=True)
        with reading(self.run_dir), h5py.File(self.file, "r") as file:
            found = read_paths(file, unique)
        if (wrong := wrong_path(unique, *found)) is not None:
            reason = f"the path of start {wrong[1]} does not have its check sum"
            raise damaged(self.run_dir, "paths", wrong[0], reason)
        back = np.empty(len(wanted), dtype=np.int64)
        back[order] = inverse
        return found[3][back], found[4][back]

    def path(self, start: int, rung: int | None = None) -> tuple[list[Array], Array]:
        """A kept path: one array of shape (N, D + V) a window, and the parameters, shape (P,).

        Args:
            start: Number of the start.
            rung: Rung; by default the last that was kept.

        Raises:
            KeyError: It was not kept.
        """
        states, parameters = self.paths([self.path_places(start, rung)])
        return self.split(states[0]), parameters[0]
