"""Newton's method with the exact Hessian, shifted where it is indefinite, on the unknowns that no bound holds.

Each step solves (H + τ S⁻²) d = -g on the free unknowns, S the natural size of each unknown, with τ = 0 wherever H is
positive definite there (its factor's inertia tells) and else raised until it is (Wächter & Biegler, Math. Program. 106,
25 (2006), section 3.1). The step is shortened along its projection onto the bounds until the action falls (Bertsekas,
SIAM J. Control Optim. 20, 221 (1982)). It ends where Newton's decrement is at the level of rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcda.annealing.reasons import Reason
from hpcda.petsc.options import PREFIX
from hpcda.petsc.start import PETSc
from hpcda.petsc.system import System

SUFFICIENT = 1e-4
SHORTEST = 1e-14
RAISE, LOWER = 8.0, 3.0
HOPELESS, LARGEST = 1e12, 1e30


@dataclass
class Progress:
    """Where an ongoing minimisation stands: the last shift, the least one that the next step may take, and counts."""

    shift: float = 0.0
    least: float = 0.0
    factorizations: int = 0
    reason: Reason = Reason.STOPPED_ITERATIONS


class ShiftedNewton:
    """The context of a TAO of type python.

    Args:
        system: The action as PETSc objects.
        decrement: Relative decrease of the action below which a Newton step is the last one.
    """

    def __init__(self, system: System, decrement: float = 1e-12) -> None:
        self.system = system
        self.decrement = decrement
        self.progress = Progress()
        self._ksp: Any = None
        self._vectors: list[Any] = []

    def create(self, tao: Any) -> None:
        """Make the linear solver and the vectors, once."""
        system = self.system
        self._ksp = PETSc.KSP().create(comm=system.x.comm)
        self._ksp.setOptionsPrefix(PREFIX)
        self._ksp.setOperators(system.hessian, system.hessian)
        self._vectors = [system.x.duplicate() for _ in range(6)]

    def setFromOptions(self, tao: Any) -> None:  # noqa: N802
        """Direct factorization in natural order, unless options say otherwise."""
        direct_solver(self._ksp)
        self._ksp.setFromOptions()

    def destroy(self, tao: Any) -> None:
        """Free the linear solver and the vectors."""
        for thing in (*self._vectors, self._ksp):
            if thing is not None:
                thing.destroy()
        self._vectors, self._ksp = [], None

    def solve(self, tao: Any) -> None:
        """Minimise from the vector that `tao` holds."""
        system, progress = self.system, self.progress
        progress.shift, progress.least, progress.factorizations = 0.0, 0.0, 0
        x, g = system.x, system.gradient
        self._project(x)
        most, tolerance = tao.getMaximumIterations(), tao.getTolerances()[0]
        value = tao.computeObjectiveGradient(x, g)
        last = PETSc.TAO.Reason.DIVERGED_MAXITS
        progress.reason = Reason.STOPPED_ITERATIONS
        length = 1.0
        for iteration in range(most + 1):
            tao.setIterationNumber(iteration)
            held = self._held(x, g)
            norm = self._norm(g, held)
            if not (np.isfinite(value) and np.isfinite(norm)):
                progress.reason, last = Reason.FAILED_NON_FINITE, PETSc.TAO.Reason.DIVERGED_NAN
                break
            tao.monitor(its=iteration, f=value, res=norm, cnorm=0.0, step=length)
            if iteration == most:
                break
            tao.computeHessian(x, system.hessian, system.hessian)
            direction = self._direction(x, g, held, norm)
            if direction is None:
                progress.reason, last = Reason.FAILED_LINEAR, PETSc.TAO.Reason.DIVERGED_USER
                break
            step, slope, shift = direction
            floor = self.decrement * abs(value)
            moved, length = self._search(tao, step, slope, value, floor)
            flat = shift == 0.0 and -slope <= 2.0 * floor
            if moved is None or flat:
                done = flat or (shift == 0.0 and -slope <= 1e4 * floor)
                if moved is not None:
                    value = moved
                if done or norm <= tolerance:
                    tao.setIterationNumber(iteration + 1)
                    progress.reason = Reason.CONVERGED_GRADIENT if norm <= tolerance else Reason.CONVERGED_DECREMENT
                    last = PETSc.TAO.Reason.CONVERGED_STEPTOL
                    break
                if shift > HOPELESS * max(1.0, norm):
                    progress.reason, last = Reason.FAILED_LINE_SEARCH, PETSc.TAO.Reason.DIVERGED_LS_FAILURE
                    break
                progress.least = max(shift, self._smallest_shift(norm)) * RAISE**2
                continue
            value = moved
            if length < 0.1:
                progress.least = max(shift, self._smallest_shift(norm)) * RAISE
            else:
                progress.least = progress.least / RAISE if progress.least > self._smallest_shift(norm) else 0.0
        tao.setConvergedReason(last)

    @staticmethod
    def _smallest_shift(norm: float) -> float:
        return max(1e-6 * norm, 1e-12)

    def _project(self, x: Any) -> None:
        array = x.array
        np.clip(array, self.system.lower.array_r, self.system.upper.array_r, out=array)

    def _held(self, x: Any, g: Any) -> np.ndarray:
        """Local unknowns that sit at a bound which the gradient pushes against."""
        place, push, scale = x.array_r, g.array_r, self.system.scale.array_r
        near = 1e-10 * scale
        low = (place <= self.system.lower.array_r + near) & (push > 0)
        high = (place >= self.system.upper.array_r - near) & (push < 0)
        return np.flatnonzero(low | high)

    def _norm(self, g: Any, held: np.ndarray) -> float:
        work = self._vectors[0]
        work.pointwiseMult(g, self.system.scale)
        work.array[held] = 0.0
        return float(work.norm(PETSc.NormType.NORM_INFINITY))

    def _direction(self, x: Any, g: Any, held: np.ndarray, norm: float) -> tuple[Any, float, float] | None:
        """A direction of descent, the slope along it, and the shift that it took."""
        hessian, progress = self.system.hessian, self.progress
        _, rhs, step, diagonal, shifted, _ = self._vectors
        g.copy(rhs)
        rhs.scale(-1.0)
        rhs.array[held] = 0.0
        begin = x.getOwnershipRange()[0]
        if x.comm.tompi4py().allreduce(len(held)):
            hessian.zeroRowsColumns((held + begin).astype(PETSc.IntType), diag=1.0)
        hessian.getDiagonal(diagonal)
        shift = progress.least
        while True:
            if shift:
                shifted.array[:] = diagonal.array_r + shift / self.system.scale.array_r**2
                hessian.setDiagonal(shifted)
            progress.factorizations += 1
            usable = self._factor(rhs, step)
            if usable:
                slope = -rhs.dot(step)
                if np.isfinite(slope) and slope <= 0.0:
                    progress.shift = shift
                    return step, slope, shift
            if shift >= LARGEST:
                return None
            smallest = self._smallest_shift(norm)
            shift = max(progress.shift / LOWER, smallest) if shift == 0.0 else max(shift * RAISE, smallest)

    def _factor(self, rhs: Any, step: Any) -> bool:
        """Solve; True where the matrix was positive definite."""
        self._ksp.setOperators(self.system.hessian, self.system.hessian)
        try:
            self._ksp.solve(rhs, step)
        except PETSc.Error:
            return False
        if self._ksp.getConvergedReason() < 0:
            return False
        return positive_definite(self._ksp, self.system.hessian, step, self._vectors[5])

    def _search(self, tao: Any, step: Any, slope: float, value: float, floor: float) -> tuple[float | None, float]:
        """Shorten the step until the action falls enough; leaves the new place and gradient in the system."""
        system = self.system
        x, g = system.x, system.gradient
        old, old_gradient = self._vectors[0], self._vectors[3]
        x.copy(old)
        g.copy(old_gradient)
        length = 1.0
        while length > SHORTEST:
            x.waxpy(length, step, old)
            self._project(x)
            moved = tao.computeObjectiveGradient(x, g)
            work = self._vectors[4]
            work.waxpy(-1.0, old, x)
            gain = old_gradient.dot(work)
            if np.isfinite(moved) and moved <= value + SUFFICIENT * min(gain, 0.0) + 1e-3 * floor:
                return moved, length
            model = moved - value - length * slope
            best = -0.5 * length * length * slope / model if np.isfinite(moved) and model > 0 else 0.0
            length = float(np.clip(best, 0.1 * length, 0.5 * length))
            if -length * slope < 1e-3 * floor:
                break
        old.copy(x)
        old_gradient.copy(g)
        return None, length


def direct_solver(ksp: Any) -> None:
    """Defaults of a linear solver: one direct factorization, in the order of time on one rank."""
    ksp.setType(PETSc.KSP.Type.PREONLY)
    pc = ksp.getPC()
    if ksp.comm.size == 1:
        pc.setType(PETSc.PC.Type.CHOLESKY)
        pc.setFactorOrdering(PETSc.Mat.OrderingType.NATURAL)
    elif PETSc.Sys.hasExternalPackage("mumps"):
        pc.setType(PETSc.PC.Type.CHOLESKY)
        pc.setFactorSolverType("mumps")
    else:
        pc.setType(PETSc.PC.Type.REDUNDANT)


def positive_definite(ksp: Any, matrix: Any, step: Any, work: Any) -> bool:
    """Whether the factorized matrix is positive definite: by its inertia, else by its curvature along the step."""
    pc = ksp.getPC()
    if pc.getType() == PETSc.PC.Type.CHOLESKY:
        negative, zero, _ = pc.getFactorMatrix().getInertia()
        return bool(negative == 0 and zero == 0)
    matrix.mult(step, work)
    return bool(step.dot(work) > 0.0)
