r"""Multipliers of the model errors from the balance of forces, where Rf s r has lost its digits.

A path of minimal action obeys, at every state of every time,

    (∂r/∂x)ᵀ λ + f = 0,    f the forces of data and priors,

with λ = Rf s r. At a large Rf the errors r are differences of nearly equal numbers and λ loses digits; at
Rf = ∞ they are 0 and λ, a Lagrange multiplier, is not in the path at all. The balance has more equations than
multipliers, and its solution by least squares,

    min_λ |S (Jᵀ λ + f)|²,    (J S²) Jᵀ λ = -J S² f,    S = diag(size of the state),

is as accurate as the path: J S² Jᵀ has the band of an interval and its neighbors, and rounding is taken back
by solving again with what is left. Solved backward from the last time the same equations are
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


def balancing(slopes: csr_array, forces: Array, sizes: Array, held: npt.NDArray[np.bool_]) -> Array:
    """Multipliers that balance forces, by least squares.

    Args:
        slopes: J by the states, shape (M, n), rows in the order of time.
        forces: f, shape (n,).
        sizes: Natural size of every state, shape (n,).
        held: Of every state whether a bound holds it, shape (n,).

    Returns:
        λ, shape (M,).

    Raises:
        MomentaUnknownError: Bounds hold so many states that they do not follow.
    """
    scale = np.where(held, 0.0, sizes)
    scaled = csr_array(slopes @ diags_array(scale))
    size = np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())
    if not (np.isfinite(size).all() and np.isfinite(forces).all()):
        raise MomentaUnknownError("the path, or its forces, are not finite")
    if not (size > 0.0).all():
        raise MomentaUnknownError("bounds hold all states that a model error depends on")
    unit = csr_array(diags_array(1.0 / size) @ scaled)
    try:
        factor = cholesky_banded(_banded(csr_array(unit @ unit.T)), lower=True)
    except LinAlgError:
        raise MomentaUnknownError("bounds hold so many states that the momenta do not follow") from None
    found = np.zeros(len(size))
    pull = scale * forces
    for _ in range(REPEATS):
        found -= cho_solve_banded((factor, True), unit @ (pull + unit.T @ found))
    return np.asarray(found / size)


def _banded(matrix: csr_array) -> Array:
    """Lower bands of a symmetric matrix, as LAPACK takes them."""
    entries = matrix.tocoo()
    rows, columns = entries.coords
    lower = rows >= columns
    below = rows[lower] - columns[lower]
    found = np.zeros((int(below.max(initial=0)) + 1, matrix.shape[0]))
    found[below, columns[lower]] = entries.data[lower]
    return found
