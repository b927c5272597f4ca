"""Generated C: values, Jacobians and Hessians of random expressions, against forward differentiation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcda.native.compile import cache_folder
from hpcda.native.kernels import PIECE, source
from tests.chance import generator
from tests.unit.fuzzing import cases
from tests.unit.jets import SMOOTH, Jet, NearKink
from tests.unit.traced import LANES, Compiled, interpreted, of

VARIABLES = 3
# Each keeps its argument where the function is defined and its value of the order of 1.
TAMED = {
    "exp": lambda f, a: f("exp", f("tanh", a)),
    "log": lambda f, a: f("log", a * a + 0.5),
    "sqrt": lambda f, a: f("sqrt", a * a + 0.3),
    "sin": lambda f, a: f("sin", a),
    "cos": lambda f, a: f("cos", a),
    "tan": lambda f, a: f("tan", f("tanh", a)),
    "sinh": lambda f, a: f("sinh", f("sin", a)),
    "cosh": lambda f, a: f("cosh", f("sin", a)),
    "tanh": lambda f, a: f("tanh", a),
    "arcsin": lambda f, a: f("arcsin", 0.9 * f("sin", a)),
    "arccos": lambda f, a: f("arccos", 0.9 * f("cos", a)),
    "arctan": lambda f, a: f("arctan", a),
    "log1p": lambda f, a: f("log1p", f("exp", f("tanh", a))),
    "expm1": lambda f, a: f("expm1", f("tanh", a)),
    "neg": lambda f, a: -a,
    "abs": lambda f, a: f("abs", a),
    "square": lambda f, a: f("square", f("tanh", a)),
    "reciprocal": lambda f, a: f("reciprocal", a * a + 1.0),
    "cube": lambda f, a: f("tanh", a) ** 3,
    "power": lambda f, a: (a * a + 0.5) ** -1.3,
    "root": lambda f, a: (a * a + 0.5) ** 0.7,
    "exponent": lambda f, a: 1.5 ** f("tanh", a),
}
PAIRS = {
    "add": lambda f, a, b: a + b,
    "subtract": lambda f, a, b: a - b,
    "multiply": lambda f, a, b: f("tanh", a) * b,
    "divide": lambda f, a, b: a / (b * b + 1.0),
    "power": lambda f, a, b: (a * a + 0.6) ** f("tanh", b),
    "maximum": lambda f, a, b: f("maximum", a, b),
    "minimum": lambda f, a, b: f("minimum", a, b),
    "where": lambda f, a, b: f("where", a < b, a * b, f("sin", a)),
}
LEAVES = st.one_of(
    st.tuples(st.just("x"), st.integers(0, VARIABLES - 1)),
    st.tuples(st.just("number"), st.sampled_from([-2.0, -0.5, 0.0, 1.0, 3.0, 0.1])),
)
TREES = st.recursive(
    LEAVES,
    lambda part: st.one_of(
        st.tuples(st.sampled_from(sorted(TAMED)), part),
        st.tuples(st.sampled_from(sorted(PAIRS)), part, part),
    ),
    max_leaves=8,
)


def build(tree, x, functions):
    """The value of a tree for coordinates x; `functions` evaluates functions by name."""
    name, *parts = tree
    if name == "x":
        return x[parts[0]]
    if name == "number":
        return parts[0]
    values = [build(part, x, functions) for part in parts]
    return (PAIRS if len(values) == 2 else TAMED)[name](functions, *values)


def with_numpy(name, *values):
    return getattr(np, {"neg": "negative"}.get(name, name))(*values)


def with_jets(name, *values):
    if name == "where":
        return values[1] if values[0] else values[2]
    if not any(isinstance(value, Jet) for value in values):
        return with_numpy(name, *values)
    if name in ("maximum", "minimum"):
        a, b = values
        return (b if a < b else a) if name == "maximum" else (a if a < b else b)
    if name == "abs" and abs(values[0].value) < 1e-9:
        raise NearKink
    return values[0].apply(name)


def jets(tree, x):
    """Value, gradient, Hessian."""
    found = build(tree, Jet.point(x), with_jets)
    if isinstance(found, Jet):
        return found.value, found.gradient, found.hessian
    return float(found), np.zeros(len(x)), np.zeros((len(x), len(x)))


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Code of random expressions does not fill the user's cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv("HPCDA_CACHE", str(tmp_path_factory.mktemp("cache")))
    cache_folder.cache_clear()
    yield
    patch.undo()
    cache_folder.cache_clear()


@cases(25)
@given(trees=st.lists(TREES, min_size=6, max_size=6), seed=st.integers(0, 2**20))
def test_random_expressions(trees, seed):
    rng = generator(seed)
    points = rng.uniform(-1.5, 1.5, (LANES, VARIABLES))
    mu = rng.uniform(0.5, 2.0, len(trees))
    wanted = []
    for x in points:
        try:
            wanted.append([jets(tree, x) for tree in trees])
        except NearKink:
            wanted.append(None)
    traced = of(lambda x: [build(tree, x, with_numpy) for tree in trees], VARIABLES)
    found = Compiled(traced)(points, mu)
    for lane, rows in enumerate(wanted):
        if rows is None:
            continue
        values, gradients, hessians = (np.array(part) for part in zip(*rows, strict=True))
        hessian = np.tensordot(mu, hessians, 1)
        np.testing.assert_allclose(found.values[lane], values, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(found.jacobian[lane], gradients, rtol=1e-10, atol=1e-11)
        size = 1.0 + np.abs(hessian).max()
        np.testing.assert_allclose(found.hessian[lane], hessian, rtol=1e-9, atol=1e-11 * size)


@pytest.fixture(scope="module")
def every_function():
    """All functions of one variable in one compiled function, at points where they are all defined."""
    names = [name for name in SMOOTH if name != "log1p"] + ["log1p"]
    return names, of(lambda x: [with_numpy(name, x[0]) for name in names], 1)


def test_every_function_in_c_is_the_one_of_numpy(every_function):
    names, traced = every_function
    points = np.array([[0.02], [0.11], [0.35], [0.5], [0.77], [0.9], [0.97]])
    mu = np.arange(1.0, 1.0 + len(names))
    found = Compiled(traced)(points, mu)
    for lane, (x,) in enumerate(points):
        value, slope, bend = ([SMOOTH[name][k](x) for name in names] for k in range(3))
        np.testing.assert_allclose(found.values[lane], value, rtol=1e-14)
        np.testing.assert_allclose(found.jacobian[lane, :, 0], slope, rtol=1e-12)
        assert found.hessian[lane, 0, 0] == pytest.approx(mu @ np.array(bend, dtype=float), rel=1e-11)


def test_negative_arguments_in_c():
    names = ["abs", "sign", "floor", "neg", "sinh", "tanh", "arctan", "expm1", "cosh", "sin", "cos", "exp"]
    points = np.array([[-2.5], [-0.5], [0.0], [-0.0], [1.0], [2.0]])
    traced = of(lambda x: [with_numpy(name, x[0]) for name in names], 1)
    found = Compiled(traced)(points, np.ones(len(names)))
    wanted = np.array([[SMOOTH[name][0](x) for name in names] for (x,) in points])
    np.testing.assert_allclose(found.values, wanted, rtol=1e-14)


def test_comparisons_in_c():
    def compared(x):
        a, b = x
        return [(a < b) * 1.0, (a <= b) * 1.0, (a > b) * 1.0, (a >= b) * 1.0, (a == b) * 1.0]

    points = np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [-1.0, 1.0], [0.0, -0.0], [np.nan, 1.0]])
    found = Compiled(of(compared, 2))(points, np.ones(5))
    np.testing.assert_array_equal(found.values, [[float(v) for v in compared(point)] for point in points])


def test_a_branch_not_taken_leaves_no_trace_in_values():
    """log and root of negative numbers, and 0/0, in the branch that np.where does not take."""

    def guarded(x):
        return [
            np.where(x[0] > 0, np.log(x[0]), x[0]),
            np.where(x[0] > 0, np.sqrt(x[0]), 0.0),
            np.where(x[0] == 0, 1.0, x[0] / np.expm1(x[0])),
        ]

    found = Compiled(of(guarded, 1))([[-1.0], [0.0], [2.0]], np.ones(3))
    np.testing.assert_allclose(found.values[:, 0], [-1.0, 0.0, np.log(2.0)])
    np.testing.assert_allclose(found.values[:, 1], [0.0, 0.0, np.sqrt(2.0)])
    np.testing.assert_allclose(found.values[:, 2], [1 / (1 - np.exp(-1)), 1.0, 2 / (np.exp(2) - 1)])


GUARDED = {
    "root": (lambda x: np.where(x > 0, np.sqrt(x), 0.0), 0.0, 0.0),
    "logarithm": (lambda x: np.where(x > 0, np.log(x), x), 1.0, 0.0),
    "two terms": (lambda x: np.where(x > 0, np.sqrt(x) + x * np.sqrt(x), 2.0 * x), 2.0, 0.0),
    "two conditions": (
        lambda x: np.where(x > 0, np.sqrt(x), 0) - np.where(x > 1, np.sqrt(x), x**2),
        2.0,
        -2.0,
    ),
    "nested": (lambda x: np.where(x > -2, np.where(x > 0, np.log(np.sqrt(x)), x), np.log(x + 2.0)), 1.0, 0.0),
    "inside": (lambda x: np.exp(np.where(x > 0, np.sqrt(x), 0.0)) * np.where(x > 0, x**0.3, x), 1.0, 0.0),
}


@pytest.mark.parametrize("name", GUARDED)
def test_a_branch_not_taken_leaves_no_trace_in_derivatives(name):
    function, slope, bend = GUARDED[name]
    found = Compiled(of(lambda x: [function(x[0])], 1))([[-1.0], [2.0]], [1.0])
    assert found.jacobian[0, 0, 0] == pytest.approx(slope)
    assert found.hessian[0, 0, 0] == pytest.approx(bend)
    step = 1e-4
    up, mid, down = (float(function(np.array(2.0 + move))) for move in (step, 0.0, -step))
    assert found.jacobian[1, 0, 0] == pytest.approx((up - down) / (2 * step), rel=1e-6, abs=1e-9)
    assert found.hessian[1, 0, 0] == pytest.approx((up - 2 * mid + down) / step**2, rel=1e-5, abs=1e-5)


def test_a_quotient_with_its_limit_where_it_is_not_defined():
    """u / (exp(u) - 1), which rates of ion channels hold, at u = 0 itself."""
    rate = of(lambda x: [np.where(abs(x[0]) < 1e-4, 1 - x[0] / 2 + x[0] ** 2 / 12, x[0] / np.expm1(x[0]))], 1)
    found = Compiled(rate)([[0.0], [1e-5], [0.5]], [1.0])
    np.testing.assert_allclose(found.jacobian[:2, 0, 0], -0.5, rtol=1e-4)
    np.testing.assert_allclose(found.hessian[:2, 0, 0], 1 / 6, rtol=1e-4)
    assert np.isfinite(found.hessian).all()


def test_long_sums_of_guarded_terms():
    traced = of(lambda x: [x[1] * sum(np.where(x[0] > k, np.sqrt(x[0] - k), 0.0) for k in range(1200))], 2)
    assert len(traced.hessian) == 2


@pytest.mark.parametrize("number", [1e-300, 1e300, 1 / 3, -1.0, 1e22, 5e-324, np.pi])
def test_numbers_keep_all_their_digits(number):
    found = Compiled(of(lambda x: [x[0] + number, np.minimum(x[0], np.inf)], 1))([[0.0]], np.ones(2))
    np.testing.assert_array_equal(found.values, [[number, 0.0]])


def test_functions_longer_than_a_piece_are_cut_and_stay_right():
    """Many rows whose expressions share nothing: more nodes than one piece holds."""

    def long(x):
        return [np.sin(x[k % 5] * (k + 1)) * np.exp(-(x[(k + 1) % 5] ** 2) / (k + 1)) for k in range(60)]

    traced = of(long, 5)
    code = source(traced, "f")
    assert len(traced.graph.keys) > 2 * PIECE
    assert "f_values_1" in code and "f_jacobian_1" in code and "f_hessian_1" in code
    rng = generator(3)
    points, mu = rng.normal(size=(4, 5)), rng.normal(size=60)
    found, wanted = Compiled(traced)(points, mu), interpreted(traced, points, mu)
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.jacobian, wanted.jacobian, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found.hessian, wanted.hessian, rtol=1e-10, atol=1e-9)


def test_rows_without_variables():
    found = Compiled(of(lambda x: [0.0, 2.5, x[0] * 0.0], 2))([[1.0, 2.0]], np.ones(3))
    np.testing.assert_array_equal(found.values, [[0.0, 2.5, 0.0]])
    assert not found.jacobian.any() and not found.hessian.any()
