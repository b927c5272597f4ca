"""A run that was killed, damaged or asked for twice: its lock, its shards, what `hpcda status` says of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time

import h5py
import pytest

MPI = pytest.importorskip("mpi4py.MPI")
pytest.importorskip("petsc4py")

from hpcda import runner  # noqa: E402
from hpcda.errors import InputError  # noqa: E402
from hpcda.lock import holder  # noqa: E402
from hpcda.status import status  # noqa: E402
from hpcda.store import RunFile  # noqa: E402
from hpcda.store.shards import marker_of  # noqa: E402
from tests.lives.compare import same_run  # noqa: E402
from tests.lives.jobs import job  # noqa: E402
from tests.lives.kills import SLOW, Life, write_job  # noqa: E402
from tests.mpi.launching import ALONE  # noqa: E402

pytestmark = ALONE
MIDDLE = job(SLOW, ensemble={"starts": 256})
LONG = job(SLOW, ensemble={"starts": 20000})
"""Some seconds of one core, and hours."""


def status_lines(run):
    return status(run, time.time()).splitlines()


def life(tmp_path, ranks, tables=MIDDLE):
    """A life of the run that is at work."""
    file = write_job(tables, tmp_path / "job.toml")
    run = tmp_path / "run"
    one = Life(ranks, "run", file, "--output", run, "--quiet")
    one.at_work(run, ranks)
    return one


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run of the middle job that nobody interrupts."""
    return RunFile(runner.run(MIDDLE, output=tmp_path_factory.mktemp("whole") / "run", quiet=True))


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_killed_run_is_told_dead_and_its_lock_does_not_hold_the_next_life(tmp_path, whole, ranks):
    one, run = life(tmp_path, ranks), tmp_path / "run"
    every = one.ranks()
    assert status_lines(run)[0].startswith("running: ")
    assert holder(run).pid in every
    one.send(signal.SIGKILL, every)
    one.end(every)
    assert holder(run) is None and (run / "lock").exists()
    lines = status_lines(run)
    assert lines[0].startswith("dead: ")
    assert lines[-1].endswith(
        f"has ended: it was killed, or its node was lost; all committed rungs are intact, "
        f"`hpcda resume {run}` continues the run"
    )
    assert runner.resume(run, quiet=True) == run
    assert status_lines(run)[0].startswith("done: 256/256 starts")
    assert not (run / "lock").exists() and not list((run / "shards").glob("*.open"))
    same_run(whole, RunFile(run))


def test_the_second_of_two_runs_in_one_directory_is_refused(tmp_path):
    one, run = life(tmp_path, 1, LONG), tmp_path / "run"
    refusal = f"{run}: another process is writing it: process {one.launcher} on "
    code, said, _ = Life(1, "resume", run, "--quiet").end()
    assert code == 2 and refusal in said and "Traceback" not in said
    with pytest.raises(InputError) as caught:
        runner.run(tmp_path / "job.toml", output=run, resume=True, quiet=True)
    assert refusal in str(caught.value)
    assert len(list((run / "shards").glob("rank-*.h5"))) == 1
    one.send(signal.SIGTERM, one.ranks())
    assert one.end()[0] == 75
    lines = status_lines(run)
    assert lines[0].startswith("stopped: ") and lines[-1] == f"`hpcda resume {run}` continues the run"
    assert not (run / "lock").exists()


def test_two_runs_that_begin_at_once(tmp_path):
    file, run = write_job(job(ensemble={"starts": 8}), tmp_path / "job.toml"), tmp_path / "run"
    both = [Life(1, "run", file, "--output", run, "--quiet") for _ in range(2)]
    ends = [one.end()[:2] for one in both]
    assert sorted(code for code, _ in ends) == [0, 2], ends
    (said,) = [said for code, said in ends if code == 2]
    assert "another process is writing it" in said or "already holds a run" in said
    assert RunFile(run).finished.all() and len(list((run / "shards").glob("rank-*.h5"))) == 1


def test_a_run_that_died_on_another_host_goes_on(tmp_path):
    """Its marker and its lock name a host that cannot be asked, the lock a Slurm job's earlier life."""
    run = runner.run(job(ensemble={"starts": 8}), output=tmp_path / "run", quiet=True)
    (shard,) = (run / "shards").glob("rank-*.h5")
    marker_of(shard).write_text("elsewhere 1 1\n")
    draft = shard.with_name(f".{shard.name}.1")
    draft.write_text("")
    (run / "run.h5").unlink()
    assert runner.resume(run, quiet=True) == run
    assert not marker_of(shard).exists() and not draft.exists() and (run / "run.h5").exists()


def test_ranks_of_a_world_that_lost_its_first_are_waited_for(tmp_path):
    run = runner.run(job(ensemble={"starts": 2}), output=tmp_path / "run", quiet=True)
    (shard,) = (run / "shards").glob("rank-*.h5")
    marker_of(shard).write_text(f"{socket.gethostname()} {os.getppid()}\n")
    with pytest.raises(InputError, match="1 earlier process of the run still writes it .rank-0000.h5."):
        runner.resume(run, quiet=True)
    assert marker_of(shard).exists() and not (run / "lock").exists()


def cut_off(shard, _):
    os.truncate(shard, shard.stat().st_size // 2)


def empty(shard, _):
    shard.write_bytes(b"")


def wrong_action(shard, _):
    with h5py.File(shard, "r+") as file:
        file["ensemble/action"][1, 2] *= 1.5


def wrong_path(shard, _):
    with h5py.File(shard, "r+") as file:
        file["paths/states"][3, 5, 1] += 1e-9


def another_run(shard, folder):
    other = runner.run(job(ensemble={"starts": 12, "seed": 4}), output=folder / "other", quiet=True)
    shutil.copy(other / "shards" / "rank-0000.h5", shard)


@pytest.fixture(scope="module")
def two_shards(tmp_path_factory):
    """A run of two ranks that has ended."""
    folder = tmp_path_factory.mktemp("two")
    file = write_job(job(ensemble={"starts": 12}), folder / "job.toml")
    code, said, _ = Life(2, "run", file, "--output", folder / "run", "--quiet").end()
    assert code == 0, said
    return folder / "run"


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (cut_off, "damaged"),
        (empty, "damaged"),
        (wrong_action, "damaged"),
        (wrong_path, "damaged"),
        (another_run, "foreign"),
    ],
)
def test_a_bad_shard_is_set_aside_and_its_starts_run_again(tmp_path, capfd, two_shards, damage, name):
    run = shutil.copytree(two_shards, tmp_path / "run")
    whole = RunFile(two_shards)
    bad, good = (run / "shards" / f"rank-000{rank}.h5" for rank in (0, 1))
    with h5py.File(good) as file:
        kept = file["ensemble/start"][:]
        kept = kept[kept >= 0]
    damage(bad, tmp_path)
    runner.resume(run, quiet=True)
    said = capfd.readouterr().err
    assert said.count(f"hpcda: {bad} is renamed rank-0000.h5.{name}, its starts are repeated: ") == 1
    assert (run / "shards" / f"rank-0000.h5.{name}").exists()
    found = RunFile(run)
    same_run(whole, found)
    same = found.table("seconds")[:, -1] == whole.table("seconds")[:, -1]
    assert found.start[same].tolist() == sorted(kept.tolist())


def test_a_run_whose_only_shards_are_of_another_is_refused_as_it_is(tmp_path):
    run = runner.run(job(ensemble={"starts": 2}), output=tmp_path / "run", quiet=True)
    other = runner.run(job(ensemble={"starts": 2, "seed": 4}), output=tmp_path / "other", quiet=True)
    (shard,) = (run / "shards").glob("rank-*.h5")
    shutil.copy(other / "shards" / shard.name, shard)
    with pytest.raises(InputError, match="was written with other data"):
        runner.resume(run, quiet=True)
    assert shard.exists()


def test_a_bad_shard_of_a_run_that_grows(tmp_path, two_shards, capfd):
    """Damaged where it was, and again among those of the shorter ladder."""
    run = shutil.copytree(two_shards, tmp_path / "run")
    longer = job(ensemble={"starts": 12}, ladder={"rungs": 8})
    cut_off(run / "shards" / "rank-0000.h5", None)
    runner.resume(run, job=longer, quiet=True)
    assert "rank-0000.h5 is renamed" in capfd.readouterr().err
    (put_by,) = (run / "shards" / "ladder-7").glob("rank-*.h5")
    empty(put_by, None)
    (shard,) = (run / "shards").glob("rank-*.h5")
    wrong_action(shard, None)
    runner.resume(run, quiet=True)
    said = capfd.readouterr().err
    assert f"{put_by} is renamed" in said and f"{shard} is renamed" in said
    same_run(RunFile(runner.run(longer, output=tmp_path / "whole", quiet=True)), RunFile(run))


def test_a_bad_shard_of_a_part_is_its_own_matter(tmp_path, capfd):
    tables, run = job(ensemble={"starts": 8}), tmp_path / "run"
    for part in ("1/2", "2/2"):
        runner.run(tables, output=run, quiet=True, part=part)
    shards = {part: run / "shards" / f"rank-p{part}of2-0000.h5" for part in (1, 2)}
    for shard in shards.values():
        cut_off(shard, None)
    runner.resume(run, quiet=True, part="2/2")
    said = capfd.readouterr().err
    assert f"{shards[2]} is renamed" in said and f"{shards[1]} is renamed" not in said
    assert shards[1].exists()
    for part in (1, 2):
        assert sum(line.startswith(f"part {part} of 2 done: 4/4 starts, ") for line in status_lines(run)) == 1
    assert "run.h5 is not written yet: " in said and "rank-p1of2-0000.h5" in said
    runner.resume(run, quiet=True, part="1/2")
    same_run(RunFile(runner.run(tables, output=tmp_path / "whole", quiet=True)), RunFile(run))
