"""Newton steps of a layered network at Rf = ∞ by PETSc's conjugate gradients.

Matrix and preconditioner are shells: the products, and the preconditioner, of
`hpcda.annealing.layered.krylov`, which ranks share;
vectors are on every rank, so that all ranks of a start iterate alike. Steps of the exact Hessian end where it
turns out negative (KSPSTCG without a radius: T. Steihaug, SIAM J. Numer. Anal. 20, 626 (1983)). Options
`-ksp_…` and `-pc_…` change what is set here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from hpcda.action.exact_network import ExactNetwork
from hpcda.annealing.layered.krylov import FLOOR, MOST, TOLERANCE, Krylov, KrylovModel
from hpcda.annealing.layered.products import Product
from hpcda.errors import InputError, Mistake
from hpcda.petsc.options import PREFIX
from hpcda.petsc.start import PETSc
from hpcda.problem import Array

FAR = 1e30
"""A residual that grows on its way does not end a step: negative curvature does."""


@contextlib.contextmanager
def _options_blamed() -> Iterator[None]:
    """PETSc's errors as mistakes in its options: what is set here works."""
    try:
        yield
    except PETSc.Error as error:
        words = str(error).strip().splitlines()[-1].strip()
        problem = f"PETSc ends with {words!r}"
        raise InputError(Mistake("solver.petsc", problem, "check its options, in PETSc's manual")) from error


class _Shell:
    """The context of the matrix, and of the preconditioner: a product of arrays."""

    product: Product

    def mult(self, matrix: Any, x: Any, y: Any) -> None:
        y.array[:] = self.product(x.array_r)

    def apply(self, pc: Any, x: Any, y: Any) -> None:
        y.array[:] = self.product(x.array_r)


class PetscModel(KrylovModel):
    """A model without a matrix, whose steps PETSc solves for.

    Args:
        action: The network and its pairs.
        point: Unknowns, shape (size,).
        exact: Whether H is the exact Hessian, not that of Gauss and Newton.
        solver: PETSc's solver.
    """

    def __init__(self, action: ExactNetwork, point: Array, exact: bool, solver: _Solver) -> None:
        super().__init__(action, point, exact)
        self._solver = solver

    def solve(
        self, shift: float, tolerance: float = TOLERANCE, most: int = MOST, *, enough: float = 0.0
    ) -> Array | None:
        """See `KrylovModel`; `enough` is left to PETSc's options."""
        near = self.power(-1.0, max(shift, FLOOR * self.scale))
        return self._solver.solve(
            lambda v: self.product(v) + shift * v, near, -self.gradient, tolerance, most
        )


class _Solver:
    """A KSP and its shells, made once; options may change it."""

    def __init__(self, size: int, kind: str) -> None:
        alone = PETSc.COMM_SELF
        self._matrix_shell, self._near_shell = _Shell(), _Shell()
        self._matrix = PETSc.Mat().createPython((size, size), self._matrix_shell, comm=alone)
        self._matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
        self._right, self._step = self._matrix.createVecs()
        self._ksp = ksp = PETSc.KSP().create(comm=alone)
        ksp.setOptionsPrefix(PREFIX)
        ksp.setOperators(self._matrix)
        ksp.setType(kind)
        if not PETSc.Options().hasName(f"{PREFIX}ksp_type"):  # others may not know this norm
            ksp.setNormType(PETSc.KSP.NormType.NATURAL)
        ksp.setTolerances(rtol=TOLERANCE, atol=0.0, divtol=FAR, max_it=MOST)
        pc = ksp.getPC()
        pc.setType(PETSc.PC.Type.PYTHON)
        pc.setPythonContext(self._near_shell)
        with _options_blamed():
            ksp.setFromOptions()
        self._given = ksp.getTolerances()

    def solve(
        self, product: Product, near: Product, right: Array, tolerance: float, most: int
    ) -> Array | None:
        """The solution, as far as so many products come; None where the matrix is not positive definite.

        Raises:
            InputError: PETSc cannot solve with the options that it was given.
        """
        self._matrix_shell.product, self._near_shell.product = product, near
        if (tolerance, most) != (TOLERANCE, MOST):
            self._ksp.setTolerances(rtol=tolerance, max_it=most)
        self._right.array[:] = right
        with _options_blamed():
            self._ksp.solve(self._right, self._step)
        reason, found = self._ksp.getConvergedReason(), self._step.array_r.copy()
        rtol, atol, divtol, most = self._given
        self._ksp.setTolerances(rtol=rtol, atol=atol, divtol=divtol, max_it=most)
        ended = PETSc.KSP.ConvergedReason
        negative = getattr(ended, "CONVERGED_NEG_CURVE", None) or ended.CONVERGED_CG_NEG_CURVE
        if reason == negative or (reason < 0 and reason != ended.DIVERGED_MAX_IT):
            return None
        return found

    def destroy(self) -> None:
        for thing in (self._ksp, self._matrix, self._right, self._step):
            thing.destroy()


class PetscKrylov(Krylov):
    """PETSc's conjugate gradients; `destroy` frees what it holds.

    Args:
        action: The network and its pairs.
    """

    name = "conjugate gradients of PETSc"

    def __init__(self, action: ExactNetwork) -> None:
        super().__init__(action)
        self._convex = _Solver(action.size, PETSc.KSP.Type.CG)
        self._any = _Solver(action.size, PETSc.KSP.Type.STCG)

    def gauss_newton(self, point: Array) -> PetscModel:
        """The model with the Gauss-Newton matrix."""
        return PetscModel(self.action, point, False, self._convex)

    def exact(self, point: Array) -> PetscModel:
        """The model with the exact Hessian."""
        return PetscModel(self.action, point, True, self._any)

    def destroy(self) -> None:
        """Free PETSc's objects."""
        self._convex.destroy()
        self._any.destroy()
