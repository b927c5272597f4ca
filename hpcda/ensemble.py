"""The ensemble: rounds of starts on all ranks, stored rung by rung, merged where they are the same path."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hpcda.annealing import Climb, Finished, Rung, Schedule, Team
from hpcda.problem import Array
from hpcda.progress import Progress
from hpcda.search import ESCAPES, WAYS, Found, Merger, Plan, Round, Scene, Sketch, Task
from hpcda.search.levels import is_level
from hpcda.store import RungRecord, Shard

KEPT = 8
"""Lowest distinct minima whose paths a group of ranks keeps, for escapes to begin from."""
LOOK_SECONDS = 0.1


@dataclass
class _Open:
    """A start at work: its row in the shard, seconds that its first path took, and what it did so far."""

    climb: Climb
    row: int
    parents: tuple[int, ...]
    drawing: float
    opening: int = 0
    iterations: int = 0
    seconds: float = 0.0
    last: Rung | None = None
    levels: dict[int, float] = field(default_factory=dict)
    sketch: Array = field(default_factory=lambda: np.zeros(0))


class Ensemble:
    """Runs the rounds of a plan; every rank calls the same.

    Args:
        scene: The scene.
        world: The ranks.
        team: What works on this group's starts.
        shard: Where their rungs go; None on ranks that do not write.
        queue: Hands out starts.
        seed: Seed of the ensemble.
        merge: Whether starts that have become the same path go on as one.
        progress: What rank 0 tells, None on others.
    """

    def __init__(
        self, scene: Scene, world: Any, team: Team, shard: Shard | None, queue: Any, seed: int, merge: bool,
        progress: Progress | None,
    ) -> None:  # fmt: skip
        self._scene, self._world, self._team, self._shard = scene, world, team, shard
        self._queue, self._seed, self._progress = queue, seed, progress
        self._sketch = Sketch(scene.problem)
        self._merger = Merger() if merge else None
        self._open: dict[int, _Open] = {}
        self._ended: list[Found] = []
        self._paths: list[tuple[Found, Array]] = []
        self._parents: dict[int, Array] = {}
        self._looked = 0.0

    def run(self, plan: Plan) -> None:
        """Run all rounds."""
        found: dict[int, Found] = {}
        while (tasks := plan.next([found[start] for start in sorted(found)])) is not None:
            self._team.cap = plan.cap
            if self._merger is not None and plan.informed:
                leaders = {start for start, one in found.items() if self._leads_on(one, plan.cap)}
                self._merger.keep(leaders.__contains__)
            if self._progress is not None:
                self._progress.expect(len(tasks), tasks.rungs(self._scene.ladder))
            if plan.informed:
                self._share_parents(tasks, found)
            self._round(tasks)
            if plan.informed:
                for part in self._world.comm.allgather(self._ended if self._world.leads else []):
                    found |= {one.start: one for one in part}
                found = {start: _followed(one, found) for start, one in found.items()}
            self._ended.clear()

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
        whole = one.failed or one.last == self._scene.ladder.rungs - 1
        return whole and not bool(np.any(one.levels > cap))

    def _share_parents(self, tasks: Round, found: Mapping[int, Found]) -> None:
        """Send the minima from which escapes begin to all ranks, each from where one like it was kept."""
        self._parents = {}
        for parent in sorted({p for k in range(len(tasks)) for p in tasks.task(k).parents}):
            away = [float(np.sum((kept.sketch - found[parent].sketch) ** 2)) for kept, _ in self._paths]
            mine = min(away, default=np.inf) if self._world.leads else np.inf
            owner = int(np.argmin(self._world.comm.allgather(mine)))
            path = self._paths[int(np.argmin(away))][1] if self._world.rank == owner else None
            self._parents[parent] = self._world.comm.bcast(path, root=owner)

    def _round(self, tasks: Round) -> None:
        schedule = Schedule(len(tasks), self._world.groups, self._team.lanes)
        self._queue.refill(len(tasks), schedule.dealt_to_all)
        across = self._world.groups > 1 and self._merger is not None
        paused: list[Climb] = []
        self._climb_dealt(tasks, schedule, paused if across else None)
        if across:
            self._merge_across()
            self._climb_on([replace(climb, until=None) for climb in paused])
        self._world.wait(self.watch)

    def _begin(self, task: Task, pauses: bool) -> Climb:
        rng, began = np.random.default_rng([self._seed, task.start]), time.perf_counter()
        if task.way in WAYS:
            path, first = WAYS[task.way].draw(self._scene, rng), task.first
        else:
            path, first = ESCAPES[task.way].draw(self._scene, [self._parents[p] for p in task.parents], rng)
        until = first + 1 if pauses and first + 1 < self._scene.ladder.rungs else None
        climb = Climb(task.start, task.way, first, first, path, until=until)
        row = -1
        if self._shard is not None:
            row = self._shard.begin(task.start, task.way, first, parents=task.parents)
        self._open[task.start] = _Open(climb, row, task.parents, time.perf_counter() - began)
        return climb

    def _climb_dealt(self, tasks: Round, schedule: Schedule, paused: list[Climb] | None) -> None:
        """Climb the starts dealt to this group, then those of the queue; where `paused`, their first rung."""
        team = self._team

        def take(positions: Iterable[int]) -> None:
            for position in positions:
                team.take(self._begin(tasks.task(position), paused is not None))

        take(schedule.dealt(self._world.group_number))
        more, batch = schedule.dealt_to_all < len(tasks), schedule.batch(schedule.dealt_to_all)
        team.level(schedule.at_once or not more)
        while more or team.busy:
            while more and (free := team.free) >= batch:
                positions = self._queue.take_several(free)
                take(positions)
                batch = schedule.batch(positions.stop)
                if len(positions) < free:
                    more = False
                    team.level(True)
            if team.busy:
                self._keep(team.work(), paused)

    def _climb_on(self, climbs: Sequence[Climb]) -> None:
        """Climb on with starts that this group holds."""
        waiting = sorted(climbs, key=lambda climb: (climb.next, climb.start), reverse=True)
        self._team.level(False)
        while waiting or self._team.busy:
            while waiting and self._team.free:
                climb = waiting.pop()
                if climb.start in self._open:
                    self._team.take(climb)
            self._team.level(not waiting)
            if self._team.busy:
                self._keep(self._team.work(), None)

    def _keep(self, finished: Sequence[Finished], paused: list[Climb] | None) -> None:
        """Store finished rungs; end starts that came to their end, or became the same path as another."""
        records: list[tuple[int, int, RungRecord, Array]] = []
        same: dict[int, int] = {}
        ended: list[int] = []
        for one in finished:
            start, outcome = one.climb.start, one.rung.outcome
            if start in same or start not in self._open:
                continue
            work = self._open[start]
            work.climb, work.last = one.climb, one.rung
            work.iterations += max(outcome.factorizations, outcome.iterations)
            if work.last.number == work.climb.first:
                work.opening = work.iterations
            rung = replace(one.rung, seconds=one.rung.seconds + work.drawing)
            work.seconds += rung.seconds
            work.drawing = 0.0
            work.levels[one.rung.number] = outcome.parts.total
            work.sketch = self._sketch(outcome.path)
            records.append((work.row, rung.number, self._record(rung), one.climb.path))
            if one.ended:
                goes_on = one.climb.pauses and outcome.parts.total <= self._team.cap
                if goes_on and paused is not None:
                    paused.append(one.climb)
                else:
                    ended.append(start)
            if self._merger is None or not outcome.reason.converged:
                continue
            other = self._merger.same(start, one.rung.number, outcome.parts.total, work.sketch)
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

    def _end(self, start: int) -> None:
        work = self._open.pop(start)
        found = self._found(work, start)
        if self._shard is not None:
            self._shard.finish(work.row, work.climb.path)
        if self._world.leads:
            complete = found.last == self._scene.ladder.rungs - 1
            self._queue.rungs_done(self._scene.ladder.rungs - 1 - found.last)
            self._queue.start_done(found.action if complete else np.nan, found.failed)
        self._ended.append(found)
        if not found.failed and found.last == self._scene.ladder.rungs - 1:
            self._remember(found, work.climb.path)

    def _merge(self, start: int, same_as: int) -> None:
        work = self._open.pop(start)
        self._team.drop(start)
        if self._shard is not None:
            self._shard.merge(work.row, same_as)
        if self._world.leads:
            self._queue.rungs_done(self._scene.ladder.rungs - work.climb.next)
            self._queue.start_done(np.nan, False)
        self._ended.append(self._found(work, same_as))

    def _merge_across(self) -> None:
        """Of starts in different groups that are the same path after their first rung, the first goes on."""
        mine = [
            (start, work.climb.next, work.last.outcome.parts.total, work.sketch)
            for start, work in self._open.items()
            if work.last is not None and work.last.outcome.reason.converged
        ]
        every = self._world.comm.allgather(mine if self._world.leads else [])
        known = sorted((one for part in every for one in part), key=lambda one: one[0])
        merger = Merger()
        for start, rung, action, sketch in known:
            other = merger.same(start, rung, action, sketch)
            if other is not None and start in self._open:
                self._merge(start, other)

    def _remember(self, found: Found, path: Array) -> None:
        """Keep the path if it is one of the lowest distinct minima of this group, and its first start."""
        kept = self._paths
        for k, (other, _) in enumerate(kept):
            if is_level(found, other):
                if found.start < other.start:
                    kept[k] = (found, path)
                return
        kept.append((found, path))
        kept.sort(key=lambda one: (one[0].action, one[0].start))
        del kept[KEPT:]

    def _found(self, work: _Open, same_as: int) -> Found:
        climb, last = work.climb, work.last
        assert last is not None
        parts = last.outcome.parts
        levels = np.full(self._scene.ladder.rungs, np.nan)
        levels[list(work.levels)] = list(work.levels.values())
        return Found(
            start=climb.start,
            way=climb.way,
            first=climb.first,
            parents=work.parents,
            last=last.number,
            action=parts.total,
            measurement=parts.measurement,
            prior=parts.prior,
            levels=levels,
            sketch=work.sketch,
            same_as=same_as,
            failed=climb.failed is not None,
            converged=last.outcome.reason.converged,
            opening=work.opening,
            iterations=work.iterations,
            seconds=work.seconds * self._world.group.size,
        )

    def _record(self, rung: Rung) -> RungRecord:
        outcome = rung.outcome
        return RungRecord(
            action=outcome.parts.total,
            measurement=outcome.parts.measurement,
            model=outcome.parts.model,
            prior=outcome.parts.prior,
            gradient_norm=outcome.gradient_norm,
            iterations=outcome.iterations,
            seconds=rung.seconds,
            reason=outcome.reason.code,
            parameters=outcome.path[self._scene.problem.offsets[-1] :],
        )


def _followed(one: Found, found: dict[int, Found]) -> Found:
    """A start with the end of the one whose path it has become, and what others climbed for it."""
    leader, levels = one, one.levels
    above = np.arange(len(levels)) > one.first
    while leader.same_as != leader.start:
        leader = found[leader.same_as]
        levels = np.where(np.isfinite(levels) | ~above, levels, leader.levels)
    if leader is one:
        return one
    return replace(
        one,
        last=leader.last,
        action=leader.action,
        measurement=leader.measurement,
        prior=leader.prior,
        levels=levels,
        sketch=leader.sketch,
        failed=leader.failed,
        converged=leader.converged,
    )
