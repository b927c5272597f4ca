"""Layers that integrate a field: derivatives, Pontryagin's condition, order, refusals, a run."""

from __future__ import annotations

from dataclasses import replace

import casadi as ca
import numpy as np
import pytest
from scipy.integrate import solve_bvp, solve_ivp
from scipy.interpolate import CubicSpline

import hpcda
from hpcda.action.continuum import Continuum
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.analysis.network_summary import summarize_network
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.annealing.layered.krylov import KrylovModel
from hpcda.annealing.layered.states import States
from hpcda.errors import InputError
from hpcda.search.canonical import canonical
from hpcda.search.training import NetworkContext
from hpcda.search.trainings import TRAININGS
from tests.chance import generator

SCHEMES = ["euler", "midpoint"]
PRIORS = {
    "free": {"weight_std": 1.3},
    "walk": {"walk_std": 0.8},
    "both": {"walk_std": 0.8, "weight_std": 1.3},
    "constant": {"weight_std": 1.3},
}


def field(scheme, prior, steps=3, time=1.5):
    weights = "walk" if prior == "both" else prior
    return Continuum(time, steps, scheme, weights, **PRIORS[prior])


def same(z):
    return z


def example(continuum, inputs=2, width=3, outputs=2, pairs=6, noise=0.3, input_std=None):
    rng = generator(901)
    widths = continuum.widths(inputs, width, outputs)
    functions = [*[np.tanh] * (len(widths) - 2), same]
    if inputs != width:
        functions[0] = same
    given, data = rng.normal(size=(pairs, inputs)), rng.normal(size=(pairs, outputs))
    return Network(widths, functions, given, data, noise, input_std, 2.0, continuum=continuum)


def written(network):
    """Its action in CasADi, as the formulas of `hpcda.action.continuum` say; inputs are exact."""
    continuum, h = network.continuum, network.continuum.step
    theta, first = ca.SX.sym("theta", network.weights), 0
    matrices = []
    for after, before in network.matrices:
        matrix = ca.reshape(theta[first : first + after * before], before, after).T
        first += after * before
        matrices.append((matrix, theta[first : first + after]))
        first += after
    x, own, found = ca.DM(network.inputs.T), list(matrices), 0
    if network.field[0]:
        (matrix, bias), *own = own
        x = matrix @ x + ca.repmat(bias, 1, network.pairs)
        found += (ca.sumsqr(matrix) + ca.sumsqr(bias)) / network.weight_std**2
    *own, (last, offset) = own
    for step in range(continuum.steps):
        matrix, bias = own[0 if continuum.weights == "constant" else step]
        offsets = ca.repmat(bias, 1, network.pairs)
        middle = x + h / 2 * ca.tanh(matrix @ x + offsets) if continuum.scheme == "midpoint" else x
        x = x + h * ca.tanh(matrix @ middle + offsets)
        if continuum.weight_std is not None:
            found += h * (ca.sumsqr(matrix) + ca.sumsqr(bias)) / continuum.weight_std**2
        if continuum.walk_std is not None and step:
            changes = ca.sumsqr(matrix - own[step - 1][0]) + ca.sumsqr(bias - own[step - 1][1])
            found += changes / (h * continuum.walk_std**2)
    outputs = last @ x + ca.repmat(offset, 1, network.pairs)
    found += ca.sumsqr(outputs - ca.DM(network.outputs.T)) / network.output**2
    found += (ca.sumsqr(last) + ca.sumsqr(offset)) / network.weight_std**2
    hessian, gradient = ca.hessian(0.5 * found, theta)
    return ca.Function("action", [theta], [0.5 * found, gradient, hessian])


@pytest.mark.parametrize("inputs", [2, 3])
@pytest.mark.parametrize("prior", list(PRIORS))
@pytest.mark.parametrize("scheme", SCHEMES)
def test_value_gradient_and_hessian_are_those_of_automatic_differentiation(scheme, prior, inputs):
    network = example(field(scheme, prior), inputs)
    action = ExactNetwork(network)
    theta = 0.5 * generator(902).normal(size=action.size)
    value, gradient, hessian = action.derivatives(theta)
    expected = [np.array(own) for own in written(network)(theta)]
    assert value == pytest.approx(float(expected[0][0, 0]), rel=1e-13)
    assert gradient == pytest.approx(expected[1][:, 0], rel=1e-11, abs=1e-11 * np.abs(gradient).max())
    assert hessian == pytest.approx(expected[2], rel=1e-11, abs=1e-12 * np.abs(hessian).max())


@pytest.mark.parametrize("prior", list(PRIORS))
@pytest.mark.parametrize("scheme", SCHEMES)
def test_derivatives_by_noisy_inputs_are_finite_differences(scheme, prior):
    action = ExactNetwork(example(field(scheme, prior), input_std=0.4))
    theta, e = 0.5 * generator(903).normal(size=action.size), 1e-5
    _, gradient, hessian = action.derivatives(theta)
    every = np.eye(action.size)
    by_values = [(action.value(theta + e * d) - action.value(theta - e * d)) / (2 * e) for d in every]
    ends = [[action.gradient(theta + sign * e * d)[1] for sign in (1, -1)] for d in every]
    assert gradient == pytest.approx(np.array(by_values), abs=1e-8 * np.abs(gradient).max())
    by_gradients = np.array([(a - b) / (2 * e) for a, b in ends])
    assert hessian == pytest.approx(by_gradients, abs=1e-8 * np.abs(hessian).max())


@pytest.mark.parametrize("prior", list(PRIORS))
@pytest.mark.parametrize("scheme", SCHEMES)
def test_products_are_those_of_the_matrices_and_steps_agree(scheme, prior):
    action = ExactNetwork(example(field(scheme, prior), input_std=0.4))
    rng = generator(904)
    theta, v = 0.5 * rng.normal(size=action.size), rng.normal(size=action.size)
    for exact, matrix in ((True, action.derivatives(theta)[2]), (False, action.gauss_newton(theta)[2])):
        product = KrylovModel(action, theta, exact).product(v)
        assert product == pytest.approx(matrix @ v, abs=1e-12 * np.abs(matrix @ v).max())
    direct = States(action).gauss_newton(theta).solve(0.1)
    iterated = KrylovModel(action, theta, False).solve(0.1, tolerance=1e-10)
    assert iterated == pytest.approx(direct, abs=1e-7 * np.abs(direct).max())


@pytest.mark.parametrize("prior", list(PRIORS))
def test_exchanged_and_reversed_units_are_the_same_network(prior):
    network = example(field("midpoint", prior))
    action = ExactNetwork(network)
    theta = generator(905).normal(size=action.size)
    turn = np.diag([1.0, -1.0, -1.0])[[2, 0, 1]]
    moved = theta.copy()
    layers = action.matrices(moved)
    for n in network.field:
        matrix, bias = layers[n]
        matrix[...], bias[...] = turn @ matrix @ turn.T, turn @ bias
    for part in layers[0]:
        part[...] = turn @ part
    layers[-1][0][...] = layers[-1][0] @ turn.T
    assert action.value(moved) == pytest.approx(action.value(theta), rel=1e-13)
    assert canonical(action, moved) == pytest.approx(canonical(action, theta), abs=1e-13)


def trained(scheme, prior, steps, pairs=4, noise=0.5):
    network = example(field(scheme, prior, steps), 2, 2, 1, pairs, noise)
    size = network.weights
    if pairs > 10:  # pairs of a field that turns with time
        turns = np.sin(np.arange(size) + np.linspace(0.0, 3.0, size))
        clean = ExactNetwork(network).outputs(2.0 * turns)
        network = replace(network, outputs=clean + noise * network.outputs)
    action = ExactNetwork(network)
    begin = network.alike(np.linspace(-0.4, 0.5, size))
    found = descend(action, begin, ExactSettings(300, 1e-15, "states"))
    assert found.reason.converged and found.gradient_norm < 1e-6
    return network, action, found


def forces(network, action, theta):
    """Σ D p xᵀ of every step, with its biases, shape (steps, width, width + 1): p = -∂A/∂x."""
    weights, h = action.weights(theta), network.continuum.step
    x, back, found = action.states(theta), action.multipliers(theta), []
    for n in range(network.continuum.steps):  # Euler: a layer a step, no layer before
        matrix, bias = weights[n]
        slope = 1.0 - np.tanh(x[n] @ matrix.T + bias) ** 2
        wide = np.column_stack([x[n], np.ones(len(x[n]))])
        found.append(-(slope * back[n]).T @ wide)
    assert h > 0.0
    return np.array(found)


def over_time(network, action, theta):
    """[W | b] of every step, shape (steps, width, width + 1)."""
    own = action.matrices(theta)[network.field.start : network.field.stop]
    return np.array([np.column_stack(one) for one in own])


def test_pontryagin_with_a_prior_on_the_size():
    network, action, found = trained("euler", "free", 12)
    wanted = forces(network, action, found.path)
    own = over_time(network, action, found.path) / network.continuum.weight_std**2
    assert np.abs(own).max() > 0.02
    assert own == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("prior", ["walk", "both"])
def test_pontryagin_with_a_prior_on_the_change(prior):
    network, action, found = trained("euler", prior, 12, pairs=40, noise=0.1)
    wanted, h = forces(network, action, found.path), network.continuum.step
    own = over_time(network, action, found.path) / network.continuum.walk_std**2
    second = np.diff(np.concatenate([own[:1], own, own[-1:]]), 2, axis=0) / h**2  # dW/dt = 0 at the ends
    assert np.abs(second).max() > 0.05
    size = 0.0
    if prior == "both":
        size = over_time(network, action, found.path) / network.continuum.weight_std**2
    assert second == pytest.approx(size - wanted, abs=1e-5)


def test_constant_weights_balance_the_integral():
    network, action, found = trained("euler", "constant", 12)
    own = over_time(network, action, found.path)[0] / network.continuum.weight_std**2
    wanted, continuum = forces(network, action, found.path), network.continuum
    assert own * continuum.time == pytest.approx(continuum.step * wanted.sum(axis=0), abs=1e-8)


@pytest.mark.parametrize("prior", ["free", "both", "constant"])
@pytest.mark.parametrize(("scheme", "order"), [("euler", 1.0), ("midpoint", 2.0)])
def test_levels_converge_at_the_order_of_the_scheme(scheme, order, prior):
    levels = np.array([trained(scheme, prior, steps)[2].parts.total for steps in (16, 32, 64)])
    observed = np.log2((levels[0] - levels[1]) / (levels[1] - levels[2]))
    assert observed == pytest.approx(order, abs=0.15)


def test_the_limit_is_scipys_boundary_value_problem():
    """dx/dt = g(Wx + b), dp/dt = -Wᵀ D p, W = weight_std² Σ D p xᵀ, of one pair, last layer fixed."""
    network, action, found = trained("midpoint", "free", 64, pairs=1)
    own = action.matrices(found.path)
    matrix, bias = own[-1]
    std, noise = network.continuum.weight_std, network.output
    width = len(matrix[0])

    def weights(x, p):
        """W and b, which stand on both sides, by iteration."""
        w, b = np.zeros((width, width)), np.zeros(width)
        for _ in range(200):
            pull = std**2 * (1.0 - np.tanh(w @ x + b) ** 2) * p
            w, b = np.outer(pull, x), pull
        return w, b

    def rates(t, both):
        rows = []
        for x, p in zip(both[:width].T, both[width:].T, strict=True):
            w, b = weights(x, p)
            value = np.tanh(w @ x + b)
            rows.append(np.concatenate([value, -w.T @ ((1.0 - value**2) * p)]))
        return np.array(rows).T

    def ends(begin, end):
        pull = -matrix.T @ ((matrix @ end[:width] + bias - network.outputs[0]) / noise**2)
        return np.concatenate([begin[:width] - network.inputs[0], end[width:] - pull])

    times = np.linspace(0.0, network.continuum.time, network.continuum.steps + 1)
    x = np.array([own[0] for own in action.states(found.path)[:-1:2]])
    p = -np.array([own[0] for own in action.multipliers(found.path)[1:-1:2]])
    guess = np.concatenate([x, np.concatenate([p[:1], p])], axis=1).T
    exact = solve_bvp(rates, ends, times, guess, tol=1e-7)
    assert exact.success
    assert x == pytest.approx(exact.sol(times)[:width].T, abs=2e-4)


def test_the_field_is_the_flow_of_its_weights():
    network = example(field("midpoint", "walk", 200), 3)
    action, continuum = ExactNetwork(network), network.continuum
    times = np.array(continuum.times)
    smooth = np.sin(np.arange(12)[:, None] + times).T
    theta = np.concatenate(
        [np.concatenate([one[:9], one[9:]]) for one in smooth] + [np.linspace(-1.0, 1.0, 8)]
    )
    along = CubicSpline(times, smooth)

    def rate(t, x):
        own = along(t)
        return np.tanh(own[:9].reshape(3, 3) @ x + own[9:])

    end = action.states(theta)[-2]
    for pair in range(network.pairs):
        exact = solve_ivp(rate, (0.0, continuum.time), network.inputs[pair], rtol=1e-10, atol=1e-10).y[:, -1]
        assert end[pair] == pytest.approx(exact, abs=2e-4)


@pytest.mark.parametrize("way", ["small", "scaled"])
def test_trainings_begin_with_one_field_of_all_times(way):
    context = NetworkContext(example(field("midpoint", "walk")))
    theta = context.first_weights(context.action, generator(906))
    own = over_time(context.network, context.action, theta)
    assert (own == own[0]).all() and np.ptp(own[0]) > 0.0
    begun = TRAININGS[way].weights(context, [], generator(906))
    assert context.action.value(begun) < np.inf
    for one in TRAININGS.values():
        assert one.fits(context.network) == (one.name in ("small", "scaled", "redrawn"))
    redrawn = TRAININGS["redrawn"].weights(context, [theta], generator(907))
    assert redrawn.shape == theta.shape and not np.array_equal(redrawn, theta)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"weights": "free"}, "weight_std"),
        ({"weights": "walk"}, "walk_std"),
        ({"weights": "constant", "walk_std": 1.0}, "walk_std"),
        ({"weights": "free", "weight_std": 1.0, "walk_std": 1.0}, "walk_std"),
        ({"weights": "sometimes", "walk_std": 1.0}, "weights"),
        ({"weights": "constant", "scheme": "leapfrog"}, "scheme"),
        ({"weights": "constant", "time": -1.0}, "time"),
        ({"weights": "constant", "steps": 0}, "steps"),
    ],
)
def test_what_does_not_fit_is_refused(given, key):
    with pytest.raises(InputError) as caught:
        Continuum(**({"time": 1.0, "steps": 4} | given))
    assert caught.value.mistakes[0].place == f"network.continuum.{key}"


def test_other_layers_and_finite_rungs_are_refused():
    network = example(field("euler", "free"))
    with pytest.raises(InputError, match="layers of one width"):
        ExactNetwork(replace(network, widths=(2, 3, 3, 2), activations=(same, np.tanh, same)))
    with pytest.raises(InputError, match="obeyed exactly"):
        network.action()


JOB = """
[network]
hidden = [3]
weight_std = 2.0

[network.continuum]
time = 1.0
steps = 3
{field}

[data]
file = "pairs.csv"
outputs = ["y"]
noise_std = 0.1
hold_back = 10

[ensemble]
starts = 3
way = "{way}"

[output]
directory = "run"
"""


def job(folder, field='weights = "walk"\nwalk_std = 2.0', way="small", more=""):
    rng = generator(908)
    x = rng.normal(size=(40, 2))
    y = np.tanh(x[:, 0] - x[:, 1] ** 2) + 0.1 * rng.normal(size=40)
    np.savetxt(folder / "pairs.csv", np.column_stack([x, y]), delimiter=",", header="a,b,y", comments="")
    path = folder / "job.toml"
    path.write_text(JOB.format(field=field, way=way) + more)
    return path


@pytest.mark.parametrize(
    "field",
    ['weights = "walk"\nwalk_std = 2.0', 'weights = "constant"', 'weights = "free"\nweight_std = 1.0'],
)
def test_a_run_is_analyzed_and_predicts(tmp_path, field):
    run = hpcda.run(job(tmp_path, field))
    network = run.network
    weights = run.weights()
    assert weights.W.shape == (network.continuum.matrices, 3, 3)
    assert weights.time.values == pytest.approx(network.continuum.times)
    x = run.pairs.series
    hidden = x @ weights.W_in.values.T + weights.b_in.values
    for step in range(3):
        n = min(step, len(weights.time) - 1)
        matrix, bias = weights.W.values[n], weights.b.values[n]
        middle = hidden + np.tanh(hidden @ matrix.T + bias) / 6
        hidden = hidden + np.tanh(middle @ matrix.T + bias) / 3
    expected = hidden @ weights.W_out.values.T + weights.b_out.values
    assert run.predict(x).values == pytest.approx(expected, abs=1e-12)
    again = ExactNetwork(network).value(run.theta())
    assert again == pytest.approx(run.candidate.action, rel=1e-12)
    assert len(run.file.header.unknown) == network.weights == run.theta().size
    assert summarize_network(run)["weights"] == network.weights


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"field": 'weights = "free"'}, "network.continuum.weight_std"),
        ({"field": 'weights = "walk"'}, "network.continuum.walk_std"),
        ({"field": 'weights = "constant"\nscheme = "rk4"'}, "network.continuum.scheme"),
        ({"more": '\n[solver]\nelimination = "data"\n'}, "solver.elimination"),
        ({"way": "annealed"}, "ensemble.way"),
        ({"way": "wide"}, "ensemble.way"),
    ],
)
def test_jobs_that_do_not_fit_are_refused(tmp_path, changes, place):
    with pytest.raises(InputError) as caught:
        hpcda.run(job(tmp_path, **changes))
    assert [own.place for own in caught.value.mistakes] == [place]
