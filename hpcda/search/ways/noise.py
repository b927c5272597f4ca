"""Noisy paths: unmeasured states are white noise with the mean and the standard deviation of the data."""

from __future__ import annotations

import numpy as np

from hpcda.problem import Array, Problem, Window
from hpcda.search.way import Way, center_and_spread, pointwise


def _states(problem: Problem, window: Window, rng: np.random.Generator) -> Array:
    center, spread = center_and_spread(problem, window)
    return center + spread * rng.standard_normal((window.times, problem.dimension))


WAY = Way(
    "noise", "unmeasured states are white noise with the data's mean and spread", pointwise(_states),
    shares=(0.25,), place=20,
)  # fmt: skip
