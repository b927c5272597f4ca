"""Newton's method on a whole path, damped so that steps become shorter from one to the next.

A step dz = -K⁻¹ F is shortened by t until the step that the same matrix makes from there is shorter,
|K⁻¹ F(z + t dz)| ≤ (1 - t/2) |dz|, in sizes of states and parameters (natural monotonicity: P. Deuflhard,
Newton Methods for Nonlinear Problems (2011), section 3.3). This does not depend on how the equations are
scaled, and needs no function that falls, of which a saddle point in states and multipliers has none. Near a
solution all steps are whole and convergence is quadratic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcda.boundary.system import Linear, Path, PathSystem, SingularError
from hpcda.problem import Array

CLOSE = 1e-10
"""Part of their sizes by which the last step moves states and parameters."""
ROUNDING = 1e-7
"""The same, where rounding hinders steps from becoming shorter."""
SHORTEST = 1e-5
"""Shortest part of a step that is tried."""


@dataclass(frozen=True)
class Found:
    """Where Newton's method has come to.

    Attributes:
        path: The path.
        linear: The matrix of its last step.
        iterations: Matrices factorized.
        trouble: Why it is no solution; empty where it is one.
    """

    path: Path
    linear: Linear | None
    iterations: int
    trouble: str = ""


def newton(system: PathSystem, path: Path, most: int) -> Found:
    """The stationary path near one.

    Args:
        system: The equations.
        path: Where to begin.
        most: Most matrices that are factorized.
    """
    z, known = system.join(path), path.parameters
    linear = None
    for iteration in range(1, most + 1):
        at = system.split(z, known)
        try:
            left, linear = system.linearized(at)
            step = -linear.solve(left)
        except SingularError as error:
            return Found(at, None, iteration, str(error))
        if not np.isfinite(step).all():
            return Found(at, None, iteration, "the matrix is singular")
        sizes = _sizes(system, z)
        length, largest = _length(system, step, sizes)
        if largest <= CLOSE:
            return Found(system.split(z + step, known), linear, iteration)
        share = 1.0
        while share > SHORTEST:
            trial = z + share * step
            with np.errstate(all="ignore"):
                rest = system.residual(system.split(trial, known))
                ahead = _length(system, linear.solve(rest), sizes)[0] if np.isfinite(rest).all() else np.inf
            if ahead <= (1.0 - 0.5 * share) * length:
                break
            share *= 0.5
        else:
            if largest <= ROUNDING:
                return Found(at, linear, iteration)
            return Found(at, linear, iteration, "no part of a Newton step leads closer to a solution")
        z = trial
    return Found(system.split(z, known), linear, most, f"no solution in {most} Newton steps")


def _sizes(system: PathSystem, z: Array) -> Array:
    """Sizes of states, each its largest along the path, and of unknown parameters."""
    path = system.split(z, np.zeros(len(system.free)))
    states = np.abs(path.x).max(axis=0)
    states = np.maximum(states, 1e-3 * states.max(initial=0.0))
    parameters = np.abs(path.parameters[system.free])
    found = np.concatenate([np.tile(states, len(path.x)), parameters])
    return np.where(found > 0.0, found, 1.0)


def _length(system: PathSystem, step: Array, sizes: Array) -> tuple[float, float]:
    """Root mean square and largest part by which a step moves states and parameters."""
    states, parameters = system.primal
    own = np.concatenate([step[states], step[parameters]]) / sizes
    return float(np.sqrt(np.mean(own**2))), float(np.abs(own).max())
