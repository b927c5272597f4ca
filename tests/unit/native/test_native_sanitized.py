"""Each kind of compiled loop once, on small problems: for sanitizers, which .ci/run compiles it with.

Without $HPCDA_SANITIZE nothing is to be seen here that other tests do not see.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from scipy.sparse import csr_array

from hpcda.action import Action
from hpcda.action.chain import chain_action
from hpcda.action.graph import CompiledGraph, GraphAction
from hpcda.action.rates import Rates
from hpcda.annealing import Ladder
from hpcda.annealing.climbs import climb as climb_all
from hpcda.annealing.graph import GraphLockstep
from hpcda.annealing.lockstep import Lockstep, Settings
from hpcda.linalg.banded import Banded
from hpcda.models.flow import Flow
from hpcda.models.model import Model, Parameter, State
from hpcda.search.forecast import Forecast
from hpcda.search.smoother import Smoother
from tests.chance import generator
from tests.unit.climbing import climb, same
from tests.unit.graphs import GRAPHS
from tests.unit.units import PROBLEMS

pytestmark = pytest.mark.skipif(
    not os.environ.get("HPCDA_SANITIZE"), reason="for .ci/run, with HPCDA_SANITIZE"
)
LADDER, SETTINGS = Ladder(0.02, 10.0, 2), Settings(max_iterations=10)


@pytest.mark.parametrize("scheme", PROBLEMS)
def test_actions_and_climbs(scheme):
    problem, path = PROBLEMS[scheme]()
    action = Action(problem)
    parts, gradient, values = action.derivatives(path, 3.0)
    assert np.isfinite(parts.total) and np.isfinite(gradient).all() and np.isfinite(values).all()
    errors, entries, columns, _ = action.model_errors(0, path)
    assert np.isfinite(errors).all() and entries.shape == columns.shape
    rng = generator(4)
    paths = [path + 0.1 * rng.standard_normal(problem.size) for _ in range(5)]
    found = [climb(Lockstep(action, LADDER, lanes, SETTINGS), paths) for lanes in (4, 1)]
    assert all(same(found[0][start], found[1][start]) for start in range(5))


@pytest.mark.parametrize("lanes", [1, 4])
def test_forecasts_and_smoothers(lanes):
    problem, path = PROBLEMS["rk4"]()
    forecast, rng = Forecast(problem, lanes=lanes), generator(3)
    first = np.append(path[: problem.layout.block], path[problem.layout.tail.start :])
    members = first[:, None] + 0.1 * rng.standard_normal((len(first), 16))
    window, dimension = problem.windows[0], problem.dimension
    forecast.run(window, 0, window.times - 1, members[:, :7])
    forecast.substeps(window, members)
    reach = np.zeros(dimension), np.full(dimension, 100.0)
    filtered = Smoother(forecast).filter(window, members.copy(), rng, reach, begun=members.copy(), hops=1.0)
    assert np.isfinite(filtered.smoothed()).all()
    assert np.isfinite(filtered.informed(members, first[problem.layout.block :])).all()


def test_rates():
    problem, path = PROBLEMS["rk4"]()
    action = Action(problem)
    first = path[: problem.layout.block, None] * np.ones(5)
    constants = path[problem.layout.tail.start :]
    u = np.zeros((problem.windows[0].series.shape[1], 5))
    x, q = first[: problem.dimension], first[problem.dimension :]
    assert np.isfinite(Rates(action.equations)(x, q, constants, u, np.zeros(5))).all()


def test_a_flow_that_becomes_stiff():
    model = Model(
        name="stiff",
        states=(State("a", (-1.0, 1.0)), State("b", (-1.0, 1.0))),
        parameters=(Parameter("k", 1e6),),
        equations=lambda x, p: [p.k * (np.cos(x.b) - x.a), 0.1 * abs(x.b + 9.0)],
    )
    course = Flow(model).run([0.0, 0.0], np.linspace(0.0, 0.5, 3), {"k": 1e6})
    assert course.implicit and np.isfinite(course.states).all()


def test_a_banded_matrix():
    dense = 9.0 * np.eye(12) + np.tri(12, k=2) * np.tri(12, k=2).T
    dense[-1], dense[:, -1] = 0.5, 0.5
    dense[-1, -1] = 9.0
    factor = Banded.factor(csr_array(dense), 1)
    right = generator(2).standard_normal(12)
    np.testing.assert_allclose(dense @ factor.solve(right), right, atol=1e-9)


@pytest.mark.parametrize("kind", ["map", "softmax", "counts"])
def test_graphs_and_their_climbs(kind):
    variables, factors = GRAPHS[kind]()
    action = GraphAction(variables, factors)
    path = generator(5).uniform(0.2, 0.8, action.size)
    assert np.isfinite(action.derivatives(path, 3.0)[2]).all()
    compiled = CompiledGraph(action.graph, 4)
    assert np.isfinite(
        compiled.linear_multipliers(np.tile(path[:, None], 4), np.ones((action.size, 4)), 2.0)
    ).all()
    assert action.noise(path)
    outcomes = climb_all(GraphLockstep(action, LADDER, 4, SETTINGS), [path, 0.9 * path])
    assert all(np.isfinite(one.parts.total) for rungs in outcomes for one in rungs)


@pytest.mark.parametrize("scheme", PROBLEMS)
def test_chains_as_graphs(scheme):
    problem, path = PROBLEMS[scheme]()
    assert np.isfinite(chain_action(problem).derivatives(path, 3.0)[2]).all()
