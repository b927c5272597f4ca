"""Action, gradient and Hessian against CasADi's, on residuals written independently of the engine's."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("casadi", reason="the oracle is CasADi")

from scipy.sparse import csr_array

from hpcda.action import Action
from hpcda.models.catalogue import load_model
from hpcda.problem import Estimated, Problem, Window
from tests.chance import generator
from tests.petsc import casadi_action as oracle

FLOWS = ("trapezoid", "hermite-simpson", "implicit-midpoint", "heun", "rk4")
TIMES = 13
# name: options, oracle's equations, dt, observed states, estimated parameters, range of the random path
CASES = {
    "lorenz63": ({}, oracle.lorenz63, 0.01, ("x", "z"), ("sigma", "rho", "beta"), (-20.0, 30.0)),
    "lorenz96": ({"dimension": 7}, oracle.lorenz96, 0.025, ("x0", "x2", "x3"), ("F",), (-10.0, 15.0)),
    "nakl": ({}, oracle.nakl, 0.02, ("V",), ("gNa", "EL", "vm", "dvm", "tm1", "th0", "dvh", "vn"), None),
    "henon": ({}, oracle.henon, 1.0, ("x",), ("b",), (-1.0, 1.0)),
}


def example(name: str, scheme: str):
    options, field, dt, observed, estimated, limits = CASES[name]
    model = load_model(name, options)
    rng = generator(5)
    low, high = np.array([limits or state.range for state in model.states]).T
    t = 0.3 + dt * np.arange(TIMES)
    data = rng.uniform(-1.0, 1.0, (TIMES, len(observed)))
    data[rng.random(data.shape) < 0.3] = np.nan
    std = rng.uniform(0.5, 2.0, data.shape)
    series = rng.uniform(-10.0, 10.0, (TIMES, len(model.stimuli)))
    fixed = {key: 1.1 * value for key, value in model.defaults.items() if key not in estimated}
    problem = Problem(
        model=model,
        discretization=scheme,
        windows=(Window(t, data, std, series),),
        observed={key: key for key in observed},
        parameters=tuple(Estimated(key, (0.0, 1.0)) for key in estimated),
        fixed=fixed,
        state_start=np.array([low, high]).T,
        state_bounds=np.tile([-np.inf, np.inf], (model.dimension, 1)),
        model_error_weight=np.ones(model.dimension),
    )
    names = list(model.parameter_names)
    known = oracle.Oracle.of(
        field,
        scheme,
        dt,
        data,
        std,
        [model.state_names.index(key) for key in observed],
        model.dimension,
        [names.index(key) for key in estimated],
        [(names.index(key), value) for key, value in fixed.items()],
        series if model.stimuli else None,
    )
    states = rng.uniform(low, high, (TIMES, model.dimension))
    values = [model.defaults[key] * rng.uniform(0.8, 1.2) for key in estimated]
    return problem, known, problem.join([states], np.array(values))


@pytest.mark.parametrize(
    ("name", "scheme"),
    [(name, scheme) for name in ("lorenz63", "lorenz96", "nakl") for scheme in FLOWS] + [("henon", "map")],
)
@pytest.mark.parametrize("rf", [1e-2, 1e4])
def test_value_gradient_and_hessian_are_those_of_casadi(name, scheme, rf):
    problem, known, path = example(name, scheme)
    action = Action(problem)
    measurement, model, gradient, hessian = (np.array(part) for part in known.derivatives()(path, rf))
    parts, found = action.gradient(path, rf)
    assert parts.measurement == pytest.approx(float(measurement.item()), rel=1e-12)
    assert parts.model == pytest.approx(float(model.item()), rel=1e-12)
    assert parts.prior == 0.0
    assert action.value(path, rf).total == pytest.approx(parts.total, rel=1e-14)
    np.testing.assert_allclose(found, gradient[:, 0], rtol=1e-12, atol=1e-12 * np.abs(gradient).max())
    indptr, indices, values = action.hessian(path, rf)
    dense = csr_array((values, indices, indptr), shape=(action.size, action.size)).toarray()
    np.testing.assert_allclose(dense, hessian, rtol=1e-12, atol=1e-12 * np.abs(hessian).max())
