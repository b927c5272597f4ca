# ruff: noqa: E501
"""Damaged jobs and profiles of sites: an InputError that names its place, or something that can be used."""

import tomllib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcda.build import build_problem
from hpcda.errors import InputError
from hpcda.job import Job, load_job
from hpcda.job.text import to_toml
from hpcda.slurm.profile import load_profile
from tests.unit.fuzzing import cases, damaged, scrambled

CSV = "t,y0,y1,s,u\n" + "".join(f"{0.01 * n:.2f},{n},{-n},0.5,{n / 7}\n" for n in range(11))
NEURON = """
from hpcda import Model, Parameter, State, Stimulus

def neuron():
    return Model("n", (State("V"), State("w")), (Parameter("g", 1.0),), lambda x, p, u: [u.I - p.g * x[0], x[0]],
                 (Stimulus("I"),))
"""
LADDER = {"rf0": 1e-2, "alpha": 2.0, "rungs": 5, "first_rungs": [0]}
REST: dict[str, Any] = {
    "ladder": LADDER,
    "action": {"discretization": "trapezoid", "steps_per_sample": 1, "model_error_weight": {}},
    "ensemble": {"starts": 3, "seed": 1, "range": [-10, 15], "way": "auto", "budget": "starts"},
    "solver": {"minimizer": "auto", "petsc": {"tao_gatol": 1e-8}, "max_iterations": 9, "max_seconds": 0.5},
    "output": {"directory": "run", "keep_paths": "best:3"},
}
WINDOW: dict[str, Any] = {
    "file": "x.csv", "time": "t", "observed": {"x": "y0", "x + z**2": "y1"}, "noise_std": {"x": 0.5, "x + z**2": {"column": "s"}},
    "sample_step": 0.01, "gaps": True, "from": 0.0, "to": 0.09, "hold_back": 2,
}  # fmt: skip
TWIN: dict[str, Any] = {
    "dt": 0.01, "samples": 11, "spin_up": 0.1, "hold_back": 2, "observed": ["V"], "noise_std": 1.0, "seed": 1,
    "parameters": {"g": 2.0}, "initial": {"V": 1.0},
}  # fmt: skip
RHO = {"estimate": True, "start": [20, 40], "bounds": [0, 50], "prior": {"mean": 28.0, "std": 5.0}}
LORENZ = {
    "name": "lorenz63",
    "parameters": {"rho": RHO, "beta": {"value": 2.5}, "sigma": {"series": "u"}},
    "states": {"x": {"bounds": [-50, 50], "start": [-9, 9], "initial_prior": {"mean": 0.0, "std": 9.0}}},
}
GATE = {
    "name": "neuron.py:neuron",
    "parameters": {"g": {"estimate": True, "per_time": True, "walk_std": 0.1}},
}


def _twin(stimulus: dict[str, Any]) -> dict[str, Any]:
    return {"model": GATE, "twin": {**TWIN, "stimulus": {"I": stimulus}}, **REST}


JOBS: list[dict[str, Any]] = [
    {"model": LORENZ, "data": WINDOW, **REST},
    {"model": LORENZ, "data": [WINDOW, {**WINDOW, "noise_std": 1.0}], **REST},
    {"model": {"name": "lorenz96", "options": {"dimension": 5}}, "twin": {**TWIN, "parameters": {"F": 8.0}, "initial": "random",
     "observed": {"x0": "y0", "exp(x1/9)": "y1"}}, **REST},
    _twin({"kind": "constant", "value": 1.0}),
    _twin({"kind": "sine", "amplitude": 1.0, "period": 0.1, "offset": 1.0, "phase": 2.0}),
    _twin({"kind": "steps", "width": 0.05, "levels": [0, 1, 2], "scale": 2.0}),
    _twin({"kind": "chaotic", "scale": 1.0, "timescale": 1.0}),
    _twin({"file": "stimulus.csv", "time": "t", "column": "u"}),
]  # fmt: skip
PROFILE: dict[str, Any] = {
    "partition": "compute", "account": "a", "nodes": 2, "ntasks_per_node": 4, "mem": "64G", "time": "12:00:00",
    "options": ["--exclusive"], "modules": ["openmpi/4.1"], "setup": ["ulimit -s unlimited"], "environment": {"A": "b c"},
    "launcher": "srun --mpi=pmix", "signal_seconds": 60, "lives": 9, "analysis": {"cpus": 2, "mem": "8G", "time": "30"},
}  # fmt: skip
PIECES = [
    b"=", b"[", b"]", b"{", b"}", b"[[data]]\n", b"\n[x]\n", b'"', b"'''", b"#", b"\r", b"\n", b"\0", b"\xff", b"\xef\xbb\xbf",
    b"nan", b"-inf", b"1e400", b"0x" + b"f" * 5000, b"1979-05-27T07:32:00Z", b"07:32:00", b"[" * 500, b"a." * 500, b"\\u0000",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text(CSV)
    (tmp_path / "stimulus.csv").write_text("t,u\n-1,0\n0,1\n9,2\n")
    (tmp_path / "neuron.py").write_text(NEURON)
    return tmp_path


def check_mistakes(error: InputError) -> None:
    assert error.mistakes
    for one in error.mistakes:
        assert one.place and one.problem and one.remedy
        assert len(one.place) + len(one.problem) + len(one.remedy) < 4000


def small(job: Job) -> bool:
    """Whether the twin is one that a test can wait for."""
    steps = job.action.steps_per_sample
    return all(
        (one.samples + one.hold_back) * steps < 500 and one.spin_up <= 1.0 and (one.dt or 0.0) < 10.0
        for one in job.twin
    )


def check(source: Any) -> None:
    try:
        job = load_job(source)
        assert load_job(tomllib.loads(job.resolved_toml())) == job
        if not small(job):
            return
        problem = build_problem(job).problem
    except InputError as error:
        check_mistakes(error)
        return
    assert problem.measured > 0
    for window in problem.windows:
        assert np.isfinite(window.t).all() and (np.diff(window.t) > 0).all()
        assert np.isfinite(window.series).all() and (window.noise_std > 0).all()
    lower, upper = problem.bounds
    assert (lower < upper).all()
    assert np.isfinite(problem.state_start).all()


@pytest.mark.parametrize("raw", JOBS)
def test_what_is_damaged_is_whole(folder, raw):
    assert build_problem(load_job(raw)).problem.measured > 0


@given(damaged(st.sampled_from(JOBS)))
@cases(250)
def test_damaged_tables(folder, raw):
    check(raw)


@given(scrambled(st.sampled_from([to_toml(job).encode() for job in JOBS]), PIECES))
@cases(200)
def test_damaged_job_files(folder, content):
    (folder / "job.toml").write_bytes(content)
    check(folder / "job.toml")


@given(st.binary(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=9).map(b"".join))
@cases(150)
def test_any_bytes_as_a_job(folder, content):
    (folder / "job.toml").write_bytes(content)
    check(folder / "job.toml")


def _written(tables: dict[str, Any]) -> bytes:
    """The tables as TOML, where TOML can hold them."""
    try:
        return to_toml(tables).encode()
    except (TypeError, ValueError):
        return b"nothing"


@given(damaged(st.just(PROFILE)).map(_written) | scrambled(st.just(to_toml(PROFILE).encode()), PIECES))
@cases(200)
def test_damaged_profiles(folder, content):
    (folder / "site.toml").write_bytes(content)
    try:
        profile = load_profile(folder / "site.toml")
    except InputError as error:
        check_mistakes(error)
        assert all(str(folder / "site.toml") in one.place for one in error.mistakes)
    else:
        assert profile.ranks >= 1
