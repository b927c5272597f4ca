"""Newton in a trust region: closed forms, valleys, negative curvature, bounds and the barrier."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("petsc4py", reason="the minimizers are PETSc's")

from scipy.optimize import minimize

from hpcda.action import Action
from hpcda.annealing import Reason
from hpcda.annealing.scale import scales
from hpcda.models.model import Model, Parameter, State
from hpcda.petsc import PetscMinimizer
from hpcda.problem import Estimated, Problem, Window
from tests.chance import generator
from tests.petsc.lorenz import lorenz_problem
from tests.unit.problems import dense, linear_problem

pytestmark = pytest.mark.petsc
FREE = (-np.inf, np.inf)


def posterior_mean(action, rf):
    """The minimum of a quadratic action."""
    zero = np.zeros(action.size)
    return np.linalg.solve(dense(action, zero, rf), -action.gradient(zero, rf)[1])


def of_one_map(equations, start, observed, data, parameters=(), states=1, bounds=None, fixed=None):
    """Two times of a map; with Rf large the model errors are residuals to be brought to zero."""
    names = [f"x{k}" for k in range(states)]
    estimated = {p.name for p in parameters}
    model = Model(
        "tested",
        tuple(State(name, range=start) for name in names),
        tuple(Parameter(name, 1.0) for name in (*estimated, *(fixed or {}))),
        equations,
        kind="map",
    )
    data = np.array(data, dtype=float)
    window = Window(np.array([0.0, 1.0]), data, np.ones_like(data), np.zeros((2, 0)))
    return Problem(
        model,
        "map",
        (window,),
        observed,
        tuple(parameters),
        fixed=fixed or {},
        state_start=np.tile(start, (states, 1)).astype(float),
        state_bounds=np.tile(FREE, (states, 1)) if bounds is None else np.array(bounds, dtype=float),
        model_error_weight=np.ones(states),
    )


@pytest.mark.parametrize("rf", [1e-3, 1.0, 1e4])
def test_a_quadratic_action_ends_at_the_posterior_mean(rf):
    action = Action(linear_problem())
    wanted = posterior_mean(action, rf)
    for seed in range(3):
        begin = 10.0 * generator(seed).standard_normal(action.size)
        with PetscMinimizer(action) as minimizer:
            found = minimizer.minimize(begin, rf)
        assert found.reason.converged
        np.testing.assert_allclose(found.path, wanted, rtol=1e-10, atol=1e-10)
        assert found.parts == action.value(found.path, rf)
        assert found.iterations <= 6
        assert found.gradient_norm <= 1e-8 * (1 + rf)


def test_the_posterior_of_two_windows_that_share_a_parameter():
    one = linear_problem()
    rng = generator(4)
    data = rng.normal(size=(7, 2))
    two = Window(np.arange(7.0), data, np.ones_like(data), np.zeros((7, 0)))
    action = Action(linear_problem(windows=(*one.windows, two)))
    with PetscMinimizer(action) as minimizer:
        found = minimizer.minimize(rng.normal(size=action.size), 2.0)
    np.testing.assert_allclose(found.path, posterior_mean(action, 2.0), rtol=1e-10, atol=1e-10)


def rosenbrock(bounds=FREE):
    """x(1) = 0 measured; x(1) - 10 (q - x(0)²) is the model error: ½ (1 - x(0))² + ½ Rf [10 (q - x(0)²)]²."""
    return of_one_map(
        lambda x, p: [10.0 * (p.q - x[0] ** 2)],
        (-2.0, 2.0),
        {"x": "x0"},
        [[1.0], [0.0]],
        (Estimated("q", (-2.0, 2.0), bounds=bounds),),
    )


@pytest.mark.parametrize("begin", [(-1.2, 0.0, 1.0), (2.0, 5.0, -2.0), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("rf", [1.0, 1e4])
def test_the_valley_of_rosenbrock(begin, rf):
    action = Action(rosenbrock())
    with PetscMinimizer(action) as minimizer:
        found = minimizer.minimize(np.array(begin), rf)
    assert found.reason.converged
    np.testing.assert_allclose(found.path, [1.0, 0.0, 1.0], atol=1e-7)
    assert found.parts.total < 1e-14
    assert found.iterations < (60 if rf == 1.0 else 500)


@pytest.mark.parametrize("upper", [0.5, 0.1, -0.5])
def test_the_valley_of_rosenbrock_cut_by_a_bound(upper):
    """Against L-BFGS-B, and by the conditions of Karush, Kuhn and Tucker."""
    action = Action(rosenbrock((-2.0, upper)))
    begin = np.array([-1.2, 0.0, -1.0])
    with PetscMinimizer(action) as minimizer:
        found = minimizer.minimize(begin, 1.0)
    assert found.reason.converged
    gradient = action.gradient(found.path, 1.0)[1]
    assert found.path[2] == upper
    assert gradient[2] < -1e-3
    np.testing.assert_allclose(gradient[:2], 0.0, atol=1e-7)
    curvature = np.linalg.eigvalsh(dense(action, found.path, 1.0)[:2, :2])
    assert curvature.min() >= 0.0
    known = minimize(
        lambda x: (action.value(x, 1.0).total, action.gradient(x, 1.0)[1]),
        found.path + [0.05, 0.05, -0.05],
        jac=True,
        method="L-BFGS-B",
        bounds=[(None, None), (None, None), (-2.0, upper)],
        options={"ftol": 1e-15, "gtol": 1e-12},
    )
    assert found.parts.total == pytest.approx(known.fun, rel=1e-9)


@pytest.mark.parametrize("begin", [1e-3, -1e-3, 0.3])
def test_negative_curvature_is_left_for_a_minimum(begin):
    """x² = 4 measured: the action has a maximum at 0 and minima at ±2."""
    problem = of_one_map(lambda x, p: [0.5 * x[0]], (-3.0, 3.0), {"y": "x0**2"}, [[4.0], [np.nan]])
    action = Action(problem)
    path = np.array([begin, 0.0])
    assert dense(action, path, 1.0)[0, 0] < 0
    with PetscMinimizer(action) as minimizer:
        found = minimizer.minimize(path, 1.0)
    assert found.reason.converged
    np.testing.assert_allclose(found.path, [np.sign(begin) * 2, np.sign(begin)], atol=1e-7)


def test_active_bounds_satisfy_the_conditions_of_karush_kuhn_tucker():
    """A linear problem in a box that cuts off the posterior mean; against L-BFGS-B too."""
    free = Action(linear_problem())
    mean = posterior_mean(free, 3.0).reshape(-1)
    box = np.array([[-0.3, 0.3], [-np.inf, 0.2], [-0.1, np.inf]])
    problem = linear_problem(
        state_bounds=box, parameters=(Estimated("b", (-1.0, 2.0), (-1.0, 0.05), (0.4, 0.8)),)
    )
    action = Action(problem)
    low, high = problem.bounds
    assert ((mean < low) | (mean > high)).sum() > 3
    with PetscMinimizer(action) as minimizer:
        found = minimizer.minimize(generator(2).uniform(-1, 1, action.size), 3.0)
    x, gradient = found.path, action.gradient(found.path, 3.0)[1]
    assert found.reason.converged
    assert (x >= low).all() and (x <= high).all()
    at_low, at_high = x <= low + 1e-9, x >= high - 1e-9
    assert at_low.any() and at_high.any()
    assert (gradient[at_low & ~at_high] >= -1e-8).all() and (gradient[at_high & ~at_low] <= 1e-8).all()
    np.testing.assert_allclose(gradient[~at_low & ~at_high], 0.0, atol=1e-8)
    matrix, zero = dense(action, x, 3.0), np.zeros(action.size)
    known = minimize(
        lambda y: 0.5 * y @ matrix @ y + action.gradient(zero, 3.0)[1] @ y,
        np.clip(mean, low, high),
        jac=lambda y: matrix @ y + action.gradient(zero, 3.0)[1],
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 5000},
    )
    np.testing.assert_allclose(x, known.x, atol=1e-6)


def test_a_path_outside_its_bounds_is_brought_inside():
    problem = linear_problem(state_bounds=np.tile([-0.3, 0.3], (3, 1)))
    with PetscMinimizer(Action(problem)) as minimizer:
        found = minimizer.minimize(np.full(problem.size, 50.0), 1.0)
    low, high = problem.bounds
    assert found.reason.converged and (found.path >= low).all() and (found.path <= high).all()


def test_a_fixed_unknown_stays_where_its_bounds_are():
    problem = linear_problem(parameters=(Estimated("b", (0.5, 0.5), bounds=(0.5, 0.5)),))
    action = Action(problem)
    with PetscMinimizer(action) as minimizer:
        for fresh in (True, False):
            found = minimizer.minimize(np.zeros(action.size), 1.0, fresh)
            assert found.reason.converged and found.path[-1] == 0.5
    np.testing.assert_allclose(action.gradient(found.path, 1.0)[1][:-1], 0.0, atol=1e-8)


@pytest.mark.parametrize("fresh", [False, True])
def test_the_barrier_of_the_first_rung_leaves_no_trace_at_the_minimum(fresh):
    problem = lorenz_problem(bounded=True, rho_bounds=(15.0, 45.0))
    action = Action(problem)
    begin = generator(3).uniform(*np.clip(problem.bounds, -5, 20))
    with PetscMinimizer(action) as minimizer:
        found = minimizer.minimize(begin, 1e3, fresh)
    assert found.reason.converged
    np.testing.assert_allclose(action.gradient(found.path, 1e3)[1] * scales(problem), 0.0, atol=1e-4)
    assert found.parts == action.value(found.path, 1e3)


def test_the_end_is_a_minimum_whose_newton_decrement_is_rounding():
    action = Action(lorenz_problem())
    path = generator(0).uniform(-10, 20, action.size)
    with PetscMinimizer(action) as minimizer:
        for rf in (1e-2, 1.0, 1e2, 1e4, 1e6):
            found = minimizer.minimize(path, rf)
            path = found.path
            assert found.reason.converged
            matrix, gradient = dense(action, path, rf), action.gradient(path, rf)[1]
            assert np.linalg.eigvalsh(matrix).min() > 0
            decrement = 0.5 * gradient @ np.linalg.solve(matrix, gradient)
            assert decrement <= 1e-10 * found.parts.total
            assert found.factorizations >= found.iterations > 0


def test_scaled_unknowns_are_found_as_well():
    """A parameter a million times larger than the states."""
    problem = of_one_map(
        lambda x, p: [1e-6 * p.big * x[0]],
        (-3.0, 3.0),
        {"x": "x0"},
        [[2.0], [3.0]],
        (Estimated("big", (0.5e6, 2e6)),),
    )
    with PetscMinimizer(Action(problem)) as minimizer:
        found = minimizer.minimize(np.array([1.0, 1.0, 0.6e6]), 1.0)
    assert found.reason.converged
    np.testing.assert_allclose(found.path, [2.0, 3.0, 1.5e6], rtol=1e-6)


def test_an_action_without_lower_end_is_no_minimum():
    """Nothing measures x(1): exp(-x(0)) = 0 is only reached at infinity; the path stays finite."""
    problem = of_one_map(lambda x, p: [np.exp(-x[0])], (-3.0, 3.0), {"y": "exp(-x0)"}, [[0.0], [np.nan]])
    with PetscMinimizer(Action(problem), max_iterations=200) as minimizer:
        found = minimizer.minimize(np.array([0.0, 0.0]), 1.0)
    assert np.isfinite(found.path).all() and found.parts.total < 1e-8
    assert found.reason.converged or found.reason is Reason.STOPPED_ITERATIONS
