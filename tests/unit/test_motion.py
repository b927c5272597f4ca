"""Momenta of a path and its Euler-Lagrange equations."""

import numpy as np
import pytest

from hpcda.action import Action
from hpcda.mechanics import DiscreteLagrangian, motion

from .problems import VARIANTS, cases, example
from .test_lagrangian import of_window

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
