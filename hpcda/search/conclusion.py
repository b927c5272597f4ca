"""What an ensemble says about its lowest level, and all that this rests on: one pure function.

The analysis of a finished run and a search that wants to stop judge by it alike. Three tests need no truth.

- *Noise.* At the true path 2 · measurement = Σ ((y - h(x)) / σ)² is a χ² variable of n degrees of freedom, n
  data values; with priors, 2 · prior adds one for each of them. At the minimum the unknowns absorb some:
  where the model is obeyed, a path is given by its states at the first time of each window and the
  parameters, k numbers, and ν = n - k degrees of freedom are left. The score is z = (2 · (measurement +
  prior) - ν) / √(2 ν). At finite Rf the path gives way a little more, so that z of the true level is rather
  below 0 than above. Upward the whole action is tested: the global minimum is no higher than the true path,
  and an action can only grow with Rf.
- *Dependence on Rf.* The level no longer changes with Rf (Ye et al., Nonlin. Processes Geophys. 22, 205,
  2015).
- *The other levels.* How far they lie above, in nats: a path's probability is exp(-A); and in units of
  √(n/2), the deviation of the action at the true path. How many starts, of which ways, came to the lowest.

A wrong minimum of a chaotic system lies many deviations above the noise where there are many data values
for each unknown; there the first test alone finds it out. Where there are few, or where another level was
seen within three deviations, or where the lowest lies high in the band itself, wrong minima may fit too:
then the lowest has to be confirmed by many starts, of ways that agree or of one that comes there time and
again, and escapes from it have to find nothing lower. How often a level was hit proves nothing about what
other ways would find: I. J. Good's estimate of what is missed (Biometrika 40, 237, 1953) is made for each
way, never over all.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hpcda.search.escapes import ESCAPES

DEVIATIONS = 3.0
"""Width of the χ² band, and of the one above the lowest level where wrong minima fit, in deviations."""
RIVAL = 5.0
"""Action above the lowest, in nats, below which another level is a rival: "very strong" evidence begins here
(R. E. Kass, A. E. Raftery, J. Am. Stat. Assoc. 90, 773 (1995))."""
ENOUGH, TOGETHER = 12, 6
"""Starts that confirm a level where wrong minima may fit: of one way alone, and of ways that agree."""
EASY = 0.5
"""Elsewhere two starts of a way are enough if they are this share of the way's starts."""
PROBES = 12
"""Escapes from the lowest level, to nothing lower, that it takes to confirm one where wrong minima may fit;
twice as many, and twice `ENOUGH` starts, where hardly any but escapes come there."""
SURE = 1.0
"""Score above which a level is doubted."""
FEW = 40.0
"""Degrees of freedom for each absorbed one below which wrong minima may agree with the data as well."""
ALIKE = 0.05
"""Distance of two paths, in units of the states' spread, up to which they say the same."""
MANY = 3
"""Rivals from which on the data do not determine the path."""
PREDICTS = 2.5
"""Largest error of the first predicted samples, in units of the noise, that chaos explains."""


class Conclusion(enum.Enum):
    """What an ensemble says; the value is the sentence for people, with what to do next."""

    CONSISTENT_AND_STABLE = (
        "The lowest level agrees with the data, no longer depends on Rf, has no rival and is confirmed: "
        "take it as the estimate, and trust it as far as it predicts data that were kept back."
    )
    CONSISTENT_RIVALS_REMAIN = (
        "The lowest level agrees with the data, but others are nearly as probable: they cannot be told "
        "apart. Measure more quantities or a longer window, and compare what the levels "
        "predict."
    )
    CONSISTENT_NOT_CONFIRMED = (
        "The lowest level agrees with the data, but too few starts came there, or those of one way of "
        "beginning only, to say that nothing lower was missed. Add starts of other ways and other first "
        'rungs (way = "auto", first_rungs), and see whether they agree.'
    )
    CONSISTENT_NOT_SETTLED = (
        "The lowest level agrees with the data, but whether it depends on Rf is not known from so few rungs: "
        "let the ladder cover at least the decade of Rf before its end."
    )
    CONSISTENT_PREDICTS_BADLY = (
        "The lowest level agrees with the data, but misses the first samples after the window by far more "
        "than the noise, sooner than chaos explains: do not trust it. Add starts of other ways; if they end "
        "no lower, the data leave the last state open (measure more quantities) or the model is wrong "
        "after the window."
    )
    CONSISTENT_NOT_CONVERGED = (
        "The lowest level agrees with the data, but its minimiser stopped at the limit of iterations: there "
        "is something lower in the same valley. Raise solver.max_iterations; where the valley is flat, the "
        "data leave some parameters open: give them priors or bounds."
    )
    NOT_ENOUGH_MEASUREMENTS = (
        "The lowest level agrees with the data, but so do many others, or there are fewer data values than "
        "unknowns: the data do not determine the path. Measure more quantities or a longer window, or add "
        "priors."
    )
    RISING_WITH_RF = (
        "The lowest level still rises with Rf: the model cannot follow the data as closely as the noise "
        "is said to be, or the ladder ends too early. Raise rf_max; if the level leaves the χ² band, look"
        " at the residuals in time for the equation or the noise_std that is wrong, and try smaller time "
        "steps (steps_per_sample)."
    )
    INCONSISTENT = (
        "The lowest level lies above the χ² band: either the search has missed a lower one, or the model "
        'or the noise is wrong. Add starts of other ways and other first rungs (way = "auto", '
        "first_rungs); if they end no lower, doubt the model and noise_std."
    )
    BELOW_NOISE = (
        "The lowest level lies below the χ² band: the path follows the noise, or noise_std is too large. "
        "Raise rf_max if the level still grows with Rf; otherwise check noise_std."
    )
    INCOMPLETE = (
        "Starts that were asked for have not ended: the lowest level may be one of theirs. Run the job "
        "again, to its end, before judging."
    )
    FAILED = (
        "No start came to the end of the ladder: look at the reasons, the bounds and the range of the starts."
    )

    @property
    def code(self) -> str:
        """The word for programs."""
        return self.name.lower()

    @property
    def sentence(self) -> str:
        """The sentence for people."""
        return str(self.value)

    @property
    def stable(self) -> bool:
        """Whether the lowest level may be taken as the answer, and a search may stop."""
        return self is Conclusion.CONSISTENT_AND_STABLE


@dataclass(frozen=True)
class Level:
    """One distinct minimum at the last Rf.

    Attributes:
        action: A.
        measurement: Its measurement part.
        count: Starts that ended there.
        ways: Way of starting -> starts that came here; escapes count under their own names, those that fell
            back to where they came from not at all.
        prior: Its prior part.
        distance: How far it is from the lowest level: root mean square distance of the paths in units of the
            spread of each state, or largest difference of a parameter in units of the width of its first
            guess, whichever is more; infinite where it is not known.
        converged: Whether the minimiser came to its tolerance there.
    """

    action: float
    measurement: float
    count: int
    ways: Mapping[str, int] = field(default_factory=dict)
    prior: float = 0.0
    distance: float = math.inf
    converged: bool = True


@dataclass(frozen=True)
class Noise:
    """The χ² test of a level.

    Attributes:
        values: n, data values and priors.
        absorbed: k, how many of them the unknowns can absorb where the model is obeyed.
    """

    values: int
    absorbed: int = 0

    @property
    def freedom(self) -> int:
        """ν = n - k, not below 0."""
        return max(self.values - self.absorbed, 0)

    @property
    def scale(self) -> float:
        """√(n/2), the deviation of the action at the true path."""
        return math.sqrt(max(self.values, 1) / 2.0)

    @property
    def few(self) -> bool:
        """Whether wrong minima may agree with the data as well."""
        return self.freedom < FEW * self.absorbed

    def score(self, part: float) -> float | None:
        """(2 · part - ν) / √(2 ν) of a part of the action; None without degrees of freedom."""
        return (2.0 * part - self.freedom) / math.sqrt(2.0 * self.freedom) if self.freedom else None


@dataclass(frozen=True)
class Hits:
    """How one way of starting fared.

    Attributes:
        tried: Its starts that have ended.
        hits: Those of them that came to the lowest level.
        levels: Levels that they came to.
        missed: Good's estimate of the share of its further starts that would come to a level it has not seen:
            levels that it saw once, over its starts that came to any; None without one. It is blind to levels
            that the way never comes to, and 0 for a way that always makes the same path.
    """

    tried: int
    hits: int
    levels: int
    missed: float | None


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
        converged: Whether the minimiser came to its tolerance at the lowest level.
        so_far: Of incomplete ensembles, the code of what the starts that have ended would say by themselves.
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
    so_far: str | None = None

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        plain = dict(vars(self))
        plain["hits"] = {way: dict(vars(hits)) for way, hits in self.hits.items()}
        return plain


def conclude(
    levels: Sequence[Level],
    tried: Mapping[str, int],
    data: int,
    settled: bool | None,
    predicted: float | None = None,
    complete: float = 1.0,
    *,
    absorbed: int = 0,
    priors: int = 0,
    probed: int = 0,
) -> tuple[Conclusion, Evidence]:
    """Judge the lowest level.

    Args:
        levels: Distinct minima at the last Rf, lowest first.
        tried: Way of starting -> its starts that have ended, wherever.
        data: Number of data values.
        settled: Whether the lowest level no longer depends on Rf; None where the ladder does not tell.
        predicted: Root mean square error of the first samples after the window over the noise (infinite
            where the prediction is lost); None where nothing is kept back.
        complete: Share of the starts asked for that have ended; 1 where their number was not fixed.
        absorbed: Unknowns that are left where the model is obeyed: states at one time of each window, and
            parameters.
        priors: Number of Gaussian priors in the action.
        probed: Escapes from the lowest level that have ended.
    """
    noise = Noise(data + priors, absorbed)
    levels = _joined(levels, DEVIATIONS * noise.scale)
    evidence = _evidence(levels, tried, noise, settled, predicted, complete, probed)
    found = _judged(evidence)
    if complete < 1.0 and (levels or not any(tried.values())):
        so_far = found.code if levels else None
        return Conclusion.INCOMPLETE, replace(evidence, so_far=so_far)
    return found, evidence


def _joined(levels: Sequence[Level], near: float) -> list[Level]:
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


def _judged(evidence: Evidence) -> Conclusion:
    """What the starts that have ended say."""
    if not evidence.levels:
        return Conclusion.FAILED
    fit = _fit(evidence)
    if fit is not None:
        return fit
    if evidence.predicted is not None and not evidence.predicted <= PREDICTS:
        return Conclusion.CONSISTENT_PREDICTS_BADLY
    if not evidence.converged:
        return Conclusion.CONSISTENT_NOT_CONVERGED
    if evidence.rivals:
        return Conclusion.CONSISTENT_RIVALS_REMAIN
    if evidence.plateau is None:
        return Conclusion.CONSISTENT_NOT_SETTLED
    return Conclusion.CONSISTENT_AND_STABLE if confirmed(evidence) else Conclusion.CONSISTENT_NOT_CONFIRMED


def _fit(evidence: Evidence) -> Conclusion | None:
    """What is wrong with the lowest level by itself, or None."""
    z, whole, rises = evidence.z, evidence.whole, evidence.plateau is False
    if z is None or whole is None:
        return Conclusion.NOT_ENOUGH_MEASUREMENTS
    if not (z if rises else whole) <= DEVIATIONS:
        return Conclusion.INCONSISTENT
    if z < -DEVIATIONS:
        return Conclusion.BELOW_NOISE
    if rises:
        return Conclusion.RISING_WITH_RF
    return Conclusion.NOT_ENOUGH_MEASUREMENTS if evidence.rivals >= MANY else None


def confirmed(evidence: Evidence) -> bool:
    """Whether enough starts came to the lowest level, and differently enough."""
    anew = {way: one for way, one in evidence.hits.items() if way not in ESCAPES}
    if evidence.few or evidence.near or evidence.whole is None or evidence.whole > SURE:
        often = any(one.hits >= ENOUGH for one in anew.values())
        agree = evidence.agreement is True and any(one.hits for one in anew.values())
        if not (often or (agree and evidence.count >= TOGETHER)):
            return evidence.count >= 2 * ENOUGH and evidence.probed >= 2 * PROBES
        return evidence.probed >= PROBES
    return any(one.hits >= max(2, min(EASY * one.tried, ENOUGH)) for one in anew.values())


def _evidence(
    levels: Sequence[Level],
    tried: Mapping[str, int],
    noise: Noise,
    settled: bool | None,
    predicted: float | None,
    complete: float,
    probed: int,
) -> Evidence:
    names = list(dict.fromkeys([*tried, *(way for level in levels for way in level.ways)]))
    hits = {way: _hits(way, tried.get(way, 0), levels) for way in names}
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
    )


def _hits(way: str, tried: int, levels: Sequence[Level]) -> Hits:
    counts = [level.ways.get(way, 0) for level in levels]
    ended, once = sum(counts), sum(count == 1 for count in counts)
    return Hits(
        max(tried, ended),
        counts[0] if counts else 0,
        sum(count > 0 for count in counts),
        once / ended if ended else None,
    )


def facts(record: Mapping[str, Any]) -> dict[str, str]:
    """Evidence for people: title -> what was found.

    Args:
        record: What `Evidence.record` returned, or the same read back from summary.json.
    """
    found: dict[str, str] = {}
    if not record["levels"]:
        return found
    if record["z"] is None:
        found["noise"] = f"no test: {record['values']} data values and priors, as many unknowns or more"
    else:
        few = ", few: wrong minima may agree as well" if record["few"] else ""
        found["noise"] = (
            f"{record['z']:+.2f} χ² deviations, with the model error {record['whole']:+.2f} (within ±3: "
            f"agreement; {record['freedom']} degrees of freedom{few})"
        )
    settled = {True: "no longer", False: "still", None: "not known, the ladder is too short"}
    found["depends on Rf"] = settled[record["plateau"]]
    if record["gap"] is None:
        found["next level"] = "none was found"
    else:
        near = f"; {record['near']} within three" if record["near"] else ""
        near += f", {record['rivals']} nearly as probable" if record["rivals"] else ""
        found["next level"] = f"{record['gap']:.3g} χ² deviations above{near}"
    hits: Mapping[str, Mapping[str, Any]] = record["hits"]
    found["reached by"] = ", ".join(f"{one['hits']} of {one['tried']} {way}" for way, one in hits.items())
    found["still missed"] = (
        ", ".join(
            f"{way} {one['missed']:.0%}" if one["missed"] is not None else f"{way} not known"
            for way, one in hits.items()
        )
        + " (share of a way's further starts that would end in a level new to it)"
    )
    if record["agreement"] is not None:
        agreed = "found whichever is left out" if record["agreement"] else "found by one almost alone"
        found["ways"] = agreed
    if record["probed"]:
        found["escapes from it"] = f"{record['probed']}, to nothing lower"
    if record["predicted"] is not None:
        found["first prediction"] = f"{record['predicted']:.3g} times the noise"
    if record["complete"] < 1.0:
        so_far = f"; those say: {record['so_far'].replace('_', ' ')}" if record["so_far"] else ""
        found["complete"] = f"{record['complete']:.0%} of the starts asked for{so_far}"
    return found
