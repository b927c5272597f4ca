"""Starts that go wrong: each is recorded with its reason, the others go on, and the analysis works."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("petsc4py", reason="the minimizers are PETSc's")

import hpcda
from hpcda import cli
from hpcda.analysis import analyze
from hpcda.annealing import Reason
from hpcda.job.text import to_toml
from tests.chance import generator, number

pytestmark = pytest.mark.petsc

MODELS = '''
import numpy as np

from hpcda import Model, Parameter, State

RATES = {"log": np.log, "sqrt": lambda a: np.sqrt(a) - 0.5, "division": lambda a: 1.0 / np.sqrt(a)}


def domain(rate: str):
    """A decay whose rate has a value for a > 0 alone."""
    states = (State("x", range=(-2.0, 2.0), initial=1.0),)
    parameters = (Parameter("a", 2.0, range=(-1.0, 3.0)),)
    return Model("domain", states, parameters, lambda x, p: [-RATES[rate](p.a) * x[0]])


def idle():
    """A decay beside a state that nothing sees, and a parameter on which nothing depends."""
    states = (State("x", range=(-2.0, 2.0), initial=1.0), State("y", initial=1.0))
    parameters = (Parameter("k", 1.0), Parameter("unused", 1.0))
    return Model("idle", states, parameters, lambda x, p: [-p.k * x[0], 0.0 * x[1]])
'''
RUNGS = 6


def job(folder, model, parameters, **tables):
    t = np.linspace(0.0, 2.0, 41)
    data = np.exp(-0.7 * t) + 0.05 * generator(1).standard_normal(41)
    np.savetxt(folder / "d.csv", np.column_stack([t, data]), delimiter=",", header="t,y", comments="")
    (folder / "models.py").write_text(MODELS)
    name, options = model
    ensemble = {"starts": 12, "way": "uniform", "seed": number(1)} | tables.pop("ensemble", {})
    text = to_toml(
        {
            "model": {
                "name": f"models.py:{name}",
                "options": options,
                "parameters": {one: {"estimate": True} | more for one, more in parameters.items()},
            },
            "data": {"file": "d.csv", "time": "t", "observed": {"x": "y"}, "noise_std": 0.05},
            "ladder": {"rf0": 1.0, "alpha": 8.0, "rungs": RUNGS},
            "ensemble": ensemble,
            **tables,
        }
    )
    (folder / "job.toml").write_text(text)


def ended(folder):
    """Run the job by its command; the codes of the reasons, shape (starts, rungs)."""
    assert cli.main(["run", str(folder / "job.toml"), "--output", str(folder / "run"), "--quiet"]) == 0
    run = hpcda.open_run(folder / "run")
    return np.asarray(run.file.table("reason"))


def analyzed(folder):
    analyze(folder / "run", processes=0)
    return json.loads((folder / "run" / "analysis" / "summary.json").read_text())


@pytest.mark.parametrize(
    ("minimizer", "rate"),
    [("lockstep", "log"), ("newton", "sqrt"), ("nls", "division"), ("snes-newtonls", "log"), ("lmvm", "log")],
)
def test_starts_outside_the_domain_of_the_model(tmp_path, rate, minimizer):
    """Half of them, each by itself: all or none in one of eight million runs of this test."""
    job(
        tmp_path,
        ("domain", {"rate": rate}),
        {"a": {"start": [-3.0, 3.0]}},
        ensemble={"starts": 24},
        solver={"minimizer": minimizer},
    )
    reasons = ended(tmp_path)
    first = [Reason.from_code(int(code)) for code in reasons[:, 0]]
    bad = np.array([one is Reason.FAILED_NON_FINITE for one in first])
    assert 0 < bad.sum() < 24, first
    assert (reasons[bad, 1:] == Reason.NOT_RUN.code).all()
    assert (reasons[~bad, -1] != Reason.NOT_RUN.code).any()
    summary = analyzed(tmp_path)
    assert summary["failed"] >= bad.sum()
    assert summary["minima"]
    rates = {"log": np.log, "sqrt": lambda a: np.sqrt(a) - 0.5, "division": lambda a: 1.0 / np.sqrt(a)}
    assert rates[rate](summary["minima"][0]["parameters"]["a"]) == pytest.approx(0.7, abs=0.1)


@pytest.mark.parametrize("way", ["smoother", "passes", "grown", "auto"])
def test_every_way_to_begin_where_the_model_is_not_defined_everywhere(tmp_path, way):
    job(tmp_path, ("domain", {"rate": "log"}), {"a": {}}, ensemble={"way": way, "starts": 8})
    ended(tmp_path)
    summary = analyzed(tmp_path)
    assert np.log(summary["minima"][0]["parameters"]["a"]) == pytest.approx(0.7, abs=0.1)


@pytest.mark.parametrize(
    ("minimizer", "way"),
    [("lockstep", "uniform"), ("lockstep", "auto"), ("newton", "uniform"), ("nls", "uniform")],
)
def test_a_hessian_that_is_singular(tmp_path, minimizer, way):
    ensemble = {"way": way, "starts": 6}
    job(tmp_path, ("idle", {}), {"k": {}, "unused": {}}, ensemble=ensemble, solver={"minimizer": minimizer})
    reasons = ended(tmp_path)
    assert (reasons[:, -1] > 0).any()
    summary = analyzed(tmp_path)
    assert summary["minima"][0]["parameters"]["k"] == pytest.approx(0.7, abs=0.1)


@pytest.mark.parametrize("minimizer", ["lockstep", "newton", "nls"])
def test_rungs_that_take_more_iterations_than_they_may(tmp_path, minimizer):
    job(
        tmp_path,
        ("domain", {"rate": "log"}),
        {"a": {"start": [0.5, 3.0]}},
        solver={"minimizer": minimizer, "max_iterations": 2},
    )
    reasons = ended(tmp_path)
    assert (reasons[:, 0] == Reason.STOPPED_ITERATIONS.code).any()
    assert analyzed(tmp_path)["starts"] == 12


@pytest.mark.parametrize(
    ("minimizer", "way"), [("lockstep", "uniform"), ("lockstep", "auto"), ("newton", "uniform")]
)
def test_starts_whose_time_is_over(tmp_path, minimizer, way):
    job(
        tmp_path,
        ("domain", {"rate": "log"}),
        {"a": {"start": [0.5, 3.0]}},
        ensemble={"way": way, "starts": 4},
        solver={"minimizer": minimizer, "max_seconds": 1e-6},
    )
    reasons = ended(tmp_path)
    assert (reasons == Reason.STOPPED_SECONDS.code).any(axis=1).all()
    assert not (reasons[:, -1] > 0).any()
    summary = analyzed(tmp_path)
    assert (summary["stopped"], summary["complete"]) == (len(reasons), 0)
    assert summary["stopped_reasons"] == {Reason.STOPPED_SECONDS.name: len(reasons)}


def test_starts_of_which_none_can_begin_are_a_mistake_in_the_input(tmp_path, capsys):
    job(tmp_path, ("domain", {"rate": "log"}), {"a": {"start": [-3.0, -2.0]}})
    assert cli.main(["run", str(tmp_path / "job.toml"), "--output", str(tmp_path / "run"), "--quiet"]) == 2
    assert "is not finite" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_first_start_that_cannot_begin(tmp_path):
    """The ensemble goes on, whichever of its starts go wrong; with this seed it is the first."""
    job(
        tmp_path,
        ("domain", {"rate": "log"}),
        {"a": {"start": [-5.0, 3.0]}},
        ensemble={"starts": 12, "seed": 2},
    )
    reasons = ended(tmp_path)
    assert reasons[0, 0] == Reason.FAILED_NON_FINITE.code
    assert (reasons[:, -1] > 0).any()
