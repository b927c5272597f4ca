"""Functions with products of arrays: derivatives against CasADi and straight-line code, climbs, shapes."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit, log_expit

from hpcda.action import Action, verify
from hpcda.action.chain import chain_action
from hpcda.action.native import Equations
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Lockstep, Settings
from hpcda.errors import InputError
from hpcda.models import traced as tracing
from hpcda.models.flow import Flow
from hpcda.models.model import Model, Parameter, State, StateVector
from hpcda.models.traced import trace
from hpcda.native.kernels import source
from tests.chance import generator
from tests.unit.climbing import climb, first_paths, same
from tests.unit.problems import dense, example
from tests.unit.traced import Compiled, interpreted, numbers

NEAR = 1e-10
RF = 3.0


def wide(rows, columns, **more):
    return {"W": (rows, columns)} | more


def nested(x, p):
    return p.W2 @ np.tanh(p.W1 @ x + p.b1) + p.b2


def gated(x, p):
    """A recurrent unit with a gate, of observed and hidden states."""
    gate = 0.5 + 0.5 * np.tanh(p.G @ x)
    return (1 - gate) * x + gate * np.tanh(p.W @ (gate * x) + p.b)


NUMBERS = np.array([[0.5, 1.0, -0.25], [0.0, 2.0, 1.5], [-1.0, 0.0, 0.75]])

# Name -> number of states, shapes of arrays, equations with as many values as states.
FUNCTIONS = {
    "numbers": (3, wide(3, 3), lambda x, p: NUMBERS @ np.tanh(p.W @ (NUMBERS @ x)) + x @ NUMBERS),
    "numbers and squares": (3, wide(3, 3), lambda x, p: x * (NUMBERS @ (p.W @ x)) + np.dot(NUMBERS, x**2)),
    "recurrent": (5, wide(5, 5, b=(5,)), lambda x, p: np.tanh(p.W @ x + p.b)),
    "3-5": (3, {"W": (5, 3), "V": (3, 5)}, lambda x, p: p.V @ np.sin(p.W @ x)),
    "nested": (3, {"W1": (4, 3), "b1": (4,), "W2": (3, 4), "b2": (3,)}, nested),
    "three deep": (
        2,
        {"A": (3, 2), "B": (4, 3), "C": (2, 4)},
        lambda x, p: p.C @ np.tanh(p.B @ np.tanh(p.A @ x)),
    ),
    "products alone": (2, {"A": (3, 2), "B": (2, 3)}, lambda x, p: p.B @ (p.A @ x)),
    "gated": (4, {"G": (4, 4), "W": (4, 4), "b": (4,)}, gated),
    "from the left": (3, wide(3, 3), lambda x, p: np.tanh(x @ p.W)),
    "transposed": (4, wide(3, 4), lambda x, p: p.W.T @ np.tanh(p.W @ x)),
    "slices": (
        5,
        wide(3, 3, V=(2, 4)),
        lambda x, p: np.concatenate([np.tanh(p.W @ x[:3]), p.V @ (x[1:] * x[:1])]),
    ),
    "indices": (3, wide(2, 3), lambda x, p: [*np.tanh(p.W @ x[[2, 0, 1]]), x[0] * x[1]]),
    "beside other terms": (3, wide(3, 3), lambda x, p: x * x[::-1] - np.exp(p.W @ x) / (1 + x**2)),
    "of one another": (2, {"A": (2, 2), "B": (2, 2)}, lambda x, p: (p.A @ p.B) @ x + p.B @ (p.A @ x)),
    "squares": (3, wide(3, 3), lambda x, p: x * (x.reshape(1, 3) @ (p.W @ x)) + np.dot(p.W, x**2)),
    "weights of weights": (3, wide(3, 3), lambda x, p: np.exp(-(p.W**2)) @ x + p.W @ np.ones(3)),
    "the same row twice": (2, wide(2, 2), lambda x, p: [(p.W @ x)[0] * (p.W @ x)[1], (p.W @ x)[0] ** 2]),
    "rows that are values": (3, wide(3, 3), lambda x, p: p.W @ x),
}  # fmt: skip


def symbols(make, states, shapes):
    """States and arrays of entries ``make(number)``, the numbers running through all of them."""
    x = [make(k) for k in range(states)]
    first, arrays = states, {}
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        entries = np.empty(count, dtype=object)
        entries[:] = [make(first + k) for k in range(count)]
        arrays[name] = entries.reshape(shape)
        first += count
    return x, arrays, first


def model(name, kind="map"):
    states, shapes, equations = FUNCTIONS[name]
    return Model(
        "tested",
        tuple(State(f"x{k}", range=(-1.0, 1.0)) for k in range(states)),
        tuple(Parameter(key, 0.1, range=(-0.8, 0.8), shape=shape) for key, shape in shapes.items()),
        equations,
        kind=kind,
    )


def traced_model(made):
    def rows(given):
        d = made.dimension
        p = {name: given("v", d + k) for k, name in enumerate(made.parameter_names)}
        return made([given("v", k) for k in range(d)], p)

    return trace(rows)


@pytest.fixture
def as_products(monkeypatch):
    monkeypatch.setattr(tracing, "FEWEST", 0)


def straight(make, monkeypatch):
    """What `make` makes where nothing stays a product."""
    with monkeypatch.context() as patched:
        patched.setattr(tracing, "FEWEST", 10**9)
        return make()


def of_casadi(name, v, mu):
    """Values, Jacobian and Hessian of μ·f by CasADi, from the same equations."""
    ca = pytest.importorskip("casadi", reason="the oracle is CasADi")
    states, shapes, equations = FUNCTIONS[name]
    x, arrays, count = symbols(lambda k: ca.SX.sym(f"v{k}"), states, shapes)
    every = ca.vertcat(*x, *(one for array in arrays.values() for one in array.ravel()))
    vector = np.empty(states, dtype=object)
    vector[:] = x
    f = ca.vertcat(*list(equations(vector, SimpleNamespace(**arrays))))
    hessian = ca.hessian(ca.dot(ca.DM(mu), f), every)[0]
    outs = ca.Function("f", [every], [f, ca.jacobian(f, every), hessian])
    return [[np.array(out.full()) for out in outs(point)] for point in v], count


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_those_of_casadi_and_of_straight_line_code(name, as_products, monkeypatch):
    made = model(name)
    traced = traced_model(made)
    assert traced.products is not None
    rng = generator(21)
    v = rng.normal(size=(8, made.dimension + len(made.parameters)))
    mu = rng.normal(size=made.dimension)
    found = Compiled(traced)(v, mu)
    plain = straight(lambda: traced_model(made), monkeypatch)
    assert plain.products is None
    assert (traced.jacobian, traced.hessian) == (plain.jacobian, plain.hessian)
    beside = interpreted(plain, v, mu)
    oracle, count = of_casadi(name, v, mu)
    assert count == v.shape[1]
    for n, (values, jacobian, hessian) in enumerate(oracle):
        for ours, theirs, other in (
            (found.values[n], values.ravel(), beside.values[n]),
            (found.jacobian[n], jacobian, beside.jacobian[n]),
            (found.hessian[n], hessian, beside.hessian[n]),
        ):
            size = max(np.abs(theirs).max(), 1.0)
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=NEAR * size)
            np.testing.assert_allclose(ours, other, rtol=0, atol=NEAR * size)


@pytest.mark.parametrize("name", ["nested", "gated", "squares"])
def test_the_gradient_on_the_graph_goes_through_products(name, as_products):
    made = model(name)
    traced = traced_model(made)
    v, mu = generator(22).normal(size=made.dimension + len(made.parameters)), np.zeros(made.dimension)
    jacobian = Compiled(traced)([v], mu).jacobian[0]
    for row, value in enumerate(traced.values):
        slopes = traced.graph.gradient(value)
        places = [traced.graph.keys[node][2] for node in slopes]
        found = numbers(traced, list(slopes.values()), {"v": v})
        np.testing.assert_allclose(found, jacobian[row, places], rtol=0, atol=NEAR)


SCHEMES = [
    ("recurrent", "map"),
    ("gated", "map"),
    ("nested", "trapezoid"),
    ("nested", "implicit-midpoint"),
    ("nested", "hermite-simpson"),
    ("transposed", "hermite-simpson"),
    ("nested", "rk4"),
    ("slices", "trapezoid"),
]


def action_of(name, scheme, variant="nonlinear and gaps"):
    problem, path = example(model(name, "map" if scheme == "map" else "flow"), scheme, variant, dt=0.1)
    return Action(problem), path


@pytest.mark.parametrize(("name", "scheme"), SCHEMES)
@pytest.mark.parametrize("variant", ["nonlinear and gaps", "walk", "states alone"])
def test_the_action_of_a_model_with_products(name, scheme, variant, as_products, monkeypatch):
    """Taylor's test, and values, gradients and Hessians beside those of straight-line code."""
    action, path = action_of(name, scheme, variant)
    assert action.equations.model.products is not None
    assert verify(action, path, RF).ok
    plain = straight(lambda: action_of(name, scheme, variant)[0], monkeypatch)
    assert plain.equations.model.products is None
    for ours, theirs in (
        (action.gradient(path, RF)[1], plain.gradient(path, RF)[1]),
        (dense(action, path, RF), dense(plain, path, RF)),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=NEAR * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("name", "scheme"), [("recurrent", "map"), ("nested", "hermite-simpson"), ("nested", "rk4")]
)
def test_the_same_action_as_a_graph(name, scheme, as_products):
    action, path = action_of(name, scheme)
    graph = chain_action(action.problem)
    ours, theirs = action.gradient(path, RF)[1], graph.gradient(path, RF)[1]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())
    wanted = dense(graph, path, RF)
    np.testing.assert_allclose(dense(action, path, RF), wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


@pytest.mark.parametrize(("name", "scheme"), SCHEMES[:5])
def test_the_number_of_lanes_does_not_change_a_bit(name, scheme, as_products):
    action, _ = action_of(name, scheme)
    paths = first_paths(action.problem, 2)
    ladder, settings = Ladder(0.02, 4.0, 3), Settings(max_iterations=20)
    wanted, *others = (climb(Lockstep(action, ladder, lanes, settings), paths) for lanes in (8, 4, 2, 1))
    for found in others:
        for start, rungs in wanted.items():
            assert same(found[start], rungs)


@pytest.mark.parametrize(
    "stacked",
    [
        lambda x, p: p.W @ [x[2], x[0], x[1] * p.b[0]],
        lambda x, p: p.W @ np.array([x[2], x[0], x[1] * p.b[0]]),
        lambda x, p: p.W.dot(np.stack([x[2], x[0], x[1] * p.b[0]])),
        lambda x, p: np.matmul(p.W, np.append(x[[2, 0]], x[1] * p.b[0])),
        lambda x, p: p.W @ np.concatenate([x[2:], x[:1], x[1:2] * p.b]),
        lambda x, p: (p.W @ np.reshape([x[2], x[0], x[1] * p.b[0]], (3, 1)))[:, 0],
        lambda x, p: np.dot(np.hstack([x[2], x[0], x[1] * p.b[0]]), p.W.T),
    ],
)
def test_what_is_stacked_is_multiplied_as_it_is(stacked, as_products):
    made = [
        Model(
            "stacked",
            tuple(State(f"x{k}") for k in range(3)),
            (Parameter("W", 0.1, shape=(3, 3)), Parameter("b", 0.1, shape=(1,))),
            equations,
            kind="map",
        )
        for equations in (stacked, lambda x, p: p.W @ np.hstack([x[[2, 0]], x[1] * p.b[0]]))
    ]
    one, other = map(traced_model, made)
    assert one.products is not None
    assert one.graph.digest(one.values) == other.graph.digest(other.values)


def test_small_products_are_straight_line_code_and_large_ones_are_not():
    assert traced_model(model("recurrent")).products is None
    assert network(8).products is not None


def network(units):
    made = Model(
        "network",
        tuple(State(f"x{k}") for k in range(units)),
        (Parameter("W", 0.0, shape=(units, units)), Parameter("b", 0.0, shape=(units,))),
        lambda x, p: np.tanh(p.W @ x + p.b),
        kind="map",
    )
    return traced_model(made)


def test_code_of_products_grows_with_what_is_computed_and_not_with_its_statements():
    """A network of 32 units has 68,112 second derivatives; its code is no longer than its tables."""
    began = time.process_time()
    traced = network(32)
    code = source(traced, "f")
    assert time.process_time() - began < 30.0
    assert len(traced.hessian) == 32 * (65 * 66 // 2 - 32 * 33 // 2) + 32 * 33 // 2
    assert code.count("const vd n") < 5000
    assert len(code) < 500_000


@pytest.mark.parametrize("name", ["nested", "transposed"])
def test_a_flow_with_products_moves_as_one_without(name, as_products, monkeypatch):
    made = model(name, "flow")
    values = dict(zip(made.parameter_names, generator(5).normal(size=len(made.parameters)), strict=True))
    begin, times = np.full(made.dimension, 0.3), np.linspace(0.0, 1.0, 5)
    found = Flow(made).run(begin, times, values).states
    wanted = straight(lambda: Flow(made).run(begin, times, values).states, monkeypatch)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_stiff_flow_with_products(as_products):
    """Implicit steps, with the slopes of products: far below the time scale of the flow."""

    def equations(x, p):
        return p.W @ np.tanh(p.V @ x) - 1e6 * (x - 1.0)

    made = Model(
        "stiff",
        (State("a"), State("b")),
        (Parameter("W", 0.5, shape=(2, 3)), Parameter("V", 0.4, shape=(3, 2))),
        equations,
    )
    course = Flow(made).run([0.0, 0.0], np.linspace(0.0, 5.0, 3), made.defaults)
    assert course.implicit
    np.testing.assert_allclose(course.states[-1], 1.0, atol=1e-5)


ACTIVATIONS = {
    "expit": (expit, lambda z: 1 / (1 + np.exp(-z))),
    "log_expit": (log_expit, lambda z: -np.log1p(np.exp(-z))),
    "softplus": (lambda z: np.logaddexp(0.0, z), lambda z: np.log1p(np.exp(z))),
    "two sides": (lambda z: np.logaddexp(z, 2 * z), lambda z: np.log(np.exp(z) + np.exp(2 * z))),
    "smooth relu": (lambda z: 0.5 * (z + np.sqrt(z * z + 0.01)),) * 2,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_their_derivatives(name):
    """Of numbers and of arrays; far out they are finite."""
    ours, plain = ACTIVATIONS[name]
    traced = trace(lambda given: [ours(given("v", 0)), *ours(StateVector.of([given("v", 0)] * 2, ()))])
    z = np.array([-1.7, 0.0, 0.4, -2000.0, 2000.0])
    found = Compiled(traced)(z[:, None], [1.0, 0.0, 0.0])
    assert np.isfinite([found.values[:, :1], found.jacobian[:, :1, 0], found.hessian[:, 0]]).all()
    for n in range(3):
        np.testing.assert_allclose(found.values[n], plain(z[n]), rtol=1e-13)
        step = 1e-5
        up, down = plain(z[n] + step), plain(z[n] - step)
        np.testing.assert_allclose(found.jacobian[n, :, 0], (up - down) / (2 * step), rtol=1e-8)
        bend = (up - 2 * plain(z[n]) + down) / step**2
        np.testing.assert_allclose(found.hessian[n, 0, 0], bend, atol=1e-5)


WRONG = {
    "wide": (lambda x, p: p.W @ x, {"W": (3, 4)}, "shapes (3, 4) and (3,)", "4"),
    "from the left": (lambda x, p: x @ p.W, {"W": (2, 3)}, "shapes (3,) and (2, 3)", "3"),
    "sum": (lambda x, p: p.W @ x + p.b, {"W": (3, 3), "b": (4,)}, "(3,) (4,)", "NumPy"),
    "slice": (lambda x, p: p.W @ x[:2], {"W": (3, 3)}, "shapes (3, 3) and (2,)", "3"),
    "numbers": (lambda x, p: np.ones((3, 4)) @ x, {}, "shapes (3, 4) and (3,)", "4"),
    "dot": (lambda x, p: np.dot(p.W, x), {"W": (3, 5)}, "shapes (3, 5) and (3,)", "5"),
}


@pytest.mark.parametrize("name", WRONG)
def test_shapes_that_do_not_fit_are_named(name):
    equations, shapes, words, remedy = WRONG[name]
    made = Model(
        "wrong",
        tuple(State(f"x{k}") for k in range(3)),
        tuple(Parameter(key, 0.1, shape=shape) for key, shape in shapes.items()),
        equations,
        kind="map",
    )
    with pytest.raises(InputError) as caught:
        traced_model(made)
    (mistake,) = caught.value.mistakes
    assert words in mistake.problem
    assert remedy in mistake.remedy


@pytest.mark.parametrize("name", ["nested", "gated", "slices"])
def test_the_digest_of_equations_is_that_of_the_sums(name, as_products, monkeypatch):
    problem, _ = example(model(name, "flow"), "trapezoid", "nonlinear and gaps")
    assert Equations(problem).digest == straight(lambda: Equations(problem).digest, monkeypatch)


def test_a_matrix_of_numbers_stays_a_product():
    size = 40
    numbers_ = generator(31).normal(size=(size, size))
    states = tuple(State(f"x{k}", range=(-1.0, 1.0)) for k in range(size))
    made = Model("reservoir", states, (Parameter("a", 0.5),), lambda x, p: np.tanh(p.a * (numbers_ @ x)))
    traced = traced_model(made)
    assert traced.products is not None
    assert sum(key[0] == "dot" for key in traced.graph.keys) == size
    assert sum(key[0] == "mul" for key in traced.graph.keys) < 20 * size
    v = generator(32).normal(size=size + 1)
    found = Compiled(traced)([v], np.zeros(size))
    wanted = np.tanh(v[-1] * (numbers_ @ v[:-1]))
    np.testing.assert_allclose(found.values[0], wanted, rtol=0, atol=1e-13)
    slopes = (1.0 - wanted**2)[:, None] * np.hstack([v[-1] * numbers_, (numbers_ @ v[:-1])[:, None]])
    np.testing.assert_allclose(found.jacobian[0], slopes, rtol=0, atol=1e-12)


PLAIN = {
    "expit": expit,
    "log_expit": log_expit,
    "logaddexp": lambda z: np.logaddexp(z, 0.0),
    "maximum": lambda z: np.maximum(z, 0.0),
    "clip": lambda z: np.clip(z, -1.0, 1.0),
    "where": lambda z: np.where(z > 0.0, z, 0.0),
}


@pytest.mark.parametrize("name", PLAIN)
def test_functions_of_plain_arrays_work_or_say_what_to_write(name):
    """NumPy alone sees an array that np.array has made; what the message says works."""
    states = tuple(State(f"x{k}") for k in range(3))

    def made(function):
        equations = lambda x, p: function(np.array([x[0], x[2], x[1]]))  # noqa: E731
        return traced_model(Model("plain", states, (Parameter("a", 0.5),), equations))

    with pytest.raises(InputError, match=r"np.array\(\[f\(one\) for one in z\]\)"):
        made(PLAIN[name])
    traced = made(lambda z: np.array([PLAIN[name](one) for one in z]))
    v = np.array([0.3, -0.7, 1.9])
    found = Compiled(traced)([v], np.zeros(3)).values[0]
    np.testing.assert_allclose(found, PLAIN[name](v[[0, 2, 1]]), rtol=1e-14)
