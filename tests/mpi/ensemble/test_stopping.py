"""A run that is stopped and taken up again is the run that never was, on this world of ranks."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

import numpy as np
import pytest

from hpcda.errors import InputError, StoppedError

MPI = pytest.importorskip("mpi4py.MPI")
pytest.importorskip("petsc4py")

import hpcda.annealing.lockstep_team as lockstep  # noqa: E402
from hpcda import runner  # noqa: E402
from hpcda.annealing import Reason  # noqa: E402
from hpcda.ensemble import stopping  # noqa: E402
from hpcda.search import Share  # noqa: E402
from hpcda.store import RunFile, Shard  # noqa: E402
from tests.chance import events, number  # noqa: E402
from tests.lives.compare import same_ends, same_run  # noqa: E402
from tests.lives.jobs import WRONG, job  # noqa: E402

pytestmark = [pytest.mark.mpi(min_size=1), pytest.mark.usefixtures("quickly")]
COMM = MPI.COMM_WORLD


class Fuse:
    """Sends a rank a signal at the n-th commit of this one."""

    def __init__(self, monkeypatch):
        self.left, inner = sys.maxsize, Shard._commit
        self.ranks, self.to = COMM.allgather(os.getpid()), COMM.rank

        def commit(shard, rows):
            self.left -= bool(rows)
            if self.left == 0:
                os.kill(self.ranks[self.to], signal.SIGTERM)
            inner(shard, rows)

        monkeypatch.setattr(Shard, "_commit", commit)
        monkeypatch.setattr(lockstep, "SLICE_SECONDS", 1e-3)
        monkeypatch.setattr(lockstep, "LOOK_SECONDS", 1e-4)
        monkeypatch.setattr(stopping, "ASK_SECONDS", 0.0)


@pytest.fixture
def fuse(monkeypatch):
    return Fuse(monkeypatch)


def live(tables, folder, **keywords):
    return runner.run(tables, output=folder, quiet=True, **keywords)


def in_pieces(fuse, tables, folder, seed, **keywords):
    """Run with stops by a random rank after few commits; returns the number of lives."""
    for lives in range(1, 5):
        rng = events(f"{seed} {lives}")
        writes = 0 if tables["ensemble"].get("ranks_per_start", 1) > 1 else rng.randrange(COMM.size)
        after, fuse.to = rng.randint(1, 4), rng.randrange(COMM.size)
        fuse.left = after if lives < 3 and COMM.rank == writes else sys.maxsize
        try:
            live(tables, folder, resume=True, **keywords)
        except StoppedError as stopped:
            assert str(stopped).startswith("stopped by SIGTERM after ")
            assert f"resume with: hpcda resume {folder}" in str(stopped)
            COMM.Barrier()
            continue
        finally:
            fuse.left = sys.maxsize
        return lives
    return 0


CASES = {
    "plain": (job(ladder={"first_rungs": [0, 2]}, output={"keep_paths": "all"}), same_run),
    "best": (job(output={"keep_paths": "best:3"}), same_run),
    "merged": (job(ensemble={"merge": True}), same_ends),
    "search": (job(WRONG, output={"keep_paths": "best:2"}), same_ends),
    "unmerged search": (job(WRONG, ensemble={"merge": False, "starts": 32}), same_run),
    "verdict": (job(ensemble={"way": "auto", "starts": 32, "merge": True}), same_ends),
    "newton": (job(ensemble={"starts": 6}, solver={"minimizer": "newton"}), same_run),
    "bncg": (  # a start for every rank: one without would never commit, and never be stopped
        job(ensemble={"starts": max(2, COMM.size)}, solver={"minimizer": "bncg", "max_iterations": 30}),
        same_run,
    ),
}


HERE = [case for place, case in enumerate(CASES) if place % 2 == COMM.size % 2]
"""Half of them in worlds of 1 and 3 ranks, the others in worlds of 2 and 4."""
most_two = pytest.mark.worlds(most=2)


@pytest.mark.parametrize("case", HERE)
def test_a_run_in_pieces_is_the_whole_one(shared_path, fuse, case):
    tables, compare = CASES[case]
    whole = live(tables, shared_path / "whole")
    assert in_pieces(fuse, tables, shared_path / "pieces", case) > 1 or case in ("merged", "verdict")
    if COMM.rank == 0:
        compare(RunFile(whole), RunFile(shared_path / "pieces"))


@pytest.mark.worlds(most=1)
@pytest.mark.parametrize("lost", ["rank-0000.h5", "rank-0000-1.h5"])
def test_what_only_a_lost_shard_held_is_run_again(shared_path, fuse, lost):
    """Starts, those that others were merged into, and minima from which escapes began."""
    tables, compare = CASES["search"]
    whole, run = live(tables, shared_path / "whole"), shared_path / "run"
    for _ in range(2):
        fuse.left = 20
        with pytest.raises(StoppedError):
            live(tables, run, resume=True)
    fuse.left = sys.maxsize
    (run / "shards" / lost).unlink()
    compare(RunFile(whole), RunFile(live(tables, run, resume=True)))


def test_ranks_that_share_a_start_go_on_with_it(shared_path, fuse):
    tables = job(ensemble={"starts": 3, "ranks_per_start": COMM.size})
    whole = live(tables, shared_path / "whole")
    assert in_pieces(fuse, tables, shared_path / "pieces", 0) > 1
    if COMM.rank == 0:
        same_ends(RunFile(whole), RunFile(shared_path / "pieces"), bits=COMM.size == 1)


def test_a_run_that_is_complete_stays_as_it_is(shared_path):
    directory = live(job(ensemble={"starts": 4}), shared_path / "run")
    COMM.Barrier()
    files = {file: file.read_bytes() for file in directory.rglob("*.h5")}
    COMM.Barrier()
    assert runner.resume(directory, quiet=True) == directory
    assert {file: file.read_bytes() for file in directory.rglob("*.h5")} == files
    assert '"it was already complete"' in (directory / "progress.json").read_text()


def test_a_changed_job_is_refused_on_all_ranks_with_what_differs(shared_path):
    small = job(ensemble={"starts": 4})
    directory = live(small, shared_path / "run")
    COMM.Barrier()
    other = job(ensemble={"starts": 3, "seed": 4}, ladder={"alpha": 4.0})
    with pytest.raises(InputError) as caught:
        live(other, directory, resume=True)
    said = {mistake.place: mistake.problem for mistake in caught.value.mistakes}
    assert set(said) == {"ensemble.seed", "ladder.alpha", "ensemble.starts"}
    assert said["ladder.alpha"] == "is 4.0, but was 8.0 when this run began"
    assert said["ensemble.starts"] == "has 3 starts, but this run has 4"
    with pytest.raises(InputError) as caught:
        runner.resume(directory, petsc_options=["-tao_gatol", "1e-3"], quiet=True)
    assert [mistake.place for mistake in caught.value.mistakes] == ["solver.petsc.tao_gatol"]
    assert runner.resume(directory, job=small, quiet=True) == directory


@most_two
def test_petsc_options_of_the_line_are_kept_with_the_run(shared_path, fuse):
    tables = job(ensemble={"starts": 8 * COMM.size})
    options = ["-tao_max_it", "2"]
    whole = runner.run(tables, options, output=shared_path / "whole", quiet=True)
    fuse.left = 1 if COMM.rank == 0 else sys.maxsize
    with pytest.raises(StoppedError):
        runner.run(tables, options, output=shared_path / "run", quiet=True)
    fuse.left = sys.maxsize
    runner.resume(shared_path / "run", quiet=True)
    if COMM.rank == 0:
        same_run(RunFile(whole), RunFile(shared_path / "run"))


@most_two
def test_other_data_are_refused(shared_path):
    tables = job(ensemble={"starts": 2})
    directory = live(tables, shared_path / "run")
    COMM.Barrier()
    if COMM.rank == 0:
        file = directory / "job.toml"
        file.write_text(file.read_text().replace("samples = 41", "samples = 43"))
    COMM.Barrier()
    with pytest.raises(InputError, match="was written with other data"):
        runner.resume(directory, quiet=True)


@most_two
@pytest.mark.parametrize("way", ["uniform", "auto"])
def test_more_starts(shared_path, way):
    small = job(ensemble={"starts": 16, "way": way, "budget": "starts"})
    large = job(ensemble={"starts": 40, "way": way, "budget": "starts"})
    directory = live(small, shared_path / "run")
    before = RunFile(directory).table("seconds")
    COMM.Barrier()
    runner.resume(directory, job=large, quiet=True)
    found = RunFile(directory)
    assert found.header.starts == 40 and found.start.tolist() == list(range(40))
    np.testing.assert_array_equal(found.table("seconds")[:16], before)
    if way == "uniform":
        whole = live(large, shared_path / "whole")
        if COMM.rank == 0:
            same_run(RunFile(whole), found)
    COMM.Barrier()
    runner.resume(directory, quiet=True)  # the run's job is the larger one now
    assert '"it was already complete"' in (directory / "progress.json").read_text()


@most_two
@pytest.mark.parametrize("keep", ["final", "all", "best:2"])
@pytest.mark.parametrize("merge", [False, True])
def test_more_rungs(shared_path, fuse, keep, merge):
    """Starts go on from where they ended; those whose paths were not kept begin anew."""
    changes = {"ensemble": {"starts": 6, "merge": merge}, "output": {"keep_paths": keep}}
    short, long = job(changes, ladder={"rungs": 5}), job(changes, ladder={"rungs": 7})
    directory = live(short, shared_path / "run")
    before = RunFile(directory).table("seconds")
    COMM.Barrier()
    if merge:
        runner.resume(directory, job=long, quiet=True)
    else:
        fuse.left = 1
        with suppress(StoppedError):  # two rungs may be over before all ranks have agreed
            runner.resume(directory, job=long, quiet=True)
        fuse.left = sys.maxsize
        runner.resume(directory, quiet=True)
    whole = live(long, shared_path / "whole")
    if COMM.rank == 0:
        found, reference = RunFile(directory), RunFile(whole)
        assert found.finished.all() and found.visited.all()
        np.testing.assert_allclose(found.table("action")[:, -1], reference.table("action")[:, -1], rtol=1e-12)
        again = (np.nan_to_num(found.table("seconds")[:, :5]) != np.nan_to_num(before)).any(axis=1)
        assert again.sum() == 0 if keep != "best:2" else again.sum() <= 4
        if keep == "all" and not merge:
            assert len(found.path_start) == 6 * 7
    COMM.Barrier()


@most_two
def test_more_rungs_of_a_search(shared_path):
    short, long = (job(WRONG, ensemble={"starts": 24}, ladder={"rungs": rungs}) for rungs in (6, 7))
    directory = live(short, shared_path / "run")
    before = RunFile(directory)
    began = {name: before.table(name) for name in ("start", "way", "first_rung", "parent", "partner")}
    free = (before.start >= 16) & before.visited[:, -1]  # the first rounds give up what is far too high
    COMM.Barrier()
    runner.resume(directory, job=long, quiet=True)
    found = RunFile(directory)
    for name, values in began.items():
        np.testing.assert_array_equal(found.table(name)[: len(values)], values)
    assert found.finished.all() and found.visited[: len(free)][free, -1].all()
    COMM.Barrier()


@most_two
def test_parts_make_one_run(shared_path, fuse):
    """Parts know nothing of one another; the index is over all of them."""
    tables = job(ensemble={"starts": 11}, ladder={"first_rungs": [0, 2]})
    whole, run = live(tables, shared_path / "whole"), shared_path / "run"
    for part in (3, 1, 2):
        assert in_pieces(fuse, tables, run, part, part=f"{part}/3") > int(COMM.size == 1)
        COMM.Barrier()
    if COMM.rank == 0:
        same_run(RunFile(whole), RunFile(run))
        assert not list(run.glob("lock*"))
    for wrong, match in (("1/4", "in 3 parts"), ("4/3", "not a part K/N"), (None, "in 3 parts")):
        with pytest.raises(InputError, match=match):
            live(tables, run, resume=True, part=wrong)
    with pytest.raises(InputError, match="already holds a run"):
        live(tables, run, part="1/3")
    with pytest.raises(InputError, match=f"is 5, but was {number(3)}"):
        live(job(tables, ensemble={"seed": 5}), run, resume=True, part="1/3")


@most_two
def test_parts_of_a_search_have_starts_of_their_own(shared_path):
    tables = job(ensemble={"way": "auto", "starts": 20, "budget": "starts"})
    for part in (1, 2):
        live(tables, shared_path / "run", part=f"{part}/2")
        COMM.Barrier()
    found = RunFile(shared_path / "run")
    assert found.start.tolist() == list(range(20))
    assert {part.name for part in (shared_path / "run").glob("plan*")} == {
        "plan-p1of2.jsonl",
        "plan-p2of2.jsonl",
    }


@most_two
@pytest.mark.parametrize("unit", [1, 3])
def test_shares_are_disjoint_and_whole(unit):
    for starts in (0, 1, 7, 24):
        shares = [Share(part, 4, unit) for part in range(4)]
        numbers = [share.number(k) for share in shares for k in range(share.count(starts))]
        assert sorted(numbers) == list(range(starts))


@most_two
def test_a_time_limit_stops_a_run(shared_path):
    tables = job(ensemble={"starts": 4000}, ladder={"alpha": 1.2, "rungs": 60})
    with pytest.raises(StoppedError, match="stopped by the time limit after"):
        live(tables, shared_path / "run", time_limit=3)
    found = RunFile(shared_path / "run")
    assert 0 < len(found.start) < 4000


@most_two
def test_a_start_that_takes_too_long_ends_at_its_rung(shared_path):
    tables = job(ensemble={"starts": 6}, solver={"max_seconds": 1e-9})
    found = RunFile(live(tables, shared_path / "run"))
    assert found.finished.all() and (found.last == 0).all()
    assert (found.table("reason")[:, 0] == Reason.STOPPED_SECONDS.code).all()
    COMM.Barrier()
    runner.resume(shared_path / "run", quiet=True)
    assert '"it was already complete"' in (shared_path / "run" / "progress.json").read_text()


@most_two
def test_nothing_to_resume(tmp_path):
    with pytest.raises(InputError, match="no such directory"):
        runner.resume(tmp_path / "nothing")
    with pytest.raises(InputError, match="holds no job.toml"):
        runner.resume(tmp_path)
