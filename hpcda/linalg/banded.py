r"""Banded positive definite matrices with a border: Cholesky factor, solution, Gaussian samples (compiled).

    A = [ T  Bᵀ ]  = L Lᵀ,    L = [ L_T     ],    W = B L_T⁻ᵀ,    L_c L_cᵀ = C - W Wᵀ
        [ B  C  ]                 [ W   L_c ]

What the Hessian of the action is when its unknowns stand time after time: T has a band, B is a dense row for
every parameter that all times share. Cost (n w²), w the width of the band; for single paths whose blocks are
small this beats a factorization block by block (`hpcda.linalg.blocktridiagonal`), which has the selected
inverse as well. Its bits are the same on every processor (banded.c), which those of LAPACK are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.native.compile import library
from hpcda.native.unit import unit

Array = npt.NDArray[np.float64]


@cache
def _compiled() -> Any:
    return library(unit(1, "banded.c"))


@dataclass(frozen=True)
class Banded:
    """A factor L.

    Attributes:
        band: Columns of L_T from their diagonals down, shape (n - P, w).
        border: W, shape (P, n - P).
        corner: L_c in the lower triangle, shape (P, P).
    """

    band: Array
    border: Array
    corner: Array

    @classmethod
    def factor(cls, matrix: csr_array, border: int) -> Banded:
        """Factor a symmetric matrix, of which all entries are stored.

        Args:
            matrix: Shape (n, n).
            border: P, the number of its last rows that are dense.

        Raises:
            NotPositiveDefiniteError: It is not positive definite.
            CompilerError: No C compiler, or no place for compiled code.
        """
        inside = matrix.shape[0] - border
        entries = matrix.tocoo()
        rows, columns, values = entries.row, entries.col, entries.data
        own = (rows >= columns) & (rows < inside)
        below = rows[own] - columns[own]
        band = np.zeros((inside, int(below.max(initial=0)) + 1))
        np.add.at(band, (columns[own], below), values[own])
        dense = matrix[inside:].toarray()
        return cls.of(band, np.ascontiguousarray(dense[:, :inside]), np.ascontiguousarray(dense[:, inside:]))

    @classmethod
    def of(cls, band: Array, border: Array, corner: Array) -> Banded:
        """Factor a matrix whose lower triangle stands where that of L will; the arrays are taken over.

        Args:
            band: Columns of T from their diagonals down, shape (n - P, w).
            border: B, shape (P, n - P).
            corner: C, shape (P, P).

        Raises:
            NotPositiveDefiniteError: It is not positive definite, or not finite.
            CompilerError: No C compiler, or no place for compiled code.
        """
        if not all(np.isfinite(part).all() for part in (band, border, corner)):
            raise NotPositiveDefiniteError("an entry that is not finite")
        found, inside = cls(band, border, corner), len(band)
        failed = found._call("factor")
        if failed:
            raise NotPositiveDefiniteError(f"unknown {failed - 1}" if failed <= inside else "the border")
        return found

    def sample(self, normal: Array) -> Array:
        """L⁻ᵀ z, which for standard normal z, shape (n,) or (n, m), has the covariance A⁻¹."""
        return self._applied(normal, "up")

    def solve(self, right: Array) -> Array:
        """A⁻¹ right, shape (n,) or (n, m)."""
        return self._applied(right, "down", "up")

    def _applied(self, vectors: Array, *names: str) -> Array:
        columns = np.array(vectors, dtype=np.float64).reshape(len(vectors), -1).T.copy()
        for column in columns:
            for name in names:
                self._call(name, column.ctypes.data)
        return np.ascontiguousarray(columns.T).reshape(vectors.shape)

    def _call(self, name: str, *arguments: Any) -> int:
        arrays = [array.ctypes.data for array in (self.band, self.border, self.corner)]
        sizes = (*self.band.shape, len(self.corner))
        return getattr(_compiled(), name)(*sizes, *arrays, *arguments) or 0
