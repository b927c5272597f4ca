"""Minimizers by name: our shifted Newton, and the native types of TAO and SNES, behind one interface.

Whatever a solver says of itself, the end is judged on the action: a path counts as a minimum where its scaled
gradient is within the tolerance, or where Newton's decrement says that nothing is left to gain.
"""

from __future__ import annotations

import atexit
import logging
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from hpcda.action import Action, GraphAction
from hpcda.annealing.minimizer import Own, Snes, Tao
from hpcda.annealing.minimizers import minimizer
from hpcda.annealing.reasons import Reason
from hpcda.annealing.record import Rung
from hpcda.errors import InputError, Mistake
from hpcda.petsc.distributed import DistributedSystem
from hpcda.petsc.least_squares import LeastSquares
from hpcda.petsc.linear import direct_solver, positive_definite
from hpcda.petsc.newton import TrustNewton, held_unknowns, hold, scaled_norm
from hpcda.petsc.options import PREFIX
from hpcda.petsc.start import PETSc, TaoReason
from hpcda.petsc.system import SerialSystem, System
from hpcda.problem import Array, Numbers

_log = logging.getLogger(__name__)
DECREMENT = 1e-10
STILL, PATIENCE = 1e-15, 5
"""An action that falls by less than this part of itself, so many times in a row, has ceased to fall."""
_alive: weakref.WeakSet[PetscMinimizer] = weakref.WeakSet()


@atexit.register
def _free() -> None:
    """PETSc must not outlive its objects: free those of this rank alone that nobody destroyed."""
    for one in list(_alive):
        if one.system.x.comm.size == 1:
            one.destroy()


class Stagnation:
    """When a native TAO type ends: within its tolerances, or where the action has ceased to fall.

    At large Rf the gradient's rounding errors exceed any absolute tolerance; a solver that goes on there only
    burns iterations. Whether the place is a minimum is judged afterwards.
    """

    def __init__(self) -> None:
        self._last, self._first, self._still = np.inf, np.inf, 0

    def __call__(self, tao: Any) -> None:
        """Set the reason to stop, if there is one."""
        iteration, value, norm, *_ = tao.getSolutionStatus()
        absolute, relative, total = tao.getTolerances()
        if iteration == 0:
            self._last, self._first, self._still = np.inf, norm, 0
        self._still = self._still + 1 if self._last - value <= STILL * abs(value) else 0
        self._last = value
        if not np.isfinite(value):
            tao.setConvergedReason(TaoReason.DIVERGED_NAN)
        elif norm <= max(absolute, relative * abs(value), total * self._first):
            tao.setConvergedReason(TaoReason.CONVERGED_GATOL)
        elif self._still >= PATIENCE:
            tao.setConvergedReason(TaoReason.CONVERGED_STEPTOL)
        elif iteration >= tao.getMaximumIterations():
            tao.setConvergedReason(TaoReason.DIVERGED_MAXITS)
        else:
            tao.setConvergedReason(TaoReason.CONTINUE_ITERATING)


class PetscMinimizer:
    """One minimizer with its PETSc objects, for all rungs and starts of a rank.

    Args:
        action: The action, of a path or of a graph.
        name: One of `MINIMIZERS` for single paths that PETSc makes; "auto" is "newton".
        comm: Communicator over which one path is spread (an mpi4py communicator), or None for this rank
            alone.
        max_iterations: Limit of iterations at one rung.
        barrier: Weight of the barrier between two bounds at the first rung, for `newton`.
        watch: Called at every iteration, with (iteration, action).
        elimination: How `newton` solves linear systems: "auto", or one of
            `hpcda.annealing.eliminations.ELIMINATIONS` that is PETSc's.

    Raises:
        InputError: The minimizer is unknown, or cannot do the job; so for the elimination.
    """

    def __init__(
        self,
        action: Action | GraphAction,
        name: str = "auto",
        comm: Any = None,
        max_iterations: int = 1000,
        barrier: float = 1e-3,
        watch: Callable[[int, float], None] | None = None,
        elimination: str = "auto",
    ) -> None:
        spread = comm is not None and comm.size > 1
        self._bounded = bool(np.isfinite(_bounds(action)).any())
        self.how = _how(name, self._bounded, comm.size if spread else 1)
        self.action = action
        self._watch = watch or (lambda iteration, value: None)
        self.system: System
        if isinstance(action, GraphAction):
            _refuse_graph(name, self.how, spread)
            self.system = SerialSystem(action)
        else:
            self.system = DistributedSystem(action, comm) if spread else SerialSystem(action)
        self._newton: TrustNewton | None = None
        self._squares: LeastSquares | None = None
        self._ksp: Any = None
        self.snes: Any = None
        self.tao: Any = None
        self._settings = (max_iterations, spread, barrier, elimination)
        _alive.add(self)
        try:
            if isinstance(self.how, Snes):
                self._make_snes(self.how, max_iterations)
            else:
                self._make_tao(*self._settings)
        except InputError:
            self.destroy()
            raise
        except PETSc.Error as error:
            self.destroy()
            said = str(error).splitlines()[-1]
            raise InputError(
                Mistake(
                    "PETSc options",
                    f"PETSc refuses them: {said}",
                    "check the values in solver.petsc and after --",
                )
            ) from error

    def __enter__(self) -> PetscMinimizer:
        return self

    def __exit__(self, *error: object) -> None:
        self.destroy()

    @property
    def linear(self) -> str:
        """How the linear systems of Newton's method are solved, as a sentence; empty for other minimizers."""
        return "" if self._newton is None else "; else ".join(one.sentence for one in self._newton.chain)

    def _make_tao(self, max_iterations: int, spread: bool, barrier: float, elimination: str) -> None:
        system, tao = self.system, PETSc.TAO().create(comm=self.system.x.comm)
        self.tao = tao
        tao.setOptionsPrefix(PREFIX)
        tao.setSolution(system.x)
        tao.setObjectiveGradient(system.objective_gradient, system.gradient)
        tao.setHessian(system.assemble, system.hessian, system.hessian)
        tao.setTolerances(gatol=1e-8, grtol=0.0, gttol=0.0)
        tao.setMaximumIterations(max_iterations)
        tao.setMaximumFunctionEvaluations(100 * max_iterations)
        if self._bounded:
            tao.setVariableBounds((system.lower, system.upper))
        if isinstance(self.how, Tao):
            self._set_type(tao, self.how, spread)
        else:
            self._newton = TrustNewton(system, barrier, elimination=elimination)
            tao.setType(PETSc.TAO.Type.PYTHON)
            tao.setPythonContext(self._newton)
        tao.setMonitor(self._monitor)
        tao.setFromOptions()

    def _set_type(self, tao: Any, how: Tao, spread: bool) -> None:
        tao.setType(how.type)
        if how.residuals:
            self._squares = LeastSquares(self.system)
            self._squares.connect(tao)
        if how.linear:
            tao.getKSP().setOptionsPrefix(PREFIX)
        if how.linear == "direct":
            direct_solver(tao.getKSP(), self.system)
        elif how.linear == "icc":
            tao.getKSP().setType(PETSc.KSP.Type.STCG)
            tao.getKSP().getPC().setType(PETSc.PC.Type.BJACOBI if spread else PETSc.PC.Type.ICC)
        tao.setConvergenceTest(Stagnation())

    def _make_snes(self, how: Snes, max_iterations: int) -> None:
        system, snes = self.system, PETSc.SNES().create(comm=self.system.x.comm)
        self.snes = snes
        snes.setOptionsPrefix(PREFIX)
        snes.setType(how.type)
        snes.setFunction(lambda snes, x, g: system.objective_gradient(None, x, g), system.gradient)
        snes.setJacobian(system.assemble, system.hessian, system.hessian)
        snes.setTolerances(rtol=1e-14, atol=1e-8, stol=1e-14, max_it=max_iterations)
        snes.setMaxFunctionEvaluations(100 * max_iterations)
        direct_solver(snes.getKSP(), system)
        if how.krylov:
            snes.getKSP().setType(how.krylov)
        snes.setMonitor(lambda snes, iteration, norm: self._watch(iteration, float("nan")))
        snes.setFromOptions()

    def _monitor(self, tao: Any) -> None:
        self._watch(tao.getIterationNumber(), tao.getObjectiveValue())

    def minimize(self, path: Array, rf: float, fresh: bool = False) -> Rung:
        """The minimum downhill of `path`, shape (size,), at model-error precision `rf`; see `Minimizer`."""
        system = self.system
        if self._newton is not None:
            self._newton.fresh = fresh
        if isinstance(self.how, Tao) and self.how.remembers:
            self.tao.destroy()
            if self._squares is not None:
                self._squares.destroy()
            self._make_tao(*self._settings)
        system.rf = rf
        system.load(path)
        reason, factorizations, iterations = None, 0, 0
        try:
            if self.snes is not None:
                self.snes.solve(None, system.x)
                iterations, factorizations = (
                    self.snes.getIterationNumber(),
                    self.snes.getLinearSolveIterations(),
                )
                native = self.snes.getConvergedReason()
            else:
                self.tao.solve()
                iterations = self.tao.getIterationNumber()
                native = self.tao.getConvergedReason()
        except PETSc.Error as error:
            native, reason = -1, Reason.FAILED_LINEAR
            _log.warning("a minimization at Rf = %g ended early: %s", rf, error)
        if self._newton is not None and reason is None:
            reason = self._newton.progress.reason
            factorizations = self._newton.progress.factorizations
        elif self.how.linear == "direct":
            factorizations = iterations
        norm, gain, finite = self._judge()
        found = system.path()
        parts = system.parts(system.x)
        if not (finite and np.isfinite(parts.total)):
            reason = Reason.FAILED_NON_FINITE
        elif self._newton is None or reason is None:
            reason = self._reason(native, norm, gain, parts.total, reason)
        return Rung(found, parts, norm, iterations, factorizations, reason)

    def _reason(self, native: int, norm: float, gain: float, value: float, known: Reason | None) -> Reason:
        if 0.0 <= gain <= DECREMENT * abs(value):
            return Reason.CONVERGED_DECREMENT
        if norm <= 1e-8:
            return Reason.CONVERGED_GRADIENT
        if known is not None:
            return known
        reasons = TaoReason
        if self.snes is not None:
            return (
                Reason.STOPPED_ITERATIONS
                if native == PETSc.SNES.ConvergedReason.DIVERGED_MAX_IT
                else Reason.FAILED_LINE_SEARCH
            )
        table = {
            reasons.DIVERGED_MAXITS: Reason.STOPPED_ITERATIONS,
            reasons.DIVERGED_MAXFCN: Reason.STOPPED_ITERATIONS,
            reasons.DIVERGED_NAN: Reason.FAILED_NON_FINITE,
            reasons.DIVERGED_LS_FAILURE: Reason.FAILED_LINE_SEARCH,
            reasons.DIVERGED_TR_REDUCTION: Reason.FAILED_TRUST_REGION,
        }
        return table.get(native, Reason.FAILED_OTHER)

    def _judge(self) -> tuple[float, float, bool]:
        """Scaled, projected gradient; decrease that a Newton step promises (-1: no minimum near)."""
        system = self.system
        value = system.objective_gradient(None, system.x, system.gradient)
        held = held_unknowns(system)
        if not np.isfinite(value):
            return float("nan"), -1.0, False
        work = system.gradient.duplicate()
        norm = scaled_norm(system, held, work)
        gain = -1.0
        if self._newton is None and np.isfinite(norm):
            gain = self._decrement(held, work)
        work.destroy()
        return norm, gain, bool(np.isfinite(norm))

    def _decrement(self, held: Numbers, work: Any) -> float:
        system = self.system
        if self._ksp is None:
            self._ksp = PETSc.KSP().create(comm=system.x.comm)
            direct_solver(self._ksp, system)
        system.assemble(None, system.x, None, None)
        hold(system, held)
        step, rhs = system.x.duplicate(), system.gradient.copy()
        rhs.array[held] = 0.0
        self._ksp.setOperators(system.hessian, system.hessian)
        try:
            self._ksp.solve(rhs, step)
            good = self._ksp.getConvergedReason() > 0 and positive_definite(
                self._ksp, system.hessian, step, work
            )
            gain = 0.5 * rhs.dot(step) if good else -1.0
        except PETSc.Error:
            gain = -1.0
        step.destroy()
        rhs.destroy()
        return gain

    def destroy(self) -> None:
        """Free all PETSc objects; collective where a path is spread over ranks."""
        if self not in _alive:
            return
        _alive.discard(self)
        for thing in (self.tao, self.snes, self._ksp, self._squares, self.system):
            if thing is not None:
                thing.destroy()


def _how(name: str, bounded: bool, ranks: int) -> Tao | Snes | Own:
    """What PETSc is to make for single paths.

    Raises:
        InputError: The name is none of its, or of one that cannot do the job.
    """
    how = minimizer("newton" if name == "auto" else name, bounded, ranks).how
    if how is Own.LOCKSTEP:
        problem, remedy = (
            "works on many starts, not on single paths",
            "use hpcda.petsc.make_team, or 'newton'",
        )
        raise InputError(Mistake("solver.minimizer", f"{name!r} {problem}", f"{remedy} for one path"))
    if not isinstance(how, Tao | Snes | Own):
        raise InputError(
            Mistake("solver.minimizer", f"{name!r} is not a PETSc minimizer", "use hpcda.petsc.make_team")
        )
    return how


def _bounds(action: Action | GraphAction) -> tuple[Array, Array]:
    return action.variables.bounds if isinstance(action, GraphAction) else action.problem.bounds


def _refuse_graph(name: str, how: Tao | Snes | Own, spread: bool) -> None:
    """Refuse what knows chains in time alone.

    Raises:
        InputError: It does.
    """
    if spread:
        raise InputError(Mistake("comm", "several ranks cannot share a graph", "leave comm out"))
    if isinstance(how, Tao) and how.residuals:
        problem = f"{name!r} works on sums of squares, which a graph need not be"
        raise InputError(Mistake("solver.minimizer", problem, "use 'newton' or 'ntr'"))


def make_minimizer(action: Action | GraphAction, name: str = "auto", **options: Any) -> PetscMinimizer:
    """A `PetscMinimizer`; see there."""
    return PetscMinimizer(action, name, **options)
