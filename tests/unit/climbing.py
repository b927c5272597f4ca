"""Climbs in lockstep for the tests: problems with a minimum, first paths, the ladder climbed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Lockstep, Settings
from hpcda.annealing.scale import scales
from tests.chance import generator
from tests.unit.problems import example

FREE_STEPS = Settings(longest=1e6, barrier=0.0, decrement=0.0)
"""Steps are taken whole, and the last rung goes on for ever."""


def well_posed(name, scheme, variant="walk", bounded=False, **changes):
    """An example that has minima: parameters have priors; `bounded`: all in their starting ranges."""

    def known(one):
        low, high = one.start
        bounds = one.start if bounded else one.bounds
        return replace(one, prior=((low + high) / 2, 0.1 * (high - low)), bounds=bounds)

    problem, path = example(name, scheme, variant, **changes)
    middle, width = problem.state_start.mean(axis=1), np.diff(problem.state_start, axis=1)[:, 0]
    names = problem.model.state_names
    problem = replace(
        problem,
        parameters=tuple(known(p) for p in problem.parameters),
        varying=tuple(known(q) for q in problem.varying),
        initial_prior={names[0]: (middle[0], width[0]), names[-1]: (middle[-1], 0.3 * width[-1])},
        state_bounds=problem.state_start.copy() if bounded else problem.state_bounds,
    )
    for number, window in enumerate(problem.windows):
        window.data[3 + number : 6] = np.nan
    return problem, path


@cache
def action_of(name, scheme, variant="walk", bounded=False, own=7):
    """The action of a well-posed problem, and a first path."""
    problem, path = well_posed(name, scheme, variant, bounded, own=own)
    return Action(problem), path


def first_paths(problem, count, seed=3):
    """Random paths in the starting ranges."""
    rng = generator(seed)
    low, high = problem.state_start.T
    paths = []
    for _ in range(count):
        blocks = [
            np.column_stack(
                [
                    rng.uniform(low, high, (window.times, problem.dimension)),
                    *(rng.uniform(*q.start, window.times) for q in problem.varying),
                ]
            )
            for window in problem.windows
        ]
        paths.append(problem.join(blocks, np.array([rng.uniform(*p.start) for p in problem.parameters])))
    return paths


def climb(lockstep, paths, order=None, lanes=None, ticks=50):
    """Every path up the whole ladder: number -> its rungs; in this `order`, in these `lanes`."""
    waiting = list(range(len(paths)) if order is None else order)
    found = {number: [] for number in waiting}
    ended = []
    for _ in range(100_000):
        for lane in lockstep.empty:
            if waiting and (lanes is None or lane in lanes):
                number = waiting.pop(0)
                lockstep.put(int(lane), number, paths[number], lockstep.ladder.first(number), fresh=True)
        if not lockstep.active:
            break
        lockstep.advance(ticks)
        for one in lockstep.reached():
            found[one.start].append(one)
            if one.ended:
                ended.append(one.start)
    assert sorted(ended) == sorted(found), "every start ends once"
    return found


@cache
def near_minimum(name, scheme, variant="walk", bounded=False, rf=2.0, own=7):
    """The action, and a path close to one of its minima at `rf`."""
    action, path = action_of(name, scheme, variant, bounded, own)
    ladder = Ladder(rf / 4.0**4, 4.0, 5)
    (rungs,) = climb(Lockstep(action, ladder), [path]).values()
    assert rungs[-1].rung.reason.converged
    return action, rungs[-1].rung.path


def scaled_gradient(action, path, rf):
    """Largest entry of the gradient in units of the unknowns, those left out that a bound holds back."""
    gradient = action.gradient(path, rf)[1]
    low, high = action.problem.bounds
    size = scales(action.problem)
    held = ((path <= low + 1e-10 * size) & (gradient > 0)) | ((path >= high - 1e-10 * size) & (gradient < 0))
    return float(np.abs(gradient * size)[~held].max())


def same(one, other):
    """Whether two lists of finished rungs are equal in every bit."""
    return len(one) == len(other) and all(
        np.array_equal(a.rung.path, b.rung.path, equal_nan=True)
        and repr(replace(a.rung, path=None)) == repr(replace(b.rung, path=None))
        for a, b in zip(one, other, strict=True)
    )
