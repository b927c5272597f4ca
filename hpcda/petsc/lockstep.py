"""Many starts in lockstep as a TAO of type python over the paths of all lanes, stacked in one vector.

TAO's tolerances, limits, monitors and reasons work as for any of its types: the function is the sum of the
lanes' actions, the residual the largest of their gradient norms, an iteration one step of every lane. Bounds
are kept by the lanes themselves.
"""

from __future__ import annotations

import atexit
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hpcda.action import Action
from hpcda.annealing.anneal import Climb, Rung
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.lockstep import Lockstep, Settings
from hpcda.annealing.reasons import Reason
from hpcda.annealing.team import Finished
from hpcda.petsc.options import PREFIX
from hpcda.petsc.start import PETSc, TaoReason

SLICE_SECONDS = 0.05
"""How long a call works before it hands over the rungs finished in it."""
_alive: weakref.WeakSet[LockstepTeam] = weakref.WeakSet()


@atexit.register
def _free() -> None:
    """PETSc must not outlive its objects."""
    for team in list(_alive):
        team.destroy()


class LockstepNewton:
    """The context of the TAO: `solve` advances all lanes until one ends or a slice of time is over."""

    def __init__(self, lockstep: Lockstep) -> None:
        self.lockstep = lockstep
        self.every_step = False
        self.seconds = 0.0
        self._ticks = 1
        self.done = 0

    def solve(self, tao: Any) -> None:
        """Advance the lanes."""
        began = time.perf_counter()
        self.done = self.lockstep.advance(1 if self.every_step else self._ticks)
        self.seconds = time.perf_counter() - began
        if self.done:
            wanted = SLICE_SECONDS * self.done / max(self.seconds, 1e-9)
            self._ticks = int(np.clip(wanted, 1, 2 * self._ticks))
        at_work = np.isfinite(self.lockstep.actions) & np.isfinite(self.lockstep.gradient_norms)
        tao.setIterationNumber(tao.getIterationNumber() + self.done)
        tao.monitor(
            its=tao.getIterationNumber(), f=float(self.lockstep.actions[at_work].sum()), res=float(self.lockstep.gradient_norms[at_work].max(initial=0.0)),
            cnorm=0.0, step=float(self.lockstep.steps[at_work].max(initial=0.0)),
        )  # fmt: skip
        tao.setConvergedReason(TaoReason.CONVERGED_USER)


class LockstepTeam:
    """A `Team` of as many climbs as the processor's vectors have lanes.

    Args:
        action: The action.
        ladder: The rungs.
        max_iterations: Limit of factorizations at one rung.
        barrier: Weight of the barrier between two bounds at the first rung.
        rung_tolerance: Relative error of the action at rungs below the last.
        watch: Called after every slice of work, with (iteration, sum of the actions).
        lanes: Starts worked on at once; None for the width of the vectors.
    """

    def __init__(
        self,
        action: Action,
        ladder: Ladder,
        max_iterations: int = 1000,
        barrier: float = 1e-3,
        rung_tolerance: float = 1e-5,
        watch: Callable[[int, float], None] | None = None,
        lanes: int | None = None,
    ) -> None:
        self._watch = watch or (lambda iteration, value: None)
        tao = PETSc.TAO().create(comm=PETSc.COMM_SELF)
        tao.setOptionsPrefix(PREFIX)
        tao.setTolerances(gatol=1e-8, grtol=0.0, gttol=0.0)
        tao.setMaximumIterations(max_iterations)
        tao.setType(PETSc.TAO.Type.PYTHON)
        tao.setFromOptions()
        settings = Settings(
            max_iterations=tao.getMaximumIterations(),
            tolerance=tao.getTolerances()[0],
            barrier=barrier,
            rung_tolerance=rung_tolerance,
        )
        self._lockstep = Lockstep(action, ladder, lanes, settings)
        self._newton = LockstepNewton(self._lockstep)
        self._stack = PETSc.Vec().createWithArray(self._lockstep.stacked.ravel(), comm=PETSc.COMM_SELF)
        tao.setSolution(self._stack)
        tao.setPythonContext(self._newton)
        tao.setMonitor(lambda tao: self._watch(tao.getIterationNumber(), tao.getObjectiveValue()))
        options = PETSc.Options()
        self._newton.every_step = any(
            name.startswith(f"{PREFIX}tao_monitor") or name.startswith(f"{PREFIX}tao_view")
            for name in options.getAll()
        )
        tao.setUp()
        self._tao = tao
        self._climbs: dict[int, Climb] = {}
        self._lane_seconds = np.zeros(self._lockstep.lanes)
        _alive.add(self)

    @property
    def lanes(self) -> int:
        """Climbs worked on at once."""
        return self._lockstep.lanes

    @property
    def linear(self) -> str:
        """See `Team`."""
        return f"block-tridiagonal Cholesky of {self.lanes} starts at once"

    @property
    def free(self) -> int:
        """See `Team`."""
        return self._lockstep.lanes - len(self._climbs)

    @property
    def busy(self) -> bool:
        """See `Team`."""
        return bool(self._climbs)

    def take(self, climb: Climb) -> None:
        """See `Team`."""
        lane = int(self._lockstep.empty[0])
        self._climbs[lane] = climb
        self._lane_seconds[lane] = 0.0
        self._lockstep.put(lane, climb.start, climb.path, climb.next, climb.next == climb.first)

    def work(self) -> Sequence[Finished]:
        """About `SLICE_SECONDS` of steps, or until a climb has ended."""
        active = list(self._climbs)
        self._tao.solve()
        self._lane_seconds[active] += self._newton.seconds / max(len(active), 1)
        found = []
        per_lane: dict[int, int] = {}
        reached = self._lockstep.reached()
        for one in reached:
            per_lane[one.lane] = per_lane.get(one.lane, 0) + 1
        for one in reached:
            climb = self._climbs[one.lane]
            seconds = float(self._lane_seconds[one.lane]) / per_lane[one.lane]
            reason = one.outcome.reason
            goes_on = reason.converged or reason is Reason.STOPPED_ITERATIONS
            climb = replace(
                climb, next=one.rung + 1, path=one.outcome.path, failed=None if goes_on else reason
            )
            self._climbs[one.lane] = climb
            found.append(Finished(climb, Rung(one.rung, one.outcome, seconds), one.ended))
            if one.ended:
                del self._climbs[one.lane]
        for lane in per_lane:
            self._lane_seconds[lane] = 0.0
        return found

    def destroy(self) -> None:
        """See `Team`."""
        if self in _alive:
            _alive.discard(self)
            self._tao.destroy()
            self._stack.destroy()
