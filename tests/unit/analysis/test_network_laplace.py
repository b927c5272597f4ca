"""The distribution of weights: of a linear network it is that of linear regression."""

from __future__ import annotations

import numpy as np
import pytest

from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.analysis.network_laplace import DRAWS, TEMPERATURES, distribution, tempered
from hpcda.annealing.exact import descend
from tests.chance import generator

NOISE, PRIOR = 0.3, 2.0


def regression(pairs=40, weight_std=PRIOR, input_std=None):
    rng = generator(130)
    inputs = rng.normal(size=(pairs, 3))
    outputs = inputs @ rng.normal(size=(3, 2)) + 0.5 + NOISE * rng.normal(size=(pairs, 2))
    identity = lambda z: z  # noqa: E731
    return Network((3, 2), (identity,), inputs, outputs, NOISE, input_std, weight_std)


def test_it_is_the_posterior_of_linear_regression():
    network = regression()
    action = ExactNetwork(network)
    found = distribution(action, descend(action, np.zeros(action.size)).path)
    design = np.column_stack([network.inputs, np.ones(network.pairs)])
    precision = design.T @ design / NOISE**2 + np.eye(4) / PRIOR**2
    covariance = np.linalg.inv(precision)
    mean = covariance @ design.T @ network.outputs / NOISE**2
    (matrix, bias), (spread, of_bias) = action.weights(found.mean)[0], action.weights(found.std)[0]
    np.testing.assert_allclose(np.column_stack([matrix, bias]), mean.T, rtol=1e-9, atol=1e-12)
    known = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(np.column_stack([spread, of_bias]), [known, known], rtol=1e-9)


def test_draws_have_its_covariance_times_the_temperature():
    action = ExactNetwork(regression())
    found = distribution(action, descend(action, np.zeros(action.size)).path)
    count, temperature = 4000, 0.25
    drawn = found.draw(generator(131), count, temperature)
    away = (drawn - found.mean) @ found.factor / np.sqrt(temperature)  # white
    np.testing.assert_allclose(np.cov(away.T), np.eye(action.size), atol=6.0 * np.sqrt(2.0 / count))
    np.testing.assert_allclose(away.mean(axis=0), 0.0, atol=6.0 / np.sqrt(count))
    np.testing.assert_array_equal(found.draw(generator(131), 3, 0.0), [found.mean] * 3)


def test_where_there_is_none_it_says_why():
    flat = ExactNetwork(regression(pairs=2, weight_std=None))
    assert "undetermined" in distribution(flat, np.zeros(flat.size))
    noisy = ExactNetwork(regression(input_std=0.1))
    assert "inputs are noisy" in distribution(noisy, np.zeros(noisy.size))


@pytest.mark.parametrize("best", [0.0, 0.03, 1.0])
def test_the_temperature_is_that_of_the_least_loss_on_the_first_half(best):
    action = ExactNetwork(regression())
    found = distribution(action, descend(action, np.zeros(action.size)).path)
    asked = []

    def loss(drawn, second):
        spread = 0.0 if len(drawn) == 1 else float(np.mean(((drawn - found.mean) @ found.factor) ** 2))
        asked.append((len(drawn), second))
        return (1.0 if second else -1.0) * -abs(np.sqrt(spread) - np.sqrt(best))

    chosen = tempered(found, loss)
    assert chosen.temperature == best and tuple(chosen.losses) == TEMPERATURES
    assert asked[:2] == [(1, False), (1, True)] and asked[-1] == (DRAWS, True)
