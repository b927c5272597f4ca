"""The serial counterpart of the MPI world and its queue of starts."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from hpcda.errors import InputError, Mistake
from hpcda.ranks.counts import Counts

T = TypeVar("T")


class AloneComm:
    """A communicator of one rank: what it is sent comes back."""

    rank, size = 0, 1

    def bcast(self, value: T, root: int = 0) -> T:
        """The value."""
        return value

    def allgather(self, value: T) -> list[T]:
        """The value, alone in a list."""
        return [value]


class AloneWorld:
    """The world of a process that nobody launched as one of several; see `hpcda.mpi.World`.

    Args:
        ranks_per_start: Ranks that are to share a start.

    Raises:
        InputError: They are more than one.
    """

    rank, size, groups, group_number, leads = 0, 1, 1, 0, True

    def __init__(self, ranks_per_start: int = 1) -> None:
        if ranks_per_start != 1:
            problem = f"1 rank cannot be split into groups of {ranks_per_start}"
            remedy = f"start a multiple of {ranks_per_start} ranks (mpirun -n {ranks_per_start})"
            raise InputError(Mistake("ensemble.ranks_per_start", problem, remedy))
        self.comm: Any = AloneComm()
        self.group: Any = self.comm

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing has to be freed."""

    def wait(self, meanwhile: Callable[[], None] | None = None) -> None:
        """Nobody has to be waited for."""


class AloneQueue:
    """Hands out the numbers of a round's starts in their order; see `hpcda.mpi.Queue`."""

    def __init__(self) -> None:
        self._next = self._starts = self._stop = 0
        self._done = self._failed = self._rungs = 0
        self._lowest = np.inf

    def refill(self, starts: int, first: int) -> None:
        """Begin anew with the numbers first … starts - 1, what was counted stays."""
        self._next, self._starts = first, starts

    def take_several(self, count: int) -> range:
        """The next numbers, fewer than `count` where no more are left."""
        begin = self._next
        self._next = min(begin + count, self._starts)
        return range(begin, self._next)

    def rungs_done(self, count: int) -> None:
        """Tell that rungs are done."""
        self._rungs += count

    def start_done(self, action: float, failed: bool) -> None:
        """Tell that a start has ended at `action`."""
        self._done += 1
        self._failed += failed
        if not failed and np.isfinite(action):
            self._lowest = min(self._lowest, action)

    def had(self, starts: int, failed: int, rungs: int, lowest: float) -> None:
        """Tell what was done before this queue was made."""
        self._done += starts
        self._failed += failed
        self._rungs += rungs
        if np.isfinite(lowest):
            self._lowest = min(self._lowest, lowest)

    def stop(self, why: int) -> None:
        """Ask for a stop, for a reason above 0; of several reasons the largest holds."""
        self._stop = max(self._stop, why)

    def stopping(self) -> int:
        """Why a stop is asked for; 0 where it is not."""
        return self._stop

    def poll(self) -> None:
        """Nothing waits for this process."""

    def counts(self) -> Counts:
        """How far the ensemble is."""
        return Counts(self._done, self._failed, self._rungs, self._lowest)

    def close(self) -> None:
        """Nothing has to be freed."""
