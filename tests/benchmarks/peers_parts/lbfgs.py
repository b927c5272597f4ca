"""SciPy's L-BFGS-B, as the field's first codes use it, on hpcda's compiled action and gradient.

The unknowns are divided by the widths of their starting ranges, without which it hardly moves where they
differ by orders of magnitude (the neuron).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.scale import scales
from hpcda.problem import Array, Problem
from hpcda.search import WAYS, SearchContext, begin

TOGETHER = 1
"""How many starts one call of `climb` takes."""
OPTIONS: dict[str, Any] = {"maxcor": 10, "ftol": 1e-8, "gtol": 1e-8, "maxiter": 100_000, "maxfun": 200_000}
"""1e-10 takes twice as long for 1e-5 of the action; more corrections are slower."""


def prepare(problem: Problem, ladder: Ladder, folder: Path) -> Action:
    """The compiled action."""
    return Action(problem)


def climb(
    problem: Problem,
    action: Action,
    ladder: Ladder,
    starts: list[int],
    seed: int,
    tell: Callable[[int, int], None] = lambda start, rung: None,
) -> list[tuple[float, Array, int, float]]:
    """Final action, final path, evaluations and seconds of every start."""
    return [_one(problem, action, ladder, start, seed, tell) for start in starts]


def _one(
    problem: Problem, action: Action, ladder: Ladder, start: int, seed: int, tell: Callable[[int, int], None]
) -> tuple[float, Array, int, float]:
    scale = scales(problem)
    bounds = np.transpose(problem.bounds) / scale[:, None] if problem.bounded else None
    place = begin(SearchContext(problem, ladder), WAYS["uniform"], seed, start).path / scale
    evaluations, value = 0, np.nan
    began = time.process_time()
    for rung, rf in enumerate(ladder.rf):
        tell(start, rung)

        def function(y: Array, rf: float = rf) -> tuple[float, Array]:
            parts, gradient = action.gradient(y * scale, rf)
            return parts.total, gradient * scale

        found: Any = minimize(function, place, jac=True, method="L-BFGS-B", bounds=bounds, options=OPTIONS)
        place, value, evaluations = found.x, float(found.fun), evaluations + int(found.nfev)
    return value, place * scale, evaluations, time.process_time() - began
