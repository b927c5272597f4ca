"""Which code OpenBLAS executes is named by what the processor has, before NumPy is there."""

import os
import subprocess
import sys

import pytest

from hpcda.kernels import VARIABLE, fitting
from tests.machine import instruction_sets


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ("fpu sse4_2 avx", None),
        ("fpu fma avx avx2", "Haswell"),
        ("fma avx2 avx512f avx512dq", "Haswell"),  # not all that this code uses
        ("avx512cd avx512vl avx512bw avx512dq avx512f fma avx2", "SkylakeX"),
    ],
)
def test_the_fastest_code_that_fits_is_named(flags, kind):
    assert fitting(flags) == kind


def said(first, **more):
    """What a new process says after these imports."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE} | more
    code = f"import os\nimport {first}\nimport hpcda\nprint(os.environ.get({VARIABLE!r}))"
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def test_it_is_named_before_numpy_comes_and_never_against_the_user():
    known = {"x86-64-v4": "SkylakeX", "x86-64-v3": "Haswell"}
    expected = next((known[level] for level in reversed(instruction_sets()) if level in known), None)
    assert said("hpcda") == str(expected)
    assert said("hpcda", **{VARIABLE: "Sandybridge"}) == "Sandybridge"
    assert said("numpy") == "None"
