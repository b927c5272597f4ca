r"""Meshes whose steps differ: intervals whose local error is large are divided until all are alike.

The path of a mesh, interpolated to twice as many intervals, departs from the rule there by

    τ = r(S) - λ / (Rf s),

r the model error of a half interval along the interpolant S. τ/h over 1 + |x'| is the local error of a rate;
intervals where it is above a target are cut in two, or in three where it is a hundred times as large (J.
Kierzenka, L. Shampine, ACM Trans. Math. Softw. 27, 299 (2001), whose residual is that of the interpolant
itself). The path is solved again on the new mesh. Halving all intervals of the last one then gives
Richardson's limit as on equal steps (`hpcda.boundary.refine`): a mesh and its halves belong together,
whatever their steps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from hpcda.boundary.system import Path, PathSystem
from hpcda.problem import Array

ROUNDS = 24
"""Most meshes."""
LARGE = 100.0
"""Times the target from which on an interval is cut in three."""


def local_errors(path: Path, halves: PathSystem) -> Array:
    """Largest local error of the rates in each interval, relative, shape (intervals,).

    Args:
        path: The path, interpolated to the mesh of halves.
        halves: The equations there.
    """
    left, rates = halves.departures(path)
    own = (np.abs(left) / (1.0 + np.abs(rates))).max(axis=1)
    return np.asarray(own.reshape(-1, 2).max(axis=1))


def divided(ends: Array, errors: Array, target: float) -> tuple[Array, npt.NDArray[np.int64]]:
    """The ends of a mesh of more intervals, and into how many each was cut.

    Args:
        ends: Ends of the intervals, shape (n + 1,).
        errors: Local errors, shape (n,).
        target: What they should be at most.
    """
    cuts = 1 + (errors > target).astype(np.int64) + (errors > LARGE * target)
    inner = np.arange(cuts.sum()) - np.repeat(np.cumsum(cuts) - cuts, cuts)
    step = np.diff(ends) / cuts
    return np.append(np.repeat(ends[:-1], cuts) + inner * np.repeat(step, cuts), ends[-1]), cuts


def moved(path: Path, times: Array, onto: Array, cuts: npt.NDArray[np.int64]) -> Path:
    """A path on the points of a divided mesh."""
    x = CubicSpline(times, path.x)(onto)
    return Path(x, np.repeat(path.multipliers, cuts, axis=0), path.kicks, path.parameters)
