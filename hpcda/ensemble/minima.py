"""The lowest minima found by a group of ranks, from which escapes begin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpcda.ensemble.earlier_run import EarlierRun
from hpcda.problem import Array
from hpcda.search import Found, Round
from hpcda.search.levels import is_level

KEPT = 8
"""Lowest distinct minima whose paths a group keeps."""


class Minima:
    """Paths of minima: those of this group, and those that the round at work begins from.

    Args:
        world: The ranks.
        earlier: State left by earlier processes of the run.

    Attributes:
        parents: Starts from whose minima the round at work begins, and their paths; None where one is lost.
    """

    def __init__(self, world: Any, earlier: EarlierRun) -> None:
        self._world, self._earlier = world, earlier
        self._kept: list[tuple[Found, Array]] = []
        self._pinned: dict[int, Array] = {}
        self.parents: dict[int, Array | None] = {}

    @property
    def paths(self) -> dict[int, Array]:
        """Start and path of every minimum that is kept."""
        return {one.start: path for one, path in self._kept}

    def pin(self, start: int, path: Array) -> None:
        """Keep a path from which escapes of an earlier process began, however high it is."""
        if start in self._earlier.needed:
            self._pinned[start] = path

    def remember(self, found: Found, path: Array) -> bool:
        """Keep the path if it is one of the lowest distinct minima of this group, and its first start.

        Returns:
            Whether anything may have changed.
        """
        kept = self._kept
        for k, (other, _) in enumerate(kept):
            if is_level(found, other):
                if found.start > other.start:
                    return False
                kept[k] = (found, path)
                break
        else:
            kept.append((found, path))
            kept.sort(key=lambda one: (one[0].action, one[0].start))
            del kept[KEPT:]
        return True

    def share(self, tasks: Round, found: Mapping[int, Found]) -> None:
        """Send the minima from which escapes begin to all ranks, each from where one like it was kept."""
        self.parents, comm = {}, self._world.comm
        for parent in sorted({p for k in range(len(tasks)) for p in tasks.task(k).parents}):
            leader = parent
            while found[leader].same_as != leader:
                leader = found[leader].same_as
            if self._earlier.has_ended(leader):
                path = self._earlier.path(leader) if self._world.rank == 0 else None
                self.parents[parent] = comm.bcast(path, root=0)
                continue
            away = [float(np.sum((kept.sketch - found[parent].sketch) ** 2)) for kept, _ in self._kept]
            mine = -1.0 if leader in self._pinned else min(away, default=np.inf)
            every = comm.allgather(mine if self._world.leads else np.inf)
            owner, path = int(np.argmin(every)), None
            if self._world.rank == owner and mine < np.inf:
                path = self._pinned[leader] if mine < 0 else self._kept[int(np.argmin(away))][1]
            self.parents[parent] = comm.bcast(path, root=owner)

    def of(self, parent: int) -> Array:
        """The path of a start from which an escape of this round begins."""
        path = self.parents[parent]
        if path is None:
            raise RuntimeError(f"the path of start {parent} is gone, from which escapes begin")
        return path
