"""Windows whose steps differ: the action in plain NumPy, its derivatives, and every other form of it."""

from dataclasses import replace

import numpy as np
import pytest

from hpcda.action import SCHEMES, Action, verify
from hpcda.action.chain import chain_action
from hpcda.action.residuals import Residuals
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Settings, climbs_of
from hpcda.search.forecast import Forecast
from tests.chance import generator
from tests.unit.action.test_action import RF, plain_action
from tests.unit.problems import cases, example

FLOWS = [case for case in cases() if SCHEMES[case[1]].kind == "flow" and case[0] in ("lorenz63", "nakl")]


def uneven(problem, own=11):
    """The same at times whose steps differ by up to a factor of ten, alike within an interval."""
    rng, span, windows = generator(own), SCHEMES[problem.discretization].span, []
    for window in problem.windows:
        steps = window.dt * 10.0 ** rng.uniform(-1.0, 0.0, (window.times - 1) // span)
        t = window.t[0] + np.concatenate([[0.0], np.cumsum(np.repeat(steps, span))])
        windows.append(replace(window, t=t))
    return replace(problem, windows=tuple(windows))


@pytest.mark.parametrize("variant", ["nonlinear and gaps", "walk", "independent and series"])
@pytest.mark.parametrize(("name", "scheme"), FLOWS)
def test_value_and_derivatives_are_those_of_the_formulas(name, scheme, variant):
    problem, path = example(name, scheme, variant)
    problem = uneven(problem)
    action = Action(problem)
    assert not any(window.even for window in problem.windows)
    found = action.value(path, RF)
    wanted = plain_action(problem, path, RF)
    np.testing.assert_allclose([found.measurement, found.model, found.prior], wanted, rtol=1e-11)
    assert verify(action, path, RF, length=1e-3).ok
    parts, gradient = action.gradient(path, RF)
    np.testing.assert_allclose(
        chain_action(problem).gradient(path, RF)[1], gradient, rtol=1e-9, atol=1e-10 * np.abs(gradient).max()
    )
    rho, slopes = Residuals(action).evaluate(path, RF)
    residuals = Residuals(action)
    assert 0.5 * rho @ rho == pytest.approx(parts.total, rel=1e-12)
    rows = np.repeat(np.arange(residuals.count), np.diff(residuals.indptr))
    summed = np.bincount(residuals.indices, weights=slopes * rho[rows], minlength=action.size)
    np.testing.assert_allclose(summed, gradient, rtol=1e-10, atol=1e-11 * np.abs(gradient).max())


def test_errors_per_time_are_weighted_by_their_own_steps():
    problem = uneven(example("lorenz63", "trapezoid", "states alone", model_error="per time")[0])
    action, path = Action(problem), example("lorenz63", "trapezoid", "states alone")[1]
    errors = action.model_errors(0, path)[0]
    steps = np.diff(problem.windows[0].t)[:, None]
    by_hand = 0.5 * RF * float(np.sum(problem.model_error_weight * errors**2 / steps))
    assert action.value(path, RF).model == pytest.approx(by_hand, rel=1e-12)


def test_even_times_give_the_same_bits_with_and_without_rounding():
    problem, path = example("lorenz63", "hermite-simpson", "nonlinear and gaps")
    rounded = tuple(replace(own, t=np.round(own.t, 12)) for own in problem.windows)
    assert all(own.even for own in rounded)
    before, after = (
        Action(one).derivatives(path, RF)[1:] for one in (problem, replace(problem, windows=rounded))
    )
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12 * np.abs(one).max())


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson", "rk4"])
def test_lanes_come_to_a_stationary_path(scheme):
    problem, path = example("lorenz63", scheme, "priors and sparse data")
    problem = uneven(problem)
    action = Action(problem)
    climbs = climbs_of(action, Ladder(1.0, 10.0, 3), 2, Settings())
    climbs.put(0, 0, path, 0, True)
    found = []
    while climbs.active:
        climbs.advance(1000)
        found += climbs.reached()
    last = found[-1].rung
    assert last.reason.converged
    gradient = action.gradient(last.path, 100.0)[1]
    assert np.abs(gradient).max() < 1e-5 * np.abs(action.gradient(path, 100.0)[1]).max()


def test_forecasts_follow_the_times():
    problem, _ = example("lorenz63", "rk4", "states alone")
    problem = uneven(problem)
    window, forecast = problem.windows[0], Forecast(problem)
    begin = np.tile(np.array([[1.0], [2.0], [20.0]]), 8)
    course = forecast.run(window, 0, window.times - 1, begin)[:, :, 0]
    path = problem.join([course, *(np.zeros((own.times, 3)) for own in problem.windows[1:])], np.zeros(0))
    assert np.abs(Action(problem).model_errors(0, path)[0]).max() < 1e-12
