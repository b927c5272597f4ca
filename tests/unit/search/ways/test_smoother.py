"""Smoothed paths: against exact Kalman smoothing, and what no problem may spoil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcda.models.model import Model, State
from hpcda.problem import Estimated, Window
from hpcda.search.forecast import Forecast
from hpcda.search.smoother import Smoother
from hpcda.search.ways import smoother as way
from tests.chance import generator
from tests.unit.drawing import context_of, draw
from tests.unit.problems import MATRIX, example, linear_model, linear_problem

FAR = np.zeros(3), np.full(3, 1e6)


def exact(problem, window, mean, std, easing, walk=0.0):
    """Posterior mean and standard deviation of (x, y, z, b) at all times, b walking by `walk` a step."""
    step = np.eye(4)
    step[:3, :3] = MATRIX
    step[0, 3] = 1.0
    times = window.times
    reach = np.zeros((times, 4, 4 + times))  # unknowns: the first point and the steps of b
    reach[0, :, :4] = np.eye(4)
    for n in range(1, times):
        reach[n] = step @ reach[n - 1]
        reach[n, 3, 3 + n] = walk
    seen = np.array([[1.0, 0, 0, 0], [1, 0, 1, 0]])
    prior_mean, prior_std = np.append(mean, np.zeros(times)), np.append(std, np.ones(times))
    precision, right = np.diag(prior_std**-2), prior_mean / prior_std**2
    for n, k in np.argwhere(np.isfinite(window.data)):
        row, weight = seen[k] @ reach[n], 1 / (easing * window.noise_std[n, k] ** 2)
        precision += weight * np.outer(row, row)
        right += weight * row * window.data[n, k]
    covariance = np.linalg.inv(precision)
    return reach @ covariance @ right, np.sqrt(np.einsum("nij,jk,nik->ni", reach, covariance, reach))


@pytest.mark.parametrize("walk", [None, 0.4])
@pytest.mark.parametrize("easing", [1.0, 9.0])
def test_it_is_the_kalman_smoother_where_all_is_linear(walk, easing):
    problem = linear_problem(20)
    if walk is not None:
        problem = replace(problem, parameters=(), varying=(Estimated("b", (-1.0, 2.0), walk_std=walk),))
    window = problem.windows[0]
    mean, std = np.array([0.3, -0.2, 0.5, 0.4]), np.array([1.0, 1.5, 0.7, 0.8])
    rng = generator(2)
    members = mean[:, None] + std[:, None] * rng.standard_normal((4, 8000))
    smoother = Smoother(Forecast(problem))
    found = smoother.filter(window, members, rng, FAR, easing).smoothed()
    wanted, spread = exact(problem, window, mean, std, easing, walk or 0.0)
    assert np.abs((found - wanted) / spread).max() < 0.1
    assert np.abs(members.mean(axis=1) - wanted[-1]).max() < 0.1
    assert np.std(members, axis=1) == pytest.approx(spread[-1], rel=0.1)


def test_every_width_gives_the_same_bits():
    problem = linear_problem(12)
    window = problem.windows[0]
    found = []
    for lanes in (1, 2, 4, 8):
        members = generator(3).standard_normal((4, 40))
        filtered = Smoother(Forecast(problem, lanes=lanes)).filter(
            window, members, generator(4), FAR, begun=members.copy()
        )
        informed = filtered.informed(members, np.array([0.3]))
        found.append((members.tobytes(), filtered.smoothed().tobytes(), informed.tobytes()))
    assert all(other == found[0] for other in found[1:])


def test_the_mean_of_members_where_the_parameters_are_told():
    problem = linear_problem(6)
    window = problem.windows[0]
    members = generator(5).standard_normal((4, 80))
    members[:3] += np.outer([0.5, -2.0, 0.1], members[3])
    filtered = Smoother(Forecast(problem)).filter(window, members.copy(), generator(6), FAR)
    mean = members.mean(axis=1)
    off = members - mean[:, None]
    slope = np.linalg.lstsq(off[3:].T, off.T, rcond=None)[0]
    told = np.array([1.7])
    np.testing.assert_allclose(
        filtered.informed(members, told), mean + slope.T @ (told - mean[3:]), rtol=1e-7
    )


def test_windows_share_what_they_learn_of_parameters(monkeypatch):
    monkeypatch.setattr(way, "MEMBERS", 8000)
    monkeypatch.setattr(way, "EASING", (1.0, 1.0))
    problem = linear_problem(16)
    window = problem.windows[0]
    late = replace(window, data=window.data[::-1].copy() + 1.0)
    problem = replace(problem, windows=(window, late))
    path = draw(problem, "smoother")
    blocks, parameters = problem.split(path)
    swapped = replace(problem, windows=(late, window))
    again, same = swapped.split(draw(swapped, "smoother", 4))
    assert parameters == pytest.approx(same, abs=0.05)
    for a, b in zip(blocks, again[::-1], strict=True):
        assert a == pytest.approx(b, abs=0.15)


def test_members_stay_within_bounds():
    problem, _ = example("lorenz63", "trapezoid", "nonlinear and gaps")
    bounded = replace(
        problem,
        parameters=tuple(replace(p, bounds=p.start) for p in problem.parameters),
        state_bounds=0.5 * problem.state_start,
    )
    smoother = Smoother(Forecast(bounded))
    members = way.first_members(context_of(bounded), bounded.windows[0], generator(1), None)
    smoother.filter(bounded.windows[0], members, generator(1), FAR)
    ends = np.array([*bounded.state_bounds, *(p.bounds for p in bounded.parameters)])
    assert (members.T >= ends[:, 0]).all() and (members.T <= ends[:, 1]).all()


def test_gaps_are_bridged_and_data_followed():
    """Lorenz 63, only x measured, a third of the data missing: the unmeasured states are found."""
    problem, _ = example("lorenz63", "trapezoid", "states alone")
    t = 0.02 * np.arange(200)
    forecast = Forecast(problem)
    empty = Window(t, np.full((200, 1), np.nan), np.full((200, 1), 0.5), np.zeros((200, 0)))
    truth = forecast.run(empty, 0, 199, np.array([[1.0], [2.0], [20.0]]))[:, :, 0]
    data = truth[:, :1] + 0.5 * generator(3).standard_normal((200, 1))
    data[60:125] = np.nan
    problem = replace(problem, windows=(replace(empty, data=data),))
    error = draw(problem, "smoother").reshape(200, 3) - truth
    before, within, after = (np.sqrt(np.mean(part**2)) for part in np.split(error, [60, 125]))
    assert before < 2.5 and after < 1.0  # the states themselves spread by 8
    assert within < 7.0  # over 1.3 times, in which the flow is chaotic


def exploding():
    """x' = x² - 1: members above 1 grow without bound in finite time."""
    return Model("exploding", (State("x", range=(-2.0, 2.0)),), (), lambda x, p: [x[0] ** 2 - 1.0])


def test_members_that_grow_without_bound_are_replaced():
    t = 0.1 * np.arange(100)
    data = -1.0 + 0.1 * generator(1).standard_normal((100, 1))
    data[:5] = np.nan
    problem, _ = example(exploding(), "trapezoid", "states alone")
    window = Window(t, data, np.full((100, 1), 0.1), np.zeros((100, 0)))
    path = draw(replace(problem, windows=(window,)), "smoother")
    assert path[20:] == pytest.approx(-1.0, abs=0.2)


def test_where_all_members_are_lost_the_last_mean_stays():
    problem, _ = example(exploding(), "trapezoid", "states alone")
    window = Window(0.1 * np.arange(60), np.full((60, 1), np.nan), np.ones((60, 1)), np.zeros((60, 0)))
    members = 1.5 + 0.01 * generator(1).standard_normal((1, 16))
    smoother = Smoother(Forecast(problem))
    filtered = smoother.filter(window, members, generator(2), (np.zeros(1), np.full(1, 40.0)))
    path = filtered.smoothed()
    assert 1 < filtered.times < 60
    assert np.isfinite(path).all() and (path[filtered.times :] == path[filtered.times - 1]).all()


def test_ranges_without_width_lose_no_member():
    problem, _ = example("lorenz63", "trapezoid", "nonlinear and gaps", state_start=np.ones((3, 2)))
    path, _ = problem.split(draw(problem, "smoother"))
    assert np.ptp(path[0][:, 2]) > 0.0


def test_other_numbers_of_members_are_refused():
    problem = linear_problem()
    smoother = Smoother(Forecast(problem))
    with pytest.raises(ValueError, match="multiple of 8"):
        smoother.filter(problem.windows[0], np.zeros((4, 12)), generator(1), FAR)


def test_linear_flows_too():
    """A flow with a parameter that nothing measures keeps that parameter's prior."""
    problem = linear_problem()
    problem = replace(problem, model=linear_model("flow"), discretization="trapezoid")
    assert np.isfinite(draw(problem, "smoother")).all()


def test_the_first_point_is_smoothed_on_the_way_forward():
    problem = linear_problem(20)
    window = problem.windows[0]
    mean, std = np.array([0.3, -0.2, 0.5, 0.4]), np.array([1.0, 1.5, 0.7, 0.8])
    rng = generator(2)
    members = mean[:, None] + std[:, None] * rng.standard_normal((4, 8000))
    begun = members.copy()
    smoother = Smoother(Forecast(problem))
    filtered = smoother.filter(window, members, rng, FAR, 9.0, begun=begun, backward=False)
    wanted, spread = exact(problem, window, mean, std, 9.0)
    assert np.abs((begun.mean(axis=1) - wanted[0]) / spread[0]).max() < 0.1
    assert np.std(begun, axis=1) == pytest.approx(spread[0], rel=0.1)
    with pytest.raises(ValueError, match="backward"):
        filtered.smoothed()


def test_the_misfit_is_that_of_forecasts_before_their_data():
    problem = linear_problem(4)
    window = replace(
        problem.windows[0], data=np.array([[1.0, np.nan], [np.nan, np.nan], [0.5, 2.0], [np.nan, 1.0]])
    )
    members = np.zeros((4, 16))  # without spread data move nothing
    filtered = Smoother(Forecast(problem)).filter(window, members, generator(1), FAR, 4.0)
    wanted = np.nansum(window.data**2 / (4.0 * window.noise_std**2), axis=1)
    assert filtered.misfit == pytest.approx(wanted)
