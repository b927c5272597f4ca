"""Interface of direct solvers for symmetric positive definite matrices of one sparsity pattern.

An elimination is planned once for a sparsity; it then factors any number of matrices

    A + shift I = L Lᵀ

up to a permutation. There are `hpcda.linalg.blocktridiagonal.ChainElimination`, dense blocks in time with a
border of shared unknowns, `hpcda.linalg.tree.TreeElimination`, a fill-reducing order and a tree of dense
fronts, and `hpcda.petsc.elimination.PetscElimination`, the packages of PETSc, which do not give all. Where
several ranks hold a matrix, `hpcda.linalg.spread` solves with it. Ordering (`hpcda.linalg.order`), symbolic
and numerical elimination (`hpcda.linalg.tree`) are apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int32]


class NotPositiveDefiniteError(Exception):
    """The matrix is not positive definite.

    Attributes:
        place: Where the factorization breaks down.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        super().__init__(f"the matrix is not positive definite: the factorization breaks down in {place}")


class NotOfferedError(Exception):
    """An elimination does not give a quantity exactly.

    Attributes:
        who: Who eliminates.
        quantity: What it does not give.
        others: Who does.
    """

    def __init__(self, who: str, quantity: str, others: str) -> None:
        self.who, self.quantity, self.others = who, quantity, others
        super().__init__(f"{who} does not tell {quantity}: {others} do")


@dataclass(frozen=True)
class Pattern:
    """Sparsity of a symmetric matrix, all entries of both triangles in compressed rows.

    Attributes:
        indptr: Beginnings of the rows, shape (n + 1,).
        indices: Columns, ascending in each row, no entry twice, the diagonal included, shape (nnz,).
        layer: Number of the layer (the time) of every unknown, ascending; -1 for unknowns at the end that
            many layers share. Shape (n,), or empty where nothing is known of layers.
    """

    indptr: Ints
    indices: Ints
    layer: Index = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __post_init__(self) -> None:
        object.__setattr__(self, "indptr", np.ascontiguousarray(self.indptr, dtype=np.int32))
        object.__setattr__(self, "indices", np.ascontiguousarray(self.indices, dtype=np.int32))

    @property
    def size(self) -> int:
        """Number n of unknowns."""
        return len(self.indptr) - 1

    @property
    def rows(self) -> Index:
        """Row of every entry, shape (nnz,)."""
        return np.repeat(np.arange(self.size), np.diff(self.indptr))

    @property
    def shared(self) -> int:
        """Number of unknowns at the end that many layers share."""
        return int((self.layer < 0).sum())


@dataclass(frozen=True)
class Inertia:
    """How many eigenvalues of a symmetric matrix are above 0, below 0, and 0 to rounding."""

    positive: int
    negative: int
    zero: int

    def __add__(self, other: Inertia) -> Inertia:
        return Inertia(self.positive + other.positive, self.negative + other.negative, self.zero + other.zero)


ROUNDING = 1e-13
"""Eigenvalues of a pivot smaller than this part of its matrix's largest entry count as 0."""


def pivoted(pivot: Array, strip: Array, size: float) -> tuple[Inertia, Array]:
    """Inertia of a pivot P, and what its elimination takes from the rest, B P⁻¹ Bᵀ.

    The inertia of a matrix is that of a pivot and of what it leaves (E. Haynsworth, Linear Algebra Appl. 1,
    73, 1968), where P⁻¹ is the pseudo-inverse of a singular one and B vanishes with it too (D. Carlson, E.
    Haynsworth, T. Markham, SIAM J. Appl. Math. 26, 169, 1974).

    Args:
        pivot: P, shape (p, p), symmetric.
        strip: B, shape (r, p).
        size: Size of the matrix's entries.
    """
    values, vectors = np.linalg.eigh(pivot)
    none = np.abs(values) <= ROUNDING * size
    turned = strip @ vectors
    taken = (turned / np.where(none, np.inf, values)) @ turned.T
    found = Inertia(int((values[~none] > 0).sum()), int((values[~none] < 0).sum()), int(none.sum()))
    return found, np.asarray(taken)


class EliminatedMatrix(Protocol):
    """A factor L of a matrix A."""

    @property
    def logdet(self) -> float:
        """Log det A."""
        ...

    def solve(self, right: Array) -> Array:
        """A⁻¹ right, shape (n,) or (n, m)."""
        ...

    def sample(self, normal: Array) -> Array:
        """L⁻ᵀ z, which for standard normal z, shape (n,) or (n, m), has the covariance A⁻¹.

        So has A^{-1/2} z, which is given where L itself cannot be reached.
        """
        ...

    def inverse_on_pattern(self) -> Array:
        """Entries of A⁻¹ in the pattern of A, in its order, shape (nnz,)."""
        ...

    @property
    def variances(self) -> Array:
        """Diagonal of A⁻¹, shape (n,)."""
        ...


class Elimination(Protocol):
    """A way to factor all matrices of a sparsity.

    Attributes:
        pattern: The sparsity.
    """

    pattern: Pattern

    @property
    def flops(self) -> float:
        """Additions and multiplications of a factorization."""
        ...

    @property
    def memory(self) -> float:
        """Bytes of a factor, with what the factorization needs on the way."""
        ...

    def factor(self, values: Array, shift: float = 0.0) -> EliminatedMatrix:
        """Factor a matrix.

        Args:
            values: Its entries in the order of the pattern, shape (nnz,).
            shift: Added to its diagonal.

        Raises:
            NotPositiveDefiniteError: It is not positive definite.
        """
        ...

    def inertia(self, values: Array, shift: float = 0.0) -> Inertia:
        """Signs of the eigenvalues of any symmetric matrix of this sparsity; arguments as of `factor`."""
        ...
