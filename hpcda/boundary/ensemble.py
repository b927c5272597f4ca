"""All solutions that an ensemble finds: many first guesses climb a ladder of Rf, then each is made exact.

On the ladder a condition that is to be obeyed exactly has a small noise, `SOFT` times the width of its
state's first guesses; ladders begin at the rungs `FIRST` in turn, as those that begin low forget their guess.
Every path that a start ends with is then solved by Newton's method on the whole path with the conditions as
they are given. So is a second, smooth first guess of each start, a line through the conditions and some waves
of random heights: a solution that the ladder leaves aside may be near it. Equal solutions are counted once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.interpolate import CubicSpline

from hpcda.action.discretizations import SCHEMES
from hpcda.boundary.conditions import Given
from hpcda.boundary.refine import Level, Mesher, Refined, first_intervals, refine_from
from hpcda.boundary.solution import BoundarySolution, solution
from hpcda.face import Estimate, Ladder, Prior, Problem, anneal
from hpcda.problem import Array
from hpcda.search.ways import uniform

if TYPE_CHECKING:
    from hpcda.analysis.rundata import Result

SOFT = 1e-3
"""Noise of an exact condition on the ladder, in widths of the first guesses."""
RUNGS = 21
"""Rungs of the ladder, each at twice the Rf."""
FIRST = (0, 5, 10, 15, 20)
"""Rungs at which ladders begin, in turn."""
WAVES = 3
"""Half waves of smooth first guesses, from one on."""
HIGHEST = 1e5
"""The largest finite Rf per time on the way to infinity."""
SAME = 1e-5
"""Part of the largest state, or parameter, by which two equal solutions may differ on one mesh."""
FINER = 4
"""How many times as many intervals as the first mesh of a single start has that of an ensemble has."""


def ensemble(
    mesher: Mesher,
    guess: Any,
    tol: float,
    steps: int | None,
    most_nodes: int,
    starts: int,
    seed: int,
    most: int,
) -> BoundarySolution:
    """All solutions found.

    Args:
        mesher: The equations.
        guess: The user's first guess, which is tried as well.
        tol: See `hpcda.boundary_value`.
        steps: See there.
        most_nodes: See there.
        starts: See there.
        seed: See there.
        most: Most Newton steps on one mesh.

    Raises:
        InputError: The ensemble cannot be run.
    """
    given = mesher.given
    intervals = FINER * first_intervals(given) if steps is None else steps
    times = mesher.system(intervals).times
    result = _annealed(mesher, times, starts, seed)
    distinct: list[tuple[Level, int]] = []
    iterations = 0
    begins = [(guess(times), given.guess), *_smooth(given, guess(times), starts, seed)]
    for x, parameters in [*begins, *_ends(given, result, starts)]:
        path = mesher.start(intervals, CubicSpline(times, x), parameters)
        level, found = mesher.solve(path, intervals, most)
        iterations += found.iterations
        if level is None:
            continue
        for number, (other, hits) in enumerate(distinct):
            if _same(level, other):
                distinct[number] = other, hits + 1
                break
        else:
            distinct.append((level, 1))
    made = []
    for level, hits in distinct:
        if steps is None:
            found_all = refine_from(mesher, level, tol, most_nodes, most)
            iterations += found_all.iterations
        else:
            found_all = Refined([level], None, 0, np.nan, True)
        made.append((solution(given, found_all), hits, found_all.fine))
    made.sort(key=lambda one: (round(one[0].action, 9), tuple(np.ravel(one[0].x))))
    if not made:
        return BoundarySolution(
            2, f"no solution was found in {starts} starts", (), (), starts, iterations, result
        )
    fine = sum(one[2] for one in made)
    status = 0 if fine == len(made) else 1
    message = (
        "solved" if not status else f"the tolerance was not reached by {len(made) - fine} of {len(made)}"
    )
    solutions, counts = tuple(one[0] for one in made), tuple(one[1] for one in made)
    return BoundarySolution(status, message, solutions, counts, starts, iterations, result)


def _same(one: Level, other: Level) -> bool:
    """Whether two paths on one mesh are equal."""
    free = one.system.free
    pairs = (one.x, other.x), (one.parameters[free], other.parameters[free])
    return all(
        np.abs(a - b).max(initial=0.0) <= SAME * max(1.0, np.abs(a).max(initial=0.0)) for a, b in pairs
    )


def _smooth(given: Given, line: Array, starts: int, seed: int) -> list[tuple[Array, Array]]:
    """Smooth first guesses: the user's, and waves whose heights are drawn from the states' ranges."""
    found = []
    s = np.linspace(0.0, np.pi, len(line))
    low, high = given.ranges.T
    bounds = np.array([one.start for one in given.model.parameters]).reshape(-1, 2)
    for start in range(starts):
        rng = np.random.default_rng((seed, start))
        heights = rng.uniform(low, high, (WAVES, len(low))) / np.arange(1, WAVES + 1)[:, None]
        x = line + sum(np.sin((k + 1) * s)[:, None] * heights[k] for k in range(WAVES))
        parameters = given.guess
        parameters[given.free] = rng.uniform(*bounds[given.free].T)
        found.append((x, parameters))
    return found


def _ends(given: Given, result: Result, starts: int) -> list[tuple[Array, Array]]:
    """States and all parameters of the paths that starts have ended with."""
    found = []
    for start in range(starts):
        try:
            (path,), parameters = result.file.path(start)
        except (KeyError, IndexError):  # it failed, or was merged into another
            continue
        values = given.guess
        values[given.free] = parameters
        found.append((path, values))
    return found


def _annealed(mesher: Mesher, times: Array, starts: int, seed: int) -> Result:
    given, model = mesher.given, mesher.given.model
    span = SCHEMES[given.discretization].span
    held = mesher.system((len(times) - 1) // span).held
    width = np.ptp(given.ranges, axis=1)
    y: dict[str, Array] = {}
    std: dict[str, Any] = {}
    for d, name in enumerate(model.state_names):
        own = held.state == d
        if own.any():
            y[name], std[name] = np.full(len(times), np.nan), np.full(len(times), SOFT * width[d])
            y[name][held.point[own]] = held.value[own]
            std[name][held.point[own]] = np.maximum(held.std[own], SOFT * width[d])
    estimate = {}
    for k, one in enumerate(model.parameters):
        if one.name in given.estimated:
            mean, spread = given.priors[k]
            prior = Prior(float(mean), float(spread)) if np.isfinite(spread) else None
            estimate[one.name] = Estimate(start=one.start, prior=prior)
    fixed = {one.name: one.default for one in model.parameters if one.name not in given.estimated}
    problem = Problem(
        model,
        times,
        y,
        std,
        gaps=True,
        estimate=estimate,
        fixed=fixed,
        states=dict(zip(model.state_names, map(tuple, given.ranges), strict=True)),
        discretization=given.discretization,
        steps_per_sample=1,
        model_error_weight=dict.fromkeys(model.state_names, 1.0),
        model_error="per time",
    )
    infinite = np.isinf(given.rf)
    last = HIGHEST if infinite else given.rf
    ladder = Ladder(last / 2.0 ** (RUNGS - 1), 2.0, RUNGS, "infinity" if infinite else "finite", FIRST)
    return anneal(problem, starts, seed, ladder=ladder, way=uniform.WAY.name)
