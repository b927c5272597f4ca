"""The methods: one way with one first rung, the plan that spreads over all of them, IPOPT."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Lockstep
from hpcda.search import WAYS, Auto, Budget, SearchContext

from .case import Case, End, Method

LANES = 8
TICKS = 50
"""Steps of all lanes between two looks at the clock."""
IPOPT_FACTOR = 4.0
"""About IPOPT's factor from rung to rung: fewer solves than with the 1.5 of the oracles' ladder."""


@dataclass(frozen=True)
class OneWay:
    """Starts of one way, 8 at a time in lockstep; a lane that ends is given the next start at once.

    Attributes:
        name: As the table names it.
        way: Name of the way.
        share: Share of the ladder below the first rung.
    """

    name: str
    way: str
    share: float

    def run(self, case: Case, seed: int, seconds: float) -> list[End]:
        """See `Method`."""
        context, way = case.context, WAYS[self.way]
        first = context.rung(self.share)
        lockstep = Lockstep(context.action, context.ladder, LANES)
        ends: list[End] = []
        start = 0
        began = time.process_time()
        while True:
            for lane in lockstep.empty:
                path = way.draw(context, np.random.default_rng([seed, start]))
                lockstep.put(int(lane), start, path, first, True)
                start += 1
            lockstep.advance(TICKS)
            now = time.process_time() - began
            if now > seconds:
                return ends
            for one in lockstep.reached():
                if one.rung.number == context.ladder.rungs - 1 and one.rung.reason.converged:
                    ends.append(End(now, one.rung.parts.total))
            if ends and min(end.action for end in ends) <= case.target:
                return ends


@dataclass(frozen=True)
class Planned:
    """An ensemble that decides from round to round which starts to run, as `hpcda run` has it.

    Attributes:
        name: As the table names it.
        plan: (context, seed, most starts) -> a plan of hpcda.search.
        starts: Most starts; the plan looks at the clock between rounds, whose size grows with it.
    """

    name: str
    plan: Callable[[Any, int, int], Any]
    starts: int = 256

    def run(self, case: Case, seed: int, seconds: float) -> list[End]:
        """See `Method`."""
        from hpcda.ensemble import Ensemble
        from hpcda.mpi import Queue, World
        from hpcda.petsc import make_team

        context = case.context
        with World() as world:
            queue = Queue(world.comm, world.group, 0)
            team = make_team(context.action, context.ladder, comm=world.group, share=float(LANES))
            watched = _Watched(self.plan(context, seed, self.starts), case, seconds, context.ladder.rungs - 1)
            ensemble = Ensemble(context, world, team, None, queue, seed, True, None)
            watched.began = time.process_time()
            ensemble.run(watched)
            team.destroy()
            queue.close()
        return watched.ends


class _Watched:
    """A plan that tells when its starts ended, round by round, and ends at the target or the limit."""

    def __init__(self, plan: Any, case: Case, seconds: float, last: int) -> None:
        self._plan, self._case, self._seconds, self._last = plan, case, seconds, last
        self._seen: set[int] = set()
        self.began = 0.0
        self.ends: list[End] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plan, name)

    def next(self, found: Sequence[Any]) -> Any:
        """See hpcda.search.Plan."""
        now = time.process_time() - self.began
        if now > self._seconds:
            return None
        new = [one for one in found if one.start not in self._seen]
        self._seen |= {one.start for one in new}
        self.ends += [End(now, one.action) for one in new if one.last == self._last and not one.failed]
        if self.ends and min(end.action for end in self.ends) <= self._case.target:
            return None
        return self._plan.next(found)


class _OutOfTime(Exception):
    pass


@dataclass(frozen=True)
class Ipopt:
    """CasADi's IPOPT from one start after another, on an action written independently.

    Attributes:
        name: As the table names it.
        way: Name of the way in which its starts begin, at the first rung.
        folder: Where compiled code is kept.
    """

    name: str
    way: str
    folder: Path

    def run(self, case: Case, seed: int, seconds: float) -> list[End]:
        """See `Method`."""
        from tests.benchmarks.peers_parts.ipopt import follow, prepare

        problem, whole = case.context.problem, case.context.ladder
        ratio = float(whole.rf[-1] / whole.rf[0])
        rungs = round(np.log(ratio) / np.log(IPOPT_FACTOR)) + 1
        ladder = Ladder(whole.rf0, ratio ** (1 / (rungs - 1)), rungs)
        prepared = prepare(problem, ladder, self.folder)
        ends: list[End] = []
        began = time.process_time()

        def look(rung: int) -> None:
            if time.process_time() - began > seconds:
                raise _OutOfTime

        try:
            for start in range(1_000_000):
                path = WAYS[self.way].draw(case.context, np.random.default_rng([seed, start]))
                action, _, _ = follow(problem, prepared, ladder, path, look)
                look(rungs)
                ends.append(End(time.process_time() - began, action))
                if action <= case.target:
                    break
        except _OutOfTime:
            pass
        return ends


def _auto(context: SearchContext, seed: int, starts: int) -> Auto:
    return Auto(context, seed, Budget(starts, until_stable=False))


def all_methods(folder: Path) -> dict[str, Method]:
    """The methods by name: "ladder", then each way at each share of its first rungs, "auto", IPOPT.

    Args:
        folder: Where compiled code is kept.
    """
    found: list[Method] = [OneWay("ladder", "uniform", 0.0)]
    found += [
        OneWay(f"{way.name}@{share:g}", way.name, share)
        for way in WAYS.values()
        for share in way.shares
        if (way.name, share) != ("uniform", 0.0)
    ]
    found.append(Planned("auto", _auto))
    found += [Ipopt("ipopt", "uniform", folder), Ipopt("ipopt-quiet", "quiet", folder)]
    return {method.name: method for method in found}
