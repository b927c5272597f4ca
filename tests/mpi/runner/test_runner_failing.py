"""When one rank fails, all end within seconds and say why once; launches mpirun, so in a world of one."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from hpcda.status import status
from hpcda.store import RunFile
from hpcda.store.inspection import inspect
from tests.lives.jobs import job
from tests.lives.kills import SLOW, Life, write_job
from tests.mpi.launching import ALONE, JOB, MODEL, RANKS, mpirun

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
    done = mpirun(sys.executable, file)
    assert done.returncode != 0
    assert done.stderr.count("RuntimeError: the disk of this rank is full") == 1
    assert done.stderr.count("hpcda: rank 1 failed, stopping all ranks.") == 1


def test_a_rank_that_fails_while_others_wait_for_starts_ends_all(tmp_path):
    file = script(
        tmp_path,
        "from hpcda.mpi import Queue, World\n"
        "with World() as world:\n"
        "    queue = Queue(world.comm, world.group, 6)\n"
        "    if world.rank == 2:\n"
        "        assert queue.take() is not None\n"
        "    world.comm.Barrier()  # the others do not take the start that fails\n"
        "    if world.rank == 2:\n"
        "        raise ValueError('no such start')\n"
        "    while queue.take() is not None:\n"
        "        pass\n"
        "    while queue.counts().done < 6:\n"
        "        pass\n",
    )
    done = mpirun(sys.executable, file)
    assert done.returncode != 0
    assert done.stderr.count("ValueError: no such start") <= 1


@pytest.mark.parametrize("what", ["raise RuntimeError('only here')", "raise FileNotFoundError('only here')"])
def test_a_model_file_that_fails_on_one_rank_alone_ends_all(tmp_path, what):
    (tmp_path / "model.py").write_text(MODEL.format(what=what))
    (tmp_path / "job.toml").write_text(JOB.format(model="model.py:build"))
    done = mpirun(sys.executable, "-m", "hpcda", "run", tmp_path / "job.toml", cwd=tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("only here") == 1


@pytest.mark.parametrize("rank", [0, 2])
def test_a_rank_that_is_killed_ends_all_and_the_run_is_told_dead(tmp_path, rank):
    """As where memory runs out: the launcher ends the others and says which rank it was."""
    run = tmp_path / "run"
    file = write_job(job(SLOW, ensemble={"starts": 20000}), tmp_path / "job.toml")
    life = Life(RANKS, "run", file, "--output", run, "--quiet")
    life.at_work(run, RANKS)
    every = life.ranks()
    _, pid, *_ = (run / "shards" / f"rank-{rank:04d}.open").read_text().split()
    assert int(pid) in every
    assert status(run, time.time()).startswith("running")
    life.send(signal.SIGKILL, [int(pid)])
    code, told, _ = life.end(every)
    assert code not in (0, 2, 75)
    assert "signal 9" in told and "Traceback" not in told
    assert status(run, time.time()).startswith("dead")
    assert len(RunFile(run).start) > 0  # a shard that was growing is mended by whoever reads it
    assert [inspect(shard).kind for shard in sorted((run / "shards").glob("rank-*.h5"))] == ["ok"] * RANKS
