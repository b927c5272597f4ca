"""A data-assimilation problem as a factor graph: model errors, data terms of any loss, random walks, priors.

The graph says what `hpcda.action.Action`, the fast engine of chains in time, computes; the two agree to
rounding (tests/unit/action/test_chain.py). It is where a problem begins that a chain does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hpcda.action.costs import named_inputs, observation
from hpcda.action.factors import DataLoss, FactorLoss, Factors, gaussian
from hpcda.action.graph import GraphAction
from hpcda.action.interval import interval_constants, interval_kernel
from hpcda.action.kernel import Kernel, kernel_of
from hpcda.action.losses import LOSSES
from hpcda.action.native import Equations, priors
from hpcda.action.weights import step_weights
from hpcda.models.trace import Symbol
from hpcda.models.traced import trace
from hpcda.problem import Noise, Numbers, Problem, Variables


def chain_action(problem: Problem) -> GraphAction:
    """The action of a problem as a graph.

    Raises:
        InputError: The equations or observation expressions cannot be differentiated.
        CompilerError: No C compiler, or no place for compiled code.
    """
    return GraphAction(chain_variables(problem), chain_factors(problem))


def chain_variables(problem: Problem) -> Variables:
    """The unknowns of a problem, which stand where its layout says, but for copies of what windows share."""
    shared = {q.name for q in problem.varying if q.shared} if problem.ties.some else set()
    return Variables.of_chain(problem.layout, problem.starts, problem.bounds, shared)


def chain_places(problem: Problem) -> Numbers:
    """Of every place in a problem's flat path the index of its unknown among `chain_variables`."""
    if not problem.ties.some:
        return np.arange(problem.size)
    variables, layout = chain_variables(problem), problem.layout
    found = np.empty(problem.size, dtype=np.int64)
    for number in range(len(problem.windows)):
        for column, name in enumerate(layout.names):
            places = layout.points(number)[:, column]
            found[places] = [int(variables.places(name, number, n)) for n in range(len(places))]
    found[layout.tail] = [int(variables.places(one.name, one.window)) for one in layout.constants]
    return found


def chain_factors(problem: Problem) -> list[Factors]:
    """All factors of a problem."""
    places = chain_places(problem)
    parts = (_data, _model_errors, _walks, _priors)
    return [factors for part in parts for factors in part(problem, places)]


def _model_errors(problem: Problem, places: Numbers) -> Iterator[Factors]:
    equations = Equations(problem)
    scheme, kernel = equations.structure.scheme, interval_kernel(equations)
    for number, window in enumerate(problem.windows):
        begins = np.arange((window.times - 1) // scheme.span) * scheme.span
        points = begins[:, None] + np.arange(scheme.span + 1)
        yield Factors(
            f"model errors of window {number}",
            "model",
            kernel,
            places[_index(problem, number, points)],
            constants=interval_constants(problem, number, scheme.span),
            weight=np.tile(step_weights(problem, window), (1, scheme.errors)),
            scaled=True,
        )


def _index(problem: Problem, window: int, points: Numbers) -> Numbers:
    """Unknowns of the points of each instance, shape (instances, points), then the constants it sees."""
    layout = problem.layout
    of_points = layout.points(window)[points].reshape(len(points), -1)
    seen = layout.tail.start + layout.seen(window)
    return np.concatenate([of_points, np.tile(seen, (len(points), 1))], axis=1)


def _observation(problem: Problem, name: str, noise: Noise | None) -> tuple[Kernel, list[int]]:
    """The kernel of a measured quantity (and of its noise's scale, where unknown), and what it is of."""

    def rows(given: Callable[[str, int], Symbol]) -> list[Any]:
        scale = [] if noise is None or noise.scale is None else [named_inputs(problem, given)[1][noise.scale]]
        return [observation(problem, name, given), *scale]

    used = sorted({variable for _, variable in trace(rows).jacobian})
    place = {variable: number for number, variable in enumerate(used)}
    series = len(problem.model.stimuli) + len(problem.series)

    def renumbered(given: Callable[[str, int], Symbol]) -> list[Any]:
        return rows(lambda kind, k: given(kind, place.get(k, -1) if kind == "v" else k))

    return kernel_of(trace(renumbered), len(used), len(problem.fixed), series), used


def _data(problem: Problem, places: Numbers) -> Iterator[Factors]:
    for column, name in enumerate(problem.observed):
        noise = problem.noise.get(name)
        kernel, used = _observation(problem, name, noise)
        loss: FactorLoss = "squares"
        if noise is not None:
            loss = DataLoss(LOSSES[noise.loss], noise.options, noise.scale is not None)
        for number, window in enumerate(problem.windows):
            points = np.flatnonzero(np.isfinite(window.data[:, column]))
            scale = window.noise_std[points, column, None]
            scale = np.where(np.isfinite(scale), scale, 1.0)
            constants = [
                np.tile(list(problem.fixed.values()), (len(points), 1)),
                window.series[points],
                window.grid[points, None],
            ]
            yield Factors(
                f"data of {name} of window {number}",
                "measurement",
                kernel,
                places[_index(problem, number, points[:, None])[:, used]],
                loss,
                constants=np.concatenate(constants, axis=1),
                weight=1.0 / scale**2 if noise is None else 1.0,
                data=window.data[points, column, None],
                noise_scale=scale,
            )


def _walks(problem: Problem, places: Numbers) -> Iterator[Factors]:
    change = kernel_of(trace(lambda given: [given("v", 1) - given("v", 0)]), 2, 0)
    for walk in problem.walks:
        name = f"walk of {walk.name} of window {walk.window}"
        yield Factors(name, "prior", change, places[walk.places], weight=walk.std[:, None] ** -2)


def _priors(problem: Problem, places: Numbers) -> Iterator[Factors]:
    indices, means, weights = priors(problem)
    yield gaussian("priors", "prior", places[indices], means, 1.0 / np.sqrt(weights))
