"""Elementary functions of compiled code: as right as they promise, also where not finite, at every width."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
import pytest

from hpcda.native.compile import library
from hpcda.native.unit import unit
from tests.chance import generator

DOMAINS = {
    "exp": [(-745.0, 709.0), (-1.0, 1.0), (-1e-8, 1e-8)],
    "expm1": [(-50.0, 700.0), (-1.0, 1.0), (-1e-8, 1e-8)],
    "log": [(1e-300, 10.0), (0.5, 2.0), (0.99, 1.01), (1e300, 1e308)],
    "log1p": [(-1.0, 10.0), (-0.1, 0.1), (-1e-8, 1e-8)],
    "sin": [(-4.0, 4.0), (-1e5, 1e5), (3.14159, 3.1416), (-1e-5, 1e-5), (1e7, 1e8)],
    "cos": [(-4.0, 4.0), (-1e5, 1e5), (1.570796, 1.570797), (1e7, 1e8)],
    "tan": [(-4.0, 4.0), (-1e5, 1e5), (1e7, 1e8)],
    "sinh": [(-709.0, 709.0), (-1.0, 1.0), (-1e-6, 1e-6)],
    "cosh": [(-709.0, 709.0), (-1.0, 1.0)],
    "tanh": [(-25.0, 25.0), (-1.0, 1.0), (-1e-6, 1e-6)],
    "asin": [(-1.0, 1.0), (-1e-4, 1e-4), (0.999, 1.0)],
    "acos": [(-1.0, 1.0), (0.999, 1.0)],
    "atan": [(-5.0, 5.0), (-1e6, 1e6), (-0.1, 0.1)],
}
NUMPY = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
POWERS = (0.7, 3.5, 17.0, 20.0, 0.1, 100.5)
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e308, -1e308, 2.0, -2.0, 0.5, -0.5, 1e10, 1e-310]
UNITS = 3.0
"""Units in the last place up to which a function is right."""
CALL = """void of_{name}(const double *x, double *y, int n{more}) {{
  for (int i = 0; i < n; i += W) {{
    vd a;
    memcpy(&a, x + i, sizeof a);
    a = v_{name}(a{power});
    memcpy(y + i, &a, sizeof a);
  }}
}}
"""
CALLS = "".join(CALL.format(name=name, more="", power="") for name in DOMAINS)
POWER = CALL.format(name="pow", more=", double power", power=", power")
FUSED = "int fused(void) { volatile double e = 0x1p-30; return FUSED(1 + e, 1 - e, -1.0) != 0; }"


@cache
def compiled(lanes):
    return library("\n".join([unit(lanes), CALLS, POWER, FUSED]))


def values(name, x, lanes=4, *power):
    padded = np.append(x, np.full(-len(x) % lanes, 0.5))
    y = np.empty_like(padded)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (padded, y)]
    getattr(compiled(lanes), f"of_{name}")(*pointers, len(padded), *map(ctypes.c_double, power))
    return y[: len(x)]


def units_off(found, exact):
    rounded = exact.astype(np.float64)
    return float(np.abs((found.astype(np.longdouble) - exact) / np.spacing(np.abs(rounded))).max())


needs_long = pytest.mark.skipif(
    np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps, reason="no long double to judge by"
)


@needs_long
@pytest.mark.parametrize("name", DOMAINS)
def test_functions_are_right_to_a_few_units_in_the_last_place(name):
    rng = generator(1)
    for low, high in DOMAINS[name]:
        x = rng.uniform(low, high, 20_000)
        exact = getattr(np, NUMPY.get(name, name))(x.astype(np.longdouble))
        normal = np.abs(exact.astype(np.float64)) > 1e-300
        assert units_off(values(name, x)[normal], exact[normal]) <= UNITS


@needs_long
@pytest.mark.parametrize("power", POWERS)
def test_powers_are_right_to_a_few_units_in_the_last_place(power):
    x = 10.0 ** generator(2).uniform(-2.5, 2.5, 20_000)
    off = units_off(values("pow", x, 4, power), x.astype(np.longdouble) ** np.longdouble(power))
    # Without fused multiply-add the logarithm has no more than 53 bits, which the power multiplies.
    assert off <= (UNITS if compiled(4).fused() else UNITS + 10.0 * power)


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("name", DOMAINS)
def test_functions_where_they_are_not_finite_or_not_defined(name):
    x = np.array(SPECIAL)
    np.testing.assert_allclose(
        values(name, x), getattr(np, NUMPY.get(name, name))(x), rtol=1e-14, atol=1e-300, equal_nan=True
    )


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("power", [0.5, 3.5, 17.0, 18.0])
def test_powers_where_they_are_not_finite_or_not_defined(power):
    x = np.array([one for one in SPECIAL if one != -np.inf])
    np.testing.assert_allclose(
        values("pow", x, 4, power), x**power, rtol=1e-13 * max(power, 1), atol=1e-300, equal_nan=True
    )


@pytest.mark.parametrize("name", [*DOMAINS, "pow"])
def test_every_width_gives_the_same_bits(name):
    low, high = (0.0, 10.0) if name == "pow" else DOMAINS[name][0]
    x = np.append(generator(3).uniform(low, high, 500), SPECIAL[:4])
    power = (0.7,) if name == "pow" else ()
    found = [values(name, x, lanes, *power) for lanes in (1, 2, 4, 8)]
    bits = {np.where(np.isnan(one), np.nan, one).tobytes() for one in found}  # a NaN may have a sign
    assert len(bits) == 1
