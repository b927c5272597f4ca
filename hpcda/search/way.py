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
    """A starting strategy: how the initial path of a start is drawn.

    Attributes:
        name: The value of `ensemble.way` in a job file.
        sentence: Description in one line, for people.
        path: (context, rng) -> an initial path, shape (size,). It may exceed the bounds: `draw` clips it.
        shares: Recommended first rungs, best first, each as the fraction of the ladder below it, 0 to 1.
        memory: (problem) -> bytes needed to draw a path, apart from the path itself.
        steps: Cost of drawing a path, in Newton steps of a whole path; 0 if it is negligible.
        timed: Whether the cost is measured on the first path drawn, rather than taken from `steps`.
        searched: Whether a search (way = "auto") uses it.
        leads: Priority as a search's first strategy; the highest is taken, 0 is never taken first.
        pilots: Whether the pilot of steps_per_sample = "auto" may begin with it.
        at_once: Whether it serves where a path is needed immediately: it costs no time and fits any problem.
        place: Position in lists of strategies, smallest first.
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
        """Whether drawing a path needs at most `MOST_MEMORY` bytes."""
        return self.memory(problem) <= MOST_MEMORY

    def draw(self, context: SearchContext, rng: np.random.Generator) -> Array:
        """An initial path, shape (size,), clipped to the bounds; windows share the values of the first.

        Raises:
            InputError: The strategy returns an array of another shape or type, or raises an exception.
        """
        place, (lower, upper) = f"way {self.name!r}", context.problem.bounds
        path = checked_path(place, called(self.path, place, context, rng), context.problem)
        return context.problem.ties.tied(np.clip(path, lower, upper))


def checked_path(place: str, path: Array, problem: Problem) -> Array:
    """The path as floats, shape (size,).

    Args:
        place: What made the path, for the error message.
        path: The array to check.
        problem: The problem it should be a path of.

    Raises:
        InputError: Its shape is not (size,), or its entries are not numbers.
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
    """Make `Way.path` from a rule for the states alone.

    Args:
        unmeasured: (problem, window, rng) -> all states at all times of a window, shape (N, D). Measured
            states are then replaced by their data, and parameters drawn uniformly from their ranges.
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
    """A number between two bounds, both above 0, uniform in its logarithm."""
    return math.exp(rng.uniform(math.log(bounds[0]), math.log(bounds[1])))


def measured_states(problem: Problem, window: Window) -> dict[int, Array]:
    """State index -> its measured values at all times, gaps filled by linear interpolation, shape (N,).

    Only states that are measured directly; measured expressions of several states are left out.
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

    From the data for measured states, and for states with the same unit and range as a measured one; for
    all others the center of their range and a quarter of its width.
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
    """Groups of states with the same unit and range, as lists of indices."""
    keys = [(state.unit, state.range) for state in problem.model.states]
    return [[i for i, key in enumerate(keys) if key == one] for one in dict.fromkeys(keys)]
