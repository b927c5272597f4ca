"""Many starts in lockstep as a TAO of type python over the paths of all lanes, stacked in one vector.

TAO's tolerances, limits, monitors and reasons work as for any of its types: the function is the sum of the
lanes' actions, the residual the largest of their gradient norms, an iteration one step of every lane. Bounds
are kept by the lanes themselves. What the lanes compute is what they compute without PETSc, bit by bit.
"""

from __future__ import annotations

import atexit
import weakref
from typing import Any

from hpcda.action import Action
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.lockstep import Lockstep
from hpcda.annealing.lockstep_team import TOLERANCE, LockstepTeam, Pace
from hpcda.annealing.tied import TiedLockstep
from hpcda.petsc.options import PREFIX
from hpcda.petsc.start import PETSc, TaoReason

_alive: weakref.WeakSet[TaoLockstepTeam] = weakref.WeakSet()


@atexit.register
def _free() -> None:
    """PETSc must not outlive its objects."""
    for team in list(_alive):
        team.destroy()


class TaoContext:
    """The context of the TAO: `solve` advances all lanes until one ends or a slice of time is over."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def solve(self, tao: Any) -> None:
        """Advance the lanes."""
        pace = self._pace
        pace.advance()
        at_work, lockstep = pace.at_work, pace.lockstep
        tao.setIterationNumber(tao.getIterationNumber() + pace.done)
        tao.monitor(
            its=tao.getIterationNumber(),
            f=pace.action,
            res=float(lockstep.gradient_norms[at_work].max(initial=0.0)),
            cnorm=0.0,
            step=float(lockstep.steps[at_work].max(initial=0.0)),
        )
        tao.setConvergedReason(TaoReason.CONVERGED_USER)


class TaoLockstepTeam(LockstepTeam):
    """A `LockstepTeam` whose tolerances, limits and monitors are those of a TAO with PETSc's options.

    Args:
        action: The action.
        ladder: The rungs.
        max_iterations: Limit of factorizations at one rung, unless an option gives another.
        **others: What else a `LockstepTeam` takes, but its tolerance.
    """

    def __init__(
        self,
        action: Action,
        ladder: Ladder,
        max_iterations: int = 1000,
        **others: Any,
    ) -> None:
        tao = PETSc.TAO().create(comm=PETSc.COMM_SELF)
        tao.setOptionsPrefix(PREFIX)
        tao.setTolerances(gatol=TOLERANCE, grtol=0.0, gttol=0.0)
        tao.setMaximumIterations(max_iterations)
        tao.setType(PETSc.TAO.Type.PYTHON)
        tao.setFromOptions()
        self._tao = tao
        self._stack: Any = None
        tolerance = tao.getTolerances()[0]
        super().__init__(action, ladder, tao.getMaximumIterations(), tolerance=tolerance, **others)
        tao.setPythonContext(TaoContext(self._pace))
        tao.setMonitor(lambda tao: self._watch(tao.getIterationNumber(), tao.getObjectiveValue()))
        self.every_step = any(
            name.startswith(f"{PREFIX}tao_monitor") or name.startswith(f"{PREFIX}tao_view")
            for name in PETSc.Options().getAll()
        )
        tao.setUp()
        _alive.add(self)

    def _lay(self, lanes: int) -> Lockstep | TiedLockstep:
        """See `LockstepTeam`; the paths of all lanes are TAO's solution."""
        lockstep = super()._lay(lanes)
        if self._stack is not None:
            self._stack.destroy()
        self._stack = PETSc.Vec().createWithArray(lockstep.stacked.ravel(), comm=PETSc.COMM_SELF)
        self._tao.setSolution(self._stack)
        return lockstep

    def _step(self) -> None:
        self._tao.solve()

    def destroy(self) -> None:
        """See `Team`."""
        if self in _alive:
            _alive.discard(self)
            super().destroy()
            self._tao.destroy()
            self._stack.destroy()
