"""The discrete Lagrangian of a step: its derivatives, and the momenta at its ends."""

import numpy as np
import pytest

from hpcda.action import Action
from hpcda.mechanics import DiscreteLagrangian
from tests.chance import generator
from tests.unit.problems import cases, example, linear_model

STEP = 1e-6
SOME = [case for case in cases() if case[0] in ("lorenz96", "henon", "nakl")]


def of_window(problem, path, window, lagrangian):
    """Points, constants and numbers of all intervals of a window."""
    blocks, constants = problem.split(path)
    count = (problem.windows[window].times - 1) // lagrangian.span
    numbers = np.arange(count)
    points = blocks[window][numbers[:, None] * lagrangian.span + np.arange(lagrangian.span + 1)]
    return points, constants[problem.layout.seen(window)], numbers


@pytest.mark.parametrize("variant", ["walk", "nonlinear and gaps", "independent and series"])
@pytest.mark.parametrize(("name", "scheme"), SOME)
def test_errors_are_the_actions_and_derivatives_are_their_differences(name, scheme, variant):
    problem, path = example(name, scheme, variant)
    action = Action(problem)
    rng = generator(3)
    for window in range(len(problem.windows)):
        lagrangian = DiscreteLagrangian(action.equations, window)
        points, constants, numbers = of_window(problem, path, window, lagrangian)
        errors = lagrangian.errors(points, constants, numbers)
        np.testing.assert_allclose(errors, action.model_errors(window, path)[0], rtol=1e-11, atol=1e-11)
        multipliers = rng.normal(size=errors.shape)
        slopes = lagrangian.slopes(points, constants, numbers)
        bends = lagrangian.bends(points, multipliers, constants, numbers)
        pulls = np.einsum("nr,nrjd->njd", multipliers, slopes)
        for point in range(lagrangian.span + 1):
            for state in range(problem.dimension):
                step = np.zeros_like(points)
                step[:, point, state] = STEP * np.maximum(1.0, np.abs(points[:, point, state]))
                size = 2.0 * step[:, point, state]
                above, below = points + step, points - step
                change = lagrangian.errors(above, constants, numbers) - lagrangian.errors(
                    below, constants, numbers
                )
                scale = np.abs(slopes).max()
                np.testing.assert_allclose(
                    change / size[:, None], slopes[:, :, point, state], atol=1e-7 * scale
                )
                turned = (
                    np.einsum(
                        "nr,nrjd->njd",
                        multipliers,
                        lagrangian.slopes(above, constants, numbers)
                        - lagrangian.slopes(below, constants, numbers),
                    )
                    / (size[:, None, None])
                )
                row = bends[:, point * problem.dimension + state].reshape(turned.shape)
                room = 1e-6 * max(np.abs(bends).max(), np.abs(pulls).max())
                np.testing.assert_allclose(turned, row, atol=room)


@pytest.mark.parametrize(
    ("scheme", "left", "right"),
    [
        ("trapezoid", 0.5, 0.5),
        ("implicit-midpoint", 0.5, 0.5),
        ("map", None, None),
    ],
)
def test_momenta_of_a_linear_model_are_the_textbooks(scheme, left, right):
    """(I + h/2 DF)ᵀ λ and (I - h/2 DF)ᵀ λ of the two rules of second order; Dfᵀ λ and λ of a map."""
    from tests.unit.problems import MATRIX

    kind = "map" if scheme == "map" else "flow"
    problem, path = example(linear_model(kind), scheme, "states alone", dt=0.1)
    action = Action(problem)
    lagrangian = DiscreteLagrangian(action.equations)
    points, constants, numbers = of_window(problem, path, 0, lagrangian)
    rf = 3.0
    multipliers = lagrangian.multipliers(lagrangian.errors(points, constants, numbers), rf)
    found = lagrangian.momenta(points, multipliers, constants, numbers)
    if kind == "map":
        wanted = multipliers @ MATRIX, multipliers
    else:
        slope = MATRIX - np.eye(3)
        wanted = (
            multipliers @ (np.eye(3) + left * 0.1 * slope),
            multipliers @ (np.eye(3) - right * 0.1 * slope),
        )
    np.testing.assert_allclose(found.left, wanted[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.right, wanted[1], rtol=1e-12, atol=1e-12)
    assert found.inner.shape == (len(points), 0, 3)


def test_shapes_that_do_not_fit_are_refused():
    problem, _ = example("lorenz96", "trapezoid", "states alone")
    lagrangian = DiscreteLagrangian(Action(problem).equations)
    with pytest.raises(ValueError, match=r"expected \(n, 2, 5\) and \(0,\)"):
        lagrangian.errors(np.zeros((1, 3, 5)))
    with pytest.raises(ValueError, match="constants of shape"):
        lagrangian.errors(np.zeros((1, 2, 5)), [1.0])
