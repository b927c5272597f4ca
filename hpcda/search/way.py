"""Defines `Way`, a starting strategy: a function that draws the initial path of a start."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpcda.annealing.lockstep import MOST_MEMORY
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array, Problem, Window
from hpcda.search.context import SearchContext
from hpcda.userfile import called


@dataclass(frozen=True)
class Way:
    """One way to begin.

    Attributes:
        name: As the job file names it.
        sentence: What it does.
        path: (context, rng) -> a first path, shape (size,); bounds are seen to by `draw`.
        shares: Shares of the ladder that lie below the first rungs which suit it, best first.
        memory: Bytes that drawing a path takes, beside the path.
        steps: Newton steps of a whole path that take about as long as drawing one; 0 where that is nothing
            beside the climb.
        timed: Whether the first path tells what the others take; else `steps` does, where it is not 0.
        searched: Whether a search (way = "auto") draws it.
        leads: A search begins with the way that leads most; 0 for one with which it does not.
        pilots: Whether the pilot of steps_per_sample = "auto" begins with it.
        at_once: Whether it is drawn where some path is needed at once: it takes no time, and always fits.
        place: Where it stands among others.
    """

    name: str
    sentence: str
    path: Callable[[SearchContext, np.random.Generator], Array]
    shares: tuple[float, ...] = (0.0,)
    memory: Callable[[Problem], float] = lambda problem: 0.0
    steps: float = 0.0
    timed: bool = False
    searched: bool = True
    leads: int = 0
    pilots: bool = False
    at_once: bool = False
    place: int = 100

    def fits(self, problem: Problem) -> bool:
        """Whether drawing a path takes no more than `MOST_MEMORY`."""
        return self.memory(problem) <= MOST_MEMORY

    def draw(self, context: SearchContext, rng: np.random.Generator) -> Array:
        """A first path, shape (size,), inside the bounds; what windows share is that of the first of them.

        Raises:
            InputError: What the way gives is no path of this problem, or it raises an exception.
        """
        place, (lower, upper) = f"way {self.name!r}", context.problem.bounds
        path = checked_path(place, called(self.path, place, context, rng), context.problem)
        return context.problem.ties.tied(np.clip(path, lower, upper))


def checked_path(place: str, path: Array, problem: Problem) -> Array:
    """The path, where it is one of the problem: one number for each unknown.

    Raises:
        InputError: It is none; `place` says who made it.
    """
    array = np.asarray(path)
    if array.shape != (problem.size,) or array.dtype.kind not in "fiu":
        problem_text = f"its path is an array of {array.dtype} of shape {array.shape}"
        remedy = f"return {problem.size} floats, as Problem.join makes them"
        raise InputError(Mistake(place, problem_text, remedy))
    return array.astype(np.float64, copy=False)


def pointwise(
    unmeasured: Callable[[Problem, Window, np.random.Generator], Array],
) -> Callable[[SearchContext, np.random.Generator], Array]:
    """A way's `path` from a rule for the states alone.

    Args:
        unmeasured: (problem, window, rng) -> values of all states at all times, shape (N, D). Measured states
            are put in over them; parameters are uniform in their ranges.
    """

    def path(context: SearchContext, rng: np.random.Generator) -> Array:
        problem, blocks = context.problem, []
        for window in problem.windows:
            states = np.asarray(unmeasured(problem, window, rng))
            if states.shape != (window.times, problem.dimension) or states.dtype.kind not in "fiu":
                problem_text = f"its states are an array of {states.dtype} of shape {states.shape}"
                remedy = f"return {window.times} times by {problem.dimension} states, as floats"
                raise InputError(Mistake("the rule of `pointwise`", problem_text, remedy))
            states = states.astype(np.float64)
            for state, values in measured_states(problem, window).items():
                states[:, state] = values
            varying = [rng.uniform(*q.start, size=window.times) for q in problem.varying]
            blocks.append(np.column_stack([states, *varying]))
        constants = np.array([rng.uniform(*p.start) for p in problem.constants])
        return problem.join(blocks, constants)

    return path


def log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """A number between two, evenly in its logarithm."""
    return math.exp(rng.uniform(math.log(bounds[0]), math.log(bounds[1])))


def measured_states(problem: Problem, window: Window) -> dict[int, Array]:
    """State index -> its measured values at all times, gaps filled by linear interpolation, shape (N,).

    Only states that are observed as they are; expressions of states say nothing about one state alone.
    """
    found: dict[int, Array] = {}
    for column, text in enumerate(problem.observed.values()):
        if text.strip() in problem.model.state_names:
            known = np.isfinite(window.data[:, column])
            if known.any():
                values = np.interp(window.t, window.t[known], window.data[known, column])
                found[problem.model.state_names.index(text.strip())] = values
    return found


def center_and_spread(problem: Problem, window: Window) -> tuple[Array, Array]:
    """Mean and standard deviation of every state, each of shape (D,).

    Those of the data for measured states and for states of the same unit and range; for all others the
    middle of their range, and a quarter of its width.
    """
    low, high = problem.state_start.T
    center, spread = (low + high) / 2, (high - low) / 4
    measured = measured_states(problem, window)
    for group in _alike(problem):
        values = [v for state, v in measured.items() if state in group]
        if values:
            center[group] = np.clip(np.mean(values), low[group], high[group])
            spread[group] = np.minimum(np.std(values), (high - low)[group])
    return center, spread


def _alike(problem: Problem) -> list[list[int]]:
    """States that the measured ones speak for: those of the same unit and the same range."""
    keys = [(state.unit, state.range) for state in problem.model.states]
    return [[i for i, key in enumerate(keys) if key == one] for one in dict.fromkeys(keys)]
