"""Lives of a run in processes of their own, launched in a world of one: signals to any rank, and SIGKILL."""

from __future__ import annotations

import shutil
import signal
import time

import pytest

MPI = pytest.importorskip("mpi4py.MPI")

from hpcda import runner  # noqa: E402
from hpcda.store import RunFile  # noqa: E402
from tests.chance import events  # noqa: E402
from tests.lives.compare import same_run  # noqa: E402
from tests.lives.jobs import job  # noqa: E402
from tests.lives.kills import SLOW, Count, Life, check, write_job  # noqa: E402

pytestmark = [
    pytest.mark.mpi(min_size=1),
    pytest.mark.worlds(most=1),  # launches ranks itself
    pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH"),
]
LONG = job(SLOW, ensemble={"starts": 20000})


def begun(tmp_path, ranks, *words):
    """A life of a long run that is at work."""
    file = write_job(LONG, tmp_path / "job.toml")
    life = Life(ranks, "run", file, "--output", tmp_path / "run", *words)
    life.at_work(tmp_path / "run")
    return life


@pytest.mark.parametrize(
    ("ranks", "number", "to"),
    [(1, signal.SIGINT, 0), (1, signal.SIGTERM, 0), (3, signal.SIGUSR1, 2), (2, signal.SIGUSR1, "mpirun")],
)
def test_a_signal_to_any_rank_ends_all_with_exit_code_75(tmp_path, ranks, number, to):
    life = begun(tmp_path, ranks)
    every = life.ranks()
    life.send(number, [life.launcher if to == "mpirun" else every[to]])
    code, said, _ = life.end(every)
    assert code == 75, said
    assert said.count(f"stopped by {number.name} after ") == 1
    assert f"resume with: hpcda resume {tmp_path / 'run'}" in said
    for word in ("Traceback", "PETSC ERROR", "SEGV"):
        assert word not in said
    assert len(RunFile(tmp_path / "run").start) > 0
    assert not list((tmp_path / "run" / "shards").glob("*.open"))


def test_ctrl_c_under_mpirun_leaves_a_run_that_goes_on(tmp_path):
    """Open MPI's mpirun passes SIGTERM on, ends the ranks soon after, and returns a code of its own."""
    life = begun(tmp_path, 2)
    every = life.ranks()
    life.send(signal.SIGINT, [life.launcher])
    code, _, _ = life.end(every)
    assert code != 0
    assert len(RunFile(tmp_path / "run").start) > 0


def test_a_second_sigint_ends_at_once(tmp_path):
    life = begun(tmp_path, 1, "--quiet")
    life.send(signal.SIGSTOP, life.ranks())
    life.send(signal.SIGINT, life.ranks())
    life.send(signal.SIGCONT, life.ranks())
    life.send(signal.SIGINT, life.ranks())
    for _ in range(200):  # the two may come as one
        time.sleep(0.005)
        life.send(signal.SIGINT, life.ranks())
    code, said, _ = life.end()
    assert code in (-signal.SIGINT, 75)
    assert "Traceback" not in said


def test_a_time_limit_of_the_command_line_and_another_number_of_ranks(tmp_path):
    tables = job(SLOW, ensemble={"starts": 1000})
    file, run = write_job(tables, tmp_path / "job.toml"), tmp_path / "run"
    code, said, _ = Life(1, "run", file, "--output", run, "--time-limit", "0:00:01", "--quiet").end()
    assert code == 75 and "stopped by the time limit" in said
    code, said, _ = Life(2, "resume", run).end()
    assert code == 0, said
    same_run(RunFile(runner.run(tables, output=tmp_path / "whole", quiet=True)), RunFile(run))


@pytest.mark.parametrize("case", ["plain", "search"])
def test_runs_killed_at_random_moments_are_the_whole_run(tmp_path, case):
    """`tests/benchmarks/kills.py` does the same a hundred times."""
    count = Count()
    check(case, tmp_path, 2, events(case), count, most_kills=2)
    assert count.kills >= 1
    assert (count.unreadable, count.lost, count.again, count.different) == (0, 0, 0, 0)
