"""Networks whose rule is obeyed exactly: against automatic differentiation, finite Rf, and their teachers."""

from __future__ import annotations

from dataclasses import replace

import casadi as ca
import numpy as np
import pytest

from hpcda.action import khatri_rao
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.factors import DataLoss
from hpcda.action.instances import Instances
from hpcda.action.losses import LOSSES
from hpcda.action.network import Network
from hpcda.annealing.climbs import climb
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.annealing.graph import GraphLockstep, falling
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.reasons import Reason
from hpcda.errors import InputError
from hpcda.models.traced import trace
from tests.chance import generator
from tests.unit.graphs import network

ACTIVATIONS = {
    "tanh": (np.tanh, ca.tanh),
    "sigmoid": (lambda z: 1.0 / (1.0 + np.exp(-z)), lambda z: 1.0 / (1.0 + ca.exp(-z))),
    "softplus": (lambda z: np.log(1.0 + np.exp(z)), lambda z: ca.log(1.0 + ca.exp(z))),
    "cos": (np.cos, ca.cos),
    "identity": (lambda z: z, lambda z: z),
}
WIDTHS = (3, 4, 5, 2)


def example(
    activation="tanh",
    output=0.3,
    widths=WIDTHS,
    pairs=6,
    weight_std=2.0,
    missing=0.0,
    inputs_missing=0.0,
    **more,
):
    """Random pairs; one category of each where the output is a softmax; some outputs not measured."""
    rng = generator(81)
    inputs = rng.normal(size=(pairs, widths[0]))
    outputs = rng.normal(size=(pairs, widths[-1]))
    loss = output
    if isinstance(output, str) and output == "softmax":
        outputs, loss = np.eye(widths[-1])[rng.integers(0, widths[-1], pairs)], DataLoss(LOSSES["softmax"])
    elif isinstance(output, str):
        loss = DataLoss(LOSSES[output])
    if missing:
        outputs = np.where(rng.random(outputs.shape) < missing, np.nan, outputs)
        outputs[0, 0], outputs[-1] = np.nan, np.nan
    if inputs_missing:
        inputs[rng.random(inputs.shape) < inputs_missing] = np.nan
    g = ACTIVATIONS[activation][0]
    layers = (*(g for _ in widths[2:]), lambda z: z)
    return Network(widths, layers, inputs, outputs, loss, weight_std=weight_std, **more)


def written(net, activation, output):
    """The same in CasADi: value, gradient, Hessian as a function of the unknowns."""
    g, first, x, inputs = ACTIVATIONS[activation][1], 0, ca.DM(net.inputs.T), net.inputs.size
    size = sum(after * (before + 1) for before, after in zip(net.widths, net.widths[1:], strict=False))
    unknown = ca.SX.sym("unknown", size + (inputs if net.input_std is not None else 0))
    theta = unknown[-size:]
    if net.input_std is not None:
        x = ca.reshape(unknown[:inputs], *net.inputs.T.shape)
    for n, (before, after) in enumerate(zip(net.widths, net.widths[1:], strict=False)):
        matrix = ca.reshape(theta[first : first + before * after], before, after).T
        bias = theta[first + before * after : first + (before + 1) * after]
        first += (before + 1) * after
        z = matrix @ x + ca.repmat(bias, 1, net.pairs)
        last = n == len(net.widths) - 2
        x = (x if net.residual and before == after and not last else 0) + (z if last else g(z))
    seen, data = ca.DM(~np.isnan(net.outputs.T) * 1.0), ca.DM(np.nan_to_num(net.outputs.T))
    if isinstance(output, str) and output == "softmax":
        total = ca.sum2(ca.log(ca.sum1(ca.exp(x)))) - ca.sum2(ca.sum1(data * x))
    elif isinstance(output, str):
        r = x - data
        total = ca.sum1(
            ca.sum2(seen * ca.if_else(ca.fabs(r) < 1.345, 0.5 * r**2, 1.345 * ca.fabs(r) - 0.5 * 1.345**2))
        )
    else:
        std = np.broadcast_to(output, net.outputs.shape).T
        total = 0.5 * ca.sumsqr(seen * (x - data) / ca.DM(std))
    if net.weight_std is not None:
        total += 0.5 * ca.sumsqr(theta) / net.weight_std**2
    if net.bias_std is not None:
        last = np.cumsum(
            [after * (before + 1) for before, after in zip(net.widths, net.widths[1:], strict=False)]
        )
        biases = [k for end, after in zip(last, net.widths[1:], strict=True) for k in range(end - after, end)]
        total += 0.5 * ca.sumsqr(theta[biases]) * (net.bias_std**-2 - net.weight_std**-2)
    if net.input_std is not None:
        away = (unknown[:inputs] - ca.DM(np.nan_to_num(net.inputs).ravel())) ** 2
        std = np.where(np.isnan(net.inputs), net.missing_std, net.input_std)
        total += 0.5 * ca.sum1(away / ca.DM(std.ravel()) ** 2)
    hessian, gradient = ca.hessian(total, unknown)
    return ca.Function("written", [unknown], [total, gradient, hessian])


def check(net, activation, output):
    """Value, gradient and exact Hessian are those of automatic differentiation."""
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


@pytest.mark.parametrize("output", [0.3, "softmax", "huber"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives_are_those_of_automatic_differentiation(activation, output):
    """The gradient is what back-propagation computes."""
    check(example(activation, output), activation, output)


STDS = np.array([0.3, 2.0])


@pytest.mark.parametrize("output", [0.3, "each", "huber"])
def test_outputs_that_are_not_measured_are_left_out(output):
    """One number of a pair, and all of another."""
    if output == "each":
        output = STDS
    net = example("tanh", output, missing=0.3)
    check(net, "tanh", output)
    action = ExactNetwork(net)
    assert action.data == np.isfinite(net.outputs).sum() < net.outputs.size
    theta = generator(87).normal(size=action.size)
    parts = net.action().value(action.path(theta), 1e6).parts
    assert parts.model < 1e-15 and parts.total == pytest.approx(action.value(theta), rel=1e-12)
    filled = replace(net, outputs=np.nan_to_num(net.outputs, nan=0.1))
    assert ExactNetwork(filled).value(theta) != pytest.approx(action.value(theta), rel=1e-6)


RESIDUAL = (3, 3, 3, 4, 4, 4, 2)


@pytest.mark.parametrize("output", [0.3, "softmax"])
@pytest.mark.parametrize("activation", ["tanh", "softplus"])
@pytest.mark.parametrize("input_std", [None, 0.5])
def test_residual_layers(activation, output, input_std):
    net = example(activation, output, RESIDUAL, residual=True, input_std=input_std)
    assert net.skips == (True, True, False, True, True, False)
    check(net, activation, output)


@pytest.mark.parametrize("output", [0.3, "softmax", "huber"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_noisy_inputs_are_unknowns(activation, output):
    check(example(activation, output, input_std=0.4), activation, output)


@pytest.mark.parametrize("output", [0.3, "softmax"])
@pytest.mark.parametrize("bias_std", [0.7, np.inf])
def test_biases_may_have_a_prior_of_their_own(bias_std, output):
    check(example("tanh", output, bias_std=bias_std), "tanh", output)


@pytest.mark.parametrize("output", [0.3, "softmax"])
def test_inputs_that_are_not_measured_have_a_prior(output):
    net = example("tanh", output, input_std=0.5, missing_std=2.0)
    given = net.inputs.copy()
    given[:, 1], given[2, 0] = np.nan, np.nan
    absent = replace(net, inputs=given)
    check(absent, "tanh", output)
    action = ExactNetwork(absent)
    assert action.absent == net.pairs + 1 and action.data == ExactNetwork(net).data - action.absent
    theta = generator(84).normal(size=action.size)
    unmeasured = theta[: action.inputs].reshape(given.shape)[np.isnan(given)]
    weights = theta[action.inputs :]
    wanted = 0.5 * (unmeasured @ unmeasured / 4.0 + weights @ weights / net.weight_std**2)
    assert action.prior(theta) == pytest.approx(wanted, rel=1e-13)
    with pytest.raises(InputError, match="input 1 of pair 0 is not measured"):
        replace(absent, input_std=None)


@pytest.mark.parametrize("input_std", [None, 0.5])
def test_many_pairs_are_added_up_in_parts(input_std, monkeypatch):
    net = example("tanh", STDS, (3, 3, 4, 2), 40, missing=0.3, residual=True, input_std=input_std)
    action = ExactNetwork(net)
    theta = generator(89).normal(size=action.size)
    whole = [action.derivatives(theta), action.gauss_newton(theta)]
    monkeypatch.setattr(khatri_rao, "NUMBERS", 1)
    parts = [action.derivatives(theta), action.gauss_newton(theta)]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one[2], other[2], rtol=1e-11, atol=1e-12 * np.abs(one[2]).max())


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("input_std", [None, 0.5])
def test_the_factor_graph_is_the_same_action_where_the_rule_is_obeyed(residual, input_std):
    net = example("tanh", 0.3, RESIDUAL, 5, missing=0.3, residual=residual, input_std=input_std)
    action, graph = ExactNetwork(net), net.action()
    theta = generator(88).normal(size=action.size)
    point = action.path(theta)
    assert len(point) == graph.size
    parts = graph.value(point, 1e6).parts
    assert parts.model < 1e-15
    assert parts.total == pytest.approx(action.value(theta), rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"output": np.ones(3)}, "output: .*shape \\(3,\\) for 2 units"),
        ({"output": np.array([0.1, 0.0])}, "output: "),
        ({"output": -0.1}, "output: "),
        ({"output": DataLoss(LOSSES["huber"], unknown_scale=True)}, "output: .*scale"),
        ({"output": DataLoss(LOSSES["softmax"])}, "outputs: pair 0 .*softmax"),
    ],
)
def test_outputs_that_cannot_be_used_are_refused(changes, word):
    with pytest.raises(InputError, match=word):
        replace(example(missing=0.3), **changes)


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


@pytest.mark.parametrize(("kind", "input_std"), [("softmax", None), ("gaussian", None), ("gaussian", 0.5)])
def test_it_is_the_limit_of_large_rf(kind, input_std):
    """A(∞) = A + (model part) + O(Rf⁻²); the multipliers of the rule are the forces of back-propagation."""
    net = replace(network(kind), input_std=input_std)
    graph, action = net.action(), ExactNetwork(net)
    start = generator(84).uniform(-1.0, 1.0, action.size - action.inputs)
    limit = descend(action, action.first(start))
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
    count = graph.size - (action.size - action.inputs)
    widths = net.widths if input_std is not None else net.widths[1:]
    units = np.split(near.path[:count].reshape(net.pairs, -1), np.cumsum(widths[:-1]), axis=1)
    units = units if input_std is not None else [net.inputs, *units]
    weights = action.weights(np.concatenate([limit.path[: action.inputs], near.path[count:]]))
    for n, force in enumerate(action.multipliers(limit.path)):
        rule = net.activations[n](units[n] @ weights[n][0].T + weights[n][1])
        scale = np.abs(force).max()
        np.testing.assert_allclose(1e6 * (rule - units[n + 1]), force, atol=1e-3 * scale)


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


def test_a_network_too_deep_to_feel_its_inputs_ends_at_the_mean():
    """Nearly all directions are flat there, to rounding: that is no failure (the published twin)."""
    rng = generator(86)
    widths, noise, pairs = (3,) * 12, 0.005, 5
    inputs, outputs = rng.normal(size=(pairs, 3)), 0.4 + noise * rng.normal(size=(pairs, 3))
    sigmoid = ACTIVATIONS["sigmoid"][0]
    net = Network(widths, (sigmoid,) * 11, inputs, outputs, noise, noise, 100.0)
    action = ExactNetwork(net)
    mean = 0.5 * np.sum((outputs - outputs.mean(axis=0)) ** 2) / noise**2
    for _ in range(4):
        found = descend(action, action.first(rng.uniform(-0.1, 0.1, net.weights)))
        assert found.reason.converged
        assert found.parts.total <= mean * (1.0 + 1e-3)


def test_limits_and_what_is_refused():
    action = ExactNetwork(example())
    few = descend(action, generator(86).normal(size=action.size), ExactSettings(max_iterations=2))
    assert few.reason is Reason.STOPPED_ITERATIONS and few.factorizations == 2
    assert descend(action, np.full(action.size, np.nan)).reason is Reason.FAILED_NON_FINITE


def test_a_descent_that_falls_too_slowly_to_be_of_interest_ends():
    """It stays as it is, to the bit, where what it comes to is of interest."""
    net = example("sigmoid", 0.005, pairs=60, weight_std=None)
    action = ExactNetwork(net)
    theta = generator(84).normal(size=action.size)
    whole = descend(action, theta, ExactSettings(200))
    assert whole.factorizations > 75
    low = whole.parts.total
    wanted = descend(action, theta, ExactSettings(200, interest=action.value(theta)))
    assert wanted.parts.total == low and wanted.reason is whole.reason
    np.testing.assert_array_equal(wanted.path, whole.path)
    left = descend(action, theta, ExactSettings(200, interest=0.0))
    assert left.reason is Reason.STOPPED_HOPELESS and not left.reason.converged
    assert left.factorizations < whole.factorizations and left.parts.total < action.value(theta)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 67])
def test_values_of_one_number_or_of_several_are_those_of_numpy(count):
    """Read where they stand in whole vectors, copied at the end."""
    rng = generator(171)
    v, weights = rng.normal(size=(1, count)), rng.normal(size=(1, count))
    one = Instances(trace(lambda given: [np.tanh(given("v", 0))]), 1)
    tanh = np.tanh(v)
    np.testing.assert_allclose(one.values(v), tanh, rtol=1e-14)
    for own, wanted in zip(one.with_slopes(v), (tanh, 1.0 - tanh**2), strict=True):
        np.testing.assert_allclose(own, wanted, rtol=1e-13)
    bent = -2.0 * weights * tanh * (1.0 - tanh**2)
    np.testing.assert_allclose(one.curvature(v, weights), bent, rtol=1e-12, atol=1e-15)
    assert Instances(trace(lambda given: [given("v", 0)]), 1).identity and not one.identity
    two = Instances(trace(lambda given: [given("v", 0) * given("c", 0), np.exp(given("v", 1))]), 2, 1)
    pair, factor = rng.normal(size=(2, count)), rng.normal(size=(1, count))
    np.testing.assert_allclose(two.values(pair, factor), [pair[0] * factor[0], np.exp(pair[1])], rtol=1e-14)
