r"""A ladder in the number of steps: a minimum solved at 1, 2, 4, … times as many, and the limit it goes to.

Each level starts from the level before, taken over to the finer points (`hpcda.search.finer`). Rf weights
model errors per time on every level, as refinement is only then the same problem solved more closely: where
the problem says "per step", Rf grows as 1/h.

A quantity q with q(h) = q(0) + c hᵖ + … shows, at its last three levels a, b, c of halved steps,

    p = log₂ |(b - a) / (c - b)|,    q(0) ≈ c + (c - b) / (2ᵖ - 1)

(L. F. Richardson, Phil. Trans. R. Soc. A 210, 307 (1911); P. J. Roache, J. Fluids Eng. 116, 405 (1994)).
Where p is near the order of the discretization, that order is taken and the error is the difference between
the limits of (b, c) and of (a, b); elsewhere p itself is taken (Aitken), and the error is the distance to c,
or where p is above that order what the order makes of the last change.
Where the changes do not shrink alike, there is no limit to tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hpcda.action import Action
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array, Problem
from hpcda.search.finer import minimum_at, refined, refined_path
from hpcda.search.local_errors import StepUnknownError
from hpcda.search.time_step import ACTION, refuse_large

FEWEST, MOST = 3, 10
"""Levels: below there is no order to see, above the finest has 512 times as many steps."""
NEAR = 0.25
"""Distance of the order seen from that of the discretization up to which the latter is taken."""
LEAST_ORDER = 0.5
"""Order seen below which changes do not shrink enough to extrapolate."""
SETTLED = 1e-9
"""Change relative to the value, or to 1, that is rounding and the minimizer's tolerance."""
CLOSE = 0.2
"""Distance from the limit, in standard deviations, at which a step is fine enough."""


@dataclass(frozen=True)
class Limit:
    """What a quantity goes to as the step goes to zero.

    Attributes:
        value: The limit; None where the levels do not show one.
        error: Its error, in the same unit; None with it.
        order: The order seen at the last three levels; None where the changes are rounding, or change sign.
        why: Why there is none.
    """

    value: float | None
    error: float | None
    order: float | None
    why: str = ""


@dataclass(frozen=True)
class Level:
    """A minimum at one number of steps.

    Attributes:
        steps: Steps per sample.
        times: Points of the path, of all windows.
        rf: Rf, per step where the problem says so.
        action: Its action.
        parameters: Shared parameter -> its value.
        path: The minimum, flat, shape (size,).
    """

    steps: int
    times: int
    rf: float
    action: float
    parameters: dict[str, float]
    path: Array

    def value(self, name: str) -> float:
        """The action, or a parameter by its name."""
        return self.action if name == ACTION else self.parameters[name]


@dataclass(frozen=True)
class Refinement:
    """The levels, the coarsest first, and what they go to.

    Attributes:
        levels: The levels.
        limits: The action and each parameter -> its limit.
        path_changes: Root mean square change of the states, at the times that all levels have, from each
            level to the next, shape (levels - 1,).
        order: Order of the discretization.
    """

    levels: tuple[Level, ...]
    limits: dict[str, Limit]
    path_changes: Array
    order: int

    @property
    def path_orders(self) -> Array:
        """Orders that the changes of the path show, shape (levels - 2,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log2(self.path_changes[:-1] / self.path_changes[1:]))

    @property
    def asymptotic(self) -> bool:
        """Whether every quantity shows its limit."""
        return all(limit.value is not None for limit in self.limits.values())

    def fine_enough(self, deviations: Mapping[str, float]) -> int | None:
        """The fewest steps per sample within `CLOSE` standard deviations of every limit.

        Args:
            deviations: Quantity -> its standard deviation; others are not judged.

        Returns:
            None where no level is, or a limit is not known.
        """
        if not self.asymptotic:
            return None
        for level in self.levels:
            if all(
                abs(level.value(name) - float(self.limits[name].value or 0.0)) <= CLOSE * deviation
                for name, deviation in deviations.items()
            ):
                return level.steps
        return None

    def sentence(self, deviations: Mapping[str, float]) -> str:
        """Whether the step of the first level is fine enough, with the numbers.

        Args:
            deviations: Quantity -> its standard deviation, one at least.
        """
        first, last = self.levels[0], self.levels[-1]
        unknown = {name: one for name, one in self.limits.items() if one.value is None}
        if unknown:
            name, limit = next(iter(unknown.items()))
            return (
                f"Whether the time step is fine enough is not shown by {first.steps} to {last.steps} steps "
                f"per sample: {name} {limit.why}; refine further."
            )
        off = {
            name: abs(first.value(name) - float(self.limits[name].value or 0.0)) / deviation
            for name, deviation in deviations.items()
        }
        name = max(off, key=lambda one: off[one])
        limit = self.limits[name]
        order = "" if limit.order is None else f", order {limit.order:.2f}"
        moved = (
            f"{name} is {off[name]:.2g} standard deviations from its limit "
            f"{limit.value:.6g} ± {limit.error:.1g}{order}"
        )
        enough = self.fine_enough(deviations)
        if enough == first.steps:
            return f"The time step is fine enough: {moved}."
        told = (
            f"more than {last.steps} steps per sample are needed"
            if enough is None
            else f"steps_per_sample = {enough} is enough"
        )
        return f"The time step is too coarse: {moved}; {told}."

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON, without the paths."""
        return {
            "order": self.order,
            "asymptotic": self.asymptotic,
            "levels": [
                {
                    "steps_per_sample": one.steps,
                    "times": one.times,
                    "rf": one.rf,
                    "action": one.action,
                    "parameters": one.parameters,
                }
                for one in self.levels
            ],
            "limits": {
                name: {"value": one.value, "error": one.error, "order": one.order, "why": one.why}
                for name, one in self.limits.items()
            },
            "path_changes": self.path_changes.tolist(),
        }


def limit_of(values: Array, order: int) -> Limit:
    """What a quantity goes to that was found at 1, 2, 4, … times as many steps.

    Args:
        values: The quantity, the coarsest level first, shape (levels,), three levels at least.
        order: Order of the discretization.
    """
    a, b, c = (float(value) for value in values[-3:])
    before, last = b - a, c - b
    rounding = SETTLED * max(1.0, abs(c))
    if abs(last) <= rounding:
        return Limit(c, max(abs(last), rounding), None)
    if before * last < 0.0:
        return Limit(None, None, None, "goes back and forth from level to level")
    with np.errstate(divide="ignore"):
        seen = float(np.log2(abs(before) / abs(last)))
    if seen < LEAST_ORDER:
        return Limit(None, None, seen, "changes from level to level without shrinking enough")
    if abs(seen - order) <= NEAR:
        share = 1.0 / (2.0**order - 1.0)
        value = c + share * last
        return Limit(value, max(abs(value - (b + share * before)), rounding), seen)
    value = c + last / (2.0**seen - 1.0)
    least = abs(last) / (2.0**order - 1.0) if seen > order else 0.0
    return Limit(value, max(abs(value - c), least, rounding), seen)


def refinable(problem: Problem, levels: int) -> None:
    """Check that a problem can be refined so often.

    Raises:
        InputError: It is a map, or the number of levels makes no sense.
    """
    if problem.model.kind == "map":
        what = f"{problem.model.name} is a map, whose steps are part of the model"
        raise InputError(Mistake("refine", what, 'refine a model of rates (kind = "flow")'))
    whole = isinstance(levels, int) and not isinstance(levels, bool)
    if not whole or not FEWEST <= levels <= MOST:
        remedy = f"give a whole number from {FEWEST} to {MOST}; each level halves the step"
        raise InputError(Mistake("refine", f"{levels!r} levels do not fit", remedy))


def refine(action: Action, path: Array, rf: float, levels: int = 4) -> Refinement:
    """Solve a minimum again at 2, 4, … times as many steps, each level from the one before.

    Args:
        action: The action of a flow.
        path: The minimum, flat, shape (size,).
        rf: Its Rf, as the problem counts it.
        levels: Levels, the given one among them.

    Raises:
        InputError: The model is a map, or the number of levels makes no sense.
        StepUnknownError: No minimum is reached on a level, or the finest is too large.
    """
    problem = action.problem
    refinable(problem, levels)
    refuse_large(refined(problem, 2 ** (levels - 1)))
    per_step = problem.model_error == "per step"
    found = [_level(action, path, rf)]
    states = [_states(action.problem, path, 1)]
    for number in range(1, levels):
        problem = refined(action.problem, 2)
        finer = Action(problem, equations=action.equations.of(problem))
        at = rf * 2.0**number if per_step else rf
        try:
            path = minimum_at(finer, refined_path(action, path, 2), at)
        except StepUnknownError as error:
            told = f"at steps_per_sample = {problem.steps_per_sample}: {error}"
            raise StepUnknownError(told, error.stiff) from None
        action = finer
        found.append(_level(action, path, at))
        states.append(_states(action.problem, path, 2**number))
    order = action.structure.scheme.order
    names = [ACTION, *found[0].parameters]
    limits = {name: limit_of(np.array([one.value(name) for one in found]), order) for name in names}
    changes = np.array([np.sqrt(np.mean((b - a) ** 2)) for a, b in pairwise(states)])
    return Refinement(tuple(found), limits, changes, order)


def _level(action: Action, path: Array, rf: float) -> Level:
    problem = action.problem
    constants = problem.split(path)[1]
    names = [constant.label for constant in problem.layout.constants]
    return Level(
        problem.steps_per_sample,
        sum(window.times for window in problem.windows),
        rf,
        float(action.value(path, rf).total),
        {name: float(value) for name, value in zip(names, constants, strict=True)},
        path,
    )


def _states(problem: Problem, path: Array, stride: int) -> Array:
    """States at every `stride`-th point of each window, all windows one after another, shape (N, D)."""
    blocks, _ = problem.split(path)
    return np.vstack([block[::stride, : problem.dimension] for block in blocks])
