"""Replay of measured starts through hpcda's own schedule at any number of ranks, event by event.

Time is counted in steps of a full batch of `WIDEST` lanes. A step of a narrower batch takes its measured
part of that, one that is partly empty the whole; to go over to fewer lanes takes `SWITCH_SECONDS`. A take is
a message to rank 0 and back, and rank 0 serves one at a time. Everything that decides is
`hpcda.annealing.schedule`; here are clock, messages and lanes.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hpcda.annealing.schedule import LEAST, PATIENCE, Pool, Schedule, capacity, few, width

WIDEST = 8
SWITCH_SECONDS = 0.003
"""To lay out fewer lanes and move the climbs: measured."""


@dataclass(frozen=True)
class Policy:
    """A schedule, or one without some of its parts.

    Attributes:
        fair: Whether no group takes more than its share at once.
        pool: Whether groups hold more climbs than lanes, and level them in the end.
        narrow: Whether fewer lanes are used where there are few starts.
        tail: Whether a group goes over to fewer lanes when few climbs are left to it.
    """

    fair: bool = True
    pool: bool = True
    narrow: bool = True
    tail: bool = True


POLICIES = {
    "greedy": Policy(fair=False, pool=False, narrow=False, tail=False),
    "fair": Policy(pool=False, tail=False),
    "wide": Policy(tail=False),
    "default": Policy(),
}


@dataclass(frozen=True)
class Starts:
    """Measured starts of one problem.

    Attributes:
        name: Of the problem.
        steps: Steps that every rung of every start took.
        seconds: Of a step, by number of lanes.
    """

    name: str
    steps: tuple[tuple[int, ...], ...]
    seconds: dict[int, float]

    @cached_property
    def totals(self) -> np.ndarray:
        """Steps of every start."""
        return np.array([sum(one) for one in self.steps])

    @cached_property
    def progress(self) -> list[tuple[list[int], list[int]]]:
        """Of every start after every number of steps: rungs done, and steps to the end of this rung."""
        found = []
        for rungs in self.steps:
            done = [r for r, count in enumerate(rungs) for _ in range(count)]
            ahead = [count - i for count in rungs for i in range(count)]
            found.append((done, ahead))
        return found

    @cached_property
    def rungs(self) -> int:
        """Rungs of the ladder."""
        return max(len(one) for one in self.steps)

    def cost(self, lanes: int) -> float:
        """A step of `lanes` lanes, in steps of a full batch."""
        return self.seconds[lanes] / self.seconds[WIDEST]


@dataclass(frozen=True)
class Network:
    """What a take costs, in seconds.

    Attributes:
        latency: From a rank to rank 0 and back.
        service: Between two takes that rank 0 serves.
    """

    latency: float = 10e-6
    service: float = 0.5e-6


@dataclass(frozen=True)
class Result:
    """What a replay gives.

    Attributes:
        efficiency: Work at a full batch's throughput / (groups x makespan).
        bound: The most that any schedule can reach: the longest start takes its time, in the fastest lanes.
        makespan: In steps of a full batch.
        idle: Mean part of the makespan that groups wait at the end.
        waiting: Mean part of the makespan that groups wait for the queue.
        takes: Messages to the queue.
        handed: Starts handed out.
    """

    efficiency: float
    bound: float
    makespan: float
    idle: float
    waiting: float
    takes: int
    handed: int


class _Group:
    """A rank: climbs in lanes as [which, steps done], and those that wait; time for which climbs were few."""

    __slots__ = ("batch", "lanes", "more", "pool", "wasted", "width")

    def __init__(self, pool: Pool[tuple[int, int]], width: int) -> None:
        self.pool, self.width = pool, width
        self.lanes: list[list[int]] = []
        self.wasted = 0.0
        self.more, self.batch = True, 1


def replay(
    starts: Starts,
    groups: int,
    share: float,
    policy: Policy,
    network: Network | None = None,
    slice_seconds: float = 0.005,
    spread: float = 0.0,
    seed: int = 1,
    widest: int = WIDEST,
) -> Result:
    """Simulate `groups` ranks with `share` starts for each.

    Args:
        starts: The measured starts, of which those of the ensemble are drawn.
        groups: Number of ranks.
        share: Starts a rank.
        policy: How they are handed out.
        network: What messages cost.
        slice_seconds: How long a rank works before it looks whether it should take a start.
        spread: Standard deviation of the ranks' speeds, as a part of the mean.
        seed: Of the draw.
        widest: Lanes of a full batch.
    """
    number = round(groups * share)
    network = network or Network()
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, len(starts.steps), number)
    which, totals, progress, rungs = kinds.tolist(), starts.totals.tolist(), starts.progress, starts.rungs
    speed = (1.0 / np.maximum(0.2, 1.0 + spread * rng.standard_normal(groups))).tolist()
    lanes = width(share, widest) if policy.narrow else widest
    schedule = Schedule(number, groups, lanes)
    held = capacity(share, lanes) if policy.pool else min(lanes, max(1, int(share))) if policy.fair else lanes
    unit = starts.seconds[WIDEST]
    latency, service = network.latency / unit, network.service / unit
    patience, switch = PATIENCE / unit, SWITCH_SECONDS / unit
    cost = {k: starts.cost(k) for k in starts.seconds}
    everyone = [_Group(Pool(held, rungs), lanes) for _ in range(groups)]
    given = schedule.dealt_to_all if policy.pool else 0
    ends, waited, takes, server = np.zeros(groups), 0.0, 0, 0.0
    for r, group in enumerate(everyone if policy.pool else []):
        for position in schedule.dealt(r):
            group.pool.add((position, 0), 0)
        group.more, group.batch = given < number, schedule.batch(given)
        group.pool.last = schedule.at_once or not group.more
    events: list[tuple[float, int, int]] = [(0.0, r, 0) for r in range(groups)]
    while events:
        now, r, moved = heapq.heappop(events)
        group = everyone[r]
        pool, active = group.pool, group.lanes
        if moved:
            for one in active:
                one[1] += moved
            active[:] = [one for one in active if one[1] < totals[which[one[0]]]]
        while group.more:
            if policy.pool:
                free = pool.free([progress[which[i]][0][done] for i, done in active])
            else:
                free = held - len(active) - len(pool)
            if free < group.batch:
                break
            takes += 1
            server = max(server, now + latency / 2) + service
            waited += server + latency / 2 - now
            now = server + latency / 2
            got = range(min(given, number), min(given + free, number))
            given += free
            for position in got:
                pool.add((position, 0), 0)
            group.batch = schedule.batch(got.stop) if policy.pool else 1
            if len(got) < free:
                group.more = False
                pool.last = policy.pool
        while len(active) < lanes and (climb := pool.next()) is not None:
            active.append(list(climb))
        if not active:
            ends[r] = now
            continue
        level = pool.last and len(pool) > 0
        if level:
            _level(active, pool, which, progress)
            steps = min(progress[which[i]][1][done] for i, done in active)
        elif group.more or len(pool) or (policy.tail and group.width > LEAST):
            steps = min(totals[which[i]] - done for i, done in active)
        else:
            steps = max(totals[which[i]] - done for i, done in active)
        climbs = len(active) + len(pool)
        watched = policy.tail and pool.last and few(climbs, group.width)
        if watched and group.wasted >= patience:
            group.width, group.wasted = next(k for k in sorted(cost) if k >= max(climbs, LEAST)), 0.0
            watched = few(climbs, group.width)
            now += switch * speed[r]
        rate = cost[group.width] * speed[r]
        if watched:
            steps = min(steps, math.ceil((patience - group.wasted) / rate))
            group.wasted += steps * rate
        if group.more:
            steps = min(steps, max(1, int(slice_seconds / (rate * unit))))
        heapq.heappush(events, (now + steps * rate, r, steps))
    makespan = float(ends.max())
    fastest = min(cost.values())
    ideal = float(starts.totals[kinds].sum()) / WIDEST / groups
    longest = float(starts.totals[kinds].max()) * fastest
    return Result(
        efficiency=ideal / makespan,
        bound=min(1.0, ideal / longest),
        makespan=makespan,
        idle=1.0 - float(ends.mean()) / makespan,
        waiting=waited / groups / makespan,
        takes=takes,
        handed=min(given, number),
    )


def _level(
    active: list[list[int]],
    pool: Pool[tuple[int, int]],
    which: list[int],
    progress: list[tuple[list[int], list[int]]],
) -> None:
    """Where climbs have just finished a rung, let those that are less far go on."""
    between = []
    for lane, (i, done) in enumerate(active):
        rungs = progress[which[i]][0]
        if done and rungs[done] != rungs[done - 1]:
            between.append((-rungs[done], lane))
    for rung, lane in sorted(between):
        if pool.gives_way(-rung):
            other = pool.next()
            pool.add((active[lane][0], active[lane][1]), -rung)
            active[lane] = list(other or ())
