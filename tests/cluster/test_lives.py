"""Runs in the queue of a real Slurm: one job, an array, several lives; each ends as the run that nothing interrupted."""

from __future__ import annotations

import json
import re
import time

import pytest
from batch import JOB, Run, hpcda, submit
from lives.compare import same_run
from private_slurm import REQUEUED_AFTER

from hpcda.job.text import to_toml
from hpcda.store import RunFile

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The run that nothing interrupts, on one rank, without Slurm."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "job.toml").write_text(to_toml(JOB))
    done = hpcda("run", folder / "job.toml", "--output", folder / "run", "--quiet")
    assert done.returncode == 0, done.stderr
    return Run(folder / "run")


def equal(run, plain):
    same_run(RunFile(run.directory), RunFile(plain.directory))


def test_a_job_and_its_analysis(slurm, plain, tmp_path):
    folder = tmp_path / "a 'quoted' \"run\" 100% @ $HOME"
    folder.mkdir()
    run = submit(folder, "--ranks", 2, "--analyze", "--time", 10)
    known = run.known
    assert known["script"] == str(run.directory / "slurm" / "job.sh")
    assert (known["ranks"], known["array"], known["requeue"]) == (2, None, False)
    assert slurm.job(known["job"])["TimeLimit"] == "00:10:00"
    again = hpcda("submit", folder / "job.toml", "--output", run.directory)
    assert again.returncode == 2
    assert f"job {known['job']} of this run is in the queue" in again.stderr
    assert slurm.wait(known["job"]) == ["COMPLETED"], run.log
    assert slurm.wait(known["analysis"]) == ["COMPLETED"], run.log
    equal(run, plain)
    summary = json.loads((run.directory / "analysis" / "summary.json").read_text())
    assert summary["starts"] == JOB["ensemble"]["starts"]


def test_an_array_makes_one_run(slurm, plain, tmp_path):
    run = submit(tmp_path, "--array", 4, profile={"launcher": "srun --mpi=pmix", "mem_per_cpu": "800M"})
    assert run.known["array"] == 4
    assert slurm.wait(run.known["job"], patience=120.0) == ["COMPLETED"] * 4, run.log
    assert len([*(run.directory / "shards").glob("*.h5")]) == 4
    equal(run, plain)


@pytest.mark.parametrize("launcher", ["mpirun", "srun --mpi=pmix"])
def test_a_job_requeues_itself_until_it_is_done(slurm, plain, tmp_path, launcher):
    run = submit(tmp_path, "--ranks", 2, "--requeue", "--analyze", profile={"launcher": launcher})
    job, analysis = run.known["job"], run.known["analysis"]
    for life in (1, 2):
        run.grown(life / 3 * plain.size)
        slurm.call("scancel", "--batch", "--signal=USR1", job)  # as Slurm does before the time limit
        slurm.wait(job, ["PENDING", "COMPLETED"])
        assert slurm.job(job)["Restarts"] == str(life), run.log
        assert slurm.states(analysis) == ["PENDING"]
    assert slurm.wait(job) == ["COMPLETED"], run.log
    assert slurm.wait(analysis) == ["COMPLETED"], run.log
    assert run.log.count("back to the queue") == 2
    equal(run, plain)


def test_lives_are_counted(slurm, tmp_path):
    run = submit(tmp_path, "--requeue", profile={"lives": 1})
    run.grown(1)
    slurm.call("scancel", "--batch", "--signal=USR1", run.known["job"])
    assert slurm.wait(run.known["job"]) == ["FAILED"]
    assert slurm.job(run.known["job"])["ExitCode"] == "75:0"
    assert "not done after 1 lives" in run.log


def test_a_cancelled_job_goes_on_when_it_is_submitted_again(slurm, plain, tmp_path):
    run = submit(tmp_path, "--ranks", 2)
    run.grown(0.4 * plain.size)
    slurm.call("scancel", run.known["job"])
    assert slurm.wait(run.known["job"]) == ["CANCELLED"]
    before = run.size
    first, run = run.known["job"], submit(tmp_path, "--ranks", 3)
    assert run.known["job"] != first
    assert slurm.wait(run.known["job"]) == ["COMPLETED"], run.log
    assert run.size > before
    equal(run, plain)


def test_a_job_killed_by_its_memory_limit_goes_on_with_more(slurm, plain, tmp_path):
    """Another process of the job takes the memory that the ranks need."""
    marker = tmp_path / "go"
    hog = (
        f"(while [[ ! -e {marker} ]]; do sleep 0.1; done; "
        'exec python -c "import time; held = bytearray(900_000_000); time.sleep(60)") &'
    )
    run = submit(tmp_path, "--ranks", 2, profile={"mem": "900M", "setup": [hog]})
    run.grown(0.3 * plain.size)
    marker.touch()
    (state,) = slurm.wait(run.known["job"])
    assert state in ("OUT_OF_MEMORY", "CANCELLED", "FAILED"), state
    assert "memory" in run.log.lower()
    assert not (run.directory / "run.h5").exists()
    run = submit(tmp_path, "--ranks", 2, profile={"mem": "2G"})
    assert slurm.wait(run.known["job"]) == ["COMPLETED"], run.log
    equal(run, plain)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_time_limit_of_slurm_is_survived(slurm, tmp_path):
    """One minute a life, as Slurm counts it; nobody but Slurm and the clock tells the run to stop."""
    tables = JOB | {"ensemble": JOB["ensemble"] | {"starts": 2400}}
    (tmp_path / "whole.toml").write_text(to_toml(tables))
    began = time.monotonic()
    run = submit(tmp_path, "--requeue", "--time", 1, tables=tables)
    assert slurm.wait(run.known["job"], patience=1000.0) == ["COMPLETED"], run.log
    lives = int(slurm.job(run.known["job"])["Restarts"]) + 1
    print(f"{lives} lives, {time.monotonic() - began:.0f} s, {REQUEUED_AFTER} s between two")
    assert lives >= 3
    assert not re.search("TIMEOUT|DUE TO TIME LIMIT", run.log)
    done = hpcda("run", tmp_path / "whole.toml", "--output", tmp_path / "whole", "--quiet")
    assert done.returncode == 0, done.stderr
    equal(run, Run(tmp_path / "whole"))
