"""The variational integrator and shooting: symplectic, energy, Newton's path, where shooting stops."""

from __future__ import annotations

import numpy as np
import pytest

from hpcda import Model, Problem, State
from hpcda.action import Action
from hpcda.mechanics import DiscreteLagrangian, motion
from hpcda.mechanics.integrator import VariationalIntegrator
from hpcda.mechanics.shooting import ShootingError, shoot
from tests.unit import field

SCHEMES = ["trapezoid", "implicit-midpoint", "hermite-simpson", "heun", "rk4"]
X, P = np.array([0.5, -0.3, 0.8]), np.array([0.4, 0.2, -0.7])
J = np.block([[np.zeros((3, 3)), np.eye(3)], [-np.eye(3), np.zeros((3, 3))]])


def integrator(scheme: str, steps: int, rf: float, swing: float = 1.0) -> VariationalIntegrator:
    action = Action(field.problem(scheme, steps, swing))
    return VariationalIntegrator(DiscreteLagrangian(action.equations), rf)


@pytest.mark.parametrize("rf", [3.0, np.inf])
@pytest.mark.parametrize("steps", [2, 4, 40])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_step_is_symplectic_at_any_size(scheme, steps, rf):
    tangent = integrator(scheme, steps, rf).step(X, P, tangent=True).tangent
    assert np.abs(tangent.T @ J @ tangent - J).max() < 1e-14


def test_runge_kutta_on_hamiltons_equations_is_not():
    def rates(z):
        x, p = z[:3], z[3:]
        g = np.tanh(field.BASE @ x + field.BIAS)
        return np.concatenate([g + p / 3.0, -field.BASE.T @ ((1.0 - g**2) * p)])

    def step(z, h=0.05):
        a = rates(z)
        b = rates(z + h / 2 * a)
        c = rates(z + h / 2 * b)
        return z + h / 6 * (a + 2 * b + 2 * c + rates(z + h * c))

    z, eps = np.concatenate([X, P]), 1e-20
    tangent = np.array([step(z + 1j * eps * row).imag / eps for row in np.eye(6)]).T
    assert 1e-11 < np.abs(tangent.T @ J @ tangent - J).max() < 1e-4


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_tangent_map_is_the_derivative(scheme):
    made, eps = integrator(scheme, 8, 3.0), 1e-6
    z = np.concatenate([X, P])

    def moved(z):
        one = made.step(z[:3], z[3:])
        return np.concatenate([one.points[-1], one.momentum])

    columns = [(moved(z + eps * row) - moved(z - eps * row)) / (2 * eps) for row in np.eye(6)]
    assert np.allclose(made.step(X, P, tangent=True).tangent, np.array(columns).T, atol=1e-9)


def test_the_energy_does_not_drift_over_ten_thousand_steps():
    """dx/dt = y, dy/dt = -sin x with Rf = 1: H stays within O(h²) of its first value."""
    drift = []
    for h, steps in ((0.1, 5_000), (0.05, 10_000)):
        problem = Problem(
            pendulum(), np.arange(3) * h, {"x": np.zeros(3)}, 1.0, discretization="implicit-midpoint",
            steps_per_sample=1, model_error="per time", model_error_weight={"x": 1.0, "y": 1.0},
        ).built.problem  # fmt: skip
        made = VariationalIntegrator(DiscreteLagrangian(Action(problem).equations), 1e6)
        x, p, near = np.array([0.8, 0.1]), np.array([0.3, -0.2]), None
        energies = []
        for _ in range(steps):
            energies.append(p[0] * x[1] - p[1] * np.sin(x[0]) + p @ p / 2e6)
            near = made.step(x, p, near=near)
            x, p = near.points[-1], near.momentum
        drift.append(np.abs(np.array(energies) - energies[0]).max())
    assert drift[0] < 0.02
    assert 3.0 < drift[0] / drift[1] < 5.0


def pendulum() -> Model:
    def equations(x, p, u, t):
        return [x.y, -np.sin(x.x)]

    return Model("pendulum", (State("x", range=(-2.0, 2.0)), State("y", range=(-2.0, 2.0))), (), equations)


@pytest.mark.parametrize("segments", [1, 4])
@pytest.mark.parametrize("rf", [1.0, 100.0])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_shooting_finds_the_path_of_newtons_method(scheme, rf, segments):
    action, start = Action(field.problem(scheme, 20)), field.straight(20)
    found, path = shoot(action, start, rf, segments), field.minimized(action, start, rf)
    moved = motion(action, path, rf).windows[0]
    span, size = 20 // (len(found.leaving) - 1), np.abs(moved.leaving).max()
    assert np.abs(found.points.ravel() - path).max() < 1e-11
    assert np.abs(found.leaving - moved.leaving[::span]).max() < 1e-11 * size
    assert np.abs(found.arriving - moved.arriving[::span]).max() < 1e-11 * size


@pytest.mark.parametrize("segments", [1, 4])
@pytest.mark.parametrize("scheme", ["trapezoid", "implicit-midpoint", "rk4"])
def test_shooting_at_infinity_is_the_forward_solution_of_casadi(scheme, segments):
    found = shoot(Action(field.problem(scheme, 20)), field.straight(20), np.inf, segments)
    network = field.Network(scheme, 20)
    assert np.abs(found.points - network.forward(network.trained())).max() < 1e-11


def lorenz(span: float):
    """Lorenz 63, measured at both ends, trapezoid rule with h = 0.02."""
    from scipy.integrate import solve_ivp

    t = np.arange(int(round(span / 0.02)) + 1) * 0.02

    def rates(_, x):
        return [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]

    truth = solve_ivp(rates, (0, t[-1]), [-5.0, -6.0, 22.0], t_eval=t, rtol=1e-10, atol=1e-10).y.T
    data = np.full(truth.shape, np.nan)
    data[[0, -1]] = truth[[0, -1]]
    problem = Problem(
        "lorenz63", t, {name: data[:, k] for k, name in enumerate("xyz")}, 0.1, gaps=True,
        discretization="trapezoid", steps_per_sample=1, model_error="per time",
        model_error_weight=dict.fromkeys("xyz", 1.0),
    ).built.problem  # fmt: skip
    return Action(problem), truth


def test_where_shooting_stops_and_segments_go_on():
    action, truth = lorenz(8.0)
    start = truth + 0.05 * np.sin(np.arange(truth.size)).reshape(truth.shape)
    path = field.minimized(action, start.ravel(), 10.0)
    with pytest.raises(ShootingError, match="give more segments"):
        shoot(action, path, 10.0, 1)
    found = shoot(action, path, 10.0, 40)
    assert np.abs(found.points.ravel() - path).max() < 1e-8


def test_more_segments_than_intervals_are_refused():
    action = Action(field.problem("trapezoid", 8))
    with pytest.raises(ValueError, match="9 segments of 8 intervals"):
        shoot(action, field.straight(8), 1.0, 9)
