"""Momenta against SciPy's boundary value solver and CasADi's back-propagation."""

import numpy as np
import pytest

import hpcda
from hpcda.action import Action
from hpcda.mechanics import energy, motion
from tests.unit.field import FIRST, PRECISION, Network, boundary_value, minimized, problem, straight

STEPS = (20, 40, 80, 160, 320)


@pytest.fixture(scope="module")
def continuum():
    return boundary_value(1.0)


@pytest.mark.parametrize(
    ("scheme", "order"),
    [("trapezoid", 2), ("implicit-midpoint", 2), ("hermite-simpson", 2), ("heun", 1), ("rk4", 1)],
)
def test_momenta_converge_to_the_hamiltonian_boundary_value_problem(continuum, scheme, order):
    """Rules that are not symmetric in time put model errors at one end of a step: first order."""
    states, momenta = [], []
    for steps in STEPS:
        action = Action(problem(scheme, steps))
        path = minimized(action, straight(steps), 1.0)
        found = motion(action, path, 1.0)
        assert found.imbalance < 1e-12
        wanted = continuum(action.problem.windows[0].t).T
        states.append(np.abs(path.reshape(-1, 3) - wanted[:, :3]).max())
        momenta.append(np.abs(found.windows[0].middle - wanted[:, 3:]).max())
    for errors in (states, momenta):
        np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), order, atol=0.05)


@pytest.mark.parametrize("scheme", ["trapezoid", "implicit-midpoint", "rk4"])
def test_back_propagation_is_the_momentum(scheme):
    """Apart by 1/Rf from 1e2 to 1e10, and to rounding at infinity."""
    steps = 40
    network, action = Network(scheme, steps), Action(problem(scheme, steps))
    states = network.forward(network.trained())
    pulls, _ = network.backward(states)
    exact = motion(action, states.ravel(), np.inf)
    assert exact.source == "balance of forces"
    own = exact.windows[0]
    assert np.abs(own.leaving[:-1] - pulls[:-1]).max() < 1e-12 * np.abs(pulls).max()
    assert np.abs(own.arriving[1:] - pulls[1:]).max() < 1e-12 * np.abs(pulls).max()
    np.testing.assert_allclose(own.leaving[0], PRECISION * (states[0] - FIRST), atol=1e-12)
    powers, path, gaps = np.arange(2, 11), straight(steps), []
    for rf in (1.0, 10.0, *10.0**powers):
        path = minimized(action, path, rf)
        found = motion(action, path, rf)
        assert found.imbalance < 5e-15 * rf + 1e-12
        forward = network.forward(path[:3])
        pulls = network.backward(forward)[0]
        apart = path.reshape(-1, 3) - forward, (found.windows[0].leaving - pulls)[:-1]
        gaps.append([np.abs(one).max() for one in apart])
    slopes = np.diff(np.log10(gaps[3:]), axis=0)
    np.testing.assert_allclose(slopes, -1.0, atol=0.02)
    assert found.source == "balance of forces"


def test_the_gradient_by_weights_is_that_of_back_propagation():
    network, action = Network("rk4", 40), Action(problem("rk4", 40, estimated=True))
    states = network.forward(network.trained())
    wanted = -network.backward(states)[1]
    given = action.problem.join([states], np.array(list(action.problem.model.defaults.values())))
    found = motion(action, given, np.inf)
    np.testing.assert_allclose(found.gradient[-9:].reshape(3, 3), wanted, rtol=1e-10, atol=1e-12)


def test_the_energy_is_conserved_to_second_order():
    changes = []
    for steps in STEPS[1:]:
        action = Action(problem("implicit-midpoint", steps, swing=0.0))
        path = minimized(action, straight(steps), 1.0)
        (found,) = energy(action, path, 1.0, motion(action, path, 1.0))
        changes.append(np.ptp(found.middle))
    assert changes[-1] < 1e-3 * abs(found.middle[0])
    np.testing.assert_allclose(np.log2(np.divide(changes[:-1], changes[1:])), 2.0, atol=0.05)


def test_a_run_to_infinity_gives_the_momenta_of_back_propagation():
    steps = 40
    network = Network("rk4", steps)
    states = network.forward(network.trained())
    pulls, _ = network.backward(states)
    given = problem("rk4", steps)
    y = {name: given.windows[0].data[:, k] for k, name in enumerate("xyz")}
    result = hpcda.anneal(
        hpcda.Problem(
            given.model, given.windows[0].t, y, 0.5, gaps=True, discretization="rk4", steps_per_sample=1,
            model_error="per time",
        ),
        starts=2,
        ladder=hpcda.Ladder(rf0=1.0, alpha=10.0, rungs=5, end="infinity"),
    )  # fmt: skip
    found = result.momentum
    assert found.attrs["rf"] == np.inf
    assert np.abs(result.x.reshape(-1, 3) - states).max() < 1e-10
    assert np.abs(found.leaving.values[:-1] - pulls[:-1]).max() < 1e-10
    assert found.attrs["imbalance"] < 1e-12
