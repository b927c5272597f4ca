"""The ranks that share the pairs of a network, over MPI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class Shared:
    """See `hpcda.action.dealt.Ranks`; every method is collective.

    Args:
        comm: Their communicator.
    """

    def __init__(self, comm: Any) -> None:
        self._comm = comm
        self.rank, self.size = int(comm.rank), int(comm.size)

    def gather(self, own: npt.NDArray[np.float64], counts: Sequence[int]) -> npt.NDArray[np.float64]:
        """See `Ranks`."""
        if self.size == 1:
            return own
        found = np.empty(sum(counts))
        self._comm.Allgatherv(np.ascontiguousarray(own), [found, counts])
        return found

    def exchange(
        self, own: npt.NDArray[np.float64], counts: Sequence[int], theirs: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        """See `Ranks`."""
        found = np.empty(sum(theirs))
        self._comm.Alltoallv([np.ascontiguousarray(own), counts], [found, theirs])
        return found
