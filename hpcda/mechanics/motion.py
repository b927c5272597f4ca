r"""Momenta of a path, its kicks by data, and whether it obeys the Euler-Lagrange equations.

Intervals meet at points; there the momentum p⁻ arrives from the left and p⁺ leaves to the right
(`hpcda.mechanics.lagrangian`). The derivative of the action by the states of a point is

    p⁻ - p⁺ + f,    f the force of what is measured there (Rm (x - y)) and of priors,

so that at a minimum p jumps by f at every datum and is continuous elsewhere: the discrete Euler-Lagrange
equation (Marsden, West, Acta Numerica 10, 357 (2001), part 1, with f as discrete forces). Nothing arrives at
the first point and nothing leaves the last one: p⁺(0) = f(0) and p⁻(T) = -f(T), 0 where nothing is measured.

Between the ends of an interval of several steps (Hermite-Simpson) p is the cubic through both ends with the
slopes ṗ = -DFᵀ p, half of a point's own kick taken before and half after it; the midpoint is made by the same
rule for x. Where the discretization does not evaluate the model at its points, the slopes are left out.

States and momenta come to those of the continuous equations as h² for the trapezoid and midpoint rules and
Hermite-Simpson at a finite Rf per time, as h for the explicit rules, which put the model error at the end of
a step (tests/unit/mechanics/test_motion_back_propagation.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from hpcda.action import Action
from hpcda.action.action import Intervals
from hpcda.mechanics.multipliers import LOST, SOURCES, Multipliers, Source, held_by_bounds
from hpcda.problem import Array

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class WindowMotion:
    """The motion in one window of N points.

    Attributes:
        arriving: p⁻ at every point, shape (N, D), units of the action per unit of the state; 0 at the first.
        leaving: p⁺, shape (N, D); 0 at the last.
        kick: f, the derivative of the action's other terms by the states, shape (N, D).
        multipliers: λ of every interval, shape (intervals, K · D).
    """

    arriving: Array
    leaving: Array
    kick: Array
    multipliers: Array

    @property
    def residual(self) -> Array:
        """What is left of the Euler-Lagrange equations, p⁻ - p⁺ + f, shape (N, D): 0 at a minimum.

        Where multipliers are those that balance the forces, it is 0 but for what they cannot balance.
        """
        return np.asarray(self.arriving - self.leaving + self.kick)

    @property
    def middle(self) -> Array:
        """One momentum a point, shape (N, D): the mean of both sides; at the ends the side there is."""
        found = 0.5 * (self.arriving + self.leaving)
        found[0], found[-1] = self.leaving[0], self.arriving[-1]
        return np.asarray(found)


@dataclass(frozen=True)
class Motion:
    """The motion along a path.

    Attributes:
        windows: Window after window.
        gradient: The action's derivative by every unknown, shape (size,): the Euler-Lagrange residual of the
            path, and that of its parameters; at Rf = ∞ of the action with the multipliers' terms.
        held: Unknowns that lie at a bound, whose derivative need not be 0, shape (size,).
        source: Where the multipliers are from, see `hpcda.mechanics.multipliers`.
        imbalance: Largest derivative of the action by the states that no bound holds, relative to the largest
            momentum or kick of the state: how far the path is from a minimum.
    """

    windows: tuple[WindowMotion, ...]
    gradient: Array
    held: npt.NDArray[np.bool_]
    source: Source
    imbalance: float


def motion(action: Action, path: Array, rf: float) -> Motion:
    """The motion along a path.

    Args:
        action: The action.
        path: Flat path, shape (size,).
        rf: Its Rf; infinity for a path that obeys the model exactly.

    Raises:
        MomentaUnknownError: At Rf = ∞: bounds hold so many states that momenta do not follow.
    """
    problem = action.problem
    tied = np.ascontiguousarray(problem.ties.tied(path), dtype=np.float64)
    evaluated = [action.intervals(number, tied) for number in range(len(problem.windows))]
    forces = action.gradient(tied, 0.0)[1]
    held = held_by_bounds(problem, tied)
    made = Multipliers(action, tied, evaluated, forces, held)
    if np.isinf(rf):
        windows, gradient = _moved(action, evaluated, made.balancing, forces)
        return Motion(windows, gradient, held, "balance of forces", _imbalance(action, windows, held))
    plain = made.of_errors(rf)
    windows, gradient = _moved(action, evaluated, plain, forces)
    imbalance, source = _imbalance(action, windows, held), SOURCES[0]
    if imbalance > LOST and (closer := made.closer(plain, rf)) is not None:
        windows, source = _moved(action, evaluated, closer, forces)[0], SOURCES[1]
    return Motion(windows, gradient, held, source, imbalance)


def _moved(
    action: Action, evaluated: Sequence[Intervals], multipliers: Sequence[Array], forces: Array
) -> tuple[tuple[WindowMotion, ...], Array]:
    """Motion in every window, and the action's derivative by every unknown, from the multipliers."""
    problem, span = action.problem, action.structure.scheme.span
    blocks, constants = problem.split(np.zeros(problem.size))
    windows = []
    for number, (one, own) in enumerate(zip(evaluated, multipliers, strict=True)):
        pulls, shared = _pulls(action, one, own)
        constants[problem.layout.seen(number)] += shared
        for j in range(span + 1):
            blocks[number][j : j + span * len(pulls) : span] += pulls[:, j]
        places = problem.layout.points(number)[:, : problem.dimension]
        windows.append(_window(action, number, one, own, pulls[:, :, : problem.dimension], forces[places]))
    return tuple(windows), problem.ties.gathered(problem.join(blocks, constants)) + forces


def _pulls(action: Action, one: Intervals, multipliers: Array) -> tuple[Array, Array]:
    """(∂r/∂·)ᵀ λ by the unknowns of every interval's points, (intervals, m + 1, D + V), and summed, (P,)."""
    structure = action.structure
    entries = [(row, entry.column) for row, own in enumerate(structure.rows) for entry in own]
    rows, columns = np.array(entries, dtype=np.int64).reshape(-1, 2).T
    ones = np.ones(len(rows))
    shape: tuple[int, ...] = len(rows), structure.local + structure.border
    to = csr_array((ones, (np.arange(len(rows)), columns)), shape=shape)
    found = (multipliers[:, rows] * one.entries) @ to
    shape = (len(multipliers), structure.scheme.span + 1, structure.block)
    return found[:, : structure.local].reshape(shape), found[:, structure.local :].sum(axis=0)


def _window(
    action: Action, number: int, one: Intervals, multipliers: Array, pulls: Array, kick: Array
) -> WindowMotion:
    span, times = action.structure.scheme.span, len(kick)
    arriving, leaving = np.zeros_like(kick), np.zeros_like(kick)
    leaving[:-1:span], arriving[span::span] = -pulls[:, 0], pulls[:, -1]
    if span > 1:
        ends = leaving[:-1:span], arriving[span::span]
        begins = np.arange(0, times - 1, span)
        length = span * action.problem.windows[number].steps[begins, None]
        turning = [
            _turning(action, one, points, length * p)
            for points, p in zip((begins, begins + span), ends, strict=True)
        ]
        inner = pulls[:, 1:-1]
        before = np.cumsum(np.concatenate([np.zeros_like(inner[:, :1]), -inner], axis=1), axis=1)
        smooth = ends[1] - before[:, -1]
        for j in range(1, span):
            share = j / span
            passed = _cubic(share, ends[0], turning[0], smooth, turning[1]) + before[:, j - 1]
            arriving[begins + j] = passed
            leaving[begins + j] = passed - inner[:, j - 1]
    return WindowMotion(arriving, leaving, kick, multipliers)


def _turning(action: Action, one: Intervals, points: Index, momenta: Array) -> Array | None:
    """-DFᵀ p at points, shape (intervals, D); None where the derivatives DF are not known there."""
    scheme, problem = action.structure.scheme, action.problem
    if scheme.nodes is None or scheme.kind == "map":
        return None
    found = np.zeros_like(momenta)
    for index, (row, variable) in enumerate(action.equations.model.jacobian):
        if variable < problem.dimension:
            found[:, variable] -= one.slopes[points, index] * momenta[:, row]
    return found


def _cubic(share: float, p: Array, dp: Array | None, q: Array, dq: Array | None) -> Array:
    """Cubic Hermite interpolation; linear without slopes."""
    if dp is None or dq is None:
        return np.asarray((1.0 - share) * p + share * q)
    return np.asarray(
        (1 + 2 * share) * (1 - share) ** 2 * p
        + share * (1 - share) ** 2 * dp
        + share**2 * (3 - 2 * share) * q
        + share**2 * (share - 1) * dq
    )


def _imbalance(action: Action, windows: Sequence[WindowMotion], held: npt.NDArray[np.bool_]) -> float:
    layout, worst = action.problem.layout, 0.0
    for number, one in enumerate(windows):
        free = ~held[layout.points(number)[:, : action.problem.dimension]]
        left = np.abs(np.where(free, one.residual, 0.0)).max(axis=0)
        size = np.maximum(np.abs(one.arriving).max(axis=0), np.abs(one.kick).max(axis=0))
        worst = max(worst, float(np.max(left / np.where(size > 0.0, size, 1.0))))
    return worst
