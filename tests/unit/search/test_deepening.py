"""Residual networks that are refined: prolongation, the field they integrate (SciPy), the prior, order 1."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.annealing.exact import ExactSettings
from hpcda.errors import InputError
from hpcda.search.deepening import Field, deepened, prolonged
from tests.chance import generator

W = np.array([[0.9, -1.1], [0.7, 0.2]])
SLOPE = np.array([[0.3, 0.2], [-0.5, 0.4]])
BIAS = np.array([0.1, -0.2])


def make_field(std=None):
    inputs = generator(1).normal(size=(12, 2))
    outputs = inputs + 0.3 * generator(2).normal(size=(12, 2))
    network = Network((2, 2), [lambda z: z], inputs, outputs, 0.1, weight_std=std)
    return Field(network, np.tanh, 2.0)


def weights_of(action):
    """Weights linear in t, before an output that is the last state."""
    layers = len(action.shapes) - 1
    middles = 2.0 * (np.arange(layers) + 0.5) / layers
    inner = [(W + t * SLOPE, BIAS) for t in middles]
    return action.replaced(np.zeros(action.size), [*inner, (np.eye(2), np.zeros(2))])


def test_deep_networks_go_to_the_flow_of_the_field_with_order_one():
    field = make_field()
    inputs = field.network.inputs

    def rates(t, x):
        return np.tanh(x.reshape(-1, 2) @ (W + t * SLOPE).T + BIAS).ravel()

    right = solve_ivp(rates, (0.0, 2.0), inputs.ravel(), rtol=1e-11, atol=1e-11).y[:, -1].reshape(-1, 2)
    errors = []
    for layers in (40, 80, 160):
        action = ExactNetwork(field.of(layers))
        errors.append(np.abs(action.outputs(weights_of(action)) - right).max())
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 1.0, atol=0.1)


def test_weights_that_are_linear_in_time_are_prolonged_exactly_between_the_middles():
    field = make_field()
    few, many = ExactNetwork(field.of(6)), ExactNetwork(field.of(12))
    found = many.weights(prolonged(few, weights_of(few), many))
    right = many.weights(weights_of(many))
    for n in range(1, 11):
        np.testing.assert_allclose(found[n][0], right[n][0], atol=1e-14)
    first, _ = few.weights(weights_of(few))[0]
    np.testing.assert_array_equal(found[0][0], first)
    np.testing.assert_array_equal(found[-1][0], np.eye(2))


def test_the_prior_of_constant_weights_is_that_of_one_integral():
    """1/2 T |W, b|² / σ², and h/2 |W_out, b_out|² / σ², whatever the number of layers."""
    field = make_field(0.7)
    for layers in (4, 8):
        action = ExactNetwork(field.of(layers))
        theta = action.replaced(np.zeros(action.size), [*[(W, BIAS)] * layers, (np.eye(2), np.zeros(2))])
        inner = 0.5 * 2.0 * (np.sum(W**2) + np.sum(BIAS**2)) / 0.7**2
        outer = 0.5 * (2.0 / layers) * 2.0 / 0.7**2
        assert action.prior(theta) == pytest.approx(inner + outer, rel=1e-12)


def test_levels_start_near_their_minima_and_their_actions_settle():
    field = make_field(1.0)
    first = 0.1 * generator(3).uniform(-1.0, 1.0, ExactNetwork(field.of(4)).size)
    found = deepened(field, first, 4, 4, ExactSettings(200))
    assert [one.layers for one in found] == [4, 8, 16, 32]
    assert all(one.rung.reason.converged for one in found)
    for one in found[1:]:
        assert one.action.value(one.first) < 0.1 * found[0].action.value(found[0].first)
    changes = np.abs(np.diff([one.rung.action for one in found]))
    assert changes[2] < 0.7 * changes[1]


def test_no_layers_and_weights_of_another_network_are_refused():
    field = make_field()
    with pytest.raises(InputError, match="0 layers are none"):
        field.of(0)
    with pytest.raises(InputError, match=r"first: has the shape \(3,\)"):
        deepened(field, np.zeros(3), 2, 2)
