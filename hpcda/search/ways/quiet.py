"""Quiet paths: unmeasured states stay near the mean of the data, with noise of 0.1 or less."""

from __future__ import annotations

import numpy as np

from hpcda.problem import Array, Problem, Window
from hpcda.search.way import Way, center_and_spread, pointwise

NOISE = 0.1


def _states(problem: Problem, window: Window, rng: np.random.Generator) -> Array:
    center, _ = center_and_spread(problem, window)
    low, high = problem.state_start.T
    noise = NOISE * np.minimum(1.0, (high - low) / 10.0)
    return center + noise * rng.standard_normal((window.times, problem.dimension))


WAY = Way(
    "quiet", "unmeasured states at the mean of the data, with noise of 0.1 or less", pointwise(_states),
    shares=(0.0, 0.25), pilots=True, at_once=True, place=10,
)  # fmt: skip
