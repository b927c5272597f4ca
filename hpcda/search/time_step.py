r"""Is the time step fine enough? What a minimum would become if its steps obeyed the model's own flow.

A discretization binds neighboring points of a path by its model errors r. The model itself binds them by its
flow Φ. Points that obey the flow leave r = τ, the local error of the discretization:

    τ_k = Σ_j position[k, j] Φ_j - dt Σ_q rate[k, q] F(z_q),    Φ_0 = x_0,  Φ_j = Φ(x_0, j dt)

with the coefficients of `hpcda.action.scheme`. So r - τ is the model error of the flow, and to first order in
τ the minimum of the action with r - τ in place of r lies at

    X + ΔX,    A'' ΔX = Jᵀ Rf s τ,    A + ΔA,    ΔA = -Rf s r·τ + ½ Rf s |τ|² - ½ ΔX·Jᵀ Rf s τ

with J = ∂r/∂X (deferred correction: V. Pereyra, Numer. Math. 10, 316 (1967); H. J. Stetter, Numer. Math. 29,
425 (1978)). The flow is integrated in every interval by classical Runge-Kutta steps, halved until τ no longer
changes. Known series, and parameters of one time, are taken as linear between the points of the path.

The shifts are told in posterior standard deviations, of A''⁻¹ for unknowns and √(n/2), n data values and
priors, for the action. Unknowns at a bound stay there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcda.action import Action
from hpcda.action.blocks import blocks_of
from hpcda.action.rates import Rates
from hpcda.linalg.blocktridiagonal import NotBlockTridiagonalError, NotPositiveDefiniteError
from hpcda.problem import Array, Numbers, Problem

LARGEST = 0.2
"""Largest shift, in standard deviations, that a step may cause."""
AIM = 0.1
"""Shift that a recommended step may cause."""
SUBSTEPS, MOST_SUBSTEPS = 4, 4096
"""Runge-Kutta steps a step of the path: the first number tried, and the last one."""
SETTLED = 1e-3
"""Change of τ relative to its largest value, for each state, at which its integration has converged."""
ROUNDING = 1e-13
"""τ relative to the size of its state that is rounding."""
MOST_EVALUATIONS = 2e9
"""Rates of single states that the integration may take."""
MOST_UNKNOWNS, MOST_OPERATIONS = 2e6, 2e11
"""Unknowns, and operations of a factorization, up to which the shift is computed."""


class StepUnknownError(Exception):
    """What the time step does cannot be told; the message says why."""


@dataclass(frozen=True)
class StepShift:
    """What the time step does to a minimum: what it would be under the model's own flow, less what it is.

    Attributes:
        action: Shift of the action, in nats.
        scale: √(n/2), the standard deviation of the action.
        parameters: Shift of each shared parameter, in its standard deviations.
        estimates: What each of them is under the flow.
        states: Root mean square over all times of the shift of each unknown of one time, in its standard
            deviations.
        path: ΔX, flat, shape (size,).
        order: Order of the discretization.
    """

    action: float
    scale: float
    parameters: dict[str, float]
    estimates: dict[str, float]
    states: dict[str, float]
    path: Array
    order: int

    @property
    def largest(self) -> tuple[str, float]:
        """What moves most, and by how many standard deviations."""
        moved = {"the action": abs(self.action) / self.scale}
        moved |= {name: abs(shift) for name, shift in (self.parameters | self.states).items()}
        name = max(moved, key=lambda one: moved[one])
        return name, moved[name]

    @property
    def fine(self) -> bool:
        """Whether no shift is above `LARGEST`."""
        return self.largest[1] <= LARGEST

    @property
    def finer(self) -> float:
        """How many times as many steps bring the largest shift down to `AIM`: it goes as dt to the order."""
        return max(1.0, float((self.largest[1] / AIM) ** (1.0 / self.order)))

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON, without the path."""
        name, shift = self.largest
        return {
            "moves": name,
            "shift": shift,
            "action": self.action,
            "parameters": self.parameters,
            "estimates": self.estimates,
            "states": self.states,
        }


@dataclass(frozen=True)
class TimeStep:
    """Whether the time step is fine enough.

    Attributes:
        shift: What it does to the minimum; None where that is not known.
        enough: The `steps_per_sample` that is enough, where it is too coarse.
        left: What that step does to a minimum that was found there; None where the number follows from the
            order of the discretization alone.
        unknown: Why the shift is not known.
    """

    shift: StepShift | None = None
    enough: int | None = None
    left: StepShift | None = None
    unknown: str = ""

    @property
    def coarse(self) -> bool:
        """Whether it is known to be too coarse."""
        return self.shift is not None and not self.shift.fine

    @property
    def advice(self) -> str:
        """What to do where it is too coarse, as a sentence."""
        how = "by the order of the discretization" if self.left is None else "as a minimum there shows"
        return f"steps_per_sample = {self.enough} is enough, {how}."

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        found = {} if self.shift is None else self.shift.record()
        left = None if self.left is None else self.left.largest[1]
        if self.left is not None:
            found["estimates"] = self.left.estimates
        return found | {
            "coarse": self.coarse,
            "enough": self.enough,
            "left": left,
            "unknown": self.unknown,
        }


def told(record: Mapping[str, Any]) -> str:
    """What `TimeStep.record` returned, or the same read back from a file, for people."""
    if record["unknown"]:
        return f"not known: {record['unknown']}"
    name = record["moves"]
    to = f" (to {record['estimates'][name]:.5g})" if name in record["estimates"] else ""
    moves = f"it moves {name} by {record['shift']:.2g} standard deviations{to}"
    moves += f", the action by {record['action']:.2g}"
    if not record["coarse"]:
        return f"fine enough: {moves}"
    left = "by its order" if record["left"] is None else f"{record['left']:.2g} there"
    return f"too coarse: {moves}; steps_per_sample = {record['enough']} is enough ({left})"


def step_shift(action: Action, path: Array, rf: float) -> StepShift:
    """What the time step does to a minimum.

    Args:
        action: The action of a flow.
        path: The minimum, flat, shape (size,).
        rf: Its Rf.

    Raises:
        StepUnknownError: It cannot be told.
        CompilerError: There is no C compiler.
    """
    problem = action.problem
    refuse_large(problem)
    held = at_bound(problem, path)
    pull, squares = _pull(action, path, rf)
    pull[held] = 0.0
    indptr, indices, values = action.hessian(path, rf)
    rows = np.repeat(np.arange(problem.size), np.diff(indptr))
    values = np.where(held[rows] | held[indices], (rows == indices).astype(float), values)
    try:
        factor = blocks_of(problem, (indptr, indices, values)).cholesky()
    except (NotBlockTridiagonalError, NotPositiveDefiniteError) as error:
        raise StepUnknownError(f"no error bars to compare it with: {error}") from None
    shift = factor.solve(pull)
    std = np.sqrt(factor.selected_inverse().variances)
    if not (np.isfinite(shift).all() and np.isfinite(squares)):
        raise StepUnknownError("the shift is not finite")
    relative = np.where(held, 0.0, shift / std)
    blocks, shared = problem.split(relative)
    square = np.sum([np.sum(block**2, axis=0) for block in blocks], axis=0)
    times = sum(window.times for window in problem.windows)
    estimates = problem.split(path + shift)[1]
    names = (*problem.model.state_names, *(q.name for q in problem.varying))
    return StepShift(
        action=float(squares - 0.5 * shift @ pull),
        scale=float(np.sqrt(max(problem.measured + problem.prior_terms, 1) / 2.0)),
        parameters={one.name: float(s) for one, s in zip(problem.parameters, shared, strict=True)},
        estimates={one.name: float(value) for one, value in zip(problem.parameters, estimates, strict=True)},
        states={name: float(s) for name, s in zip(names, np.sqrt(square / times), strict=True)},
        path=shift,
        order=action.structure.scheme.order,
    )


def operations(problem: Problem) -> float:
    """Operations of a factorization of the Hessian, to within a small factor."""
    return problem.size * float(problem.block + problem.shared) ** 2


def refuse_large(problem: Problem) -> None:
    """Refuse what would take too long.

    Raises:
        StepUnknownError: It would.
    """
    if problem.size > MOST_UNKNOWNS or operations(problem) > MOST_OPERATIONS:
        raise StepUnknownError(f"a path of {problem.size} unknowns is too large for the comparison")


def at_bound(problem: Problem, path: Array) -> Numbers:
    """Which unknowns lie at one of their bounds, shape (size,)."""
    lower, upper = problem.bounds
    near = 1e-8 * (1.0 + np.abs(path))
    return (path <= lower + near) | (path >= upper - near)


def _pull(action: Action, path: Array, rf: float) -> tuple[Array, float]:
    """Jᵀ Rf s τ, shape (size,), and -Rf s r·τ + ½ Rf s |τ|², over all windows."""
    problem = action.problem
    rates = Rates(action.equations)
    blocks, shared = problem.split(path)
    pull, squares = np.zeros(problem.size), 0.0
    weight = rf * problem.model_error_weight
    for number, block in enumerate(blocks):
        local = local_errors(action, rates, number, block, shared)
        errors, entries, columns, widths = action.model_errors(number, path)
        force = np.resize(weight, errors.shape[1]) * local
        squares += float(np.sum(force * (0.5 * local - errors)))
        products = entries * np.repeat(force, widths, axis=1)
        pull += np.bincount(columns.ravel(), weights=products.ravel(), minlength=problem.size)
    return pull, squares


def local_errors(action: Action, rates: Rates, number: int, block: Array, shared: Array) -> Array:
    """τ of every interval of a window, shape (intervals, K · D).

    Args:
        action: The action.
        rates: The model's rates.
        number: Number of the window.
        block: Its path, shape (N, D + V).
        shared: Shared parameters, shape (P,).

    Raises:
        StepUnknownError: The flow grows without bound within a step, or its integration does not settle.
    """
    intervals = _Intervals(action, rates, number, block, shared)
    size = np.abs(block[:, : action.problem.dimension]).max(axis=0)
    room = np.tile(ROUNDING * size, action.structure.scheme.errors)
    substeps, before = SUBSTEPS, intervals.local_errors(SUBSTEPS)
    spent = 4.0 * SUBSTEPS * block.size
    while True:
        substeps *= 2
        spent += 4.0 * substeps * block.size
        if substeps > MOST_SUBSTEPS or spent > MOST_EVALUATIONS:
            raise StepUnknownError(
                f"the flow of a single step needs more than {substeps // 2} substeps to be integrated"
            )
        found = intervals.local_errors(substeps)
        finite = np.isfinite(found).all() and np.isfinite(before).all()
        if finite and (np.abs(found - before) <= SETTLED * np.abs(found).max(axis=0) + room).all():
            return found
        before = found


class _Intervals:
    """All intervals of one window side by side, one a column."""

    def __init__(self, action: Action, rates: Rates, number: int, block: Array, shared: Array) -> None:
        problem, scheme = action.problem, action.structure.scheme
        window = problem.windows[number]
        self._scheme, self._rates, self._shared = scheme, rates, shared
        self._window, self._dt = window, window.dt
        self._starts = np.arange(0, window.times - 1, scheme.span)
        self._x = block[self._starts, : problem.dimension].T.copy()
        self._known = np.hstack([block[:, problem.dimension :], window.series]).T.copy()
        self._varying = len(problem.varying)

    def _rate(self, x: Array, share: float) -> Array:
        """F at the states x, the time and the known being those `share` steps after each interval's begin."""
        whole = min(int(share), self._scheme.span - 1)
        part = share - whole
        at = self._starts + whole
        known = (1.0 - part) * self._known[:, at] + part * self._known[:, at + 1]
        return self._given(x, known, self._window.t[self._starts] + share * self._dt)

    def _given(self, x: Array, known: Array, t: Array) -> Array:
        return self._rates(x, known[: self._varying], self._shared, known[self._varying :], t)

    def flow(self, substeps: int) -> list[Array]:
        """States at the points of each interval, m + 1 arrays of shape (D, intervals)."""
        x, h = self._x, self._dt / substeps
        points = [x]
        with np.errstate(all="ignore"):
            for step in range(self._scheme.span * substeps):
                begin, middle, end = step / substeps, (step + 0.5) / substeps, (step + 1) / substeps
                a = self._rate(x, begin)
                b = self._rate(x + 0.5 * h * a, middle)
                c = self._rate(x + 0.5 * h * b, middle)
                d = self._rate(x + h * c, end)
                x = x + h / 6.0 * (a + 2.0 * b + 2.0 * c + d)
                if (step + 1) % substeps == 0:
                    points.append(x)
        return points

    def local_errors(self, substeps: int) -> Array:
        """The discretization's model errors of the flow, shape (intervals, K · D)."""
        scheme, points = self._scheme, self.flow(substeps)
        at = self._starts[None, :] + np.arange(scheme.span + 1)[:, None]
        stages: list[Array] = []
        with np.errstate(all="ignore"):
            for q in range(scheme.stages):
                x = sum(scheme.state[q, j] * point for j, point in enumerate(points))
                x = x + self._dt * sum(
                    (scheme.inner[q, s] * stages[s] for s in range(q)), np.zeros_like(self._x)
                )
                known = np.einsum("j,kji->ki", scheme.known[q], self._known[:, at])
                stages.append(self._given(x, known, scheme.known[q] @ self._window.t[at]))
            errors = [
                sum(scheme.position[k, j] * point for j, point in enumerate(points))
                - self._dt * sum(scheme.rate[k, q] * stage for q, stage in enumerate(stages))
                for k in range(scheme.errors)
            ]
        return np.concatenate(errors).T.copy()
