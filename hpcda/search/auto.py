"""The search: rounds of starts spread over ways and escapes, shifted toward what finds the lowest level.

Every round draws its tasks by Thompson sampling (Biometrika 25, 285 (1933)) over arms, an arm being a way
with a first rung, or an escape: the chance of a gain, from what its starts have gained so far, over its cost
in steps. While no level agrees with the data a gain is a lower level, and a little any new one; from
then on it is another start at the lowest level, which confirms it. All is decided between rounds, from
numbers that are the same whatever ran them: nothing depends on the order of arrival, on the number of ranks,
or on which starts were merged when. (Core-seconds are never the same; only their budget asks for them.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcda.search.conclusion import Conclusion, Level, conclude
from hpcda.search.descent import fell_back
from hpcda.search.escapes import ESCAPES, MIX
from hpcda.search.levels import distinct, grouped, is_level
from hpcda.search.plan import Found, Listed, Round, Share, Task
from hpcda.search.plateau import plateau
from hpcda.search.scene import Scene
from hpcda.search.ways import WAYS

FIRST = 8
"""Starts of the first rounds."""
GROWTH, PART = 2, 8
"""Later rounds hold this part of the starts run so far, at most that one of those that may be run."""
PARENTS, FADE = 6, 0.7
"""Lowest levels from which escapes begin, and by what the next one is drawn less often than the one below."""
MIXED = 0.5
"""Chance of a task to be a mixed draw of escapes while no level agrees with the data."""
CONSISTENT = 3.0
"""Standard deviations of χ² within which a level agrees with the data."""
MARGIN = 6.0
"""Starts are given up so many standard deviations of χ² above a level that agrees with the data, and, in the
first `CAPPED` rounds, above the mean of such levels."""
CAPPED = 2
NEW = 0.1
"""What a new level is worth while none agrees with the data; a lower one than all before is worth 1."""
TYPICAL = 100.0
"""Steps of a start of which nothing is known."""


@dataclass(frozen=True)
class Arm:
    """A way with its first rung, or an escape (first: -1)."""

    way: str
    first: int


@dataclass
class Standing:
    """What became of an arm's starts."""

    tried: int = 0
    gain: float = 0.0
    cost: float = 0.0


@dataclass(frozen=True)
class Budget:
    """When a search ends: always after a round.

    Attributes:
        starts: Most starts.
        core_seconds: Core-seconds after which no round begins, but for one that is run to the end of the
            ladder where all before gave up their starts.
        until_stable: Whether it ends as soon as the lowest level is consistent and stable.
    """

    starts: int
    core_seconds: float = np.inf
    until_stable: bool = True


class Auto:
    """The plan of `way = "auto"`.

    Args:
        scene: The scene.
        seed: Seed of the ensemble.
        budget: When it ends.
        share: The starts that it may run, where several searches share them.

    Attributes:
        cap: See `Plan`: nothing so far above the lowest level found is a rival of it, and actions only grow.
    """

    informed = True

    def __init__(self, scene: Scene, seed: int, budget: Budget, share: Share | None = None) -> None:
        self._scene, self._seed, self._budget = scene, seed, budget
        self._share = share or Share()
        ways = [way for way in WAYS.values() if way.name != "uniform" and way.fits(scene.problem)]
        shares = [(way.name, share) for way in ways for share in way.shares]
        self._escapes = [escape for escape in ESCAPES.values() if escape.fits(scene.problem)]
        self._arms = list(dict.fromkeys(Arm(way, scene.rung(share)) for way, share in shares))
        self._given = 0
        self._rounds = 0
        self.cap = np.inf

    def recall(self, starts: int, cap: float) -> None:
        """See `Plan`."""
        self._given += starts
        self._rounds += 1
        self.cap = cap

    def next(self, found: Sequence[Found]) -> Round | None:
        """See `Plan`."""
        budget = self._budget
        count = max(FIRST, min(self._given // GROWTH, budget.starts // PART))
        count = min(count, budget.starts - self._given)
        levels = distinct(self._ended(found))
        over = sum(one.seconds for one in found) > budget.core_seconds
        if count <= 0 or (over and (levels or np.isinf(self.cap))):
            return None
        self.cap = self._cap(levels, last=over or self._given + count >= budget.starts)
        arms = [self._arms[k % len(self._arms)] for k in range(count)]
        if levels:
            if budget.until_stable and self.conclusion(found).stable:
                return None
            arms = self._drawn(found, levels, count)
        parents = tuple(level.start for level in levels[:PARENTS])
        tasks = []
        for arm in arms:
            start = self._share.number(self._given)
            self._given += 1
            if arm.first >= 0:
                tasks.append(Task(start, arm.way, arm.first))
            else:
                rng = np.random.default_rng([self._seed, start, 1])
                weights = FADE ** np.arange(len(parents))
                wanted = ESCAPES[arm.way].parents
                chosen = rng.choice(len(parents), wanted, replace=False, p=weights / weights.sum())
                tasks.append(Task(start, arm.way, 0, tuple(parents[k] for k in chosen)))
        self._rounds += 1
        return Listed(tasks)

    def conclusion(self, found: Sequence[Found]) -> Conclusion:
        """What has been found says so far."""
        problem, ended = self._scene.problem, self._ended(found)
        parents = {one.start: one.parents for one in found}
        levels, idle = [], set()
        groups = grouped(ended)
        minima = [members[0] for members in groups]
        for first, members in zip(minima, groups, strict=True):
            back = fell_back([one.start for one in members], parents)
            idle |= back
            ways = Counter(one.way for one in members if one.start not in back)
            away = apart(first, minima[0])
            converged = any(one.converged for one in members)
            levels.append(
                Level(first.action, first.measurement, len(members), ways, first.prior, away, converged)
            )
        settled = None
        if minima:
            deviation = np.sqrt(problem.measured / 2)
            settled = plateau(minima[0].levels, self._scene.ladder.rf, deviation).reached
        return conclude(
            levels,
            Counter(one.way for one in found if one.start not in idle),
            problem.measured,
            settled,
            absorbed=problem.trajectory_unknowns,
            priors=problem.prior_terms,
        )[0]

    def _ended(self, found: Sequence[Found]) -> list[Found]:
        return [one for one in found if one.last == self._scene.ladder.rungs - 1 and not one.failed]

    def _cap(self, levels: Sequence[Found], last: bool) -> float:
        """Action above which a start is of no use any more: actions only grow with Rf."""
        data = self._scene.problem.measured
        if levels and consistent(levels[0], data):
            return float(levels[0].action + MARGIN * np.sqrt(data / 2))
        if self._rounds < CAPPED and not last:
            return float(data / 2 + MARGIN * np.sqrt(data / 2))
        return levels[:PARENTS][-1].action if len(levels) >= PARENTS else np.inf

    def _drawn(self, found: Sequence[Found], levels: Sequence[Found], count: int) -> list[Arm]:
        good = consistent(levels[0], self._scene.problem.measured)
        arms = list(self._arms)
        if not good:
            arms += [Arm(escape.name, -1) for escape in self._escapes if escape.parents <= len(levels)]
        standing = {arm: Standing() for arm in arms}
        gains = hits(found, levels[0]) if good else news(found, levels)
        for one, gain, cost in zip(found, gains, costs(found, levels), strict=True):
            arm = Arm(one.way, -1 if one.way in ESCAPES else one.first)
            if arm in standing:
                standing[arm].tried += 1
                standing[arm].gain += gain
                standing[arm].cost += cost
        rng = np.random.default_rng([self._seed, self._rounds, self._share.part])
        mix = [Arm(name, -1) for name in MIX if Arm(name, -1) in standing]
        weights = np.array([MIX[arm.way] for arm in mix])
        drawn = []
        for _ in range(count):
            if mix and rng.random() < MIXED:
                drawn.append(mix[rng.choice(len(mix), p=weights / weights.sum())])
                continue
            chances = [
                rng.beta(0.5 + s.gain, 1.0 + s.tried - s.gain) * (1 + s.tried) / (TYPICAL + s.cost)
                for s in standing.values()
            ]
            drawn.append(arms[int(np.argmax(chances))])
        return drawn


def hits(found: Sequence[Found], level: Found) -> list[float]:
    """1 for every start that ended at a level, 0 for the others."""
    return [float(is_level(one, level)) for one in found]


def news(found: Sequence[Found], levels: Sequence[Found]) -> list[float]:
    """What every start has brought in its turn: 1 for the lowest level so far, `NEW` for a new one."""
    new = {level.start for level in levels}
    gains: list[float] = []
    lowest = np.inf
    for one in found:
        gains.append(0.0 if one.start not in new else 1.0 if one.action < lowest else NEW)
        if one.start in new:
            lowest = min(lowest, one.action)
    return gains


def costs(found: Sequence[Found], levels: Sequence[Found]) -> list[float]:
    """Steps that every start takes by itself: its own at its first rung, as many as usual at each above it.

    Args:
        found: The starts.
        levels: The first start of each level, which went on by itself; what is usual is theirs.
    """
    rungs = sum(level.last - level.first for level in levels)
    usual = sum(level.iterations - level.opening for level in levels) / max(rungs, 1)
    return [one.opening + usual * (one.last - one.first) for one in found]


def consistent(level: Found, data: int) -> bool:
    """Whether a level's measurement error is what noise leaves, or less."""
    return 2 * level.measurement <= data + CONSISTENT * np.sqrt(2 * data)


def apart(one: Found, other: Found) -> float:
    """Distance of two paths in units of the spread along them, which is a tenth of their range or more."""
    return 10.0 * float(np.sqrt(np.mean((one.sketch - other.sketch) ** 2)))
