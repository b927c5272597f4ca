"""The problem on a finer time grid, and how many steps per sample are enough.

A path is taken over to the finer points by cubic Hermite interpolation through its states and rates; known
series and parameters of one time are linear between the points. It is minimized there from a lower Rf on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hpcda.action import Action
from hpcda.action.rates import Rates
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Settings, climbs_of, lanes_that_fit
from hpcda.problem import Array, Problem, Window
from hpcda.search.local_errors import StepUnknownError, UnboundedFlowError
from hpcda.search.time_step import LARGEST, StepShift, TimeStep, operations, step_shift

RUNGS, ALPHA = 4, 10.0
"""Rungs that a path climbs at the finer step, the last one at its Rf, and the factor between them."""
TRIES = 3
"""Numbers of steps that are tried, each from what the one before it has shown."""
STIFF = (
    f"to first order it shifts the minimum by more than {LARGEST:g} standard deviations; "
    "the exact shift is not known, as the model is stiff"
)
"""Why the shift of a stiff model is not known."""
MOST_OPERATIONS = 5e7
"""Operations of a factorization up to which a path is minimized at a finer step."""


@dataclass(frozen=True)
class Enough:
    """How many times as many steps are enough.

    Attributes:
        factor: How many times.
        left: What the step does to a minimum that was found there; None where the factor follows from the
            order of the discretization alone.
    """

    factor: int
    left: StepShift | None


def refined(problem: Problem, factor: int) -> Problem:
    """The problem with `factor` steps for each one; no data at the new points."""
    windows = tuple(_refined(window, factor) for window in problem.windows)
    return replace(problem, windows=windows, steps_per_sample=factor * problem.steps_per_sample)


def _refined(window: Window, factor: int) -> Window:
    count = (window.times - 1) * factor + 1
    at = np.arange(count) / factor
    old = np.arange(window.times)
    data = np.full((count, window.data.shape[1]), np.nan)
    noise = np.ones_like(data)
    data[::factor], noise[::factor] = window.data, window.noise_std
    series = [np.interp(at, old, column) for column in window.series.T]
    return Window(
        np.interp(at, old, window.t),
        data,
        noise,
        np.stack(series, axis=1) if series else np.zeros((count, 0)),
    )


def refined_path(action: Action, path: Array, factor: int) -> Array:
    """The path of a flow on the points of `refined`, flat, within the bounds of the unknowns."""
    problem, rates = action.problem, Rates(action.equations)
    blocks, shared = problem.split(path)
    finer = []
    share = (np.arange(factor) / factor)[:, None, None]
    weights = (
        (1 + 2 * share) * (1 - share) ** 2,
        share * (1 - share) ** 2,
        share**2 * (3 - 2 * share),
        share**2 * (share - 1),
    )
    for window, block in zip(problem.windows, blocks, strict=True):
        x, q = block[:, : problem.dimension], block[:, problem.dimension :]
        slope = rates(x.T, q.T, shared, window.series.T, window.t).T
        steps = window.steps[:, None]
        points = (x[:-1], steps * slope[:-1], x[1:], steps * slope[1:])
        inner = sum(weight * point for weight, point in zip(weights, points, strict=True))
        states = np.vstack([np.swapaxes(inner, 0, 1).reshape(-1, problem.dimension), x[-1:]])
        at = np.arange(len(states)) / factor
        varying = [np.interp(at, np.arange(window.times), column) for column in q.T]
        finer.append(np.column_stack([states, *varying]))
    lower, upper = refined(problem, factor).bounds
    return np.clip(problem.join(finer, shared), lower, upper)


def minimum_at(action: Action, path: Array, rf: float, rungs: int = RUNGS) -> Array:
    """The minimum at `rf` that a path near it leads to, flat.

    Args:
        action: The action.
        path: The path, flat, shape (size,).
        rf: The last Rf.
        rungs: Rungs that it climbs, each at `ALPHA` times the Rf of the one before.

    Raises:
        StepUnknownError: The minimizer does not come to it, in the iterations it has.
    """
    ladder = Ladder(rf / ALPHA ** (rungs - 1), ALPHA, rungs)
    lockstep = climbs_of(action, ladder, lanes_that_fit(action), Settings(barrier=0.0, max_iterations=200))
    lockstep.put(0, 0, path, 0, True)
    while lockstep.active:
        lockstep.advance(1000)
        for one in lockstep.reached():
            if one.rung.number == rungs - 1 and one.rung.reason.converged:
                return one.rung.path
    raise StepUnknownError("no minimum was reached from it")


def enough(action: Action, path: Array, rf: float, shift: StepShift) -> Enough:
    """How many times as many steps are enough for a minimum: solved at that step, where that is cheap.

    Args:
        action: The action.
        path: The minimum, flat, shape (size,).
        rf: Its Rf.
        shift: What the time step does to it.
    """
    factor = int(np.ceil(shift.finer - 1e-9))
    for _ in range(TRIES):
        if factor * operations(action.problem) > MOST_OPERATIONS:
            break
        problem = refined(action.problem, factor)
        finer = Action(problem, equations=action.equations.of(problem))
        try:
            found = minimum_at(finer, refined_path(action, path + shift.path, factor), rf)
            left = step_shift(finer, found, rf)
        except StepUnknownError:
            break
        if left.fine:
            return Enough(factor, left)
        factor = max(factor + 1, int(np.ceil(factor * left.finer - 1e-9)))
    return Enough(factor, None)


def time_step(action: Action, path: Array, rf: float) -> TimeStep | None:
    """Whether the time step of a minimum is fine enough; None for a map, which has none.

    Args:
        action: The action.
        path: The minimum, flat, shape (size,).
        rf: Its Rf.
    """
    problem = action.problem
    if problem.model.kind == "map":
        return None
    try:
        shift = step_shift(action, path, rf)
    except StepUnknownError as error:
        lost = isinstance(error, UnboundedFlowError)
        return TimeStep(unknown=str(error), lost=lost, stiff=error.stiff)
    if shift.fine:
        return TimeStep(shift)
    if shift.stiff:
        return TimeStep(unknown=STIFF, lost=True, stiff=True)
    found = enough(action, path, rf, shift)
    return TimeStep(shift, found.factor * problem.steps_per_sample, found.left)
