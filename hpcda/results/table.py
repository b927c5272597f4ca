"""The results of a run as tables ordered by start, from files or from memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.annealing.record import PER_RUNG, PER_START
from hpcda.problem import Array
from hpcda.results.chains import Chains
from hpcda.results.header import Header
from hpcda.results.network import StoredNetwork
from hpcda.results.rows import Flags, Numbers, last_rungs
from hpcda.results.windows import StoredWindow

SPENT = ("iterations", "factorizations", "seconds")
"""What a start has spent itself, not the one that it has become the same as."""


class RunTable(ABC):
    """A run that has ended, or was stopped.

    Attributes:
        name: What people call it: its directory.
        header: What it is about.
        start: Numbers of the starts that left something, rising, shape (S,). All tables are in this order.
        committed: Number of committed rungs of each, shape (S,).
        finished: Whether it has ended (else it was interrupted), shape (S,).
        same_as: Number of the start whose path each has become, else its own, shape (S,).
        visited: Which rungs are complete, by the start itself or by the one it is the same as, shape (S, R).
        path_start: Start of every kept path, shape (K,), ordered by start, then rung.
        path_rung: Rung of every kept path, shape (K,).
    """

    name: str
    header: Header
    path_start: npt.NDArray[np.int64]
    path_rung: npt.NDArray[np.int32]

    def _set(
        self, rows: Numbers, start: Numbers, finished: Flags, committed: Any, own: Flags, same_as: Numbers
    ) -> None:
        """Take the table of the starts.

        Args:
            rows: Row of each in what is stored, shape (S,).
            start: Numbers of the starts, rising, shape (S,).
            finished: Whether each has ended, shape (S,).
            committed: Number of committed rungs of each, shape (S,).
            own: Rungs that each has climbed by itself, shape (S, R).
            same_as: Number of the start that each has become, or -1, shape (S,).
        """
        self._rows, self._own = rows, own
        self.start: npt.NDArray[np.int64] = start
        self.finished: npt.NDArray[np.bool_] = finished
        self.committed: npt.NDArray[np.int32] = committed
        self._chains = Chains(start, same_as, own)
        self.same_as: npt.NDArray[np.int64] = start[self._chains.leader]
        self.visited = own.copy()
        for members, others, rungs in self._chains.hops(np.arange(len(start))):
            self.visited[members] |= rungs & own[others]

    @property
    def run_dir(self) -> Path:
        """Its directory.

        Raises:
            ValueError: It is in memory.
        """
        raise ValueError("these results are in memory, and have no directory; hpcda.run stores a run")

    @property
    @abstractmethod
    def source(self) -> Any:
        """What a task of another process opens it by, see `hpcda.analysis.outcome.open_file`."""

    def _check(self, positions: Numbers) -> None:  # noqa: B027 - in memory nothing is damaged
        """Refuse what is damaged of some starts."""

    @abstractmethod
    def _stored(self, name: str, positions: Numbers) -> npt.NDArray[Any]:
        """Rows of one array of starts or rungs as they are stored."""

    def _sketched(self) -> Array | None:
        """What is kept of each start's last path, shape (S, K), NaN where nothing is; None of all."""
        return None

    @cached_property
    def sketches(self) -> Array | None:
        """A few numbers of the path with which each start has ended, by which paths are compared.

        Shape (S, K), NaN where there are none; of a start that became another's path, that one's. None where
        the run kept none (before version 5, of starts that no search decided).
        """
        own = self._sketched()
        return None if own is None else own[self._chains.leader]

    @abstractmethod
    def windows(self) -> tuple[StoredWindow, ...]:
        """All windows with their data, the held-out data, and the truth."""

    def network(self) -> StoredNetwork:
        """The network of a run that trained one.

        Raises:
            TypeError: It trained none.
        """
        raise TypeError(f"{self.name} trained no network")

    @abstractmethod
    def paths(self, places: npt.ArrayLike) -> tuple[Array, Array]:
        """Kept paths by their positions: states, shape (n, Σ N, D + V), and parameters, shape (n, P)."""

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
