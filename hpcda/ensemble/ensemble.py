"""Runs an ensemble: rounds of starts on all ranks, stored rung by rung, merged where paths coincide."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hpcda.annealing import Climb, Finished, Ladder, Reason, Rung, Schedule, Task, Team
from hpcda.ensemble.earlier_run import EarlierRun, over
from hpcda.ensemble.minima import Minima
from hpcda.ensemble.stopping import Stopping
from hpcda.ensemble.work import Work, resumed_work
from hpcda.problem import Array
from hpcda.search import Found, Listed, Merger, Plan, Round
from hpcda.stop import Stop

if TYPE_CHECKING:
    from hpcda.store import Checkpoint, Journal

LOOK_SECONDS = 0.1


class Setting(Protocol):
    """What an ensemble asks of what it searches: `hpcda.search.SearchContext`, or `NetworkContext`."""

    meanwhile: Callable[[], object]
    cap: float

    @property
    def ladder(self) -> Ladder:
        """The ladder that all starts climb."""
        ...

    @property
    def sketch(self) -> Callable[[Array], Array]:
        """What is kept of a point, by which points are compared."""
        ...

    def representative(self, path: Array) -> Array:
        """The point that stands for all that symmetries of the action make of it, itself among them."""
        ...

    def recorded(self, path: Array) -> Array:
        """What is stored of a point at every rung."""
        ...

    def draw(self, task: Task, minima: Sequence[Array], rng: np.random.Generator) -> tuple[Array, int]:
        """The first point of a start, and its first rung."""
        ...


class Sink(Protocol):
    """Where the rungs of starts go: `hpcda.store.Shard`, or `hpcda.results.memory.Recorder`."""

    def begin(self, task: Task, checkpoint: Checkpoint | None = None) -> int:
        """Open a row for a start; returns the row."""
        ...

    def rungs(self, finished: Sequence[tuple[int, Rung, Array]]) -> None:
        """Take rungs: the row, the rung, and the shared parameters there."""
        ...

    def finish(self, row: int, path: Array | None, sketch: Array | None = None) -> None:
        """End a start."""
        ...

    def merge(self, row: int, same_as: int) -> None:
        """End a start that has become the same path as another."""
        ...

    def keep_minima(self, minima: Mapping[int, Array], spared: Collection[int]) -> None:
        """Keep the paths of these starts."""
        ...

    def close(self) -> None:
        """No more comes."""
        ...


class Teller(Protocol):
    """Tells how far an ensemble is: `hpcda.progress.Progress`, or a line in a notebook."""

    def expect(self, starts: int, rungs: int) -> None:
        """So many more starts and rungs are run."""
        ...

    def had(self, rungs: int) -> None:
        """So many rungs were done before."""
        ...

    def drawing(self, way: str) -> None:
        """By which strategy an initial guess is drawn; an empty text once it is."""
        ...

    def update(self, *, done: int, rungs_done: int, failed: int = 0, lowest: float | None = None) -> None:
        """Tell how far it is."""
        ...


@dataclass(frozen=True)
class RunControl:
    """Context for stopping and resuming an ensemble.

    Attributes:
        earlier: What its earlier processes have left.
        stop: Whether this process has to stop.
        journal: Where rank 0 notes the decisions of a search; None for nowhere.
        max_seconds: Seconds after which a start ends at the rung that it has come to; 0 for never.
    """

    earlier: EarlierRun = EarlierRun()
    stop: Stop | None = None
    journal: Journal | None = None
    max_seconds: float = 0.0


class Ensemble:
    """Runs the rounds of a plan; every rank calls the same.

    Args:
        context: The search context of the problem.
        world: The ranks.
        team: The team that minimizes this group's starts.
        make_shard: Creates the file for their rungs, when there is something to run; None on ranks that do
            not write.
        queue: The queue of starts.
        seed: Seed of the ensemble.
        merge: Whether starts whose paths have become the same continue as one.
        progress: Reports progress on rank 0; None on other ranks.
        control: How it stops and resumes; by default it runs once, to its end.

    Attributes:
        worked: Whether any start was left to run.
    """

    def __init__(
        self, context: Setting, world: Any, team: Team, make_shard: Callable[[], Sink] | None, queue: Any,
        seed: int, merge: bool, progress: Teller | None, control: RunControl | None = None,
    ) -> None:  # fmt: skip
        self._context, self._world, self._team = context, world, team
        self._make_shard = make_shard
        self._shard: Sink | None = None
        self._queue, self._seed, self._progress = queue, seed, progress
        self._control = control or RunControl()
        self._sketch = context.sketch
        self._merger = Merger() if merge else None
        self._open: dict[int, Work] = {}
        self._ended: list[Found] = []
        self._minima = Minima(world, self._control.earlier)
        self._stopping = Stopping(world, queue, self._control.stop)
        self._informed = False
        self._looked = 0.0
        self.worked = False

    @property
    def why(self) -> int:
        """Why it was stopped, see `hpcda.stop`; 0 where it was not."""
        return self._stopping.why

    def run(self, plan: Plan) -> bool:
        """Run all rounds, those of earlier processes first.

        Returns:
            Whether the plan has come to its end; False where the ensemble was stopped.
        """
        before, self._context.meanwhile = self._context.meanwhile, self._meanwhile
        try:
            return self._rounds(plan)
        finally:
            self._context.meanwhile = before

    def _rounds(self, plan: Plan) -> bool:
        self._informed = plan.informed
        found: dict[int, Found] = {}
        before = {one.start: one for one in self._control.earlier.found}
        decisions = list(self._control.earlier.decisions)
        lowest = self._control.earlier.lowest
        while True:
            if decisions:
                decision = decisions.pop(0)
                tasks: Round | None = Listed(decision.tasks)
                plan.replay(len(decision.tasks), decision.cap)
                new = False
            else:
                tasks, new = plan.next([found[start] for start in sorted(found)]), True
            if tasks is None:
                return True
            self._team.cap = self._context.cap = plan.cap
            if self._merger is not None and plan.informed:
                leaders = {start for start, one in found.items() if self._leads_on(one, plan.cap)}
                self._merger.keep(leaders.__contains__)
            if self._progress is not None:
                self._progress.expect(len(tasks), tasks.rungs(self._context.ladder))
            rest, done = self._control.earlier.rest(tasks)
            if done and self._world.rank == 0:
                rungs = sum(self._context.ladder.rungs - task.first for task in done)
                if self._progress is not None:
                    self._progress.had(rungs)
                self._queue.had(len(done), self._control.earlier.failed(done), rungs, lowest)
            if len(rest):
                if self._stopping.all_stop():
                    return False
                if new and plan.informed and self._control.journal is not None and self._world.rank == 0:
                    self._control.journal.write(plan.cap, [tasks.task(k) for k in range(len(tasks))])
                if plan.informed:
                    self._minima.share(rest, found)
                ended = self._round(rest)
                if ended < len(rest) and self._stopping.all_stop():
                    return False
            if plan.informed:
                for part in self._world.comm.allgather(self._ended if self._world.leads else []):
                    found |= {one.start: one for one in part}
                found |= {task.start: before[task.start] for task in done}
                found = {start: _followed(one, found) for start, one in found.items()}
            self._ended.clear()

    def close(self) -> None:
        """Close the shard; what is at work can be taken up again."""
        if self._shard is not None:
            self._shard.close()

    def watch(self) -> None:
        """What rank 0 does now and then: let the queue go on, tell how far the run is."""
        if self._progress is None:
            return
        self._queue.poll()
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self.tell()

    def tell(self) -> None:
        """Tell how far the run is."""
        if self._progress is not None:
            counts = self._queue.counts()
            lowest = counts.lowest if np.isfinite(counts.lowest) else None
            self._progress.update(
                done=counts.done, rungs_done=counts.rungs, failed=counts.failed, lowest=lowest
            )

    def _leads_on(self, one: Found, cap: float) -> bool:
        """Whether a start that becomes the same path as this one would end where it has ended."""
        whole = one.failed or one.last == self._context.ladder.rungs - 1
        return whole and not bool(np.any(one.levels > cap))

    def _meanwhile(self) -> None:
        self._stopping.tell()
        self.watch()

    def _work(self) -> Sequence[Finished]:
        stop = self._control.stop
        return self._team.work() if stop is None else stop.timed(self._team.work)

    def _round(self, tasks: Round) -> int:
        """Run a round.

        Returns:
            How many of its starts have ended, on all ranks; fewer than there are where it was stopped.
        """
        self.worked = True
        if self._shard is None and self._make_shard is not None:
            self._shard = self._make_shard()
        schedule = Schedule(len(tasks), self._world.groups, self._team.lanes)
        self._queue.refill(len(tasks), schedule.dealt_to_all)
        across = self._world.groups > 1 and self._merger is not None
        paused: list[Climb] = []
        self._climb_dealt(tasks, schedule, paused if across else None)
        if across:
            self._world.wait(self._meanwhile)
            self._merge_across()
            self._climb_on([replace(climb, until=None) for climb in paused])
        self._world.wait(self._meanwhile)
        return sum(self._world.comm.allgather(len(self._ended) if self._world.leads else 0))

    def _begin(self, task: Task, pauses: bool) -> Climb | None:
        """Where a start is that begins, or goes on; None where it turns out to have ended."""
        checkpoint = self._control.earlier.checkpoint(task.start)
        if checkpoint is not None:
            return self._take_up(checkpoint)
        rng, began = np.random.default_rng([self._seed, task.start]), time.perf_counter()
        if self._progress is not None:
            self._progress.drawing(task.way)
        self._meanwhile()
        minima = [self._minima.of(parent) for parent in task.parents]
        path, first = self._context.draw(task, minima, rng)
        if self._progress is not None:
            self._progress.drawing("")
        until = first + 1 if pauses and first + 1 < self._context.ladder.rungs else None
        climb = Climb(replace(task, first=first), first, path, until=until)
        row = -1
        if self._shard is not None:
            row = self._shard.begin(climb.task)
        self._open[task.start] = Work(climb, row, time.perf_counter() - began)
        return climb

    def _take_up(self, checkpoint: Checkpoint) -> Climb | None:
        """Go on with a start of an earlier process."""
        sketch = np.zeros(0) if checkpoint.sketch is None else checkpoint.sketch
        if checkpoint.path is not None:
            sketch = self._sketch(self._context.representative(checkpoint.path))
        work = resumed_work(checkpoint, sketch)
        climb, last = work.climb, work.last
        assert last is not None
        if self._shard is not None:
            work.row = self._shard.begin(climb.task, checkpoint)
        self._open[climb.start] = work
        if self._world.leads:
            self._queue.rungs_done(len(checkpoint.rungs))
        if self._progress is not None:
            self._progress.had(len(checkpoint.rungs))
        if checkpoint.same_as >= 0:
            self._merge(climb.start, checkpoint.same_as)
            return None
        stopped = last.action > self._team.cap or last.reason is Reason.STOPPED_SECONDS
        if over(checkpoint) or stopped or climb.ended(self._context.ladder):
            self._end(climb.start)
            return None
        return climb

    def _climb_dealt(self, tasks: Round, schedule: Schedule, paused: list[Climb] | None) -> None:
        """Climb the starts dealt to this group, then those of the queue; where `paused`, their first rung."""
        team = self._team

        def take(positions: Iterable[int]) -> None:
            for position in positions:
                climb = self._begin(tasks.task(position), paused is not None)
                if climb is not None and paused is not None and climb.next > climb.first:
                    paused.append(climb)
                elif climb is not None:
                    team.take(climb)

        take(schedule.dealt(self._world.group_number))
        more, batch = schedule.dealt_to_all < len(tasks), schedule.batch(schedule.dealt_to_all)
        team.level(schedule.at_once or not more)
        while (more or team.busy) and not self._stopping.group_stops():
            while more and (free := team.free) >= batch:
                positions = self._queue.take_several(free)
                take(positions)
                batch = schedule.batch(positions.stop)
                if len(positions) < free:
                    more = False
                    team.level(True)
            if team.busy:
                self._keep(self._work(), paused)

    def _climb_on(self, climbs: Sequence[Climb]) -> None:
        """Climb on with starts that this group holds."""
        waiting = sorted(climbs, key=lambda climb: (climb.next, climb.start), reverse=True)
        self._team.level(False)
        while (waiting or self._team.busy) and not self._stopping.group_stops():
            while waiting and self._team.free:
                climb = waiting.pop()
                if climb.start in self._open:
                    self._team.take(climb)
            self._team.level(not waiting)
            if self._team.busy:
                self._keep(self._work(), None)

    def _keep(self, finished: Sequence[Finished], paused: list[Climb] | None) -> None:
        """Store finished rungs; end starts that came to their end, or became the same path as another."""
        records: list[tuple[int, Rung, Array]] = []
        same: dict[int, int] = {}
        ended: list[int] = []
        for one in finished:
            start = one.climb.start
            if start in same or start in ended or start not in self._open:
                continue
            work = self._open[start]
            known = self._context.representative(one.rung.path)
            rung = work.add(one.climb, one.rung, self._sketch(known))
            late = self._is_late(work) and not (one.ended and not one.climb.pauses)
            if late:
                work.last = rung = replace(rung, reason=Reason.STOPPED_SECONDS)
            records.append((work.row, rung, self._context.recorded(known)))
            if late:
                self._team.drop(start)
                ended.append(start)
                if self._merger is not None:
                    self._merger.keep(start.__ne__)
                continue
            if one.ended:
                goes_on = one.climb.pauses and rung.action <= self._team.cap
                if goes_on and paused is not None:
                    paused.append(one.climb)
                else:
                    ended.append(start)
            if self._merger is None or not rung.reason.converged:
                continue
            other = self._merger.same(start, rung.number, rung.action, work.sketch)
            if other is not None:
                low, high = sorted((start, other))
                if high in self._open and high not in same and high not in ended:
                    same[high] = low
        if records and self._shard is not None:
            self._shard.rungs(records)
        if self._world.leads:
            self._queue.rungs_done(len(records))
        for start in ended:
            self._end(start)
        for high, low in same.items():
            self._merge(high, low)

    def _is_late(self, work: Work) -> bool:
        """Whether a start has taken the time that it may take; collective over the group."""
        most = self._control.max_seconds
        if most == 0.0:
            return False
        late = work.seconds > most
        return late if self._world.group.size == 1 else bool(self._world.group.bcast(late))

    def _end(self, start: int) -> None:
        work, ladder = self._open.pop(start), self._context.ladder
        found = work.found(start, ladder.rungs, self._world.group.size)
        path = self._context.representative(work.climb.path) if len(work.climb.path) else None
        if self._shard is not None:
            self._shard.finish(work.row, path, found.sketch)
        complete = found.last == ladder.rungs - 1
        if self._world.leads:
            self._queue.rungs_done(ladder.rungs - 1 - found.last)
            self._queue.start_done(found.action if complete else np.nan, found.failed)
        self._ended.append(found)
        if path is None:
            return
        self._minima.pin(start, path)
        if complete and not found.failed and self._minima.remember(found, path):
            if self._shard is not None and self._informed:
                self._shard.keep_minima(self._minima.paths, self._minima.parents)

    def _merge(self, start: int, same_as: int) -> None:
        work = self._open.pop(start)
        self._team.drop(start)
        if self._shard is not None:
            self._shard.merge(work.row, same_as)
        if self._world.leads:
            self._queue.rungs_done(self._context.ladder.rungs - work.climb.next)
            self._queue.start_done(np.nan, False)
        self._ended.append(work.found(same_as, self._context.ladder.rungs, self._world.group.size))

    def _merge_across(self) -> None:
        """Of starts in different groups that are the same path after their first rung, the first goes on."""
        mine = [
            (start, work.climb.next, work.last.action, work.sketch)
            for start, work in self._open.items()
            if work.last is not None and work.last.reason.converged
        ]
        every = self._world.comm.allgather(mine if self._world.leads else [])
        known = sorted((one for part in every for one in part), key=lambda one: one[0])
        merger = Merger()
        for start, rung, action, sketch in known:
            other = merger.same(start, rung, action, sketch)
            if other is not None and start in self._open:
                self._merge(start, other)


def _followed(one: Found, found: dict[int, Found]) -> Found:
    """A start with the end of the one whose path it has become, and what others climbed for it."""
    leader, levels, model = one, one.levels, one.model
    above = np.arange(len(levels)) > one.first
    while leader.same_as != leader.start:
        leader = found[leader.same_as]
        missing = ~np.isfinite(levels) & above
        levels, model = np.where(missing, leader.levels, levels), np.where(missing, leader.model, model)
    if leader is one:
        return one
    return replace(
        one, end=leader.end, levels=levels, model=model, sketch=leader.sketch, failed=leader.failed
    )
