"""Factor graphs that are no chains, against actions written anew in CasADi, and densities of SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hpcda.action.factors import DataLoss, Factors, gaussian
from hpcda.action.graph import CompiledGraph, GraphAction
from hpcda.action.kernel import traced_kernel
from hpcda.action.layer import dense_layer
from hpcda.action.losses import LOSSES
from hpcda.action.verify import verify
from hpcda.errors import InputError
from hpcda.problem import Variable, Variables
from tests.chance import generator
from tests.unit.graphs import GRAPHS, WIDTHS, counts, lagrangian, network, quadratic_map
from tests.unit.problems import dense

ca = pytest.importorskip("casadi", reason="the oracle is CasADi")
RF = 2.7


def check(action, path, written, near=1e-10):
    """Value, gradient and Hessian against those of a CasADi expression ``written(x)``."""
    x = ca.SX.sym("x", action.size)
    total = written(x)
    hessian, gradient = ca.hessian(total, x)
    wanted = [np.array(one(path).full()) for one in
              (ca.Function("f", [x], [out]) for out in (total, gradient, hessian))]  # fmt: skip
    shares, slopes, _ = action.derivatives(path, RF)
    assert shares.total == pytest.approx(wanted[0].item(), rel=near)
    assert np.abs(slopes - wanted[1].ravel()).max() <= near * np.abs(wanted[1]).max()
    assert np.abs(dense(action, path, RF) - wanted[2]).max() <= near * np.abs(wanted[2]).max()
    assert action.gradient(path, RF)[0] == action.value(path, RF) == shares
    assert verify(action, path, RF, length=1e-3).ok


def test_a_map_whose_parameters_of_one_time_are_shared_by_all_windows():
    variables, factors, times, data = quadratic_map()

    def written(x):
        total, first, k = 0, 0, 0
        rates = 2 * sum(times)
        for window, count in enumerate(times):
            own = x[rates + max(times) + window]
            for n in range(count):
                at = first + 2 * n
                total += 0.5 * ((x[at] - data[k]) / 0.1) ** 2
                k += 1
                if n + 1 < count:
                    step = x[rates + n] * x[at] * (1 - x[at]) + own * x[at + 1]
                    total += 0.5 * RF * ((x[at + 2] - step) ** 2 + 4 * (x[at + 3] - x[at]) ** 2)
            first += 2 * count
        for n in range(max(times)):
            total += 0.5 * ((x[rates + n] - 3.2) / 0.5) ** 2
        for window in range(len(times)):
            total += 0.5 * ((x[rates + max(times) + window] - 0.1) / 0.05) ** 2
        return total

    action = GraphAction(variables, factors)
    path = generator(52).uniform(0.2, 0.8, action.size)
    check(action, path, written)
    assert [name for name in action.value(path, RF)] == ["measurement", "model", "prior"]


@pytest.mark.parametrize("kind", ["softmax", "gaussian"])
def test_a_layered_network(kind):
    net = network(kind)
    action = net.action()
    d0, d1, d2 = WIDTHS
    given = kind == "softmax"

    def written(x):
        each = (0 if given else d0) + d1 + d2
        place = net.pairs * each
        w0 = ca.reshape(x[place : place + d0 * d1], d0, d1).T
        w1_at = place + d0 * d1 + d1
        b0, w1 = x[w1_at - d1 : w1_at], ca.reshape(x[w1_at : w1_at + d1 * d2], d1, d2).T
        b1 = x[w1_at + d1 * d2 :]
        total = 0.5 * ca.sumsqr(x[place:]) / 4
        for pair in range(net.pairs):
            own = x[pair * each : (pair + 1) * each]
            first = ca.DM(net.inputs[pair]) if given else own[:d0]
            hidden, last = own[-d1 - d2 : -d2], own[-d2:]
            z0, z1 = w0 @ first + b0, w1 @ hidden + b1
            if given:
                total += ca.log(ca.sum1(ca.exp(last))) - ca.dot(ca.DM(net.outputs[pair]), last)
                g0, g1 = ca.tanh(z0), z1
            else:
                total += 0.5 * ca.sumsqr((first - net.inputs[pair]) / 0.5)
                total += 0.5 * ca.sumsqr((last - net.outputs[pair]) / 0.3)
                g0, g1 = 1 / (1 + ca.exp(-z0)), ca.tanh(z1)
            total += 0.5 * RF * (ca.sumsqr(hidden - g0) + ca.sumsqr(last - g1))
        return total

    path = generator(62).normal(size=action.size)
    check(action, path, written)
    assert action.variables.labels[-1] == "b[1] (time 1)"
    first = action.variables.part("W", None, 1).first
    assert action.variables.labels[first + 7] == "W[1,2] (time 1)"


def test_counts():
    action, data, number = counts("poisson", False)
    path = np.append(generator(72).uniform(-1.0, 2.0, number), 0.7)

    def minus_log(x):
        rate = np.exp(x[:-1])
        return -stats.poisson(rate).logpmf(data).sum()

    other = path + 0.3
    difference = action.value(path, RF).total - action.value(other, RF).total
    assert difference == pytest.approx(minus_log(path) - minus_log(other), rel=1e-12)
    own = np.where(data > 0, data * np.log(np.where(data > 0, data, 1.0)) - data, 0.0).sum()

    def written(x):
        v = x[:number]
        return ca.sum1(ca.exp(v)) - ca.dot(ca.DM(data), v) + own

    check(action, path, written)


@pytest.mark.parametrize("unknown", [False, True])
def test_heavy_tails_and_an_unknown_scale(unknown):
    action, data, number = counts("student-t", unknown, {"nu": 3.0})
    path = np.append(generator(73).uniform(-1.0, 1.0, number), 0.7)

    def minus_log(x):
        return -stats.t(3.0, x[:-1] ** 3, x[-1] if unknown else 0.6).logpdf(data).sum()

    other = path + 0.2
    difference = action.value(path, RF).total - action.value(other, RF).total
    assert difference == pytest.approx(minus_log(path) - minus_log(other), rel=1e-12)

    def written(x):
        s = x[number] if unknown else 0.6
        r = (x[:number] ** 3 - data) / s
        return 2 * ca.sum1(ca.log1p(r**2 / 3)) + (number * ca.log(s) if unknown else 0)

    check(action, path, written)


def test_a_discrete_lagrangian():
    action = lagrangian()
    path = generator(74).normal(size=action.size)

    def written(q):
        moved, middle = q[1:] - q[:-1], 0.5 * (q[1:] + q[:-1])
        ends = ((q[0] - 0.3) / 0.01) ** 2 + ((q[5] + 0.2) / 0.01) ** 2
        return RF * ca.sum1(0.05 * (moved / 0.1) ** 2 + 0.1 * ca.cos(middle)) + 0.5 * ends

    check(action, path, written)
    assert action.noise(path) == {"measurement": (1.0, 1.0)}


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_layers_in_loops_are_what_straight_line_code_computes(given, residual):
    d, m, pairs = 4, 4 if residual else 3, 5
    rng = generator(81)
    variables = Variables(
        (
            Variable("x", (d,), per_window=True),
            Variable("y", (m,), per_window=True),
            Variable("W", (m, d)),
            Variable("b", (m,)),
        ),
        (1,) * pairs,
    )
    names = ("W", "b", "y") if given else ("x", "W", "b", "y")
    index = variables.index([[(name, pair, None) for name in names] for pair in range(pairs)])
    shapes = {"x": (d,), "W": (m, d), "b": (m,), "y": (m,)}
    straight = traced_kernel(
        lambda x, W, b, y: y - np.tanh(W @ x + b) - (x if residual else 0.0),
        {name: shapes[name] for name in names},
        {"x": (d,)} if given else {},
    )
    inputs = rng.normal(size=(pairs, d)) if given else ()
    weight = rng.uniform(0.5, 2.0, (pairs, m))
    places = np.arange(variables.size)
    actions = [
        GraphAction(
            variables,
            [Factors("layer", "model", kernel, index, constants=inputs, weight=weight, scaled=True),
             gaussian("all", "prior", places, 0.0, 1.0)],
        )
        for kernel in (straight, dense_layer(d, m, np.tanh, given, residual))
    ]  # fmt: skip
    path = rng.normal(size=variables.size)
    (parts, slopes), (wanted, gradient) = (action.gradient(path, RF) for action in actions)
    assert parts.total == pytest.approx(wanted.total, rel=1e-13)
    assert np.allclose(slopes, gradient, rtol=1e-12, atol=1e-13)
    matrices = [dense(action, path, RF) for action in actions]
    assert np.allclose(*matrices, rtol=1e-12, atol=1e-13)


def test_a_wide_layer_is_short_code():
    code = GraphAction(
        Variables((Variable("v", (64 + 30 * 64 + 60,)),)),
        [Factors("layer", "model", dense_layer(64, 30, np.tanh), np.arange(64 + 30 * 64 + 60)[None])],
    ).graph.code(8, "graph.c")
    assert len(code) < 10_000


@pytest.mark.parametrize("kind", GRAPHS)
def test_every_width_gives_the_same_bits(kind):
    variables, factors = GRAPHS[kind]()
    action = GraphAction(variables, factors)
    paths = generator(91).uniform(0.1, 0.9, (variables.size, 8))
    rf = np.geomspace(0.1, 1e5, 8)
    alone = CompiledGraph(action.graph, 1)
    lanes = [alone.action(paths[:, lane], rf[lane], 2) for lane in range(8)]
    wanted = [np.concatenate(parts, axis=1) for parts in zip(*lanes, strict=True)]
    for width in (2, 4, 8):
        compiled = CompiledGraph(action.graph, width)
        found = compiled.action(paths[:, :width], rf[:width], 2)
        for one, other in zip(found, wanted, strict=True):
            assert np.array_equal(one, other[:, :width])


@pytest.mark.parametrize("kind", GRAPHS)
def test_multipliers_weight_second_derivatives_of_model_errors(kind):
    """With those of the path itself the Hessian is exact; it is linear in them; J d is right."""
    variables, factors = GRAPHS[kind]()
    action = GraphAction(variables, factors)
    compiled = CompiledGraph(action.graph, 1)
    rng = generator(92)
    path = rng.uniform(0.1, 0.9, variables.size)
    _, gradient, exact, own = compiled.action(path, RF, 2)
    given = compiled.action(path, RF, 2, own)
    assert np.array_equal(given[1], gradient)
    assert np.array_equal(given[2], exact)
    none, twice = (compiled.action(path, RF, 2, factor * own)[2] for factor in (0.0, 2.0))
    assert np.allclose(none + twice, 2 * exact, rtol=1e-12, atol=1e-12)
    assert np.array_equal(compiled.linear_multipliers(path, path, RF), own)
    step = rng.normal(size=variables.size)
    linear = compiled.linear_multipliers(path, path + step, RF) - own
    ahead, behind = (compiled.action(path + h * step, RF, 2)[3] for h in (1e-5, -1e-5))
    assert np.allclose(linear, (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-7)
    without = dense_of(action, none[:, 0])
    squares = gauss_newton(action, compiled, path, variables.size)
    assert np.allclose(without, squares, rtol=1e-6, atol=1e-5 * np.abs(squares).max())


def dense_of(action, triangle):
    matrix = np.zeros((action.size, action.size))
    matrix[action.graph.rows, action.graph.columns] = triangle
    matrix[action.graph.columns, action.graph.rows] = triangle
    return matrix


def gauss_newton(action, compiled, path, size):
    """Exact second derivatives of all but model errors, and Jᵀ w J of these, by differences."""
    other = GraphAction(action.variables, [one for one in action.graph.factors if not one.lifted])
    matrix = dense(other, path, RF)
    for number, one in enumerate(action.graph.factors):
        if one.lifted:
            slopes = np.empty((one.instances * one.kernel.rows, size))
            for k in range(size):
                moved = [path + h * np.eye(size)[k] for h in (1e-5, -1e-5)]
                ahead, behind = (compiled.rows(number, p).ravel() for p in moved)
                slopes[:, k] = (ahead - behind) / 2e-5
            matrix += RF * slopes.T @ (np.ravel(one.weight)[:, None] * slopes)
    return matrix


def draws():
    variables, factors, *_ = quadratic_map()
    path = np.full(variables.size, 0.5)
    yield variables, factors, path, "measurement"
    yield variables, factors, path, "model"
    net = network("softmax")
    yield net.variables, net.factors(), generator(94).normal(size=net.variables.size), "measurement"
    for loss, unknown in (("poisson", False), ("student-t", True)):
        action, *_ = counts(loss, unknown)
        yield action.variables, list(action.graph.factors), np.full(action.size, 0.7), "measurement"


@pytest.mark.parametrize("number", range(5))
def test_what_noise_makes_of_a_group(number):
    variables, factors, path, group = list(draws())[number]
    action, rng = GraphAction(variables, factors), generator(95)
    shares = []
    for _ in range(400):
        own = 0.0
        for one, rows in action._rows(path):
            if one.group == group:
                data = one.draw(rng, rows, RF)
                other = Factors(one.name, group, one.kernel, one.index, one.loss, one.constants, one.weight,
                                data, one.noise_scale, one.scaled)  # fmt: skip
                own += GraphAction(variables, [other]).value(path, RF)[group] if len(shares) < 2 else 0.0
                own = own if len(shares) < 2 else own + share_of(other, rows)
        shares.append(own)
    mean, variance = action.noise(path)[group]
    assert abs(np.mean(shares) - mean) < 5 * np.sqrt(variance / len(shares)) + 1e-3 * abs(mean)
    assert abs(np.var(shares) / variance - 1) < 0.5


def share_of(one, rows):
    """Share of all instances, in NumPy."""
    if one.loss == "squares":
        return float(0.5 * np.sum(one.weight * (rows - one.data) ** 2)) * (RF if one.scaled else 1.0)
    return float(
        sum(one.loss.share(h, y, s) for h, y, s in zip(rows, one.data, one.noise_scale, strict=True))
    )


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"index": [[0, 0]]}, "twice"),
        ({"index": [[0]]}, "kernel has 2"),
        ({"data": [np.nan]}, "not finite"),
        ({"weight": np.ones(3)}, "weight"),
        ({"loss": DataLoss(LOSSES["poisson"]), "data": 0.5}, "whole number"),
        ({"kernel": dense_layer(1, 1, np.tanh), "index": [[0, 1, 2, 3]], "loss": "plain"}, "only squared"),
    ],
)
def test_what_does_not_fit_is_said(changes, word):
    fields = {"kernel": traced_kernel(lambda a, b: a * b, {"a": (), "b": ()}), "index": [[0, 1]]}
    with pytest.raises(InputError, match=word):
        Factors("these", "measurement", **(fields | changes))


def test_variables():
    variables = Variables(
        (
            Variable("x", shapes=((3,), (2,)), per_time=True, per_window=True, bounds=(-1.0, [2.0])),
            Variable("W", (2, 3), per_time=True, scale=0.1),
            Variable("c", per_window=True, start=(2.0, 2.0)),
            Variable("p", (2,), start=(0.0, 0.0), bounds=([0.0, 1.0], np.inf)),
        ),
        (2, 2),
    )
    assert variables.size == 2 * 5 + 2 * 6 + 2 + 2
    vector = generator(96).normal(size=variables.size)
    pieces = variables.split(vector)
    assert np.array_equal(variables.join(pieces), vector)
    assert np.array_equal(np.sort(np.concatenate([p.places.ravel() for p in variables.parts.values()])),
                          np.arange(variables.size))  # fmt: skip
    assert np.array_equal(variables.places("p", 1, 0), variables.places("p"))
    assert variables.labels[5:8] == tuple(f"x[{k}] (window 1, time 0)" for k in range(3))
    assert variables.bounds[0][-2:].tolist() == [0.0, 1.0]
    assert variables.scales[variables.places("c", 0)] == 2.0
    assert variables.scales[-1] == 1.0
    assert variables.scales[variables.places("W", None, 1)].tolist() == np.full((2, 3), 0.1).tolist()
    with pytest.raises(KeyError):
        variables.places("x", 0, 2)
    with pytest.raises(ValueError, match="shape"):
        variables.join(pieces | {("c", 0, None): np.zeros(2)})
    with pytest.raises(InputError, match="twice"):
        Variables((Variable("x"), Variable("x")))
    with pytest.raises(InputError, match="lower one first"):
        Variables((Variable("x", bounds=(1.0, 0.0)),))
