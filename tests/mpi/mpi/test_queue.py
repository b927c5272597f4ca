"""The queue: each start handed out once, whatever the work costs; counts; groups of ranks."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import numpy as np
import pytest

from hpcda.annealing import Ladder, Schedule
from hpcda.annealing.schedule import Pool, capacity
from hpcda.build import build_problem
from hpcda.ensemble import Ensemble
from hpcda.errors import InputError, Mistake
from hpcda.job import load_job
from hpcda.search import Plain, SearchContext

MPI = pytest.importorskip("mpi4py.MPI")

from hpcda.mpi import Queue, World  # noqa: E402
from hpcda.ranks import all_agree, all_or_none  # noqa: E402
from tests.waiting import until  # noqa: E402

pytestmark = pytest.mark.mpi(min_size=1)
COMM = MPI.COMM_WORLD


def drain(world, starts, work, emptied=lambda: None):
    """Starts that this rank's group took, with `work` done for each, and the counts at the end."""
    queue, taken = Queue(world.comm, world.group, starts), []
    while (start := queue.take()) is not None:
        taken.append(start)
        work(start, queue)
        queue.poll()
    emptied()
    world.wait()
    counts = queue.counts()
    queue.close()
    return taken, counts


@pytest.mark.parametrize("starts", [0, 1, 3, 40])
def test_every_start_is_handed_out_once_with_uneven_work(starts):
    def work(start, queue):
        time.sleep(0.02 if start % 7 == 0 else 0.001 * (COMM.rank + 1))

    with World() as world:
        taken, _ = drain(world, starts, work)
    everything = COMM.allgather(taken)
    assert sorted(start for one in everything for start in one) == list(range(starts))
    assert all(one == sorted(one) for one in everything)


@pytest.mark.worlds(least=2)
@pytest.mark.parametrize("slow", [0, 1])
def test_others_take_what_a_rank_that_computes_leaves(slow):
    """One rank works on its first start, and polls, until the others have found the queue empty."""
    others = [rank for rank in range(COMM.size) if rank != slow]
    told = [COMM.Irecv(np.empty(1), rank) for rank in others] if COMM.rank == slow else []

    def work(start, queue):
        if told:
            until(lambda: queue.poll() or MPI.Request.Testall(told), "the others have taken the rest")

    def emptied():
        if COMM.rank != slow:
            COMM.Send(np.zeros(1), slow)
        MPI.Request.Waitall(told)

    with World() as world:
        taken, _ = drain(world, 24, work, emptied)
    shares = COMM.allgather(len(taken))
    assert sum(shares) == 24 and shares[slow] <= 1


class Rungs:
    """A team whose rungs are sums of nothing; notes what it holds whenever it works."""

    def __init__(self, share, lanes, wait):
        self.lanes, self._wait = lanes, wait
        self._held, self._climbs, self._pool = capacity(share, lanes), [], Pool(capacity(share, lanes), 4)
        self.taken, self.empty, self.levelled, self.cap = [], 0, False, np.inf

    @property
    def free(self):
        return self._pool.free([climb.next for climb in self._climbs])

    @property
    def busy(self):
        return bool(self._climbs) or len(self._pool) > 0

    def take(self, climb):
        self.taken.append(climb.start)
        self._pool.add(climb, climb.next)

    def level(self, last):
        self.levelled = self._pool.last = last

    def work(self):
        time.sleep(self._wait)
        while len(self._climbs) < self.lanes and len(self._pool):
            self._climbs.append(self._pool.next())
        if not self.levelled:
            self.empty += max(0, min(self.lanes, self._held) - len(self._climbs))
        self._climbs = [replace(climb, next=climb.next + 1) for climb in self._climbs]
        self._climbs = [climb for climb in self._climbs if climb.next < 4]
        return []


@pytest.mark.parametrize("starts", [1, 3 * COMM.size, 11 * COMM.size - 1, 90])
@pytest.mark.parametrize("lanes", [1, 8])
def test_no_lane_is_empty_while_starts_remain(monkeypatch, starts, lanes):
    problem = build_problem(
        load_job(
            {
                "model": {"name": "lorenz63"},
                "twin": {"dt": 0.02, "samples": 5, "observed": ["x"], "noise_std": 0.5},
                "ladder": {"rf0": 1.0, "alpha": 2.0, "rungs": 4},
            }
        )
    ).problem
    with World() as world:
        schedule, messages = Schedule(starts, world.size, lanes), []
        queue = Queue(world.comm, world.group, 0)
        team = Rungs(starts / world.size, lanes, 0.002 * (world.rank + 1))
        several = queue.take_several
        monkeypatch.setattr(queue, "take_several", lambda count: messages.append(count) or several(count))
        ladder = Ladder(1.0, 2.0, 4)
        context = SearchContext(problem, ladder)
        Ensemble(context, world, team, None, queue, 1, False, None).run(
            Plain("quiet", ladder, starts, starts)
        )
        queue.close()
    taken = COMM.allgather(team.taken)
    assert sorted(start for one in taken for start in one) == list(range(starts))
    assert team.empty == 0 and team.levelled and not team.busy
    if schedule.dealt_to_all < starts:
        assert sum(messages) + schedule.capacity > len(team.taken), "it has asked until none were left"
    else:
        assert not messages
    if starts == 3 * COMM.size and lanes == 8:
        assert [len(one) for one in taken] == [3] * COMM.size


def test_several_at_once_are_cut_at_the_end():
    with World() as world:
        queue, taken = Queue(world.comm, world.group, 10), []
        while found := queue.take_several(3):
            taken += found
        world.wait()
        assert queue.take_several(3) == range(10, 10)
        world.wait()
        queue.close()
    assert sorted(start for one in COMM.allgather(taken) for start in one) == list(range(10))


def test_counts():
    levels = {start: 10.0 - start for start in range(12)}

    def work(start, queue):
        for _ in range(start % 3):
            queue.rungs_done(1)
        queue.start_done(np.nan if start == 11 else levels[start], failed=start in (9, 10))

    with World() as world:
        _, counts = drain(world, 12, work)
    assert counts.done == 12
    assert counts.failed == 2
    assert counts.rungs == sum(start % 3 for start in range(12))
    assert counts.lowest == levels[8]


def test_counts_of_an_ensemble_that_has_not_begun():
    with World() as world:
        queue = Queue(world.comm, world.group, 5)
        world.wait()
        counts = queue.counts()
        world.wait()
        queue.close()
    assert (counts.done, counts.failed, counts.rungs, counts.lowest) == (0, 0, 0, np.inf)


def test_several_queues_one_after_another():
    with World() as world:
        for _ in range(5):
            taken, _ = drain(world, 6, lambda start, queue: None)
            assert sum(len(one) for one in COMM.allgather(taken)) == 6


@pytest.mark.worlds(multiple=2)
def test_ranks_of_a_group_receive_the_same_starts():
    with World(2) as world:
        assert world.group.size == 2 and world.groups == COMM.size // 2
        assert world.leads == (COMM.rank % 2 == 0)
        taken, _ = drain(world, 9, lambda start, queue: time.sleep(0.005))
        assert world.group.allgather(taken) == [taken] * 2
        leaders = COMM.allgather(taken if world.leads else [])
    assert sorted(start for one in leaders for start in one) == list(range(9))


@pytest.mark.parametrize("ranks", [COMM.size + 1, 2 * COMM.size, 7])
def test_a_world_that_is_no_multiple_is_refused_on_all_ranks(ranks):
    with pytest.raises(InputError) as caught:
        World(ranks)
    (mistake,) = caught.value.mistakes
    assert mistake.place == "ensemble.ranks_per_start"
    assert mistake.problem.startswith("1 rank " if COMM.size == 1 else f"{COMM.size} ranks ")
    advised = int(re.search(r"mpirun -n (\d+)", mistake.remedy)[1])
    assert advised % ranks == 0
    COMM.Barrier()


def test_mistakes_of_rank_0_are_raised_everywhere():
    def fail():
        raise InputError(Mistake("here", "wrong", "mend it"))

    with pytest.raises(InputError, match="here: wrong"):
        all_or_none(COMM, fail)
    assert all_or_none(COMM, lambda: COMM.rank) == (0 if COMM.rank == 0 else None)


def test_mistakes_that_all_ranks_find_are_raised_as_they_are():
    def fail():
        raise InputError(Mistake("here", "wrong", "mend it"))

    with pytest.raises(InputError) as caught:
        all_agree(COMM, fail)
    assert caught.value.mistakes == (Mistake("here", "wrong", "mend it"),)
    assert all_agree(COMM, lambda: COMM.rank) == COMM.rank


@pytest.mark.worlds(least=2)
def test_mistakes_that_one_rank_finds_alone_are_raised_everywhere():
    def fail():
        if COMM.rank == 1:
            raise InputError(Mistake("data.file", "there is no such file", "name another"))

    with pytest.raises(InputError, match="data.file: there is no such file") as caught:
        all_agree(COMM, fail)
    assert f"only rank 1 of {COMM.size} found this" in caught.value.mistakes[0].remedy


def test_input_errors_leave_the_world_without_ending_it():
    with pytest.raises(InputError), World() as world:
        assert world.size == COMM.size
        raise InputError(Mistake("key", "wrong", "mend it"))
    COMM.Barrier()
