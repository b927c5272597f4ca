"""Time-dependent parameters that windows share: which unknowns of a path are copies of one.

A path holds such a value in every window that has the time, so that each window of a path is complete by
itself. The first window that has the time holds the unknown; what stands in the others is a copy of it. The
action is a function of the unknowns alone: its derivatives by copies are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ties:
    """Entries of a flat path that are copies of one unknown.

    Attributes:
        first: Index of the unknown of which each entry is a copy, shape (size,); its own index if it is none.
    """

    first: Ints

    @classmethod
    def of(cls, size: int, columns: Sequence[Sequence[Ints]]) -> Ties:
        """Ties of some quantities.

        Args:
            size: Numbers of a flat path.
            columns: Of each quantity that windows share: the places of its times, window after window.
        """
        first = np.arange(size)
        for windows in columns:
            known = np.full(max(map(len, windows), default=0), -1, dtype=np.int64)
            for places in windows:
                own = known[: len(places)]
                own[own < 0] = places[own < 0]
                first[places] = own
        return cls(first)

    @cached_property
    def copies(self) -> Ints:
        """Places that hold copies, ascending."""
        return np.flatnonzero(self.copied)

    @cached_property
    def copied(self) -> npt.NDArray[np.bool_]:
        """Whether a place holds a copy, shape (size,)."""
        return np.asarray(self.first != np.arange(len(self.first)))

    @property
    def some(self) -> bool:
        """Whether there is any copy."""
        return bool(len(self.copies))

    def tied(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values of every place, shape (size, …), those of copies as those of their unknowns."""
        return values[self.first] if self.some else values

    def gathered(self, slopes: Array) -> Array:
        """Derivatives by all places, shape (size, …), as derivatives by the unknowns: 0 of copies."""
        if not self.some:
            return slopes
        found = slopes.copy()
        np.add.at(found, self.first[self.copies], slopes[self.copies])
        found[self.copies] = 0.0
        return found
