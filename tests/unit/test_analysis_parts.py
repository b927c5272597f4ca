"""The parts of the analysis, one by one."""

from dataclasses import replace

import annealed_run
import numpy as np
import pytest
import synthetic_run

from hpcda.action import Action
from hpcda.action.blocks import blocks_of
from hpcda.analysis.candidate import Band, separation
from hpcda.analysis.ended import plain
from hpcda.analysis.figures.levels import moved_apart
from hpcda.analysis.figures.style import short, unit_label
from hpcda.analysis.laplace import Gaussian, gaussian, mixture
from hpcda.analysis.levels import Minimum, action_groups
from hpcda.analysis.parallel import workers
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


def minimum(action, reduced=1.0, start=0):
    return Minimum(action, action, 0.0, 0.0, reduced, 1, start, (start,), {}, 0.0, True, True)


def test_band():
    band = Band.of(200)
    assert (band.low, band.high, band.scale) == pytest.approx((0.7, 1.3, 10.0))
    assert Band.of(2).low == 0.0 and Band.of(0).data == 0
    less = Band.of(200, 38)
    assert (less.low, less.high) == pytest.approx(((162 - 54) / 200, (162 + 54) / 200))
    assert (less.lowest, less.highest) == pytest.approx((54, 108)) and less.scale == 10.0


def test_separation():
    band = Band.of(200)
    alone = separation((minimum(100),), band)
    assert alone.gap is None and not alone.apart and not separation((), band).apart
    assert separation((replace(minimum(100), count=2),), band).apart
    near = separation((minimum(100), minimum(104), minimum(106)), band)
    assert not near.apart and near.rivals == 1 and near.deviations == pytest.approx(0.4)
    assert separation((minimum(100), minimum(106)), band).apart


def test_action_groups():
    action = np.array([1.0, 1.0 + 5e-7, 1.0 + 9e-7, 1.0 + 1.8e-6, 2.0])
    assert action_groups(action, 1e-6 * action).tolist() == [0, 0, 0, 1, 2]
    assert action_groups(np.zeros(0), np.zeros(0)).tolist() == []


def test_moved_apart():
    wanted = np.array([0.1, 0.1, 0.1, 0.5, 0.99, 1.0])
    places = moved_apart(wanted, 0.06)
    assert (np.diff(places) >= 0.06 - 1e-12).all() and places.min() >= 0 and places.max() <= 1 + 1e-12
    assert places[3] == pytest.approx(0.5)
    assert moved_apart(np.zeros(0), 0.1).shape == (0,)
    assert np.diff(moved_apart(np.full(30, 0.5), 0.06)).min() > 0.03


def test_labels():
    assert unit_label("V", "mV") == "V (mV)" and unit_label("x", "1") == "x"
    assert unit_label("g", "mS/cm^2") == "g (mS/cm²)" and unit_label("r", "s^-1") == "r (s⁻¹)"
    assert short(135.41) == "135.4" and short(1.2345e9) == "1.23e+09" and short(0) == "0"


def test_plain():
    value = {"a": np.float64(1), "b": np.array([1.0, np.nan]), 3: (np.int64(2), np.inf, np.bool_(True))}
    assert plain(value) == {"a": 1.0, "b": [1.0, None], "3": [2, None, True]}


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


def test_workers_in_this_process_and_others():
    with workers(processes=0) as mapping:
        assert mapping(divmod, [(7, 2), (9, 4)]) == [(3, 1), (2, 1)]
    with workers(processes=1) as mapping:
        assert mapping(divmod, [(7, 2), (9, 4)]) == [(3, 1), (2, 1)]
        with pytest.raises(ZeroDivisionError):
            mapping(divmod, [(7, 0)])


def dense(csr, size):
    indptr, indices, values = csr
    matrix = np.zeros((size, size))
    matrix[np.repeat(np.arange(size), np.diff(indptr)), indices] = values
    return matrix


@pytest.mark.parametrize(
    ("discretization", "block"),
    [("trapezoid", 10), ("implicit-midpoint", 10), ("rk4", 10), ("hermite-simpson", 20)],
)
def test_gaussian_agrees_with_the_dense_inverse(discretization, block):
    problem, _, truth = annealed_run.make_problem(discretization, times=13, after=2)
    path = problem.join([truth.states[:13]], [8.17])
    csr = Action(problem).hessian(path, 10.0)
    matrix = dense(csr, problem.size)
    shifted = matrix + 1e3 * np.eye(problem.size)  # positive definite, whatever the path is
    rows, columns = np.nonzero(shifted)
    csr = np.searchsorted(rows, np.arange(problem.size + 1)), columns, shifted[rows, columns]
    assert blocks_of(problem, csr).matrix.chains[0].diagonal[0].shape == (block, block)
    made = gaussian(problem, path, csr)
    inverse = np.linalg.inv(shifted)
    np.testing.assert_allclose(made.variances, np.diagonal(inverse), rtol=1e-8)
    assert made.logdet == pytest.approx(np.linalg.slogdet(shifted)[1])
    np.testing.assert_allclose(made.corner, inverse[-1:, -1:], rtol=1e-8)


def test_gaussian_of_windows_that_share_parameters():
    problem, _, truths = synthetic_run.make_problem(windows=3, times=9)
    path = problem.join([truth.states[:9] for truth in truths], [28.0])
    csr = Action(problem).hessian(path, 1e-3)
    matrix = dense(csr, problem.size) + 10.0 * np.eye(problem.size)
    rows, columns = np.nonzero(matrix)
    made = gaussian(
        problem, path, (np.searchsorted(rows, np.arange(problem.size + 1)), columns, matrix[rows, columns])
    )
    np.testing.assert_allclose(made.variances, np.diagonal(np.linalg.inv(matrix)), rtol=1e-8)


def plain_gaussian(path, variances, logdet):
    std, n = np.sqrt(variances), len(path)
    kinds = np.zeros(n, np.int8)
    low, high = path - 2 * std, path + 2 * std
    return Gaussian(path, variances, logdet, np.diag(variances[-1:]), kinds, low, high, np.zeros(n))


def test_mixture_of_two():
    """Weights, mean and variance of two Gaussians of one dimension each, by hand."""
    problem, *_ = synthetic_run.make_problem(times=5)
    n = problem.size
    one = plain_gaussian(np.zeros(n), np.full(n, 1.0), 0.0)
    two = plain_gaussian(np.full(n, 2.0), np.full(n, 3.0), 2 * np.log(2.0))
    made = mixture(problem, [minimum(10.0, start=4), minimum(10.0, start=6)], [one, two], ["start 9"])
    assert made.weights == pytest.approx({4: 2 / 3, 6: 1 / 3})
    np.testing.assert_allclose(made.mean, 2 / 3)
    np.testing.assert_allclose(made.std**2, 2 / 3 * (1 + 4 / 9) + 1 / 3 * (3 + 16 / 9))
    np.testing.assert_allclose(made.parameter_covariance, made.std[-1] ** 2)
    assert made.missing == ("start 9",)
    assert made.low[-1] == 0.0  # rho >= 0
    with pytest.raises(ValueError, match="start 9"):
        mixture(problem, [], [], ["start 9"])
