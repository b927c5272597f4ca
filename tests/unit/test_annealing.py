"""Ways to begin, the ladder, and the climb from rung to rung."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, replace

import numpy as np
import pytest
from fuzzing import cases
from hypothesis import given
from hypothesis import strategies as st
from problems import dense, example, linear_problem

from hpcda.action import Action, Parts
from hpcda.annealing import Ladder, Reason, Rung, Task, step
from hpcda.annealing.scale import scales
from hpcda.problem import Estimated
from hpcda.search import WAYS, SearchContext, begin
from hpcda.search.way import measured_states
from tests.chance import number

LADDER = Ladder(0.01, 2.0, 6)


def lorenz(**changes):
    """x and z measured with gaps in two windows, two parameters estimated, one more in time, with bounds."""
    problem, _ = example("lorenz63", "trapezoid", "nonlinear and gaps")
    observed = {"first": "x", "square": "z**2", "last": " z "}
    bounds = np.array([[-2.0, 2.0], [-np.inf, 1.0], [0.0, np.inf]])
    return replace(
        problem,
        observed=observed,
        state_bounds=bounds,
        parameters=(Estimated("sigma", (5.0, 20.0), bounds=(6.0, 8.0)), Estimated("beta", (1.0, 5.0))),
        varying=(Estimated("rho", (20.0, 40.0), bounds=(25.0, 30.0)),),
        fixed={},
        **changes,
    )


@pytest.mark.parametrize("way", WAYS)
def test_first_paths_keep_the_bounds(way):
    problem = lorenz()
    low, high = problem.bounds
    for start in range(5):
        path = begin(SearchContext(problem, LADDER), WAYS[way], number(1), start).path
        assert path.shape == (problem.size,) and np.isfinite(path).all()
        assert (path >= low).all() and (path <= high).all()


@pytest.mark.parametrize("way", ["uniform", "quiet", "noise"])
def test_measured_states_begin_as_measured_with_gaps_interpolated(way):
    problem = lorenz(state_start=np.tile([-5.0, 5.0], (3, 1)))
    problem = replace(problem, state_bounds=np.tile([-np.inf, np.inf], (3, 1)))
    blocks, _ = problem.split(begin(SearchContext(problem, LADDER), WAYS[way], number(1), 0).path)
    for window, block in zip(problem.windows, blocks, strict=True):
        for column, state in ((0, 0), (2, 2)):
            data = window.data[:, column]
            known = np.isfinite(data)
            assert not known.all()
            np.testing.assert_array_equal(block[known, state], data[known])
            for n in np.flatnonzero(~known):
                before, after = np.flatnonzero(known[:n]), n + np.flatnonzero(known[n:])
                if len(before) and len(after):
                    a, b = before[-1], after[0]
                    wanted = data[a] + (data[b] - data[a]) * (n - a) / (b - a)
                else:
                    wanted = data[before[-1]] if len(before) else data[after[0]]
                assert block[n, state] == pytest.approx(wanted, rel=1e-12)


def test_expressions_of_states_say_nothing_about_one_state():
    problem = lorenz()
    for window in problem.windows:
        assert set(measured_states(problem, window)) == {0, 2}
    problem = replace(problem, observed={"a": "x*y", "b": "x+1", "c": "y**2"})
    assert measured_states(problem, problem.windows[0]) == {}


def test_a_state_of_which_no_value_is_known_begins_like_an_unmeasured_one():
    problem = lorenz()
    for window in problem.windows:
        window.data[:, 0] = np.nan
    assert set(measured_states(problem, problem.windows[0])) == {2}
    path = begin(SearchContext(problem, LADDER), WAYS["uniform"], number(1), 0).path
    assert np.isfinite(path).all()


@pytest.mark.parametrize("way", [way for way in WAYS if way != "grown"])
@cases(10)
@given(seed=st.integers(0, 2**31), start=st.integers(0, 10_000))
def test_a_first_path_is_made_of_seed_and_start_alone(way, seed, start):
    problem = LORENZ
    np.random.seed(0)  # noqa: NPY002
    one = begin(SearchContext(problem, LADDER), WAYS[way], seed, start).path
    np.random.random(17)  # noqa: NPY002
    begin(SearchContext(problem, LADDER), WAYS[way], seed, start + 1)
    two = begin(SearchContext(problem, LADDER), WAYS[way], seed, start).path
    assert np.array_equal(one, two)
    assert not np.array_equal(one, begin(SearchContext(problem, LADDER), WAYS[way], seed, start + 1).path)
    assert not np.array_equal(one, begin(SearchContext(problem, LADDER), WAYS[way], seed + 1, start).path)


LORENZ = lorenz()


def test_uniform_paths_fill_the_ranges():
    problem, _ = example(
        "lorenz63", "trapezoid", "nonlinear and gaps", observed={"w": "x*y", "v": "y", "u": "x*z"}
    )
    paths = [
        begin(SearchContext(problem, LADDER), WAYS["uniform"], number(3), start).path for start in range(400)
    ]
    states = np.concatenate([problem.split(path)[0][0][:, [0, 2]] for path in paths])
    shared = np.array([problem.split(path)[1] for path in paths])
    for values, (low, high) in [
        *zip(states.T, problem.state_start[[0, 2]], strict=True),
        *zip(shared.T, [p.start for p in problem.parameters], strict=True),
    ]:
        assert low <= values.min() and values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.1 * (high - low))
        assert values.std() == pytest.approx((high - low) / np.sqrt(12), rel=0.1)


def test_quiet_paths_rest_at_the_mean_of_states_of_their_kind():
    problem, _ = example("lorenz96", "trapezoid", "states alone")
    path = begin(SearchContext(problem, LADDER), WAYS["quiet"], number(1), 0).path
    (block,), _ = problem.split(path)
    mean = np.mean(block[:, 0])
    assert np.abs(block[:, 1:] - mean).max() < 0.6
    assert 0.05 < block[:, 1:].std() < 0.2


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
