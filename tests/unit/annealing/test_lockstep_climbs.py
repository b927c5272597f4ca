"""Climbs of many starts in lockstep: none depends on another, rungs are steps, ends have reasons."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from hpcda.action import Action
from hpcda.annealing import Ladder, Reason
from hpcda.annealing.lockstep import Lockstep, Settings, memory
from hpcda.models.model import Model, State
from hpcda.native.compile import vector_lanes
from hpcda.problem import Problem, Window
from tests.chance import generator
from tests.unit.climbing import action_of, climb, first_paths, near_minimum, same, scaled_gradient
from tests.unit.problems import dense, example

LADDER = Ladder(0.02, 4.0, 4)
PROBLEMS = [
    ("lorenz63", "trapezoid", "walk", False),
    ("lorenz63", "trapezoid", "walk", True),
    ("lorenz63", "hermite-simpson", "walk", True),
    ("lorenz63", "rk4", "walk", True),
    ("morris_lecar", "trapezoid", "walk", True),
    ("henon", "map", "walk", False),
    ("henon", "map", "walk", True),
]


def lockstep_of(problem, ladder=LADDER, lanes=None, **settings):
    return Lockstep(action_of(*problem)[0], ladder, lanes, Settings(**settings))


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_a_start_gives_the_same_bits_whatever_is_beside_it(problem):
    """Alone in each lane; with all others, in any order; refilled lanes; slices of any length."""
    action, _ = action_of(*problem)
    paths = first_paths(action.problem, 10)
    lanes = vector_lanes()
    wanted = climb(lockstep_of(problem), paths)
    assert len({sum(one.rung.factorizations for one in rungs) for rungs in wanted.values()}) > 3
    for start in range(len(paths)):
        alone = climb(lockstep_of(problem), paths, order=[start], lanes=[(5 * start) % lanes])
        assert same(alone[start], wanted[start])
    backwards = climb(lockstep_of(problem), paths, order=range(len(paths))[::-1], ticks=7)
    few = climb(lockstep_of(problem), paths, order=[3, 9, 1, 7, 0, 2, 8, 4, 5, 6], lanes=[1, 3], ticks=1)
    for found in (backwards, few):
        for start, rungs in found.items():
            assert same(rungs, wanted[start])


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_a_start_that_is_not_finite_is_recorded_and_leaves_the_others_alone(problem, bad):
    action, _ = action_of(*problem)
    lanes = vector_lanes()
    paths = first_paths(action.problem, 2 * lanes)
    wanted = climb(lockstep_of(problem, barrier=0.0), paths)
    broken = {2: 0, 5: action.size // 2, lanes + 1: action.size - 1}
    for start, at in broken.items():
        paths[start] = paths[start].copy()
        paths[start][at] = bad
    found = climb(lockstep_of(problem, barrier=0.0), paths)
    for start, rungs in found.items():
        if start in broken:
            (one,) = rungs
            assert one.rung.reason is Reason.FAILED_NON_FINITE
            assert one.ended and not one.rung.reason.converged
            assert not np.isfinite(one.rung.parts.total + one.rung.gradient_norm)
        else:
            assert same(rungs, wanted[start])


def test_a_climb_that_leaves_the_numbers_midway_leaves_the_others_alone():
    """x(n+1) = log x(n): trials at x < 0 are no numbers, beside starts whose trials all are."""
    model = Model("log", (State("x", range=(0.5, 3.0)),), (), lambda x, p: [np.log(x[0])], kind="map")
    window = Window(np.arange(4.0), np.full((4, 1), -5.0), np.ones((4, 1)), np.zeros((4, 0)))
    problem = Problem(
        model, "map", (window,), {"x": "x"}, state_start=np.array([[0.5, 3.0]]),
        state_bounds=np.array([[-np.inf, np.inf]]), model_error_weight=np.ones(1),
    )  # fmt: skip
    action, paths = Action(problem), first_paths(problem, 9)
    ladder = Ladder(0.1, 10.0, 3)
    wanted = climb(Lockstep(action, ladder), paths)
    paths[1] = -paths[1]
    found = climb(Lockstep(action, ladder), paths)
    assert [one.rung.reason for one in found.pop(1)] == [Reason.FAILED_NON_FINITE]
    for start, rungs in found.items():
        assert rungs[-1].rung.reason.converged and (rungs[-1].rung.path[:3] > 0).all()
        assert same(rungs, wanted[start])


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("most", [1000, 6])
def test_a_climb_taken_up_after_any_rung_goes_on_with_the_same_bits(problem, most):
    """Also after rungs that stopped at the limit of iterations."""
    action, _ = action_of(*problem)
    paths = first_paths(action.problem, 3)
    whole = climb(lockstep_of(problem, max_iterations=most), paths)
    if most < 10:
        assert any(one.rung.reason is Reason.STOPPED_ITERATIONS for one in whole[0][:-1])
    for start, rungs in whole.items():
        for after in range(LADDER.rungs - 1):
            lockstep = lockstep_of(problem, max_iterations=most)
            lockstep.put(start + 1, start, rungs[after].rung.path, after + 1, fresh=False)
            later = []
            while lockstep.active:
                lockstep.advance(1000)
                later += lockstep.reached()
            assert same(later, rungs[after + 1 :])


def test_every_start_ends_once_and_begins_at_its_rung_of_the_portfolio():
    problem, ladder = PROBLEMS[0], Ladder(0.02, 4.0, 4, (0, 2, 3))
    paths = first_paths(action_of(*problem)[0].problem, 29)
    found = climb(lockstep_of(problem, ladder), paths)
    assert sorted(found) == list(range(29))
    for start, rungs in found.items():
        assert [one.rung.number for one in rungs] == list(range((0, 2, 3)[start % 3], 4))
        assert [one.ended for one in rungs] == [False] * (len(rungs) - 1) + [True]
        assert len({one.lane for one in rungs}) == 1
    alone = Lockstep(action_of(*problem)[0], ladder)
    alone.put(0, 4, paths[4], 2, fresh=True)
    alone.advance(1000)
    assert same(alone.reached(), found[4])


@pytest.mark.parametrize("lanes", [1, 4])
def test_any_number_of_lanes(lanes):
    problem = PROBLEMS[1]
    lockstep = lockstep_of(problem, lanes=lanes)
    assert lockstep.lanes == lanes and lockstep.stacked.shape == (lockstep.action.size, lanes)
    found = climb(lockstep, first_paths(lockstep.action.problem, 9))
    wanted = climb(lockstep_of(problem), first_paths(lockstep.action.problem, 9))
    for start, rungs in found.items():
        assert rungs[-1].rung.parts.total == pytest.approx(wanted[start][-1].rung.parts.total, rel=1e-9)


def test_lanes_are_empty_until_filled_and_after_their_end():
    lockstep = lockstep_of(PROBLEMS[0])
    lanes = list(range(lockstep.lanes))
    assert lockstep.empty.tolist() == lanes and lockstep.active == 0
    assert lockstep.advance(100) == 0 and lockstep.reached() == []
    lockstep.put(2, 17, first_paths(lockstep.action.problem, 1)[0], 0, fresh=True)
    assert lockstep.empty.tolist() == [lane for lane in lanes if lane != 2] and lockstep.active == 1
    assert lockstep.rungs[2] == 0
    ticks = lockstep.advance(10_000)
    assert 0 < ticks < 10_000, "it stops where a start ends"
    assert lockstep.active == 0 and 2 not in lockstep.empty, "the end is not yet handed over"
    assert lockstep.advance(100) == 0
    found = lockstep.reached()
    assert [one.start for one in found] == [17] * LADDER.rungs
    assert ticks == sum(one.rung.factorizations for one in found)
    assert lockstep.empty.tolist() == lanes and lockstep.reached() == []


def test_no_rung_is_lost_when_nobody_takes_the_finished_ones():
    """A ladder of many rungs that end at once: far more than the records kept."""
    action, path = near_minimum("lorenz63", "trapezoid", rf=2.0)
    ladder = Ladder(2.0, 1.0 + 1e-9, 60)
    lockstep = Lockstep(action, ladder)
    for lane in range(lockstep.lanes):
        lockstep.put(lane, lane, path, 0, fresh=True)
    found = []
    for _ in range(1000):
        lockstep.advance(100_000)
        found += lockstep.reached()
        if not lockstep.active:
            break
    assert lockstep.empty.size == lockstep.lanes
    for lane in range(lockstep.lanes):
        own = [one for one in found if one.lane == lane]
        assert [one.rung.number for one in own] == list(range(60))
        assert [one.ended for one in own] == [False] * 59 + [True]
        assert all(one.start == lane for one in own)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_what_is_recorded_is_the_action_of_the_path(problem):
    """Parts of every rung; the gradient where a climb ends, also where it ends far from a minimum."""
    action, _ = action_of(*problem)
    low, high = action.problem.bounds
    for most in (1000, 5):
        found = climb(lockstep_of(problem, max_iterations=most), first_paths(action.problem, 6))
        for rungs in found.values():
            for one in rungs:
                rf = float(LADDER.rf[one.rung.number])
                known = action.value(one.rung.path, rf)
                for part in ("measurement", "model", "prior"):
                    value = getattr(known, part)
                    assert getattr(one.rung.parts, part) == pytest.approx(value, rel=1e-12, abs=1e-12)
                assert (one.rung.path >= low).all() and (one.rung.path <= high).all()
                if one.ended or one.rung.reason is Reason.STOPPED_ITERATIONS:
                    norm = scaled_gradient(action, one.rung.path, rf)
                    assert one.rung.gradient_norm == pytest.approx(norm, rel=1e-7, abs=1e-9)
                assert 0 < one.rung.factorizations <= most
                assert one.rung.iterations <= one.rung.factorizations


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_reasons_of_rungs_and_ends(problem):
    found = climb(lockstep_of(problem), first_paths(action_of(*problem)[0].problem, 6))
    for rungs in found.values():
        *between, last = [one.rung.reason for one in rungs]
        assert set(between) <= {Reason.CONVERGED_ESTIMATE, Reason.CONVERGED_GRADIENT}
        assert Reason.CONVERGED_ESTIMATE in between
        assert last in (Reason.CONVERGED_DECREMENT, Reason.CONVERGED_GRADIENT)


def test_the_limit_of_iterations_ends_a_rung_and_the_climb_goes_on():
    problem = PROBLEMS[0]
    found = climb(lockstep_of(problem, max_iterations=3), first_paths(action_of(*problem)[0].problem, 5))
    for rungs in found.values():
        assert [one.rung.number for one in rungs] == list(range(LADDER.rungs))
        assert rungs[0].rung.reason is Reason.STOPPED_ITERATIONS
        assert all(one.rung.factorizations <= 3 for one in rungs)
        for one in rungs:
            if one.rung.reason is Reason.STOPPED_ITERATIONS:
                assert one.rung.factorizations == 3


def test_a_gradient_within_the_tolerance_ends_a_rung_at_once():
    """No step is taken; a matrix without multipliers may have to be shifted until it can be factorized."""
    action, path = near_minimum("lorenz63", "trapezoid", rf=2.0)
    lockstep = Lockstep(action, Ladder(2.0, 1.5, 3), None, Settings(tolerance=1e9))
    (rungs,) = climb(lockstep, [path]).values()
    for one in rungs:
        assert one.rung.reason is Reason.CONVERGED_GRADIENT and one.rung.iterations == 0
        assert np.array_equal(one.rung.path, path)
    assert min(one.rung.factorizations for one in rungs) == 1


def newton_minimum(action, path, rf):
    """The minimum to which Newton's method converges from `path`, with the unknowns at bounds held there.

    None where it has not begun to converge: each estimate of what is left to fall, half the square of the
    decrement, is to be less than a quarter of the one before, at Hessians that are positive definite.
    """
    low, high = action.problem.bounds
    free, rounding, before = (path > low) & (path < high), 1e-14 * action.value(path, rf).total, np.inf
    for _ in range(12):
        hessian, gradient = dense(action, path, rf)[np.ix_(free, free)], action.gradient(path, rf)[1][free]
        if np.linalg.eigvalsh(hessian).min() < 1e-4:
            return None
        step = np.linalg.solve(hessian, gradient)
        path, estimate = path.copy(), gradient @ step / 2
        path[free] -= step
        if estimate > max(before / 4, rounding) or (path < low).any() or (path > high).any():
            return None
        if estimate <= rounding:
            return path
        before = estimate
    return None


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
def test_rungs_end_within_their_tolerance_above_the_minimum(problem, tolerance):
    """The tolerance is one of Newton's estimate of what is left to fall: it holds up to a factor."""
    action, _ = action_of(*problem)
    above = []
    for rungs in climb(
        lockstep_of(problem, rung_tolerance=tolerance), first_paths(action.problem, 16)
    ).values():
        for one in rungs[:-1]:
            rf = float(LADDER.rf[one.rung.number])
            minimum = newton_minimum(action, one.rung.path, rf)
            if minimum is not None:
                above.append(one.rung.parts.total / action.value(minimum, rf).total - 1.0)
    assert len(above) >= 12
    assert min(above) > -1e-9
    assert max(above) <= 20 * tolerance


@pytest.mark.parametrize("case", [("lorenz96", "trapezoid"), ("nakl", "rk4"), ("henon", "map")], ids=str)
@pytest.mark.parametrize("times", [401, 1601])
def test_the_memory_said_is_the_memory_taken(case, times):
    problem, _ = example(*case, "walk")
    rng = generator(1)
    window = problem.windows[0]
    measured, known = window.data.shape[1], window.series.shape[1]
    long = Window(
        0.02 * np.arange(times), rng.normal(size=(times, measured)), np.ones((times, measured)),
        np.zeros((times, known)),
    )  # fmt: skip
    action = Action(replace(problem, windows=(long, window)))
    Lockstep(action, LADDER)
    gc.collect()
    tracemalloc.start()
    lockstep = Lockstep(action, LADDER)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert memory(action, lockstep.lanes) == memory(action)
    assert taken / 1.3 < memory(action) < 1.3 * taken
