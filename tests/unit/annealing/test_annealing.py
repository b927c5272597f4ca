"""The ladder, and the climb from rung to rung."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field

import numpy as np
import pytest

from hpcda.action import Action, Parts
from hpcda.annealing import Ladder, Reason, Rung, Task, step
from hpcda.annealing.scale import scales
from hpcda.search import WAYS, SearchContext, begin
from tests.chance import number
from tests.unit.problems import dense, linear_problem
from tests.unit.search.test_begin import LADDER, LORENZ, lorenz


def test_ladder():
    ladder = Ladder(0.5, 3.0, 4, (0, 2, 3))
    np.testing.assert_array_equal(ladder.beta, [0, 1, 2, 3])
    np.testing.assert_allclose(ladder.rf, [0.5, 1.5, 4.5, 13.5], rtol=1e-15)
    assert [ladder.first(start) for start in range(7)] == [0, 2, 3, 0, 2, 3, 0]


def test_climbs_begin_at_the_rung_of_their_portfolio():
    ladder = Ladder(0.5, 3.0, 4, (0, 2))
    climb = begin(SearchContext(LORENZ, ladder), WAYS["uniform"], number(1), 3)
    assert (climb.task, climb.next, climb.failed) == (Task(3, "uniform", 2), 2, None)
    assert not climb.ended(ladder)


@dataclass
class Scripted:
    """A minimizer that adds 1 to every unknown and ends as it is told; it keeps what it was asked."""

    reasons: list[Reason]
    asked: list[tuple[float, bool, float]] = field(default_factory=list)

    def minimize(self, path, rf, fresh=False):
        self.asked.append((rf, fresh, float(path[0])))
        reason = self.reasons[len(self.asked) - 1]
        return Rung(path + 1.0, Parts(1.0, rf, 0.0), 1e-9, 3, 2, reason)


def climbed(minimizer, ladder=LADDER, start=0):
    climb, rungs = begin(SearchContext(LORENZ, ladder), WAYS["uniform"], number(1), start), []
    first = climb.path
    while not climb.ended(ladder):
        climb, rung = step(climb, ladder, minimizer)
        rungs.append(rung)
    return first, climb, rungs


def test_each_rung_begins_where_the_last_one_ended():
    minimizer = Scripted([Reason.CONVERGED_GRADIENT] * 6)
    first, climb, rungs = climbed(minimizer)
    assert [rung.number for rung in rungs] == list(range(6))
    np.testing.assert_allclose([asked[0] for asked in minimizer.asked], LADDER.rf)
    assert [asked[1] for asked in minimizer.asked] == [True] + [False] * 5
    np.testing.assert_allclose([asked[2] for asked in minimizer.asked], first[0] + np.arange(6))
    np.testing.assert_allclose(climb.path, first + 6)
    assert climb.failed is None and climb.next == 6
    assert all(rung.seconds >= 0 for rung in rungs)


def test_a_ladder_that_begins_higher_is_fresh_there():
    minimizer = Scripted([Reason.CONVERGED_DECREMENT] * 2)
    _, _, rungs = climbed(minimizer, Ladder(0.01, 2.0, 6, (0, 4)), start=1)
    assert [rung.number for rung in rungs] == [4, 5]
    assert [asked[1] for asked in minimizer.asked] == [True, False]


def test_a_rung_stopped_at_its_limit_does_not_end_the_climb():
    minimizer = Scripted([Reason.STOPPED_ITERATIONS, *[Reason.CONVERGED_GRADIENT] * 5])
    _, climb, rungs = climbed(minimizer)
    assert len(rungs) == 6 and climb.failed is None
    assert rungs[0].reason is Reason.STOPPED_ITERATIONS


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.name.startswith("FAILED")])
def test_a_failed_rung_ends_the_climb_with_its_reason(reason):
    minimizer = Scripted([Reason.CONVERGED_GRADIENT, reason])
    _, climb, rungs = climbed(minimizer)
    assert climb.failed is reason and climb.ended(LADDER)
    assert [rung.reason for rung in rungs] == [Reason.CONVERGED_GRADIENT, reason]


def test_a_step_changes_nothing_that_was_before():
    """A rung is a step from state to state: it can be taken again, from a stored state."""
    climb = begin(SearchContext(LORENZ, LADDER), WAYS["uniform"], number(1), 0)
    before = climb.path.copy()
    later, _ = step(climb, LADDER, Scripted([Reason.CONVERGED_GRADIENT]))
    assert np.array_equal(climb.path, before) and climb.next == 0
    again, _ = step(climb, LADDER, Scripted([Reason.CONVERGED_GRADIENT]))
    assert np.array_equal(later.path, again.path) and later.next == again.next == 1
    with pytest.raises(FrozenInstanceError):
        climb.next = 3


@dataclass
class Exact:
    """The minimum of a quadratic action by one linear solve."""

    action: Action

    def minimize(self, path, rf, fresh=False):
        found = path - np.linalg.solve(dense(self.action, path, rf), self.action.gradient(path, rf)[1])
        parts, gradient = self.action.gradient(found, rf)
        return Rung(found, parts, float(np.abs(gradient).max()), 1, 1, Reason.CONVERGED_GRADIENT)


def test_on_a_linear_model_the_action_rises_along_the_ladder_and_all_starts_agree():
    problem = linear_problem()
    ladder, action = Ladder(1e-2, 10.0, 7), Action(problem)
    ends = []
    for start in range(3):
        climb, levels = begin(SearchContext(problem, ladder), WAYS["uniform"], number(5), start), []
        while not climb.ended(ladder):
            climb, rung = step(climb, ladder, Exact(action))
            levels.append(rung.parts.total)
        assert np.all(np.diff(levels) > 0)
        ends.append(climb.path)
    np.testing.assert_allclose(ends[1:], [ends[0]] * 2, rtol=1e-7, atol=1e-9)


def test_reasons_have_codes_and_sentences_of_their_own():
    codes = [reason.code for reason in Reason]
    assert len(set(codes)) == len(codes) == len({reason.value for reason in Reason})
    for reason in Reason:
        assert Reason.from_code(reason.code) is reason
        assert reason.converged == reason.name.startswith("CONVERGED")
        assert reason.failed == reason.name.startswith("FAILED")
        assert reason.converged == (reason.code > 0)
        assert (reason.code < 0) == reason.name.startswith(("FAILED", "STOPPED"))


def test_scales_are_the_widths_of_the_ranges():
    problem = lorenz(state_start=np.array([[-2.0, 2.0], [3.0, 3.0], [0.0, 0.0]]))
    found = scales(problem)
    assert found.shape == (problem.size,)
    blocks, shared = problem.split(found)
    for block in blocks:
        np.testing.assert_array_equal(block, np.tile([4.0, 3.0, 1.0, 20.0], (len(block), 1)))
    np.testing.assert_array_equal(shared, [15.0, 4.0])
