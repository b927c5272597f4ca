"""What `hpcda.boundary_value` gives, in the words of `scipy.integrate.solve_bvp`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from hpcda.boundary.newton import Assembled, Equations, Stationary
from hpcda.problem import Array

GAUSS = 0.5 + np.array([-0.5, 0.0, 0.5]) * np.sqrt(3 / 5)
WEIGHTS = np.array([5, 8, 5]) / 18
"""Nodes and weights of the quadrature of residuals, on [0, 1]."""


class BoundarySolution:
    """One solution.

    Args:
        equations: The equations it solves.
        found: Where Newton's steps ended.
        names: Names of the estimated parameters.

    Attributes:
        iterations: Factorizations that led to it.
        count: Starts that led to it.
        error_estimate: Estimated largest error of every state on the mesh, shape (D,): the difference to the
            solution with half as many steps, over 2^order - 1; NaN where that was not found.
    """

    def __init__(self, equations: Equations, found: Stationary, names: tuple[str, ...]) -> None:
        self._equations, self._found, self.parameter_names = equations, found, names
        self.iterations, self.count = found.iterations, 1
        self.error_estimate: Array = np.full(equations.action.problem.dimension, np.nan)

    @property
    def x(self) -> Array:
        """The mesh, shape (N,)."""
        return self._equations.action.problem.windows[0].t

    @property
    def path(self) -> Array:
        """States of all nodes, then all parameters, known ones too, flat."""
        return self._found.path

    @property
    def y(self) -> Array:
        """States, shape (D, N)."""
        return np.asarray(self._equations.action.problem.split(self.path)[0][0].T)

    @property
    def p(self) -> Array:
        """Estimated parameters, shape (P,), in the order of `parameter_names`."""
        return self.path[self._places(self.parameter_names)]

    @cached_property
    def action(self) -> float:
        """The action: data, and at a finite Rf the model errors."""
        parts = self._equations.action.value(self.path, 0.0)
        own, mu = self._equations, self._found.multipliers.ravel()
        return float(parts.measurement + parts.prior + 0.5 * mu @ (own.soft * mu))

    @property
    def minimum(self) -> bool:
        """Whether it is a minimum of the action; False at a saddle point."""
        return self.assembled.minimum

    @cached_property
    def yp(self) -> Array:
        """The right-hand side at the nodes, shape (D, N)."""
        return self._rates(self.x, self.y)

    @cached_property
    def sol(self) -> Any:
        """The solution between the nodes, a function of x: the cubic with the slopes `yp`."""
        return CubicHermiteSpline(self.x, self.y, self.yp, axis=1)

    @cached_property
    def rms_residuals(self) -> Array:
        """Root mean square of (dy/dx - f) / (1 + |f|) over every step, shape (N - 1,), as of `solve_bvp`.

        At a finite Rf it holds the model error as well.
        """
        at = (self.x[:-1, None] + np.diff(self.x)[:, None] * GAUSS).ravel()
        f = self._rates(at, self.sol(at))
        squares = (((self.sol(at, 1) - f) / (1.0 + np.abs(f))) ** 2).sum(axis=0)
        return np.asarray(np.sqrt(squares.reshape(-1, 3) @ WEIGHTS))

    @cached_property
    def momentum(self) -> tuple[Array, Array]:
        """Momenta that leave and arrive at the ends of intervals, two of shape (D, intervals + 1).

        0 where nothing leaves (the last) or arrives (the first). An interval is one step, of Hermite-Simpson
        two. An exact end pulls with any force: its momentum is the multiplier of its condition.
        """
        own = self._equations.lagrangian
        blocks, constants = self._equations.action.problem.split(self.path)
        count = len(self._found.multipliers)
        points = blocks[0][own.span * np.arange(count)[:, None] + np.arange(own.span + 1)]
        made = own.momenta(points, self._found.multipliers, constants, range(count))
        zero = np.zeros((1, own.states))
        return np.vstack([made.left, zero]).T, np.vstack([zero, made.right]).T

    @cached_property
    def assembled(self) -> Assembled:
        """The stationarity equations there, with their factor."""
        return self._equations.assembled(self.path, self._found.multipliers)

    def jacobian(self, name: str) -> tuple[Array, Array]:
        """Derivative by a known parameter, from the factor, by the implicit function theorem.

        Args:
            name: The parameter.

        Returns:
            That of the states, shape (D, N), and of the estimated parameters, shape (P,).

        Raises:
            KeyError: It is no known parameter.
        """
        known = self._equations.action.problem.layout.shared
        if name not in known or name in self.parameter_names:
            raise KeyError(f"{name!r} is no known parameter")
        return self._divided(self.assembled.by_held(self._places((name,)))[:, 0])

    def end_jacobian(self, state: int, last: bool = False) -> tuple[Array, Array]:
        """Derivative by the exact value of a state at the first or last node, as `jacobian`.

        Raises:
            KeyError: The value is not given exactly.
        """
        problem = self._equations.action.problem
        place = int(problem.layout.points(0)[-1 if last else 0][state])
        if place not in self._equations.held:
            raise KeyError(f"state {state} has no exact value there")
        return self._divided(self.assembled.by_held(np.array([place]))[:, 0])

    @cached_property
    def std(self) -> tuple[Array, Array]:
        """Standard deviations in Laplace's approximation of the states, (D, N), and parameters, (P,)."""
        size = self._equations.action.size
        variance = np.zeros(size)
        for begin in range(0, size, 256):
            places = np.arange(begin, min(begin + 256, size))
            variance[places] = self.assembled.covariance(places)[places, places - begin]
        return self._divided(np.sqrt(np.maximum(variance, 0.0)))

    @property
    def parameter_covariance(self) -> Array:
        """Covariance of the estimated parameters in Laplace's approximation, shape (P, P)."""
        places = self._places(self.parameter_names)
        return self.assembled.covariance(places)[places]

    def _rates(self, t: Array, y: Array) -> Array:
        problem = self._equations.action.problem
        known = dict(zip(problem.layout.shared, self.path[problem.layout.tail], strict=True))
        columns = [problem.model(y[:, k], known, {}, float(t[k])) for k in range(len(t))]
        return np.array(columns, dtype=np.float64).T

    def _places(self, names: tuple[str, ...]) -> Any:
        layout = self._equations.action.problem.layout
        return np.array([layout.tail.start + layout.shared.index(name) for name in names], dtype=np.int64)

    def _divided(self, flat: Array) -> tuple[Array, Array]:
        block = self._equations.action.problem.split(flat)[0][0]
        return np.asarray(block.T), flat[self._places(self.parameter_names)]


@dataclass(frozen=True)
class BoundaryValue:
    """What an ensemble of starts found.

    The attributes of a `BoundarySolution` (x, y, p, sol, yp, rms_residuals, momentum, ...) are those of the
    first solution.

    Attributes:
        solutions: Distinct minima, the lowest action first.
        saddles: Distinct stationary paths that are no minima.
        status: 0: found; 1: found, but not to the tolerance with as many nodes as are allowed; 2: the
            equations are singular; 3: Newton's steps do not converge; 4: they lead to a saddle point alone.
        message: The same in words.
        endings: Of every start why its steps ended.
    """

    solutions: tuple[BoundarySolution, ...]
    saddles: tuple[BoundarySolution, ...]
    status: int
    message: str
    endings: tuple[str, ...]

    @property
    def success(self) -> bool:
        """Whether there is a solution to the tolerance."""
        return self.status == 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(BoundarySolution, name) and name not in (
            "iterations", "count", "error_estimate", "parameter_names",
        ):  # fmt: skip
            raise AttributeError(f"a result of boundary_value has no {name!r}")
        if not self.solutions:
            raise AttributeError(f"there is no {name}: {self.message}")
        return getattr(self.solutions[0], name)
