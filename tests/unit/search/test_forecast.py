"""Members through the model: against SciPy and plain Python, in any number, in any width of vectors."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from hpcda.models.catalogue import catalogue, load_model
from hpcda.models.expression import Expression
from hpcda.search.forecast import Forecast
from tests.chance import generator
from tests.unit.problems import SMALL, example, linear_problem


def scheme_of(name):
    return "map" if load_model(name, SMALL.get(name)).kind == "map" else "trapezoid"


@cache
def case(name, variant="nonlinear and gaps", dt=0.005):
    """Problem, forecast, and 5 members near the middle of the ranges."""
    problem, _ = example(name, scheme_of(name), variant, dt=dt)
    rng = generator(5)
    low, high = problem.state_start.T
    states = (low + high)[:, None] / 2 + 0.1 * (high - low)[:, None] * rng.uniform(-1, 1, (len(low), 5))
    parameters = [rng.uniform(*q.start, 5) for q in (*problem.varying, *problem.parameters)]
    return problem, Forecast(problem), np.vstack([states, *parameters])


def rate(problem, window, member, t):
    """The model in plain Python: known series interpolated linearly."""
    model = problem.model
    series = [np.interp(t, window.t, column) for column in window.series.T]
    p = dict(problem.fixed)
    estimated = (*problem.varying, *problem.parameters)
    p |= {q.name: value for q, value in zip(estimated, member[model.dimension :], strict=True)}
    p |= dict(zip(problem.series, series[len(model.stimuli) :], strict=True))
    u = dict(zip(model.stimulus_names, series[: len(model.stimuli)], strict=True))
    return np.array(model(member[: model.dimension], p, u, t), dtype=float)


CASES = [(name, "nonlinear and gaps") for name in catalogue()] + [("nakl", "independent and series")]


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_members_follow_the_model(name, variant):
    problem, forecast, members = case(name, variant)
    window = problem.windows[-1]
    found = forecast.run(window, 1, 4, members, substeps=4)
    assert np.array_equal(found[0], members)
    for number, member in enumerate(members.T):
        x = member[: problem.dimension]
        for n in range(1, 4):
            t, p = window.t[n : n + 2], member[problem.dimension :]
            if problem.model.kind == "map":
                x = rate(problem, window, np.append(x, p), t[0])
            else:
                x = solve_ivp(
                    lambda s, y, p=p: rate(problem, window, np.append(y, p), s), t, x, method="DOP853",
                    rtol=1e-11, atol=1e-11,
                ).y[:, -1]  # fmt: skip
            assert found[n, : problem.dimension, number] == pytest.approx(x, rel=1e-6, abs=1e-6)
            assert np.array_equal(found[n, problem.dimension :, number], p)


def test_the_error_falls_with_the_fourth_power_of_the_step():
    problem, forecast, members = case("lorenz63", dt=0.05)
    exact = forecast.run(problem.windows[0], 0, 3, members, substeps=64)[-1]
    errors = [
        np.abs(forecast.run(problem.windows[0], 0, 3, members, substeps=s)[-1] - exact).max() for s in (2, 4)
    ]
    assert 10 < errors[0] / errors[1] < 24


@pytest.mark.parametrize("name", ["nakl", "henon"])
def test_lanes_and_the_number_of_members_change_nothing(name):
    problem, forecast, members = case(name)
    window = problem.windows[0]
    wanted = forecast.run(window, 0, 5, members)
    for lanes in (1, 4):
        other = Forecast(problem, lanes=lanes)
        assert other.run(window, 0, 5, members) == pytest.approx(wanted, rel=1e-12, abs=1e-12)
        assert other.observe(problem.windows[0], 0, members) == pytest.approx(
            forecast.observe(problem.windows[0], 0, members), rel=1e-12
        )
    for count in (1, 3, 5):
        assert np.array_equal(forecast.run(window, 0, 5, members[:, :count]), wanted[:, :, :count])
    many = np.tile(members, 4)
    assert np.array_equal(forecast.run(window, 0, 5, many), np.tile(wanted, 4))
    one = members
    for n in range(5):
        one = forecast.step(window, n, one)
    assert np.array_equal(one, wanted[-1])


def test_measured_quantities_are_those_of_the_expressions():
    problem, forecast, members = case("lorenz63")
    names = problem.model.state_names
    states = dict(zip(names, members, strict=False))
    measured = forecast.observe(problem.windows[0], 0, members)
    for found, text in zip(measured, problem.observed.values(), strict=True):
        assert found == pytest.approx(Expression(text, names, "y")(states), rel=1e-13)


def test_parameters_of_one_time_walk_only_where_they_may():
    problem, _ = example("lorenz63", "trapezoid", "walk")
    forecast, window = Forecast(problem), problem.windows[0]
    members = np.ones((forecast.rows, 4000))
    after = forecast.step(window, 0, members, generator(1))
    assert np.std(after[3]) == pytest.approx(0.8 * np.sqrt(window.dt), rel=0.05)
    assert np.array_equal(after[4:], members[4:])
    assert np.array_equal(forecast.step(window, 0, members)[3], members[3])
    still = Forecast(replace(problem, varying=(replace(problem.varying[0], walk_std=None),)))
    assert np.array_equal(still.step(window, 0, members, generator(1))[3], members[3])


def test_stiff_models_take_more_steps():
    problem, forecast, members = case("kuramoto_sivashinsky")
    window = problem.windows[0]
    slow = replace(window, t=window.t[0] + 1e5 * (window.t - window.t[0]))
    assert forecast.substeps(window, members) == 1 < forecast.substeps(slow, members)
    linear = Forecast(linear_problem())
    assert linear.substeps(linear.problem.windows[0], np.zeros((4, 3))) == 1


def test_what_cannot_be_is_refused():
    problem, forecast, members = case("lorenz63")
    window = problem.windows[0]
    with pytest.raises(ValueError, match="shape"):
        forecast.step(window, 0, members[:-1])
    with pytest.raises(ValueError, match="of 13"):
        forecast.run(window, 3, 13, members)
