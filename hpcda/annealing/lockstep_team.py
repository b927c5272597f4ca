"""A lockstep team: as many starts in progress as the processor has vector lanes, the others waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hpcda.action import Action
from hpcda.annealing.anneal import Climb
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.lockstep import Lockstep, Settings, climbs_of, lanes_that_fit
from hpcda.annealing.schedule import PATIENCE, Pool, capacity, few, width
from hpcda.annealing.team import Finished
from hpcda.annealing.tied import TiedLockstep
from hpcda.annealing.widths import Widths
from hpcda.formatting import counted

SLICE_SECONDS = 0.05
"""How long a call works before it hands over the rungs finished in it."""
TOLERANCE = 1e-8
LOOK_SECONDS = 0.005
"""How long it works before it looks whether there is room for another start."""


class Pace:
    """Advances all lanes until one ends or a slice of time is over.

    Attributes:
        lockstep: The lanes.
        every_step: Whether it is a single step instead.
        seconds: How long the last `advance` took.
        done: Steps in it.
    """

    def __init__(self, lockstep: Lockstep | TiedLockstep) -> None:
        self.lockstep = lockstep
        self.every_step = False
        self.seconds = 0.0
        self.done = 0
        self._ticks = 1

    def advance(self) -> None:
        """Advance the lanes."""
        began = time.perf_counter()
        self.done = self.lockstep.advance(1 if self.every_step else self._ticks)
        self.seconds = time.perf_counter() - began
        if self.done:
            wanted = LOOK_SECONDS * self.done / max(self.seconds, 1e-9)
            self._ticks = int(np.clip(wanted, 1, 2 * self._ticks))

    @property
    def action(self) -> float:
        """Sum of the actions of the lanes at work."""
        return float(self.lockstep.actions[self.at_work].sum())

    @property
    def at_work(self) -> npt.NDArray[np.bool_]:
        """Which lanes hold a path whose numbers are finite, shape (lanes,)."""
        one = self.lockstep
        found: npt.NDArray[np.bool_] = (
            np.isfinite(one.actions) & np.isfinite(one.gradient_norms) & np.isfinite(one.steps)
        )
        return found


class LockstepTeam:
    """A `Team` that works on as many climbs as the processor's vectors have lanes, and holds more.

    Once no more are to come, a climb that has finished a rung leaves its lane to one that is less far; and
    the last climbs go over to fewer lanes, whose steps take less time, in the middle of their rungs.

    Args:
        action: The action.
        ladder: The rungs.
        max_iterations: Limit of factorizations at one rung.
        barrier: Weight of the barrier between two bounds at the first rung.
        rung_tolerance: Relative error of the action at rungs below the last.
        watch: Called after every slice of work, with (iteration, sum of the actions).
        lanes: Starts worked on at once; None for the width of the vectors, less where `share` is small.
        share: Starts there are for each team, None for as many as there are lanes.
        elimination: How the unknowns are eliminated: "auto", or one of
            `hpcda.annealing.eliminations.ELIMINATIONS`.
        tolerance: Largest entry of the projected gradient, each times the scale of its unknown, at which a
            rung has converged.
    """

    every_step = False
    """Whether every call of `_step` makes one step of all lanes."""

    def __init__(
        self,
        action: Action,
        ladder: Ladder,
        max_iterations: int = 1000,
        barrier: float = 1e-3,
        rung_tolerance: float = 1e-5,
        watch: Callable[[int, float], None] | None = None,
        lanes: int | None = None,
        share: float | None = None,
        elimination: str = "auto",
        tolerance: float = TOLERANCE,
    ) -> None:
        if lanes is None:
            most = lanes_that_fit(action, elimination)
            lanes = most if share is None else width(share, most)
        self._pool: Pool[Climb] = Pool(lanes if share is None else capacity(share, lanes), ladder.rungs)
        self._widths = Widths(action, lanes)
        self._action, self._ladder = action, ladder
        self._watch = watch or (lambda iteration, value: None)
        self._settings = Settings(
            max_iterations=max_iterations,
            tolerance=tolerance,
            barrier=barrier,
            rung_tolerance=rung_tolerance,
            elimination=elimination,
        )
        self._cap = np.inf
        self._lockstep = self._lay(lanes)
        self._pace = Pace(self._lockstep)
        self._climbs: dict[int, Climb] = {}
        self._iterations, self._wasted = 0, 0.0
        self._lane_seconds = np.zeros(self._lockstep.lanes)

    @property
    def lanes(self) -> int:
        """Climbs worked on at once, but for the last ones."""
        return self._widths.most

    @property
    def linear(self) -> str:
        """See `Team`."""
        return f"Cholesky of {counted(self.lanes, 'start')} at once, {self._lockstep.plan.what}"

    @property
    def free(self) -> int:
        """See `Team`."""
        return self._pool.free([climb.next for climb in self._climbs.values()])

    @property
    def busy(self) -> bool:
        """See `Team`."""
        return bool(self._climbs) or len(self._pool) > 0

    def take(self, climb: Climb) -> None:
        """See `Team`."""
        self._pool.add(climb, climb.next)

    def drop(self, start: int) -> None:
        """See `Team`."""
        for lane in [lane for lane, climb in self._climbs.items() if climb.start == start]:
            self._lockstep.drop(lane)
            del self._climbs[lane]
        self._pool.remove(lambda climb: climb.start == start)

    @property
    def cap(self) -> float:
        """See `Team`."""
        return self._cap

    @cap.setter
    def cap(self, action: float) -> None:
        self._cap = self._lockstep.cap = action

    def level(self, last: bool) -> None:
        """See `Team`."""
        self._pool.last = last

    def work(self) -> Sequence[Finished]:
        """About `SLICE_SECONDS` of steps, or until a climb has ended or there is room for another."""
        found: list[Finished] = []
        end, free = time.perf_counter() + SLICE_SECONDS, self.free
        while True:
            self._fit()
            for lane in self._lockstep.empty:
                self._give(int(lane), self._pool.next())
            levelling = self._pool.last and len(self._pool) > 0
            self._pace.every_step = self.every_step or levelling
            lanes, new = self._advance()
            found += new
            if levelling:
                self._exchange(lanes)
            if time.perf_counter() >= end or self.free > free or any(one.ended for one in new):
                return found

    def _lay(self, lanes: int) -> Lockstep | TiedLockstep:
        """Lanes for so many climbs."""
        lockstep = climbs_of(self._action, self._ladder, lanes, self._settings)
        lockstep.cap = self._cap
        return lockstep

    def _step(self) -> None:
        """Advance all lanes for a while."""
        self._pace.advance()
        self._iterations += self._pace.done
        self._watch(self._iterations, self._pace.action)

    def _fit(self) -> None:
        """Go over to fewer lanes where the last climbs are few, or back where more have come after all."""
        climbs, lanes = len(self._climbs) + len(self._pool), self._lockstep.lanes
        if climbs > lanes < self._widths.most:
            self._go_over(self._widths.least(climbs))
        elif not (self._pool.last and few(climbs, lanes)):
            self._wasted = 0.0
        elif self._wasted >= PATIENCE:
            self._go_over(min(lanes, self._widths.least(climbs)))

    def _go_over(self, lanes: int) -> None:
        """Let all climbs go on in so many lanes."""
        if lanes == self._lockstep.lanes:
            return
        moved = [
            (self._climbs[lane], self._lane_seconds[lane], self._lockstep.lift(lane))
            for lane in sorted(self._climbs)
        ]
        self._lockstep = self._pace.lockstep = self._lay(lanes)
        self._climbs = {lane: climb for lane, (climb, _, _) in enumerate(moved)}
        self._lane_seconds, self._wasted = np.zeros(lanes), 0.0
        for lane, (_, seconds, midway) in enumerate(moved):
            self._lane_seconds[lane] = seconds
            self._lockstep.set_down(lane, midway)

    def _give(self, lane: int, climb: Climb | None) -> None:
        if climb is not None:
            self._climbs[lane] = climb
            self._lane_seconds[lane] = 0.0
            self._lockstep.put(
                lane, climb.start, climb.path, climb.next, climb.next == climb.first, climb.until
            )

    def _exchange(self, lanes: Sequence[int]) -> None:
        """Where climbs have just finished a rung, let those that are less far go on."""
        for lane in sorted(lanes, key=lambda lane: -self._climbs[lane].next):
            climb = self._climbs[lane]
            if self._pool.gives_way(climb.next):
                other = self._pool.next()
                self._pool.add(climb, climb.next)
                self._give(lane, other)

    def _advance(self) -> tuple[list[int], list[Finished]]:
        """The lanes that go on after a finished rung, and the rungs finished."""
        active = list(self._climbs)
        self._step()
        self._lane_seconds[active] += self._pace.seconds / max(len(active), 1)
        self._wasted += self._pace.seconds
        self._widths.worked(self._pace.seconds)
        found = []
        per_lane: dict[int, int] = {}
        reached = self._lockstep.reached()
        for one in reached:
            per_lane[one.lane] = per_lane.get(one.lane, 0) + 1
        for one in reached:
            climb = self._climbs[one.lane]
            seconds = float(self._lane_seconds[one.lane]) / per_lane[one.lane]
            rung = one.rung.at(one.rung.number, seconds)
            climb = self._climbs[one.lane] = climb.after(rung)
            found.append(Finished(climb, rung, one.ended))
            if one.ended:
                del self._climbs[one.lane]
        for lane in per_lane:
            self._lane_seconds[lane] = 0.0
        return [lane for lane in per_lane if lane in self._climbs], found

    def destroy(self) -> None:
        """See `Team`."""
        self._widths.close()
