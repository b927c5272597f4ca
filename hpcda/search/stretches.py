"""Where along a path its action is concentrated, and which time interval an escape gives up.

At a minimum of a large Rf the model holds almost exactly, and the action is the misfit to the data; it is
large around the times where the path has lost the true one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcda.problem import Array
from hpcda.search.context import SearchContext


@dataclass(frozen=True)
class Stretch:
    """Times begin ≤ n < end of one window."""

    window: int
    begin: int
    end: int


def action_by_time(context: SearchContext, path: Array) -> list[Array]:
    """Measurement and model errors at the last rung, time by time, one array of shape (N,) a window.

    An interval's model error is shared evenly among its points.
    """
    problem, residuals = context.problem, context.residuals
    halves = 0.5 * residuals.evaluate(path, context.ladder.largest)[0] ** 2
    scheme = context.action.structure.scheme
    found, at = [], 0
    for number, window in enumerate(problem.windows):
        known = np.isfinite(window.data)
        count, intervals = int(known.sum()), (window.times - 1) // scheme.span
        here = np.zeros(window.times)
        np.add.at(here, np.nonzero(known)[0], halves[at : at + count])
        at += count
        errors = halves[at : at + intervals * scheme.errors * problem.dimension]
        for point in range(scheme.span + 1):
            points = np.arange(intervals) * scheme.span + point
            here[points] += errors.reshape(intervals, -1).sum(axis=1) / (scheme.span + 1)
        at += len(errors) + sum(len(walk.places) for walk in problem.walks if walk.window == number)
        found.append(np.nan_to_num(here, nan=0.0, posinf=0.0))
    return found


def draw_stretch(
    context: SearchContext, path: Array, shares: tuple[float, float], rng: np.random.Generator
) -> Stretch:
    """A stretch of one window, its length uniform between two shares of it, likely where much action is.

    The probability of a stretch is proportional to the square of the action in it, so that a path that has
    gone wrong in one place is changed there.
    """
    places: list[Stretch] = []
    weights: list[float] = []
    share = rng.uniform(*shares)
    for number, here in enumerate(action_by_time(context, path)):
        length = min(max(1, round(share * len(here))), len(here))
        total = np.concatenate([[0.0], np.cumsum(here)])
        weights += list(total[length:] - total[:-length])
        places += [Stretch(number, begin, begin + length) for begin in range(len(here) - length + 1)]
    chance = np.square(weights)
    total_chance = chance.sum()
    even = np.full(len(places), 1.0 / len(places))
    usable = np.isfinite(total_chance) and total_chance > 0.0
    return places[rng.choice(len(places), p=chance / total_chance if usable else even)]
