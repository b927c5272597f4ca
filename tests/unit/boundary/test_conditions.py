"""Bad input of a boundary value problem: one message that names the argument, the value, the remedy."""

import numpy as np
import pytest

import hpcda

NAN = np.nan
ENDS = [[0.0, NAN], [1.0, NAN]]


def spring(t, x):
    return [x[1], -x[0]]


def with_stiffness(t, x, p):
    return [x[1], -p.k * x[0]]


@pytest.mark.parametrize(
    ("given", "place", "text"),
    [
        ({"y": [[0.0, NAN], [1.0]]}, "y", "equal rows"),
        ({"y": [0.0, 1.0]}, "y", "shape (2,)"),
        ({"y": [[0.0, np.inf], [1.0, NAN]]}, "y", "y[0, 1] is inf"),
        ({"t": [0.0, NAN]}, "t", "ascending"),
        ({"t": [1.0, 0.0]}, "t", "ascending"),
        ({"t": [0, 0.5, 1], "y": [[NAN] * 2, [0.0, 1.0], [NAN] * 2]}, "y", "nothing is known at either end"),
        ({"y": [[0.0, NAN], [NAN, NAN]]}, "y", "1 condition do not determine 2 states"),
        ({"y": [[0.0, 1.0], [1.0, NAN]]}, "noise_std", "cannot all be obeyed"),
        ({"noise_std": [1.0, 1.0, 1.0]}, "noise_std", "has shape (3,)"),
        ({"noise_std": -1.0}, "noise_std", "y[0, 0] is -1.0"),
        ({"noise_std": NAN}, "noise_std", "y[0, 0] is nan"),
        ({"rf": 0.0}, "rf", "not above 0"),
        ({"discretization": "euler"}, "discretization", "'euler'"),
        ({"discretization": "map"}, "discretization", "'map'"),
        ({"tol": 0.0}, "tol", "not above 0"),
        ({"steps": 2.5}, "steps", "2.5"),
        ({"starts": 0}, "starts", "0"),
        ({"x": np.zeros((5, 3))}, "x", "shape (5, 3)"),
        ({"x": np.full((5, 2), NAN)}, "x", "not finite"),
        ({"x": lambda t: [0.0, "a"]}, "x", "raises"),
        ({"x_range": (1.0, 0.0)}, "x_range", "below its lower"),
        ({"p": {"k": 1.0}}, "fun", "2 arguments"),
        ({"p": {"k": 1.0}, "known": {"k": 1.0}}, "known", "under p as well"),
        ({"p": {"k": NAN}}, "p['k']", "not finite"),
        ({"p_range": {"k": (0.0, 1.0)}}, "p_range", "not estimated"),
        (
            {"t": [0.0, 2**-0.5, 3**-0.5 + 0.3, 1.0], "y": [[0.0, NAN], *[[NAN] * 2] * 2, [1.0, NAN]]},
            "t",
            "equal steps",
        ),
        ({"t": [0.0, 0.5, 1.0], "y": [[0.0, NAN], [0.5, NAN], [NAN] * 2], "steps": 3}, "steps", "t[1] = 0.5"),
    ],
)
def test_a_mistake_is_told_with_place_and_value(given, place, text):
    arguments = {"t": [0.0, 1.0], "y": ENDS} | given
    with pytest.raises(hpcda.InputError) as caught:
        hpcda.boundary_value(spring, **arguments)
    assert [one.place for one in caught.value.mistakes].count(place) == 1
    assert text in str(caught.value)
    assert all(one.remedy for one in caught.value.mistakes)


def test_parameters_count_among_what_is_unknown():
    with pytest.raises(hpcda.InputError, match="1 estimated parameter"):
        hpcda.boundary_value(with_stiffness, [0.0, 1.0], ENDS, p={"k": 1.0})
    assert hpcda.boundary_value(
        with_stiffness, [0.0, 1.0], ENDS, p={"k": 1.0}, p_prior={"k": (1.0, 0.1)}
    ).success


def test_an_explicit_rule_that_blows_up_is_refused_at_infinity_only():
    def stiff(t, x):
        return [-1e4 * x[0] + np.cos(t), -x[1]]

    y = [[1.0, 1.0], [NAN, NAN]]
    with pytest.raises(hpcda.InputError, match="'rk4' is explicit: 100 steps of 0.1 blow up"):
        hpcda.boundary_value(stiff, [0.0, 10.0], y, discretization="rk4", steps=100)
    assert hpcda.boundary_value(stiff, [0.0, 10.0], y, discretization="trapezoid", steps=100).success
