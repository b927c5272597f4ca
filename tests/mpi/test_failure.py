"""When one rank fails, all end within seconds and say why once; launches mpirun, so in a world of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launching import ALONE, JOB, MODEL, PATIENCE, RANKS, environment, mpirun

from hpcda.status import status
from hpcda.store import RunFile
from hpcda.store.integrity import inspect

pytestmark = ALONE


def script(folder: Path, text: str) -> Path:
    file = folder / "script.py"
    file.write_text(text)
    return file


def test_an_exception_on_one_of_three_ranks_ends_all_with_one_message(tmp_path):
    file = script(
        tmp_path,
        "from hpcda.mpi import World\n"
        "with World() as world:\n"
        "    if world.rank == 1:\n"
        "        raise RuntimeError('the disk of this rank is full')\n"
        "    world.comm.Barrier()\n",
    )
    done, seconds = mpirun(sys.executable, file)
    assert done.returncode != 0
    assert seconds < PATIENCE
    assert done.stderr.count("RuntimeError: the disk of this rank is full") == 1
    assert done.stderr.count("hpcda: rank 1 failed, all ranks end.") == 1


def test_a_rank_that_fails_while_others_wait_for_starts_ends_all(tmp_path):
    file = script(
        tmp_path,
        "from hpcda.mpi import Queue, World\n"
        "with World() as world:\n"
        "    queue = Queue(world.comm, world.group, 6)\n"
        "    while queue.take() is not None:\n"
        "        if world.rank == 2:\n"
        "            raise ValueError('no such start')\n"
        "    while queue.counts().done < 6:\n"
        "        pass\n",
    )
    done, seconds = mpirun(sys.executable, file)
    assert done.returncode != 0 and seconds < PATIENCE
    assert done.stderr.count("ValueError: no such start") <= 1


def test_a_run_on_three_ranks_from_the_command_line(tmp_path):
    (tmp_path / "job.toml").write_text(JOB.format(model="lorenz63").replace("60", "5"))
    done, _ = mpirun(sys.executable, "-m", "hpcda", "run", tmp_path / "job.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "run.h5").exists()


def test_a_mistake_that_all_ranks_find_is_told_once_with_exit_code_2(tmp_path):
    (tmp_path / "job.toml").write_text(JOB.format(model="lorenz64"))
    done, seconds = mpirun(sys.executable, "-m", "hpcda", "run", tmp_path / "job.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("there is no model 'lorenz64'") == 1
    assert seconds < PATIENCE


@pytest.mark.parametrize("what", ["raise RuntimeError('only here')", "raise FileNotFoundError('only here')"])
def test_a_model_file_that_fails_on_one_rank_alone_ends_all(tmp_path, what):
    (tmp_path / "model.py").write_text(MODEL.format(what=what))
    (tmp_path / "job.toml").write_text(JOB.format(model="model.py:build"))
    done, seconds = mpirun(sys.executable, "-m", "hpcda", "run", tmp_path / "job.toml", cwd=tmp_path)
    assert done.returncode != 0
    assert seconds < PATIENCE
    assert done.stderr.count("only here") == 1


def children(pid):
    """Processes that a process has started, and those that they have."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *children(int(child))]
    return found


@pytest.mark.parametrize("rank", [0, 2])
def test_a_rank_that_is_killed_ends_all_and_the_run_is_told_dead(tmp_path, rank):
    """As where memory runs out: the launcher ends the others and says which rank it was."""
    job = JOB.format(model="lorenz63")
    job = job.replace("starts = 60", 'starts = 20000\nway = "uniform"\nmerge = false')
    (tmp_path / "job.toml").write_text(job.replace("samples = 31", "samples = 201"))
    words = ["run", tmp_path / "job.toml", "--quiet", "--output", tmp_path / "run"]
    command = ["mpirun", "-n", str(RANKS), sys.executable, "-m", "hpcda", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), text=True, errors="replace", **pipes) as process:
        shards = tmp_path / "run" / "shards"
        until = time.monotonic() + 60
        while len(list(shards.glob("*.open"))) < RANKS and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.5)
        _, pid, *_ = (shards / f"rank-{rank:04d}.open").read_text().split()
        assert int(pid) in children(process.pid)
        assert status(tmp_path / "run", time.time()).startswith("running")
        os.kill(int(pid), signal.SIGKILL)
        began = time.monotonic()
        _, told = process.communicate(timeout=60)
        assert time.monotonic() - began < PATIENCE
    assert process.returncode not in (0, 2, 75)
    assert "signal 9" in told and "Traceback" not in told
    until = time.monotonic() + 5  # mpirun may be gone before its ranks are
    while status(tmp_path / "run", time.time()).startswith("running") and time.monotonic() < until:
        time.sleep(0.1)
    assert status(tmp_path / "run", time.time()).startswith("dead")
    assert len(RunFile(tmp_path / "run").start) > 0  # a shard that was growing is mended by whoever reads it
    assert [inspect(shard).kind for shard in sorted(shards.glob("rank-*.h5"))] == ["ok"] * RANKS
