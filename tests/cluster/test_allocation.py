"""What a Slurm allocation is to hpcda: a world of as many ranks, and Dask workers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from batch import JOB, Run, command, submit

from hpcda import open_run
from hpcda.analysis.parallel import default_processes
from hpcda.errors import InputError
from hpcda.job.text import to_toml
from hpcda.slurm import Profile

pytestmark = pytest.mark.cluster
SMALL = JOB | {"ensemble": JOB["ensemble"] | {"starts": 8}, "ladder": {"rf0": 1e-2, "alpha": 8.0, "rungs": 9}}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    (folder / "job.toml").write_text(to_toml(SMALL))
    ran = command("run", folder / "job.toml", "--output", folder / "run", "--quiet")
    assert ran.returncode == 0, ran.stderr
    return folder / "run"


def test_srun_that_makes_worlds_of_one_rank_is_refused(slurm, tmp_path):
    """Open MPI that does not know that srun started it makes each task a world of its own."""
    (tmp_path / "job.toml").write_text(to_toml(SMALL))
    hidden = ["env", "-u", "SLURM_NODELIST", "OMPI_MCA_plm=isolated"]
    words = [
        sys.executable,
        "-m",
        "hpcda",
        "run",
        str(tmp_path / "job.toml"),
        "--output",
        str(tmp_path / "run"),
    ]
    ran = subprocess.run(
        ["srun", "-n", "3", "--mpi=none", *hidden, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.count("srun: it started 3 ranks, but MPI sees 1 rank in each process") == 1
    assert "srun --mpi=pmix" in ran.stderr
    assert not (tmp_path / "run").exists()


def test_a_python_within_an_allocation_is_a_world_of_one(slurm, tmp_path):
    """As in salloc, a notebook, or a batch script that launches nothing."""
    code = "from hpcda.mpi import World\nwith World() as world: world.rank or print(world.size)"
    script = tmp_path / "script.sh"
    script.write_text(f"#!/bin/sh\n{sys.executable} -c '{code}'\nmpirun -n 2 {sys.executable} -c '{code}'\n")
    job = slurm.call("sbatch", "--parsable", "-n", "3", f"--output={tmp_path}/log", str(script)).strip()
    assert slurm.wait(job) == ["COMPLETED"], (tmp_path / "log").read_text()
    assert (tmp_path / "log").read_text().split() == ["1", "2"]


def test_what_sbatch_refuses_is_passed_on(slurm, tmp_path):
    with pytest.raises(InputError, match=r"sbatch: refuses: .*[Ii]nvalid partition"):
        submit(tmp_path, profile=Profile(partition="nowhere"))
    assert {path.name for path in tmp_path.iterdir()} == {"job.toml"}


def test_a_refused_analysis_leaves_the_job_in_the_queue(slurm, tmp_path, monkeypatch):
    """As where a policy of the site is against it, which this Slurm has none of."""
    refusing = tmp_path / "bin" / "sbatch"
    refusing.parent.mkdir()
    refusing.write_text(
        '#!/bin/sh\ncase "$*" in *--dependency*) echo "sbatch: error: not here" >&2; exit 1 ;; esac\n'
        f'exec {shutil.which("sbatch")} "$@"\n'
    )
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{refusing.parent}:{os.environ['PATH']}")
    with pytest.raises(InputError, match=r"not here[^$]*job \d+ is queued, but its analysis is not"):
        submit(tmp_path, analyze=True)
    run = Run(tmp_path / "run")
    assert run.known["analysis"] is None
    slurm.call("scancel", run.known["job"])


def test_the_analysis_has_the_processors_of_its_job(slurm, tmp_path):
    python = f"{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    script = tmp_path / "script.sh"
    script.write_text(f"#!/bin/sh\n{python}\nsrun -n 1 -c 2 {python}\n")
    words = ["sbatch", "--parsable", "-n", "1", "-c", "3", f"--output={tmp_path}/log", str(script)]
    job = slurm.call(*words).strip()
    assert slurm.wait(job) == ["COMPLETED"], (tmp_path / "log").read_text()
    environments = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [default_processes(environment) for environment in environments] == [3, 2]


SLURM_CLUSTER = """
import sys
from dask_jobqueue import SLURMCluster
from hpcda.analysis import analyze

if __name__ == "__main__":
    run, logs = sys.argv[1:]
    with SLURMCluster(
        cores=1, processes=1, memory="700MB", interface="lo", python=sys.executable, log_directory=logs,
        scheduler_options={"dashboard_address": None},
    ) as cluster:
        cluster.scale(jobs=2)
        cluster.wait_for_workers(2, timeout=60)
        analyze(run, scheduler=cluster.scheduler_address)
        print(len(cluster.scheduler_info["workers"]), "workers")
"""


def test_workers_of_dask_jobqueue_give_the_same_analysis(slurm, done, tmp_path):
    pytest.importorskip("dask_jobqueue", reason="the tools of a developer bring dask-jobqueue")
    script = tmp_path / "script.py"
    script.write_text(SLURM_CLUSTER)
    run = shutil.copytree(done, tmp_path / "run")
    words = [sys.executable, str(script), str(run), str(tmp_path / "logs")]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=150, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "2 workers" in ran.stdout
    summary = json.loads((run / "analysis" / "summary.json").read_text())
    here = open_run(done).levels
    assert len(here) == len(summary["minima"]) > 0
    for one, other in zip(here, summary["minima"], strict=True):
        assert (one.action, one.count) == (other["action"], other["count"])
