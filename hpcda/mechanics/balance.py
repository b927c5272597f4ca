r"""Multipliers of the model errors from the balance of forces, for large Rf, where rounding spoils Rf s r.

A path of minimal action obeys, at every state of every time,

    (∂r/∂x)ᵀ λ + f = 0,    f the forces of data and priors,

with λ = Rf s r. At a large Rf the errors r are differences of nearly equal numbers and λ loses digits; at
Rf = ∞ they are 0 and λ, a Lagrange multiplier, is not in the path at all. The balance has more equations than
multipliers, and its solution by least squares,

    min_λ |S (Jᵀ λ + f)|²,    J S² Jᵀ λ = -J S² f,    S = diag(size of the state),

is as accurate as the path. J S² Jᵀ has the band of an interval and its neighbors; rounding is taken back by
solving again with what is left. Solved backward from the last time the same equations are
back-propagation; by least squares errors do not grow with the tangent flow.
Unknowns that a bound holds are left out: their balance contains the bound's own force.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_solve_banded, cholesky_banded
from scipy.sparse import csr_array, diags_array

from hpcda.problem import Array

REPEATS = 3
"""Solutions with what the ones before have left."""


class MomentaUnknownError(Exception):
    """The multipliers are not determined; the message says why."""


class Balance:
    """The equations of balance of one window, factored.

    Args:
        slopes: J by the states, shape (M, n), rows in the order of time.
        sizes: Natural size of every state, shape (n,).
        held: Of every state whether a bound holds it, shape (n,).

    Raises:
        MomentaUnknownError: Bounds hold so many states that the multipliers do not follow.
    """

    def __init__(self, slopes: csr_array, sizes: Array, held: npt.NDArray[np.bool_]) -> None:
        self._scale = np.where(held, 0.0, sizes)
        scaled = csr_array(slopes @ diags_array(self._scale))
        self._size = np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())
        if not np.isfinite(self._size).all():
            raise MomentaUnknownError("the path holds numbers that are not finite")
        if not (self._size > 0.0).all():
            raise MomentaUnknownError("bounds hold all states that a model error depends on")
        self._unit = csr_array(diags_array(1.0 / self._size) @ scaled)
        try:
            self._factor = cholesky_banded(_banded(csr_array(self._unit @ self._unit.T)), lower=True)
        except LinAlgError:
            raise MomentaUnknownError("bounds hold so many states that the momenta do not follow") from None

    def multipliers(self, forces: Array) -> Array:
        """λ that balance the forces f, shape (n,), by least squares, shape (M,)."""
        found, pull = np.zeros(len(self._size)), self._scale * forces
        for _ in range(REPEATS):
            found -= self._solved(self._unit @ (pull + self._unit.T @ found))
        return np.asarray(found / self._size)

    def shift(self, errors: Array) -> Array:
        """The smallest change of the states that changes the model errors by so much, (M,) -> (n,)."""
        return np.asarray(self._scale * (self._unit.T @ self._solved(errors / self._size)))

    def _solved(self, right: Array) -> Array:
        return np.asarray(cho_solve_banded((self._factor, True), right))


def _banded(matrix: csr_array) -> Array:
    """Lower bands of a symmetric matrix, as LAPACK takes them."""
    entries = matrix.tocoo()
    rows, columns = entries.coords
    lower = rows >= columns
    below = rows[lower] - columns[lower]
    found = np.zeros((int(below.max(initial=0)) + 1, matrix.shape[0]))
    found[below, columns[lower]] = entries.data[lower]
    return found
