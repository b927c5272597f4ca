r"""Newton's method on a whole path and its multipliers, with some unknowns held.

A path X of stationary action obeys, with the multipliers λ = Rf s r of the model errors r,

    g(X) + Jᵀ λ = 0,    r(X) - λ / (Rf s) = 0,    g the forces of the data, J = ∂r/∂X,

by the unknowns that are not held. The matrix of these equations,

    K = [[H + Σ λ ∂²r, Jᵀ], [J, -1/(Rf s)]],    H the curvature of the data,

is regular at 1/Rf = 0. The upper left block of its inverse is the covariance of X in Laplace's approximation,
and -K⁻¹ ∂(equations)/∂(held) the derivative of the solution by what is held: known parameters and exact
values at the ends. Steps are shortened by the natural monotonicity test: the next step with the same matrix
has to be shorter (P. Deuflhard, Newton Methods for Nonlinear Problems, Springer 2004, section 3.3).
A stationary path is a minimum where H + Σ λ ∂²r is positive on all moves that J allows, told by the signs of
the pivots of H + Σ λ ∂²r + c Jᵀ J for c = Rf s, at Rf = ∞ for a large c.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from hpcda.action import Action
from hpcda.mechanics import DiscreteLagrangian
from hpcda.problem import Array

Index = npt.NDArray[np.int64]

SMALLEST = 1e-8
"""Shortest part of a Newton step."""
ROUNDING, CLOSE = 1e-13, 1e-9
"""Part of their sizes by which the last step moves the unknowns; where no shorter step is found, by which it
may."""
STIFF = 1e8
"""c at Rf = ∞, in units of the curvature on the moves that J does not allow."""

Ending = Literal["converged", "singular", "no descent", "iterations", "not finite"]


@dataclass(frozen=True)
class Stationary:
    """Where Newton's steps ended.

    Attributes:
        path: Flat path, shape (size,).
        multipliers: λ, shape (intervals, K · D).
        ending: Why.
        iterations: Factorizations.
    """

    path: Array
    multipliers: Array
    ending: Ending
    iterations: int


class Equations:
    """The stationarity equations of a problem of one window.

    Args:
        action: The action.
        rf: Rf; infinity for a model obeyed exactly.
        held: Which unknowns keep their values, shape (size,).
    """

    def __init__(self, action: Action, rf: float, held: npt.NDArray[np.bool_]) -> None:
        self.action, self.rf = action, float(rf)
        self.held, self.free = np.flatnonzero(held), np.flatnonzero(~held)
        self.lagrangian = DiscreteLagrangian(action.equations)
        problem, own = action.problem, self.lagrangian
        self._count = (problem.windows[0].times - 1) // own.span
        self._blocks = own.span * np.arange(self._count)[:, None] + np.arange(own.span + 1)
        every = self._blocks[:, :, None] * own.block + np.arange(own.block)
        tail = np.broadcast_to(
            np.arange(problem.layout.tail.start, problem.size),
            (self._count, problem.size - problem.layout.tail.start),
        )
        self.unknowns: Index = np.hstack([every.reshape(self._count, -1), tail])
        self.rows = self._count * own.rows
        weight = np.tile(own.weight, self._count)
        self.soft: Array = np.zeros(self.rows) if np.isinf(rf) else 1.0 / (rf * weight)

    @cached_property
    def _where(self) -> tuple[Index, Index, Index, Index]:
        """Rows and columns of J, and of the curvature of λ·r."""
        own, every = self.lagrangian, np.arange(self._count)[:, None]
        row = every * own.rows + own.first[:, 0]
        column = self.unknowns[:, own.first[:, 1]]
        return row, column, self.unknowns[:, own.second[:, 0]], self.unknowns[:, own.second[:, 1]]

    def assembled(self, path: Array, multipliers: Array) -> Assembled:
        """The equations and their matrices at a path."""
        problem, own = self.action.problem, self.lagrangian
        blocks, constants = problem.split(path)
        points = blocks[0][self._blocks]
        errors, slopes, bends = own.derivatives(points, multipliers, constants, range(self._count))
        row, column, a, b = self._where
        size = problem.size
        jacobian = sp.csr_array((slopes.ravel(), (row.ravel(), column.ravel())), shape=(self.rows, size))
        _, force, values = self.action.derivatives(path, 0.0)
        pattern = self.action.sparsity
        data = sp.csr_array((values, pattern.indices, pattern.indptr), shape=(size, size))
        off = (a != b).ravel()
        one = sp.coo_array(
            (
                np.concatenate([bends.ravel(), bends.ravel()[off]]),
                (
                    np.concatenate([a.ravel(), b.ravel()[off]]),
                    np.concatenate([b.ravel(), a.ravel()[off]]),
                ),
            ),
            shape=(size, size),
        )
        return Assembled(self, errors.ravel(), jacobian, force, sp.csr_array(data + one), multipliers.ravel())

    def residual(self, path: Array, multipliers: Array) -> Array:
        """What is left of the equations: forces of the free unknowns, then model errors."""
        return self.assembled(path, multipliers).residual

    def solve(self, path: Array, most: int, multipliers: Array | None = None) -> Stationary:
        """Newton's steps from a path; what is held keeps its values."""
        x, free = path.copy(), len(self.free)
        shape = self._count, self.lagrangian.rows
        mu = np.zeros(shape) if multipliers is None else multipliers.copy()
        share = 1.0
        for iteration in range(1, most + 1):
            at = self.assembled(x, mu)
            if not np.isfinite(at.residual).all() or not at.finite:
                return Stationary(x, mu, "not finite", iteration)
            try:
                factor = at.factor
            except RuntimeError:
                return Stationary(x, mu, "singular", iteration)
            step = -factor.solve(at.residual)
            if not np.isfinite(step).all():
                return Stationary(x, mu, "singular", iteration)
            size = self._sizes(x, mu.ravel() + step[free:])
            length = float(np.linalg.norm(step / size))
            moved = float(np.max(np.abs(step) / size, initial=0.0))
            if moved <= ROUNDING:
                x[self.free] += step[:free]
                return Stationary(x, mu + step[free:].reshape(shape), "converged", iteration)
            share = min(1.0, 4.0 * share)
            while share >= SMALLEST:
                trial = x.copy()
                trial[self.free] += share * step[:free]
                ahead = mu + share * step[free:].reshape(shape)
                left = self.residual(trial, ahead)
                if np.isfinite(left).all():
                    following = float(np.linalg.norm(factor.solve(left) / size))
                    if following <= (1.0 - 0.25 * share) * length:
                        break
                share *= 0.5
            else:
                ending: Ending = "converged" if moved <= CLOSE else "no descent"
                return Stationary(x, mu, ending, iteration)
            x, mu = trial, ahead
        return Stationary(x, mu, "iterations", most)

    def _sizes(self, path: Array, multipliers: Array) -> Array:
        """Natural sizes of free unknowns and multipliers."""
        blocks, constants = self.action.problem.split(np.abs(path))
        states = np.maximum(blocks[0].max(axis=0), 1e-6)
        sizes = np.concatenate([np.tile(states, len(blocks[0])), np.maximum(constants, 1e-6)])
        pull = max(float(np.abs(multipliers).max(initial=0.0)), 1e-6)
        return np.concatenate([sizes[self.free], np.full(self.rows, pull)])


@dataclass(frozen=True, eq=False)
class Assembled:
    """The equations at a path.

    Attributes:
        equations: Whose they are.
        errors: r, shape (M,).
        jacobian: J by all unknowns, shape (M, size).
        force: g, shape (size,).
        curvature: H + Σ λ ∂²r, shape (size, size).
        multipliers: λ, shape (M,).
    """

    equations: Equations
    errors: Array
    jacobian: sp.csr_array
    force: Array
    curvature: sp.csr_array
    multipliers: Array

    @property
    def residual(self) -> Array:
        """Forces of the free unknowns, then r - λ / (Rf s)."""
        own = self.equations
        pull = self.force + self.jacobian.T @ self.multipliers
        return np.concatenate([pull[own.free], self.errors - own.soft * self.multipliers])

    @property
    def finite(self) -> bool:
        """Whether all derivatives are."""
        return bool(np.isfinite(self.jacobian.data).all() and np.isfinite(self.curvature.data).all())

    @cached_property
    def factor(self) -> Any:
        """K, factored.

        Raises:
            RuntimeError: It is singular.
        """
        own = self.equations
        free = own.free
        slopes = self.jacobian[:, free]
        matrix = sp.block_array(
            [[self.curvature[free][:, free], slopes.T], [slopes, -sp.diags_array(own.soft)]], format="csc"
        )
        return splu(sp.csc_matrix(matrix))

    def by_held(self, places: Index) -> Array:
        """Derivative of the whole path by unknowns that are held, shape (size, len(places))."""
        own, size = self.equations, self.equations.action.size
        right = sp.vstack([self.curvature[own.free][:, places], self.jacobian[:, places]]).toarray()
        found = np.zeros((size, len(places)))
        found[own.free] = -self.factor.solve(np.ascontiguousarray(right))[: len(own.free)]
        found[places, np.arange(len(places))] = 1.0
        return found

    def covariance(self, places: Index) -> Array:
        """Covariance of some unknowns with all, shape (size, len(places)); 0 of what is held."""
        own, size = self.equations, self.equations.action.size
        rank = np.full(size, -1)
        rank[own.free] = np.arange(len(own.free))
        right = np.zeros((len(own.free) + own.rows, len(places)))
        inside = rank[places] >= 0
        right[rank[places][inside], np.flatnonzero(inside)] = 1.0
        found = np.zeros((size, len(places)))
        found[own.free] = self.factor.solve(right)[: len(own.free)]
        return found

    @cached_property
    def minimum(self) -> bool:
        """Whether the action is a minimum there, not a saddle point."""
        own = self.equations
        free, slopes = own.free, self.jacobian[:, own.free]
        curvature = self.curvature[free][:, free]
        if np.isinf(own.rf):
            if own.rows == len(free) and not curvature.data.any():
                return True  # as many equations as unknowns, and nothing pulls
            large = max(float(np.abs(curvature.data).max(initial=0.0)), 1e-300)
            stiff = sp.diags_array(np.full(own.rows, STIFF * large))
        else:
            stiff = sp.diags_array(1.0 / own.soft)
        whole = sp.csc_matrix(curvature + slopes.T @ stiff @ slopes)
        try:
            factor = splu(
                whole, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
            )
        except RuntimeError:
            return False
        straight = bool((factor.perm_r == factor.perm_c).all())
        return straight and bool((factor.U.diagonal() > 0.0).all())
