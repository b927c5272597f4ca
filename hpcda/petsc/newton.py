"""Trust-region Newton method with the exact Hessian, on the unknowns that are not at a bound.

Each step minimizes the quadratic model within ‖S⁻¹ d‖ ≤ Δ, S the natural size of each unknown: (H + τ S⁻²) d
= -g with the τ ≥ 0 that makes the matrix positive definite (the inertia of its factor tells) and the step as
long as Δ, found by Newton's iteration on 1/‖S⁻¹ d‖ (Moré & Sorensen, SIAM J. Sci. Stat. Comput. 4, 553
(1983); Conn, Gould, Toint, Trust-Region Methods, SIAM 2000, section 7.3). Negative curvature is thus followed
as far as the model can be trusted. Bounds: unknowns that the gradient pushes against their bound are held,
the step is projected (Bertsekas, SIAM J. Control Optim. 20, 221 (1982)). The end is where Newton's decrement
is at the level of rounding.

At the first rung of a start the action hardly depends on some directions, and a random path between two
bounds would stay at whichever bound it meets first. There the minimization begins with a weak logarithmic
barrier, -μ Σ [log(X - l) + log(u - X)] (Nocedal & Wright, Numerical Optimization, Springer 2006, section
19.6), which is then taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcda.annealing.reasons import Reason
from hpcda.errors import InputError, Mistake
from hpcda.petsc.linear import Choice, chain, configure, positive_definite
from hpcda.petsc.options import PREFIX
from hpcda.petsc.start import PETSc, TaoReason
from hpcda.petsc.system import System
from hpcda.problem import Numbers

RADIUS = 1.0
"""First radius, times the square root of the number of unknowns: every unknown may move by its own size."""
ACCEPT, POOR, GOOD = 1e-3, 0.25, 0.75
SHRINK, GROW = 0.25, 2.5
SHORT, LONG = 0.6, 1.3
"""A shifted step may be this much shorter or longer than the radius."""
RAISE = 8.0
EXACT, LOOSE = (20, 1.0), (5, 3.0)
"""A step inside the radius that is shorter still is taken after so many solutions, or where its shift is at
most this factor from one that is too small. Loose where paths are wide: a third fewer solutions."""
TRIES, LARGEST = 60, 1e30
IMPATIENT = 3
"""A shifted system may take conjugate gradients this many times fewer iterations: convex ones need few."""
PATIENCE = 3
NEXT = ("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
"""Option prefixes, after ours, of the linear solvers that stand in for the first."""
NOT_DEFINITE = (71, 81)
"""PETSc's errors at a pivot of an LU and of a Cholesky factorization."""
INSIDE = 1e-2
"""With a barrier, a path begins at least this part of the width away from its bounds."""


@dataclass
class Progress:
    """Where an ongoing minimization stands: radius and shift of the last step, and counts."""

    radius: float = 0.0
    shift: float = 0.0
    factorizations: int = 0
    reason: Reason = Reason.STOPPED_ITERATIONS


@dataclass
class Step:
    """A step of the quadratic model: its shift, its scaled length, and the decrease it promises."""

    shift: float
    length: float
    promise: float


class TrustNewton:
    """The context of a TAO of type python.

    Args:
        system: The action as PETSc objects.
        barrier: Weight of the barrier at the first rung, in units of the action; 0 for none.
        decrement: Relative decrease of the action below which a Newton step is the last one.
        elimination: How linear systems are solved: "auto", or one of
            `hpcda.annealing.eliminations.ELIMINATIONS`.
    """

    def __init__(
        self, system: System, barrier: float = 0.0, decrement: float = 1e-12, elimination: str = "auto"
    ) -> None:
        self.system = system
        self._elimination = elimination
        self.decrement = decrement
        self.fresh = False
        self._barrier = barrier
        self._weight = 0.0
        self.progress = Progress()
        self.chain: list[Choice] = []
        self._solvers: list[Any] = []
        self._ksp: Any = None
        self._limit, self._gave_up = 0, 0
        self._solved = False
        self._vectors: list[Any] = []

    def create(self, tao: Any) -> None:
        """Make the vectors, once."""
        system = self.system
        self._vectors = [system.x.duplicate() for _ in range(8)]
        self._metric = self._vectors.pop()
        self._metric.array[:] = system.scale.array_r**-2.0

    def setFromOptions(self, tao: Any) -> None:  # noqa: N802
        """The linear solver that fits (`hpcda.petsc.linear`), unless options say otherwise."""
        self._free_solvers()
        self.chain = chain(self.system, self._elimination)
        self._next_solver()

    def _next_solver(self) -> bool:
        """Go on to the next linear solver of the chain, made where it is needed first; False at its end."""
        number = 0 if self._ksp is None else self._solvers.index(self._ksp) + 1
        if number == len(self.chain):
            return False
        if number == len(self._solvers):
            ksp = PETSc.KSP().create(comm=self.system.x.comm)
            ksp.setOptionsPrefix(PREFIX if number == 0 else f"{PREFIX}{NEXT[number - 1]}_")
            ksp.setOperators(self.system.hessian, self.system.hessian)
            configure(ksp, self.chain[number], self.system)
            ksp.setFromOptions()
            self._limit = ksp.getTolerances()[3] if number == 0 else self._limit
            self._solvers.append(ksp)
        self._ksp, self._gave_up = self._solvers[number], 0
        return True

    def _free_solvers(self) -> None:
        for ksp in self._solvers:
            ksp.destroy()
        self._solvers, self._ksp = [], None

    def destroy(self, tao: Any) -> None:
        """Free the linear solvers and the vectors."""
        self._free_solvers()
        if self._vectors:
            for thing in (*self._vectors, self._metric):
                thing.destroy()
        self._vectors = []

    def solve(self, tao: Any) -> None:
        """Minimize from the vector that `tao` holds; where the path is `fresh`, with the barrier first."""
        system = self.system
        self.progress = Progress()
        self._ksp, self._gave_up = self._solvers[0], 0
        self._project(system.x)
        inside = self._between()
        done = 0
        if self.fresh and self._barrier > 0.0 and self._total(float(inside.any())) > 0.0:
            self._weight = self._barrier
            low, high, x = system.lower.array_r[inside], system.upper.array_r[inside], system.x.array
            margin = INSIDE * (high - low)
            x[inside] = np.clip(x[inside], low + margin, high - margin)
            done = self._minimize(tao, 0)
            self._weight = 0.0
        self._minimize(tao, done)
        tao.setConvergedReason(_NATIVE.get(self.progress.reason, TaoReason.DIVERGED_USER))

    def _minimize(self, tao: Any, done: int) -> int:
        """Minimize, barrier included; returns the number of iterations, those `done` before included."""
        system, progress = self.system, self.progress
        progress.radius, progress.shift = RADIUS * np.sqrt(system.x.getSize()), 0.0
        progress.reason = Reason.STOPPED_ITERATIONS
        most, tolerance = tao.getMaximumIterations(), tao.getTolerances()[0]
        value, length = self._evaluate(tao), 0.0
        for iteration in range(done, most + 1):
            tao.setIterationNumber(iteration)
            held = held_unknowns(system)
            norm = self._norm(held)
            if not (np.isfinite(value) and np.isfinite(norm)):
                progress.reason = Reason.FAILED_NON_FINITE
                return iteration
            tao.monitor(its=iteration, f=value, res=norm, cnorm=0.0, step=length)
            if norm <= 1e-2 * tolerance:
                progress.reason = Reason.CONVERGED_GRADIENT
                return iteration
            if iteration == most:
                break
            tao.computeHessian(system.x, system.hessian, system.hessian)
            value, length, reason = self._advance(tao, value, held, norm)
            if reason in (Reason.FAILED_LINEAR, Reason.FAILED_TRUST_REGION) and self._next_solver():
                progress.radius, progress.shift = RADIUS * np.sqrt(system.x.getSize()), 0.0
            elif reason is not None:
                tao.setIterationNumber(iteration + 1)
                progress.reason = reason
                return iteration + 1
        return most

    def _between(self) -> Numbers:
        """Local unknowns that have two bounds."""
        low, high = self.system.lower.array_r, self.system.upper.array_r
        return np.asarray((low > PETSC_LOWEST) & (high < -PETSC_LOWEST) & (low < high))

    def _total(self, value: float) -> float:
        comm = self.system.x.comm
        return value if comm.size == 1 else float(comm.tompi4py().allreduce(value))

    def _evaluate(self, tao: Any) -> float:
        """The action at `x`, the barrier included where there is one, and its gradient in the system."""
        system = self.system
        value = float(tao.computeObjectiveGradient(system.x, system.gradient))
        if not self._weight:
            return value
        inside = self._between()
        x = system.x.array_r[inside]
        low, high = x - system.lower.array_r[inside], system.upper.array_r[inside] - x
        if self._total(float(np.any(low <= 0.0) or np.any(high <= 0.0))):
            return float("inf")
        system.gradient.array[inside] += self._weight * (1.0 / high - 1.0 / low)
        return value - self._weight * self._total(float(np.sum(np.log(low)) + np.sum(np.log(high))))

    def _add_barrier(self, diagonal: Any, x: Any) -> None:
        inside = self._between()
        place = x.array_r[inside]
        low, high = place - self.system.lower.array_r[inside], self.system.upper.array_r[inside] - place
        diagonal.array[inside] += self._weight * (low**-2.0 + high**-2.0)

    def _advance(
        self, tao: Any, value: float, held: Numbers, norm: float
    ) -> tuple[float, float, Reason | None]:
        """One accepted step, or the reason why there is none left: (action, scaled length, reason)."""
        system, progress = self.system, self.progress
        old, old_gradient, rhs, step, diagonal, _, _ = self._vectors
        system.gradient.copy(rhs)
        rhs.scale(-1.0)
        rhs.array[held] = 0.0
        hold(system, held)
        system.hessian.getDiagonal(diagonal)
        if self._weight:
            self._add_barrier(diagonal, system.x)
        system.x.copy(old)
        system.gradient.copy(old_gradient)
        tolerance = tao.getTolerances()[0]
        floor = self.decrement * abs(value)
        noise = 10 * np.finfo(float).eps * abs(value)
        for attempt in range(TRIES):
            model = self._model_step(rhs, step, norm, solved=attempt > 0)
            if model is None:
                return value, 0.0, Reason.FAILED_LINEAR
            system.x.waxpy(1.0, step, old)
            self._project(system.x)
            moved = self._evaluate(tao)
            ratio = (value - moved + noise) / (model.promise + noise) if np.isfinite(moved) else -1.0
            last = model.promise <= floor and (model.shift == 0.0 or norm <= tolerance)
            if ratio < POOR:
                progress.radius = SHRINK * model.length
            elif ratio > GOOD and model.length > SHORT * progress.radius:
                progress.radius = max(progress.radius, GROW * model.length)
            if ratio > ACCEPT:
                return moved, model.length, Reason.CONVERGED_DECREMENT if last else None
            old.copy(system.x)
            old_gradient.copy(system.gradient)
            if norm <= tolerance and model.promise <= floor:
                return value, 0.0, Reason.CONVERGED_GRADIENT
            if model.promise <= (1e4 * floor if model.shift == 0.0 else noise):
                return (
                    value,
                    0.0,
                    Reason.CONVERGED_DECREMENT if model.shift == 0.0 else Reason.FAILED_TRUST_REGION,
                )
        return value, 0.0, Reason.FAILED_TRUST_REGION

    def _model_step(self, rhs: Any, step: Any, norm: float, solved: bool) -> Step | None:
        """Minimize the quadratic model in the trust region; None where no shift makes it convex.

        Where it is `solved`, `step` is the solution at the last shift, and the matrix still factorized there.
        """
        progress = self.progress
        radius = progress.radius
        low, high = 0.0, np.inf
        zero_open = True
        shift = progress.shift
        most, near = LOOSE if len(self.chain) > 1 else EXACT
        for attempt in range(TRIES):
            convex = (solved and attempt == 0) or self._solve_shifted(shift, rhs, step)
            length, inverse = self._lengths(step, shift) if convex else (0.0, 0.0)
            if not convex or inverse <= 0.0:
                low = max(low, shift)
                zero_open = False
                guess = 0.1 * norm / radius if shift == 0.0 else RAISE * shift
                shift = (
                    max(guess, RAISE * low, 1e-12)
                    if not np.isfinite(high)
                    else np.sqrt(max(low, 1e-3 * high) * high)
                )
                if shift > LARGEST:
                    return None
                continue
            inside = length <= LONG * radius
            enough = length >= SHORT * radius or attempt > most or shift < near * low
            if inside and (shift == 0.0 or enough):
                break
            if inside:
                high = shift
            else:
                low = max(low, shift)
            wanted = shift + (length / inverse) * (length - radius) / radius
            if inside and zero_open and wanted <= 1e-2 * shift:
                shift = 0.0
                zero_open = False
                continue
            if not (low < wanted < high):
                if not np.isfinite(high):
                    wanted = RAISE * max(low, 1e-12)
                else:
                    wanted = np.sqrt(max(low, 1e-3 * high) * high)
                if np.isfinite(high) and high <= low * 1.01:
                    break
            shift = float(wanted)
        else:
            return None
        progress.shift = shift
        return Step(shift, length, 0.5 * rhs.dot(step) + 0.5 * shift * length**2)

    def _solve_shifted(self, shift: float, rhs: Any, step: Any) -> bool:
        """Solve with H + shift S⁻²; True where that is positive definite.

        An iterative solver that reaches its limit counts as one that met negative curvature: near the edge of
        convexity it meets it late, and more shift helps. Where that happens `PATIENCE` times without any
        shift, the solver is too weak, and the next one is tried.
        """
        hessian, diagonal, work = self.system.hessian, self._vectors[4], self._vectors[5]
        work.waxpy(shift, self._metric, diagonal)
        hessian.setDiagonal(work)
        while True:
            self.progress.factorizations += 1
            self._ksp.setOperators(hessian, hessian)
            if len(self.chain) > 1:
                self._ksp.setTolerances(max_it=self._limit if shift == 0.0 else self._limit // IMPATIENT)
            try:
                self._ksp.solve(rhs, step)
            except PETSc.Error as error:
                if error.ierr not in NOT_DEFINITE and not self._solved:
                    said = str(error).splitlines()[-1].strip()
                    remedy = "check solver.elimination, solver.petsc and the options after --"
                    raise InputError(
                        Mistake("solver", f"PETSc solves no linear system: {said}", remedy)
                    ) from error
                self._ksp.getPC().reset()  # CHOLMOD cannot use again what it has begun
                return False
            self._solved = True
            reason = self._ksp.getConvergedReason()
            if shift > 0.0 or reason != PETSc.KSP.ConvergedReason.DIVERGED_MAX_IT:
                break
            self._gave_up += 1
            if self._gave_up < PATIENCE or not self._next_solver():
                break
        if reason < 0:
            return False
        slope = rhs.dot(step)
        return bool(np.isfinite(slope) and slope >= 0.0 and positive_definite(self._ksp, hessian, step, work))

    def _lengths(self, step: Any, shift: float) -> tuple[float, float]:
        """‖S⁻¹ d‖, and minus the derivative of it by the shift: positive where the matrix is convex."""
        weighted, answer = self._vectors[5], self._vectors[6]
        weighted.pointwiseMult(step, self._metric)
        length = float(np.sqrt(max(weighted.dot(step), 0.0)))
        if length == 0.0 or (shift == 0.0 and length <= LONG * self.progress.radius):
            return length, 1.0
        self._ksp.solve(weighted, answer)
        return length, float(weighted.dot(answer)) / length

    def _project(self, x: Any) -> None:
        array = x.array
        np.clip(array, self.system.lower.array_r, self.system.upper.array_r, out=array)

    def _norm(self, held: Numbers) -> float:
        return scaled_norm(self.system, held, self._vectors[0])


PETSC_LOWEST = PETSc.NINFINITY
_NATIVE = {
    Reason.CONVERGED_GRADIENT: TaoReason.CONVERGED_GATOL,
    Reason.CONVERGED_DECREMENT: TaoReason.CONVERGED_STEPTOL,
    Reason.STOPPED_ITERATIONS: TaoReason.DIVERGED_MAXITS,
    Reason.FAILED_NON_FINITE: TaoReason.DIVERGED_NAN,
    Reason.FAILED_TRUST_REGION: TaoReason.DIVERGED_TR_REDUCTION,
}


def held_unknowns(system: System) -> Numbers:
    """Local unknowns that sit at a bound which the gradient pushes against."""
    place, push, near = system.x.array_r, system.gradient.array_r, 1e-10 * system.scale.array_r
    low = (place <= system.lower.array_r + near) & (push > 0)
    high = (place >= system.upper.array_r - near) & (push < 0)
    return np.flatnonzero(low | high)


def hold(system: System, held: Numbers) -> None:
    """Make the rows and columns of held unknowns in the Hessian those of the identity; collective."""
    comm = system.x.comm
    if comm.size == 1 and not len(held):
        return
    begin = system.x.getOwnershipRange()[0]
    if comm.size == 1 or comm.tompi4py().allreduce(len(held)):
        system.hessian.zeroRowsColumns((held + begin).astype(PETSc.IntType), diag=1.0)


def scaled_norm(system: System, held: Numbers, work: Any) -> float:
    """Largest entry of the gradient on unknowns that are not held, each times the scale of its unknown."""
    work.pointwiseMult(system.gradient, system.scale)
    work.array[held] = 0.0
    return float(work.norm(PETSc.NormType.NORM_INFINITY))
