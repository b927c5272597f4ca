"""PETSc's direct solvers behind the interface of `hpcda.linalg.elimination`, on one rank.

| | PETSc's own | MUMPS | CHOLMOD | conjugate gradients |
|---|---|---|---|---|
| solution | factor | factor | factor | iterations, to `ACCURACY` |
| inertia | signs of D in Uᵀ D U | its own count | - | - |
| log det A | D | ICNTL(33) | - | - |
| sample | U⁻¹ D^{-1/2} z | A^{-1/2} z | A^{-1/2} z | - |
| inverse on the pattern | solutions for unit vectors, everywhere | | | |

A^{-1/2} z takes some tens of factorizations (`hpcda.linalg.root`), the inverse on the pattern n solutions:
`hpcda.linalg.tree` has both for the price of a factorization. What is not given exactly is refused.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from hpcda.annealing.elimination import FRONTS, Linear
from hpcda.linalg.elimination import (
    Array,
    Inertia,
    NotOfferedError,
    NotPositiveDefiniteError,
    Pattern,
)
from hpcda.linalg.order import counted
from hpcda.linalg.root import inverse_root
from hpcda.petsc.linear import CHOLMOD, Choice, configure
from hpcda.petsc.start import PETSc

PREFIX = "hpcda_elimination_"
MUMPS = "mumps"
ACCURACY, MOST = 1e-13, 10_000
"""Of conjugate gradients: relative error in the natural norm, and the most iterations."""
TOGETHER = 64
"""Right-hand sides that are solved at once."""
POWERS, BELOW, TRIES = 12, 0.5, 60
"""Steps of inverse iteration, what part of its value bounds the spectrum, and how often that is halved."""
_EXACT = "a tree of fronts (hpcda.linalg.tree), MUMPS and PETSc's own Cholesky"


class PetscElimination:
    """Elimination by a linear solver of PETSc; see `hpcda.linalg.elimination.Elimination`.

    Its PETSc objects live until `destroy`, or the end of a `with` block.

    Args:
        pattern: The sparsity.
        linear: The solver.

    Raises:
        ValueError: The solver is none of PETSc's.
    """

    def __init__(self, pattern: Pattern, linear: Linear) -> None:
        if linear.package == FRONTS:
            raise ValueError("trees of fronts are not PETSc's: use hpcda.linalg.tree.TreeElimination")
        self.pattern, self.linear = pattern, linear
        self._system = _System(pattern, linear)
        self._shifted: _System | None = None
        self._factor: PetscFactor | None = None

    def __enter__(self) -> PetscElimination:
        return self

    def __exit__(self, *error: object) -> None:
        self.destroy()

    @property
    def name(self) -> str:
        """Who eliminates, in words."""
        return self._system.name

    @property
    def flops(self) -> float:
        """Additions and multiplications of a factorization.

        Raises:
            NotOfferedError: The package does not count them.
        """
        if self.linear.package == MUMPS:
            return float(self._system.analyzed.getMumpsRinfog(1))
        if self.linear.order == PETSc.Mat.OrderingType.NATURAL:
            return counted("natural", self.pattern, np.arange(self.pattern.size, dtype=np.int32)).flops
        others = "a tree of fronts (hpcda.linalg.tree), MUMPS and PETSc's own in natural order"
        raise NotOfferedError(self.name, "the number of operations", others)

    @property
    def memory(self) -> float:
        """Bytes of a factor.

        Raises:
            NotOfferedError: The package does not tell.
        """
        if self.linear.package == MUMPS:
            entries = float(self._system.analyzed.getMumpsInfog(29))
            return 8.0 * (entries if entries >= 0 else -1e6 * entries)
        if self.linear.package == "petsc" and not self.linear.levels:
            return 12.0 * float(self._system.analyzed.getInfo()["nz_allocated"])
        raise NotOfferedError(self.name, "the memory of a factor", _EXACT)

    def factor(self, values: Array, shift: float = 0.0) -> PetscFactor:
        """Factor a matrix; the factor returned before becomes invalid.

        Args:
            values: Its entries in the order of the pattern, shape (nnz,).
            shift: Added to its diagonal.

        Raises:
            NotPositiveDefiniteError: It is not positive definite. Conjugate gradients see that, if at all,
                as they solve.
        """
        self._forget()
        self._system.factor(values, shift)
        self._factor = PetscFactor(self, np.array(values, dtype=np.float64), shift)
        return self._factor

    def inertia(self, values: Array, shift: float = 0.0) -> Inertia:
        """Signs of the eigenvalues of any symmetric matrix of this sparsity; arguments as of `factor`.

        PETSc's own factorization takes pivots as they come: it tells nothing where one of them is 0.

        Raises:
            NotOfferedError: The package does not tell them, or a pivot is 0.
        """
        self._forget()
        return self._system.inertia(values, shift)

    def solve_shifted(self, values: Array, shift: float, right: Array) -> Array:
        """(A + shift I)⁻¹ right; the factor that `factor` gave last lives on.

        Raises:
            NotPositiveDefiniteError: The shifted matrix is not positive definite.
        """
        if self._shifted is None:
            self._shifted = _System(self.pattern, self.linear)
        self._shifted.factor(values, shift)
        return self._shifted.solve(right)

    def solve(self, factor: PetscFactor, right: Array) -> Array:
        """A⁻¹ right of a factor."""
        return self._of(factor).solve(right)

    def half(self, factor: PetscFactor, normal: Array) -> Array:
        """U⁻¹ D^{-1/2} z of PETSc's own factor."""
        return self._of(factor).half(normal)

    def logdet(self, factor: PetscFactor) -> float:
        """Log det A of a factor."""
        return self._of(factor).logdet()

    def _of(self, factor: PetscFactor) -> _System:
        if factor is not self._factor:
            raise RuntimeError("this factor's numbers are gone: the elimination has another by now, or ended")
        return self._system

    def _forget(self) -> None:
        self._factor = None

    def destroy(self) -> None:
        """Free the PETSc objects."""
        self._forget()
        for system in (self._system, self._shifted):
            if system is not None:
                system.destroy()
        self._shifted = None


class PetscFactor:
    """A factor; see `hpcda.linalg.elimination.EliminatedMatrix`. It lives until its elimination has another.

    Args:
        elimination: Whose it is.
        values: The matrix's entries, shape (nnz,).
        shift: What was added to the diagonal.
    """

    def __init__(self, elimination: PetscElimination, values: Array, shift: float) -> None:
        self._elimination, self._values, self._shift = elimination, values, shift

    @cached_property
    def logdet(self) -> float:
        """Log det A.

        Raises:
            NotOfferedError: The package does not tell.
        """
        return self._elimination.logdet(self)

    def solve(self, right: Array) -> Array:
        """A⁻¹ right, shape (n,) or (n, m).

        Raises:
            NotPositiveDefiniteError: Conjugate gradients meet negative curvature.
        """
        return self._elimination.solve(self, right)

    def sample(self, normal: Array) -> Array:
        """L⁻ᵀ z or A^{-1/2} z, which for standard normal z, shape (n,) or (n, m), have the covariance A⁻¹.

        Raises:
            NotOfferedError: The package cannot.
        """
        elimination, linear = self._elimination, self._elimination.linear
        if linear.levels:
            raise NotOfferedError(elimination.name, "samples", f"{_EXACT}, and CHOLMOD")
        if linear.package not in (MUMPS, CHOLMOD):
            return elimination.half(self, normal)
        least, largest = self._spectrum

        def solve(shift: float, right: Array) -> Array:
            return elimination.solve_shifted(self._values, self._shift + shift, right)

        return inverse_root(solve, np.asarray(normal, dtype=np.float64), least, largest)

    @cached_property
    def _spectrum(self) -> tuple[float, float]:
        """Bounds of the eigenvalues: Gershgorin's, and one below which the matrix stays positive definite."""
        pattern = self._elimination.pattern
        whole = self._values + self._shift * (pattern.rows == pattern.indices)
        largest = float(np.bincount(pattern.rows, np.abs(whole)).max())
        vector = np.where(np.arange(pattern.size) % 3 == 1, -1.0, 1.0)
        length = 1.0
        for _ in range(POWERS):
            vector = self.solve(vector / np.linalg.norm(vector))
            length = float(np.linalg.norm(vector))
        least = BELOW / length
        for _ in range(TRIES):
            try:
                self._elimination.solve_shifted(self._values, self._shift - least, vector)
                return least, largest
            except NotPositiveDefiniteError:
                least *= BELOW
        raise NotPositiveDefiniteError("the smallest eigenvalue, which is that of rounding")

    @cached_property
    def _inverse(self) -> Array:
        pattern = self._elimination.pattern
        found = np.empty(len(pattern.indices))
        for begin in range(0, pattern.size, TOGETHER):
            columns = np.arange(begin, min(begin + TOGETHER, pattern.size))
            unit = np.zeros((pattern.size, len(columns)))
            unit[columns, columns - begin] = 1.0
            part = slice(pattern.indptr[begin], pattern.indptr[columns[-1] + 1])
            found[part] = self.solve(unit)[pattern.indices[part], pattern.rows[part] - begin]
        return found

    def inverse_on_pattern(self) -> Array:
        """Entries of A⁻¹ in the pattern of A, in its order, shape (nnz,), by n solutions."""
        return self._inverse

    @property
    def variances(self) -> Array:
        """Diagonal of A⁻¹, shape (n,)."""
        pattern = self._elimination.pattern
        return self._inverse[pattern.rows == pattern.indices]


class _System:
    """A matrix and a linear solver of PETSc."""

    def __init__(self, pattern: Pattern, linear: Linear) -> None:
        self._linear = linear
        self._diagonal = np.flatnonzero(pattern.rows == pattern.indices)
        self._values = np.zeros(len(pattern.indices))
        self._values[self._diagonal] = 1.0
        kinds = pattern.indptr.astype(PETSc.IntType), pattern.indices.astype(PETSc.IntType)
        self._size = pattern.size
        self._matrix = PETSc.Mat().createAIJWithArrays(
            (self._size, self._size), (*kinds, self._values), comm=PETSc.COMM_SELF
        )
        self._matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
        self._matrix.assemble()
        self._right, self._found = self._matrix.createVecs()
        self._solvers: list[Any] = []
        self._ready = False
        package = "" if linear.package == "petsc" else linear.package
        for level in linear.levels or (None,):
            choice = Choice("", level, package, linear.order)
            ksp = PETSc.KSP().create(comm=PETSc.COMM_SELF)
            ksp.setOptionsPrefix(PREFIX)
            configure(ksp, choice)
            if linear.levels:
                ksp.setTolerances(rtol=ACCURACY, max_it=MOST)
            ksp.setFromOptions()
            self._solvers.append(ksp)
        self._prepare()

    @property
    def name(self) -> str:
        if self._linear.levels:
            return "conjugate gradients with an incomplete factor"
        return {"petsc": "PETSc's own Cholesky", MUMPS: "MUMPS", CHOLMOD: "CHOLMOD"}.get(
            self._linear.package, self._linear.package
        )

    @property
    def _pc(self) -> Any:
        return self._solvers[0].getPC()

    @property
    def analyzed(self) -> Any:
        """The factor's matrix, planned at least once."""
        if not self._ready:
            self.factor(self._values, 0.0)
        return self._pc.getFactorMatrix()

    def _prepare(self) -> None:
        for ksp in self._solvers:
            ksp.setOperators(self._matrix, self._matrix)
        if self._linear.package == MUMPS:
            self._pc.setFactorSetUpSolverType()
            factor = self._pc.getFactorMatrix()
            for number, value in ((24, 1), (33, 1)):  # null pivots are counted; the determinant is computed
                factor.setMumpsIcntl(number, value)

    def load(self, values: Array, shift: float) -> None:
        self._values[:] = values
        self._values[self._diagonal] += shift
        self._matrix.stateIncrease()
        self._matrix.assemble()
        for ksp in self._solvers:
            ksp.setOperators(self._matrix, self._matrix)

    def factor(self, values: Array, shift: float) -> None:
        self.load(values, shift)
        if not np.isfinite(self._values).all():
            raise NotPositiveDefiniteError("an entry that is not finite")
        if self._linear.levels:
            return
        good = self._set_up()
        if good and self._linear.package != CHOLMOD:
            negative, zero, _ = self._pc.getFactorMatrix().getInertia()
            good = negative == 0 and zero == 0
        if not good:
            raise NotPositiveDefiniteError(f"the factor of {self.name}")
        self._ready = True

    def _set_up(self) -> bool:
        """Factorize; False where the package gives up."""
        ksp = self._solvers[0]
        try:
            ksp.setUp()
            reason = ksp.getConvergedReason()
        except PETSc.Error:
            reason = -1
        if reason < 0:
            self._pc.reset()
            self._prepare()
        return bool(reason >= 0)

    def inertia(self, values: Array, shift: float) -> Inertia:
        if self._linear.levels or self._linear.package == CHOLMOD:
            raise NotOfferedError(self.name, "the inertia", _EXACT)
        self.load(values, shift)
        if not self._set_up():
            raise NotOfferedError(self.name, "the inertia where a pivot is 0", _EXACT)
        negative, zero, positive = self._pc.getFactorMatrix().getInertia()
        return Inertia(int(positive), int(negative), int(zero))

    def logdet(self) -> float:
        if self._linear.levels or self._linear.package == CHOLMOD:
            raise NotOfferedError(self.name, "the determinant", _EXACT)
        factor = self._pc.getFactorMatrix()
        if self._linear.package == MUMPS:
            return float(np.log(factor.getMumpsRinfog(12)) + np.log(2.0) * factor.getMumpsInfog(34))
        factor.getDiagonal(self._found)
        return float(np.log(self._found.array_r).sum())

    def half(self, normal: Array) -> Array:
        return self._columns(normal, self._pc.getFactorMatrix().solveBackward)

    def solve(self, right: Array) -> Array:
        if self._linear.levels:
            return self._columns(right, self._iterate)
        given = np.asarray(right, dtype=np.float64)
        if given.ndim == 1:
            return self._columns(given, self._pc.getFactorMatrix().solve)
        return self._together(given)

    def _together(self, right: Array) -> Array:
        dense = [
            PETSc.Mat().createDense(right.shape, array=np.asfortranarray(each), comm=PETSc.COMM_SELF)
            for each in (right, np.zeros(right.shape))
        ]
        for matrix in dense:
            matrix.assemble()
        self._pc.getFactorMatrix().matSolve(*dense)
        found = np.array(dense[1].getDenseArray())
        for matrix in dense:
            matrix.destroy()
        return found

    def _columns(self, right: Array, solve: Any) -> Array:
        given = np.asarray(right, dtype=np.float64).reshape(len(right), -1)
        found = np.empty_like(given)
        for column in range(given.shape[1]):
            self._right.array[:] = given[:, column]
            solve(self._right, self._found)
            found[:, column] = self._found.array_r
        return found.reshape(np.shape(right))

    def _iterate(self, right: Any, found: Any) -> None:
        """Conjugate gradients, with more levels of fill where they do not come to an end.

        Raises:
            NotPositiveDefiniteError: They meet negative curvature, or come to no end with any level.
        """
        for ksp in self._solvers:
            try:
                ksp.solve(right, found)
            except PETSc.Error:
                continue
            if ksp.getConvergedReason() > 0 and right.dot(found) >= 0.0:
                return
        raise NotPositiveDefiniteError("the incomplete factor, or on the way of conjugate gradients")

    def destroy(self) -> None:
        for thing in (*self._solvers, self._matrix, self._right, self._found):
            thing.destroy()
