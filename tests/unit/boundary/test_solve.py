"""Boundary value problems beside SciPy's solutions and closed forms."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import brentq

import hpcda
from tests.unit import field

NAN = np.nan


def neural(t, x):
    return np.tanh(np.array(field.BASE) @ x + np.sin(field.OMEGA * t) * (field.SWING @ x) + field.BIAS)


def spring(t, x, p):
    return [x[1], -p.k * x[0] + p.force[0] + p.force[1] * t]


KNOWN = {"k": 3.0, "force": np.array([0.5, -0.2])}
ENDS = [[0.0, NAN], [1.0, NAN]]


def neural_solution(**changes):
    given = {"noise_std": field.PRECISION**-0.5, "rf": 1.0} | changes
    return hpcda.boundary_value(neural, [0.0, field.SPAN], [field.FIRST, field.LAST], **given)


@pytest.mark.parametrize("scheme", ["trapezoid", "implicit-midpoint", "hermite-simpson"])
def test_states_and_momenta_converge_to_scipy_with_order_two(scheme):
    reference = field.boundary_value(1.0)
    errors = []
    for steps in (20, 40, 80):
        found = neural_solution(steps=steps, discretization=scheme)
        z = reference(found.t)
        errors.append([np.abs(found.x - z[:3].T).max(), np.abs(found.momenta - z[3:].T).max()])
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.abs(slopes - 2.0).max() < 0.05


def test_the_error_of_the_limit_is_estimated_from_above():
    reference = field.boundary_value(1.0)
    for tol in (1e-4, 1e-6, 1e-8):
        found = neural_solution(tol=tol)
        error = np.abs(found.x - reference(found.t)[:3].T).max()
        assert found.success and found.error <= tol
        assert error <= 2.0 * found.error
        between = np.linspace(0.0, field.SPAN, 401)
        assert np.abs(found.sol(between).T - reference(between)[:3]).max() < 100 * tol


def test_exact_conditions_are_obeyed_exactly():
    found = neural_solution(noise_std=0.0, steps=40)
    assert np.abs(found.x[0] - field.FIRST).max() < 1e-14
    assert np.abs(found.x[-1] - field.LAST).max() < 1e-14
    nearly = neural_solution(noise_std=1e-6, steps=40)
    assert np.abs(found.x - nearly.x).max() < 1e-9
    assert np.abs(found.momenta - nearly.momenta).max() < 1e-8 * np.abs(found.momenta).max()


def test_an_ordinary_problem_at_infinity_has_its_closed_form():
    found = hpcda.boundary_value(lambda t, x: [x[1], -x[0]], [0.0, 1.0], ENDS, tol=1e-9)
    assert np.abs(found.x[:, 0] - np.sin(found.t) / np.sin(1.0)).max() < 1e-9
    assert np.abs(found.momenta).max() < 1e-9 and found.is_minimum


def test_an_eigenvalue_is_an_estimated_parameter():
    """x'' = -k x, x(0) = x(1) = 0, x'(0) = 1: k = π². Straight lines, x = 0, would not depend on k."""
    found = hpcda.boundary_value(
        lambda t, x, p: [x[1], -p.k * x[0]], [0.0, 1.0], [[0.0, 1.0], [0.0, NAN]], p={"k": 8.0}, tol=1e-8,
        x=lambda t: [t * (1.0 - t), 1.0 - 2.0 * t],
    )  # fmt: skip
    assert found.p["k"] == pytest.approx(np.pi**2, abs=1e-6)
    assert found.p_std["k"] == pytest.approx(0.0, abs=1e-6)


def test_a_condition_between_the_ends_kicks_the_momentum():
    found = neural_solution()
    y = [field.FIRST, [0.3, NAN, NAN], field.LAST]
    kicked = hpcda.boundary_value(neural, [0.0, 0.5, 2.0], y, noise_std=0.5, rf=1.0, steps=40)
    jump = kicked.leaving - kicked.arriving
    assert jump[10, 0] == pytest.approx(4.0 * (kicked.x[10, 0] - 0.3))
    inner = np.delete(jump[1:-1], 9, axis=0)
    assert np.abs(inner).max() < 1e-12 and np.abs(jump[10, 1:]).max() < 1e-12
    assert kicked.momenta[0] == pytest.approx(4.0 * (kicked.x[0] - field.FIRST))
    assert kicked.momenta[-1] == pytest.approx(-4.0 * (kicked.x[-1] - field.LAST))
    assert found.steps > 1


@pytest.mark.parametrize(("rf", "noise_std"), [(np.inf, 0.0), (2.0, 0.1), (2.0, 0.0)])
def test_derivatives_by_known_parameters_and_conditions_are_differences(rf, noise_std):
    def solved(k=3.0, second=-0.2, end=1.0):
        known = {"k": k, "force": np.array([0.5, second])}
        y = [[0.0, NAN], [end, NAN]]
        return hpcda.boundary_value(spring, [0.0, 1.0], y, known=known, rf=rf, noise_std=noise_std, steps=16)

    one, h = solved(), 1e-5
    by_k = (solved(k=3.0 + h).x - solved(k=3.0 - h).x) / (2 * h)
    by_force = (solved(second=-0.2 + h).x - solved(second=-0.2 - h).x) / (2 * h)
    by_end = (solved(end=1.0 + h).x - solved(end=1.0 - h).x) / (2 * h)
    assert np.abs(one.jacobian("k") - by_k).max() < 1e-8
    assert one.jacobian("force").shape == (17, 2, 2)
    assert np.abs(one.jacobian("force")[:, :, 1] - by_force).max() < 1e-8
    assert np.abs(one.condition_jacobian[:, :, 1] - by_end).max() < 1e-8
    with pytest.raises(KeyError):
        one.jacobian("mass")


def test_error_bars_are_those_of_the_dense_gaussian():
    """Linear dynamics, trapezoid rule: the precision matrix is written down."""
    n, rf, std = 10, 5.0, 0.3
    a = np.array([[0.0, 1.0], [-2.0, -0.1]])
    found = hpcda.boundary_value(
        lambda t, x: a @ x, [0.0, 1.0], [[0.0, 1.0], [0.5, NAN]], noise_std=std, rf=rf, steps=n
    )
    h = 1.0 / n
    left, right = -np.eye(2) - h / 2 * a, np.eye(2) - h / 2 * a
    precision = np.zeros((2 * n + 2, 2 * n + 2))
    for k in range(n):
        row = np.zeros((2, 2 * n + 2))
        row[:, 2 * k : 2 * k + 2], row[:, 2 * k + 2 : 2 * k + 4] = left, right
        precision += rf / h * row.T @ row
    for place in (0, 1, 2 * n):
        precision[place, place] += std**-2
    expected = np.sqrt(np.diag(np.linalg.inv(precision))).reshape(-1, 2)
    assert found.is_minimum
    assert np.abs(found.x_std / expected - 1.0).max() < 1e-9


def test_the_ensemble_finds_both_solutions_of_bratu():
    """x'' + exp(x) = 0, x(0) = x(1) = 0: largest value 2 log cosh(c/4), where c = sqrt(2) cosh(c/4)."""
    roots = [brentq(lambda c: c - np.sqrt(2.0) * np.cosh(c / 4), *ends) for ends in ((0.1, 4.0), (6.0, 20.0))]
    tops = [2.0 * np.log(np.cosh(c / 4)) for c in roots]
    found = hpcda.boundary_value(
        lambda t, x: [x[1], -np.exp(x[0])], [0.0, 1.0], [[0.0, NAN], [0.0, NAN]],
        starts=6, x_range=[(-1.0, 8.0), (-15.0, 15.0)],
    )  # fmt: skip
    assert sorted(one.x[:, 0].max() for one in found.solutions) == pytest.approx(tops, abs=1e-4)
    assert found.success and all(one.action < 1e-12 for one in found.solutions)


def test_no_solution_is_said_so():
    """Bratu's problem beyond λ = 3.51 has none."""
    found = hpcda.boundary_value(
        lambda t, x: [x[1], -10.0 * np.exp(x[0])], [0.0, 1.0], [[0.0, NAN], [0.0, NAN]]
    )
    assert not found.success and found.status == 2 and "no solution" in found.message
    with pytest.raises(AttributeError, match="no solution"):
        found.x  # noqa: B018


def test_a_tolerance_out_of_reach_is_said_so():
    found = neural_solution(tol=1e-14, max_nodes=70)
    assert found.status == 1 and "70 points" in found.message and found.x.shape[1] == 3


def test_neither_mpi_nor_petsc_nor_hdf5_is_loaded():
    code = (
        "import sys, hpcda; hpcda.boundary_value(lambda t, x: [x[1], -x[0]], [0, 1], [[0, float('nan')], "
        "[1, float('nan')]], starts=2); print(sorted({'mpi4py', 'petsc4py', 'h5py'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
