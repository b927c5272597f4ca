"""Collective stop of an ensemble: a rank that must stop tells all others through the queue of starts."""

from __future__ import annotations

import time
from typing import Any

from hpcda.stop import Stop

ASK_SECONDS = 0.25
"""How often a group asks whether another one has to stop."""


class Stopping:
    """Whether this rank's group, and all groups, stop.

    Args:
        world: The ranks.
        queue: What hands out starts, and passes on who has to stop.
        stop: Whether this process has to stop; None for never.

    Attributes:
        why: Why they stop, see `hpcda.stop`; 0 where they do not.
    """

    def __init__(self, world: Any, queue: Any, stop: Stop | None) -> None:
        self._world, self._queue, self._stop = world, queue, stop
        self._asked, self._told = 0.0, False
        self.why = 0

    def all_stop(self) -> bool:
        """Whether all ranks stop; collective over them."""
        if self._stop is not None:
            self.why = max(self._world.comm.allgather(max(self.why, self._stop.why)))
        return self.why > 0

    def group_stops(self) -> bool:
        """Whether this group stops; collective over it."""
        if self._stop is None or self.why:
            return self.why > 0
        own = self.tell()
        now, why = time.monotonic(), own
        if self._world.leads and not own and now - self._asked >= ASK_SECONDS:
            self._asked, why = now, self._queue.stopping()
        self.why = why if self._world.group.size == 1 else self._world.group.bcast(why)
        return self.why > 0

    def tell(self) -> int:
        """Tell all ranks where this one has to stop.

        Returns:
            Why it has to; 0 where it has not.
        """
        why = 0 if self._stop is None else self._stop.why
        if why and not self._told:
            self._queue.stop(why)
            self._told = True
        return why
