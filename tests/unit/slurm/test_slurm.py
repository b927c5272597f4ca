"""Batch jobs, as far as they go without Slurm: profiles, scripts, what is refused before it is submitted."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpcda import cli
from hpcda.errors import InputError
from hpcda.job.text import to_toml
from hpcda.slurm import (
    Batch,
    Profile,
    analysis_script,
    job_script,
    load_profile,
    refuse_other_parts,
    submit,
)

ROOT = Path(__file__).parents[3]
JOB = ROOT / "jobs" / "lorenz96" / "short.toml"
SHELLCHECK = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
EVERYTHING = {
    "partition": "compute",
    "account": "physics",
    "qos": "normal",
    "nodes": 2,
    "ntasks": 6,
    "ntasks_per_node": 3,
    "mem": "64G",
    "mem_per_cpu": "2G",
    "time": "1-12:30:00",
    "options": ["--exclusive", "-C skylake"],
    "modules": ["gcc/12", "openmpi"],
    "setup": ["source /etc/site.sh", "ulimit -s unlimited"],
    "environment": {"UCX_TLS": "self, 'sm'", "OMP_NUM_THREADS": "2"},
    "launcher": "srun --mpi=pmix --cpu-bind=cores",
    "signal_seconds": 90,
    "lives": 7,
    "analysis": {"cpus": 4, "mem": "8G", "time": "30"},
}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in cli.RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def written(folder, tables):
    path = folder / "site.toml"
    path.write_text(to_toml(tables))
    return path


def batch(folder, **changes):
    values = {"job": JOB, "run": folder / "run", "profile": Profile(), "ranks": 2}
    return Batch(**values | changes)


def directives(script):
    return re.findall(r"^#SBATCH (.*)$", script, re.MULTILINE)


def test_every_key_reaches_the_script(tmp_path):
    profile = load_profile(written(tmp_path, EVERYTHING))
    script = job_script(batch(tmp_path, profile=profile, ranks=profile.ranks))
    for line in (
        "--partition=compute", "--account=physics", "--qos=normal", "--nodes=2", "--ntasks=6",
        "--ntasks-per-node=3", "--mem=64G", "--mem-per-cpu=2G", "--time=1-12:30:00", "--exclusive",
        "-C skylake",
        "--signal=B:USR1@90", "--no-requeue", f"--output={tmp_path}/run/slurm/%j.log", "--open-mode=append",
    ):  # fmt: skip
        assert line in directives(script)
    order = ["module load gcc/12", "module load openmpi", "source /etc/site.sh", "ulimit -s unlimited"]
    order += ["export OMP_NUM_THREADS=2", "export OPENBLAS_NUM_THREADS=1", "export UCX_TLS="]
    order += ['srun --mpi=pmix --cpu-bind=cores -n "$SLURM_NTASKS"', f"run {JOB}"]
    places = [script.index(part) for part in order]
    assert places == sorted(places)
    analysis = analysis_script(batch(tmp_path, profile=profile))
    for line in ("--cpus-per-task=4", "--mem=8G", "--time=30", "--partition=compute", "--account=physics"):
        assert line in directives(analysis)
    assert "--nodes=2" not in directives(analysis)


def test_the_example_is_a_profile_whose_every_key_exists(tmp_path):
    text = (ROOT / "slurm" / "example.toml").read_text()
    load_profile(ROOT / "slurm" / "example.toml")
    named = set(re.findall(r"^#? ?(\w+) =", text, re.MULTILINE)) | {"analysis", "mem_per_cpu"}
    assert {*Profile.model_fields} <= named
    bare = re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE)
    (tmp_path / "all.toml").write_text(bare)
    load_profile(tmp_path / "all.toml")


@pytest.mark.parametrize("requeue", [False, True])
@pytest.mark.parametrize("array", [None, 4])
@pytest.mark.parametrize("tables", [{}, EVERYTHING])
def test_scripts_are_sound(tmp_path, tables, array, requeue):
    folder = tmp_path / "a 'quoted' \"run\" $HOME @{x} 100%"
    folder.mkdir()
    one = batch(folder, profile=load_profile(written(tmp_path, tables)), array=array, requeue=requeue)
    for name, text in (("job", job_script(one)), ("analysis", analysis_script(one))):
        path = tmp_path / f"{name}.sh"
        path.write_text(text)
        subprocess.run(["bash", "-n", path], check=True)
        if SHELLCHECK:  # the run's name holds a $ that is meant
            command = [SHELLCHECK, "-e", "SC1091,SC2016", path]
            found = subprocess.run(command, capture_output=True, text=True, check=False)
            assert not found.returncode, found.stdout
        first = next(n for n, line in enumerate(text.splitlines()) if line and not line.startswith("#"))
        assert all("#SBATCH" not in line for line in text.splitlines()[first:])
    assert ("scontrol requeue" in job_script(one)) == requeue
    assert ("--array=1-4" in directives(job_script(one))) == (array == 4)
    assert ('--part "$SLURM_ARRAY_TASK_ID/4"' in job_script(one)) == (array == 4)


@pytest.mark.parametrize(
    ("tables", "place", "remedy"),
    [
        ({"partitoin": "x"}, "partitoin", "did you mean 'partition'?"),
        ({"analysis": {"cpu": 2}}, "analysis.cpu", "did you mean 'cpus'?"),
        ({"ntasks": 0}, "ntasks", "how many ranks"),
        ({"ntasks": "many"}, "ntasks", "how many ranks"),
        ({"time": "1 hour"}, "time", "h:mm:ss"),
        ({"mem": "lots"}, "mem", "4G"),
        ({"partition": "a b"}, "partition", "without spaces"),
        ({"modules": "gcc"}, "modules", "modules to load"),
        ({"setup": ["a\nb"]}, "setup[0]", "its own string"),
        ({"options": ["exclusive"]}, "options[0]", "--exclusive"),
        ({"options": ["--array=3"]}, "options[0]", "--array"),
        ({"launcher": "aprun"}, "launcher", "srun --mpi=pmix"),
        ({"launcher": "mpirun -np 4"}, "launcher", "leave it out"),
        ({"environment": {"a b": "c"}}, "environment", "letters"),
    ],
)
def test_mistakes_of_a_profile(tmp_path, tables, place, remedy):
    path = written(tmp_path, tables)
    with pytest.raises(InputError) as caught:
        load_profile(path)
    (mistake,) = caught.value.mistakes
    assert mistake.place == f"{path}: {place}"
    assert remedy in mistake.remedy


def test_a_profile_that_is_not_there(tmp_path):
    written(tmp_path, {})
    with pytest.raises(InputError, match=r"no such file\n.*site\.toml"):
        load_profile(tmp_path / "sight.toml")


def test_the_time_limit_is_given_to_sbatch_in_its_own_form(tmp_path):
    for given, expected in [("90", "90"), ("90 min", "0-01:30:00"), ("1-12", "1-12"), ("36h", "1-12:00:00")]:
        assert f"--time={expected}" in directives(job_script(batch(tmp_path, time=given)))


@pytest.mark.parametrize(("time", "signal"), [(None, 60), ("1", 15), ("2", 30), ("1:00:00", 60), ("0:01", 1)])
def test_the_signal_leaves_most_of_a_short_limit(tmp_path, time, signal):
    assert f"--signal=B:USR1@{signal}" in directives(job_script(batch(tmp_path, time=time)))


def test_the_scripts_pass_signals_on_and_give_back_the_exit_code(tmp_path):
    """The body of the script with a launcher that tells what it was told, without Slurm."""
    launcher = tmp_path / "mpirun"
    launcher.write_text(
        "#!/usr/bin/env bash\ntrap 'echo told; exit 75' USR1\necho ready $2\nwhile :; do sleep 0.05; done\n"
    )
    launcher.chmod(0o755)
    one = batch(tmp_path, profile=Profile(launcher=str(launcher)))
    (tmp_path / "job.sh").write_text(job_script(one))
    environment = os.environ | {"SLURM_NTASKS": "2"}
    with subprocess.Popen(
        ["bash", tmp_path / "job.sh"], env=environment, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready 2\n"
        process.send_signal(signal.SIGTERM)  # Slurm tells the ranks itself: the script waits for them
        time.sleep(0.5)
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.read() == "told\nnot done: submit it again to go on\n"
    assert process.returncode == 75


def test_a_dry_run_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--dry-run", "--output", "run", "--requeue", "--analyze", "--ranks", "3"]
    assert cli.main(["submit", str(JOB), *options]) == 0
    script = capsys.readouterr().out
    assert "--ntasks=3" in directives(script)
    assert "scontrol requeue" in script
    assert "-m hpcda analyze" in script
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--array", "9"], ["--array: 9 jobs for 8 starts"]),
        (["--array", "0"], ["--array", "whole number from 1"]),
        (["--time", "soon"], ["--time", "h:mm:ss"]),
        (["--profile", "none.toml"], ["none.toml: there is no such file"]),
    ],
)
def test_what_is_refused_before_it_is_submitted(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["submit", str(JOB), "--output", "run", *arguments]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("shard", "array", "told"),
    [
        (
            "rank-p2of8-0000.h5",
            4,
            "started in 8 parts and cannot be resumed in 4 parts\n    give --array 8, ",
        ),
        (
            "rank-p2of8-0000.h5",
            None,
            "started in 8 parts and cannot be resumed in 1 part\n    give --array 8, ",
        ),
        ("rank-0000.h5", 2, "started in 1 part and cannot be resumed in 2 parts\n    leave out --array, "),
        ("rank-p2of8-0003-2.h5", 8, ""),
        ("rank-0001.h5", 1, ""),
        ("rank-0001.h5", None, ""),
    ],
)
def test_another_number_of_parts_is_refused(tmp_path, capsys, monkeypatch, shard, array, told):
    (tmp_path / "run" / "shards").mkdir(parents=True)
    (tmp_path / "run" / "shards" / shard).write_text("")
    if not told:
        refuse_other_parts(batch(tmp_path, array=array))
        return
    monkeypatch.chdir(tmp_path)
    words = [] if array is None else ["--array", str(array)]
    assert cli.main(["submit", str(JOB), "--output", "run", "--dry-run", *words]) == 2
    assert f"--array: run was {told}or start a new run with --output DIR" in capsys.readouterr().err


def test_a_mistake_of_the_job_is_found_before(tmp_path, capsys):
    job = tmp_path / "job.toml"
    job.write_text(JOB.read_text().replace("alpha = 4.0", "alpha = 0.5"))
    assert cli.main(["submit", str(job)]) == 2
    assert "ladder.alpha" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == [job]


def test_without_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(InputError, match=r"sbatch: is not on PATH\n.*login node"):
        submit(batch(tmp_path))
    assert not [*tmp_path.iterdir()]


def test_a_directory_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "sbatch").symlink_to(shutil.which("false"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="cannot be written"):
        submit(batch(tmp_path, run=tmp_path / "sbatch" / "run"))
