"""Multipliers of the model errors along a path: Rf s r, or those that balance the forces.

Both agree at a minimum. Rf s r takes over what is left of the path's convergence, and its rounding, times Rf;
the multipliers that balance the forces (`hpcda.mechanics.balance`) take over only how much the forces change
where the path moves to its minimum. That move follows from their difference, r = λ / (Rf s), so that both
errors can be told, and the smaller one is chosen. At Rf = ∞ there is the balance alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from hpcda.action import Action
from hpcda.action.action import Intervals
from hpcda.action.weights import step_weights
from hpcda.mechanics.balance import Balance, MomentaUnknownError
from hpcda.problem import Array, Problem

Source = Literal["model errors", "balance of forces"]
SOURCES: Final[tuple[Source, Source]] = ("model errors", "balance of forces")

LOST = 1e-9
"""Part of the largest momentum left of the Euler-Lagrange equations above which the balance is tried."""
NEAR = 0.05
"""Part of the largest multiplier of a state by which the two may differ near a minimum."""
SMALLER = 0.1
"""How much smaller the error of the balance has to be."""
HELD = 1e-6
"""Distance to a bound, in widths of the starting range, from which an unknown counts as held by it."""


class Multipliers:
    """Multipliers of one path.

    Args:
        action: The action.
        path: Flat path, shape (size,).
        evaluated: Its intervals, window after window.
        forces: Derivative of the action's other terms, shape (size,).
        held: Unknowns at a bound, shape (size,).
    """

    def __init__(
        self,
        action: Action,
        path: Array,
        evaluated: Sequence[Intervals],
        forces: Array,
        held: npt.NDArray[np.bool_],
    ) -> None:
        self._action, self._path, self._evaluated = action, path, evaluated
        self._forces, self._held = forces, held

    def of_errors(self, rf: float) -> list[Array]:
        """Rf s r of every window, shape (intervals, K · D), at a finite Rf."""
        return [w * one.errors for w, one in zip(self._weights(rf), self._evaluated, strict=True)]

    @property
    def balancing(self) -> list[Array]:
        """Those that balance the forces.

        Raises:
            MomentaUnknownError: Bounds hold so many states that they do not follow.
        """
        return self._balanced(self._forces)

    def closer(self, plain: Sequence[Array], rf: float) -> list[Array] | None:
        """Those that balance the forces, where they are nearer to the minimum's; None where they are not.

        Args:
            plain: Rf s r.
            rf: Rf.
        """
        try:
            found = self.balancing
        except MomentaUnknownError:
            return None
        states = self._action.problem.dimension
        apart = _largest(states, found, plain)
        if (apart > NEAR * _largest(states, plain)).any():
            return None
        path = self._path.copy()
        rows = zip(self._balances, self._weights(rf), self._evaluated, found, self._places, strict=True)
        for balance, weight, one, own, places in rows:
            path[places] += balance.shift((own / weight - one.errors).ravel())
        moved = self._balanced(self._action.gradient(path, 0.0)[1])
        return found if (_largest(states, moved, found) <= SMALLER * apart).all() else None

    def _weights(self, rf: float) -> list[Array]:
        """Rf s of every model error, window after window, shape (intervals, K · D)."""
        problem, errors = self._action.problem, self._action.structure.scheme.errors
        return [rf * np.tile(step_weights(problem, window), (1, errors)) for window in problem.windows]

    def _balanced(self, forces: Array) -> list[Array]:
        return [
            balance.multipliers(forces[places]).reshape(one.errors.shape)
            for balance, places, one in zip(self._balances, self._places, self._evaluated, strict=True)
        ]

    @property
    def _places(self) -> list[npt.NDArray[np.int64]]:
        """Where the states of every window stand in the path."""
        problem = self._action.problem
        layout, states = problem.layout, problem.dimension
        return [layout.points(number)[:, :states].ravel() for number in range(len(problem.windows))]

    @cached_property
    def _balances(self) -> list[Balance]:
        problem, structure = self._action.problem, self._action.structure
        sizes, found = self._action.sizes(self._path), []
        block, span = problem.layout.block, structure.scheme.span
        entries = [(row, entry.column) for row, own in enumerate(structure.rows) for entry in own]
        rows, columns = np.array(entries, dtype=np.int64).reshape(-1, 2).T
        point, unknown = np.divmod(columns, block)
        own = (columns < structure.local) & (unknown < problem.dimension)
        for one, places in zip(self._evaluated, self._places, strict=True):
            every = np.arange(len(one.errors))[:, None]
            at = (every * span + point[own]) * problem.dimension + unknown[own]
            row = every * len(structure.rows) + rows[own]
            shape = (one.errors.size, len(places))
            slopes = csr_array((one.entries[:, own].ravel(), (row.ravel(), at.ravel())), shape=shape)
            found.append(Balance(slopes, sizes[places], self._held[places]))
        return found


def held_by_bounds(problem: Problem, path: Array) -> npt.NDArray[np.bool_]:
    """Which unknowns of a path lie at a bound, shape (size,)."""
    lower, upper = problem.bounds
    near = HELD * np.maximum(np.ptp(problem.starts, axis=1), HELD)
    return np.asarray((path <= lower + near) | (path >= upper - near))


def _largest(states: int, found: Sequence[Array], other: Sequence[Array] | None = None) -> Array:
    """Largest multiplier, or difference of two, of each state's equations in all windows, shape (D,)."""
    parts = found if other is None else [a - b for a, b in zip(found, other, strict=True)]
    return np.asarray(np.max([np.abs(part).reshape(-1, states).max(axis=0) for part in parts], axis=0))
