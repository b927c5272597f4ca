"""Uniformly random paths, as in Ye et al., Nonlin. Processes Geophys. 22, 205 (2015), section 3."""

from __future__ import annotations

import numpy as np

from hpcda.problem import Array, Problem, Window
from hpcda.search.way import Way, pointwise


def _states(problem: Problem, window: Window, rng: np.random.Generator) -> Array:
    low, high = problem.state_start.T
    return rng.uniform(low, high, size=(window.times, problem.dimension))


WAY = Way("uniform", "unmeasured states uniform in their range", pointwise(_states), searched=False, place=0)
