"""The action of every model, discretization and term: derivatives, structure, and value in plain NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcda.action import SCHEMES, Action, verify
from hpcda.action.residuals import Residuals
from hpcda.models.catalogue import catalogue
from hpcda.problem import Problem
from tests.chance import generator
from tests.unit.problems import NONLINEAR, VARIANTS, cases, dense, example, linear_problem

CASES = cases()
RF = 3.0


# The model errors of the docstrings; f(x, n) is the model at time point n, which may be halfway, n + 1/2;
# dt[n] is the step after it.
def trapezoid(x, f, dt):
    return [x[n + 1] - x[n] - dt[n] / 2 * (f(x[n], n) + f(x[n + 1], n + 1)) for n in range(len(x) - 1)]


def hermite_simpson(x, f, dt):
    found = []
    for a in range(0, len(x) - 2, 2):
        long = 2 * dt[a]
        b, c = a + 1, a + 2
        fa, fb, fc = f(x[a], a), f(x[b], b), f(x[c], c)
        found.append(x[c] - x[a] - long / 6 * (fa + 4 * fb + fc))
        found.append(x[b] - (x[a] + x[c]) / 2 - long / 8 * (fa - fc))
    return found


def implicit_midpoint(x, f, dt):
    return [x[n + 1] - x[n] - dt[n] * f((x[n] + x[n + 1]) / 2, n + 0.5) for n in range(len(x) - 1)]


def rk4(x, f, dt):
    found = []
    for n in range(len(x) - 1):
        k1 = f(x[n], n)
        k2 = f(x[n] + dt[n] / 2 * k1, n + 0.5)
        k3 = f(x[n] + dt[n] / 2 * k2, n + 0.5)
        k4 = f(x[n] + dt[n] * k3, n + 1)
        found.append(x[n + 1] - x[n] - dt[n] / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return found


def heun(x, f, dt):
    found = []
    for n in range(len(x) - 1):
        slope = f(x[n], n)
        found.append(x[n + 1] - x[n] - dt[n] / 2 * (slope + f(x[n] + dt[n] * slope, n + 1)))
    return found


def iterated(x, f, dt):
    return [x[n + 1] - f(x[n], n) for n in range(len(x) - 1)]


FORMULAS = {
    "trapezoid": trapezoid,
    "hermite-simpson": hermite_simpson,
    "implicit-midpoint": implicit_midpoint,
    "heun": heun,
    "rk4": rk4,
    "map": iterated,
}
MEASURED = {
    "y": lambda a, b: a,
    "square": lambda a, b: a**2 / 50 + b,
    "mixed": lambda a, b: np.tanh(a / 20) * b,
    "plain": lambda a, b: b,
}


def at(series, n):
    """A series at a time point, halfway by linear interpolation."""
    return series[int(n)] if n == int(n) else (series[int(n)] + series[int(n) + 1]) / 2


def plain_action(problem: Problem, path, rf):
    """(measurement, model, prior) with loops over plain NumPy."""
    model, measurement, errors, prior = problem.model, 0.0, 0.0, 0.0
    blocks, shared = problem.split(path)
    constant = dict(problem.fixed) | {
        p.name: value for p, value in zip(problem.parameters, shared, strict=True)
    }
    dimension, stimuli = model.dimension, len(model.stimuli)
    for window, block in zip(problem.windows, blocks, strict=True):
        x, q = block[:, :dimension], block[:, dimension:]

        def rates(state, n, window=window, q=q):
            p = dict(constant)
            p |= {varying.name: at(q, n)[k] for k, varying in enumerate(problem.varying)}
            p |= {name: at(window.series, n)[stimuli + k] for k, name in enumerate(problem.series)}
            u = {name: at(window.series, n)[k] for k, name in enumerate(model.stimulus_names)}
            return np.array(model(state, p, u, at(window.t, n)), dtype=float)

        for n in range(window.times):
            for column, key in enumerate(problem.observed):
                if np.isfinite(window.data[n, column]):
                    h = MEASURED[key](x[n, 0], x[n, -1])
                    measurement += 0.5 * ((window.data[n, column] - h) / window.noise_std[n, column]) ** 2
        for error in FORMULAS[problem.discretization](x, rates, np.diff(window.t)):
            errors += 0.5 * rf * np.sum(problem.model_error_weight * error**2)
        for name, (mean, std) in problem.initial_prior.items():
            prior += 0.5 * ((x[0, model.state_names.index(name)] - mean) / std) ** 2
        for k, varying in enumerate(problem.varying):
            if varying.prior:
                prior += 0.5 * np.sum((q[:, k] - varying.prior[0]) ** 2) / varying.prior[1] ** 2
            if varying.walk_std:
                prior += 0.5 * np.sum(np.diff(q[:, k]) ** 2 / np.diff(window.t)) / varying.walk_std**2
    for p, value in zip(problem.parameters, shared, strict=True):
        if p.prior:
            prior += 0.5 * ((value - p.prior[0]) / p.prior[1]) ** 2
    return measurement, errors, prior


def test_every_catalogue_model_and_every_discretization_is_among_the_cases():
    assert {name for name, _ in CASES} == set(catalogue())
    assert {scheme for _, scheme in CASES} == set(SCHEMES) == set(FORMULAS)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("name", "scheme"), CASES)
def test_derivatives_pass_the_taylor_test_and_the_hessian_is_symmetric(name, scheme, variant):
    problem, path = example(name, scheme, variant)
    found = verify(Action(problem), path, RF, length=1e-3)
    assert found.taylor_gradient >= 1.9
    assert found.taylor_hessian >= 1.9
    assert found.symmetry <= 1e-12
    assert found.ok


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("name", "scheme"), CASES)
def test_value_is_that_of_the_formulas(name, scheme, variant):
    problem, path = example(name, scheme, variant)
    action = Action(problem)
    found = action.value(path, RF)
    wanted = plain_action(problem, path, RF)
    np.testing.assert_allclose([found.measurement, found.model, found.prior], wanted, rtol=1e-11)
    again, _ = action.gradient(path, RF)
    assert again == action.derivatives(path, RF)[0]
    assert found.total == pytest.approx(again.total, rel=1e-14)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("name", "scheme"), [case for case in CASES if case[0] in ("lorenz96", "nakl", "henon")]
)
def test_residuals_are_the_square_root_of_the_action(name, scheme, variant):
    problem, path = example(name, scheme, variant)
    action = Action(problem)
    residuals = Residuals(action)
    rho, slopes = residuals.evaluate(path, RF)
    assert len(rho) == residuals.count == len(residuals.indptr) - 1
    parts, gradient = action.gradient(path, RF)
    assert 0.5 * rho @ rho == pytest.approx(parts.total, rel=1e-12)
    rows = np.repeat(np.arange(residuals.count), np.diff(residuals.indptr))
    found = np.bincount(residuals.indices, weights=slopes * rho[rows], minlength=action.size)
    np.testing.assert_allclose(found, gradient, rtol=1e-10, atol=1e-11 * np.abs(gradient).max())


def test_the_gauss_newton_matrix_of_a_linear_model_is_the_hessian():
    problem = linear_problem()
    action = Action(problem)
    residuals = Residuals(action)
    path = generator(0).normal(size=action.size)
    rho, slopes = residuals.evaluate(path, RF)
    jacobian = np.zeros((residuals.count, action.size))
    jacobian[np.repeat(np.arange(len(rho)), np.diff(residuals.indptr)), residuals.indices] = slopes
    np.testing.assert_allclose(jacobian.T @ jacobian, dense(action, path, RF), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("name", "scheme"), [case for case in CASES if case[0] in ("lorenz63", "lorenz96", "henon")]
)
def test_hessian_is_banded_by_blocks_with_a_border(name, scheme, variant):
    problem, path = example(name, scheme, variant)
    action = Action(problem)
    indptr, indices, _ = action.hessian(path, RF)
    rows = np.repeat(np.arange(action.size), np.diff(indptr))
    window = np.searchsorted(problem.layout.begins, np.arange(action.size), side="right") - 1
    time = (np.arange(action.size) - np.array([*problem.layout.begins])[window]) // problem.layout.block
    border = np.arange(action.size) >= problem.layout.tail.start
    inside = ~border[rows] & ~border[indices]
    assert np.array_equal(window[rows[inside]], window[indices[inside]])
    assert np.abs(time[rows[inside]] - time[indices[inside]]).max() <= SCHEMES[scheme].span
    assert all(np.all(np.diff(indices[a:b]) > 0) for a, b in zip(indptr, indptr[1:], strict=False))
    assert set(range(action.size)) <= set(rows[rows == indices])
    matrix = dense(action, path, RF)
    assert np.count_nonzero(matrix - matrix.T) == 0


def test_every_entry_of_the_hessian_is_the_slope_of_the_gradient():
    """Central differences column by column, on a problem with every kind of term."""
    problem, path = example("lorenz63", "hermite-simpson", "walk", initial_prior={"y": (0.0, 2.0)})
    action = Action(problem)
    matrix = dense(action, path, RF)
    step = 1e-5
    for k in range(action.size):
        move = step * np.eye(action.size)[k]
        slope = (action.gradient(path + move, RF)[1] - action.gradient(path - move, RF)[1]) / (2 * step)
        np.testing.assert_allclose(matrix[:, k], slope, rtol=1e-6, atol=1e-6 * np.abs(matrix).max())


@pytest.mark.parametrize("variant", VARIANTS)
def test_terms_depend_on_rf_as_they_should(variant):
    problem, path = example("lorenz63", "trapezoid", variant)
    action = Action(problem)
    one, ten = action.value(path, 1.0), action.value(path, 10.0)
    assert (one.measurement, one.prior) == (ten.measurement, ten.prior)
    assert ten.model == pytest.approx(10 * one.model, rel=1e-14)


class Wrong(Action):
    """An action with one derivative a little wrong."""

    which, factor = "hessian", 1.01

    def gradient(self, path, rf):
        parts, gradient = super().gradient(path, rf)
        if self.which == "gradient":
            gradient[np.argmax(np.abs(gradient))] *= self.factor
        return parts, gradient

    def hessian(self, path, rf):
        indptr, indices, values = super().hessian(path, rf)
        rows = np.repeat(np.arange(self.size), np.diff(indptr))
        values = values.copy()
        if self.which == "hessian":
            values[np.argmax(np.abs(values) * (rows == indices))] *= self.factor
        if self.which == "symmetry":
            values[np.argmax(np.abs(values) * (rows != indices))] *= self.factor
        return indptr, indices, values


@pytest.mark.parametrize("which", ["gradient", "hessian", "symmetry"])
@pytest.mark.parametrize("scheme", [name for name, scheme in SCHEMES.items() if scheme.kind == "flow"])
def test_a_wrong_derivative_is_caught(which, scheme):
    problem, path = example("lorenz63", scheme, "nonlinear and gaps")
    wrong = Wrong(problem)
    wrong.which = which
    # A direction may be nearly orthogonal to the one unknown whose derivative is wrong: of eight, one is not.
    found = [verify(wrong, path, RF, seed=seed, length=1e-3) for seed in range(8)]
    assert not all(one.ok for one in found)
    if which == "gradient":
        assert min(one.taylor_gradient for one in found) < 1.9
    else:
        assert min(one.taylor_hessian for one in found) < 1.9
    assert all((one.symmetry > 1e-12) == (which == "symmetry") for one in found)


def test_at_the_minimum_of_a_quadratic_action_only_rounding_is_left():
    problem = linear_problem()
    action, path = Action(problem), np.zeros(problem.size)
    path -= np.linalg.solve(dense(action, path, RF), action.gradient(path, RF)[1])
    assert np.linalg.norm(action.gradient(path, RF)[1]) < 1e-9
    assert verify(action, path, RF).ok
    wrong = Wrong(problem)
    wrong.which = "hessian"
    assert not verify(wrong, path, RF).ok


def test_a_path_of_wrong_length_is_refused():
    problem, path = example("lorenz63", "trapezoid", "walk")
    with pytest.raises(ValueError, match="the problem has"):
        Action(problem).value(path[:-1], RF)


def test_a_path_that_is_not_finite_gives_an_action_that_is_not_finite():
    problem, path = example("lorenz63", "trapezoid", "walk")
    for bad in (np.nan, np.inf):
        spoiled = path.copy()
        spoiled[4] = bad
        parts, gradient = Action(problem).gradient(spoiled, RF)
        assert not np.isfinite(parts.total) and not np.isfinite(gradient).all()


@pytest.mark.parametrize("times", [2, 3, 8, 9, 16, 17, 33])
@pytest.mark.parametrize("scheme", ["trapezoid", "implicit-midpoint", "rk4", "hermite-simpson"])
def test_lengths_around_the_width_of_the_registers(scheme, times):
    if scheme == "hermite-simpson" and times % 2 == 0:
        times += 1
    problem, _ = example("lorenz63", scheme, "nonlinear and gaps")
    window = problem.windows[0]
    rng = generator(times)
    data = rng.normal(size=(times, len(NONLINEAR)))
    cut = replace(
        window,
        t=0.02 * np.arange(times),
        data=data,
        noise_std=np.ones_like(data),
        series=np.zeros((times, 0)),
    )
    problem = replace(problem, windows=(cut, *problem.windows[1:]))
    path = rng.uniform(-5, 5, problem.size)
    found = Action(problem).value(path, RF)
    np.testing.assert_allclose(
        [found.measurement, found.model, found.prior], plain_action(problem, path, RF), rtol=1e-12
    )
    assert verify(Action(problem), path, RF, length=1e-3).ok
