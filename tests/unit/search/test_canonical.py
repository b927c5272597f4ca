"""Networks that are the same have one canonical form."""

from __future__ import annotations

import numpy as np
import pytest

from hpcda.action.exact_network import ExactNetwork
from hpcda.search.canonical import Symmetry, canonical, symmetry
from hpcda.search.streams import streams
from tests.chance import generator
from tests.unit.action.test_exact_network import ACTIVATIONS, example

SYMMETRIES = {
    "tanh": Symmetry(-1.0, 0.0),
    "sigmoid": Symmetry(-1.0, 1.0),
    "softplus": None,
    "cos": Symmetry(1.0, 0.0),
    "identity": Symmetry(-1.0, 0.0),
}


def disguised(action, theta, rng, known):
    """The same network: hidden units exchanged, and reversed where that may be."""
    layers = [(matrix.copy(), bias.copy()) for matrix, bias in action.weights(theta)]
    for n in range(len(layers) - 1):
        (matrix, bias), (after, next_bias) = layers[n], layers[n + 1]
        for unit in range(len(matrix)):
            if known is not None and rng.random() < 0.5:  # g(z) = sign (g(-z) - shift)
                matrix[unit], bias[unit] = -matrix[unit], -bias[unit]
                next_bias -= known.sign * known.shift * after[:, unit]
                after[:, unit] *= known.sign
        order = rng.permutation(len(matrix))
        layers[n], layers[n + 1] = (matrix[order], bias[order]), (after[:, order], next_bias)
    return np.concatenate([part for layer in layers for part in (layer[0].ravel(), layer[1])])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_exchanged_and_reversed_units_come_to_one_form(activation):
    action = ExactNetwork(example(activation, 0.3, (4, 6, 5, 3), pairs=20))
    rng, known = generator(91), SYMMETRIES[activation]
    assert symmetry(ACTIVATIONS[activation][0]) == known
    for _ in range(10):
        theta = rng.normal(size=action.size)
        form, outputs = canonical(action, theta), action.states(theta)[-1]
        np.testing.assert_allclose(action.states(form)[-1], outputs, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(canonical(action, form), form, rtol=1e-12, atol=1e-12)
        other = disguised(action, theta, rng, known)
        assert np.abs(other - theta).max() > 1e-3
        np.testing.assert_allclose(action.states(other)[-1], outputs, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(canonical(action, other), form, rtol=1e-10, atol=1e-10)
        for n, (matrix, _) in enumerate(action.weights(form)[:-1]):
            assert known is None or (matrix.sum(axis=1) >= 0.0).all()
            assert (np.diff(action.states(form)[n + 1].mean(axis=0)) >= -1e-12).all()


STREAMED = (4, 4, 5, 5, 5, 3, 3, 2)


def disguised_streams(action, theta, rng, known):
    """The same network, of STREAMED widths: units that residual layers carry on exchanged and reversed."""
    layers = [(matrix.copy(), bias.copy()) for matrix, bias in action.weights(theta)]
    for first, last in ((2, 4), (5, 6)):
        width = STREAMED[first]
        sign = rng.choice([-1.0, 1.0], width) if known == Symmetry(-1.0, 0.0) else np.ones(width)
        order = rng.permutation(width)
        for n in range(first - 1, last + 1):
            matrix, bias = layers[n]
            if n >= first:
                matrix = (matrix * sign)[:, order]
            if n < last:
                matrix, bias = (sign[:, None] * matrix)[order], (sign * bias)[order]
            layers[n] = matrix, bias
    if known == Symmetry(1.0, 0.0):
        for matrix, bias in layers[:-1]:
            turned = rng.choice([-1.0, 1.0], len(matrix))
            matrix *= turned[:, None]
            bias *= turned
    return np.concatenate([part for layer in layers for part in (layer[0].ravel(), layer[1])])


@pytest.mark.parametrize("input_std", [None, 0.5])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_units_of_residual_layers_come_to_one_form(activation, input_std):
    """Those that carry the inputs on stay as they are."""
    action = ExactNetwork(example(activation, 0.3, STREAMED, 20, residual=True, input_std=input_std))
    rng, known = generator(92), SYMMETRIES[activation]
    assert streams(action.network) == [range(2, 5), range(5, 7)]
    for _ in range(5):
        theta = rng.normal(size=action.size)
        inputs = theta[: action.inputs]
        form, outputs = canonical(action, theta), action.states(theta)[-1]
        scale = 1e-11 * np.abs(outputs).max()
        np.testing.assert_allclose(action.states(form)[-1], outputs, rtol=1e-10, atol=scale)
        np.testing.assert_array_equal(form[: action.inputs], inputs)
        other = np.concatenate([inputs, disguised_streams(action, theta, rng, known)])
        assert np.abs(other - theta).max() > 1e-3
        np.testing.assert_allclose(action.states(other)[-1], outputs, rtol=1e-10, atol=scale)
        np.testing.assert_allclose(canonical(action, other), form, rtol=1e-10, atol=1e-10)
