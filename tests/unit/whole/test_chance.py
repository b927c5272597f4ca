"""The seed of the tests: what is random follows from it, and a test that fails says how to run it again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[3]
TESTS = """
from pathlib import Path
from hypothesis import given
from hypothesis import strategies as st
from tests.chance import events, generator, number

drawn = []


@given(st.integers())
def test_cases(case):
    drawn.append(case)


def test_told():
    told = drawn, generator(7).random(), number(1), events("x").random()
    Path(__file__).with_name("told").write_text(repr(told))


def test_that_fails():
    assert not drawn
"""


@pytest.fixture
def tests(tmp_path):
    """Run such tests with some variables: what was drawn, and what pytest said."""
    (tmp_path / "test_drawing.py").write_text(TESTS)

    def run(**variables):
        command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", str(tmp_path / "test_drawing.py")]
        known = {
            name: value for name, value in os.environ.items() if not name.startswith(("HPCDA_", "PYTEST_"))
        }
        done = subprocess.run(
            command,
            env=known | variables,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert "2 passed" in done.stdout and "1 failed" in done.stdout, done.stdout
        return (tmp_path / "told").read_text(), done.stdout

    return run


def test_all_that_is_random_follows_from_the_seed(tests):
    plain, zero, three, again = (tests(**one)[0] for one in ({}, *({"HPCDA_TEST_SEED": s} for s in "033")))
    assert plain == zero and three == again
    for one, other in zip(*(eval(told) for told in (zero, three)), strict=True):
        assert one != other
    assert eval(zero)[1:3] == (np.random.default_rng(7).random(), 1)  # noqa: TID251


def test_a_failure_says_how_to_run_it_again(tests):
    said = tests(HPCDA_TEST_SEED="3", HPCDA_MARCH="x86-64-v2", OPENBLAS_CORETYPE="Haswell")[1]
    assert "HPCDA_TEST_SEED: 3" in said
    assert "\nHPCDA_TEST_SEED=3 HPCDA_MARCH=x86-64-v2 OPENBLAS_CORETYPE=Haswell tests/run " in said
    assert "test_drawing.py::test_that_fails\n" in said
