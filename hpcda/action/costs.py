"""Data terms with noise that is not Gaussian of known width, as traced kernels.

A datum's share is its loss of the value that the path has for it (`hpcda.action.losses`), composed and
differentiated as one scalar function of the unknowns of its time and of the constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcda.action.losses import LOSSES
from hpcda.errors import InputError, Mistake
from hpcda.models.expression import Expression
from hpcda.models.trace import Symbol
from hpcda.models.traced import Traced, trace
from hpcda.native.kernels import source
from hpcda.problem import Numbers, Problem

Given = Callable[[str, int], Symbol]


@dataclass(frozen=True)
class Cost:
    """The share of a measured quantity's data in the action.

    Attributes:
        row: Number of the measured quantity.
        share: Its share φ, of one row; inputs are the states, parameters of one time and constants of the
            model ("v"), its constants ("c") and series ("s"), and after these the datum and its scale.
        residual: Its misfit in units of the noise, of the same inputs.
    """

    row: int
    share: Traced
    residual: Traced


def named_inputs(problem: Problem, given: Given) -> tuple[dict[str, Symbol], dict[str, Symbol]]:
    """States and parameters of a problem by name, as inputs of a trace."""
    layout, stimuli = problem.layout, len(problem.model.stimuli)
    states = {name: given("v", i) for i, name in enumerate(layout.states)}
    unknown = (*layout.varying, *layout.seen_names)
    parameters = {name: given("v", i) for i, name in enumerate(unknown, len(states))}
    parameters |= {name: given("c", i) for i, name in enumerate(problem.fixed)}
    parameters |= {name: given("s", stimuli + i) for i, name in enumerate(problem.series)}
    return states, parameters


def observation(problem: Problem, name: str, given: Given) -> Any:
    """The value that a path has for a measured quantity."""
    states, parameters = named_inputs(problem, given)
    place, text = f"observed.{name}", problem.observed[name]
    return Expression(text, tuple(states), place, tuple(parameters))({**parameters, **states})


def costs(problem: Problem) -> tuple[Cost, ...]:
    """The costs of a problem, in the order of what it measures."""
    found = []
    datum = len(problem.model.stimuli) + len(problem.series)
    for row, (name, noise) in enumerate((n, problem.noise.get(n)) for n in problem.observed):
        if noise is None:
            continue
        loss, options = LOSSES[noise.loss], noise.options
        if loss.joint:
            raise InputError(
                Mistake(f"data of {name}", f"the loss {loss.name!r} takes several values at once",
                        "choose a loss of one value, or build its factors with hpcda.action.factors")
            )  # fmt: skip

        def parts(given: Given, name: str = name, noise: Any = noise) -> tuple[Any, Any, Any]:
            unknown = None if noise.scale is None else named_inputs(problem, given)[1][noise.scale]
            scale = given("s", datum + 1) if unknown is None else unknown
            return observation(problem, name, given), given("s", datum), scale

        def share(given: Given, parts: Any = parts, loss: Any = loss, noise: Any = noise) -> list[Any]:
            h, y, s = parts(given)
            own = loss.share(h, y, s, noise.options)
            return [own if noise.scale is None else own + np.log(s)]

        def residual(given: Given, parts: Any = parts, loss: Any = loss, options: Any = options) -> list[Any]:
            return [loss.residual(*parts(given), options)]

        found.append(Cost(row, trace(share), trace(residual)))
    return tuple(found)


def cost_kernels(costs: Sequence[Cost]) -> list[str]:
    """C code of all kernels, and tables of them for assemble.c."""
    texts = []
    for number, cost in enumerate(costs):
        texts += [source(cost.share, f"cost{number}"), source(cost.residual, f"misfit{number}")]
    for what in ("cost_values", "cost_jacobian", "cost_hessian", "misfit_values", "misfit_jacobian"):
        begin, end = what.split("_")
        names = ", ".join(f"{begin}{number}_{end}" for number in range(len(costs)))
        texts.append(f"static const Kernel {what}[] = {{{names or 0}}};")
    return [
        "typedef void (*Kernel)(const vd *, const vd *, const vd *, const vd *, const vd *, vd *);",
        *texts,
    ]


def cost_tables(costs: Sequence[Cost]) -> dict[str, Numbers]:
    """The index tables of assemble.c that costs have, by name."""

    def starts(counts: Sequence[int]) -> Numbers:
        return np.concatenate([[0], np.cumsum(np.array(counts, dtype=np.int32))]).astype(np.int32)

    def all_of(values: list[list[int]]) -> Numbers:
        return np.array([value for part in values for value in part], dtype=np.int32)

    return {
        "cost_row": np.array([cost.row for cost in costs], dtype=np.int32),
        "cost_slope": starts([len(cost.share.jacobian) for cost in costs]),
        "cost_var": all_of([[variable for _, variable in cost.share.jacobian] for cost in costs]),
        "cost_second": starts([len(cost.share.hessian) for cost in costs]),
        "misfit_slope": starts([len(cost.residual.jacobian) for cost in costs]),
    }
