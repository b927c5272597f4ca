r"""Factor, solution and Gaussian samples of a banded positive definite matrix with a border, by LAPACK.

    A = [ T  Bᵀ ]  = L Lᵀ,    L = [ L_T     ],    W = B L_T⁻ᵀ,    L_c L_cᵀ = C - W Wᵀ
        [ B  C  ]                 [ W   L_c ]

What the Hessian of the action is when its unknowns stand time after time: T has a band, B is a dense row for
every parameter that all times share. Cost (n w²), w the width of the band; for single paths whose blocks are
small this beats a factorization block by block (`hpcda.linalg.blocktridiagonal`), which has the selected
inverse as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dpbtrf, dtbtrs
from scipy.sparse import csr_array

from hpcda.linalg.blocktridiagonal import NotPositiveDefiniteError, _cholesky, _solve

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Banded:
    """A factor L.

    Attributes:
        band: L_T in LAPACK's lower band storage, shape (w, n - P).
        border: W, shape (P, n - P).
        corner: L_c, shape (P, P).
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
        """
        inside = matrix.shape[0] - border
        entries = matrix.tocoo()
        rows, columns, values = entries.row, entries.col, entries.data
        own = (rows >= columns) & (rows < inside)
        below = rows[own] - columns[own]
        band = np.zeros((int(below.max(initial=0)) + 1, inside), order="F")
        np.add.at(band, (below, columns[own]), values[own])
        if not np.isfinite(values).all():
            raise NotPositiveDefiniteError(None, 0)
        band, failed = dpbtrf(band, lower=1, overwrite_ab=1)
        if failed:
            raise NotPositiveDefiniteError(0, int(failed) - 1)
        dense = matrix[inside:].toarray()
        strip = _triangular(band, dense[:, :inside].T, "N").T
        return cls(band, strip, _cholesky(dense[:, inside:] - strip @ strip.T, None, 0))

    def _down(self, right: Array) -> Array:
        """L⁻¹ right."""
        inside = self.band.shape[1]
        first = _triangular(self.band, right[:inside], "N")
        return np.concatenate([first, _solve(self.corner, right[inside:] - self.border @ first)])

    def sample(self, normal: Array) -> Array:
        """L⁻ᵀ z, which for standard normal z, shape (n,) or (n, m), has the covariance A⁻¹."""
        inside = self.band.shape[1]
        last = _solve(self.corner, normal[inside:], transposed=True)
        return np.concatenate([_triangular(self.band, normal[:inside] - self.border.T @ last, "T"), last])

    def solve(self, right: Array) -> Array:
        """A⁻¹ right, shape (n,) or (n, m)."""
        return self.sample(self._down(right))


def _triangular(band: Array, right: Array, transposed: str) -> Array:
    if not right.size:
        return np.array(right, dtype=np.float64)
    columns = np.asfortranarray(right.reshape(len(right), -1))
    result, _ = dtbtrs(band, columns, uplo="L", trans=transposed)
    return result.reshape(right.shape)
