"""Counts with their words."""

import pytest

from hpcda.formatting import counted, run_lengths
from hpcda.show import list_models


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0, "start"), "0 starts"),
        ((1, "start"), "1 start"),
        ((2, "start"), "2 starts"),
        ((1, "minimum", "minima"), "1 minimum"),
        ((3, "minimum", "minima"), "3 minima"),
        ((1.0, "core-second"), "1 core-second"),
        ((1.00001, "core-second"), "1 core-second"),
        ((0.5, "core-second"), "0.5 core-seconds"),
        ((123456, "start"), "123456 starts"),
    ],
)
def test_counts(given, text):
    assert counted(*given) == text


def test_models_with_one_parameter():
    lines = list_models()
    assert ", 1 parameter\n" in lines and "1 parameters" not in lines


def test_many_alike_in_a_row_are_counted():
    assert run_lengths([3, 10, 10, 10, 2], "-") == "3-10-10-10-2"
    assert run_lengths([3, *[10] * 20, 2], "-") == "3-20×10-2"
    assert run_lengths(["tanh"] * 5 + ["identity"], ", ") == "5×tanh, identity"
