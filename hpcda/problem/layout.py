"""Layout of the flat path vector: the position of every quantity, by window and time.

A path is laid out time after time, window after window, with the constants at its end:

    X = [ x(0), q(0), x(1), q(1), … of window 0, … of window 1, …, c of window 0, c of window 1, …, p ]

x(n) are the D states of a time and q(n) its V parameters of one time (`points`); c are the parameters that
belong to one window and hold at all its times, p those that all times and windows share. Both are the path's
`constants`. A window's model sees its own c, then p.
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
class Constant:
    """An unknown that is constant in time.

    Attributes:
        name: The model's name for it.
        window: Number of its window; None if all windows share it.
        label: Its unique name: the model's name, with the window if it belongs to one.
    """

    name: str
    window: int | None
    label: str


@dataclass(frozen=True)
class Layout:
    """The layout of a flat path: windows in turn, time by time, then the constants.

    Attributes:
        states: Names of the D states.
        varying: Names of the V time-dependent parameters.
        own: Names of the constants with a value in each window.
        shared: Names of the constants that all windows share.
        times: Number of times N of each window.
    """

    states: tuple[str, ...]
    varying: tuple[str, ...]
    own: tuple[str, ...]
    shared: tuple[str, ...]
    times: tuple[int, ...]

    @property
    def block(self) -> int:
        """D + V, the unknowns of one time."""
        return len(self.states) + len(self.varying)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the unknowns of one time, as they stand: states, then parameters of one time."""
        return (*self.states, *self.varying)

    @cached_property
    def begins(self) -> tuple[int, ...]:
        """Index at which each window begins and, last, at which the constants begin."""
        return tuple(int(end) for end in np.cumsum([0, *(n * self.block for n in self.times)]))

    @property
    def tail(self) -> slice:
        """The constants of a flat path."""
        return slice(self.begins[-1], self.size)

    @cached_property
    def constants(self) -> tuple[Constant, ...]:
        """The unknowns of the tail, in their order."""
        several = len(self.times) > 1
        own = [
            Constant(name, window, f"{name} (window {window})" if several else name)
            for window in range(len(self.times))
            for name in self.own
        ]
        return (*own, *(Constant(name, None, name) for name in self.shared))

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.begins[-1] + len(self.constants)

    @property
    def seen_names(self) -> tuple[str, ...]:
        """Names of the constants that a window's model sees: its own, then those that all share."""
        return (*self.own, *self.shared)

    def seen(self, window: int) -> Ints:
        """Which of the constants a window's model sees, in the order of `seen_names`: indices in the tail."""
        own, constants = len(self.own), len(self.constants)
        return np.concatenate(
            [np.arange(window * own, (window + 1) * own), np.arange(constants - len(self.shared), constants)]
        )

    def points(self, window: int) -> Ints:
        """Indices of the unknowns of each time of a window, shape (N, D + V)."""
        return np.arange(self.begins[window], self.begins[window + 1]).reshape(-1, self.block)

    def split(self, path: Array) -> tuple[list[Array], Array]:
        """View a flat path as arrays of shape (N, D + V), one a window, and the constants."""
        blocks = [
            path[begin:end].reshape(-1, self.block)
            for begin, end in zip(self.begins, self.begins[1:], strict=False)
        ]
        return blocks, path[self.tail]

    def join(self, blocks: Sequence[Array], constants: Array) -> Array:
        """The flat path, shape (size,), of one block array a window and the constants."""
        return np.concatenate([*(np.ravel(block) for block in blocks), np.ravel(constants)]).astype(
            np.float64
        )

    def spread(self, of_a_time: npt.ArrayLike, of_constants: npt.ArrayLike) -> npt.NDArray[Any]:
        """Values of every unknown from those of one time, shape (D + V, …), and of the constants."""
        one, tail = np.asarray(of_a_time), np.asarray(of_constants)
        tiled = np.tile(one, (sum(self.times), *([1] * (one.ndim - 1))))
        return np.concatenate([tiled, tail.reshape(len(self.constants), *one.shape[1:])])
