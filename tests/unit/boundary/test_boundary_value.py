"""Boundary value problems: against SciPy's solve_bvp, closed forms, finite differences; bad input."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import hpcda
from tests.unit import field

NAN = np.nan


def bratu(x, y, p):
    return [y[1], -p.k * np.exp(y[0])]


def tanh_field(t, y):
    weights = field.BASE + field.SWING * np.sin(field.OMEGA * t)
    return [np.tanh(sum(weights[i, j] * y[j] for j in range(3)) + field.BIAS[i]) for i in range(3)]


def two_ends(steps: int, rf: float = 1.0, **changes):
    return hpcda.boundary_value(
        tanh_field, np.linspace(0.0, field.SPAN, steps + 1), ya=field.FIRST, yb=field.LAST,
        ya_std=0.5, yb_std=0.5, rf=rf, **changes,
    )  # fmt: skip


def test_both_solutions_of_bratus_problem():
    """y = -2 ln(cosh((x - 1/2) θ/2) / cosh(θ/4)), θ = √(2k) cosh(θ/4): two θ below k = 3.51."""
    x = np.linspace(0.0, 1.0, 129)
    found = hpcda.boundary_value(
        bratu, x, p={"k": 1.0}, ya=[0.0, NAN], yb=[0.0, NAN], starts=20, spread=[4.0, 20.0],
        method="hermite-simpson",
    )  # fmt: skip
    assert found.success
    tops = sorted(one.y[0].max() for one in found.solutions)
    assert len(tops) == 2
    for top, theta in zip(tops, (1.5171645990507543, 10.938702772122106), strict=True):
        assert top == pytest.approx(2 * np.log(np.cosh(theta / 4)), abs=1e-5)


def test_states_and_momenta_are_of_second_order_against_solve_bvp():
    truth, errors = field.boundary_value(1.0), []
    for steps in (20, 40, 80, 160, 320):
        found = two_ends(steps)
        exact = truth(found.x)
        momentum = found.momentum[0][:, :-1] - exact[3:, :-1]
        errors.append([np.abs(found.y - exact[:3]).max(), np.abs(momentum).max()])
        assert np.abs(found.y - exact[:3]).max() < 1.2 * found.error_estimate.max()
    orders = np.log2(np.array(errors)[:-1] / np.array(errors)[1:])
    assert np.abs(orders - 2.0).max() < 0.05


@pytest.mark.parametrize("rf", [1.0, np.inf])
def test_derivatives_by_parameters_and_ends_are_those_of_differences(rf):
    x, eps = np.linspace(0.0, 1.0, 33), 1e-5

    def solved(k=1.0, end=0.3):
        if np.isinf(rf):
            return hpcda.boundary_value(bratu, x, p={"k": k}, ya=[0.0, NAN], yb=[end, NAN])
        data = np.full((2, 33), NAN)
        data[:, 16] = 0.1
        return hpcda.boundary_value(
            bratu, x, p={"k": k}, ya=[0.0, 0.2], yb=[end, NAN], rf=rf, data=data, data_std=0.1
        )

    found = solved()
    assert found.success
    by_k = (solved(k=1 + eps).y - solved(k=1 - eps).y) / (2 * eps)
    by_end = (solved(end=0.3 + eps).y - solved(end=0.3 - eps).y) / (2 * eps)
    assert np.allclose(found.jacobian("k")[0], by_k, atol=1e-8)
    assert np.allclose(found.end_jacobian(0, last=True)[0], by_end, atol=1e-8)


def test_an_unknown_parameter_is_an_eigenvalue():
    """y'' = -k y, y(0) = y(1) = 0, y'(0) = 1: k = (n π)²."""
    x = np.linspace(0.0, 1.0, 101)
    found = hpcda.boundary_value(
        lambda x, y, p: [y[1], -p.k * y[0]], x, ya=[0.0, 1.0], yb=[0.0, NAN],
        y=[np.sin(np.pi * x), np.cos(np.pi * x)],
        estimate={"k": (8.0, 12.0)}, method="hermite-simpson",
    )  # fmt: skip
    assert found.success
    assert found.p == pytest.approx([np.pi**2], rel=1e-6)


def test_posterior_of_a_linear_problem_is_least_squares():
    """dy/dx = -y from data with noise: variance of y(0) is 1 / Σ exp(-2 x) / σ²."""
    x = np.linspace(0.0, 1.0, 201)
    data = np.full((1, 201), NAN)
    data[0, ::20] = np.exp(-x[::20])
    found = hpcda.boundary_value(lambda x, y: [-y[0]], x, data=data, data_std=0.1)
    expected = 0.1 / np.sqrt(np.sum(np.exp(-2 * x[::20])))
    assert found.std[0][0, 0] == pytest.approx(expected, rel=1e-4)


def test_tolerance_refines_the_mesh():
    found = two_ends(10, tol=1e-6)
    assert found.success and len(found.x) > 161
    assert np.abs(found.y - field.boundary_value(1.0)(found.x)[:3]).max() < 3e-6
    assert two_ends(10, tol=1e-6, max_nodes=50).status == 1


def test_undetermined_conditions_are_singular():
    found = hpcda.boundary_value(lambda x, y: [y[1], -y[0]], np.linspace(0, 1, 11), ya=[0.0, NAN])
    assert not found.success and found.status == 2
    with pytest.raises(AttributeError, match="do not determine"):
        found.y  # noqa: B018


X = np.linspace(0.0, 1.0, 11)
BAD = [
    (dict(), "nothing is given at either end"),
    (dict(ya=[NAN, NAN]), "nothing is given at either end"),
    (dict(ya=[0.0, np.inf]), "inf stands at"),
    (dict(ya=[0.0, 1.0], yb=[1.0]), "yb: it has shape"),
    (dict(ya=[0.0, 1.0], ya_std=0.0), "0 is not above 0"),
    (dict(ya=[0.0, 1.0], x=[0.0, 0.1, 0.3]), "its steps go from 0.1 to 0.2"),
    (dict(ya=[0.0, 1.0], x=X[:10], method="hermite-simpson"), "9 steps do not divide"),
    (dict(ya=[0.0, 1.0], method="euler"), "'euler' is none"),
    (dict(ya=[0.0, 1.0], rf=-1.0), "rf: -1.0 is not"),
    (dict(ya=[0.0, 1.0], starts=0), "starts: 0 is not"),
    (dict(ya=[0.0, 1.0], data=np.ones((2, 11))), "data_std: it is missing"),
    (dict(ya=[0.0, 1.0], y=np.full((2, 11), NAN)), "y: nan stands at"),
    (dict(ya=[0.0, 1.0], p={"k": 1.0}), "and there are parameters"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_one_message(arguments, message):
    with pytest.raises(hpcda.InputError, match=message) as caught:
        hpcda.boundary_value(lambda x, y: [y[1], -y[0]], **{"x": X, **arguments})
    assert len(caught.value.mistakes) == 1


def test_an_explicit_scheme_that_blows_up_is_said():
    with pytest.raises(hpcda.InputError, match="not finite with rk4"):
        hpcda.boundary_value(lambda x, y: [np.exp(y[0] ** 3)], X, ya=[20.0], method="rk4")


def test_neither_mpi_nor_petsc_nor_hdf5_is_loaded():
    code = (
        "import sys, numpy as np, hpcda\n"
        "r = hpcda.boundary_value(lambda x, y: [y[1], -y[0]], np.linspace(0, 1, 11), "
        "ya=[0, np.nan], yb=[1, np.nan])\n"
        "assert r.success\n"
        "sys.exit(any(one in sys.modules for one in ('mpi4py', 'petsc4py', 'h5py', 'xarray')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
