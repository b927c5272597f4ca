"""Solutions of a boundary value problem: paths, momenta, error, derivatives, error bars."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.interpolate import PPoly

from hpcda.boundary.conditions import Given
from hpcda.boundary.refine import Level, Refined, limit, order
from hpcda.problem import Array

if TYPE_CHECKING:
    from hpcda.analysis.rundata import Result


@dataclass(frozen=True, eq=False, repr=False)
class Solution:
    """One stationary path.

    Attributes:
        t: Points, shape (N,).
        x: States, shape (N, D); Richardson's limit where a tolerance was given, else those of the mesh.
        arriving: p⁻, the momentum that comes to each point, shape (N, D); 0 at the first.
        leaving: p⁺, that leaves it; 0 at the last. They differ by the pull of a condition in between.
        p: Estimated parameters by name.
        action: A of the finest mesh.
        error: Estimated error of `x` and `p`, relative to one plus their size; NaN where steps are fixed.
        niter: Newton steps on all meshes.
        steps: Intervals of the finest mesh.
    """

    t: Array
    x: Array
    arriving: Array
    leaving: Array
    p: dict[str, Any]
    action: float
    error: float
    niter: int
    steps: int
    _given: Given = field(repr=False)
    _level: Level = field(repr=False)
    _every: int = field(repr=False)

    def __repr__(self) -> str:
        kind = "minimum" if self.is_minimum else "stationary path"
        return f"<Solution: {kind}, action {self.action:.6g}, {len(self.t)} points, error {self.error:.1e}>"

    @property
    def momenta(self) -> Array:
        """P = Rf (dx/dt - f), shape (N, D): at the ends the side there is, else the mean of both sides."""
        found = 0.5 * (self.arriving + self.leaving)
        found[0], found[-1] = self.leaving[0], self.arriving[-1]
        return np.asarray(found)

    @cached_property
    def sol(self) -> PPoly:
        """The path as a function of time, piecewise cubic: ``sol(t)`` has shape (…, D).

        It goes through `x` with the slopes dx/dt = f + p/Rf of both sides of every point.
        """
        model, names = self._given.model, self._given.model.parameter_names
        values = dict(zip(names, self._level.parameters, strict=True))
        rates = np.array([model(x, values, {}, t) for t, x in zip(self.t, self.x, strict=True)], dtype=float)
        left = rates[:-1] + self.leaving[:-1] / self._given.rf
        right = rates[1:] + self.arriving[1:] / self._given.rf
        h = np.diff(self.t)[:, None]
        mean = np.diff(self.x, axis=0) / h
        third = (left + right - 2.0 * mean) / h**2
        return PPoly(np.stack([third, (mean - left) / h - third * h, left, self.x[:-1]]), self.t)

    @cached_property
    def is_minimum(self) -> bool:
        """Whether it has been shown that all paths near by have a larger action.

        The Hessian on what is obeyed exactly is positive definite; False where no proof was found.
        """
        return self._level.system.is_minimum(self._level.found.path)

    @cached_property
    def x_std(self) -> Array:
        """Standard deviation of every state in the Gaussian around the minimum, shape (N, D).

        Laplace's approximation of exp(-A) on the finest mesh: 0 where a condition is obeyed exactly, and
        everywhere where all of them and the model are.

        Raises:
            ValueError: It is not known to be a minimum.
        """
        return self._spread(self._variances[: self._level.found.path.x.size])

    @cached_property
    def p_std(self) -> dict[str, Any]:
        """Standard deviations of the estimated parameters, likewise.

        Raises:
            ValueError: It is not known to be a minimum.
        """
        parameters = self._level.system.primal[1]
        return _by_name(self._given, np.sqrt(np.maximum(self._variances[parameters], 0.0)))

    @cached_property
    def _variances(self) -> Array:
        if not self.is_minimum:
            raise ValueError("the path is not known to be a minimum of the action: there are no error bars")
        assert self._level.found.linear is not None
        return self._level.found.linear.variances

    def _spread(self, variances: Array) -> Array:
        return np.sqrt(np.maximum(self._at_points(variances), 0.0))

    def _at_points(self, flat: Array) -> Array:
        """What belongs to the states of the finest mesh, at the points told, shape (N, D, …)."""
        own = self._level.system
        every = self._every * own.lagrangian.span
        return np.asarray(flat.reshape(len(own.times), own.lagrangian.states, *flat.shape[1:])[::every])

    def jacobian(self, name: str) -> Array:
        """∂x/∂k by a known parameter k, of the finest mesh, shape (N, D), or (N, D, …) where k is an array.

        By the implicit function theorem: the equations F(z, k) = 0 of the path hold for all k, so that
        dz/dk = -(∂F/∂z)⁻¹ ∂F/∂k, with the matrix of Newton's last step.

        Raises:
            KeyError: There is no such known parameter.
        """
        model = self._given.model
        entries = model.entries_of(name)
        system = self._level.system
        places = [model.parameter_names[number] for number in system.known]
        if any(entry not in places for entry in entries):
            raise KeyError(f"{name!r} is no known parameter; there are: {', '.join(places) or 'none'}")
        moved = self._moved[:, [places.index(entry) for entry in entries]]
        found = self._at_points(moved[: self._level.found.path.x.size])
        return found.reshape(*found.shape[:2], *model.arrays.get(name, ()))

    @cached_property
    def _moved(self) -> Array:
        linear = self._level.found.linear
        assert linear is not None
        return -linear.solve(self._level.system.by_known(linear))

    @cached_property
    def condition_jacobian(self) -> Array:
        """∂x/∂y by the values of the conditions, in the order of `y`'s finite entries, shape (N, D, C)."""
        system, linear = self._level.system, self._level.found.linear
        assert linear is not None
        rows = system.kick_rows
        right = np.zeros((system.size, rows.stop - rows.start))
        right[rows] = np.eye(rows.stop - rows.start)
        return self._at_points(linear.solve(right)[: self._level.found.path.x.size])


@dataclass(frozen=True, eq=False, repr=False)
class BoundarySolution:
    """What `hpcda.boundary_value` returns: the solution of least action, and all others.

    What a `Solution` has, ``t``, ``x``, ``momenta``, ``p``, ``sol``, ``x_std``, …, it has as well, of the
    first of `solutions`.

    Attributes:
        status: 0: solved; 1: the tolerance was not reached with `max_nodes` points; 2: no solution was found.
        message: The same in words.
        solutions: All that were found, distinct, that of least action first.
        hits: How many starts came to each of them, shape (solutions,).
        starts: How many starts there were.
        result: The ensemble's result, its levels and verdict; None where there was one start.
    """

    status: int
    message: str
    solutions: tuple[Solution, ...]
    hits: tuple[int, ...]
    starts: int
    niter: int
    result: Result | None = None

    @property
    def success(self) -> bool:
        """Whether it is solved."""
        return self.status == 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in _OF_SOLUTION:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if not self.solutions:
            raise AttributeError(f"{name}: there is no solution: {self.message}")
        return getattr(self.solutions[0], name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_OF_SOLUTION})

    def __repr__(self) -> str:
        return f"<BoundarySolution: {self.message}; {len(self.solutions)} found in {self.starts} starts>"


_OF_SOLUTION = (
    "t", "x", "arriving", "leaving", "momenta", "p", "action", "error", "steps", "sol", "is_minimum", "x_std",
    "p_std", "jacobian", "condition_jacobian",
)  # fmt: skip


def _by_name(given: Given, values: Array) -> dict[str, Any]:
    """Estimated parameters by name, arrays in their shape."""
    entries = dict(zip(given.estimated, values, strict=True))
    found: dict[str, Any] = {}
    for one in given.estimated:
        name = next((name for name in given.model.arrays if one in given.model.entries_of(name)), one)
        if name not in found:
            shape = given.model.arrays.get(name, ())
            made = np.array([entries[entry] for entry in given.model.entries_of(name)]).reshape(shape)
            found[name] = made if shape else float(made)
    return found


def solution(given: Given, refined: Refined) -> Solution:
    """The solution that meshes tell: their limit, or the one mesh itself."""
    levels, q = refined.levels, order(given)
    last = levels[-1]
    free = last.system.free
    x, arriving, leaving = last.x, last.arriving, last.leaving
    p, every = last.parameters[free], 1
    if len(levels) > 1:
        coarse = levels[-2]
        x, arriving, leaving = (
            limit(one, other, q)
            for one, other in ((coarse.x, x), (coarse.arriving, arriving), (coarse.leaving, leaving))
        )
        p, every = p + (p - coarse.parameters[free]) / (2.0**q - 1.0), 2
    t = last.system.times[:: every * last.system.lagrangian.span]
    action = last.system.action(last.found.path)
    return Solution(
        t, x, arriving, leaving, _by_name(given, p), action, refined.error, refined.iterations,
        last.system.intervals, given, last, every,
    )  # fmt: skip
