"""The evidence on the lowest level, from which `hpcda.search.conclusion` draws the verdict.

At the true path 2 · measurement = Σ ((y - h(x)) / σ)² is a χ² variable of n degrees of freedom, n data
values; with priors, 2 · prior adds one for each of them. At the minimum the unknowns absorb some: where the
model is obeyed, a path is given by its states at the first time of each window and the parameters, k numbers,
and ν = n - k degrees of freedom are left. The score is z = (2 · (measurement + prior) - ν) / √(2 ν). At
finite Rf the path gives way a little more, so that z of the true level is rather below 0 than above. The
distance of other levels is told in nats, a path's probability being exp(-A), and in units of √(n/2), the
deviation of the action at the true path.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hpcda.search.expected import Expected
from hpcda.search.obeyed import Obedience, sentence
from hpcda.search.time_step import TimeStep, described

DEVIATIONS = 3.0
"""Width of the χ² band, and of the one above the lowest level where wrong minima fit, in deviations."""
RIVAL = 5.0
"""Action above the lowest, in nats, below which another level is a rival: "very strong" evidence begins here
(R. E. Kass, A. E. Raftery, J. Am. Stat. Assoc. 90, 773 (1995))."""
FEW = 40.0
"""Degrees of freedom for each absorbed one below which wrong minima may agree with the data as well."""
ALIKE = 0.05
"""Distance of two paths, in units of the states' spread, up to which they say the same."""

NAMED = 12
"""Open parameters and initial states that are named to people."""


@dataclass(frozen=True)
class Level:
    """One distinct minimum at the last Rf.

    Attributes:
        action: A.
        measurement: Its measurement part.
        count: Starts that ended there.
        ways: Way of starting -> starts that came here; escapes count under their own names, those that fell
            back to where they came from not at all.
        prior: Its prior part; what is left of A is the model part.
        distance: How far it is from the lowest level: root mean square distance of the paths in units of the
            spread of each state, or largest difference of a parameter in units of the width of its first
            guess, whichever is more; infinite if unknown.
        converged: Whether the minimizer came to its tolerance there.
    """

    action: float
    measurement: float
    count: int
    ways: Mapping[str, int] = field(default_factory=dict)
    prior: float = 0.0
    distance: float = math.inf
    converged: bool = True

    @property
    def limit(self) -> float:
        """A(∞), the level without model error, as far as the last rung tells (`hpcda.search.plateau`)."""
        return 2.0 * self.action - self.measurement - self.prior


@dataclass(frozen=True)
class Noise:
    """The χ² test of a level.

    Where the noise is not Gaussian of known width, twice the action at the true path has another expectation
    and variance than n and 2 n; what is above these is counted apart.

    Attributes:
        values: n, data values and priors.
        absorbed: k, how many of them the unknowns can absorb where the model is obeyed.
        excess: Expectation of the measurement part at the true path, less n/2.
        wider: Its variance, less n/2.
        known: Whether these two are known; there is no score where they are not.
    """

    values: int
    absorbed: int = 0
    excess: float = 0.0
    wider: float = 0.0
    known: bool = True

    @property
    def freedom(self) -> int:
        """ν = n - k, not below 0."""
        return max(self.values - self.absorbed, 0)

    @property
    def scale(self) -> float:
        """√(n/2 + wider), the deviation of the action at the true path."""
        return math.sqrt(max(self.values / 2.0 + self.wider, 0.5))

    @property
    def few(self) -> bool:
        """Whether wrong minima may agree with the data as well."""
        return self.freedom < FEW * self.absorbed

    def score(self, part: float) -> float | None:
        """(2 · (part - excess) - ν) / √(2 ν + 4 · wider) of a part of the action.

        None without degrees of freedom, and where what noise alone gives is not known.
        """
        if not self.freedom or not self.known:
            return None
        wide = max(2.0 * self.freedom + 4.0 * self.wider, 1e-3 * self.freedom)
        return (2.0 * (part - self.excess) - self.freedom) / math.sqrt(wide)


def noise_of(expected: Expected, data: int, priors: int, absorbed: int) -> Noise:
    """The χ² test of a level.

    Args:
        expected: What noise alone makes of the measurement part.
        data: Number of data values.
        priors: Number of priors.
        absorbed: Unknowns that are left where the model is obeyed.
    """
    half = 0.5 * data
    return Noise(data + priors, absorbed, expected.mean - half, expected.variance - half, expected.known)


@dataclass(frozen=True)
class Hits:
    """How one way the start began fared.

    Attributes:
        tried: Its starts that have ended.
        hits: Those of them that came to the lowest level.
        levels: Levels that they came to.
        missed: Good's estimate of the share of its further starts that would come to a level it has not seen:
            levels that it saw once, over its starts that came to any; None without one. It is blind to levels
            that the way never comes to, and 0 for a way that always makes the same path.
        anew: Whether its starts began anew, not from minima.
    """

    tried: int
    hits: int
    levels: int
    missed: float | None
    anew: bool = True


@dataclass(frozen=True)
class Evidence:
    """All that a conclusion rests on.

    Attributes:
        z: Standard score of the lowest level's measurement and prior parts among true paths' minima.
        whole: The same of its whole action, the model error included.
        values: Data values and priors.
        freedom: Degrees of freedom: `values` less what the unknowns absorb.
        few: Whether they are so few that wrong minima may agree with the data as well.
        near: Levels within three deviations of the lowest: wrong minima that agree as well.
        plateau: Whether the level no longer depends on Rf; None where the ladder does not tell.
        gap: Distance to the next level in units of √(n/2); None where there is none.
        rivals: Levels within `RIVAL` nats of the lowest.
        levels: Levels found; those within three deviations of the lowest whose paths are nearly its own count
            as that one, here and everywhere.
        count: Starts that came to the lowest level.
        ended: Starts that came to any level.
        hits: Way of starting -> how it fared.
        agreement: Whether the lowest level is still found by two starts when any one way is left out; None
            with one way.
        predicted: Root mean square error of the first predicted samples over the noise; None where nothing is
            kept back.
        complete: Share of the starts asked for that have ended.
        probed: Escapes from the lowest level; none of them found a lower one.
        converged: Whether the minimizer came to its tolerance at the lowest level.
        left_open: Parameters and initial states that the data leave open at the lowest level, "p with q"
            where they can only move together.
        action: Action of the lowest level.
        limit: The same in the limit of large Rf, see `Level.limit`.
        obedience: How the equations are obeyed there; None where that is not known.
        tested: Whether what noise alone gives is known; where its scale is estimated χ² says nothing.
        so_far: Of incomplete ensembles, the code of what the starts that have ended would say by themselves.
        step: Whether the time step is fine enough for the lowest level; None where that was not asked, and
            of maps.
    """

    z: float | None
    whole: float | None
    values: int
    freedom: int
    few: bool
    plateau: bool | None
    gap: float | None
    near: int
    rivals: int
    levels: int
    count: int
    ended: int
    hits: Mapping[str, Hits]
    agreement: bool | None
    predicted: float | None
    complete: float
    probed: int = 0
    converged: bool = True
    left_open: tuple[str, ...] = ()
    action: float | None = None
    limit: float | None = None
    obedience: Obedience | None = None
    so_far: str | None = None
    step: TimeStep | None = None
    tested: bool = True

    @property
    def fit(self) -> float | None:
        """Measurement and prior parts of the lowest level's action."""
        return None if self.action is None or self.limit is None else 2.0 * self.action - self.limit

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        plain = dict(vars(self))
        plain["step"] = None if self.step is None else self.step.record()
        plain["hits"] = {way: dict(vars(hits)) for way, hits in self.hits.items()}
        plain["left_open"] = list(self.left_open)
        plain["obedience"] = None if self.obedience is None else self.obedience.record()
        return plain


def joined(levels: Sequence[Level], near: float) -> list[Level]:
    """The levels, those that say the same as the lowest taken for one with it."""
    if not levels:
        return []
    same = [
        level for level in levels[1:] if level.distance <= ALIKE and level.action < levels[0].action + near
    ]
    ways = Counter(levels[0].ways)
    for level in same:
        ways.update(level.ways)
    count = sum(level.count for level in [levels[0], *same])
    rest = [level for level in levels[1:] if level not in same]
    return [replace(levels[0], count=count, ways=dict(ways)), *rest]


def evidence_of(
    levels: Sequence[Level],
    tried: Mapping[str, int],
    noise: Noise,
    settled: bool | None,
    predicted: float | None,
    complete: float,
    probed: int,
    obedience: Obedience | None = None,
    escapes: Collection[str] = (),
) -> Evidence:
    """Of levels that are `joined`; see `hpcda.search.conclusion.conclude`."""
    names = list(dict.fromkeys([*tried, *(way for level in levels for way in level.ways)]))
    hits = {way: _hits(way, tried.get(way, 0), levels, way not in escapes) for way in names}
    used = [way for way in names if hits[way].tried]
    lowest = levels[0] if levels else None
    nats = [level.action - levels[0].action for level in levels[1:]]
    gaps = [gap / noise.scale for gap in nats]
    total, most = sum(one.hits for one in hits.values()), max((one.hits for one in hits.values()), default=0)
    return Evidence(
        z=None if lowest is None else noise.score(lowest.measurement + lowest.prior),
        whole=None if lowest is None else noise.score(lowest.action),
        values=noise.values,
        freedom=noise.freedom,
        few=noise.few,
        plateau=settled,
        gap=gaps[0] if gaps else None,
        near=sum(gap < DEVIATIONS for gap in gaps),
        rivals=sum(gap < RIVAL for gap in nats),
        levels=len(levels),
        count=total,
        ended=sum(sum(level.ways.values()) for level in levels),
        hits=hits,
        agreement=None if len(used) < 2 or lowest is None else total - most >= 2,
        predicted=predicted,
        complete=complete,
        probed=probed,
        converged=lowest is None or lowest.converged,
        action=None if lowest is None else lowest.action,
        limit=None if lowest is None else lowest.limit,
        obedience=obedience,
        tested=noise.known,
    )


def _hits(way: str, tried: int, levels: Sequence[Level], anew: bool) -> Hits:
    counts = [level.ways.get(way, 0) for level in levels]
    ended, once = sum(counts), sum(count == 1 for count in counts)
    return Hits(
        max(tried, ended),
        counts[0] if counts else 0,
        sum(count > 0 for count in counts),
        once / ended if ended else None,
        anew,
    )


def facts(record: Mapping[str, Any]) -> dict[str, str]:
    """Evidence for people: title -> what was found.

    Args:
        record: What `Evidence.record` returned, or the same read back from summary.json.
    """
    found: dict[str, str] = {}
    if not record["levels"]:
        return found
    if not record.get("tested", True):
        found["noise"] = "its scale is estimated: χ² cannot test the model"
    elif record["z"] is None:
        found["noise"] = (
            f"no degrees of freedom: {record['values']} data values and priors, as many unknowns or more; "
            f"twice the action is {2.0 * record['action']:.4g}, noise gives at most "
            f"{record['values'] + DEVIATIONS * math.sqrt(2.0 * record['values']):.3g}"
        )
    else:
        few = ", few: wrong minima may pass as well" if record["few"] else ""
        found["noise"] = (
            f"{record['z']:+.2f} χ² deviations, with the model error {record['whole']:+.2f} (within ±3: "
            f"agreement; {record['freedom']} degrees of freedom{few})"
        )
    settled = {True: "no longer", False: "still", None: "not known, the ladder is too short"}
    exact = record["plateau"] and math.isclose(record["limit"], record["action"], rel_tol=1e-13)
    found["depends on Rf"] = settled[record["plateau"]]
    obedience = record.get("obedience")
    if exact:
        found["depends on Rf"] = "no: the model is obeyed exactly"
    elif record.get("limit") is not None and (obedience is None or obedience["obeyed"]):
        found["depends on Rf"] += f": {record['action']:.7g} now, {record['limit']:.7g} without model error"
    if obedience is not None:
        found["equations"] = sentence(obedience)
    if record["gap"] is None:
        found["next level"] = "none was found"
    else:
        near = f"; {record['near']} within three" if record["near"] else ""
        near += f", {record['rivals']} nearly as probable" if record["rivals"] else ""
        found["next level"] = f"{record['gap']:.3g} χ² deviations above{near}"
    hits: Mapping[str, Mapping[str, Any]] = record["hits"]
    found["reached by"] = ", ".join(f"{one['hits']} of {one['tried']} {way}" for way, one in hits.items())
    found["unseen levels"] = (
        ", ".join(
            f"{way} {one['missed']:.0%}" if one["missed"] is not None else f"{way} not known"
            for way, one in hits.items()
        )
        + " (estimated probability that the strategy's next start ends at a level not seen before)"
    )
    if record["agreement"] is not None:
        agreed = (
            "whichever one is left out, the others find the level"
            if record["agreement"]
            else "almost only one of them finds the level"
        )
        found["strategies"] = agreed
    if record["probed"]:
        found["escapes from it"] = f"{record['probed']}, none ended lower"
    if record.get("left_open"):
        names = told_once(record["left_open"])
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        found["left open"] = "; ".join(names[:NAMED]) + more + ": other values fit as well"
    if record["predicted"] is not None:
        found["first prediction"] = (
            f"RMSE of the first held-out samples {record['predicted']:.3g} times the noise"
        )
    if record.get("step") is not None:
        found["time step"] = described(record["step"])
    if record["complete"] < 1.0:
        so_far = f"; so far: {record['so_far'].replace('_', ' ')}" if record["so_far"] else ""
        found["complete"] = f"{record['complete']:.0%} of the requested starts{so_far}"
    return found


def told_once(directions: Sequence[str]) -> list[str]:
    """Open directions for people: those that move the same unknowns together, each unknown named once.

    Args:
        directions: Of each the unknowns that move, "p with q".
    """
    groups: list[tuple[list[str], int]] = []
    for direction in directions:
        names, count = direction.split(" with "), 1
        for group in [one for one in groups if set(one[0]) & set(names)]:
            groups.remove(group)
            names, count = group[0] + [name for name in names if name not in group[0]], count + group[1]
        groups.append((names, count))
    return [" with ".join(names) + (f" ({count} directions)" if count > 1 else "") for names, count in groups]
