"""The time step of whole runs: what the analysis says of it; "auto" on any number of ranks, and resumed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("petsc4py", reason="the minimizers are PETSc's")

import hpcda
from hpcda import cli, runner
from hpcda.analysis.analyze import analyze
from hpcda.analysis.summary_text import format_summary
from hpcda.errors import InputError
from hpcda.job import load_job
from tests.unit import epidemic

pytestmark = pytest.mark.petsc


def test_the_default_step_of_the_outbreak_is_told_to_be_too_coarse(tmp_path):
    """One trapezoid step a day: beta = 1.603, where SciPy's fit says 1.669 ± 0.028."""
    run = runner.run(epidemic.write_job(tmp_path), output=tmp_path / "run", quiet=True)
    summary = analyze(run, processes=0)
    assert summary["candidate"]["parameters"]["beta"] == pytest.approx(1.603, abs=1e-3)
    verdict = json.loads((run / "analysis" / "summary.json").read_text())["verdict"]
    assert verdict["code"] == "consistent_step_too_coarse" and not verdict["stable"]
    assert "steps_per_sample = 5 is enough" in verdict["sentence"]
    step = verdict["evidence"]["step"]
    assert step["coarse"] and step["enough"] == 5 and step["moves"] == "beta" and step["shift"] > 1.5
    assert step["estimates"]["beta"] == pytest.approx(epidemic.fitted()[0][0], abs=1e-3)
    text = format_summary(summary)
    assert "time step        too coarse: it moves beta by 1.9 standard deviations" in text
    assert "steps_per_sample = 5" in (run / "analysis" / "report.html").read_text()


def test_enough_steps_are_stable_and_right(tmp_path):
    job = epidemic.write_job(tmp_path, steps_per_sample=20)
    found = hpcda.open_run(runner.run(job, output=tmp_path / "run", quiet=True))
    assert found.verdict.stable and not found.evidence.step.coarse
    values, stds, action = epidemic.fitted()
    assert [*found.levels[0].parameters.values()] == pytest.approx(values, abs=0.01 * stds[0])
    assert found.levels[0].action == pytest.approx(action, abs=0.01)


def test_a_job_that_cannot_be_read_again_leaves_the_step_unknown(tmp_path):
    job = epidemic.write_job(tmp_path)
    found = hpcda.open_run(runner.run(job, output=tmp_path / "run", quiet=True))
    (tmp_path / "d.csv").unlink()
    assert "d.csv" in found.evidence.step.unknown
    assert found.verdict.stable, "the other tests hold"


def launched(folder, ranks, *words):
    """A run under mpirun."""
    environment = {name: value for name, value in os.environ.items() if name not in cli.RANK_VARIABLES}
    environment |= {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "PRTE_MCA_hwloc_default_binding_policy": "none",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    done = subprocess.run(
        ["mpirun", "-n", str(ranks), sys.executable, "-m", "hpcda", *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun")
def test_auto_is_the_same_on_any_number_of_ranks_and_when_taken_up_again(tmp_path):
    raw = epidemic.write_job(tmp_path, steps_per_sample="auto")
    (tmp_path / "job.toml").write_text(load_job(raw).resolved_toml())
    ends = []
    for ranks in (1, 2):
        told = launched(tmp_path, ranks, "run", "job.toml", "--output", f"on-{ranks}")
        assert told.count("steps_per_sample = 5, chosen by a pilot") == 1
        assert load_job(tmp_path / f"on-{ranks}" / "job.toml").steps == 5
        ends.append(hpcda.open_run(tmp_path / f"on-{ranks}"))
    one, two = ends
    assert one.verdict.stable and two.verdict is one.verdict
    assert (
        one.levels[0].action == two.levels[0].action and one.levels[0].parameters == two.levels[0].parameters
    )
    again = launched(tmp_path, 1, "run", "job.toml", "--output", "on-2", "--resume")
    assert "pilot" not in again and "already complete" in again
    launched(tmp_path, 2, "resume", "on-1")


def test_a_run_that_was_begun_with_a_number_goes_on_with_it(tmp_path):
    job = epidemic.write_job(tmp_path, steps_per_sample=3)
    run = runner.run(job, output=tmp_path / "run", quiet=True)
    more = epidemic.write_job(tmp_path, steps_per_sample="auto")
    more["ensemble"]["starts"] = 24
    runner.resume(run, more, quiet=True)
    assert load_job(run / "job.toml").steps == 3
    other = epidemic.write_job(tmp_path, steps_per_sample=4)
    with pytest.raises(InputError, match="steps_per_sample"):
        runner.resume(run, other, quiet=True)
