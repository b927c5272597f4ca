"""Networks that integrate a field at more and more steps: prolongation, the field (SciPy), priors, orders."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from hpcda.action.continuum import Continuum
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.annealing.exact import ExactSettings
from hpcda.errors import InputError
from hpcda.search.deepening import deepened, prolonged, with_steps
from hpcda.search.training import NetworkContext
from hpcda.search.trainings import TRAININGS
from hpcda.search.trainings.deepened import LIMITS, ladder
from tests.chance import generator

W = np.array([[0.9, -1.1], [0.7, 0.2]])
SLOPE = np.array([[0.3, 0.2], [-0.5, 0.4]])
BIAS = np.array([0.1, -0.2])


def make_field(steps=4, std=1.0, scheme="euler", weights="free", **more):
    inputs = generator(1).normal(size=(12, 2))
    outputs = inputs + 0.3 * generator(2).normal(size=(12, 2))
    walk = 1.0 if weights == "walk" else None
    continuum = Continuum(2.0, steps, scheme, weights, std, walk)
    activations = [np.tanh] * continuum.layers + [lambda z: z]
    widths = continuum.widths(2, 2, 2)
    return Network(widths, activations, inputs, outputs, 0.1, weight_std=3.0, continuum=continuum, **more)


def weights_of(action):
    """Weights linear in t, before an output that is the last state."""
    theta = np.zeros(action.size)
    *inner, (matrix, _) = action.matrices(theta)
    for t, (own, bias) in zip(action.network.continuum.times, inner, strict=True):
        own[:], bias[:] = W + t * SLOPE, BIAS
    matrix[:] = np.eye(2)
    return theta


def flow(inputs):
    """The field's states at its end, by SciPy."""

    def rates(t, x):
        return np.tanh(x.reshape(-1, 2) @ (W + t * SLOPE).T + BIAS).ravel()

    found = solve_ivp(rates, (0.0, 2.0), inputs.ravel(), rtol=1e-11, atol=1e-11)
    return found.y[:, -1].reshape(-1, 2)


@pytest.mark.parametrize(("scheme", "order"), [("euler", 1.0), ("midpoint", 2.0)])
def test_deep_networks_go_to_the_flow_of_the_field_at_the_order_of_the_scheme(scheme, order):
    field = make_field(scheme=scheme)
    inputs = field.inputs

    right = flow(inputs)
    errors = []
    for layers in (40, 80, 160):
        action = ExactNetwork(with_steps(field, layers))
        errors.append(np.abs(action.outputs(weights_of(action)) - right).max())
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), order, atol=0.1)


def test_weights_that_are_linear_in_time_are_prolonged_exactly_between_the_middles():
    field = make_field()
    few, many = ExactNetwork(with_steps(field, 6)), ExactNetwork(with_steps(field, 12))
    found = many.matrices(prolonged(few, weights_of(few), many))
    right = many.matrices(weights_of(many))
    for n in range(1, 11):
        np.testing.assert_allclose(found[n][0], right[n][0], atol=1e-14)
    first, _ = few.matrices(weights_of(few))[0]
    np.testing.assert_array_equal(found[0][0], first)
    np.testing.assert_array_equal(found[-1][0], np.eye(2))


def test_what_is_before_and_beside_the_field_is_kept():
    """A lift, noisy inputs, constant weights: all of it stays."""
    inputs = generator(4).normal(size=(9, 3))
    continuum = Continuum(1.0, 4, "midpoint", "constant")
    widths = continuum.widths(3, 2, 1)
    activations = [lambda z: z, *[np.tanh] * continuum.layers, lambda z: z]
    network = Network(
        widths, activations, inputs, inputs[:, :1], 0.1, input_std=0.2, weight_std=1.0, continuum=continuum
    )
    few, many = ExactNetwork(network), ExactNetwork(with_steps(network, 64))
    theta = generator(5).normal(size=few.size)
    np.testing.assert_array_equal(prolonged(few, theta, many), theta)


def test_levels_start_near_their_minima_and_their_actions_settle():
    """Pairs of the field itself, from its own weights: the order of the scheme is seen in the levels."""
    field = make_field(scheme="midpoint", weights="walk")
    noise = 0.1 * generator(3).normal(size=(12, 2))
    field = replace(field, outputs=flow(field.inputs) + noise)
    found = deepened(field, weights_of(ExactNetwork(field)), (4, 8, 16, 32), ExactSettings(200))
    assert [one.steps for one in found] == [4, 8, 16, 32]
    assert all(one.rung.reason.converged for one in found)
    for one in found[1:]:
        assert one.action.value(one.first) < 3.0 * one.rung.action
    changes = np.abs(np.diff([one.rung.action for one in found]))
    assert changes[2] < 0.5 * changes[:2].max() and changes[2] < 0.01 * found[-1].rung.action


def test_no_steps_no_field_and_weights_of_another_network_are_refused():
    field = make_field()
    with pytest.raises(InputError, match=r"steps: is 0"):
        with_steps(field, 0)
    with pytest.raises(InputError, match=r"first: has the shape \(3,\)"):
        deepened(field, np.zeros(3), (2, 4))
    plain = Network((2, 2), [lambda z: z], field.inputs, field.outputs, 0.1)
    with pytest.raises(InputError, match=r"(?s)integrates no field.*continuum"):
        with_steps(plain, 4)


def test_a_job_trains_few_steps_first():
    network = make_field(steps=16, weights="walk")
    context = NetworkContext(network)
    training = TRAININGS["deepened"]
    assert ladder(16) == [4, 8, 16] and ladder(20) == [5, 10, 20] and ladder(6) == [6]
    assert training.fits(network) and not training.fits(with_steps(network, 6))
    theta = training.weights(context, [], generator(6))
    first = context.first_weights(context.action, generator(6))
    coarse = context.first_weights(ExactNetwork(with_steps(network, 4)), generator(6))
    found = deepened(network, coarse, (4, 8), LIMITS)[-1]
    np.testing.assert_array_equal(theta, prolonged(found.action, found.rung.path, context.action))
    assert context.action.value(theta) < 0.5 * context.action.value(first)
    assert 0.0 < context.begun < 1.0
