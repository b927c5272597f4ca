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

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from hpcda.action import Action
from hpcda.action.blocks import blocks_of
from hpcda.action.rates import Rates
from hpcda.linalg.blocktridiagonal import NotBlockTridiagonalError, NotPositiveDefiniteError
from hpcda.problem import Array, Numbers, Problem, Window

ENOUGH = 0.2
"""Largest shift, in standard deviations, that a step may cause."""
AIM = 0.1
"""Shift that a recommended step may cause."""
SUBSTEPS, MOST_SUBSTEPS = 4, 4096
SETTLED = 1e-3
"""Change of τ relative to its largest value, for each state, at which its integration has converged."""
ROUNDING = 1e-13
"""τ relative to the size of its state that is rounding."""
MOST_EVALUATIONS = 3e8
"""Rates of single states that the integration may take."""
MOST_UNKNOWNS, MOST_FACTOR = 2e6, 2e11
"""Unknowns, and operations of one factorization, up to which the shift is computed."""


class StepUnknownError(Exception):
    """What the time step does cannot be told; the message says why."""


@dataclass(frozen=True)
class StepShift:
    """What the time step does to a minimum: what it would be under the model's own flow, less what it is.

    Attributes:
        action: Shift of the action, in nats.
        scale: √(n/2), the standard deviation of the action.
        parameters: Shift of each shared parameter, in its standard deviations.
        states: Root mean square over all times of the shift of each unknown of one time, in its standard
            deviations.
        path: ΔX, flat, shape (size,).
        order: Order of the discretization.
    """

    action: float
    scale: float
    parameters: dict[str, float]
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
        """Whether no shift is above `ENOUGH`."""
        return self.largest[1] <= ENOUGH

    def finer(self, aim: float = AIM) -> int:
        """By how many times more steps the largest shift would come down to `aim`, as dt to the order."""
        return max(1, int(np.ceil((self.largest[1] / aim) ** (1.0 / self.order) - 1e-9)))


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
    names = (*problem.model.state_names, *(q.name for q in problem.varying))
    return StepShift(
        action=float(squares - 0.5 * shift @ pull),
        scale=float(np.sqrt(max(problem.measured + problem.prior_terms, 1) / 2.0)),
        parameters={one.name: float(s) for one, s in zip(problem.parameters, shared, strict=True)},
        states={name: float(s) for name, s in zip(names, np.sqrt(square / times), strict=True)},
        path=shift,
        order=action.structure.scheme.order,
    )


def at_bound(problem: Problem, path: Array) -> Numbers:
    """Which unknowns lie at one of their bounds, shape (size,)."""
    lower, upper = problem.bounds
    near = 1e-8 * (1.0 + np.abs(path))
    return (path <= lower + near) | (path >= upper - near)


def _pull(action: Action, path: Array, rf: float) -> tuple[Array, float]:
    """Jᵀ Rf s τ, shape (size,), and -Rf s r·τ + ½ Rf s |τ|², over all windows."""
    problem, structure = action.problem, action.structure
    rates = Rates(action.equations)
    blocks, shared = problem.split(path)
    pull, squares = np.zeros(problem.size), 0.0
    weight = rf * problem.model_error_weight
    for number, ((first, _), block) in enumerate(zip(pairwise(problem.offsets), blocks, strict=True)):
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
