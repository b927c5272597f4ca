"""The search as a whole, on problems whose lowest minimum is known: what it finds, and what it says of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("petsc4py", reason="the minimizers are PETSc's")

import hpcda
from hpcda import cli, runner
from hpcda.analysis.summary import summarize
from hpcda.analysis.summary_text import format_summary
from hpcda.annealing import Finished, Reason
from hpcda.annealing.lockstep_team import LockstepTeam
from hpcda.job import load_job
from hpcda.search.smoother import Smoother
from hpcda.search.ways import passes
from tests.chance import number
from tests.lives import quickly as quickly_
from tests.oracles import ORACLES
from tests.oracles.oracle import ROOT

pytestmark = pytest.mark.petsc


def run(folder, name, **ensemble):
    """A run of an oracle with some keys of [ensemble], opened."""
    oracle = ORACLES[name]
    if oracle.missing:
        pytest.skip(oracle.missing)
    job = oracle.job(folder, ensemble=ensemble)
    return hpcda.open_run(runner.run(job, output=folder / f"run-{len(list(folder.iterdir()))}", quiet=True))


@pytest.mark.parametrize("name", ["minaone-set1", "minaone-set5", "varanneal"])
@pytest.mark.parametrize("seed", range(1, 9))
def test_sixteen_starts_find_what_others_measured(tmp_path, name, seed):
    found = run(tmp_path, name, starts=16, seed=number(seed))
    assert ORACLES[name].solved(found.levels[0].action)
    assert found.verdict.code == "consistent_and_stable"


@pytest.mark.parametrize("name", ["lorenz96-20-L8-1", "lorenz96-20-L6-1", "lorenz96-20-L5-1"])
def test_rings_with_fewer_and_fewer_sites_measured_are_found(tmp_path, name):
    found = run(tmp_path, name, starts=100, seed=number(1))
    assert ORACLES[name].solved(found.levels[0].action)
    assert found.verdict.code == "consistent_and_stable"
    assert len(found.outcome.start) < 100, "the verdict has ended it"


@pytest.mark.parametrize("starts", [16, 32])
def test_uniform_starts_alone_miss_the_lowest_level_and_it_is_said(tmp_path, starts):
    """The level that they find lies 9.2 deviations above what noise allows."""
    found = run(tmp_path, "minaone-set5", way="uniform", starts=starts)
    assert not ORACLES["minaone-set5"].solved(found.levels[0].action)
    assert found.verdict.code == "inconsistent"
    assert found.evidence.z == pytest.approx(9.23, abs=0.01)


def test_merged_starts_are_counted_in_the_levels_where_they_would_have_ended(tmp_path):
    """Three levels, and a third of the Newton iterations."""
    merged, alone = (run(tmp_path, "minaone-set1", way="uniform", starts=100, merge=m) for m in (True, False))
    ends, wanted = (one.file.table("action")[:, -1] for one in (merged, alone))
    np.testing.assert_allclose(ends, wanted, rtol=1e-9)
    levels = [[(level.action, level.starts) for level in one.levels] for one in (merged, alone)]
    assert [starts for _, starts in levels[0]] == [starts for _, starts in levels[1]]
    actions = [[action for action, _ in one] for one in levels]
    assert actions[0] == pytest.approx(actions[1], rel=1e-12)
    assert actions[0] == pytest.approx([335.056, 797.805, 933.260], abs=1e-3)
    assert [len(starts) for _, starts in levels[0]] == [56, 42, 2]
    assert merged.outcome.iterations.sum() < 0.5 * alone.outcome.iterations.sum()


SHORT = {
    "dt": 0.02,
    "samples": 61,
    "spin_up": 10.0,
    "observed": {"x": "x"},
    "noise_std": {"x": 0.02},
    "seed": number(1),
}
WRONG = {
    "model": {
        "name": "lorenz63",
        "parameters": {"rho": {"estimate": True, "start": [35.0, 40.0], "bounds": [35.0, 40.0]}},
    },
    "twin": SHORT,
    "action": {"discretization": "trapezoid"},
    "ladder": {"rf0": 1e-2, "alpha": 8.0, "rungs": 7},
    "ensemble": {"starts": 60, "seed": number(3), "budget": "starts"},
}
"""A model that cannot explain the data, so that the search draws escapes."""


@pytest.fixture
def quickly(monkeypatch):
    """Hopeless draws end soon."""
    monkeypatch.setattr(passes, "WORK", quickly_.WORK)


def spread(folder, job, ranks, hpcda_is=("-m", "hpcda")):
    """A run of the job on so many ranks."""
    (folder / "job.toml").write_text(load_job(job).resolved_toml())
    environment = {name: value for name, value in os.environ.items() if name not in cli.RANK_VARIABLES}
    environment |= {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "PRTE_MCA_hwloc_default_binding_policy": "none",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, *hpcda_is, "run", "job.toml", "--output", f"on-{ranks}", "--quiet"]
    done = subprocess.run(
        ["mpirun", "-n", str(ranks), *command],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return hpcda.open_run(folder / f"on-{ranks}")


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun")
@pytest.mark.parametrize("name", ["lorenz96-10-L2-2", "wrong"])
def test_a_search_is_the_same_on_any_number_of_ranks(tmp_path, name):
    """The same starts, ways, first rungs, parents, ends and verdict; only what is merged may differ."""
    if name == "wrong":
        one, *others = (spread(tmp_path, WRONG, ranks, (quickly_.__file__,)) for ranks in (1, 3))
    else:
        job = ORACLES[name].job(tmp_path, ensemble={"starts": 36, "seed": number(2), "budget": "starts"})
        one, *others = (spread(tmp_path, job, ranks) for ranks in (1, 2, 4))
    ends, alone = one.file.table("action"), one.file.same_as == one.file.start
    if name == "wrong":
        assert (one.file.table("parent") >= 0).any(), "escapes were drawn"
    for other in others:
        for table in ("way", "first_rung", "parent", "partner"):
            np.testing.assert_array_equal(other.file.table(table), one.file.table(table), err_msg=table)
        np.testing.assert_array_equal(other.file.start, one.file.start)
        np.testing.assert_array_equal(other.file.last, one.file.last)
        found = other.file.table("action")
        np.testing.assert_allclose(found, ends, rtol=1e-3)
        np.testing.assert_allclose(found[:, -1], ends[:, -1], rtol=1e-9)
        both = alone & (other.file.same_as == other.file.start)
        np.testing.assert_array_equal(found[both], ends[both])
        firsts = [[min(level.starts) for level in run.levels] for run in (one, other)]
        assert firsts[0] == firsts[1] and both[firsts[0]].all()
        assert [level.starts for level in other.levels] == [level.starts for level in one.levels]
        assert other.verdict is one.verdict


@pytest.mark.parametrize("budget", ["verdict", "core-seconds"])
def test_a_search_whose_starts_all_fail_ends_and_says_so(tmp_path, monkeypatch, quickly, budget):
    """The first rung of each ends with a failure."""
    inner, failed = LockstepTeam.work, Reason.FAILED_LINE_SEARCH

    def work(team):
        firsts = {one.climb.start: one for one in reversed(inner(team))}
        for start in firsts:
            team.drop(start)
        return [
            Finished(
                replace(one.climb, failed=failed),
                replace(one.rung, reason=failed),
                ended=True,
            )
            for one in firsts.values()
        ]

    monkeypatch.setattr(LockstepTeam, "work", work)
    ensemble = {"starts": 20, "budget": budget} | ({"core_seconds": 60} if budget != "verdict" else {})
    job = {**WRONG, "ensemble": ensemble}
    found = hpcda.open_run(runner.run(job, output=tmp_path / "run", quiet=True))
    assert found.outcome.failed.sum() == len(found.outcome.start) == 20
    assert found.verdict.code == "failed"


EDGES = {
    "one start": {"ensemble": {"starts": 1}},
    "fewer starts than a round": {"ensemble": {"starts": 5}},
    "one rung": {"ladder": {"rf0": 1e-2, "alpha": 8.0, "rungs": 1}},
    "the best path": {"output": {"keep_paths": "best:1"}},
    "all paths": {"output": {"keep_paths": "all"}},
    "no parameters": {"model": {"name": "lorenz63"}},
    "two windows": {"twin": [{**SHORT, "samples": 31}, {**SHORT, "samples": 21, "seed": number(2)}]},
    "one by one": {"solver": {"minimizer": "newton", "max_iterations": 20}, "ensemble": {"starts": 20}},
    "core-seconds": {"ensemble": {"budget": "core-seconds", "core_seconds": 1e-6}},
}


@pytest.mark.parametrize("edge", EDGES)
def test_a_search_at_its_edges(tmp_path, quickly, edge):
    changed = EDGES[edge]
    job = {**WRONG, **changed, "ensemble": {**WRONG["ensemble"], **changed.get("ensemble", {})}}
    found = hpcda.open_run(runner.run(job, output=tmp_path / "run", quiet=True))
    assert found.levels and found.candidate.has_path
    if edge == "core-seconds":
        assert len(found.outcome.start) < job["ensemble"]["starts"]
    else:
        assert len(found.outcome.start) == job["ensemble"]["starts"]
    if edge == "the best path":
        assert len(found.file.path_start) == 1
    if edge == "all paths":
        for position, start in enumerate(found.file.start):
            for rung in np.flatnonzero(found.file.visited[position]):
                found.file.path(int(start), int(rung))


def test_what_merging_saves_is_told(tmp_path, quickly):
    found = hpcda.open_run(runner.run(WRONG, output=tmp_path / "run", quiet=True))
    summary = summarize(found)
    timing, rungs = summary["timing"], len(found.file.header.rf)
    assert timing["merged"] == (found.file.same_as != found.file.start).sum() > 0
    assert timing["rungs_saved"] == timing["rungs"] - found.file.committed.sum() > 0
    told = f"merged: {timing['merged']} of 60 starts joined the path of another, {timing['rungs_saved']} of "
    told += f"{timing['rungs']} rungs not computed again"
    assert told in format_summary(summary).splitlines()
    assert timing["rungs"] <= 60 * rungs
    alone = {**WRONG, "ensemble": {**WRONG["ensemble"], "merge": False}}
    summary = summarize(hpcda.open_run(runner.run(alone, output=tmp_path / "alone", quiet=True)))
    assert (summary["timing"]["merged"], summary["timing"]["rungs_saved"]) == (0, 0)
    assert "merged" not in format_summary(summary)


UNFIT = {
    "two samples": ([0.0, 2.0], [0.1, 1.8], "inconsistent"),
    "three gross values": (
        np.linspace(0.0, 6.0, 61),
        [-999.0 if k in (10, 30, 45) else 2.5 * np.exp(-0.08 * k) for k in range(61)],
        "inconsistent",
    ),
}
DECAY = """
from hpcda import Model, Parameter, State

def build():
    return Model(
        name="decay",
        states=(State("x", range=(0, 3)),),
        parameters=(Parameter("k", 0.8, range=(0.1, 2)),),
        equations=lambda x, p: [-p.k * x.x],
    )
"""


def decay(folder, times, values):
    """A job whose data no decay explains."""
    (folder / "decay.py").write_text(DECAY)
    rows = [f"{t!r},{value!r}" for t, value in zip(map(float, times), map(float, values), strict=True)]
    (folder / "data.csv").write_text("\n".join(["t,x", *rows]) + "\n")
    (folder / "job.toml").write_text(
        'model = { name = "decay.py:build", parameters.k = { estimate = true, bounds = [0, 9] } }\n'
        'data = { file = "data.csv", time = "t", observed = { x = "x" }, missing = [], noise_std = 0.03 }\n'
        "ladder = { alpha = 4.0, rf_max = 1e7 }\n"
    )
    return load_job(folder / "job.toml")


@pytest.mark.parametrize("name", UNFIT)
def test_few_data_that_cannot_be_fitted_end_soon(tmp_path, monkeypatch, name):
    """The filter runs no more often than the paths that are drawn allow."""
    times, values, code = UNFIT[name]
    calls, inner = [], Smoother.filter
    monkeypatch.setattr(Smoother, "filter", lambda *given, **named: calls.append(1) or inner(*given, **named))
    found = hpcda.open_run(runner.run(decay(tmp_path, times, values), output=tmp_path / "run", quiet=True))
    assert found.verdict.code == code
    ways = [found.file.header.ways[way] for way in found.file.table("way").astype(int)]
    drawn, most = ways.count("passes"), passes.MOST + passes.RUN + 1
    if name == "three gross values":
        most = passes.HOPELESS * passes.PATIENCE + 1
    others = ways.count("smoother") + 3 * 8 * ways.count("grown")
    assert 2 <= drawn and len(calls) <= drawn * most + 10 * others


def test_a_path_that_is_drawn_is_told(tmp_path, monkeypatch, capsys):
    times, values, _ = UNFIT["two samples"]
    job = decay(tmp_path, times, values)
    monkeypatch.setattr("hpcda.progress.LINE_FIRST", 0.0)
    monkeypatch.setattr("hpcda.ensemble.ensemble.LOOK_SECONDS", 0.0)
    runner.run(job, output=tmp_path / "run")
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("0/2 starts") and "drawing a first path (passes)" in line for line in lines)
    assert "drawing" not in lines[-1] and lines[-1].startswith("done")
    assert json.loads((tmp_path / "run" / "progress.json").read_text())["drawing"] == ""
