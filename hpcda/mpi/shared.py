"""The ranks that share the pairs of a network, over MPI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


class Shared:
    """See `hpcda.action.dealt.Ranks`; every method is collective.

    Args:
        comm: Their communicator.
    """

    def __init__(self, comm: Any) -> None:
        self._comm = comm
        self.rank, self.size = int(comm.rank), int(comm.size)

    def gather(self, own: Numbers, counts: Sequence[int], room: Numbers | None = None) -> Numbers:
        """See `Ranks`."""
        if self.size == 1:
            return own
        found = np.empty(sum(counts)) if room is None else room
        self._comm.Allgatherv(np.ascontiguousarray(own), [found, counts])
        return found

    def exchange(self, own: Numbers, counts: Sequence[int], theirs: Sequence[int], room: Numbers) -> None:
        """See `Ranks`."""
        self._comm.Alltoallv([np.ascontiguousarray(own), counts], [room, theirs])
