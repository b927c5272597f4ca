r"""Noise in path space, annealed: steps of the stochastic Euler-Lagrange equation away from a minimum.

    dX = -M⁻¹ ∇A(X) dl + sqrt(2T) M^(-1/2) dW,    M: the Gauss-Newton Hessian of A at a small Rf

whose stationary density is ∝ exp(-A/T), by half-implicit steps (`hpcda.sampling.fictitious_time`). M is
refreshed at every step, so that steps go along the model; that density is then not left invariant, which a
search does not need. T falls from step to step, evenly in its logarithm, from what lifts a path over the
barriers between minima to 1, where the path has come down again. A weak pull of every unknown,
½ SHIFT |X/scale|², joins M so that it is positive definite.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.action.blocks import InTime, in_time
from hpcda.annealing.scale import scales
from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.problem import Array, Problem
from hpcda.sampling.fictitious_time import step
from hpcda.search.context import SearchContext
from hpcda.search.escape import Escape
from hpcda.search.way import log_uniform

RUNGS = (0.2, 0.8)
"""Shares of the ladder between which the rung lies."""
TEMPERATURES = (16.0, 256.0)
"""Between which the first step's T lies, evenly in its logarithm; that of the last is 1."""
STEPS, SIZE = 8, 4.0 / 3.0
SHIFT = 1.0


def metric(context: SearchContext, path: Array, rf: float, shift: float = SHIFT) -> InTime:
    """Factor of the Gauss-Newton Hessian at a path, plus `shift` over the squared scale of every unknown."""
    slopes = context.residuals.evaluate(path, rf)[1]
    own = shift / scales(context.problem) ** 2
    return InTime(context.normal.factor(slopes, own), in_time(context.problem)[0])


def _path(context: SearchContext, minima: Sequence[Array], rng: np.random.Generator) -> tuple[Array, int]:
    lower, upper = context.problem.bounds
    rung = context.rung(rng.uniform(*RUNGS))
    rf = context.ladder.near(rung)
    temperatures = np.geomspace(log_uniform(rng, TEMPERATURES), 1.0, STEPS)
    path = minima[0]
    for temperature in temperatures:
        normal = rng.standard_normal(len(path))
        context.meanwhile()
        try:
            factor = metric(context, path, rf)
        except NotPositiveDefiniteError:
            break
        gradient = context.action.gradient(path, rf)[1]
        new = step(path, gradient, factor, SIZE, 0.5, temperature, normal)
        new = context.problem.ties.tied(np.clip(new, lower, upper))
        if not np.isfinite(context.action.value(new, rf).total):
            break
        path = new
    return path, rung


def _memory(problem: Problem) -> float:
    """The products of the Gauss-Newton Hessian, its band, and the band's factor."""
    together = len(problem.windows) if problem.ties.some else 1
    return 5.0 * 8.0 * problem.size * (3.0 * together * problem.layout.block + len(problem.constants))


ESCAPE = Escape(
    "langevin", "noise in path space, annealed, at a small Rf", 1, _path, memory=_memory,
    weight=1.0, place=30,
)  # fmt: skip
