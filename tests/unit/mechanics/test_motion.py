"""Momenta of a path and its Euler-Lagrange equations."""

from dataclasses import replace

import numpy as np
import pytest

from hpcda.action import Action
from hpcda.mechanics import DiscreteLagrangian, MomentaUnknownError, motion
from tests.chance import generator
from tests.unit.field import minimized, straight
from tests.unit.field import problem as field_problem
from tests.unit.mechanics.test_lagrangian import of_window
from tests.unit.problem.test_ties import tied
from tests.unit.problems import VARIANTS, cases, example

SOME = ("lorenz96", "henon", "nakl")
CASES = [(*case, variant) for case in cases() for variant in VARIANTS if case[0] in SOME]


@pytest.mark.parametrize(("name", "scheme", "variant"), CASES)
def test_the_residual_is_the_gradient_and_momenta_are_those_of_the_steps(name, scheme, variant):
    problem, path = example(name, scheme, variant)
    action, rf = Action(problem), 2.5
    found = motion(action, path, rf)
    gradient = action.gradient(path, rf)[1]
    room = 1e-12 * np.abs(gradient).max()
    np.testing.assert_allclose(found.gradient, gradient, rtol=1e-11, atol=room)
    assert found.source == "model errors"
    for number, one in enumerate(found.windows):
        places = problem.layout.points(number)[:, : problem.dimension]
        np.testing.assert_allclose(one.residual, gradient[places], rtol=1e-11, atol=room)
        np.testing.assert_array_equal(one.arriving[0], 0.0)
        np.testing.assert_array_equal(one.leaving[-1], 0.0)
        lagrangian = DiscreteLagrangian(action.equations, number)
        points, constants, numbers = of_window(problem, path, number, lagrangian)
        multipliers = lagrangian.multipliers(lagrangian.errors(points, constants, numbers), rf)
        steps = lagrangian.momenta(points, multipliers, constants, numbers)
        span = lagrangian.span
        atol = 1e-10 * np.abs(steps.left).max()
        np.testing.assert_allclose(one.leaving[:-1:span], steps.left, rtol=1e-9, atol=atol)
        np.testing.assert_allclose(one.arriving[span::span], steps.right, rtol=1e-9, atol=atol)


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson", "rk4"])
@pytest.mark.parametrize("rf", [1e4, 1e8])
def test_near_a_minimum_the_balance_of_forces_is_closer(scheme, rf):
    """A path that is off by little: model errors times Rf are off by that times Rf, the balance is not."""
    action, path = Action(field_problem(scheme, 40)), straight(40)
    for step in (1.0, 1e2, 1e4, 1e6, 1e8):
        if step <= rf:
            path = minimized(action, path, step)
    wanted = motion(action, path, rf).windows[0].middle
    size = np.abs(wanted).max()
    off = path + 1e-4 * size / rf * generator(2).normal(size=path.shape)
    found = motion(action, off, rf)
    assert found.source == "balance of forces"
    assert found.imbalance > 1e-5
    np.testing.assert_allclose(found.windows[0].middle, wanted, atol=1e-6 * size)
    np.testing.assert_allclose(found.windows[0].residual, 0.0, atol=1e-6 * size)
    np.testing.assert_allclose(found.gradient, action.gradient(off, rf)[1], rtol=1e-6, atol=1e-9 * size)


def test_at_a_small_rf_and_far_from_a_minimum_model_errors_are_taken():
    action = Action(field_problem("trapezoid", 40))
    path = minimized(action, straight(40), 1e-2)
    off = path + 1e-6 * generator(2).normal(size=path.shape)
    assert motion(action, off, 1e-2).source == "model errors"
    assert motion(action, straight(40), 1e6).source == "model errors"
    assert motion(action, straight(40), 1e6).imbalance > 0.1


def test_states_that_bounds_hold_are_left_out():
    """A minimum against a bound: what is left of the equations there is the bound's own force."""
    bounds = np.array([[-np.inf, 1.2], [-np.inf, np.inf], [-np.inf, np.inf]])
    free = field_problem("trapezoid", 20)
    action = Action(free)
    path = minimized(action, straight(20), 1.0).reshape(-1, 3)
    path[4:8, 0] = 1.2
    held = motion(Action(field_problem("trapezoid", 20, state_bounds=bounds)), path.ravel(), np.inf)
    np.testing.assert_array_equal(np.flatnonzero(held.held), 3 * np.arange(4, 8))
    loose = motion(action, path.ravel(), np.inf)
    assert not loose.held.any()
    assert held.imbalance < loose.imbalance
    everywhere = np.tile([0.0, 0.0], (3, 1)) + [[-1e-9, 1e-9]]
    closed = Action(field_problem("trapezoid", 20, state_bounds=everywhere))
    with pytest.raises(MomentaUnknownError, match="bounds hold all states"):
        motion(closed, np.zeros(63), np.inf)


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson", "rk4"])
def test_parameters_that_windows_share_or_have_of_their_own(scheme):
    shared, path = tied(scheme=scheme)
    own, other = example("lorenz96", scheme, "nonlinear and gaps")
    own = replace(own, parameters=tuple(replace(one, per_window=True) for one in own.parameters))
    other = np.concatenate([other, 1.1 * other[own.layout.begins[-1] :]])
    for problem, at in ((shared, path), (own, other)):
        action = Action(problem)
        gradient = action.gradient(at, 2.5)[1]
        found = motion(action, at, 2.5).gradient
        np.testing.assert_allclose(found, gradient, rtol=1e-11, atol=1e-12 * np.abs(gradient).max())
