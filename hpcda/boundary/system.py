r"""The equations of a stationary path: states, multipliers, parameters, solved together.

With the model errors r of a discretization and the conditions x(t_c) = y_c of standard deviation σ_c, a path
of least action

    A = 1/2 Σ (x - y)²/σ² + Rf/2 Σ s r² + priors

is a stationary point of  μᵀ(x - y) - σ²μ²/2 + λᵀ r - λ²/(2 Rf s) + priors  in all of x, λ, μ and θ:

    Σ λ ∂r/∂x + μ = 0,    r = λ/(Rf s),    x - y = σ² μ,    Σ λ ∂r/∂θ + (θ - θ_0)/σ_θ² = 0.

1/Rf and σ² stand where 0 is a number like any other: at Rf = ∞ the model is obeyed exactly, at σ = 0 a
condition (Nocedal, Wright, Numerical Optimization (2006), section 16.1, of a quadratic program's matrix). The
matrix is symmetric and indefinite; in the order of time it is banded, with the parameters as a border.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import lapack
from scipy.sparse.linalg import splu

from hpcda.action.native import Equations
from hpcda.linalg.banded import Banded
from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.mechanics.lagrangian import DiscreteLagrangian
from hpcda.problem import Array, Window

Index = npt.NDArray[np.int64]
PENALTIES = (1e0, 1e3, 1e6)
"""Weights of what is obeyed exactly with which a minimum is looked for, in units of the Hessian's largest."""


class SingularError(Exception):
    """The matrix is singular: the conditions do not determine the path and its parameters."""


@dataclass(frozen=True)
class Held:
    """Conditions at points of a mesh.

    Attributes:
        point: Number of the point of each, shape (C,).
        state: Number of the state of each, shape (C,).
        value: y, shape (C,).
        std: σ, 0 for a condition that is obeyed exactly, shape (C,).
    """

    point: Index
    state: Index
    value: Array
    std: Array


@dataclass(frozen=True)
class Path:
    """A point of the space in which is searched.

    Attributes:
        x: States at all points, shape (points, D).
        multipliers: λ, shape (intervals, K · D).
        kicks: μ, shape (C,).
        parameters: All parameters, known ones with them, shape (P,).
    """

    x: Array
    multipliers: Array
    kicks: Array
    parameters: Array


class PathSystem:
    """The equations on one mesh.

    Args:
        equations: Equations of a problem whose parameters are all estimated.
        times: Times of the points, those of an interval equally far apart, shape (points,).
        held: The conditions.
        rf: Rf per time; infinity for the model obeyed exactly.
        free: Which parameters are unknown, shape (P,).
        priors: Mean and standard deviation of each parameter, shape (P, 2); infinite where there is none.
    """

    def __init__(
        self, equations: Equations, times: Array, held: Held, rf: float, free: Any, priors: Array
    ) -> None:
        old = equations.problem
        empty = np.full((len(times), 1), np.nan)
        window = Window(times, empty, np.ones_like(empty), np.zeros((len(times), 0)))
        equations = equations.of(replace(old, windows=(window,)))
        self.times, self.held, self.rf, self.free, self.priors = times, held, rf, free, priors
        self.lagrangian = own = DiscreteLagrangian(equations)
        self.intervals = (len(times) - 1) // own.span
        self._numbers = np.arange(self.intervals)
        self._soft = np.zeros_like(own.weight) if np.isinf(rf) else 1.0 / (rf * own.weight)
        self._points = self._numbers[:, None] * own.span + np.arange(own.span + 1)
        sizes = [len(times) * own.states, self.intervals * own.rows, len(held.point), int(free.sum())]
        self._begins = np.cumsum([0, *sizes])
        self.size = int(self._begins[-1])
        self._prior = np.where(np.isfinite(priors[:, 1]), 1.0 / priors[:, 1] ** 2, 0.0)
        self._mean = np.where(self._prior > 0.0, priors[:, 0], 0.0)
        self._place_entries()

    def _place_entries(self) -> None:
        """Rows and columns of all entries; entries by known parameters are set apart."""
        own, held, begins = self.lagrangian, self.held, self._begins
        jacobian, hessian = own.pattern
        unknown = np.full(self.free.shape, -1)
        unknown[self.free] = begins[3] + np.arange(self.free.sum())
        self._known = np.flatnonzero(~self.free)
        unknown[self._known] = -2 - np.arange(len(self._known))
        local = (own.span + 1) * own.states
        first = self._numbers[:, None] * own.span * own.states
        place = np.concatenate(
            [first + np.arange(local), np.broadcast_to(unknown, (self.intervals, len(unknown)))], axis=1
        )
        rows = begins[1] + self._numbers[:, None] * own.rows + np.arange(own.rows)
        at = held.point * own.states + held.state
        of_kicks = begins[2] + np.arange(len(at))
        one, other = place[:, hessian[:, 0]].ravel(), place[:, hessian[:, 1]].ravel()
        self._mirrored = np.tile(hessian[:, 0] != hessian[:, 1], self.intervals)
        row, column = rows[:, jacobian[:, 0]].ravel(), place[:, jacobian[:, 1]].ravel()
        every, parameters = rows.ravel(), unknown[self.free]
        i = [row, column, one, other[self._mirrored], of_kicks, at, every, of_kicks, parameters]
        j = [column, row, other, one[self._mirrored], at, of_kicks, every, of_kicks, parameters]
        self._i, self._j = np.concatenate(i), np.concatenate(j)
        self._fixed = np.concatenate(
            [
                np.ones(2 * len(at)),
                -self._soft.ravel(),
                -(held.std**2),
                self._prior[self.free],
            ]
        )
        self._inside = np.flatnonzero((self._i >= 0) & (self._j >= 0))
        self._outside = np.flatnonzero((self._i >= 0) & (self._j < 0))
        self._slots = self._points[:, :, None] * own.states + np.arange(own.states)
        self._kick_at, self._jacobian_at = at, (jacobian, place)
        self._order_in_time()

    def _order_in_time(self) -> None:
        own = self.lagrangian
        time = np.concatenate(
            [
                np.repeat(np.arange(len(self.times), dtype=float), own.states),
                np.repeat((self._numbers + 0.5) * own.span, own.rows),
                self.held.point + 0.1,
                np.full(int(self.free.sum()), np.inf),
            ]
        )
        self._order = np.argsort(time, kind="stable")
        rank = np.empty(self.size, dtype=np.int64)
        rank[self._order] = np.arange(self.size)
        i, j = rank[self._i[self._inside]], rank[self._j[self._inside]]
        if self.free.any():
            wide, places = np.unique(j * self.size + i, return_inverse=True)
            column, self._row = np.divmod(wide, self.size)
            self._pointer = np.searchsorted(column, np.arange(self.size + 1))
            self._where, self._length = places, len(wide)
        else:
            self._width = int(np.abs(i - j).max())
            height = 3 * self._width + 1
            self._where, self._length = 2 * self._width + i - j + j * height, height * self.size

    def split(self, vector: Array, known: Array) -> Path:
        """The parts of a vector of unknowns, shape (size,), known parameters filled in from `known`."""
        own, (a, b, c, d, e) = self.lagrangian, self._begins
        parameters = known.copy()
        parameters[self.free] = vector[d:e]
        return Path(
            vector[a:b].reshape(-1, own.states), vector[b:c].reshape(-1, own.rows), vector[c:d], parameters
        )

    def join(self, path: Path) -> Array:
        """The vector of unknowns, shape (size,)."""
        parts = path.x.ravel(), path.multipliers.ravel(), path.kicks, path.parameters[self.free]
        return np.concatenate(parts)

    def residual(self, path: Path) -> Array:
        """What is left of the equations, shape (size,)."""
        own = self.lagrangian
        errors, slopes = self._first(path)
        return self._left(path, errors, slopes, own.pattern[0])

    def _first(self, path: Path) -> tuple[Array, Array]:
        errors, slopes, _ = self._all(path, False)
        return errors, slopes

    def _all(self, path: Path, second: bool = True) -> tuple[Array, Array, Array]:
        points = path.x.ravel()[self._slots]
        return self.lagrangian.derivatives(points, path.multipliers, path.parameters, self._numbers, second)

    def _left(self, path: Path, errors: Array, slopes: Array, pattern: Index) -> Array:
        d, held = self._begins, self.held
        pulls = (path.multipliers[:, pattern[:, 0]] * slopes).ravel()
        places = self._jacobian_at[1][:, pattern[:, 1]].ravel()
        own = places >= 0
        forces: Array = np.bincount(places[own], pulls[own], self.size).astype(np.float64)
        forces[self._kick_at] += path.kicks
        prior = self._prior * (path.parameters - self._mean)
        forces[d[3] :] += prior[self.free]
        forces[d[1] : d[2]] = (errors - self._soft * path.multipliers).ravel()
        forces[d[2] : d[3]] = path.x.ravel()[self._kick_at] - held.value - held.std**2 * path.kicks
        return forces

    def linearized(self, path: Path) -> tuple[Array, Linear]:
        """What is left of the equations, and their factorized matrix.

        Raises:
            SingularError: It is singular, or not finite.
        """
        errors, slopes, bends = self._all(path)
        left = self._left(path, errors, slopes, self.lagrangian.pattern[0])
        bent = bends.ravel()
        flat = slopes.ravel()
        values = np.concatenate([flat, flat, bent, bent[self._mirrored], self._fixed])
        return left, Linear(self, values)

    def departures(self, path: Path) -> tuple[Array, Array]:
        """How far a path is from the rule, and its mean rates, both per time, shape (intervals, K · D)."""
        own, points = self.lagrangian, path.x[self._points]
        errors, _ = self._first(path)
        long = (self.times[own.span :: own.span] - self.times[: -1 : own.span])[:, None]
        rates = np.tile((points[:, -1] - points[:, 0]) / long, (1, own.rows // own.states))
        return (errors - self._soft * path.multipliers) / long, rates

    def action(self, path: Path) -> float:
        """A."""
        conditions = (self.held.std * path.kicks) ** 2
        model = self._soft * path.multipliers**2
        prior = self._prior * (path.parameters - self._mean) ** 2
        return 0.5 * float(conditions.sum() + model.sum() + prior[self.free].sum())

    def momenta(self, path: Path) -> tuple[Array, Array]:
        """p⁻ and p⁺ at the ends of the intervals, each of shape (intervals + 1, D)."""
        moved = self.lagrangian.momenta(
            path.x[self._points], path.multipliers, path.parameters, self._numbers
        )
        nothing = np.zeros((1, self.lagrangian.states))
        return np.concatenate([nothing, moved.right]), np.concatenate([moved.left, nothing])

    def is_minimum(self, path: Path) -> bool:
        """Whether the action has been shown to be smallest among all paths near by.

        True where the Hessian of the action, with a weight on what is obeyed exactly, is positive definite:
        it is then so along all directions that obey it.
        """
        _, slopes, bends = self._all(path)
        pattern, place = self._jacobian_at
        a, b = self.lagrangian.pattern[1].T
        cut = self._begins
        keep = np.r_[np.arange(cut[1]), np.arange(cut[3], cut[4])]
        rows = np.repeat(np.arange(self.intervals * self.lagrangian.rows), 1)
        row = (self._numbers[:, None] * self.lagrangian.rows + pattern[:, 0]).ravel()
        column = place[:, pattern[:, 1]].ravel()
        own = column >= 0
        shape = (len(rows), self.size)
        first = sp.csr_array((slopes.ravel()[own], (row[own], column[own])), shape=shape)[:, keep]
        i, j, values = place[:, a].ravel(), place[:, b].ravel(), bends.ravel()
        own = (i >= 0) & (j >= 0)
        i, j, values = i[own], j[own], values[own]
        half = sp.csr_array((values, (i, j)), shape=(self.size,) * 2)
        mirror = sp.csr_array((values[i != j], (j[i != j], i[i != j])), shape=(self.size,) * 2)
        whole = (half + mirror)[keep][:, keep]
        diagonal = np.zeros(self.size)
        diagonal[cut[3] :] = self._prior[self.free]
        largest = float(np.abs(whole.data).max(initial=0.0)) or 1.0
        soft, std = self._soft.ravel(), self.held.std
        for penalty in PENALTIES:
            least = 1.0 / (penalty * largest)
            weighted = first * (1.0 / np.maximum(soft, least))[:, None]
            held = diagonal.copy()
            np.add.at(held, self._kick_at, 1.0 / np.maximum(std**2, least))
            matrix = sp.csr_array(whole + first.T @ sp.csr_array(weighted) + sp.diags_array(held[keep]))
            try:
                Banded.factor(matrix, int(self.free.sum()))
            except NotPositiveDefiniteError:
                continue
            return True
        return False

    def by_known(self, linear: Linear) -> Array:
        """Derivatives of the equations by the known parameters, shape (size, known)."""
        values = linear.values[self._outside]
        found = np.zeros((self.size, len(self._known)))
        np.add.at(found, (self._i[self._outside], -2 - self._j[self._outside]), values)
        return found

    @property
    def primal(self) -> tuple[slice, slice]:
        """Where states and parameters stand among the unknowns."""
        return slice(0, self._begins[1]), slice(self._begins[3], self._begins[4])

    @property
    def known(self) -> Index:
        """Numbers of the parameters that are not unknown."""
        return self._known

    @property
    def kick_rows(self) -> slice:
        """Where the conditions stand among the equations."""
        return slice(self._begins[2], self._begins[3])


class Linear:
    """The factorized matrix of a `PathSystem` at one path.

    Raises:
        SingularError: It is singular, or not finite.
    """

    def __init__(self, system: PathSystem, values: Array) -> None:
        self._system, self.values = system, values
        inside = np.bincount(system._where, values[system._inside], system._length)
        if not np.isfinite(inside).all():
            raise SingularError("the equations are not finite")
        if system.free.any():
            matrix = sp.csc_array((inside, system._row, system._pointer), shape=(system.size,) * 2)
            try:
                self._factor: Any = splu(matrix)
            except RuntimeError:
                raise SingularError("the matrix is singular") from None
            return
        band = inside.reshape(system.size, -1).T
        factor, pivots, info = lapack.dgbtrf(band, system._width, system._width, overwrite_ab=1)
        if info:
            raise SingularError("the matrix is singular")
        self._factor = factor, pivots

    def solve(self, right: Array) -> Array:
        """K⁻¹ b, shape (size,) or (size, n)."""
        system = self._system
        ordered = right[system._order]
        if system.free.any():
            found = self._factor.solve(ordered)
        else:
            factor, pivots = self._factor
            found, _ = lapack.dgbtrs(factor, system._width, system._width, ordered, pivots)
        solved = np.empty_like(found)
        solved[system._order] = found
        return np.asarray(solved)

    @cached_property
    def variances(self) -> Array:
        """Diagonal of the inverse, shape (size,): of states and parameters their variances at a minimum."""
        size = self._system.size
        found, some = np.empty(size), max(1, 2_000_000 // size)
        for begin in range(0, size, some):
            places = np.arange(begin, min(begin + some, size))
            unit = np.zeros((size, len(places)))
            unit[places, np.arange(len(places))] = 1.0
            found[places] = self.solve(unit)[places, np.arange(len(places))]
        return found
