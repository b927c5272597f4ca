"""The motion after the window, and its errors."""

from dataclasses import replace

import numpy as np
import pytest

from hpcda.analysis.prediction import (
    Prediction,
    observe,
    observed_states,
    prediction_errors,
    rmse,
    run_on,
    valid_time,
)
from hpcda.models.model import Model, Parameter, State, Stimulus


def test_observe():
    states = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(observe(("a", "a**2 + b"), ("a", "b"), states), [[1, 3], [3, 13]])
    assert observed_states(("a**2",), ("a", "b")).tolist() == [True, False]
    assert observe((), ("a", "b"), states).shape == (2, 0)


def decay(kind="flow", **keywords):
    def equations(x, p, u):
        return [p.k * x[0] + u.I]

    return Model(
        "decay", (State("x"),), (Parameter("k", -1.0),), equations, (Stimulus("I"),), kind=kind, **keywords
    )


def test_run_on_a_flow_with_a_stimulus():
    """x' = -x + t has the solution t - 1 + (x0 + 1) e^-t."""
    t = np.linspace(0, 2, 11)
    states = run_on(decay(), np.array([3.0]), {"k": -1.0}, t, t[:, None], ("I",), 0.2).states
    np.testing.assert_allclose(states[:, 0], t - 1 + 4 * np.exp(-t), atol=1e-7)


def test_run_on_with_a_parameter_that_is_a_series():
    """x' = k(t) x with k = -t has the solution exp(-t²/2)."""
    t = np.linspace(0, 2, 11)
    series = np.stack([np.zeros(11), -t], axis=1)
    states = run_on(decay(), np.array([1.0]), {}, t, series, ("I", "k"), 0.2).states
    np.testing.assert_allclose(states[:, 0], np.exp(-(t**2) / 2), atol=1e-7)


def test_run_on_a_map_between_sparse_times():
    t = np.array([0.0, 2.0, 3.0, 7.0])
    states = run_on(decay("map"), np.array([1.0]), {"k": 2.0}, t, np.zeros((4, 1)), ("I",), 1.0).states
    np.testing.assert_array_equal(states[:, 0], [1, 4, 8, 128])


@pytest.mark.parametrize("kind", ["flow", "map"])
def test_run_on_ends_where_states_grow_without_bound(kind):
    model = replace(decay(kind), equations=lambda x, p, u: [x[0] ** 2])
    t = np.arange(12) * (0.2 if kind == "flow" else 1.0)
    states = run_on(model, np.array([2.0]), {"k": 1.0}, t, np.zeros((12, 1)), ("I",), t[1]).states
    assert np.isfinite(states[:3]).all() and np.isnan(states[-1]).all()


def test_run_on_a_stiff_flow():
    """x' = k (x - cos t) with k = -1e9 is cos t to within 1e-9, in a number of steps that k does not set."""
    model = Model(
        "tight", (State("x"),), (Parameter("k", -1e9),), lambda x, p, u, t: [p.k * (x[0] - np.cos(t))]
    )
    t = np.linspace(0, 10, 11)
    course = run_on(model, np.array([1.0]), {"k": -1e9}, t, np.zeros((11, 0)), (), 1.0)
    np.testing.assert_allclose(course.states[:, 0], np.cos(t), atol=2e-9)
    assert course.implicit and course.steps < 10_000


def test_run_on_a_map_takes_series_between_sparse_times():
    t = np.array([0.0, 2.0, 3.0])
    states = run_on(decay("map"), np.array([0.0]), {"k": 1.0}, t, t[:, None], ("I",), 1.0).states
    np.testing.assert_array_equal(states[:, 0], [0.0, 1.0, 3.0])


def test_errors_of_a_prediction():
    t = np.arange(5.0)
    observed = np.array([[0.0], [0.1], [0.2], [5.0], [np.nan]])
    data = np.array([[9.0], [0.0], [np.nan], [0.0], [0.0]])
    made = Prediction(t, observed, observed, data)
    errors = prediction_errors(made)
    np.testing.assert_array_equal(errors[:, 0], [0.1, np.nan, 5.0, np.inf])
    assert rmse(errors) == np.inf and rmse(errors[:3]) == pytest.approx(np.sqrt((0.01 + 25) / 2))
    assert rmse(errors[1:2]) is None
    assert valid_time(made, np.array([0.1])) == 2.0
    assert valid_time(made, np.array([10.0])) == 3.0
    assert valid_time(replace(made, data=np.full((5, 1), np.nan)), np.array([1.0])) is None
    assert valid_time(replace(made, observed=data), np.array([1.0])) == 4.0
