"""How large is a step? The natural size of every unknown, from the ranges in which paths start."""

from __future__ import annotations

import numpy as np

from hpcda.problem import Array, Problem


def scales(problem: Problem) -> Array:
    """Width of the starting range of every unknown, shape (size,); its size or 1 where it has no width."""
    varying = np.reshape([q.start for q in problem.varying], (-1, 2))
    block = np.vstack([problem.state_start.reshape(-1, 2), varying])
    shared = np.reshape([p.start for p in problem.parameters], (-1, 2))
    ranges = np.vstack([*(np.tile(block, (window.times, 1)) for window in problem.windows), shared])
    width, size = ranges[:, 1] - ranges[:, 0], np.abs(ranges).max(axis=1)
    return np.where(width > 1e-12 * size, width, np.where(size > 0, size, 1.0))
