"""Factor graphs that climb the ladder in lanes: minima, the same bits at every width, those of the chain."""

from __future__ import annotations

import numpy as np
import pytest

from hpcda.action import Action
from hpcda.action.chain import chain_action
from hpcda.action.graph import GraphAction
from hpcda.annealing.climbs import Settings, climb
from hpcda.annealing.graph import GraphLockstep, falling
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.lockstep import Lockstep
from hpcda.annealing.scale import scales
from tests.chance import generator
from tests.unit.action.losses.test_losses import with_data_of_its_path, with_noise
from tests.unit.graphs import GRAPHS, network
from tests.unit.problems import dense, linear_problem

LADDER = Ladder(1.0, 10.0, 4)


def starts(action, count):
    rng = generator(101)
    low, high = action.variables.starts.T
    return [rng.uniform(low, high) for _ in range(count)]


def is_minimum(action, outcome, rf, near=1e-4):
    """Whether its Hessian is positive definite; it has no slope, or is on its way from a saddle point."""
    if not outcome.reason.converged:
        assert falling(action, outcome.path, rf) > 0, outcome.reason
        return False
    shares, gradient = action.gradient(outcome.path, rf)
    assert shares.total == pytest.approx(outcome.parts.total, rel=1e-12)
    scale = action.variables.scales
    assert np.abs(gradient * scale).max() < near * max(1.0, abs(shares.total))
    curvature = np.linalg.eigvalsh(scale[:, None] * dense(action, outcome.path, rf) * scale)
    if np.abs(curvature).min() > 1e-9 * curvature.max():
        assert falling(action, outcome.path, rf) == (curvature < 0.0).sum()
    return curvature.min() > 0.0


@pytest.mark.parametrize("kind", ["map", "softmax", "gaussian"])
def test_minima_and_the_same_bits_at_every_width(kind):
    action = GraphAction(*GRAPHS[kind]())
    paths = starts(action, 5)
    by_width = [climb(GraphLockstep(action, LADDER, width), paths) for width in (1, 2, 4, 8)]
    assert all(len(outcomes) == LADDER.rungs for outcomes in by_width[0])
    minima = [is_minimum(action, outcomes[-1], LADDER.rf[-1]) for outcomes in by_width[0]]
    # Hidden units that a small Rf has made alike stay alike up the ladder, where that becomes a saddle point.
    assert kind == "gaussian" or sum(minima) >= len(minima) - 1
    for other in by_width[1:]:
        for mine, theirs in zip(by_width[0], other, strict=True):
            assert [one.factorizations for one in mine] == [one.factorizations for one in theirs]
            assert all(np.array_equal(a.path, b.path) for a, b in zip(mine, theirs, strict=True))


def agree(problem, paths, near=1e-9):
    """A chain's minima by its own climb, and as a graph's."""
    chain = climb(Lockstep(Action(problem), LADDER, 4), paths)
    settings = Settings(longest_pause=Lockstep.usual_pause)
    graph = climb(GraphLockstep(chain_action(problem), LADDER, 4, settings), paths)
    for mine, theirs in zip(graph, chain, strict=True):
        assert len(mine) == len(theirs) == LADDER.rungs
        assert mine[-1].reason.converged
        assert mine[-1].parts.total == pytest.approx(theirs[-1].parts.total, rel=near)
        difference = np.abs(mine[-1].path - theirs[-1].path) / scales(problem)
        assert difference.max() < 1e-4, difference.max()


def test_a_chain_of_linear_steps_has_the_minimum_of_its_own_climb():
    problem = linear_problem()
    rng = generator(102)
    agree(problem, [rng.uniform(*problem.starts.T) for _ in range(3)])


@pytest.mark.parametrize("scheme", ["trapezoid", "rk4"])
def test_a_minimum_of_the_chain_is_one_of_its_graph(scheme):
    """With heavy tails of unknown width, bounds, and constants of one window."""
    problem, path = with_data_of_its_path(*with_noise("student-t", scheme, True), generator(8))
    chain = climb(Lockstep(Action(problem), LADDER, 4), [np.clip(path, *problem.bounds)])[0][-1]
    assert chain.reason.converged
    ladder = Ladder(LADDER.rf[-1], 10.0, 1)
    rng, found = generator(103), []
    lockstep = GraphLockstep(chain_action(problem), ladder, 4)
    moved = [chain.path + 1e-3 * scales(problem) * rng.standard_normal(problem.size) for _ in range(3)]
    found = climb(lockstep, [np.clip(one, *problem.bounds) for one in moved])
    for (outcome,) in found:
        assert outcome.reason.converged
        assert outcome.parts.total == pytest.approx(chain.parts.total, rel=1e-9)
        assert np.abs((outcome.path - chain.path) / scales(problem)).max() < 1e-3


def test_a_climb_can_be_moved_to_other_lanes():
    action = network("gaussian").action()
    path = starts(action, 1)[0]
    whole = climb(GraphLockstep(action, LADDER, 1), [path])[0][-1]
    first, second = GraphLockstep(action, LADDER, 1), GraphLockstep(action, LADDER, 4)
    first.put(0, 0, path, 0, True)
    first.advance(3)
    assert not first.reached()
    second.set_down(2, first.lift(0))
    found = []
    while second.active:
        second.advance(50)
        found += second.reached()
    assert np.array_equal(found[-1].rung.path, whole.path)
