"""Runs with what files outside the package define: stored, analyzed, resumed; and runs of an older layout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("petsc4py", reason="runs load PETSc")

import hpcda
from hpcda import cli, runner
from hpcda.action import Action
from hpcda.annealing import ended
from hpcda.errors import InputError
from hpcda.store import RunFile
from hpcda.store.inspection import inspect
from tests import extending
from tests.lives import quickly
from tests.unit.test_extensions import written
from tests.waiting import PATIENCE

pytestmark = pytest.mark.petsc
ROOT = Path(__file__).parents[2]
OLD, RESUMABLE = (ROOT / "tests" / "unit" / "stored" / f"version-{n}.zip" for n in (3, 4))
QUICK = {"way": "quiet"}


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    for name in cli.RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with extending.forgotten():
        yield


def levels(run):
    return RunFile(run).table("action")[:, -1]


def ways_of(run):
    file = RunFile(run)
    return [file.header.ways[way] for way in file.table("way")]


def test_a_run_with_a_discretization_of_a_file(tmp_path, capsys):
    job = written(tmp_path, mine=extending.SCHEME, scheme="backward", **QUICK)
    assert cli.main(["check", str(job)]) == 0
    assert "backward" in capsys.readouterr().out
    assert cli.main(["run", str(job), "--quiet"]) == 0
    run = tmp_path / "run"
    assert RunFile(run).header.discretization == "backward"
    with extending.forgotten():
        pass
    found = hpcda.open_run(run)
    assert found.problem.discretization == "backward" and found.time_step is not None
    lower = levels(
        runner.run(written(tmp_path, scheme="trapezoid", **QUICK), output=tmp_path / "second", quiet=True)
    )
    assert np.isfinite(levels(run)).all() and abs(levels(run).min() - lower.min()) > 1e-3


def test_a_run_with_a_loss_of_a_file(tmp_path):
    """Half the square is the Gaussian loss, whatever computes it."""
    job = written(tmp_path, mine=extending.LOSS, **QUICK)
    job.write_text(job.read_text().replace("[twin]", '[twin]\nloss = "squares"'))
    assert cli.main(["run", str(job), "--quiet"]) == 0
    found = hpcda.open_run(tmp_path / "run")
    assert {noise.loss for noise in found.problem.noise.values()} == {"squares"}
    plain, path = Action(replace(found.problem, noise={})), found.problem.join(*found.kept_path())
    rf = float(found.file.header.rf[-1])
    assert plain.value(path, rf).total == pytest.approx(found.levels[0].action, rel=1e-12)
    assert ended(plain, path, rf, 0).reason.converged
    assert cli.main(["resume", str(tmp_path / "run"), "--quiet"]) == 0


def test_a_run_with_a_way_of_a_file(tmp_path):
    job = written(tmp_path, mine=extending.WAY, way="middle")
    assert cli.main(["run", str(job), "--quiet"]) == 0
    assert ways_of(tmp_path / "run") == ["middle"] * 4
    quiet = runner.run(written(tmp_path, **QUICK), output=tmp_path / "quiet", quiet=True)
    assert levels(tmp_path / "run").min() == pytest.approx(levels(quiet).min(), rel=1e-9)


def test_a_search_with_a_way_and_an_escape_of_a_file(tmp_path, monkeypatch):
    """No level agrees with the data, whose parameter is another one: escapes are drawn by their weights."""
    monkeypatch.setattr("hpcda.search.ways.passes.WORK", quickly.WORK)
    job = written(tmp_path, mine=extending.WAY + extending.ESCAPE)
    text = job.read_text().replace("starts = 4", 'starts = 40\nbudget = "starts"')
    job.write_text(text + "[model.parameters.rho]\nvalue = 15.0\n")
    assert cli.main(["run", str(job), "--quiet"]) == 0
    ways = ways_of(tmp_path / "run")
    assert ways[:2] == ["middle"] * 2 and ways.count("backwards") > 3
    hits = hpcda.open_run(tmp_path / "run").evidence.hits
    assert hits["middle"].anew and not any(one.anew for way, one in hits.items() if way == "backwards")
    plain = runner.run(load_without(job, tmp_path), output=tmp_path / "plain", quiet=True)
    assert not {"middle", "backwards"} & {*ways_of(plain)}, "a job without the file does not draw them"


def load_without(job, folder):
    other = folder / "other.toml"
    other.write_text(job.read_text().replace('extensions = ["mine.py"]', ""))
    return other


def test_a_run_with_a_minimizer_that_is_not_of_petsc(tmp_path):
    job = written(tmp_path, mine=extending.MINIMIZER, minimizer="scipy-lbfgsb", **QUICK)
    assert cli.main(["check", str(job)]) == 0
    assert cli.main(["run", str(job), "--quiet"]) == 0
    found = hpcda.open_run(tmp_path / "run")
    newton = runner.run(
        written(tmp_path, minimizer="newton", **QUICK), output=tmp_path / "newton", quiet=True
    )
    np.testing.assert_allclose(np.sort(levels(tmp_path / "run")), np.sort(levels(newton)), rtol=1e-6)
    assert (found.file.table("reason") > 0).all() and found.levels[0].converged
    assert (found.file.table("factorizations") == 0).all()


def test_a_minimizer_of_a_file_takes_no_option_of_petsc(tmp_path):
    job = written(tmp_path, mine=extending.MINIMIZER, minimizer="scipy-lbfgsb", **QUICK)
    done = subprocess.run(
        [sys.executable, "-m", "hpcda", "run", str(job), "--quiet", "--", "-tao_gatol", "1"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "no solver uses the PETSc option 'tao_gatol'" in done.stderr


def test_a_run_with_bounds_that_a_minimizer_of_a_file_does_not_keep(tmp_path, capsys):
    text = extending.MINIMIZER.replace("bounds=True", "bounds=False")
    job = written(tmp_path, mine=text, minimizer="scipy-lbfgsb", **QUICK)
    job.write_text(job.read_text() + "[model.states.x]\nbounds = [-50.0, 50.0]\n")
    assert cli.main(["run", str(job), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "'scipy-lbfgsb' does not support the bounds" in said and "newton" in said


@pytest.mark.parametrize("minimizer", ["lockstep", "scipy-lbfgsb"])
def test_a_run_is_resumed_with_its_files_and_gives_the_same(tmp_path, minimizer):
    text = extending.WAY + extending.MINIMIZER
    job = written(tmp_path, mine=text, way="middle", minimizer=minimizer)
    job.write_text(job.read_text().replace("starts = 4", "starts = 4\nmerge = false"))
    longer = tmp_path / "longer.toml"
    longer.write_text(job.read_text().replace("starts = 4", "starts = 7"))
    whole = runner.run(longer, output=tmp_path / "whole", quiet=True)
    run = runner.run(job, output=tmp_path / "run", quiet=True)
    assert (run / "extensions" / "0-mine.py").read_text() == text
    assert cli.main(["resume", str(run), "--job", str(longer), "--quiet"]) == 0
    np.testing.assert_array_equal(levels(run), levels(whole))
    assert len(list((run / "shards").glob("rank-*.h5"))) == 2 and ways_of(run) == ["middle"] * 7


@pytest.mark.parametrize("gone", [False, True], ids=["edited", "gone"])
def test_a_file_that_has_changed_is_refused_with_its_name(tmp_path, capsys, gone):
    job = written(tmp_path, mine=extending.WAY, way="middle")
    assert cli.main(["run", str(job), "--quiet"]) == 0
    file = tmp_path / "mine.py"
    if gone:
        file.unlink()
    else:
        file.write_text(extending.WAY.replace('"middle"', '"center"'))
    assert cli.main(["resume", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert said.count("extensions[0]") == 1 and str(file) in said
    assert ("there is no file" if gone else "has changed since this run began") in said
    assert "0-mine.py is a copy" in said
    shutil.copy(tmp_path / "run" / "extensions" / "0-mine.py", file)
    assert cli.main(["resume", str(tmp_path / "run"), "--quiet"]) == 0
    file.write_text(extending.WAY + "# an afterthought\n")
    assert cli.main(["run", str(job), "--resume"]) == 2
    assert "0-mine.py is a copy" in capsys.readouterr().err
    assert cli.main(["run", str(job), "--quiet", "--output", str(tmp_path / "new")]) == 0


@pytest.mark.parametrize("edited", [False, True], ids=["gone", "edited"])
def test_the_analysis_takes_the_copy_that_the_run_keeps(tmp_path, edited):
    job = written(tmp_path, mine=extending.SCHEME, scheme="backward", **QUICK)
    with extending.forgotten():
        run = runner.run(job, output=tmp_path / "run", quiet=True)
        action = Action(hpcda.open_run(run).problem)
        path = action.problem.join(*hpcda.open_run(run).kept_path())
        wanted = action.value(path, 10.0).total
    other = extending.SCHEME.replace("state=[[0, 1]]", "state=[[1, 0]]")
    (tmp_path / "mine.py").write_text(other) if edited else (tmp_path / "mine.py").unlink()
    assert Action(hpcda.open_run(run).problem).value(path, 10.0).total == wanted
    assert cli.main(["analyze", str(run), "--workers", "2"]) == 0


def test_adding_a_way_or_an_escape_leaves_stored_runs_what_they_are(tmp_path):
    job = written(tmp_path, **QUICK)
    run = runner.run(job, output=tmp_path / "run", quiet=True)
    longer = tmp_path / "longer.toml"
    longer.write_text(job.read_text().replace("starts = 4", "starts = 6"))
    (tmp_path / "mine.py").write_text(extending.WAY + extending.ESCAPE + extending.MINIMIZER)
    hpcda.extend(tmp_path / "mine.py")
    runner.resume(run, longer, quiet=True)
    assert ways_of(run) == ["quiet"] * 6


def test_a_run_with_files_of_extend_is_resumed_by_a_process_that_does_not_know_them(tmp_path):
    (tmp_path / "mine.py").write_text(extending.WAY)
    job = written(tmp_path, way="middle")
    job.write_text(job.read_text().replace("extensions = []", ""))
    with extending.forgotten():
        hpcda.extend(tmp_path / "mine.py")
        run = runner.run(job, output=tmp_path / "run", quiet=True)
    with pytest.raises(InputError, match="'middle' is not accepted"):
        hpcda.load_job(job)
    assert runner.resume(run, quiet=True) == run
    assert ways_of(run) == ["middle"] * 4


@pytest.fixture
def old(tmp_path):
    """A search of version 3 of the layout: 9 starts, three of them openings, ways stored by position."""
    with zipfile.ZipFile(OLD) as archive:
        archive.extractall(tmp_path)
    return tmp_path / "run"


def test_a_run_of_the_layout_before_is_read(old):
    found = hpcda.open_run(old)
    assert found.levels[0].action == pytest.approx(15.653254240255505, rel=1e-12)
    assert found.levels[0].ways == {"passes": 2, "smoother": 1, "quiet": 1, "noise": 1, "opening": 4}
    assert found.verdict.code == "consistent_step_too_coarse" and found.evidence.probed == 4
    assert ways_of(old)[:3] == ["passes", "passes", "opening"]
    assert cli.main(["analyze", str(old), "--workers", "0"]) == 0


def test_a_run_of_the_layout_before_is_refused_by_name_where_it_is_to_go_on(old, capsys):
    assert cli.main(["resume", str(old)]) == 2
    said = capsys.readouterr().err
    assert "version 3 (written by hpcda 0.1.0)" in said and "versions 4 to 5" in said
    assert "hpcda analyze" in said
    assert (old / "shards" / "rank-0000.h5").exists()
    assert cli.main(["run", str(old / "job.toml"), "--output", str(old), "--resume"]) == 2


def test_a_run_of_version_4_goes_on_as_if_it_had_not_been_interrupted(tmp_path):
    """It was stopped after 24 commits; then its ranks write shards of this version beside the old one."""
    zipfile.ZipFile(RESUMABLE).extractall(tmp_path)
    run, shard = tmp_path / "run", tmp_path / "run" / "shards" / "rank-0000.h5"
    before, stored = RunFile(run), shard.read_bytes()
    had, seconds = before.visited, before.table("seconds")
    assert before.committed.sum() == 85 and before.finished.sum() == 1
    assert before.header.parameter_start.tolist() == [[20.0, 36.0]] and before.header.state_unit == ("1",) * 3
    assert cli.main(["resume", str(run), "--quiet"]) == 0
    assert shard.read_bytes() == stored and len(list(shard.parent.glob("rank-*.h5"))) == 2
    assert cli.main(["run", str(run / "job.toml"), "--output", str(tmp_path / "whole"), "--quiet"]) == 0
    found, whole = RunFile(run), RunFile(tmp_path / "whole")
    assert found.finished.all() and found.header.fingerprint == before.header.fingerprint
    np.testing.assert_array_equal(found.table("reason"), whole.table("reason"))
    np.testing.assert_allclose(found.table("action"), whole.table("action"), rtol=1e-9)
    for start, rung in zip(whole.path_start.tolist(), whole.path_rung.tolist(), strict=True):
        np.testing.assert_allclose(found.path(start, rung)[0][0], whole.path(start, rung)[0][0], rtol=1e-6)
    np.testing.assert_array_equal(found.table("seconds")[had], seconds[had])


def test_damage_to_a_run_of_the_layout_before_is_told(old):
    shard = old / "shards" / "rank-0000.h5"
    assert inspect(shard).kind == "ok"
    import h5py

    with h5py.File(shard, "r+") as file:
        file["ensemble/way"][2] = 0
    assert inspect(shard).kind == "damaged"


MODEL = """
from hpcda.models.model import Model, Parameter, State


def equations(x, p):
    return [p.sigma * (x.y - x.x), x.x * (p.rho - x.z) - x.y, x.x * x.y - p.beta * x.z]


def build():
    return Model(
        "mine", (State("x"), State("y"), State("z")),
        (Parameter("sigma", 10.0), Parameter("rho", 28.0), Parameter("beta", 8 / 3)), equations,
    )
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("def equations(x, p):\n", "def equations(x, p):\n    # Lorenz 1963\n    unused = x.x + 2\n", True),
        ("x.x * x.y - p.beta * x.z", "-(p.beta * x.z) + x.y * x.x", True),
        ("p.sigma * (x.y - x.x)", "(x.y - x.x) * p.sigma", True),
        ("x.x * x.y - p.beta * x.z", "x.x * x.y - p.beta * x.z - 1e-9", False),
        ("x.x * x.y", "x.x * x.x", False),
    ],
)
def test_a_run_goes_on_with_a_model_of_the_same_equations_alone(tmp_path, capsys, old, new, same):
    (tmp_path / "model.py").write_text(MODEL)
    job = written(tmp_path, **QUICK)
    job.write_text(job.read_text().replace('name = "lorenz63"', 'name = "model.py:build"'))
    runner.run(job, output=tmp_path / "run", quiet=True)
    assert MODEL.count(old) == 1
    (tmp_path / "model.py").write_text(MODEL.replace(old, new))
    # The data of a twin may differ by rounding; what is asked here is the model.
    code = cli.main(["resume", str(tmp_path / "run"), "--quiet"])
    assert code == (0 if same else 2), capsys.readouterr().err
    if not same:
        assert "another model" in capsys.readouterr().err
