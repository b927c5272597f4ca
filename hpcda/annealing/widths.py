"""Lane counts for which compiled code exists, so that a team can switch to fewer lanes.

Every width is a library of its own, which takes the compiler seconds, once on a machine. What is there is
used at once; what is not is compiled beside the work, and only of a team that has worked for so long that
this does not count. An ensemble of seconds never waits for it, a long one has it when few climbs are left.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from hpcda.action import Action
from hpcda.annealing.lockstep import code_of
from hpcda.annealing.schedule import LEAST
from hpcda.native.compile import kept, library

COMPILE_AFTER = 60.0
"""Seconds of work after which a team has its narrower widths compiled."""


class Widths:
    """The widths of a team: `most` lanes, and half as many, down to `LEAST`, where there is code for them.

    Args:
        action: The action.
        most: Lanes that the team begins with.
    """

    def __init__(self, action: Action, most: int) -> None:
        self.most = most
        self._action = action
        self._kept: dict[int, bool] = {}
        self._compiled: dict[int, Future[Any]] = {}
        self._seconds = 0.0

    @property
    def _fewer(self) -> list[int]:
        return [LEAST << i for i in range(self.most.bit_length()) if LEAST << i < self.most]

    def worked(self, seconds: float) -> None:
        """The team has worked for so long since the last call."""
        self._seconds += seconds
        if self._compiled or self._seconds < COMPILE_AFTER:
            return
        missing = [lanes for lanes in self._fewer if not self._has(lanes)]
        if missing:
            with_one_thread = ThreadPoolExecutor(1, "compile")
            for lanes in missing:
                self._compiled[lanes] = with_one_thread.submit(library, code_of(self._action, lanes))
            with_one_thread.shutdown(wait=False)
        self._seconds = float("-inf")

    def least(self, climbs: int) -> int:
        """The fewest lanes that hold so many climbs, or the most there are.

        Raises:
            CompilerError: The compiler refused the code of a width, or could not write.
        """
        return next((lanes for lanes in self._fewer if lanes >= climbs and self._has(lanes)), self.most)

    def close(self) -> None:
        """Compile nothing that has not been begun."""
        for compiled in self._compiled.values():
            compiled.cancel()

    def _has(self, lanes: int) -> bool:
        if lanes in self._compiled:
            done = self._compiled[lanes].done()
            return done and self._compiled[lanes].result() is not None
        if lanes not in self._kept:
            self._kept[lanes] = kept(code_of(self._action, lanes))
        return self._kept[lanes]
