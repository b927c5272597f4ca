"""Numbers of a model file: whole numbers of any type are what floats of the same value are."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.build import build_problem
from hpcda.build.model import tried_model
from hpcda.errors import InputError
from hpcda.job import load_job
from hpcda.job.text import to_toml
from hpcda.models.model import Model, Parameter, State
from hpcda.search import WAYS, SearchContext, begin
from tests.chance import generator
from tests.unit.problems import example

SOURCE = """
import numpy as np
from hpcda import Model, Parameter, State

SEEN = []

def equations(x, p):
    SEEN.append((x, p.k))
    return [p.k * (x[1] - x[0]), -x[1]]

def build():
    states = (State("x", range={range}, initial={number}), State("y", range={range}))
    return Model("m", states, (Parameter("k", {number}, range={range}),), equations)
"""
FLOATS = ("(100.0, 120.0)", "110.0")


def written(tmp_path, range_text, number):
    folder = tmp_path / ("floats" if (range_text, number) == FLOATS else "whole")
    folder.mkdir()
    (folder / "m.py").write_text(SOURCE.format(range=range_text, number=number))
    (folder / "d.csv").write_text("t,x\n0,2\n1,1.8\n2,1.6\n")
    return folder


def problem_of(tmp_path, range_text, number, **parameter):
    job = {
        "model": {"name": "m.py:build", "parameters": {"k": {"estimate": True, **parameter}}},
        "data": {"file": "d.csv", "time": "t", "observed": ["x"], "noise_std": 0.5},
        "ladder": {"rf0": 1.0, "alpha": 2.0, "rungs": 2},
    }
    folder = written(tmp_path, range_text, number)
    (folder / "job.toml").write_text(to_toml(job))
    return build_problem(load_job(folder / "job.toml")).problem


def drawn(problem, way):
    context = SearchContext(problem, Ladder(1.0, 2.0, 2), Action(problem))
    return begin(context, WAYS[way], 1, 0).path


@pytest.mark.parametrize(
    ("range_text", "number"),
    [
        ("(100, 120)", "110"),
        ("[100, 120]", "110"),
        ("np.array([100, 120])", "np.int64(110)"),
        ("(np.int8(100), np.int8(120))", "np.int8(110)"),
        ("(np.uint8(100), np.uint8(120))", "np.uint8(110)"),
        ("(np.float32(100), 120)", "np.float16(110)"),
    ],
)
def test_whole_numbers_are_floats(tmp_path, range_text, number):
    made, expected = problem_of(tmp_path, range_text, number), problem_of(tmp_path, *FLOATS)
    assert made.state_start.dtype == made.state_bounds.dtype == np.float64
    np.testing.assert_array_equal(made.state_start, expected.state_start)
    assert made.parameters == expected.parameters
    for way in ("uniform", "quiet", "noise", "smoother"):
        np.testing.assert_array_equal(drawn(made, way), drawn(expected, way))


def test_the_equations_see_floats(tmp_path):
    """A sum of small integers that overflows would be another number: int8(100) + int8(120) is -36."""
    folder = written(tmp_path, "(np.int8(100), np.int8(120))", "np.int8(110)")
    model = tried_model("m.py:build", {}, folder)
    x, k = sys.modules[model.equations.__module__].SEEN[0]
    assert list(x) == [110.0, 110.0] and 2 * k == 220.0


def model_of(state, parameter=None):
    return Model("m", (state,), (parameter,) if parameter else (), lambda x, p: [x[0]])


@pytest.mark.parametrize(
    ("state", "parameter", "problem"),
    [
        (State("x", range=(0, 0)), None, "the range of x is (0, 0), which is empty"),
        (State("x", range=(1, 0)), None, "the range of x is (1, 0)"),
        (State("x", range=(False, True)), None, "the range of x is (False, True)"),
        (State("x", range=(np.False_, np.True_)), None, "the range of x is (False, True)"),
        (State("x", range=(0, 10**400)), None, "the range of x is (0.0, 1000"),
        (State("x", range=(-1e308, 1e308)), None, "the range of x is (-1e+308, 1e+308)"),
        (State("x", range=np.zeros((2, 2))), None, "the range of x is"),
        (State("x", range="01"), None, "the range of x is 01"),
        (State("x", initial=True), None, "the initial of x is True"),
        (State("x"), Parameter("k", True), "the default of k is True"),
        (State("x"), Parameter("k", 1, range=(2, 2)), "the range of k is (2, 2), which is empty"),
        (State("x"), Parameter("k", 1, range=(2, np.nan)), "the range of k is (2.0, nan)"),
    ],
)
def test_what_is_no_number_and_no_range(state, parameter, problem):
    with pytest.raises(InputError) as caught:
        model_of(state, parameter)
    (one,) = caught.value.mistakes
    assert one.problem.startswith(problem) and one.remedy


def test_bounds_that_meet_the_model_s_range_in_one_number(tmp_path):
    with pytest.raises(InputError) as caught:
        problem_of(tmp_path, "(0, 1)", "1", bounds=[1, 5])
    (one,) = caught.value.mistakes
    assert "shares only 1 with [1, 5]" in one.problem


def test_a_problem_of_whole_numbers():
    """Bounds and ranges that a caller writes as integers reach the compiled code as floats."""
    problem, _ = example("lorenz63", "trapezoid", "nonlinear and gaps")
    ranges, bounds = [[-20, 20]] * 3, [[-30, 60]] * 3
    rounded = [replace(w, data=np.nan_to_num(np.rint(w.data))) for w in problem.windows]
    floats = replace(
        problem,
        state_start=np.array(ranges, dtype=float),
        state_bounds=np.array(bounds, dtype=float),
        windows=tuple(rounded),
    )
    whole = replace(
        problem,
        state_start=ranges,
        state_bounds=np.array(bounds),
        model_error_weight=problem.model_error_weight.tolist(),
        windows=tuple(replace(w, data=w.data.astype(int)) for w in rounded),
    )
    for one, other in zip(whole.bounds, floats.bounds, strict=True):
        assert one.dtype == np.float64
        np.testing.assert_array_equal(one, other)
    path = generator(0).normal(size=floats.size)
    assert Action(whole).value(path, 3.0) == Action(floats).value(path, 3.0)
