"""Runs in the queue of a real Slurm, several lives of them: each ends as the run that nothing interrupted."""

from __future__ import annotations

import json
import re
import time

import pytest
from batch import JOB, Run, command, submit
from lives.compare import same_run
from private_slurm import REQUEUED_AFTER

from hpcda.job.text import to_toml
from hpcda.slurm import Profile
from hpcda.store import RunFile

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The run that nothing interrupts, on one rank, without Slurm."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "job.toml").write_text(to_toml(JOB))
    return whole(folder)


def whole(folder):
    """The run of a folder's job that nothing interrupts, beside another of the same job."""
    done = command("run", folder / "job.toml", "--output", folder / "whole", "--quiet")
    assert done.returncode == 0, done.stderr
    return Run(folder / "whole")


def equal(run, plain):
    same_run(RunFile(run.directory), RunFile(plain.directory))


def test_a_job_and_its_analysis(slurm, plain, tmp_path):
    folder = tmp_path / "a 'quoted' \"run\" 100% @ $HOME"
    folder.mkdir()
    (folder / "job.toml").write_text(to_toml(JOB))
    words = ["submit", folder / "job.toml", "--output", folder / "run", "--ranks", 2, "--time", 10]
    done = command(*words, "--analyze")
    assert done.returncode == 0, done.stderr
    run = Run(folder / "run")
    known = run.known
    assert f"Submitted batch job {known['job']}: 2 ranks, about" in done.stdout
    assert f"Submitted batch job {known['analysis']}: the analysis" in done.stdout
    assert known["script"] == str(run.directory / "slurm" / "job.sh")
    assert (known["ranks"], known["array"], known["requeue"]) == (2, None, False)
    assert slurm.job(known["job"])["TimeLimit"] == "00:10:00"
    again = command(*words)
    assert again.returncode == 2
    assert f"job {known['job']} of this run is in the queue" in again.stderr
    assert slurm.wait(known["job"]) == ["COMPLETED"], run.log
    assert slurm.wait(known["analysis"]) == ["COMPLETED"], run.log
    equal(run, plain)
    summary = json.loads((run.directory / "analysis" / "summary.json").read_text())
    assert summary["starts"] == JOB["ensemble"]["starts"]


def test_an_array_makes_one_run(slurm, plain, tmp_path):
    run = submit(tmp_path, array=4, profile=Profile(launcher="srun --mpi=pmix", mem_per_cpu="800M"))
    assert run.known["array"] == 4
    assert slurm.wait(run.known["job"]) == ["COMPLETED"] * 4, run.log
    assert len([*(run.directory / "shards").glob("*.h5")]) == 4
    equal(run, plain)


@pytest.mark.parametrize("launcher", ["mpirun", pytest.param("srun --mpi=pmix", marks=pytest.mark.slow)])
def test_a_job_of_several_lives(slurm, plain, tmp_path, launcher):
    """Twice Slurm's signal comes, as before a time limit; the second of two lives is the last of this job."""
    profile = Profile(launcher=launcher, lives=2)
    run = submit(tmp_path, ranks=2, requeue=True, analyze=True, profile=profile)
    job, analysis = run.known["job"], run.known["analysis"]
    run.grown(plain.size / 4)
    slurm.call("scancel", "--batch", "--signal=USR1", job)
    slurm.wait(job, ["PENDING"])
    assert slurm.job(job)["Restarts"] == "1", run.log
    assert slurm.states(analysis) == ["PENDING"]
    assert "life 1 is over: back to the queue" in run.log
    run.at_work()
    slurm.call("scancel", "--batch", "--signal=USR1", job)
    assert slurm.wait(job) == ["FAILED"], run.log
    assert slurm.job(job)["ExitCode"] == "75:0"
    assert "not done after 2 lives" in run.log
    assert slurm.wait(analysis) == ["CANCELLED"]  # it does not wait in vain
    run = submit(tmp_path, profile=Profile())
    assert slurm.wait(run.known["job"]) == ["COMPLETED"], run.log
    equal(run, plain)


def test_a_cancelled_job_goes_on_when_it_is_submitted_again(slurm, plain, tmp_path):
    run = submit(tmp_path, ranks=2)
    run.grown(plain.size / 3)
    slurm.call("scancel", run.known["job"])
    assert slurm.wait(run.known["job"]) == ["CANCELLED"]
    before, first = run.size, run.known["job"]
    run = submit(tmp_path)
    assert run.known["job"] != first
    assert slurm.wait(run.known["job"]) == ["COMPLETED"], run.log
    assert run.size > before
    equal(run, plain)


def test_a_job_killed_by_its_memory_limit_goes_on_with_more(slurm, plain, tmp_path):
    """Another process of the job takes the memory."""
    marker = tmp_path / "go"
    hog = (
        f"(while [[ ! -e {marker} ]]; do sleep 0.1; done; "
        'exec python -c "import time; held = bytearray(900_000_000); time.sleep(60)") &'
    )
    run = submit(tmp_path, profile=Profile(mem="900M", setup=(hog,)))
    run.grown(plain.size / 3)
    marker.touch()
    (state,) = slurm.wait(run.known["job"])
    assert state in ("OUT_OF_MEMORY", "CANCELLED", "FAILED"), state
    assert "memory" in run.log.lower()
    assert not (run.directory / "run.h5").exists()
    run = submit(tmp_path, profile=Profile(mem="2G"))
    assert slurm.wait(run.known["job"]) == ["COMPLETED"], run.log
    equal(run, plain)


@pytest.mark.slow
def test_the_tasks_of_an_array_requeue_themselves(slurm, tmp_path):
    tables = JOB | {"ensemble": JOB["ensemble"] | {"starts": 1600}}
    run = submit(tmp_path, array=2, requeue=True, tables=tables)
    run.at_work(2)  # mpirun does not pass on what it is told while it starts
    slurm.call("scancel", "--batch", "--signal=USR1", run.known["job"])
    slurm.wait(run.known["job"], ["PENDING", "COMPLETED"])
    assert slurm.wait(run.known["job"]) == ["COMPLETED"] * 2, run.log
    assert "back to the queue" in run.log
    equal(run, whole(tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_the_time_limit_of_slurm_is_survived(slurm, tmp_path):
    """Two minutes a life, as Slurm counts it; nobody but Slurm and the clock tells the run to stop."""
    tables = JOB | {"ensemble": JOB["ensemble"] | {"starts": 6000}}
    began = time.monotonic()
    run = submit(tmp_path, requeue=True, time="2", tables=tables)
    assert slurm.wait(run.known["job"], patience=2000.0) == ["COMPLETED"], run.log
    lives = int(slurm.job(run.known["job"])["Restarts"]) + 1
    print(f"{lives} lives, {time.monotonic() - began:.0f} s, {REQUEUED_AFTER} s between two")
    assert lives >= 2
    assert not re.search("TIMEOUT|DUE TO TIME LIMIT", run.log)
    equal(run, whole(tmp_path))
