"""Messages about operations that take long, and time limits for those that take too long."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from hpcda.process import rank

FIRST_WORD = 5.0
"""Seconds after which a word is said; the next ones come at times that double."""


def tell(text: str, stream: TextIO | None = None) -> None:
    """Say a word on standard error, or another stream; rank 0 of a launcher alone speaks."""
    if rank() == 0:
        stream = sys.stderr if stream is None else stream
        stream.write(f"hpcda: {text}\n")
        stream.flush()


class Patience:
    """Tells on standard error how far a piece of work is, and when its time is over.

    Args:
        what: The work, as in "integrating lorenz96".
        limit: Seconds that it may take in all.
        stream: Where the words go; standard error where it is not given.
        clock: Seconds that pass.
    """

    def __init__(
        self,
        what: str,
        limit: float,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what = what
        self.limit = limit
        self._stream = stream
        self._clock = clock
        self._began = clock()
        self._next = FIRST_WORD

    @property
    def seconds(self) -> float:
        """How long the work has taken."""
        return self._clock() - self._began

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.limit - self.seconds

    def lasts(self, done: str) -> bool:
        """Whether there is time left; `done` says how far the work is, as in "t = 3.2 of 10"."""
        seconds = self.seconds
        if seconds >= self.limit:
            return False
        if seconds >= self._next:
            taken = f"{self.what} has taken {seconds:.0f} s ({done})"
            tell(f"{taken}; it is stopped after {self.limit:g} s", self._stream)
        while seconds >= self._next:
            self._next *= 2.0
        return True
