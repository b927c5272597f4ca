"""Natural scale of every unknown, from the range in which starts are drawn."""

from __future__ import annotations

import numpy as np

from hpcda.problem import Array, Problem


def scales(problem: Problem) -> Array:
    """Width of the starting range of every unknown, shape (size,); its size or 1 where it has no width."""
    ranges = problem.starts
    width, size = ranges[:, 1] - ranges[:, 0], np.abs(ranges).max(axis=1)
    return np.where(width > 1e-12 * size, width, np.where(size > 0, size, 1.0))
