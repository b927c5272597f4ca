"""Grown paths: the beam, its two ends, and what no problem may spoil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.problem import Estimated
from hpcda.search import WAYS, SearchContext
from hpcda.search.beam import Beam, coarse, consistent, lowest
from hpcda.search.ways import grown
from tests.chance import generator
from tests.oracles import ORACLES
from tests.oracles.climbs import climbs
from tests.unit.drawing import LADDER
from tests.unit.problems import example, linear_problem


@pytest.fixture(scope="module")
def few_sensors():
    """Lorenz 1996 with 4 of 20 sites measured: oracle, context, and the minimum that the truth leads to."""
    oracle = ORACLES["lorenz96-20-L4-2"]
    problem = oracle.problem()
    context = SearchContext(problem, oracle.ladder)
    (end,) = climbs(context.action, oracle.ladder, [oracle.true_path(problem)], [context.rung(0.5)])
    assert end.rung.parts.total == pytest.approx(oracle.reference.action, rel=1e-8)
    return oracle, context, end.rung.path


def piece_of(context, path, begin, end):
    """The minimum of a stretch near to a path."""
    problem = context.problem
    (block,), parameters = problem.split(path)
    cut = problem.cut(0, begin, end)
    return lowest(context.of(cut), [cut.join([block[begin:end]], parameters)], 0.65)


def test_a_cut_is_a_problem_of_its_own():
    problem, path = example("lorenz63", "hermite-simpson", "priors and sparse data")
    blocks, parameters = problem.split(path)
    first, later = problem.cut(0, 0, 9), problem.cut(1, 2, 9)
    assert first.initial_prior == problem.initial_prior and later.initial_prior == {}
    assert first.windows[0].times == 9 and later.windows[0].t[0] == problem.windows[1].t[2]
    context = SearchContext(problem, LADDER)
    for cut, block in ((first, blocks[0][:9]), (later, blocks[1][2:9])):
        own = cut.join([block], parameters)
        shared, traced = context.of(cut).action.gradient(own, 3.0), Action(cut).gradient(own, 3.0)
        assert shared[0] == traced[0] and np.array_equal(shared[1], traced[1])


@pytest.mark.parametrize("ladder", [Ladder(0.01, 1.5, 40), Ladder(0.01, 2.0, 30), Ladder(3.0, 100.0, 3)])
def test_a_coarse_ladder_ends_with_the_last_rung(ladder):
    few = coarse(ladder)
    assert few.rf[-1] == pytest.approx(ladder.rf[-1]) and few.rf[0] >= ladder.rf[0] * (1 - 1e-12)
    assert few.rf[0] < ladder.rf[0] * few.alpha and (few.alpha <= 10.0 or few.alpha == ladder.alpha)


def test_one_rung_is_a_ladder():
    assert coarse(Ladder(5.0, 2.0, 1)) == Ladder(5.0, 2.0, 1)


def test_a_true_stretch_grows_to_the_true_minimum(few_sensors):
    oracle, context, true = few_sensors
    rng = generator(3)
    beam = Beam(context, 60, 121, piece_of(context, true, 60, 121))
    while not beam.whole:
        begin, end = beam.begin, beam.end
        beam = beam.grown(20, 40, rng)
        assert (beam.begin, beam.end) == (max(0, begin - 20), min(161, end + 40))
        assert beam.minima
    assert oracle.solved(context.action.value(beam.minima[0], context.ladder.rf[-1]).total * (1 - 1e-5))


def test_a_wrong_stretch_leaves_the_beam(few_sensors):
    oracle, context, true = few_sensors
    wrong = true.copy()
    (block,), _ = context.problem.split(wrong)
    block[:, 1:] = np.roll(block[:, 1:], 3, axis=1)
    beam = Beam(context, 60, 121, (context.problem.cut(0, 60, 121).join([block[60:121]], wrong[-1:]),))
    for _ in range(3):
        beam = beam.grown(20, 40, generator(3))
    assert beam.whole or not beam.minima
    for path in beam.minima:
        assert oracle.solved(context.action.value(path, context.ladder.rf[-1]).total * (1 - 1e-5))


def test_minima_are_distinct_sorted_and_explained_by_noise(few_sensors):
    _, context, true = few_sensors
    problem = context.problem.cut(0, 0, 41)
    piece = context.of(problem)
    paths = [WAYS["noise"].draw(piece, generator(5, k)) for k in range(16)]
    paths += [problem.join([context.problem.split(true)[0][0][:41]], true[-1:])] * 2
    actions = [piece.action.value(path, context.ladder.rf[-1]).total for path in lowest(piece, paths, 0.4)]
    assert actions == sorted(actions) and 1 <= len(actions) <= 8
    assert (np.diff(actions) > 1e-4).all() and actions[-1] <= consistent(problem)


def test_few_sensors_are_solved_from_data_alone(few_sensors):
    oracle, context, _ = few_sensors
    rung = context.rung(WAYS["grown"].shares[0])
    # Not every start is solved: these are the first two of seed 1.
    rngs = [np.random.default_rng([1, start]) for start in range(2)]  # noqa: TID251
    paths = [WAYS["grown"].draw(context, rng) for rng in rngs]
    ends = climbs(context.action, oracle.ladder, paths, [rung] * 2)
    assert any(oracle.solved(end.rung.parts.total) for end in ends)


@pytest.mark.parametrize("scheme", [1, 2])
def test_first_stretches_end_with_intervals_and_hold_enough_data(scheme):
    problem = linear_problem(101)
    rng = generator(0)
    found = [
        grown._stretch(problem, scheme, rng) for _ in range(2000)
    ]  # one of 100 begins at 0, or ends at 101
    begins, ends = np.array(found).T
    assert (begins % scheme == 0).all() and ((ends - begins - 1) % scheme == 0).all()
    assert begins.min() == 0 and ends.max() == 101
    for begin, end in found[:200]:
        assert problem.cut(0, begin, end).measured >= 6 * 4 - 4
        assert end - begin <= 40


def test_a_window_without_data_is_taken_whole():
    problem = linear_problem(11)
    problem.windows[0].data[:] = np.nan
    assert grown._stretch(problem, 1, generator(0)) == (0, 11)


def test_what_windows_tell_of_parameters_narrows_their_range():
    problem = replace(linear_problem(), parameters=(Estimated("b", (-1.0, 2.0), bounds=(0.0, 3.0)),))
    assert grown._narrowed(problem, None) is problem
    (near,) = grown._narrowed(problem, np.array([0.1])).parameters
    assert near.start == pytest.approx((0.0, 0.25)) and near.bounds == (0.0, 3.0)
