"""The tracer: every operator and NumPy function, their derivatives on the graph, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hpcda.errors import InputError
from hpcda.models.graph import UNARY, Graph
from hpcda.models.model import Model, Parameter, State, StateVector
from hpcda.models.trace import Symbol
from hpcda.models.traced import trace
from tests.unit.jets import SMOOTH, Jet
from tests.unit.traced import interpreted, of

MU = np.array([0.7])
# Where each function is defined; symmetric points around 0 elsewhere.
POINTS = {
    "log": (0.05, 0.7, 3.0),
    "sqrt": (0.05, 0.7, 3.0),
    "log1p": (-0.9, 1e-9, 2.0),
    "arcsin": (-0.95, 0.1, 0.8),
    "arccos": (-0.95, 0.1, 0.8),
    "reciprocal": (-2.0, 0.3, 4.0),
}
NUMPY = {"neg": np.negative, "abs": np.absolute} | {
    name: getattr(np, name) for name in SMOOTH if name not in ("neg", "abs")
}


def model_of(equations, states=3, parameters=("a",)):
    return Model(
        "tested",
        tuple(State(f"x{k}") for k in range(states)),
        tuple(Parameter(name, 2.0) for name in parameters),
        equations,
    )


def traced_model(equations, states=3, parameters=("a",)):
    """Variables: the states, then the parameters."""
    model = model_of(equations, states, parameters)

    def given(symbol):
        p = {name: symbol("v", states + k) for k, name in enumerate(parameters)}
        return model([symbol("v", k) for k in range(states)], p, {}, symbol("t", 0))

    return trace(given)


def compare(function, x):
    """Value, gradient and Hessian of a function of one array, against the same function of jets."""
    found = interpreted(of(lambda v: [function(v)], len(x)), [x], MU)
    wanted = function(Jet.point(x))
    np.testing.assert_allclose(found.values[0, 0], wanted.value, rtol=1e-13)
    np.testing.assert_allclose(found.jacobian[0, 0], wanted.gradient, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(found.hessian[0], MU[0] * wanted.hessian, rtol=1e-10, atol=1e-12)


def test_every_function_is_tested():
    assert set(UNARY) <= set(SMOOTH) == set(NUMPY)


@pytest.mark.parametrize("name", SMOOTH)
def test_closed_forms_agree_with_central_differences(name):
    function, slope, bend = SMOOTH[name]
    step = 1e-5
    for x in POINTS.get(name, (-1.3, 0.4, 1.2)):
        small = step * (1.0 if name == "log1p" else abs(x))
        assert slope(x) == pytest.approx((function(x + small) - function(x - small)) / (2 * small), rel=1e-5)
        if name not in ("abs", "sign", "floor", "neg"):
            assert bend(x) == pytest.approx((slope(x + small) - slope(x - small)) / (2 * small), rel=1e-5)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("where", range(3))
def test_functions_of_numpy_and_their_derivatives(name, where):
    x = POINTS.get(name, (-1.3, 0.4, 1.2))[where]
    function, slope, bend = SMOOTH[name]
    found = interpreted(of(lambda v: [NUMPY[name](v[0])], 1), [[x]], MU)
    assert found.values[0, 0] == pytest.approx(float(function(x)), rel=1e-15)
    assert found.jacobian[0, 0, 0] == pytest.approx(float(slope(x)), rel=1e-12, abs=1e-15)
    assert found.hessian[0, 0, 0] == pytest.approx(MU[0] * float(bend(x)), rel=1e-11, abs=1e-15)


@pytest.mark.parametrize("name", SMOOTH)
def test_functions_of_a_whole_array(name):
    x = np.array(POINTS.get(name, (-1.3, 0.4, 1.2)))
    found = interpreted(of(NUMPY[name], 3), [x], np.ones(3))
    np.testing.assert_allclose(found.values[0], NUMPY[name](x), rtol=1e-14)
    np.testing.assert_allclose(
        np.diag(found.jacobian[0]), [SMOOTH[name][1](v) for v in x], rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[0] + x[1],
        lambda x: x[0] + 2.0,
        lambda x: 2 + x[0],
        lambda x: x[0] - x[1],
        lambda x: x[0] - 3,
        lambda x: 3 - x[0],
        lambda x: x[0] * x[1] * x[0],
        lambda x: 2.5 * x[0] * -1,
        lambda x: x[0] / x[1],
        lambda x: x[0] / 4,
        lambda x: 4 / x[0],
        lambda x: 0 / x[0] + x[1],
        lambda x: -x[0] * -x[1],
        lambda x: np.negative(-x[0]),
        lambda x: x[0] - (-x[1]),
        lambda x: -x[0] + x[1] * 0,
        lambda x: x[0] - x[0] + x[1],
        lambda x: (x[0] + x[1]) * (x[0] - x[1]) / (x[0] * x[1]),
        *(lambda x, y=y: x[0] ** y for y in (0, 1, 2, 3, 7, 16, 17, -1, -3, 0.5, -0.5, 1.5, -2.3, 2.0)),
        lambda x: x[0] ** x[1],
        lambda x: 2.0 ** x[1],
        lambda x: 1.7 ** (x[0] * x[1]),
    ],
)
@pytest.mark.parametrize("x", [(1.3, 0.6), (0.2, -2.5)])
def test_operators_and_their_derivatives(function, x):
    compare(function, np.array(x))


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, int, float, np.bool_])
def test_plain_and_numpy_numbers_mix_with_symbols(kind):
    two = kind(2)
    value = float(two)
    found = interpreted(
        of(lambda x: [two * x[0], x[0] * two, two - x[0], x[0] / two, x[0] ** float(two)], 1),
        [[3.0]],
        np.ones(5),
    )
    np.testing.assert_allclose(found.values[0], [3 * value, 3 * value, value - 3, 3 / value, 3**value])


PIECEWISE = {
    "where": lambda x: np.where(x[0] > x[1], x[0] * x[1], x[1] ** 2),
    "where of numbers": lambda x: np.where(x[0] < 0.5, 1.0, x[1]),
    "greater": lambda x: (x[0] > x[1]) * x[0],
    "greater or equal": lambda x: (x[0] >= x[1]) * x[0],
    "less": lambda x: (x[0] < x[1]) * x[0],
    "less or equal": lambda x: (1.0 <= x[1]) * x[0],
    "equal": lambda x: np.where(x[0] == x[1], 1.0, x[0] * x[1]),
    "maximum": lambda x: np.maximum(x[0], x[1] ** 2),
    "maximum of a number": lambda x: np.maximum(0.5, x[0]) * x[1],
    "minimum": lambda x: np.minimum(x[0] ** 2, x[1]),
    "fmax": lambda x: np.fmax(x[0], 0.0) ** 3,
    "fmin": lambda x: np.fmin(x[0], 0.0) ** 3,
    "clip": lambda x: np.clip(x[0], -0.5, 0.5) * x[1],
    "clip between symbols": lambda x: np.clip(x[0], -(x[1] ** 2), x[1] ** 2),
    "clip with keywords": lambda x: np.clip(x[0] * x[1], a_min=-1.0, a_max=1.0),
    "hypot": lambda x: np.hypot(x[0], x[1]),
    "fabs": lambda x: np.fabs(x[0]) * x[1],
    "abs": lambda x: abs(x[0]) * x[1],
    "nested": lambda x: np.where(x[0] > 0, np.where(x[1] > 0, x[0] * x[1], x[0]), np.maximum(x[1], -1.0)),
}


@pytest.mark.parametrize("name", PIECEWISE)
@pytest.mark.parametrize("x", [(1.3, 0.6), (-0.2, -2.5), (0.3, 1.1), (-2.0, 0.4)])
def test_piecewise_functions(name, x):
    """Derivatives are those of the branch on which the point lies: complex steps see one branch alone."""
    function = PIECEWISE[name]
    found = interpreted(of(lambda v: [function(v)], 2), [x], MU)
    assert found.values[0, 0] == pytest.approx(float(function(np.array(x))), rel=1e-15, abs=1e-15)
    step = 1e-6
    for k in range(2):
        move = np.eye(2)[k] * step
        up, down = (
            interpreted(of(lambda v: [function(v)], 2), [np.array(x) + s * move], MU) for s in (1, -1)
        )
        slope = (up.values[0, 0] - down.values[0, 0]) / (2 * step)
        assert found.jacobian[0, 0, k] == pytest.approx(slope, rel=1e-7, abs=1e-9)
        bend = MU[0] * (up.jacobian[0, 0] - down.jacobian[0, 0]) / (2 * step)
        np.testing.assert_allclose(found.hessian[0, k], bend, rtol=1e-7, atol=1e-8)


A = np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 0.5], [3.0, 0.0, 1.0]])


def in_place(x, p):
    rates = -x
    rates += p.a
    rates *= x
    rates[0] = x[1] * p.a
    rates[1:] -= 0.5
    return rates


ARRAYS = {
    "roll": lambda x, p: (np.roll(x, 1) - np.roll(x, -2)) * x,
    "array and parameter": lambda x, p: -x + p.a,
    "parameter and array": lambda x, p: p.a * x - p.a / x,
    "array to a parameter": lambda x, p: x**2 + np.exp(x / p.a) + abs(x) ** p.a,
    "parameter and numbers": lambda x, p: np.array([1.0, 2.0, 3.0]) * p.a + np.arange(3) * x[0],
    "names": lambda x, p: [x.x0 * x["x1"], x.x2, p["a"]],
    "unpacking": lambda x, p: (lambda u, v, w: [u * v, v * w, w - p.a])(*x),
    "slices": lambda x, p: np.concatenate([x[1:] * x[:-1], x[:1]]),
    "fancy index": lambda x, p: x[[1, 2, 0]] * x[np.array([2, 0, 1])] + x[-1],
    "mask": lambda x, p: [*x[np.array([True, False, True])], x[1]],
    "matrix": lambda x, p: A @ x + A.dot(x) * p.a,
    "dot": lambda x, p: np.dot(A, x) * x,
    "einsum": lambda x, p: np.einsum("ij,j->i", A, x),
    "outer": lambda x, p: np.outer(x, x)[1],
    "sums": lambda x, p: [x.sum(), np.sum(x[:2]), sum(x) * p.a],
    "means": lambda x, p: [x.mean(), np.mean(x), x[0]],
    "products": lambda x, p: [np.prod(x), x.prod(), np.cumsum(x)[1]],
    "norm": lambda x, p: [np.linalg.norm(x), np.sum(x**2) ** 0.5, 1.0],
    "differences": lambda x, p: [*np.diff(x), x[0]],
    "array of values": lambda x, p: np.array([x[0] * p.a, x[1], 2.0 * x[2]]),
    "stack": lambda x, p: np.stack([x[0] * p.a, x[1], 2.0 * x[2]]),
    "hstack": lambda x, p: np.hstack([x[0] * p.a, x[1:]]),
    "append": lambda x, p: np.append(x[:2], p.a),
    "copy": lambda x, p: x.copy() * 2,
    "zeros filled": lambda x, p: np.where(np.arange(3) > 0, x, p.a),
    "where": lambda x, p: np.where(x > p.a, x, 2 * x),
    "where of a parameter": lambda x, p: np.where(x[0] > p.a, x, 2 * x),
    "maximum": lambda x, p: np.maximum(x, 0.3) + np.minimum(p.a, x),
    "clip": lambda x, p: np.clip(x, -1.0, 1.0) * p.a + x.clip(0.0, 1.0),
    "clip by a parameter": lambda x, p: np.clip(x, -p.a, p.a),
    "condition times array": lambda x, p: (x > 0) * x**2,
    "in place": in_place,
    "constants": lambda x, p: [0.0, 1, x[0] * 0],
    "constant from a parameter": lambda x, p: [p.a, 0.0, np.float64(3.0)],
    "infinite bound": lambda x, p: np.minimum(x, np.inf),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_equations_on_arrays_are_traced_as_numpy_evaluates_them(name):
    equations = ARRAYS[name]
    point = np.array([0.4, -1.7, 2.6, 1.2])

    def plain(v):
        return np.array(model_of(equations)(v[:3], {"a": v[3]}), dtype=float)

    with np.errstate(invalid="ignore"):
        wanted = plain(point)
    found = interpreted(traced_model(equations), [point], np.ones(3))
    np.testing.assert_allclose(found.values[0], wanted, rtol=1e-14)
    step = 1e-6
    for k in range(4):
        move = np.eye(4)[k] * step
        slope = (plain(point + move) - plain(point - move)) / (2 * step)
        np.testing.assert_allclose(found.jacobian[0, :, k], slope, rtol=1e-7, atol=1e-8)


def test_a_state_that_never_changes_has_no_derivatives():
    traced = traced_model(lambda x, p: [x[1] * p.a, 0.0, 0.0])
    assert traced.jacobian == [(0, 1), (0, 3)]
    assert traced.hessian == [(3, 1)]


def test_numbers_in_place_stay_numbers():
    vector = StateVector.of(np.array([1.0, 2.0]), ("x", "y"))
    vector += 1
    vector *= 2.0
    np.testing.assert_array_equal(vector, [4.0, 6.0])
    assert vector.x == 4.0


def test_equal_expressions_are_one_node():
    graph = Graph()
    x, y = (Symbol(graph, graph.input("v", k)) for k in (0, 1))
    assert (x * y).node == (y * x).node == (x * y * 1.0).node
    assert (x + y).node == (y + x).node == (x + y + 0).node == (x - -y).node
    assert np.exp(x).node == np.exp(x + 0.0).node
    assert np.negative(-x).node == x.node
    assert (x - x).node == graph.constant(0.0) == (x * 0).node
    assert (x**2).node == (x * x).node
    before = len(graph.keys)
    assert np.tanh(x * y - 1).node == np.tanh(y * x - 1).node
    assert len(graph.keys) == before + 2


def test_constants_fold_into_numbers():
    graph = Graph()
    two, three = graph.constant(2.0), graph.constant(3.0)
    value = graph.value
    assert [value(graph.add(two, three)), value(graph.subtract(two, three))] == [5.0, -1.0]
    assert [value(graph.multiply(two, three)), value(graph.divide(two, three))] == [6.0, 2 / 3]
    assert value(graph.power(two, three)) == 8.0
    assert value(graph.unary("exp", two)) == pytest.approx(math.e**2)
    assert value(graph.compare("lt", two, three)) == 1.0
    assert value(graph.select(graph.constant(0.0), two, three)) == 3.0


def test_derivatives_that_vanish_by_form_are_left_out():
    traced = of(lambda x: [x[0] * x[1] + x[2], np.floor(x[0]) + np.sign(x[1]), 3.0 * x[2] - x[2]], 4)
    assert traced.jacobian == [(0, 0), (0, 1), (0, 2), (2, 2)]
    assert traced.hessian == [(1, 0)]


def test_the_order_of_inputs_does_not_matter():
    one = interpreted(of(lambda x: [x[0] ** 2 * np.exp(x[1])], 2), [[0.3, 0.5]], MU)
    two = interpreted(of(lambda x: [x[1] ** 2 * np.exp(x[0])], 2), [[0.5, 0.3]], MU)
    np.testing.assert_allclose(one.hessian[0], two.hessian[0][::-1, ::-1], rtol=1e-15)


REFUSED = {
    "if": (lambda x, p: [x[0] if x[0] > 0 else 0.0, 0, 0], "a branch"),
    "and": (lambda x, p: [np.where(x[0] > 0 and x[0] < 1, x[0], 0.0), 0, 0], "a branch"),
    "chain of comparisons": (lambda x, p: [np.where(0 < x[0] < 1, x[0], 0.0), 0, 0], "a branch"),
    "max": (lambda x, p: [max(x[0], p.a), 0, 0], "a branch"),
    "np.max": (lambda x, p: [np.max(x), 0, 0], "a branch"),
    "while": (lambda x, p: [next(k for k in range(9) if x[0] < k), 0, 0], "a branch"),
    "math.exp": (lambda x, p: [math.exp(x[0]), 0, 0], "a conversion to a plain number (math.exp"),
    "float": (lambda x, p: [float(p.a), 0, 0], "a conversion to a plain number"),
    "array of floats": (lambda x, p: np.array(x, dtype=float), "a conversion to a plain number"),
    "np.arctan2": (lambda x, p: [np.arctan2(x[0], x[1]), 0, 0], "np.arctan2"),
    "np.heaviside of an array": (lambda x, p: np.heaviside(x, 0.5), "np.heaviside"),
    "np.fmod": (lambda x, p: [np.fmod(x[0], 2.0), 0, 0], "np.fmod"),
    "np.isnan": (lambda x, p: [np.isnan(x[0]), 0, 0], "np.isnan"),
    "attribute": (lambda x, p: [x[0].real, 0, 0], "'real' of a state or parameter"),
    "remainder": (lambda x, p: [x[0] % 2, 0, 0], "unsupported operand"),
    "int": (lambda x, p: [int(x[0]), 0, 0], "int()"),
    "complex": (lambda x, p: [x[0] * 1j, 0, 0], "complex"),
    "division by zero": (lambda x, p: [x[0] / 0.0, 0, 0], "divide by zero"),
    "logarithm of zero": (lambda x, p: [x[0] + np.log(x[1] * 0.0), 0, 0], "divide by zero"),
    "None": (lambda x, p: [x[0], None, 0], "None"),
    "text": (lambda x, p: [x[0], "x1", 0], "'x1'"),
    "not a number": (lambda x, p: [x[0], float("nan"), 0], "nan"),
    "infinity": (lambda x, p: [x[0], 0, np.inf], "inf"),
    "too few": (lambda x, p: [x[0]], "1 value for 3 states"),
    "a lone value": (lambda x, p: x[0], "not iterable"),
    "nothing": (lambda x, p: None, "NoneType"),
    "unknown parameter": (lambda x, p: [p.b, 0, 0], "no parameter 'b'"),
    "unknown state": (lambda x, p: [x.V, 0, 0], "no state 'V'"),
    "unknown state by key": (lambda x, p: [x["V"], 0, 0], "no state 'V'"),
    "error of its own": (lambda x, p: [x[7], 0, 0], "IndexError"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_traced_is_refused_with_a_remedy(name):
    equations, words = REFUSED[name]
    with pytest.raises(InputError) as caught:
        traced_model(equations)
    (mistake,) = caught.value.mistakes
    assert mistake.place in ("equations", "model tested")
    assert words in mistake.problem
    assert len(mistake.remedy) > 20
    assert "\n" not in mistake.problem


def test_decisions_on_plain_numbers_are_allowed():
    def equations(x, p):
        switch = x[0] * 0.0 + 1.0
        return [x[0] if switch > 0 else -x[0], math.exp(switch * 0.0) * x[1], x[2]]

    found = interpreted(traced_model(equations), [[1.0, 2.0, 3.0, 4.0]], np.ones(3))
    np.testing.assert_array_equal(found.values[0], [1.0, 2.0, 3.0])


def sum_of(*functions):
    return [trace(lambda given, f=f: f(given("v", 0), given("v", 1), given("c", 0))) for f in functions]


def test_a_digest_tells_what_is_computed_and_not_how_it_is_written():
    """Whatever is traced before, in whichever order two terms stand; but not where anything else differs."""
    alike = sum_of(
        lambda x, y, a: [a * x + y, np.exp(x) ** 2.5],
        lambda x, y, a: [y + x * a, np.exp(x) ** 2.5],
        lambda x, y, a: [(y * 7.0 - y * 7.0) + y + x * a, np.exp(x + 0.0) ** 2.5],
    )
    assert len({one.graph.digest(one.values) for one in alike}) == 1
    apart = sum_of(
        lambda x, y, a: [a * x + y, np.exp(x) ** 2.5],
        lambda x, y, a: [np.exp(x) ** 2.5, a * x + y],
        lambda x, y, a: [a * y + x, np.exp(x) ** 2.5],
        lambda x, y, a: [a * x - y, np.exp(x) ** 2.5],
        lambda x, y, a: [y - a * x, np.exp(x) ** 2.5],
        lambda x, y, a: [a * x + y, np.exp(x) ** 2.25],
        lambda x, y, a: [a * x + y, np.sin(x) ** 2.5],
        lambda x, y, a: [a * x + y],
        lambda x, y, a: [a * x + y, 2.5],
        lambda x, y, a: [a * x + y, np.where(x > 0, x, y)],
        lambda x, y, a: [a * x + y, np.where(x > 0, y, x)],
    )
    assert len({one.graph.digest(one.values) for one in apart}) == len(apart)
