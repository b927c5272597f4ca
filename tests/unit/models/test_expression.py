"""Expressions of states."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcda.errors import InputError
from hpcda.models.expression import Expression
from tests.unit.fuzzing import cases

STATES = ("x0", "x1", "V")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x0", 2.0),
        (" x0 ", 2.0),
        ("x0**2 + x1", 7.0),
        ("-(x0 - 3*x1) / V", 1.4),
        ("exp(x0) * tanh(V)", np.exp(2.0) * np.tanh(5.0)),
        ("x0**-2", 0.25),
        ("x0 * 1e2", 200.0),
        ("+x1", 3.0),
    ],
)
def test_values(text, value):
    assert Expression(text, STATES)({"x0": 2.0, "x1": 3.0, "V": 5.0}) == pytest.approx(value, rel=1e-15)


def test_arrays():
    x = np.linspace(0.0, 1.0, 5)
    np.testing.assert_array_equal(Expression("x0**2 + x1", STATES)({"x0": x, "x1": 2 * x}), x**2 + 2 * x)


def test_the_name_of_a_state_need_not_be_a_word():
    assert Expression("x[0]", ("x[0]", "y"))({"x[0]": 4.0}) == 4.0


def test_the_states_in_it():
    assert Expression("V*x0 + V", STATES).states == ("V", "x0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x0 +",
        "x2",
        "3",
        "9**9**9**9",
        "x0**1000",
        "x0**x1",
        "x0.real",
        "x0[0]",
        "x0 if x1 else V",
        "lambda: x0",
        "__import__('os')",
        "exp(x0, x1)",
        "exp",
        "sinn(x0)",
        "[x0]",
        "x0 and x1",
        "x0 < x1",
        "'x0'",
        "True + x0",
        "1j*x0",
        "x0 // 2",
        "x0 % 2",
        "x0 @ x1",
        "exp(*x0)",
        "x0; x1",
        "x0 = 1",
        "(x0 := x1)",
        "(" * 300,
        "x0" + "+x0" * 1500,
        "x0\0",
        "f'{x0}'",
        "1e999*x0",
        "~x0",
        "x0\nx1",
    ],
)
def test_what_is_refused(text):
    with pytest.raises(InputError) as caught:
        Expression(text, STATES, "data.observed.q")
    (one,) = caught.value.mistakes
    assert one.place == "data.observed.q"
    assert one.remedy


@given(st.text(max_size=20) | st.text("x01V+-*/() .e2", max_size=20))
@cases(100)
def test_any_text(text):
    try:
        expression = Expression(text, STATES)
    except InputError:
        return
    with np.errstate(all="ignore"):
        one = np.float64(1.5)
        float(expression({"x0": one, "x1": one, "V": one}))
