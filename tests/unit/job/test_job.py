"""The job file: what is accepted, defaults, and the way back to TOML."""

import inspect
import math
import tomllib
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import hpcda.models.signals as signals
from hpcda.errors import InputError
from hpcda.job import Job, load_job
from hpcda.job.kinds import STIMULUS_KINDS, Chaotic, Constant, Sine, Steps
from hpcda.job.text import to_toml
from tests.unit.fuzzing import cases

SMALL: dict[str, Any] = {
    "model": {"name": "lorenz63"},
    "data": {"file": "x.csv", "time": "t", "observed": {"x": "y0"}, "noise_std": 0.5},
    "ladder": {"rf0": 1e-2, "alpha": 2.0, "rungs": 5},
}

# Everything that TOML can hold in a text: no lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
files = texts.filter(
    lambda text: "\0" not in text and not text.startswith("~")
)  # ~: a home that may not exist
floats = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-100, max_value=1e100)
counts = st.integers(0, 10**6)
moderate = st.floats(-1e100, 1e100)
ranges = st.tuples(moderate, moderate).map(lambda pair: sorted(pair))
columns = texts | st.integers(0, 99)
priors = st.fixed_dictionaries({"mean": floats, "std": positive})
bounds = (
    st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False))
    .map(sorted)
    .filter(lambda pair: pair[0] < pair[1])
)
plain = st.recursive(
    st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
parameters = st.one_of(
    st.fixed_dictionaries({"value": floats}),
    st.fixed_dictionaries({"series": columns}),
    st.fixed_dictionaries({"estimate": st.just(True)}, optional={"start": ranges, "prior": priors}),
    st.fixed_dictionaries({"estimate": st.just(True)}, optional={"bounds": bounds, "prior": priors}),
    st.fixed_dictionaries({"estimate": st.just(True), "per_time": st.just(True), "walk_std": positive}),
)
states = st.fixed_dictionaries({}, optional={"bounds": bounds, "initial_prior": priors})
observed = st.dictionaries(texts, columns, min_size=1, max_size=4)
noise = positive | st.fixed_dictionaries({"column": columns})
data = st.fixed_dictionaries(
    {"file": files, "time": columns, "observed": observed, "noise_std": noise},
    optional={
        "stimulus": st.dictionaries(texts, columns, max_size=3),
        "sample_step": positive,
        "gaps": st.booleans(),
        "from": floats,
        "hold_back": counts,
    },
)
stimuli = st.one_of(
    st.fixed_dictionaries({"kind": st.just("constant"), "value": floats}),
    st.fixed_dictionaries({"kind": st.just("sine"), "amplitude": floats, "period": positive}),
    st.fixed_dictionaries(
        {"kind": st.just("steps"), "width": positive},
        optional={"levels": st.lists(floats, min_size=1, max_size=3)},
    ),
    st.fixed_dictionaries({"kind": st.just("chaotic"), "scale": floats}),
    st.fixed_dictionaries({"file": files, "time": columns, "column": columns}),
)
twins = st.fixed_dictionaries(
    {"samples": st.integers(2, 1000), "observed": observed, "noise_std": positive},
    optional={
        "model": st.fixed_dictionaries({"name": texts}),
        "parameters": st.dictionaries(texts, floats, max_size=3),
        "initial": st.just("random") | st.dictionaries(texts, floats, max_size=3),
        "dt": positive,
        "spin_up": st.floats(0, 1e6),
        "stimulus": st.dictionaries(texts, stimuli, max_size=2),
    },
)
ladders = st.fixed_dictionaries(
    {"rf0": st.floats(1e-6, 1.0), "alpha": st.floats(1.1, 10.0)},
    optional={"first_rungs": st.lists(st.integers(0, 4), min_size=1, unique=True)},
).flatmap(
    lambda ladder: st.one_of(
        st.integers(5, 50).map(lambda rungs: {**ladder, "rungs": rungs}),
        st.floats(1e5, 1e12).map(lambda top: {**ladder, "rf_max": top}),
    )
)


def begins_one_way(job):
    """Whether first rungs may be given."""
    return job.get("ensemble", {}).get("way", "auto") != "auto"


def without_first_rungs(job):
    return {**job, "ladder": {key: value for key, value in job["ladder"].items() if key != "first_rungs"}}


jobs = (
    st.fixed_dictionaries(
        {
            "model": st.fixed_dictionaries(
                {"name": texts},
                optional={
                    "options": st.dictionaries(texts, plain, max_size=3),
                    "parameters": st.dictionaries(texts, parameters, max_size=3),
                    "states": st.dictionaries(texts, states, max_size=3),
                },
            ),
            "ladder": ladders,
        },
        optional={
            "action": st.fixed_dictionaries(
                {},
                optional={
                    "steps_per_sample": st.integers(1, 9),
                    "model_error_weight": st.dictionaries(texts, positive) | st.just("auto"),
                },
            ),
            "ensemble": st.fixed_dictionaries(
                {"starts": st.integers(1, 10**6)},
                optional={
                    "range": ranges | st.dictionaries(texts, ranges, min_size=1, max_size=3),
                    "way": st.sampled_from(["quiet", "uniform", "auto"]),
                },
            ),
            "solver": st.fixed_dictionaries(
                {},
                optional={
                    "petsc": st.dictionaries(
                        st.from_regex(r"[a-z_]+", fullmatch=True), texts | floats | st.booleans() | counts
                    )
                },
            ),
            "output": st.fixed_dictionaries(
                {"directory": files, "keep_paths": st.sampled_from(["final", "all", "best:7"])}
            ),
        },
    )
    .map(lambda job: job if begins_one_way(job) else without_first_rungs(job))
    .flatmap(
        lambda job: st.one_of(
            st.one_of(data, st.lists(data, min_size=1, max_size=2)).map(
                lambda tables: {**job, "data": tables}
            ),
            st.one_of(twins, st.lists(twins, min_size=1, max_size=2)).map(
                lambda tables: {**job, "twin": tables}
            ),
        )
    )
)


@given(jobs)
@cases(200)
def test_loading_the_resolved_job_gives_an_equal_job(raw):
    job = load_job(raw)
    again = load_job(tomllib.loads(job.resolved_toml()))
    assert again == job
    assert again.resolved_toml() == job.resolved_toml()  # the order of keys too


def test_loading_the_resolved_file_from_another_folder_finds_the_same_files(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "job.toml").write_text(to_toml(SMALL))
    job = load_job(tmp_path / "jobs" / "job.toml")
    (tmp_path / "elsewhere.toml").write_text(job.resolved_toml())
    again = load_job(tmp_path / "elsewhere.toml")
    assert again == job
    assert again.path("x.csv") == tmp_path / "jobs" / "x.csv"
    assert again.output_directory == tmp_path / "jobs" / "run"


def test_a_folder_is_taken_from_the_folder_of_the_file(tmp_path):
    (tmp_path / "job.toml").write_text(to_toml({"folder": "deeper", **SMALL}))
    assert load_job(tmp_path / "job.toml").folder == str(tmp_path / "deeper")


def test_a_mapping_is_looked_up_in_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_job(SMALL).path("x.csv") == tmp_path / "x.csv"


def test_the_example_of_the_design_is_accepted():
    job = load_job(
        tomllib.loads("""
[model]
name = "lorenz96"
options = { dimension = 20 }
[model.parameters.F]
estimate = true
start = [4.0, 14.0]
bounds = [0.0, 20.0]
[model.states.x0]
bounds = [-50, 50]
[data]
file = "x.csv"
time = "t"
observed = { x0 = "y0", x2 = "y2" }
noise_std = 0.5
[action]
discretization = "trapezoid"
steps_per_sample = 1
model_error_weight = { x0 = 1.0 }
[ladder]
rf0 = 1e-2
alpha = 1.5
rf_max = 1e6
first_rungs = [0, 12, 16]
[ensemble]
starts = 100
seed = 1
range = [-10, 15]
way = "uniform"
budget = "starts"
ranks_per_start = 1
[solver]
minimizer = "auto"
petsc = { tao_gatol = 1e-8 }
[output]
directory = "run"
keep_paths = "final"
""")
    )
    assert job.model.parameters["F"].bounds == (0.0, 20.0)
    assert job.model.states["x0"].bounds == (-50.0, 50.0)
    assert job.ensemble.range == (-10.0, 15.0)
    assert job.solver.petsc == {"tao_gatol": 1e-8}


def test_defaults():
    job = load_job(SMALL)
    assert (job.action.discretization, job.action.steps_per_sample) == ("auto", 1)
    assert (job.ensemble.starts, job.ensemble.way, job.ensemble.ranks_per_start) == (100, "auto", 1)
    assert job.ladder.first_rungs == (0,)
    assert (job.output.directory, job.output.keep_paths) == ("run", "final")
    assert job.data[0].gaps is False
    assert job.data[0].hold_back == 0


def test_a_job_is_frozen():
    job = load_job(SMALL)
    with pytest.raises(ValidationError):
        job.ladder = job.ladder


def test_several_windows_and_lists_of_states():
    table = SMALL["data"]
    job = load_job({**SMALL, "data": [table, {**table, "observed": ["x", "z"]}]})
    assert len(job.data) == 2
    assert job.data[1].observed == {"x": "x", "z": "z"}


def test_files_may_be_paths():
    job = load_job({**SMALL, "data": {**SMALL["data"], "file": Path("a") / "x.csv"}})
    assert job.data[0].file == str(Path("a/x.csv"))


def test_a_ladder_may_end_at_infinity():
    table = load_job({**SMALL, "ladder": {"rf0": 1.0, "alpha": 2.0, "rungs": 3, "end": "infinity"}}).ladder
    assert table.rf.tolist() == [1.0, 2.0, 4.0, np.inf] and table.beta.tolist() == [0, 1, 2, 3]
    assert (table.count, table.finite, table.ladder.largest) == (4, 3, 4.0)
    alone = load_job({**SMALL, "ladder": {"rf0": 7.0, "rungs": 0, "end": "infinity"}}).ladder
    assert alone.rf.tolist() == [np.inf] and alone.ladder.largest == 7.0
    job = load_job({**SMALL, "ladder": {"rf0": 1.0, "alpha": 2.0, "rungs": 3, "end": "infinity"}})
    assert load_job(tomllib.loads(job.resolved_toml())).ladder == job.ladder
    for ladder, place in [({"rungs": 0}, "rungs"), ({"rungs": 3, "end": "never"}, "end")]:
        with pytest.raises(InputError) as caught:
            load_job({**SMALL, "ladder": ladder})
        assert [one.place for one in caught.value.mistakes] == [f"ladder.{place}"]
    table = {"rungs": 3, "end": "infinity", "first_rungs": [0, 3]}
    last = load_job({**SMALL, "ladder": table, "ensemble": {"way": "noise"}})
    assert last.ladder.ladder.first(1) == 3


@pytest.mark.parametrize(
    ("ladder", "count", "last"),
    [
        ({"rf0": 1e-2, "alpha": 10.0, "rf_max": 1e6}, 9, 1e6),
        ({"rf0": 1e-2, "alpha": 10.0, "rf_max": 9e5}, 8, 1e5),
        ({"rf0": 0.01, "alpha": 2.0, "rungs": 30}, 30, 0.01 * 2.0**29),
        ({"rf0": 1.0, "alpha": 1.5, "rf_max": 1.0}, 1, 1.0),
        ({"rf0": 0.1, "alpha": 3.0, "rf_max": 0.1 * 3.0**7}, 8, 0.1 * 3.0**7),
    ],
)
def test_rungs_of_the_ladder(ladder, count, last):
    table = load_job({**SMALL, "ladder": ladder}).ladder
    assert table.count == count
    np.testing.assert_array_equal(table.beta, np.arange(count))
    assert table.rf[0] == ladder["rf0"]
    assert table.rf[-1] == pytest.approx(last, rel=1e-12)


def test_stimuli_take_what_their_makers_take():
    for section in (Constant, Sine, Steps, Chaotic):
        kind = get_args(section.model_fields["kind"].annotation)[0]
        maker = inspect.signature(getattr(signals, kind)).parameters
        wanted = {name: p.default for name, p in maker.items() if name != "span"}
        given_ = {
            name: inspect.Parameter.empty if field.is_required() else field.default
            for name, field in section.model_fields.items()
            if name != "kind"
        }
        assert given_ == wanted
    assert {*STIMULUS_KINDS} == {*signals.KINDS, "file"}


def test_every_key_says_what_it_accepts():
    def sections(kind, seen):
        if kind in seen:
            return
        seen.add(kind)
        for field in kind.model_fields.values():
            for inner in found(field.annotation):
                sections(inner, seen)

    def found(annotation):
        if inspect.isclass(annotation) and hasattr(annotation, "model_fields"):
            return [annotation]
        return [inner for argument in get_args(annotation) for inner in found(argument)]

    seen: set[Any] = set()
    sections(Job, seen)
    missing = [
        (k.__name__, n) for k in seen for n, f in k.model_fields.items() if n != "kind" and not f.description
    ]
    assert not missing


@given(st.dictionaries(texts, plain, max_size=4))
@cases(100)
def test_toml_text_is_read_back(values):
    assert tomllib.loads(to_toml(values)) == values


def test_toml_text_of_special_values():
    values = {
        "a": math.inf,
        "b": -math.inf,
        "c": 1e-8,
        "d": [[1, 2.5], ["x"]],
        "e.f": {"": {"g h": []}},
        "t": '\x7f\t"\\é',
    }
    assert tomllib.loads(to_toml(values)) == values
    with pytest.raises(TypeError):
        to_toml({"a": object()})


def test_stimulus_without_kind_but_with_a_file():
    twin = {
        "samples": 5,
        "observed": ["x"],
        "noise_std": 1.0,
        "stimulus": {"I": {"file": "i.csv", "time": 0, "column": 1}},
    }
    job = load_job({"model": {"name": "m"}, "ladder": {"rungs": 2}, "twin": twin})
    assert job.twin[0].stimulus["I"].kind == "file"


def test_input_errors_carry_their_mistakes():
    with pytest.raises(InputError) as caught:
        load_job({**SMALL, "ladder": {"alpha": 0.9, "rungs": 5}})
    (mistake,) = caught.value.mistakes
    assert mistake.place == "ladder.alpha"
    assert mistake.problem == "0.9 is not above 1"
    assert "above 1" in mistake.remedy
