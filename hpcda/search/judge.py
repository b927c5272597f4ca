"""The judge: from the table of how starts ended to distinct minima, evidence and verdict.

A search asks it while it runs, the analysis afterwards, of the same table. What only an analysis computes
(a prediction, what the data leave open, the time step, how the equations are obeyed) are further facts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from hpcda.problem import Array
from hpcda.search.conclusion import Conclusion, conclude
from hpcda.search.descent import fell_back, probes
from hpcda.search.evidence import Evidence, Level
from hpcda.search.expected import Expected
from hpcda.search.levels import Sketched, grouped
from hpcda.search.merge import ACTION, TINY
from hpcda.search.obeyed import Obedience
from hpcda.search.plan import Found
from hpcda.search.plateau import Plateau, plateau_of_level
from hpcda.search.time_step import TimeStep

SPREAD = 10.0
"""Sizes of the unknowns, the unit of sketches, in units of the spread along a path: at most so many."""


@dataclass(frozen=True)
class Ends:
    """How the starts of an ensemble ended, one table, rising by number; S starts, R rungs.

    Attributes:
        start: Their numbers, shape (S,).
        way: Way or escape by which each began, S names.
        parents: Start -> the starts from whose minima it began.
        ended: Whether each has ended, in whatever way, shape (S,).
        complete: Whether it reached the end of the ladder without failing, shape (S,).
        action: Final action, shape (S,).
        measurement: Its measurement part, shape (S,).
        prior: Its prior part, shape (S,).
        converged: Whether the minimizer came to its tolerance there, shape (S,).
        sketch: What is kept of the final path (`hpcda.search.merge`), shape (S, K); NaN where nothing is.
        rungs: Rows -> action and model part at every rung, NaN where it was not, each of shape (rows, R).
    """

    start: npt.NDArray[np.int64]
    way: Sequence[str]
    parents: Mapping[int, Sequence[int]]
    ended: npt.NDArray[np.bool_]
    complete: npt.NDArray[np.bool_]
    action: Array
    measurement: Array
    prior: Array
    converged: npt.NDArray[np.bool_]
    sketch: Array
    rungs: Callable[[npt.NDArray[np.int64]], tuple[Array, Array]]

    @classmethod
    def of(cls, found: Sequence[Found], rungs: int) -> Self:
        """The table of starts that have ended on a ladder of so many rungs."""
        rows = sorted(found, key=lambda one: one.start)

        def column(name: str, dtype: Any = np.float64) -> npt.NDArray[Any]:
            return np.array([getattr(one, name) for one in rows], dtype=dtype)

        failed = column("failed", bool)
        return cls(
            start=column("start", np.int64),
            way=[one.way for one in rows],
            parents={one.start: one.parents for one in rows},
            ended=np.ones(len(rows), dtype=bool),
            complete=(column("last", np.int64) == rungs - 1) & ~failed,
            action=column("action"),
            measurement=column("measurement"),
            prior=column("prior"),
            converged=column("converged", bool),
            sketch=column("sketch") if rows else np.zeros((0, 0)),
            rungs=lambda wanted: (
                np.array([rows[row].levels for row in wanted]),
                np.array([rows[row].model for row in wanted]),
            ),
        )

    @property
    def sketched(self) -> bool:
        """Whether a sketch is kept of every start that came to the end."""
        return bool(self.sketch.shape[1]) and bool(np.isfinite(self.sketch[self.complete]).all())


@dataclass(frozen=True)
class Facts:
    """What the judge knows beside the table.

    Attributes:
        data: Number of data values.
        absorbed: Unknowns that are left where the model is obeyed.
        priors: Number of priors.
        rf: Rf of every rung, shape (R,).
        expected: What noise alone makes of the measurement part, where it is not Gaussian of known width.
        complete: Share of the starts asked for that have ended; 1 where their number was not fixed.
        predicted: Root mean square error of the first predicted samples over the noise.
        left_open: Parameters and initial states that the data leave open.
        obedience: How the equations are obeyed at the lowest level.
        step: Whether the time step is fine enough there.
        confirms: Whether enough starts came to the lowest level; by default `conclusion.confirmed`.
    """

    data: int
    absorbed: int = 0
    priors: int = 0
    rf: Array = field(default_factory=lambda: np.zeros(0))
    expected: Expected | None = None
    complete: float = 1.0
    predicted: float | None = None
    left_open: Sequence[str] = ()
    obedience: Obedience | None = None
    step: TimeStep | None = None
    confirms: Callable[[Evidence], bool] | None = None

    @property
    def deviation(self) -> float:
        """Standard deviation of the action at the true path."""
        known = self.expected is not None and self.expected.known
        return float(np.sqrt(self.expected.variance if known and self.expected else self.data / 2))


def minima_of(ends: Ends) -> list[npt.NDArray[np.int64]]:
    """Rows of the starts that came to each distinct minimum, its first start first; the lowest first."""
    rows = np.flatnonzero(ends.complete)
    ended = [Sketched(int(row), float(ends.action[row]), ends.sketch[row]) for row in rows]
    return [np.array([one.start for one in members]) for members in grouped(ended)]


def judge(
    ends: Ends, facts: Facts, minima: Sequence[npt.NDArray[np.int64]] | None = None
) -> tuple[Conclusion, Evidence]:
    """What an ensemble says.

    Args:
        ends: How its starts ended.
        facts: What else is known.
        minima: Rows of `ends` that came to each minimum, the lowest first; by default `minima_of`. An
            analysis takes points of one flat valley together.
    """
    minima = minima_of(ends) if minima is None else minima
    ways = np.array(ends.way, dtype=object)
    levels: list[Level] = []
    idle: set[int] = set()
    for rows in minima:
        first = first_of(ends, rows)
        back = fell_back(ends.start[rows].tolist(), ends.parents)
        idle |= back
        came = [str(ends.way[row]) for row in rows if int(ends.start[row]) not in back]
        levels.append(
            Level(
                float(ends.action[first]), float(ends.measurement[first]), len(rows), Counter(came),
                float(ends.prior[first]), apart(ends.sketch[first], ends.sketch[first_of(ends, minima[0])]),
                bool(ends.converged[rows].any()),
            )
        )  # fmt: skip
    working = ends.ended & ~np.isin(ends.start, sorted(idle))
    probed, settled = 0, None
    if minima:
        lowest = set(ends.start[minima[0]].tolist())
        parents = {int(s): ends.parents.get(int(s), ()) for s in ends.start[ends.ended]}
        probed = probes(lowest, parents, dict(zip(ends.start.tolist(), ends.way, strict=True)))
        settled = plateau_of(ends, minima[0], facts).reached
    began: Collection[str] = {
        way for start, way in zip(ends.start.tolist(), ends.way, strict=True) if ends.parents.get(start)
    }
    return conclude(
        levels,
        Counter(ways[working].tolist()),
        facts.data,
        settled,
        facts.predicted,
        facts.complete,
        absorbed=facts.absorbed,
        priors=facts.priors,
        probed=probed,
        left_open=facts.left_open,
        obedience=facts.obedience,
        step=facts.step,
        expected=facts.expected,
        escapes=began,
        confirms=facts.confirms,
    )


def first_of(ends: Ends, rows: npt.NDArray[np.int64]) -> int:
    """Row of the first start that came to the lowest action of a minimum.

    That start went on by itself, whatever else was merged: its numbers are the same on any number of ranks.
    """
    action = ends.action[rows]
    low = rows[action <= action.min() + ACTION * abs(action.min()) + TINY]
    return int(low[np.argmin(ends.start[low])])


def plateau_of(ends: Ends, rows: npt.NDArray[np.int64], facts: Facts) -> Plateau:
    """Whether a minimum to which these starts came still depends on Rf."""
    return plateau_of_level(*ends.rungs(rows), facts.rf, facts.deviation)


def apart(one: Array, other: Array) -> float:
    """Distance of two paths by what is kept of them, in units of the spread along a path."""
    if not one.size or not (np.isfinite(one) & np.isfinite(other)).all():
        return np.inf
    return SPREAD * float(np.sqrt(np.mean((one - other) ** 2)))
