"""Meshes whose steps differ: few intervals resolve a layer, and what is told of the path stays right."""

import numpy as np
import pytest
from scipy.special import erf

import hpcda
from hpcda.boundary.grading import divided

NAN = np.nan
PI = np.pi


def with_interior_layer(eps, **options):
    """Problem 7 of the test set of Mazzia and Cash, and its exact solution.

    eps x'' = -t x' + x - (1 + eps π²) cos πt - πt sin πt,  x(-1) = -1,  x(1) = 1.
    """

    def rates(t, x, p):
        push = -t * x[1] + x[0] - (1.0 + p.e * PI**2) * np.cos(PI * t) - PI * t * np.sin(PI * t)
        return [x[1], push / p.e]

    def exact(t):
        root = np.sqrt(2.0 * eps / PI)
        layer = t * erf(t / np.sqrt(2.0 * eps)) + root * np.exp(-(t**2) / (2.0 * eps))
        return np.cos(PI * t) + t + layer / (erf(1.0 / np.sqrt(2.0 * eps)) + root * np.exp(-0.5 / eps))

    found = hpcda.boundary_value(rates, [-1.0, 1.0], [[-1.0, NAN], [1.0, NAN]], known={"e": eps}, **options)
    return found, exact


@pytest.mark.parametrize("eps", [1e-2, 1e-4])
@pytest.mark.parametrize("tol", [1e-4, 1e-7])
def test_a_layer_is_resolved_by_few_intervals(eps, tol):
    found, exact = with_interior_layer(eps, tol=tol)
    assert found.success and found.error <= tol
    assert np.abs(found.x[:, 0] - exact(found.t)).max() < tol
    steps = np.diff(found.t)
    assert steps.max() > (3.0 if eps > 1e-3 else 6.0) * steps.min()
    equal, _ = with_interior_layer(eps, steps=found.steps)
    off = np.abs(equal.x[:, 0] - exact(equal.t)).max()
    assert off > 3.0 * np.abs(found.x[:, 0] - exact(found.t)).max()


def test_the_curve_and_the_derivative_by_a_known_parameter_are_those_of_the_path():
    eps, change = 1e-3, 1e-5
    found, exact = with_interior_layer(eps, tol=1e-8)
    t = np.linspace(-1.0, 1.0, 301)
    assert np.abs(found.sol(t)[:, 0] - exact(t)).max() < 1e-5
    after, before = (with_interior_layer(eps + side * change, tol=1e-9)[0] for side in (1.0, -1.0))
    slopes = (after.sol(found.t)[:, 0] - before.sol(found.t)[:, 0]) / (2.0 * change)
    told = found.jacobian("e")[:, 0]
    assert np.abs(told - slopes).max() < 2e-3 * np.abs(slopes).max()


def test_a_smooth_path_keeps_equal_steps():
    found = hpcda.boundary_value(lambda t, x: [x[1], -x[0]], [0.0, 1.0], [[0.0, NAN], [1.0, NAN]])
    steps = np.diff(found.t)
    assert found.success and np.ptp(steps) < 1e-12
    assert np.abs(found.x[:, 0] - np.sin(found.t) / np.sin(1.0)).max() < 1e-6


def test_conditions_inside_stay_ends_of_intervals():
    eps = 1e-4
    found = hpcda.boundary_value(
        lambda t, x: [x[1], x[0] / eps], [0.0, 0.5, 1.0], [[1.0, NAN], [0.3, NAN], [1.0, NAN]], rf=1e4,
        noise_std=[[0.0, 0.0], [0.1, 0.1], [0.0, 0.0]], tol=1e-3,
    )  # fmt: skip
    assert found.success and 0.5 in found.t
    assert np.ptp(np.diff(found.t)) > 1e-3
    k = int(np.flatnonzero(found.t == 0.5)[0])
    kick = (found.x[k, 0] - 0.3) / 0.1**2
    assert found.leaving[k, 0] - found.arriving[k, 0] == pytest.approx(kick, rel=1e-3)


def test_intervals_are_cut_by_their_errors():
    ends, cuts = divided(np.array([0.0, 1.0, 3.0, 6.0]), np.array([0.5, 2.0, 2000.0]), 1.0)
    assert cuts.tolist() == [1, 2, 3]
    np.testing.assert_allclose(ends, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
