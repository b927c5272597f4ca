"""The search: rounds of starts, allotted to starting strategies and escapes by what they have found.

Every round draws its tasks by Thompson sampling (Biometrika 25, 285 (1933)) over arms, an arm being a way
with a first rung, or an escape: the chance of a gain, from what its starts have gained so far, over its cost
in steps. While no level agrees with the data a gain is a lower level, and a little any new one; from
then on it is another start at the lowest level, which confirms it. All is decided between rounds, from
numbers that are the same whatever ran them: nothing depends on the order of arrival, on the number of ranks,
or on which starts were merged when. (Core-seconds are never the same; only their budget asks for them.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpcda.annealing.record import Task
from hpcda.search.conclusion import PROBES, Conclusion, confirmed
from hpcda.search.context import SearchContext
from hpcda.search.descent import fell_back
from hpcda.search.escapes import ESCAPES, Escape, probing, settling
from hpcda.search.evidence import Evidence
from hpcda.search.expected import Expected, expected_of_data
from hpcda.search.judge import Ends, Facts, judge
from hpcda.search.levels import distinct, is_level
from hpcda.search.plan import Found, Listed, Round, Share
from hpcda.search.ways import WAYS, Way

FIRST, NEXT = 2, 8
"""Starts of the first round; starts up to the end of the second round, and
in each of the next ones."""
FIRST_PART, NEXT_PART = 1024, 128
"""Rounds hold at least starts/1024 (first) and starts/128 (later) starts: large runs keep all ranks busy."""
GROWTH, PART = 2, 8
"""Later rounds hold this part of the starts run so far, at most that one of those that may be run."""
PARENTS, FADE = 6, 0.7
"""Lowest levels from which escapes begin, and by what the next one is drawn less often than the one below."""
MIXED = 0.5
"""Chance of a task to be a mixed draw of escapes while no level agrees with the data, and afterwards to be of
a way that has not found the lowest level yet."""
CONSISTENT = 3.0
"""Standard deviations of χ² within which a level agrees with the data."""
MARGIN = 6.0
"""Starts are given up so many standard deviations of χ² above a level that agrees with the data, and, in the
first `CAPPED` rounds, above the mean of such levels."""
CAPPED = 3
NEW = 0.1
"""What a new level is worth while none agrees with the data; a lower one than all before is worth 1."""
TYPICAL = 100.0
"""Steps of a start of which nothing is known."""
FINAL = frozenset(Conclusion) - {
    Conclusion.INCONSISTENT,
    Conclusion.FAILED,
    Conclusion.CONSISTENT_NOT_CONFIRMED,
}
"""Conclusions about a confirmed level that more starts would not change, short of a lower one."""


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
            ladder where all before gave up their starts. A round is no longer than what is left of them
            allows, as far as the starts before it tell.
        until_stable: Whether it ends as soon as the lowest level is consistent and stable.
    """

    starts: int
    core_seconds: float = np.inf
    until_stable: bool = True


class Auto:
    """The plan of `way = "auto"`.

    After the first round ways whose paths take long to draw wait until some level is known; while none agrees
    with the data, each of them gets about as many steps as all others together.

    Args:
        context: The context.
        seed: Seed of the ensemble.
        budget: When it ends.
        share: The starts that it may run, where several searches share them.
        files: Checksums of the files whose ways and escapes it draws beside the package's own.

    Attributes:
        cap: See `Plan`: nothing so far above the lowest level found is a rival of it, and actions only grow.
    """

    informed = True

    def __init__(
        self,
        context: SearchContext,
        seed: int,
        budget: Budget,
        share: Share | None = None,
        files: Collection[str] = (),
    ) -> None:
        self._context, self._seed, self._budget = context, seed, budget
        self._share = share or Share()
        self._expected = expected_of_data(context.problem)
        ways = searched(context, files)
        shares = [(way.name, share) for way in ways for share in way.shares]
        self._escapes = [escape for escape in ESCAPES.known(files) if escape.fits(context.problem)]
        self._arms = list(dict.fromkeys(Arm(way, context.rung(share)) for way, share in shares))
        self._cheap = [arm for arm in self._arms if not WAYS[arm.way].steps]
        leader = leading(ways)
        self._best = [arm for arm in self._arms if leader is not None and arm.way == leader.name]
        self._given = 0
        self._rounds = 0
        self.cap = np.inf

    def replay(self, starts: int, cap: float) -> None:
        """See `Plan`."""
        self._given += starts
        self._rounds += 1
        self.cap = cap

    def next(self, found: Sequence[Found]) -> Round | None:
        """See `Plan`."""
        budget = self._budget
        levels = distinct(self._ended(found))
        spent = sum(one.seconds for one in found)
        over = spent > budget.core_seconds
        count = min(self._count(), budget.starts - self._given)
        if spent and np.isfinite(budget.core_seconds):
            left = max(budget.core_seconds / spent - 1.0, 0.0)
            count = min(count, 1 + int(left * len(found)))
        if count <= 0 or (over and (levels or np.isinf(self.cap))):
            return None
        self.cap = self._cap(levels, last=over or self._given + count >= budget.starts)
        if levels:
            conclusion, evidence = self.conclusion(found)
            asked = any(one.way == settling().name and one.parents == (levels[0].start,) for one in found)
            if conclusion is Conclusion.CONSISTENT_NOT_SETTLED and not asked:
                return self._round([self._task(Arm(settling().name, -1), levels[:1])])
            if budget.until_stable and (conclusion.stable or (confirmed(evidence) and conclusion in FINAL)):
                return None
            if consistent(levels[0], self._expected):
                return self._round(self._confirming(found, levels, evidence, count))
            if self._rounds > 1:
                return self._round(self._searching(found, levels, count))
        return self._round([self._task(arm, ()) for arm in self._untried(count)])

    def _round(self, tasks: Sequence[Task]) -> Round:
        self._rounds += 1
        return Listed(tasks)

    def _count(self) -> int:
        """Starts of the next round, where there are so many left."""
        starts = self._budget.starts
        if not self._given and self._best:
            return max(FIRST, starts // FIRST_PART)
        few = max(NEXT, starts // NEXT_PART)
        return max(few - self._given % few, min(self._given // GROWTH, starts // PART))

    def _untried(self, count: int) -> list[Arm]:
        """One arm after another."""
        arms = self._cheap if self._given or not self._best else self._best
        return [arms[k % len(arms)] for k in range(count)]

    def _task(self, arm: Arm, parents: Sequence[Found]) -> Task:
        """The next start, of an arm."""
        start = self._share.number(self._given)
        self._given += 1
        if arm.first >= 0:
            return Task(start, arm.way, arm.first)
        rng = np.random.default_rng([self._seed, start, 1])
        weights = np.array([FADE**rank for rank in range(len(parents))])
        wanted = ESCAPES[arm.way].parents
        chosen = rng.choice(len(parents), wanted, replace=False, p=weights / weights.sum())
        return Task(start, arm.way, 0, tuple(parents[k].start for k in chosen))

    def conclusion(self, found: Sequence[Found]) -> tuple[Conclusion, Evidence]:
        """What has been found says so far."""
        problem, ladder = self._context.problem, self._context.ladder
        facts = Facts(
            problem.measured, problem.trajectory_unknowns, problem.prior_terms, ladder.rf, self._expected
        )
        return judge(Ends.of(found, ladder.rungs), facts)

    @property
    def _mix(self) -> list[Escape]:
        """Escapes that may lead to new minima."""
        return [one for one in self._escapes if one.weight > 0.0]

    def _ended(self, found: Sequence[Found]) -> list[Found]:
        return [one for one in found if one.last == self._context.ladder.rungs - 1 and not one.failed]

    def _cap(self, levels: Sequence[Found], last: bool) -> float:
        """Action above which a start is of no use any more: actions only grow with Rf."""
        expected = self._expected
        deviation = np.sqrt(expected.variance)
        if levels and consistent(levels[0], expected):
            return float(levels[0].action + MARGIN * deviation)
        if self._rounds < CAPPED and not last and expected.known:
            return float(expected.mean + MARGIN * deviation)
        return levels[:PARENTS][-1].action if len(levels) >= PARENTS else np.inf

    def _confirming(
        self, found: Sequence[Found], levels: Sequence[Found], evidence: Evidence, count: int
    ) -> list[Task]:
        """Starts that may find the lowest level again, or one below it.

        Half of them begin where the lowest level does, until enough have; where one way alone has found it,
        half of the others are of other ways. Other escapes begin from higher levels: from the lowest they
        would fall back.
        """
        lowest = [one.start for one in found if is_level(one, levels[0])]
        back = fell_back(lowest, {one.start: one.parents for one in found})
        gains = [float(one.start in lowest and one.start not in back) for one in found]
        standing = self._standing(found, levels[1:], gains)
        found_by = {way for way, one in evidence.hits.items() if one.hits}
        others = {arm: one for arm, one in standing.items() if arm.way not in found_by}
        if evidence.agreement:
            others.clear()
        rng = np.random.default_rng([self._seed, self._rounds, self._share.part])
        wanted = PROBES if set(found_by) - set(ESCAPES) else 2 * PROBES
        probes = min(max(wanted - evidence.probed, 0), count - count // 2)
        tasks = [self._task(Arm(probing().name, -1), levels[:1]) for _ in range(probes)]
        for _ in range(count - probes):
            arm = thompson(others if others and rng.random() < MIXED else standing, rng)
            tasks.append(self._task(arm, levels[1 : PARENTS + 1]))
        return tasks

    def _searching(self, found: Sequence[Found], levels: Sequence[Found], count: int) -> list[Task]:
        """Starts that may find a lower level."""
        standing = self._standing(found, levels, news(found, levels))
        rng = np.random.default_rng([self._seed, self._rounds, self._share.part])
        mix = [Arm(one.name, -1) for one in self._mix if Arm(one.name, -1) in standing]
        weights = np.array([ESCAPES[arm.way].weight for arm in mix])
        dear = [arm for arm in self._arms if arm not in self._cheap]
        quick = {arm: one for arm, one in standing.items() if arm not in dear}
        spent = [cost for one, cost in zip(found, costs(found, levels), strict=True) if not drawing(one.way)]
        usual = float(np.mean(spent)) if spent else TYPICAL
        tasks = []
        for _ in range(count):
            slow = [arm for arm in dear if rng.random() < chance(arm.way, usual)]
            if slow:
                arm = slow[-1]
            elif mix and rng.random() < MIXED:
                arm = mix[rng.choice(len(mix), p=weights / weights.sum())]
            else:
                arm = thompson(quick, rng)
            tasks.append(self._task(arm, levels[:PARENTS]))
        return tasks

    def _standing(
        self, found: Sequence[Found], parents: Sequence[Found], gains: Sequence[float]
    ) -> dict[Arm, Standing]:
        """What became of the starts of each arm that can be drawn, escapes from these levels among them."""
        escapes = [one for one in self._mix if one.parents <= len(parents)]
        arms = [*self._arms, *(Arm(one.name, -1) for one in escapes)]
        standing = {arm: Standing() for arm in arms}
        for one, gain, cost in zip(found, gains, costs(found, distinct(self._ended(found))), strict=True):
            arm = Arm(one.way, -1 if one.way in ESCAPES else one.first)
            if arm in standing:
                standing[arm].tried += 1
                standing[arm].gain += gain
                standing[arm].cost += cost
        return standing


def thompson(standing: Mapping[Arm, Standing], rng: np.random.Generator) -> Arm:
    """The arm whose chance of a gain over its cost is the highest of one draw from what is known of each."""
    chances = [
        rng.beta(0.5 + s.gain, 1.0 + s.tried - s.gain) * (1 + s.tried) / (TYPICAL + drawing(arm.way) + s.cost)
        for arm, s in standing.items()
    ]
    return list(standing)[int(np.argmax(chances))]


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

    What drawing its path takes is counted as so many steps.

    Args:
        found: The starts.
        levels: The first start of each level, which went on by itself; what is usual is theirs.
    """
    rungs = sum(level.last - level.first for level in levels)
    usual = sum(level.iterations - level.opening for level in levels) / max(rungs, 1)
    return [one.opening + usual * (one.last - one.first) + drawing(one.way) for one in found]


def chance(way: str, usual: float) -> float:
    """Chance that a start is of a way whose paths take long to draw, while no level agrees with the data.

    So the way gets about as many steps as the starts that are not of it.

    Args:
        way: Its name.
        usual: Mean number of steps of the others.
    """
    return usual / (usual + drawing(way))


def searched(context: SearchContext, files: Collection[str] = ()) -> list[Way]:
    """The ways that a search draws; see `Auto` for `files`."""
    return [way for way in WAYS.known(files) if way.searched and way.fits(context.problem)]


def leading(ways: Sequence[Way]) -> Way | None:
    """The way with which a search begins, or None."""
    best = max(ways, key=lambda way: way.leads, default=None)
    return best if best is not None and best.leads > 0 else None


def expected(
    context: SearchContext, starts: int, usual: float, files: Collection[str] = ()
) -> dict[str, float]:
    """How many paths of each way that takes long to draw a search is expected to draw, at most.

    These are those of a search in which no level agrees with the data before all its starts were run.

    Args:
        context: The context.
        starts: Starts of the search.
        usual: Mean number of steps of its other starts.
        files: See `Auto`.
    """
    all_ways = searched(context, files)
    ways = [way.name for way in all_ways if way.steps]
    first = min(max(FIRST, starts // FIRST_PART), starts)
    draws, rest = {}, float(starts - first)
    for name in reversed(ways):
        draws[name] = chance(name, usual) * rest
        rest -= draws[name]
    leader = leading(all_ways)
    if leader is not None and leader.name in draws:
        draws[leader.name] += first
    return draws


def drawing(way: str) -> float:
    """Steps that take as long as drawing a path in a way, or by an escape."""
    return WAYS[way].steps if way in WAYS else 0.0


def consistent(level: Found, expected: Expected) -> bool:
    """Whether a level's measurement error is known to be what noise leaves, or less."""
    most = expected.mean + CONSISTENT * np.sqrt(expected.variance)
    return expected.known and bool(level.measurement <= most)
