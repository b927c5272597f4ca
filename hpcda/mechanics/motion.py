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
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from hpcda.action import Action
from hpcda.action.action import Intervals
from hpcda.action.weights import step_weights
from hpcda.mechanics.balance import MomentaUnknownError, balancing
from hpcda.problem import Array

Index = npt.NDArray[np.int64]

LOST = 1e-9
"""Part of the largest multiplier of a state that rounding of its model errors may be, for them to be used."""
ROUNDING = 4.0 * np.finfo(float).eps
"""Rounding of a model error relative to the size of its state."""
AGREES = 100.0
"""How many times that rounding the two ways to multipliers may differ at a minimum."""
HELD = 1e-6
"""Distance to a bound, in widths of the starting range, from which an unknown counts as held by it."""

Source = Literal["model errors", "balance of forces"]


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
        """What is left of the Euler-Lagrange equations, p⁻ - p⁺ + f, shape (N, D): 0 at a minimum."""
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
        gradient: The action's derivative by every unknown, shape (size,): the Euler-Lagrange residual by
            states and parameters of one time, and that of parameters that hold at all times.
        held: Unknowns that lie at a bound, whose derivative need not be 0, shape (size,).
        source: Where the multipliers are from.
        imbalance: Largest residual by the states that no bound holds, relative to the largest momentum or
            kick of the state.
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
    held = _held(action, tied)
    source, multipliers = _multipliers(action, tied, rf, evaluated, forces, held)
    blocks, constants = problem.split(np.zeros(problem.size))
    windows = []
    for number, (one, own) in enumerate(zip(evaluated, multipliers, strict=True)):
        pulls, shared = _pulls(action, one, own)
        constants[problem.layout.seen(number)] += shared
        span = action.structure.scheme.span
        for j in range(span + 1):
            blocks[number][j : j + span * len(pulls) : span] += pulls[:, j]
        places = problem.layout.points(number)[:, : problem.dimension]
        windows.append(_window(action, number, one, own, pulls[:, :, : problem.dimension], forces[places]))
    gradient = problem.ties.gathered(problem.join(blocks, constants)) + forces
    return Motion(tuple(windows), gradient, held, source, _imbalance(action, windows, held))


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
        length = span * action.problem.windows[number].dt
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


def _multipliers(
    action: Action,
    path: Array,
    rf: float,
    evaluated: list[Intervals],
    forces: Array,
    held: npt.NDArray[np.bool_],
) -> tuple[Source, list[Array]]:
    """Multipliers of every window: Rf s r, or from the balance of forces where these lost their digits."""
    problem, scheme = action.problem, action.structure.scheme
    if np.isinf(rf):
        return "balance of forces", _balanced(action, path, evaluated, forces, held)
    weights = [rf * np.tile(step_weights(problem, window), scheme.errors) for window in problem.windows]
    plain = [weight * one.errors for weight, one in zip(weights, evaluated, strict=True)]
    blocks = [block[:, : problem.dimension] for block in problem.split(path)[0]]
    size = np.tile(np.max([np.abs(block).max(axis=0) for block in blocks], axis=0), scheme.errors)
    rounding = ROUNDING * np.max(weights, axis=0) * size
    largest = np.max([np.abs(own).max(axis=0) for own in plain], axis=0)
    if not (rounding > LOST * largest).any():
        return "model errors", plain
    try:
        found = _balanced(action, path, evaluated, forces, held)
    except MomentaUnknownError:
        return "model errors", plain
    pairs = zip(found, plain, strict=True)
    if all((np.abs(one - other) <= AGREES * rounding + LOST * largest).all() for one, other in pairs):
        return "balance of forces", found
    return "model errors", plain


def _balanced(
    action: Action,
    path: Array,
    evaluated: list[Intervals],
    forces: Array,
    held: npt.NDArray[np.bool_],
) -> list[Array]:
    problem, structure = action.problem, action.structure
    sizes, found = action.sizes(path), []
    block, span = problem.layout.block, structure.scheme.span
    entries = [(row, entry.column) for row, own in enumerate(structure.rows) for entry in own]
    rows, columns = np.array(entries, dtype=np.int64).reshape(-1, 2).T
    point, unknown = np.divmod(columns, block)
    own = (columns < structure.local) & (unknown < problem.dimension)
    for number, one in enumerate(evaluated):
        every = np.arange(len(one.errors))[:, None]
        at = (every * span + point[own]) * problem.dimension + unknown[own]
        row = every * len(structure.rows) + rows[own]
        times = problem.windows[number].times
        shape = (one.errors.size, times * problem.dimension)
        slopes = csr_array((one.entries[:, own].ravel(), (row.ravel(), at.ravel())), shape=shape)
        places = problem.layout.points(number)[:, : problem.dimension].ravel()
        made = balancing(slopes, forces[places], sizes[places], held[places])
        found.append(made.reshape(one.errors.shape))
    return found


def _held(action: Action, path: Array) -> npt.NDArray[np.bool_]:
    """Unknowns at a bound."""
    problem = action.problem
    lower, upper = problem.bounds
    near = HELD * np.maximum(np.ptp(problem.starts, axis=1), HELD)
    return np.asarray((path <= lower + near) | (path >= upper - near))


def _imbalance(action: Action, windows: list[WindowMotion], held: npt.NDArray[np.bool_]) -> float:
    layout, worst = action.problem.layout, 0.0
    for number, one in enumerate(windows):
        free = ~held[layout.points(number)[:, : action.problem.dimension]]
        left = np.abs(np.where(free, one.residual, 0.0)).max(axis=0)
        size = np.maximum(np.abs(one.arriving).max(axis=0), np.abs(one.kick).max(axis=0))
        worst = max(worst, float(np.max(left / np.where(size > 0.0, size, 1.0))))
    return worst
