"""First paths of every starting strategy: bounds, data, random numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcda.annealing import Ladder
from hpcda.problem import Estimated
from hpcda.search import WAYS, SearchContext, begin
from hpcda.search.way import measured_states
from tests.chance import number
from tests.unit.fuzzing import cases
from tests.unit.problems import example

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


LORENZ = lorenz()


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
