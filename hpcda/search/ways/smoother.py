"""Ensemble Kalman smoother with unknown parameters.

Members begin as white noise with the data's mean and spread, their parameters anywhere in their starting
range; an ensemble Kalman filter takes them through the data, and the means of its backward pass are the path
(`hpcda.search.smoother`). The filter believes the data less than their noise allows: members that are sure
too early follow a wrong path and no longer hear the data, and closeness to the data is the ladder's business.
How much less is best differs between data, so that starts differ in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.problem import Array, Problem, Window
from hpcda.search.context import SearchContext
from hpcda.search.smoother import Filtered
from hpcda.search.way import Way, center_and_spread, log_uniform, measured_states

MEMBERS, MEMBERS_A_ROW = 200, 5
"""How many members there are at least, and how many for each of the D + V + P numbers of a member."""
EASING = 8.0, 64.0
"""Factor of the variance of the data: each start draws its own, evenly in its logarithm."""
HOPS = 4.0, 12.0
"""How far data reach in the model's graph, see `hpcda.search.localization`; drawn in the same way. Where all
is nearer than the first there are many members for few numbers, and all covariances are believed."""
LOST = 10.0
"""A member is lost where a state is this many times further away than its range and the data reach."""


def first_members(
    context: SearchContext, window: Window, rng: np.random.Generator, shared: Array | None
) -> Array:
    """Members at the first point of a window, before its data, shape (D + V + P, members).

    Args:
        context: The context.
        window: The window.
        rng: Where all that is random comes from.
        shared: The rows of the parameters that all windows share, where they are drawn already.
    """
    problem = context.problem
    count = 8 * -(-max(MEMBERS, MEMBERS_A_ROW * context.forecast.rows) // 8)
    center, spread = center_and_spread(problem, window)
    for name, (mean, std) in problem.initial_prior.items():
        state = problem.model.state_names.index(name)
        center[state], spread[state] = mean, std
    rows = [center[:, None] + spread[:, None] * rng.standard_normal((problem.dimension, count))]
    seen = problem.seen if shared is None else problem.seen[: len(problem.layout.own)]
    for one in (*problem.varying, *seen):
        row = rng.uniform(*one.start, count) if one.prior is None else rng.normal(*one.prior, count)
        rows.append(np.clip(row, *one.bounds)[None])
    if shared is not None:
        rows.append(shared)
    members = np.ascontiguousarray(np.vstack(rows))
    low, high = problem.state_bounds.T
    members[: problem.dimension] = np.clip(members[: problem.dimension], low[:, None], high[:, None])
    return members


def reach_of(problem: Problem, window: Window) -> tuple[Array, Array]:
    """Where states are, and how far from there a member is lost, each of shape (D,)."""
    center, _ = center_and_spread(problem, window)
    far = np.abs(problem.state_start).max(axis=1) + np.ptp(problem.state_start, axis=1)
    for state, values in measured_states(problem, window).items():
        far[state] = max(far[state], np.abs(values - center[state]).max())
    return center, np.where(far > 0.0, LOST * far, np.finfo(float).max)


def _path(context: SearchContext, rng: np.random.Generator) -> Array:
    problem = context.problem
    shared = None
    filtered, ends = [], []
    easing, hops = log_uniform(rng, EASING), hops_of(context, rng)
    for window in problem.windows:
        members = first_members(context, window, rng, shared)
        reach = reach_of(problem, window)
        substeps = context.forecast.substeps(window, members[:, :16])
        filtered.append(context.smoother.filter(window, members, rng, reach, easing, substeps, hops=hops))
        ends.append(members)
        shared = members[shared_rows(problem)]
    return backward(problem, filtered, ends)


def hops_of(context: SearchContext, rng: np.random.Generator) -> float | None:
    """How far data reach, see `Smoother.filter`."""
    drawn = log_uniform(rng, HOPS)
    return drawn if context.smoother.hops.near.max() > HOPS[0] else None


def backward(problem: Problem, filtered: Sequence[Filtered], ends: Sequence[Array]) -> Array:
    """The smoothed path, shape (size,); where covariances are hardly any, means may leave all bounds.

    Args:
        problem: The problem.
        filtered: What the filter left of every window.
        ends: Members at the last point of every window, each of shape (D + V + P, members).
    """
    layout = problem.layout
    blocks: list[Array] = []
    shared, constants = np.zeros(0), np.zeros(len(problem.constants))
    for number in reversed(range(len(problem.windows))):
        one, members, window = filtered[number], ends[number], problem.windows[number]
        means = one.smoothed(one.informed(members, shared) if blocks else None)
        constants[layout.seen(number)] = means[0, layout.block :]
        shared = means[0, shared_rows(problem)]
        center, reach = reach_of(problem, window)
        states = means[:, : problem.dimension]
        np.clip(states, center - reach / LOST, center + reach / LOST, out=states)
        blocks.insert(0, means[:, : layout.block])
    return problem.join(blocks, constants)


def shared_rows(problem: Problem) -> slice:
    """The rows of a member that all windows share."""
    return slice(problem.layout.block + len(problem.layout.own), None)


def memory(problem: Problem) -> float:
    """Two covariances for every time are kept for the backward pass."""
    times = sum(window.times for window in problem.windows)
    return 16.0 * times * (problem.layout.block + len(problem.seen)) ** 2


WAY = Way(
    "smoother", "ensemble Kalman smoother", _path, shares=(0.5, 0.4),
    memory=memory, leads=1, pilots=True, place=30,
)  # fmt: skip
