"""Networks whose rule is obeyed exactly: against automatic differentiation, finite Rf, and their teachers."""

from __future__ import annotations

from dataclasses import replace

import casadi as ca
import numpy as np
import pytest

from hpcda.action.exact_network import ExactNetwork
from hpcda.action.factors import DataLoss
from hpcda.action.losses import LOSSES
from hpcda.action.network import Network
from hpcda.annealing.climbs import climb
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.annealing.graph import GraphLockstep, falling
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.reasons import Reason
from hpcda.errors import InputError
from tests.chance import generator

from .graphs import network

ACTIVATIONS = {
    "tanh": (np.tanh, ca.tanh),
    "sigmoid": (lambda z: 1.0 / (1.0 + np.exp(-z)), lambda z: 1.0 / (1.0 + ca.exp(-z))),
    "softplus": (lambda z: np.log(1.0 + np.exp(z)), lambda z: ca.log(1.0 + ca.exp(z))),
    "cos": (np.cos, ca.cos),
    "identity": (lambda z: z, lambda z: z),
}
WIDTHS = (3, 4, 5, 2)


def example(activation="tanh", output=0.3, widths=WIDTHS, pairs=6, weight_std=2.0):
    """Random pairs; one category of each where the output is a softmax."""
    rng = generator(81)
    inputs = rng.normal(size=(pairs, widths[0]))
    outputs = rng.normal(size=(pairs, widths[-1]))
    loss = output
    if output == "softmax":
        outputs, loss = np.eye(widths[-1])[rng.integers(0, widths[-1], pairs)], DataLoss(LOSSES["softmax"])
    elif isinstance(output, str):
        loss = DataLoss(LOSSES[output])
    g = ACTIVATIONS[activation][0]
    layers = (*(g for _ in widths[2:]), lambda z: z)
    return Network(widths, layers, inputs, outputs, loss, None, weight_std)


def written(net, activation, output):
    """The same in CasADi: value, gradient, Hessian as a function of the weights."""
    g, first, x = ACTIVATIONS[activation][1], 0, ca.DM(net.inputs.T)
    size = sum(after * (before + 1) for before, after in zip(net.widths, net.widths[1:], strict=False))
    theta = ca.SX.sym("theta", size)
    for n, (before, after) in enumerate(zip(net.widths, net.widths[1:], strict=False)):
        matrix = ca.reshape(theta[first : first + before * after], before, after).T
        bias = theta[first + before * after : first + (before + 1) * after]
        first += (before + 1) * after
        z = matrix @ x + ca.repmat(bias, 1, net.pairs)
        x = z if n == len(net.widths) - 2 else g(z)
    data = ca.DM(net.outputs.T)
    if output == "softmax":
        total = ca.sum2(ca.log(ca.sum1(ca.exp(x)))) - ca.sum2(ca.sum1(data * x))
    elif output == "huber":
        r = x - data
        total = ca.sum1(
            ca.sum2(ca.if_else(ca.fabs(r) < 1.345, 0.5 * r**2, 1.345 * ca.fabs(r) - 0.5 * 1.345**2))
        )
    else:
        total = 0.5 * ca.sumsqr((x - data) / output)
    if net.weight_std is not None:
        total += 0.5 * ca.sumsqr(theta) / net.weight_std**2
    hessian, gradient = ca.hessian(total, theta)
    return ca.Function("written", [theta], [total, gradient, hessian])


@pytest.mark.parametrize("output", [0.3, "softmax", "huber"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives_are_those_of_automatic_differentiation(activation, output):
    """The gradient is what back-propagation computes."""
    net = example(activation, output)
    action = ExactNetwork(net)
    theta = generator(82).normal(size=action.size)
    total, gradient, hessian = (np.array(one) for one in written(net, activation, output)(theta))
    assert action.value(theta) == pytest.approx(float(total.item()), rel=1e-12)
    value, found = action.gradient(theta)
    assert value == pytest.approx(float(total.item()), rel=1e-12)
    np.testing.assert_allclose(found, gradient.ravel(), rtol=1e-10, atol=1e-10 * np.abs(gradient).max())
    np.testing.assert_allclose(
        action.derivatives(theta)[2], hessian, rtol=1e-10, atol=1e-10 * np.abs(hessian).max()
    )


@pytest.mark.parametrize("output", [0.3, "softmax"])
def test_gauss_newton_is_the_hessian_of_the_linear_network(output):
    net = example("tanh", output)
    action = ExactNetwork(net)
    theta = generator(83).normal(size=action.size)
    value, gradient, matrix = action.gauss_newton(theta)
    assert (value, pytest.approx(gradient, rel=1e-13)) == (
        action.gradient(theta)[0],
        action.gradient(theta)[1],
    )
    step, columns = 1e-6, []
    for unit in np.eye(action.size):
        ahead, back = (action.states(theta + sign * step * unit)[-1] for sign in (1, -1))
        columns.append((ahead - back) / (2 * step))
    jacobian = np.stack(columns)
    last = action.states(theta)[-1]
    if output == "softmax":
        chance = np.exp(last) / np.exp(last).sum(axis=1, keepdims=True)
        curved = chance[:, :, None] * (np.eye(last.shape[1]) - chance[:, None, :])
    else:
        curved = np.broadcast_to(np.eye(last.shape[1]) / output**2, (*last.shape, last.shape[1]))
    wanted = np.einsum("pmi,mij,qmj->pq", jacobian, curved, jacobian) + np.eye(action.size) / 4.0
    np.testing.assert_allclose(matrix, wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("kind", ["softmax", "gaussian"])
def test_it_is_the_limit_of_large_rf(kind):
    """A(∞) = A + (model part) + O(Rf⁻²); the multipliers of the rule are the forces of back-propagation."""
    net = replace(network(kind), input_std=None)
    graph, action = net.action(), ExactNetwork(net)
    limit = descend(action, generator(84).uniform(-1.0, 1.0, action.size))
    assert limit.reason is Reason.CONVERGED_DECREMENT
    point, misses = action.path(limit.path), []
    assert graph.value(point, 1e6).parts.total == pytest.approx(limit.parts.total, rel=1e-12)
    for rf in (1e4, 1e5, 1e6):
        (near,) = climb(GraphLockstep(graph, Ladder(rf, 2.0, 1), 1), [point])[0]
        assert near.reason.converged and falling(graph, near.path, rf) == 0
        parts = near.parts
        misses.append(abs(parts.total + parts.model - limit.parts.total))
        assert misses[-1] < max(0.1 * parts.model, 1e-9 * parts.total)
    assert misses[2] < max(1e-3 * misses[0], 1e-9 * limit.parts.total)
    units = np.split(
        near.path[: graph.size - action.size].reshape(net.pairs, -1), np.cumsum(net.widths[1:-1]), axis=1
    )
    weights = action.weights(near.path[graph.size - action.size :])
    for n, force in enumerate(action.multipliers(limit.path)):
        before = net.inputs if n == 0 else units[n - 1]
        rule = net.activations[n](before @ weights[n][0].T + weights[n][1])
        scale = np.abs(force).max()
        np.testing.assert_allclose(1e6 * (rule - units[n]), force, atol=1e-3 * scale)


def test_it_finds_a_live_teacher():
    """The level of the fit that begins at the truth, from weights near 0, in most starts."""
    rng = generator(85)
    widths, noise = (4, 5, 4), 0.01
    truth = np.concatenate([rng.normal(size=after * (before + 1)) for before, after in ((4, 5), (5, 4))])
    inputs = rng.normal(size=(300, 4))
    layers = (np.tanh, np.tanh)
    clean = ExactNetwork(Network(widths, layers, inputs, np.zeros((300, 4)), noise)).states(truth)[-1]
    net = Network(widths, layers, inputs, clean + noise * rng.normal(size=clean.shape), noise)
    action = ExactNetwork(net)
    best = descend(action, truth)
    assert best.reason.converged
    reduced = 2.0 * best.parts.total / (clean.size - action.size)
    assert abs(reduced - 1.0) < 5.0 * np.sqrt(2.0 / clean.size)
    ends = [descend(action, rng.uniform(-0.1, 0.1, action.size)) for _ in range(8)]
    assert all(one.reason.converged for one in ends)
    hits = [one for one in ends if one.parts.total < best.parts.total * 1.001]
    assert len(hits) >= 4
    for one in hits:
        assert one.parts.total == pytest.approx(best.parts.total, rel=1e-6)
        assert (
            np.linalg.eigvalsh(action.derivatives(one.path)[2])[0]
            > -1e-8 * np.abs(action.derivatives(one.path)[2]).max()
        )


def test_it_leaves_a_saddle_point():
    """With all weights 0 the hidden units are alike, and the slope by W is 0."""
    action = ExactNetwork(example("tanh", 0.3, (3, 4, 2), weight_std=5.0))
    value, gradient = action.gradient(np.zeros(action.size))
    found = descend(action, np.zeros(action.size))
    assert found.reason is Reason.CONVERGED_DECREMENT
    assert np.linalg.eigvalsh(action.derivatives(found.path)[2])[0] > 0.0
    assert found.parts.total < value and found.gradient_norm < 1e-6 * np.abs(gradient).max()


def test_limits_and_what_is_refused():
    action = ExactNetwork(example())
    few = descend(action, generator(86).normal(size=action.size), ExactSettings(max_iterations=2))
    assert few.reason is Reason.STOPPED_ITERATIONS and few.factorizations == 2
    assert descend(action, np.full(action.size, np.nan)).reason is Reason.FAILED_NON_FINITE
    with pytest.raises(InputError, match="input_std: .*exact inputs"):
        ExactNetwork(replace(example(), input_std=0.1))
