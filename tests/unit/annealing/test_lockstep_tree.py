"""Lockstep in a tree of fronts: steps and climbs of the chain, to rounding; the same bits for any lanes."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.eliminations import of_lockstep, plan
from hpcda.annealing.lockstep import Lockstep, Settings, memory
from hpcda.annealing.scale import scales
from hpcda.models.catalogue import load_model
from hpcda.problem import Window
from tests.chance import generator
from tests.unit.action.losses.test_losses import with_noise
from tests.unit.annealing.test_lockstep import CASES, RF, moved
from tests.unit.climbing import FREE_STEPS, action_of, climb, first_paths, near_minimum, same
from tests.unit.problems import example

LADDER = Ladder(0.02, 4.0, 4)
BOUNDED = [
    ("lorenz63", "trapezoid", "walk", True),
    ("lorenz63", "hermite-simpson", "walk", True),
    ("morris_lecar", "rk4", "walk", True),
    ("henon", "map", "walk", True),
    ("lorenz96", "implicit-midpoint", "nonlinear and gaps", True),
]


def both(action, ladder, lanes=None, settings=None):
    """A lockstep of each kind."""
    settings = settings or Settings()
    return [Lockstep(action, ladder, lanes, replace(settings, elimination=one)) for one in of_lockstep()]


@pytest.mark.parametrize(("name", "scheme", "variant"), CASES)
def test_steps_are_those_of_the_chain(name, scheme, variant):
    same_steps(*near_minimum(name, scheme, variant, rf=RF))


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson"])
def test_steps_with_constants_of_single_windows_are_those_of_the_chain(scheme):
    problem, path = with_noise("student-t", scheme, True)
    assert problem.layout.own
    chain, tree = both(Action(problem), LADDER, 8)
    for lockstep in (chain, tree):
        lockstep.put(0, 0, path, 0, fresh=True)
    for _ in range(12):
        chain.advance(1), tree.advance(1)
        one, other = chain.stacked[:, 0], tree.stacked[:, 0]
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert np.abs(chain.stacked[:, 0] - path).max() > 0.1


def same_steps(action, minimum):
    """Of paths beside a minimum and further away: whether the matrix is positive definite, and the step."""
    paths = [path for size in (1e-5, 1e-2, 1.0) for path in moved(action, minimum, 2, size)]
    chain, tree = both(action, Ladder(RF / 2, 2.0, 2), 8, FREE_STEPS)
    for lockstep in (chain, tree):
        for lane, one in enumerate(paths):
            lockstep.put(lane, lane, one, 1, fresh=False)
        lockstep.advance(1)
        assert lockstep.plan is plan(action, "chain" if lockstep is chain else "tree")
    np.testing.assert_array_equal(chain.actions, tree.actions)
    np.testing.assert_array_equal(chain.gradient_norms, tree.gradient_norms)
    definite = chain._per_lane["bend"] == 1
    assert definite[:2].all()
    np.testing.assert_array_equal(tree._per_lane["bend"] == 1, definite)
    definite &= np.arange(chain.lanes) < len(paths)
    np.testing.assert_allclose(chain.steps[definite], tree.steps[definite], rtol=1e-5)
    size = scales(action.problem)[:, None]
    one, other = (lockstep.stacked[:, definite] / size for lockstep in (chain, tree))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("problem", BOUNDED, ids=str)
def test_steps_between_bounds_are_those_of_the_chain(problem):
    """Unknowns sit at bounds, steps cross them and are held, constants have their active set."""
    action, path = near_minimum(*problem)
    low, high = action.problem.bounds
    rng = generator(3)
    at_bounds = np.where(
        rng.random(action.size) < 0.2, np.where(rng.random(action.size) < 0.5, low, high), path
    )
    paths = [
        np.clip(path + s * (high - low) * rng.standard_normal(action.size), low, high) for s in (0.01, 0.1)
    ]
    chain, tree = both(action, Ladder(2.0, 1.0, 2), None, FREE_STEPS)
    for lockstep in (chain, tree):
        for lane, one in enumerate([*paths, at_bounds]):
            lockstep.put(lane, lane, one, 1, fresh=False)
    closed = 0
    for _ in range(4):
        chain.advance(1), tree.advance(1)
        closed += int(chain._per_lane["closed"].sum())
        np.testing.assert_array_equal(chain._per_lane["closed"], tree._per_lane["closed"])
        np.testing.assert_array_equal(chain._per_lane["holds"], tree._per_lane["holds"])
        scale = (high - low)[:, None]
        np.testing.assert_allclose(chain.stacked / scale, tree.stacked / scale, rtol=1e-6, atol=1e-7)
        ends = [[(one.lane, one.rung.reason) for one in lockstep.reached()] for lockstep in (chain, tree)]
        assert ends[0] == ends[1]
        for lane in np.setdiff1d(np.arange(len(paths) + 1), chain.empty):
            one = chain.lift(lane)
            tree.lift(lane)
            chain.set_down(lane, one)
            tree.set_down(lane, one)
    assert closed


@pytest.mark.parametrize("problem", BOUNDED[::2], ids=str)
def test_climbs_end_where_those_of_the_chain_end(problem):
    """Of most starts: rounding may send one into another minimum."""
    action, _ = action_of(*problem)
    paths = first_paths(action.problem, 8)
    chain, tree = (climb(lockstep, paths) for lockstep in both(action, LADDER))
    close = 0
    for start, rungs in chain.items():
        one, other = rungs[-1].rung, tree[start][-1].rung
        assert one.reason.converged == other.reason.converged
        close += one.parts.total == pytest.approx(other.parts.total, rel=1e-6)
    assert close >= 7


@pytest.mark.parametrize("problem", BOUNDED[:2], ids=str)
def test_the_number_of_lanes_does_not_change_a_bit(problem):
    action, _ = action_of(*problem)
    paths = first_paths(action.problem, 3)
    settings = Settings(max_iterations=30, elimination="tree")
    wanted, *others = (climb(Lockstep(action, LADDER, lanes, settings), paths) for lanes in (8, 4, 2, 1))
    for found in others:
        for start, rungs in wanted.items():
            assert same(found[start], rungs)


def test_memory_is_what_is_taken():
    action, _ = action_of("kuramoto_sivashinsky", "trapezoid", "nonlinear and gaps")
    settings = Settings(elimination="tree")
    Lockstep(action, LADDER, None, settings)
    gc.collect()
    tracemalloc.start()
    lockstep = Lockstep(action, LADDER, None, settings)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    expected = memory(action, lockstep.lanes, "tree")
    assert taken / 1.5 < expected < 1.5 * taken


def test_small_models_go_interval_after_interval_and_wide_ones_in_a_tree():
    action, _ = action_of("lorenz63", "trapezoid", "walk")
    assert plan(action) is plan(action, "chain") and plan(action).tables is None
    model = load_model("lorenz96", {"dimension": 300})
    problem, _ = example(model, "trapezoid", "states alone")
    wide = Action(replace(problem, windows=windows_of(problem, 60)))
    assert plan(wide) is plan(wide, "tree") and plan(wide).flops < 0.5 * plan(wide, "chain").flops


def windows_of(problem, times):
    """One window of so many times, one value measured at each."""
    every = (times, len(problem.observed))
    return (Window(0.02 * np.arange(times), np.zeros(every), np.ones(every), np.zeros((times, 0))),)
