"""Annealing of several starts at once, one per vector lane: what chains and factor graphs have in common.

The compiled code (climb.c) steps all lanes together; each has its own start, rung, step control and end. What
a start does depends on its first path alone, not on the starts beside it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hpcda.annealing.ladder import Ladder
from hpcda.annealing.record import Rung, refuse_unlike
from hpcda.native.compile import vector_lanes
from hpcda.native.declared import enumeration, structures
from hpcda.problem import Array, Numbers

EMPTY, ACTIVE, ENDED = enumeration("climb.c", "Lane").values()
_Record = structures("record.h")["Record"]
refuse_unlike(_Record)
_COUNTERS = "start state rung until iterations factorizations holds still"
_NUMBERS = (
    "value shift low high weight before length slope norm taken crossed closed radius bend wait pause "
    "penalty gap slack"
)


@dataclass(frozen=True)
class Settings:
    """Tolerances and limits.

    Attributes:
        max_iterations: Limit of factorizations at one rung.
        tolerance: Largest scaled entry of the gradient, relative to an action above 1, at which an action
            that cannot be lowered counts as a minimum; a hundredth of the entry itself ends a rung at once.
        decrement: Relative distance of the action to its minimum, by Newton's estimate, that ends the last
            rung.
        rung_tolerance: The same for the rungs before it.
        barrier: Weight of the barrier between two bounds at a start's first rung; 0 for none.
        longest: Longest first step of a rung, root mean square over unknowns in units of their natural sizes.
        elimination: How the unknowns are eliminated: "auto", or one of
            `hpcda.annealing.eliminations.ELIMINATIONS`.
        longest_pause: Where the model's second derivatives make the Hessian indefinite, they are left out
            for a while (Gauss-Newton), up to so many steps in a row; 0: a shift makes it definite at once.
            None for what suits the action.
    """

    max_iterations: int = 1000
    tolerance: float = 1e-8
    decrement: float = 1e-12
    rung_tolerance: float = 1e-5
    barrier: float = 1e-3
    longest: float = 0.03
    elimination: str = "auto"
    longest_pause: int | None = None


@dataclass(frozen=True)
class Reached:
    """A finished rung: its lane, its start, the rung, and whether the start ended."""

    lane: int
    start: int
    rung: Rung
    ended: bool


@dataclass(frozen=True)
class Midway:
    """A climb in the middle of a rung: all that its further steps depend on.

    Attributes:
        path: Flat path, shape (size,).
        held: Bounds that it is held at, -1 or 1 or 0, shape (size,).
        multipliers: Of the model errors, for each window, flat; where the ladder ends at infinity, each
            followed by those that the action has there.
        numbers: What is counted and kept of its step control, by name.
    """

    path: Array
    held: Array
    multipliers: tuple[Array, ...]
    numbers: dict[str, float]


class Memory(Protocol):
    """Where arrays of the compiled code live."""

    def pointer(self, array: Any, dtype: type) -> int:
        """Address of an array that lives as long as this object."""
        ...

    def vectors(self, count: int) -> tuple[Array, int]:
        """Room for `count` vectors of one number a lane, shape (count, lanes), and its address."""
        ...


class Climbs:
    """Climbs of several starts side by side.

    Args:
        size: Number of unknowns.
        ladder: The rungs.
        lanes: Starts that are advanced together, a power of two; None for the width of the processor's
            vectors.
        settings: Tolerances and limits.

    Attributes:
        lanes: Starts that are advanced together.
        stacked: The paths of all lanes, shape (size, lanes), where the compiled code has them.
        usual_pause: What `Settings.longest_pause` is where nothing is said.
    """

    usual_pause = 32

    _batch: Any
    _library: Any
    _multipliers: list[Array]

    def __init__(self, size: int, ladder: Ladder, lanes: int | None, settings: Settings | None) -> None:
        self.size, self.ladder, self.lanes = size, ladder, lanes or vector_lanes()
        if self.lanes & (self.lanes - 1):
            raise ValueError(f"{self.lanes} lanes: vectors have 1, 2, 4 or 8")
        self.settings = settings or Settings()
        self._capacity = 4 * self.lanes
        self._records = (_Record * self._capacity)()
        self._paths = np.zeros((self._capacity, size))
        self._multipliers = []

    def _common(
        self, memory: Memory, bounds: tuple[Array, Array], scale: Array, curvature: float
    ) -> dict[str, Any]:
        """What every batch holds, by name.

        Args:
            memory: Where it lives.
            bounds: Lower and upper bound of every unknown.
            scale: Natural size of every unknown.
            curvature: Size of the Hessian in these units, for the first shift of an indefinite one.
        """
        vectors = {name: memory.vectors(self.size) for name in "x trial grad step open hold".split()}
        self.stacked, self._held = vectors["x"][0], vectors["hold"][0]
        lanes: dict[str, Numbers] = {name: np.zeros(self.lanes, dtype=np.int32) for name in _COUNTERS.split()}
        lanes |= {name: np.zeros(self.lanes) for name in _NUMBERS.split()}
        self._per_lane = lanes
        self._start, self._state, self._rung = lanes["start"], lanes["state"], lanes["rung"]
        self._until = lanes["until"]
        self._norm = lanes["norm"]
        settings = self.settings
        doubles = {
            "lower": bounds[0], "upper": bounds[1], "scale": scale, "metric": 1.0 / scale**2,
            "rf": self.ladder.rf,
        }  # fmt: skip
        return {
            "size": self.size,
            "rungs": self.ladder.rungs,
            "most": settings.max_iterations,
            "capacity": self._capacity,
            "curvature": curvature,
            "tolerance": settings.tolerance,
            "decrement": settings.decrement,
            "loose": settings.rung_tolerance,
            "barrier": settings.barrier,
            "longest": settings.longest,
            "longest_pause": self.usual_pause if settings.longest_pause is None else settings.longest_pause,
            "cap": np.inf,
            "first_penalty": self.ladder.largest,
            "records": ctypes.addressof(self._records),
            "paths": self._paths.ctypes.data,
            **{name: place for name, (_, place) in vectors.items()},
            **{name: memory.pointer(array, np.float64) for name, array in doubles.items()},
            **{name: array.ctypes.data for name, array in lanes.items()},
        }

    def put(
        self, lane: int, start: int, path: Array, rung: int, fresh: bool, until: int | None = None
    ) -> None:
        """Give a start to an empty lane.

        Args:
            lane: The lane.
            start: Number of the start.
            path: Flat path, shape (size,), from which it begins.
            rung: Its next rung.
            fresh: Whether the path is a start's first one, not the minimum of rung `rung - 1`.
            until: Rung before which it ends; by default the ladder's end.
        """
        self.stacked[:, lane] = path
        self._until[lane] = self.ladder.rungs if until is None else until
        self._start[lane], self._rung[lane], self._state[lane] = start, rung, ACTIVE
        before = 0.0 if fresh else float(self.ladder.rf[rung - 1])
        self._library.begin_rung(ctypes.addressof(self._batch), lane, before)

    def lift(self, lane: int) -> Midway:
        """Take a climb out of its lane, between two steps; its finished rungs must have been handed over.

        Raises:
            ValueError: There is no such climb in the lane, or rungs have not been handed over.
        """
        if self._state[lane] != ACTIVE or self._batch.recorded:
            raise ValueError(f"lane {lane} has no climb that can be moved")
        numbers = {name: values[lane].item() for name, values in self._per_lane.items()}
        multipliers = tuple(values[:, lane].copy() for values in self._multipliers)
        midway = Midway(self.stacked[:, lane].copy(), self._held[:, lane].copy(), multipliers, numbers)
        self._state[lane] = EMPTY
        return midway

    def set_down(self, lane: int, climb: Midway) -> None:
        """Let a climb go on in an empty lane: of this lockstep, or another of the same problem and ladder.

        Raises:
            ValueError: The lane is not empty.
        """
        if self._state[lane] != EMPTY:
            raise ValueError(f"lane {lane} is not empty")
        self.stacked[:, lane], self._held[:, lane] = climb.path, climb.held
        for values, own in zip(self._multipliers, climb.multipliers, strict=True):
            values[:, lane] = own
        for name, value in climb.numbers.items():
            self._per_lane[name][lane] = value

    @property
    def cap(self) -> float:
        """Action above which a start ends with the rung that it has come to; infinite in the beginning."""
        return float(self._batch.cap)

    @cap.setter
    def cap(self, action: float) -> None:
        self._batch.cap = action

    def drop(self, lane: int) -> None:
        """Empty a lane; the rungs that it has finished are still to be had."""
        self._state[lane] = EMPTY

    @property
    def active(self) -> int:
        """Number of lanes at work."""
        return int((self._state == ACTIVE).sum())

    @property
    def empty(self) -> Numbers:
        """Lanes without a start."""
        return np.flatnonzero(self._state == EMPTY)

    @property
    def rungs(self) -> Numbers:
        """Rung at which every lane is, shape (lanes,)."""
        return self._rung

    @property
    def actions(self) -> Array:
        """Action of every lane where its last step began, shape (lanes,)."""
        return self._per_lane["value"]

    @property
    def steps(self) -> Array:
        """Scaled length of the last step of every lane, shape (lanes,)."""
        return self._per_lane["length"]

    @property
    def gradient_norms(self) -> Array:
        """Largest scaled entry of the gradient of every lane, where its last step began, shape (lanes,)."""
        return self._norm

    def advance(self, ticks: int) -> int:
        """Take up to `ticks` steps of all lanes; stops at once where a start ends. Returns the steps."""
        return int(self._library.climb(ctypes.byref(self._batch), ticks))

    def reached(self) -> list[Reached]:
        """The rungs finished since the last call, in order; lanes whose start has ended are empty then."""
        found = []
        ended = self._state == ENDED
        last = {self._records[i].lane: i for i in range(self._batch.recorded)}
        for i in range(self._batch.recorded):
            one = self._records[i]
            over = bool(ended[one.lane]) and last[one.lane] == i
            found.append(Reached(one.lane, one.start, Rung.computed(one, self._paths[i].copy()), over))
        self._batch.recorded = 0
        self._state[ended] = EMPTY
        return found


def climb(climbs: Climbs, paths: Sequence[Array], ticks: int = 50) -> list[list[Rung]]:
    """Climb the whole ladder from every path, as many at once as there are lanes.

    Args:
        climbs: Lanes, all of them empty.
        paths: First paths, each of shape (size,).
        ticks: Steps between two looks at what has ended.

    Returns:
        For each path the rungs that it came to.
    """
    found: list[list[Rung]] = [[] for _ in paths]
    waiting = list(range(len(paths)))
    while waiting or climbs.active:
        for lane in climbs.empty[: len(waiting)]:
            start = waiting.pop(0)
            climbs.put(int(lane), start, paths[start], 0, True)
        climbs.advance(ticks)
        for one in climbs.reached():
            found[one.start].append(one.rung)
    return found
