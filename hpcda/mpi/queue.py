"""The queue of starts: one-sided MPI counters on rank 0, from which each idle rank takes the next start.

On some transports a one-sided operation waits until rank 0 enters MPI, so rank 0 polls while it computes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from hpcda.ranks.counts import Counts

NEXT, DONE, FAILED, RUNGS, STOP = range(5)


class Queue:
    """Hands out the numbers first … starts - 1, each once; collective to make and to close.

    Args:
        world: All ranks.
        group: The ranks that work on one start together; they receive the same number.
        starts: How many starts there are.
        first: How many of them have been dealt without the queue.
    """

    def __init__(self, world: Any, group: Any, starts: int, first: int = 0) -> None:
        self._world, self._group, self._starts = world, group, starts
        here = world.rank == 0
        self._counters = MPI.Win.Allocate(5 * 8 if here else 0, 8, MPI.INFO_NULL, world)
        self._lowest = MPI.Win.Allocate(8 if here else 0, 8, MPI.INFO_NULL, world)
        if here:
            np.asarray(self._counters.tomemory()).view(np.int64)[:] = (first, 0, 0, 0, 0)
            np.asarray(self._lowest.tomemory()).view(np.float64)[:] = np.inf
        world.Barrier()
        self._counters.Lock_all()
        self._lowest.Lock_all()

    def _add(self, counter: int, amount: int) -> int:
        before = np.zeros(1, dtype=np.int64)
        self._counters.Fetch_and_op(np.array([amount], dtype=np.int64), before, 0, counter, MPI.SUM)
        self._counters.Flush(0)
        return int(before[0])

    def refill(self, starts: int, first: int) -> None:
        """Begin anew with the numbers first … starts - 1, what was counted stays; collective."""
        self._world.Barrier()
        self._starts = starts
        if self._world.rank == 0:
            before = np.zeros(1, dtype=np.int64)
            self._counters.Fetch_and_op(np.array([first], dtype=np.int64), before, 0, NEXT, MPI.REPLACE)
            self._counters.Flush(0)
        self._world.Barrier()

    def take(self) -> int | None:
        """The next number of this group, or None where none is left; collective over the group."""
        return next(iter(self.take_several(1)), None)

    def take_several(self, count: int) -> range:
        """The next numbers of this group, fewer than `count` where no more are left; collective over it."""
        number = self._add(NEXT, count) if self._group.rank == 0 else 0
        number = self._group.bcast(number, root=0)
        return range(min(number, self._starts), min(number + count, self._starts))

    def rungs_done(self, count: int) -> None:
        """Tell that rungs are done; by one rank of the group."""
        self._add(RUNGS, count)

    def start_done(self, action: float, failed: bool) -> None:
        """Tell that a start has ended at `action`; by one rank of the group."""
        if failed:
            self._add(FAILED, 1)
        elif np.isfinite(action):
            self._lowest.Accumulate(np.array([action]), 0, op=MPI.MIN)
            self._lowest.Flush(0)
        self._add(DONE, 1)

    def had(self, starts: int, failed: int, rungs: int, lowest: float) -> None:
        """Tell what was done before this queue was made; by one rank."""
        for counter, amount in ((DONE, starts), (FAILED, failed), (RUNGS, rungs)):
            self._add(counter, amount)
        if np.isfinite(lowest):
            self._lowest.Accumulate(np.array([lowest]), 0, op=MPI.MIN)
            self._lowest.Flush(0)

    def stop(self, why: int) -> None:
        """Ask all ranks to stop, for a reason above 0; of several reasons the largest holds."""
        before = np.zeros(1, dtype=np.int64)
        self._counters.Fetch_and_op(np.array([why], dtype=np.int64), before, 0, STOP, MPI.MAX)
        self._counters.Flush(0)

    def stopping(self) -> int:
        """Why all ranks are asked to stop; 0 where they are not."""
        why = np.zeros(1, dtype=np.int64)
        self._counters.Fetch_and_op(np.zeros(1, dtype=np.int64), why, 0, STOP, MPI.NO_OP)
        self._counters.Flush(0)
        return int(why[0])

    def poll(self) -> None:
        """Let one-sided operations on this rank go on."""
        self._world.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG)

    def counts(self) -> Counts:
        """How far the ensemble is."""
        numbers, lowest = np.zeros(5, dtype=np.int64), np.zeros(1)
        self._counters.Get_accumulate(np.zeros(5, dtype=np.int64), numbers, 0, op=MPI.NO_OP)
        self._lowest.Get_accumulate(np.zeros(1), lowest, 0, op=MPI.NO_OP)
        self._counters.Flush(0)
        self._lowest.Flush(0)
        return Counts(int(numbers[DONE]), int(numbers[FAILED]), int(numbers[RUNGS]), float(lowest[0]))

    def close(self) -> None:
        """Free the counters; collective."""
        for window in (self._counters, self._lowest):
            window.Unlock_all()
            window.Free()
