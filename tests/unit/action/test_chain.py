"""Factor graphs: a chain as a graph is the chain's own action; derivatives against other programs."""

from __future__ import annotations

import numpy as np
import pytest

from hpcda.action import Action
from hpcda.action.chain import chain_action, chain_variables
from tests.unit.action.losses.test_losses import with_noise
from tests.unit.problems import VARIANTS, cases, example

NEAR = 1e-12


def close(found, wanted):
    scale = np.max(np.abs(wanted), initial=1e-300)
    assert np.max(np.abs(found - wanted), initial=0.0) <= NEAR * scale


def agree(problem, path, rf=3.7):
    """Value by parts, gradient and Hessian of the graph and of the chain's engine."""
    chain, graph = Action(problem), chain_action(problem)
    parts, gradient, _ = chain.derivatives(path, rf)
    shares, slopes, _ = graph.derivatives(path, rf)
    for name in ("measurement", "model", "prior"):
        close(np.array(shares.get(name, 0.0)), np.array(getattr(parts, name)))
    close(slopes, gradient)
    indptr, indices, values = chain.hessian(path, rf)
    rows = np.repeat(np.arange(chain.size), np.diff(indptr))
    own = {}
    starts, columns, numbers = graph.hessian(path, rf)
    for row, column, number in zip(
        np.repeat(np.arange(graph.size), np.diff(starts)), columns, numbers, strict=True
    ):
        own[row, column] = number
    wanted = dict(zip(zip(rows.tolist(), indices.tolist(), strict=True), values, strict=True))
    assert set(own) <= set(wanted)
    close(np.array([own.get(key, 0.0) for key in wanted]), np.array(list(wanted.values())))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("name", "scheme"), cases())
def test_a_chain_as_a_graph(name, scheme, variant):
    agree(*example(name, scheme, variant))


@pytest.mark.parametrize("scheme", ["trapezoid", "rk4"])
@pytest.mark.parametrize(("name", "unknown"), [("student-t", True), ("huber", False), ("poisson", False)])
def test_data_with_losses_and_constants_of_one_window(name, unknown, scheme):
    agree(*with_noise(name, scheme, unknown))


def test_variables_of_a_chain_stand_where_its_layout_says():
    problem, _ = example("lorenz96", "trapezoid", "walk")
    variables, layout = chain_variables(problem), problem.layout
    assert variables.size == layout.size
    for window in range(len(problem.windows)):
        points = layout.points(window)
        for time in range(len(points)):
            names = [variables.places(name, window, time) for name in layout.names]
            assert np.array_equal(names, points[time])
        seen = layout.tail.start + layout.seen(window)
        assert np.array_equal([variables.places(name, window, 0) for name in layout.seen_names], seen)
