r"""Langevin dynamics in path space: random kicks away from a minimum.

    dX = -M⁻¹ ∇A(X) ds + sqrt(2T) M^(-1/2) dW,    M: the Gauss-Newton Hessian of A at a small Rf

whose stationary density is ∝ exp(-A/T). A step treats M (X - X_0) half implicitly, the rest explicitly:

    X' = X - (1 - ρ) M⁻¹ ∇A(X) + sqrt(T (1 - ρ²)) ξ,    ξ ~ N(0, M⁻¹),    ρ = (1 - h/2) / (1 + h/2)

which samples exp(-A/T) exactly, at any step h, where A is quadratic with the Hessian M (A. Beskos, G.
Roberts, A. Stuart, J. Voss, Stoch. Dyn. 8, 319, 2008, θ = 1/2). ξ = L⁻ᵀ z with the Cholesky factor of M. A
weak pull of every unknown, ½ SHIFT |X/scale|², joins M so that it is positive definite.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array, diags_array

from hpcda.action.blocks import InTime, in_time
from hpcda.annealing.scale import scales
from hpcda.linalg.banded import Banded
from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.problem import Array, Problem
from hpcda.search.context import SearchContext
from hpcda.search.escape import Escape
from hpcda.search.way import log_uniform

RUNGS = (0.2, 0.325)
"""Shares of the ladder between which the kick's rung lies."""
TEMPERATURES = (16.0, 64.0)
STEPS, RHO = 2, 0.2
SHIFT = 1.0


def metric(context: SearchContext, path: Array, rf: float, shift: float = SHIFT) -> InTime:
    """Factor of the Gauss-Newton Hessian at a path, plus `shift` over the squared scale of every unknown."""
    residuals = context.residuals
    slopes = residuals.evaluate(path, rf)[1]
    jacobian = csr_array((slopes, residuals.indices, residuals.indptr), shape=(residuals.count, len(path)))
    own = diags_array(shift / scales(context.problem) ** 2)
    order = in_time(context.problem)[0]
    matrix = csr_array(csr_array(jacobian.T @ jacobian + own)[order][:, order])
    return InTime(Banded.factor(matrix, len(context.problem.constants)), order)


def step(
    context: SearchContext,
    factor: InTime,
    path: Array,
    rf: float,
    temperature: float,
    rho: float,
    normal: Array,
) -> Array:
    """X' of one step, shape (size,), from standard normal numbers of that shape; not clipped."""
    gradient = context.action.gradient(path, rf)[1]
    kick = np.sqrt(temperature * (1.0 - rho**2)) * factor.sample(normal)
    return path - (1.0 - rho) * factor.solve(gradient) + kick


def _path(context: SearchContext, minima: Sequence[Array], rng: np.random.Generator) -> tuple[Array, int]:
    lower, upper = context.problem.bounds
    rung = context.rung(rng.uniform(*RUNGS))
    rf = context.ladder.near(rung)
    temperature = log_uniform(rng, TEMPERATURES)
    path = minima[0]
    for normal in rng.standard_normal((STEPS, len(path))):
        try:
            factor = metric(context, path, rf)
        except NotPositiveDefiniteError:
            break
        new = np.clip(step(context, factor, path, rf, temperature, RHO, normal), lower, upper)
        new = context.problem.ties.tied(new)
        if not np.isfinite(context.action.value(new, rf).total):
            break
        path = new
    return path, rung


def _memory(problem: Problem) -> float:
    """The Gauss-Newton Hessian, its band, and the band's factor."""
    together = len(problem.windows) if problem.ties.some else 1
    return 3.0 * 8.0 * problem.size * (3.0 * together * problem.layout.block + len(problem.constants))


ESCAPE = Escape(
    "langevin", "Langevin dynamics in path space at a small Rf", 1, _path, memory=_memory,
    weight=1.0, place=30,
)  # fmt: skip
