"""Judges where a minimizer has ended by the action itself, not by the minimizer's own report.

A path counts as a minimum where its scaled gradient, projected on the bounds, is within `TOLERANCE`, or where
Newton's decrement ½ gᵀ H⁻¹ g says that no more than `DECREMENT` of the action is left to gain.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, diags_array

from hpcda.action import Action
from hpcda.action.blocks import InTime, in_time
from hpcda.annealing.reasons import Reason
from hpcda.annealing.record import Rung
from hpcda.annealing.scale import scales
from hpcda.linalg.banded import Banded
from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.problem import Array, Problem

TOLERANCE, DECREMENT = 1e-8, 1e-10
NEAR = 1e-10
"""Part of its scale within which an unknown counts as at its bound."""


def ended(
    action: Action,
    path: Array,
    rf: float,
    iterations: int,
    factorizations: int = 0,
    otherwise: Reason = Reason.FAILED_OTHER,
) -> Rung:
    """The rung of a minimization that has ended at a path.

    Args:
        action: The action.
        path: Where it has ended, shape (size,).
        rf: Model-error precision.
        iterations: Steps taken.
        factorizations: Linear systems factorized.
        otherwise: Why it has ended, where that is no minimum.
    """
    path = action.problem.ties.tied(path)
    parts, gradient, values = action.derivatives(path, rf)
    if not (np.isfinite(parts.total) and np.isfinite(gradient).all()):
        return Rung(path, parts, float("nan"), iterations, factorizations, Reason.FAILED_NON_FINITE)
    (lower, upper), scale = action.problem.bounds, scales(action.problem)
    held = (path <= lower + NEAR * scale) & (gradient > 0.0)
    held |= (path >= upper - NEAR * scale) & (gradient < 0.0)
    free = np.where(held, 0.0, gradient)
    norm = float(np.abs(free * scale).max(initial=0.0))
    reason = otherwise
    if norm <= TOLERANCE:
        reason = Reason.CONVERGED_GRADIENT
    else:
        hessian = csr_array((values, action.sparsity.indices, action.sparsity.indptr), shape=(len(path),) * 2)
        if 0.0 <= _decrement(action.problem, hessian, free, held) <= DECREMENT * abs(parts.total):
            reason = Reason.CONVERGED_DECREMENT
    return Rung(path, parts, norm, iterations, factorizations, reason)


def _decrement(problem: Problem, hessian: csr_array, gradient: Array, held: npt.NDArray[np.bool_]) -> float:
    """½ gᵀ H⁻¹ g over what is not held; -1 where H is not positive definite there: no minimum is near."""
    held = held | problem.ties.copied
    keep, order = diags_array((~held).astype(np.float64)), in_time(problem)[0]
    own = csr_array(keep @ hessian @ keep + diags_array(held.astype(np.float64)))[order][:, order]
    try:
        step = InTime(Banded.factor(own, len(problem.constants)), order).solve(gradient)
    except NotPositiveDefiniteError:
        return -1.0
    return float(0.5 * gradient @ step)
