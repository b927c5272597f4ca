# ruff: noqa: E501
"""Every mistake in the input is an InputError that names its place, what was found, and the remedy."""

import copy
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcda.build import build_problem, refuse_used
from hpcda.data import read_table
from hpcda.errors import InputError
from hpcda.job import load_job
from hpcda.job.schema import Job
from tests.unit.fuzzing import cases
from tests.waiting import PATIENCE

JOB: dict[str, Any] = {
    "model": {"name": "lorenz63", "parameters": {"rho": {"estimate": True, "start": [20, 40]}}},
    "data": {"file": "x.csv", "time": "t", "observed": {"x": "y0", "z": "y1"}, "noise_std": 0.5},
    "ladder": {"rf0": 1e-2, "alpha": 2.0, "rungs": 5},
}
TWIN: dict[str, Any] = {"dt": 0.01, "samples": 11, "observed": ["x"], "noise_std": 1.0}
CSV = "t,y0,y1,s,u\n" + "".join(f"{0.01 * n:.2f},{n},{-n},0.5,{n / 7}\n" for n in range(11))
NEURON = """
from hpcda import Model, Parameter, State, Stimulus

def neuron():
    return Model("n", (State("V"), State("w")), (Parameter("g", 1.0),), lambda x, p, u: [u.I - p.g * x[0], x[0]],
                 (Stimulus("I"),))
def raises():
    return Model("n", (State("V"),), (), lambda x, p: [x.V + p.missing])
def short():
    return Model("n", (State("V"), State("w")), (), lambda x, p: [x[0]])
def vector():
    return Model("n", (State("V"), State("w")), (), lambda x, p: [x, x])
def with_option(size: int = 3):
    return Model("n", tuple(State(f"x{k}") for k in range(size)), (), lambda x, p: -x)
def breaks():
    return 1 / 0
def text_default():
    return Model("n", (State("V"),), (Parameter("g", "many"),), lambda x, p: [-p.g * x.V])
def text_range():
    return Model("n", (State("V", range=("a", 1.0)),), (Parameter("g", 1.0, range=3.0),), lambda x, p: [-p.g * x.V])
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text(CSV)
    (tmp_path / "neuron.py").write_text(NEURON)
    return tmp_path


def changed(job: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """`job` with keys set by dotted path ('__' for '.'); None removes."""
    job = copy.deepcopy(job)
    for path, value in changes.items():
        *way, last = path.split("__")
        inner = job
        for step in way:
            inner = inner.setdefault(step, {})
        if value is None:
            inner.pop(last, None)
        else:
            inner[last] = value
    return job


def twin(**changes: Any) -> dict[str, Any]:
    return changed(changed(JOB, data=None, twin=TWIN), **changes)


def mistakes_of(raw: Any) -> list[Any]:
    with pytest.raises(InputError) as caught:
        build_problem(load_job(raw))
    found = caught.value.mistakes
    assert found
    for one in found:
        assert one.place and one.problem and one.remedy
    return list(found)


# what is changed, the place, a part of the problem, a part of the remedy
SCHEMA = [
    (changed(JOB, ladder__alpha=0.9), "ladder.alpha", "0.9 is not above 1", "above 1"),
    (changed(JOB, ladder__alpha=1), "ladder.alpha", "1 is not above 1", "above 1"),
    (changed(JOB, ladder__alhpa=2.0), "ladder.alhpa", "is not a key of the job", "did you mean 'alpha'?"),
    (changed(JOB, lader={}), "lader", "is not a key of the job", "did you mean 'ladder'?"),
    (changed(JOB, ladder__rf_max=1e6), "ladder.rungs", "conflicts with rf_max", "exactly one"),
    (changed(JOB, ladder__rungs=None), "ladder.rf_max", "is missing, as is rungs", "rf_max = 1e6"),
    (changed(JOB, ladder=None), "ladder", "is missing", "[ladder]"),
    (changed(JOB, ladder__rf0=0.0), "ladder.rf0", "0.0 is not above 0", "above 0"),
    (changed(JOB, ladder__rf0=float("inf")), "ladder.rf0", "is not a finite number", "above 0"),
    (changed(JOB, ladder__rf0="a"), "ladder.rf0", "'a' is not a number", "above 0"),
    (changed(JOB, ladder__rungs=2.5), "ladder.rungs", "2.5 is not a whole number", "whole number"),
    (changed(JOB, ladder__rungs=None, ladder__rf_max=1e-3), "ladder.rf_max", "is below rf0", "above rf0"),
    (changed(JOB, ladder__rungs=None, ladder__rf_max=1e6, ladder__alpha=1.0 + 1e-9), "ladder.alpha", "rungs up to", "larger"),
    (changed(JOB, ladder__rungs=9000), "ladder.rungs", "above Rf = 1e300", "fewer"),
    (changed(JOB, ladder__first_rungs=[0, 5]), "ladder.first_rungs", "5 is beyond the last rung, 4", "from 0 to 4"),
    (changed(JOB, ladder__first_rungs=[]), "ladder.first_rungs", "is empty", "[0]"),
    (changed(JOB, ladder__first_rungs=[1, 1]), "ladder.first_rungs", "twice", "once"),
    (changed(JOB, ladder__first_rungs=[-1]), "ladder.first_rungs[0]", "-1 is below 0", "[0, 12, 16]"),
    (changed(JOB, data__noise_std=0.0), "data.noise_std", "0.0 is not above 0", "above 0"),
    (changed(JOB, data__noise_std={"x": 1.0, "z": -1}), "data.noise_std.z", "-1 is not above 0", "above 0"),
    (changed(JOB, data__noise_std={"x": 1.0}), "data.noise_std", "gives no noise for z", "x, z"),
    (changed(JOB, data__noise_std={"x": 1.0, "z": 1.0, "y": 1.0}), "data.noise_std.y", "not a key of observed", "x, z"),
    (changed(JOB, data__noise_std=None), "data.noise_std", "is missing", "standard deviation"),
    (changed(JOB, data__observed={}), "data.observed", "is empty", "x0"),
    (changed(JOB, data__observed=["x", "x"]), "data.observed", "lists x twice", "once"),
    (changed(JOB, data__observed=3), "data.observed", "3 is not a table", "x0"),
    (changed(JOB, data__from=2.0, data__to=1.0), "data.from", "2 is not before to = 1", "before"),
    (changed(JOB, data__hold_back=-1), "data.hold_back", "-1 is below 0", "held out"),
    (changed(JOB, data__gap=True), "data.gap", "is not a key", "did you mean 'gaps'?"),
    (changed(JOB, data__gaps="yes"), "data.gaps", "'yes' is neither true nor false", "true"),
    (changed(JOB, data=None), "data", "is missing, as is twin", "[twin]"),
    (changed(JOB, twin=TWIN), "twin", "conflicts with [data]", "exactly one"),
    (changed(JOB, model__parameters__rho__bounds=[50, 0]), "model.parameters.rho.bounds", "50 is above the upper value 0", "lower"),
    (changed(JOB, model__parameters__rho__bounds=[0, 30]), "model.parameters.rho.start", "[20, 40] is not inside", "[0, 30]"),
    (changed(JOB, model__parameters__rho__start=[40, 20]), "model.parameters.rho.start", "is above the upper value", "lower"),
    (changed(JOB, model__parameters__rho__start=[40]), "model.parameters.rho.start[1]", "is missing", "first guess"),
    (changed(JOB, model__parameters__rho__estimate=False), "model.parameters.rho.start", "has no effect", "estimate = true"),
    (changed(JOB, model__parameters__rho__value=1.0), "model.parameters.rho.estimate", "conflicts with value", "exactly one"),
    (changed(JOB, model__parameters__rho__walk_std=1.0), "model.parameters.rho.walk_std", "has no effect", "per_time = true"),
    (changed(JOB, model__parameters__rho__per_time=True), "model.parameters.rho.walk_std", "is missing, as is prior", "or a prior"),
    (changed(JOB, model__parameters__rho__prior={"mean": 1.0, "std": 0.0}), "model.parameters.rho.prior.std", "not above 0", "above 0"),
    (changed(JOB, model__states__x__bounds=[1, 1]), "model.states.x.bounds", "[1, 1] is empty", "below"),
    (changed(JOB, model__states__x__bounds=[float("nan"), 1]), "model.states.x.bounds", "holds nan", "inf"),
    (changed(JOB, model__states__x={"bounds": [0, 1], "start": [0, 2]}), "model.states.x.start", "is not inside bounds", "widen"),
    (changed(JOB, model__name=None), "model.name", "is missing", "hpcda models"),
    (changed(JOB, action__discretization="trapezoidal"), "action.discretization", "is not accepted", "did you mean 'trapezoid'?"),
    (changed(JOB, action__steps_per_sample=0), "action.steps_per_sample", "0 is below 1", "from 1"),
    (changed(JOB, action__model_error_weight={"x": 0.0}), "action.model_error_weight.x", "not above 0", "above 0"),
    (changed(JOB, action__model_error_weight="automatic"), "action.model_error_weight", "is not accepted", "auto"),
    (changed(JOB, action__model_error_weight=2.0), "action.model_error_weight", "", "auto"),
    (changed(JOB, ensemble__starts=0), "ensemble.starts", "0 is below 1", "from 1"),
    (changed(JOB, ensemble__seed=-1), "ensemble.seed", "-1 is below 0", "0 or more"),
    (changed(JOB, ensemble__range=[1, 2, 3]), "ensemble.range", "too many values", "[-10, 15]"),
    (changed(JOB, ensemble__range={"x": [2, 1]}), "ensemble.range.x", "2 is above the upper value 1", "lower"),
    (changed(JOB, ensemble__way="quite"), "ensemble.way", "'quite' is not accepted", "did you mean 'quiet'?"),
    (changed(JOB, ensemble__budget="verdikt"), "ensemble.budget", "'verdikt' is not accepted", "did you mean 'verdict'?"),
    (changed(JOB, ensemble__way="quiet", ensemble__budget="verdict"), "ensemble.budget", "'verdict' with way = 'quiet'", 'way = "auto"'),
    (changed(JOB, ensemble__way="noise", ensemble__budget="core-seconds", ensemble__core_seconds=60), "ensemble.budget", "'core-seconds' with way = 'noise'", 'way = "auto"'),
    (changed(JOB, ensemble__way="noise", ensemble__core_seconds=60), "ensemble.core_seconds", "60", 'budget = "core-seconds"'),
    (changed(JOB, ensemble__budget="starts", ensemble__core_seconds=2.5), "ensemble.core_seconds", "2.5", 'budget = "core-seconds"'),
    (changed(JOB, ensemble__budget="core-seconds"), "ensemble.core_seconds", "is missing", "core_seconds = 60"),
    (changed(JOB, ensemble__budget="core-seconds", ensemble__core_seconds=0), "ensemble.core_seconds", "0 is not above 0", "such as 60"),
    (changed(JOB, ensemble__merge="maybe"), "ensemble.merge", "'maybe'", "true to merge"),
    (changed(JOB, ladder__first_rungs=[0, 2]), "ladder.first_rungs", "[0, 2]", 'way = "uniform"'),
    (changed(JOB, ensemble__ranks_per_start=0), "ensemble.ranks_per_start", "0 is below 1", "from 1"),
    (changed(JOB, solver__minimizer="nsl"), "solver.minimizer", "'nsl' is not accepted", "nls"),
    (changed(JOB, solver__petsc={"-tao_gatol": 1}), "solver.petsc.-tao_gatol", "is not the name of an option", "dash"),
    (changed(JOB, solver__petsc={"tao_gatol": [1]}), "solver.petsc.tao_gatol", "is not the value of an option", "number"),
    (changed(JOB, output__keep_paths="best"), "output.keep_paths", "'best' is not accepted", "best:10"),
    (changed(JOB, output__keep_paths="best:0"), "output.keep_paths", "'best:0' is not accepted", "best:10"),
    (changed(JOB, output__directory=""), "output.directory", "is empty", '"run"'),
    (changed(JOB, model__options={"a": None}) | {"model": {"name": "m", "options": {"a": object}}}, "model.options.a", "cannot be written", "strings"),
    (twin(twin__samples=1), "twin.samples", "1 is below 2", "at least 2"),
    (twin(twin__noise_std={"column": "s"}), "twin.noise_std", "no data columns", "above 0"),
    (twin(twin__initial="anywhere"), "twin.initial", "'anywhere' is not accepted", "random"),
    (twin(twin__stimulus={"I": {"kind": "sin"}}), "twin.stimulus.I", "'sin' is not a kind of stimulus", '"sine"'),
    (twin(twin__stimulus={"I": {}}), "twin.stimulus.I", "has no kind", '"sine"'),
    (twin(twin__stimulus={"I": 3.0}), "twin.stimulus.I", "is not a table", '"sine"'),
    (twin(twin__stimulus={"I": {"kind": "sine", "amplitude": 1.0}}), "twin.stimulus.I.period", "is missing", "above 0"),
    (twin(twin__stimulus={"I": {"kind": "sine", "amplitud": 1.0, "period": 1.0}}), "twin.stimulus.I.amplitud", "not a key", "(there are: kind, amplitude, period, offset, phase)"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "place", "problem", "remedy"), SCHEMA)
def test_mistakes_in_the_job(folder, raw, place, problem, remedy):
    found = mistakes_of(raw)
    assert len(found) <= 2
    (one,) = [one for one in found if one.place == place]
    assert problem in one.problem
    assert remedy in one.remedy


# The same for what only the model and the data can tell.
MEANING = [
    (changed(JOB, model__name="lorenz36"), "model.name", "lorenz36", "lorenz63"),
    (changed(JOB, model__name="nowhere.py:build"), "model.name", "nowhere.py", "neuron.py"),
    (changed(JOB, model__name="neuron.py:nueron"), "model.name", "nueron", "neuron"),
    (changed(JOB, model={"name": "neuron.py:breaks"}), "model.options", "ZeroDivisionError", "correct"),
    (changed(JOB, model={"name": "neuron.py:text_default"}), "model n", "the default of g is 'many'", "give a number"),
    (changed(JOB, model={"name": "neuron.py:text_range"}), "model n", "the range of g is 3.0", "two numbers"),
    (changed(JOB, model={"name": "neuron.py:raises"}), "model n", "has no parameter 'missing'", "ordinary operators"),
    (changed(JOB, model={"name": "neuron.py:short"}), "model n", "return 1 value for 2 states", "one value per state"),
    (changed(JOB, model={"name": "neuron.py:vector"}), "model n", "not return a number for V", "one number per state"),
    (changed(JOB, model={"name": "neuron.py:with_option", "options": {"sise": 3}}), "model.options.sise", "takes no such option", "size"),
    (changed(JOB, model={"name": "neuron.py:with_option", "options": {"size": "3"}}), "model.options.size", "not a whole number", "whole"),
    (changed(JOB, model__options={"dimension": 3}), "model.options.dimension", "takes no such option", ""),
    (changed(JOB, model__parameters__roh={"value": 3.0}), "model.parameters.roh", "no parameter 'roh'", "did you mean 'rho'?"),
    (changed(JOB, model__states__X={"bounds": [0, 1]}), "model.states.X", "no state 'X'", "did you mean 'x'?"),
    (changed(JOB, action__model_error_weight={"X": 1.0}), "action.model_error_weight.X", "no state 'X'", "'x'"),
    (changed(JOB, ensemble__range={"X": [0, 1]}), "ensemble.range.X", "no state 'X'", "'x'"),
    (changed(JOB, ensemble__range={"x": [0, 9]}, model__states__x={"bounds": [0, 1]}), "ensemble.range.x", "not inside bounds", "inside"),
    (changed(JOB, ensemble__range=[5, 9], model__states__x={"bounds": [0, 1]}), "ensemble.range", "does not overlap", "start ="),
    (changed(JOB, model__states__x={"bounds": [1e3, 2e3]}), "model.states.x.bounds", "does not overlap", "start ="),
    (changed(JOB, model__parameters={"rho": {"estimate": True, "bounds": [1e3, 2e3]}}), "model.parameters.rho.bounds", "does not overlap", "start ="),
    (changed(JOB, action__discretization="map"), "action.discretization", "'map' is for maps", "trapezoid"),
    (changed(JOB, model={"name": "henon"}, data__observed={"x": "y0"}, action__discretization="rk4"), "action.discretization", "is a map", '"map"'),
    (changed(JOB, action__discretization="hermite-simpson", data__to=0.095), "data", "has 10 points", "steps_per_sample = 2"),
    (changed(JOB, data__observed={"x": "y9"}), "data.observed.x", "no column 'y9'", "y0"),
    (changed(JOB, data__observed={"x": 9}), "data.observed.x", "no column 9", "0 … 4"),
    (changed(JOB, data__observed={"v": "y0"}), "data.observed.v", "'v' is not a state", "x, y, z"),
    (changed(JOB, data__observed={"x +": "y0"}), 'data.observed."x +"', "is not an expression", "x0**2"),
    (changed(JOB, data__observed={"x.real": "y0"}), 'data.observed."x.real"', "is not an expression", "x0**2"),
    (changed(JOB, data__observed={"sine(x)": "y0"}), 'data.observed."sine(x)"', "not a function", "sin"),
    (changed(JOB, data__observed={"2": "y0"}), "data.observed.2", "contains no state", "x, y, z"),
    (changed(JOB, data__time="time"), "data.time", "no column 'time'", "t"),
    (changed(JOB, data__file="X.csv"), "data.file", "there is no file", "did you mean 'x.csv'?"),
    (changed(JOB, data__file="neuron.py"), "data.file", "no known ending", ".csv"),
    (changed(JOB, data__stimulus={"I": "u"}), "data.stimulus.I", "no stimulus 'I'", "there are none"),
    (changed(JOB, model={"name": "neuron.py:neuron"}, data__observed={"V": "y0"}), "data.stimulus.I", "is missing", "column"),
    (changed(JOB, model={"name": "neuron.py:neuron"}, data__observed={"V": "y0"}, data__stimulus={"J": "u"}), "data.stimulus.J", "no stimulus 'J'", "I"),
    (changed(JOB, data__hold_back=10), "data.hold_back", "leaves 1 of 11 samples", "at most 9"),
    (changed(JOB, data__sample_step=0.003), "x.csv, line 3, column 't'", "not a whole number of steps", "sample_step"),
    (changed(JOB, data__sample_step=0.005), "x.csv, line 3, column 't'", "1 sample is missing", "gaps = true"),
    (changed(JOB, data__sample_step=1e-12), "data.sample_step", "more than 1e9 samples", "from one sample"),
    (changed(JOB, data__from=5.0), "data.file", "has 0 rows in the range", "from and to"),
    (twin(twin__dt=None), "twin.dt", "is missing", "0.025"),
    (twin(twin__parameters={"roh": 1.0}), "twin.parameters.roh", "no parameter 'roh'", "rho"),
    (twin(twin__initial={"X": 1.0}), "twin.initial.X", "no state 'X'", "'x'"),
    (twin(twin__observed=["X"]), "twin.observed.X", "'X' is not a state", "'x'"),
    (twin(twin__model={"name": "lorenz36"}), "twin.model.name", "lorenz36", "lorenz63"),
    (twin(twin__stimulus={"I": {"kind": "constant", "value": 1.0}}), "twin.stimulus.I", "no stimulus 'I'", "none"),
    (twin(twin__observed={"log(x)": "y"}, twin__initial={"x": -1.0}), 'twin.observed."log(x)"', "not finite", "another"),
    (twin(model__parameters={"rho": {"series": "u"}}), "model.parameters.rho.series", "needs [data]", "value"),
    (twin(model={"name": "neuron.py:neuron"}, twin__observed=["V"]), "twin.stimulus.I", "is missing", "constant"),
    (twin(model={"name": "neuron.py:neuron"}, twin__observed=["V"], twin__stimulus={"I": {"file": "x.csv", "time": "t", "column": "nope"}}), "twin.stimulus.I.column", "no column 'nope'", "u"),
    (twin(model={"name": "neuron.py:neuron"}, twin__observed=["V"], twin__stimulus={"I": {"file": "x.csv", "time": "t", "column": "u"}}, twin__samples=99), "twin.stimulus.I.file", "covers 0 to 0.1", "all of the twin's times"),
    (twin(model={"name": "henon"}, twin__parameters={"a": 99.0}, twin__samples=99), "twin", "grow without bound", "finite"),
    (twin(twin__spin_up=1e30), "twin.spin_up", "more than 1e+07 steps", "shorter"),
    (twin(model={"name": "neuron.py:neuron"}, twin__observed=["V"], twin__stimulus={"I": {"kind": "steps", "width": 1e-9}}), "twin.stimulus.I.width", "too short", "longer"),
    (twin(model={"name": "neuron.py:neuron"}, twin__observed=["V"], twin__stimulus={"I": {"kind": "chaotic", "scale": 1.0, "timescale": 1e-9}}), "twin.stimulus.I.timescale", "too short", "longer"),
    (twin(twin__hold_back=9999999, twin__samples=9999999, action__steps_per_sample=100), "twin.samples", "the path has", "fewer"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "place", "problem", "remedy"), MEANING)
def test_mistakes_that_model_and_data_tell(folder, raw, place, problem, remedy):
    found = mistakes_of(raw)
    (one,) = [one for one in found if one.place == place and problem in one.problem]
    assert remedy in one.remedy


# Data files: text, changes of [data], place, part of the problem
FILES = [
    ("t,y0,y1\n0,1,2\n1,,2\n2,1,2\n", {}, "x.csv, line 3, column 'y0'", "is empty (data.observed.x)"),
    ("t,y0,y1\n0,1,2\n1,nan,2\n2,1,2\n", {}, "x.csv, line 3, column 'y0'", "is empty"),
    ("t,y0,y1\n# a comment\n0,1,2\n1,one,2\n", {}, "x.csv, line 4, column 'y0'", "'one' is not a finite number"),
    ("t,y0,y1\n0,1,2\n1,inf,2\n", {}, "x.csv, line 3, column 'y0'", "'inf' is not a finite number"),
    ("t,y0,y1\n0,1,2\n1,1_0,2\n", {}, "x.csv, line 3, column 'y0'", "'1_0' is not a finite number"),
    ("t,y0,y1\n0,1,2\n1,1e999,2\n", {}, "x.csv, line 3, column 'y0'", "'1e999' is not a finite number"),
    ("t,y0,y1\n0,1,2\n1,2\n", {}, "x.csv, line 3", "has 2 cells for 3 columns"),
    ("t,y0,y0\n0,1,2\n1,2,3\n", {}, "x.csv, line 1", "two columns are named 'y0'"),
    ("t,y0,y1\n0,1,2\n2,1,2\n1,1,2\n", {}, "x.csv, line 4, column 't'", "1 does not come after 2"),
    ("t,y0,y1\n0,1,2\n1,1,2\n1,1,2\n", {}, "x.csv, line 4, column 't'", "1 does not come after 1"),
    ("t,y0,y1\n0,1,2\n,1,2\n2,1,2\n", {}, "x.csv, line 3, column 't'", "the time is empty"),
    ("t,y0,y1\n0,1,2\n1,1,2\n2.5,1,2\n", {}, "x.csv, line 4, column 't'", "not a whole number of steps of 1"),
    ("t,y0,y1\n0,1,2\n1,1,2\n4,1,2\n", {}, "x.csv, line 4, column 't'", "2 samples are missing before 4"),
    ("t,y0,y1\n0,1,2\n", {}, "data.file", "has 1 row in the range"),
    ("t,y0,y1\n", {}, "data.file", "has 0 rows in the range"),
    ("", {}, "data.file", "x.csv is empty"),
    ("# nothing\n", {}, "data.file", "x.csv is empty"),
    ("t,y0,y1\n0,,\n1,,\n2,,\n", {"gaps": True}, "data.observed", "contains no data"),
    ("t,y0,y1\n0,,\n1,,\n2,1,1\n", {"gaps": True, "hold_back": 1}, "data.observed", "contains no data"),
    ("t,y0,y1,s\n0,1,1,0\n1,1,1,1\n", {"noise_std": {"column": "s"}}, "x.csv, line 2, column 's'", "0 is not above 0"),
    ("t,y0,y1,s\n0,1,1,\n1,1,1,1\n", {"noise_std": {"column": "s"}}, "x.csv, line 2, column 's'", "is empty although its data value is not"),
    ("t,y0,y1,s\n0,1,1,1\n1,1,1,1\n", {"noise_std": {"column": "z"}}, "data.noise_std", "no column 'z'"),
    ("t,y0,y1,s\n0,1,1,1\n1,1,1,-1\n", {"noise_std": {"x": 1.0, "z": {"column": "s"}}}, "x.csv, line 3, column 's'", "-1 is not above 0"),
    ("0 1 2\n1 3 4\n", {}, "data.time", "has no column 't'"),
    ('t,y0,y1\n0,"1,2\n1,2,3\n', {}, "data.file", "cannot be read"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "table", "place", "problem"), FILES)
def test_mistakes_in_a_csv(folder, text, table, place, problem):
    (folder / "x.csv").write_text(text)
    found = mistakes_of(changed(JOB, data={**JOB["data"], **table}))
    assert [one for one in found if one.place == place and problem in one.problem], found


def test_empty_cells_of_a_stimulus_are_never_gaps(folder):
    (folder / "x.csv").write_text("t,V,I\n0,1,1\n1,2,\n2,3,1\n")
    table = {
        "file": "x.csv",
        "time": "t",
        "observed": ["V"],
        "noise_std": 1.0,
        "gaps": True,
        "stimulus": {"I": "I"},
    }
    (one,) = mistakes_of(changed(JOB, model={"name": "neuron.py:neuron"}, data=table))
    assert one.place == "x.csv, line 3, column 'I'"
    assert "every row" in one.remedy


def test_many_mistakes_of_a_kind_are_told_in_three(folder):
    (folder / "x.csv").write_text("t,y0,y1\n" + "".join(f"{n},,1\n" for n in range(50)))
    found = mistakes_of(JOB)
    assert len([one for one in found if "is empty (data.observed.x)" in one.problem]) == 3
    assert "and 47 more" in found[2].problem


def test_several_mistakes_are_told_at_once_in_the_order_of_the_job(folder):
    job = changed(
        JOB, model__parameters__rho__start=[3, 1], data__noise_std=-1, data__tme=3, ladder__alpha=0.9, ladder__first_rungs=[]
    )  # fmt: skip
    places = [one.place for one in mistakes_of(job)]
    expected = [
        "model.parameters.rho.start",
        "data.noise_std",
        "data.tme",
        "ladder.alpha",
        "ladder.first_rungs",
    ]
    assert places == expected


def test_several_mistakes_of_meaning_are_told_at_once(folder):
    job = changed(
        JOB,
        model__parameters__roh={"value": 1.0},
        model__states__X={},
        action__discretization="map",
        data__observed={"v": "y9"},
        data__time="tt",
    )
    places = {one.place for one in mistakes_of(job)}
    assert places == {
        "model.parameters.roh",
        "model.states.X",
        "action.discretization",
        "data.observed.v",
        "data.time",
    }


def test_windows_are_told_apart(folder):
    job = changed(JOB, data=[JOB["data"], changed(JOB["data"], noise_std=-1)])
    assert [one.place for one in mistakes_of(job)] == ["data[1].noise_std"]
    job = changed(JOB, data=[JOB["data"], changed(JOB["data"], time="tt")])
    assert [one.place for one in mistakes_of(job)] == ["data[1].time"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a = ", "is not TOML"),
        (b"a = 1\na = 2", "is not TOML"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"a = " + b"[" * 5000, "is not"),
        (b"a = 1" + b"0" * 9999, "is not a job"),
    ],
)
def test_a_file_that_is_no_job(tmp_path, content, problem):
    (tmp_path / "job.toml").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_job(tmp_path / "job.toml")
    (one,) = caught.value.mistakes
    assert one.place == str(tmp_path / "job.toml")
    assert problem in one.problem


def test_a_job_that_is_not_there(tmp_path):
    for path in (tmp_path / "no.toml", tmp_path, tmp_path / "\0"):
        with pytest.raises(InputError):
            load_job(path)


def test_tables_that_contain_themselves():
    job: dict[str, Any] = dict(JOB)
    job["model"] = {"name": "m", "options": job}
    with pytest.raises(InputError):
        load_job(job)


def test_an_output_directory_that_holds_a_run(tmp_path):
    refuse_used(tmp_path / "new")
    (tmp_path / "other.txt").write_text("kept")
    refuse_used(tmp_path)
    (tmp_path / "run.h5").write_text("")
    with pytest.raises(InputError, match=r"already holds a run\n    resume it with `hpcda resume "):
        refuse_used(tmp_path)
    (tmp_path / "b" / "shards").mkdir(parents=True)
    refuse_used(tmp_path / "b")
    (tmp_path / "b" / "shards" / "rank-0000.h5").write_text("")
    with pytest.raises(InputError, match="--output DIR"):
        refuse_used(tmp_path / "b")
    with pytest.raises(InputError, match="is a file"):
        refuse_used(tmp_path / "other.txt" / "run")


# Whatever stands in a job, the answer is a job or an InputError.
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["x", "t", "y0", "x.csv", "lorenz63", "auto", "random", "final", 10**400, -(10**400)])
)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def known_keys(kind: Any = Job, depth: int = 0) -> list[str]:
    names = [field.alias or name for name, field in kind.model_fields.items()]
    return names + [
        "rho",
        "x",
        "y0",
        "kind",
        "column",
        "mean",
        "std",
        "value",
        "bounds",
        "start",
        "estimate",
        "file",
    ]


keys = st.sampled_from(known_keys()) | st.text(max_size=5)


@st.composite
def damaged_jobs(draw):
    """A job in which some values were replaced, removed or added."""
    job = copy.deepcopy(draw(st.sampled_from([JOB, twin(), changed(JOB, data=[JOB["data"], JOB["data"]])])))
    for _ in range(draw(st.integers(1, 4))):
        inner: Any = job
        while True:
            if not inner:
                break
            places = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            place = draw(st.sampled_from(places))
            if isinstance(inner[place], dict | list) and inner[place] and draw(st.booleans()):
                inner = inner[place]
                continue
            if draw(st.booleans()):
                inner[place] = draw(anything)
            elif isinstance(inner, dict):
                if draw(st.booleans()):
                    del inner[place]
                else:
                    inner[draw(keys)] = draw(anything)
            break
    return job


@given(damaged_jobs())
@cases(300)
def test_a_damaged_job_never_raises_anything_else(job):
    try:
        loaded = load_job(job)
    except InputError as error:
        assert error.mistakes
        assert all(one.place and one.problem and one.remedy for one in error.mistakes)
    else:
        assert load_job(tomllib.loads(loaded.resolved_toml())) == loaded


@given(st.dictionaries(keys, anything, max_size=5))
@cases(200)
def test_any_table_never_raises_anything_else(job):
    with pytest.raises(InputError):
        load_job(job)


@pytest.mark.parametrize("extensions", [["0"], ["\0"], [5], "x", None, ["a" * 5000]])
@pytest.mark.parametrize("folder", [None, 5, ["a"], {"a": 1}, True, "\0"])
def test_a_folder_that_is_none_is_refused_beside_extensions(folder, extensions):
    with pytest.raises(InputError, match="folder"):
        load_job({"folder": folder, "extensions": extensions})


@given(st.binary(max_size=200))
@cases(200)
def test_any_bytes_as_a_job_never_raise_anything_else(tmp_path, content):
    (tmp_path / "job.toml").write_bytes(content)
    with pytest.raises(InputError):
        load_job(tmp_path / "job.toml")


cells = st.sampled_from(
    ["0", "1", "2", "0.5", "-3", "", "nan", "x", "1e5", "t", "inf", '"', "1e-320"]
) | st.text(max_size=4)
rows = st.lists(st.lists(cells, min_size=1, max_size=4), max_size=6)
tables = rows.map(
    lambda lines: ("t,y0,y1\n" + "\n".join(",".join(line) for line in lines)).encode(errors="replace")
)


@given(tables | st.binary(max_size=200), st.booleans(), st.integers(0, 3))
@cases(300)
def test_any_bytes_as_data_never_raise_anything_else(folder, content, gaps, hold_back):
    (folder / "x.csv").write_bytes(content)
    try:
        problem = build_problem(load_job(changed(JOB, data__gaps=gaps, data__hold_back=hold_back))).problem
    except InputError:
        return
    (window,) = problem.windows
    assert np.isfinite(window.t).all()
    assert np.isfinite(window.data).any()
    assert (window.noise_std > 0).all()


@given(st.sampled_from([".npy", ".npz", ".h5", ".csv", ".txt"]), st.binary(max_size=300), st.booleans())
@cases(200)
def test_damaged_files_never_raise_anything_else(tmp_path, suffix, content, cut):
    file = tmp_path / f"x{suffix}"
    if suffix in (".npy", ".npz") and cut:
        with file.open("wb") as stream:
            (np.save if suffix == ".npy" else np.savez)(stream, np.arange(6.0).reshape(3, 2))
        whole = file.read_bytes()
        content = whole[: len(content)] + content + whole[2 * len(content) :]
    file.write_bytes(content)
    try:
        table = read_table(file, "data.file")
        for name in table.columns:
            table.numbers(name if table.named else 0, "data.time")
    except InputError as error:
        assert error.mistakes


def test_arrays_that_hold_no_numbers(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array(["a", "b"]), b=np.zeros((2, 2, 2)))
    with pytest.raises(InputError, match="no numeric columns"):
        read_table(tmp_path / "x.npz", "data.file")


def test_columns_of_different_length(folder):
    np.savez(folder / "x.npz", t=np.arange(3.0), y0=np.zeros(3), y1=np.zeros(4))
    found = mistakes_of(changed(JOB, data__file="x.npz"))
    assert [one.place for one in found] == ["data.file"]
    assert "differ in length" in found[0].problem


def test_messages_are_readable(folder):
    error = InputError(mistakes_of(changed(JOB, ladder__alpha=0.9)))
    assert str(error) == (
        "ladder.alpha: 0.9 is not above 1\n    give the factor from one rung to the next, a number above 1, such as 1.5"
    )


def test_a_folder_that_is_no_text():
    with pytest.raises(InputError):
        load_job({**JOB, "folder": 3})
    assert Path(load_job({**JOB, "folder": "sub"}).folder) == Path.cwd() / "sub"


HOME = "home directory of a user who does not exist"
NUMBERS = [
    ({**JOB, "folder": "~nobodyhere"}, "folder", HOME),
    (changed(JOB, data__file="~nobodyhere/x.csv"), "data.file", HOME),
    (changed(JOB, output__directory="~nobodyhere/x"), "output.directory", HOME),
    (changed(JOB, model__name="~nobodyhere/x.py:build"), "model.name", "home directory"),
    (changed(JOB, model__name="a" * 300 + ".py:build"), "model.name", "File name too long"),
    (changed(JOB, data__noise_std=5e-324), "data.noise_std", "too small to be squared"),
    (changed(JOB, data__noise_std=1.7e308), "data.noise_std", "too large to be squared"),
    (changed(JOB, action__model_error_weight={"x": 1e-200}), "action.model_error_weight.x", "too small to be squared"),
    (changed(JOB, ensemble__range=[-1.7e308, 1.7e308]), "ensemble.range", "too wide"),
    (changed(JOB, model__parameters__rho__start=[-1e300, 1.7e308]), "model.parameters.rho.start", "too wide"),
    (changed(JOB, ladder={"rf0": 1e307, "rf_max": 1e308}), "ladder.rf_max", "above Rf = 1e300"),
    (changed(JOB, data__hold_back=int("f" * 5000, 16)), "data.hold_back", "hundreds of digits"),
    (changed(JOB, data__time=int("f" * 5000, 16)), "data.time", "hundreds of digits"),
    (changed(JOB, solver__petsc={"a": 10**400}), "solver.petsc.a", "hundreds of digits"),
    (changed(JOB, data__observed={"x + 1/0": "y0"}), 'data.observed."x + 1/0"', "division by zero"),
    (changed(JOB, data__observed={"x*(-1)**0.5": "y0"}), 'data.observed."x*(-1)**0.5"', "is not real"),
    (twin(twin__observed={"x + (1e200)**100": "y"}), 'twin.observed."x + (1e200)**100"', "cannot be computed"),
    (changed(JOB, model={"name": "lorenz96", "options": {"dimension": 10**30}}), "model.options.dimension", "too many"),
    (changed(JOB, model={"name": "kuramoto_sivashinsky", "options": {"dimension": 10**9}}), "model.options.dimension", "too many"),
    (twin(twin__initial={"x": 1e308}), "twin", "grow without bound"),
    (twin(twin__model={"name": "neuron.py:neuron"}, twin__observed=["V"], twin__stimulus={"I": {"kind": "sine", "amplitude": 1.0, "period": 5e-324}},
          model={"name": "neuron.py:neuron"}), "twin.stimulus.I.period", "too short"),
]  # fmt: skip


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize(("raw", "place", "problem"), NUMBERS)
def test_homes_that_do_not_exist_and_numbers_beyond_all_use(folder, raw, place, problem):
    (one,) = mistakes_of(raw)
    assert one.place == place
    assert problem in one.problem


MODELS = [
    ("import sys; sys.exit(3)", "build", "model.name", "line 1, raises SystemExit: 3"),
    ("def build(): raise SystemExit(3)", "build", "model.options", "raises SystemExit: 3"),
    ("from numpy import sin", "sin", "model.name", ""),
    ("def build(size: 'no.Such' = 3): pass", "build", "model.name", "returns a NoneType"),
    ("build = lambda: Model('m', (State('x'),), (), quit)\ndef quit(x, p): raise SystemExit(3)", "build", "model m", "raise SystemExit: 3"),
    ("build = lambda: Model('m', (State(3),), (), lambda x, p: [x[0]])", "build", "model m", "3 is not a valid name"),
    ("build = lambda: Model('m', (State('x', range=(2, 1)),), (), lambda x, p: [x[0]])", "build", "model m", "the range of x is (2, 1)"),
    ("build = lambda: Model('m', (State('x', range=(1,)),), (), lambda x, p: [x[0]])", "build", "model m", "the range of x is (1,)"),
    ("build = lambda: Model('m', (State('x', initial=1e999),), (), lambda x, p: [x[0]])", "build", "model m", "the initial of x is inf"),
    ("build = lambda: Model('m', (State('x'),), (Parameter('a', None),), lambda x, p: [x[0]])", "build", "model m", "the default of a is None"),
    ("build = lambda: Model('m', (State('x'),), (Parameter('a', 1.0, range=(0, 1e999)),), lambda x, p: [x[0]])", "build", "model m", "the range of a"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "function", "place", "problem"), MODELS)
def test_models_that_are_none(folder, source, function, place, problem):
    (folder / "m.py").write_text(
        "from hpcda import Model, Parameter, State; " * (place == "model m") + source
    )
    (one,) = mistakes_of(changed(JOB, model={"name": f"m.py:{function}"}))
    assert one.place == place
    assert problem in one.problem


@pytest.mark.parametrize("where", ["[zzz{}]", "[model.options{}]", "[model.parameters.rho.prior{}]"])
def test_tables_within_tables_without_end(folder, where):
    (folder / "job.toml").write_text(where.format(".a" * 900))
    with pytest.raises(InputError, match="nests tables or lists") as caught:
        load_job(folder / "job.toml")
    (one,) = caught.value.mistakes
    assert one.place.startswith(str(folder / "job.toml"))
