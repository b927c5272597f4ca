"""Ways in which a path begins, each a function of the problem and a random generator.

`uniform` is the papers' (Ye et al., Nonlin. Processes Geophys. 22, 205 (2015)): measured states as measured,
the others uniform in their range. `quiet` begins near a path at rest: the others at the mean of the data,
with a tenth of noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpcda.problem import Array, Problem, Window

QUIET_NOISE = 0.1


@dataclass(frozen=True)
class Way:
    """One way to begin.

    Attributes:
        name: As the job file names it.
        sentence: What it does.
        unmeasured: (problem, window, rng) -> values of all states at all times, shape (N, D), before the
            measured states are put in.
    """

    name: str
    sentence: str
    unmeasured: Callable[[Problem, Window, np.random.Generator], Array]

    def draw(self, problem: Problem, rng: np.random.Generator) -> Array:
        """A first path, shape (size,), inside the bounds."""
        blocks = []
        for window in problem.windows:
            states = self.unmeasured(problem, window, rng)
            for state, values in measured_states(problem, window).items():
                states[:, state] = values
            varying = [rng.uniform(*q.start, size=window.times) for q in problem.varying]
            blocks.append(np.column_stack([states, *varying]))
        parameters = np.array([rng.uniform(*p.start) for p in problem.parameters])
        lower, upper = problem.bounds
        return np.clip(problem.join(blocks, parameters), lower, upper)


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


def _uniform(problem: Problem, window: Window, rng: np.random.Generator) -> Array:
    low, high = problem.state_start.T
    return rng.uniform(low, high, size=(window.times, problem.dimension))


def _quiet(problem: Problem, window: Window, rng: np.random.Generator) -> Array:
    low, high = problem.state_start.T
    centre = (low + high) / 2
    alike = _alike(problem)
    for group in alike:
        values = [v for state, v in measured_states(problem, window).items() if state in group]
        if values:
            centre[group] = np.clip(np.mean(values), low[group], high[group])
    noise = (
        QUIET_NOISE
        * np.minimum(1.0, (high - low) / 10.0)
        * rng.standard_normal((window.times, problem.dimension))
    )
    return centre + noise


def _alike(problem: Problem) -> list[list[int]]:
    """States that the measured ones speak for: those of the same unit and the same range."""
    keys = [(state.unit, state.range) for state in problem.model.states]
    return [[i for i, key in enumerate(keys) if key == one] for one in dict.fromkeys(keys)]


WAYS: dict[str, Way] = {
    way.name: way
    for way in (
        Way("uniform", "unmeasured states uniform in their range", _uniform),
        Way("quiet", "unmeasured states at the mean of the data, with a tenth of noise", _quiet),
    )
}
