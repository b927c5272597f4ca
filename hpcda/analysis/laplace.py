r"""The path distribution as a mixture of Gaussians at the distinct minima X_j (Laplace's approximation).

    P(X | Y) ≈ Σ_j w_j N(X_j, A''(X_j)⁻¹),    w_j ∝ exp(-A(X_j)) det(A''(X_j))^(-1/2)

    mean = Σ_j w_j X_j,    variance = Σ_j w_j (diag A''(X_j)⁻¹ + (X_j - mean)²)

The Hessian is block-tridiagonal in time with the shared parameters as its border, so that one factorization
gives the determinant and, by selected inversion, all marginal variances (`hpcda.linalg.blocktridiagonal`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hpcda.action.blocks import Csr, blocks_of
from hpcda.analysis.levels import Minimum
from hpcda.linalg.blocktridiagonal import NotPositiveDefiniteError
from hpcda.problem import Problem

Array = npt.NDArray[np.float64]

NEGLIGIBLE = 60.0
"""Minima this far above the lowest action weigh about e^-60 and are left out."""
MOST = 50
"""Largest number of minima in the mixture."""


@dataclass(frozen=True)
class Gaussian:
    """One minimum's part of the mixture.

    Attributes:
        path: X_j, flat, shape (size,).
        variances: Diagonal of A''⁻¹, shape (size,).
        logdet: log det A''.
        corner: Covariance of the shared parameters, shape (P, P).
    """

    path: Array
    variances: Array
    logdet: float
    corner: Array


@dataclass(frozen=True)
class Mixture:
    """The mixture.

    Attributes:
        mean: Of every unknown, flat, shape (size,).
        std: Standard deviation of every unknown, shape (size,).
        parameter_covariance: Covariance of the shared parameters, shape (P, P).
        weights: Number of the start -> weight of its minimum; they sum to 1.
        far: Number of minima that were left out because they lie too far above the lowest one to count.
        notes: What else was left out, and why.
    """

    mean: Array
    std: Array
    parameter_covariance: Array
    weights: dict[int, float]
    far: int
    notes: tuple[str, ...]


def gaussian(problem: Problem, path: Array, csr: Csr) -> Gaussian:
    """Gaussian at a minimum.

    Args:
        problem: The problem.
        path: The minimum, shape (size,).
        csr: Hessian there: indptr, indices, values of the full symmetric matrix.

    Raises:
        NotPositiveDefiniteError: The Hessian is not positive definite.
    """
    factor = blocks_of(problem, csr).cholesky()
    selected = factor.selected_inverse()
    return Gaussian(path, selected.variances, factor.logdet, selected.corner)


def mixture(
    problem: Problem, minima: Sequence[Minimum], gaussians: Sequence[Gaussian], notes: Sequence[str]
) -> Mixture:
    """Mix the Gaussians of some minima.

    Args:
        problem: The problem.
        minima: The minima, shape (J).
        gaussians: Their Gaussians, in the same order.
        notes: What was left out.

    Raises:
        ValueError: There is no Gaussian.
    """
    if not gaussians:
        raise ValueError("no minimum has a positive definite Hessian: " + "; ".join(notes))
    logs = np.array([-m.action - 0.5 * g.logdet for m, g in zip(minima, gaussians, strict=True)])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    mean = sum((w * g.path for w, g in zip(weights, gaussians, strict=True)), np.zeros(problem.size))
    variance, covariance = np.zeros(problem.size), np.zeros((problem.shared, problem.shared))
    shared = slice(problem.offsets[-1], None)
    for w, g in zip(weights, gaussians, strict=True):
        off = g.path - mean
        variance += w * (g.variances + off**2)
        covariance += w * (g.corner + np.outer(off[shared], off[shared]))
    named = {minimum.start: float(weight) for minimum, weight in zip(minima, weights, strict=True)}
    return Mixture(mean, np.sqrt(variance), covariance, named, 0, tuple(notes))


def laplace(problem: Problem, minima: Sequence[Minimum], paths: Sequence[Array], rf: float) -> Mixture:
    """The mixture over the distinct minima.

    Args:
        problem: The problem.
        minima: Distinct minima, lowest first, whose paths are known.
        paths: Their paths, flat, each of shape (size,).
        rf: The last Rf.

    Raises:
        ValueError: No minimum has a positive definite Hessian.
    """
    from hpcda.action import Action

    action = Action(problem)
    lower, upper = problem.bounds
    notes: list[str] = []
    used: list[Minimum] = []
    gaussians: list[Gaussian] = []
    near = [m.action - minima[0].action <= NEGLIGIBLE and j < MOST for j, m in enumerate(minima)]
    for minimum, path, close in zip(minima, paths, near, strict=True):
        if not close:
            continue
        name = f"the minimum of start {minimum.start} (action {minimum.action:.6g})"
        tiny = 1e-8 * (1.0 + np.abs(path))
        held = int(((path <= lower + tiny) | (path >= upper - tiny)).sum())
        try:
            gaussians.append(gaussian(problem, path, action.hessian(path, rf)))
        except NotPositiveDefiniteError as error:
            at = f"; unknowns at a bound: {held}" if held else ""
            notes.append(f"{name} was left out: {error}{at}")
            continue
        if held:
            notes.append(
                f"{name} lies at a bound in {held} of its unknowns, where a Gaussian overstates their spread"
            )
        used.append(minimum)
    return replace(mixture(problem, used, gaussians, notes), far=near.count(False))
