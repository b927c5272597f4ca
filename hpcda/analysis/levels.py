"""Distinct minima: groups the starts that ended at the same minimum.

Two starts share a minimum when their actions agree to the accuracy of the minimizer and their paths are the
same. Close to a minimum A - A_j = 1/2 δᵀ A'' δ, so that an error ε of the action allows a distance √(2 ε) in
units of the minimum's own standard deviations: the path is compared much more coarsely than the action, in
units of the spread of each state along the path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt

from hpcda.analysis.outcome import Outcome, open_file, task_source
from hpcda.analysis.parallel import Mapping
from hpcda.annealing.record import PER_RUNG
from hpcda.formatting import counted
from hpcda.results.table import RunTable

Array = npt.NDArray[np.float64]

ACTION_TOLERANCE = 1e-6
"""Largest relative difference of two actions of one minimum."""
VALLEY = 0.5
"""Largest difference of two actions, in nats, of points that may lie in one flat valley: one standard
deviation."""
PATH_TOLERANCE = 1e-2
"""Largest difference of two paths of one minimum, in units of the spread of each state along the path."""


@dataclass(frozen=True)
class Minimum:
    """One distinct minimum of the action at the last Rf.

    Attributes:
        action: A at its lowest start.
        measurement: Its measurement part.
        model: Its model-error part.
        prior: Its prior part.
        reduced: 2 · measurement / (number of data values).
        count: Starts that ended there.
        start: Number of the one with the lowest action whose path was kept, else with the lowest action.
        starts: Numbers of all of them.
        parameters: Estimated parameters by name.
        gradient_norm: Norm of the gradient there.
        converged: Whether the minimizer reached its tolerance there.
        has_path: Whether the path was kept.
        ways: Way of starting -> number of starts that came here.
        valley: Where it is a flat valley in which starts ended at several points: lowest and highest value of
            each parameter among them.
    """

    action: float
    measurement: float
    model: float
    prior: float
    reduced: float
    count: int
    start: int
    starts: tuple[int, ...]
    parameters: dict[str, float]
    gradient_norm: float
    converged: bool
    has_path: bool
    ways: dict[str, int] = field(default_factory=dict)
    valley: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def limit(self) -> float:
        """A(∞), the level without model error, as far as the last rung tells (`hpcda.search.plateau`)."""
        return self.action + self.model


_SHARED = [one.name for one in fields(Minimum) if one.name in PER_RUNG]
"""Fields of a minimum that are those of its lowest start's last rung."""


def action_groups(action: Array, tolerance: Array) -> npt.NDArray[np.int64]:
    """Group rising actions: each joins the group below whose lowest is within the tolerance.

    Args:
        action: Rising, shape (S,).
        tolerance: Of each, shape (S,).

    Returns:
        Number of the group of each, rising from 0, shape (S,).
    """
    groups = np.zeros(len(action), dtype=np.int64)
    lowest = action[0] if len(action) else 0.0
    for i in range(1, len(action)):
        opens = action[i] - lowest > tolerance[i]
        groups[i] = groups[i - 1] + opens
        lowest = action[i] if opens else lowest
    return groups


def difference(
    source: str | RunTable,
    positions: npt.NDArray[np.int64],
    leaders: npt.NDArray[np.int64],
    spread: Array,
    scale: Array,
) -> Array:
    """Distance of kept paths to those of their leaders; the task that each worker runs on its part.

    Args:
        source: `RunTable.source` of the run.
        positions: Positions among the kept paths, shape (n,).
        leaders: Position of the path to compare each with, shape (n,).
        spread: Spread of each unknown of one time, shape (D + V,).
        scale: Spread of each parameter, shape (P,).

    Returns:
        Largest |difference| / spread over all times, unknowns and parameters, shape (n,).
    """
    file = open_file(source)
    result = np.zeros(len(positions))
    block = max(1, int(4e6 / max(1, sum(file.header.lengths) * len(spread))))
    for begin in range(0, len(positions), block):
        part = slice(begin, begin + block)
        states, parameters = file.paths(positions[part])
        unique, inverse = np.unique(leaders[part], return_inverse=True)
        other, known = file.paths(unique)
        result[part] = np.max(np.abs(states - other[inverse]) / spread, axis=(1, 2), initial=0.0)
        if parameters.shape[1]:
            result[part] = np.maximum(
                result[part], np.max(np.abs(parameters - known[inverse]) / scale, axis=1)
            )
    return result


def distinct_minima(
    file: RunTable,
    outcome: Outcome,
    mapping: Mapping,
    parts: int = 1,
    action_tolerance: float = ACTION_TOLERANCE,
    path_tolerance: float = PATH_TOLERANCE,
) -> tuple[tuple[Minimum, ...], str | None]:
    """Group the complete starts into distinct minima, lowest first.

    Args:
        file: The run.
        outcome: How its starts ended.
        mapping: Runs a function over parts.
        parts: Number of parts.
        action_tolerance: Relative difference of two actions of one minimum.
        path_tolerance: Difference of two paths of one minimum, in units of the spread.

    Returns:
        The minima, and a note where starts were compared by action and parameters only, else None.
    """
    rows = np.flatnonzero(outcome.complete)
    rows = rows[np.argsort(outcome.action[rows], kind="stable")]
    if not len(rows):
        return (), None
    action = outcome.action[rows]
    floor = 1e-9 * np.sqrt(max(file.header.measured, 1) / 2)
    groups = action_groups(action, np.maximum(action_tolerance * np.abs(action), floor))
    kept = np.asarray([file.has_path(int(start)) for start in outcome.start[rows]])
    place = np.asarray(
        [file.path_places(int(s)) if k else -1 for s, k in zip(outcome.start[rows], kept, strict=True)],
        dtype=np.int64,
    )
    scale = parameter_scale(file, outcome.parameters[rows])
    spread = np.ones(0)
    if kept.any():
        states, _ = file.paths([place[np.argmax(kept)]])
        width = np.ptp(states[0], axis=0)
        spread = np.where(width > 0, width, np.maximum(np.abs(states[0]).max(axis=0), 1.0))
    label = np.full(len(rows), -1, dtype=np.int64)
    number = 0
    while (open_ := label < 0).any():
        # the lowest of what is left of a group leads a new minimum; the others are compared with it
        lead = np.full(groups[-1] + 1, -1, dtype=np.int64)
        for i in np.flatnonzero(open_):
            better = lead[groups[i]] < 0 or (kept[i] and not kept[lead[groups[i]]])
            lead[groups[i]] = i if better else lead[groups[i]]
        mine = np.flatnonzero(open_)
        leader = lead[groups[mine]]
        far = np.zeros(len(mine))
        if scale.size:
            gap = np.abs(outcome.parameters[rows[mine]] - outcome.parameters[rows[leader]]) / scale
            far = gap.max(axis=1)
        both = np.flatnonzero(kept[mine] & kept[leader] & (mine != leader))
        if len(both):
            cut = [part for part in np.array_split(both, max(1, parts)) if len(part)]
            source = task_source(file, mapping)
            jobs = [(source, place[mine[c]], place[leader[c]], spread, scale) for c in cut]
            far[both] = np.concatenate(mapping(difference, jobs))
        names = {int(leading): number + k for k, leading in enumerate(np.unique(leader))}
        number += len(names)
        same = far <= path_tolerance
        label[mine[same]] = [names[int(leading)] for leading in leader[same]]
    minima = tuple(minimum_of(file, outcome, rows[label == k], kept[label == k]) for k in range(number))
    note = None
    if not kept.all():
        note = (
            f"{int((~kept).sum())} of {counted(len(rows), 'start')} stored no path (keep_paths = "
            f"{file.header.keep_paths!r}): they were compared by action and parameters only, so two minima "
            "equal in both count as one"
        )
    return tuple(sorted(minima, key=lambda minimum: minimum.action)), note


def in_valleys(
    minima: Sequence[Minimum],
    one_valley: Callable[[Sequence[Minimum], Minimum], bool],
    place: Callable[[Minimum], Array],
) -> tuple[Minimum, ...]:
    """Count the points of one flat valley as one minimum, the lowest of them.

    A valley grows from its lowest point, by the nearest of the others first (R. C. Prim's order, Bell Syst.
    Tech. J. 36, 1389 (1957)), so that it is followed in short steps. What was refused is asked again when the
    valley has come to less than half the distance.

    Args:
        minima: Distinct minima, lowest first.
        one_valley: Whether one of them lies in the valley of some others, the lowest first; asked where its
            action is within `VALLEY` of the lowest's and all paths were kept.
        place: Where a minimum is, by some coordinates of like scale; asked of the same.
    """
    left: list[Minimum] = list(minima)
    valleys: list[list[Minimum]] = []
    while left:
        lowest = left.pop(0)
        valley = [lowest]
        near = [m for m in left if m.has_path and m.action - lowest.action <= VALLEY]
        if near and lowest.has_path:
            valley += _grown(lowest, near, one_valley, place)
        joined = {point.start for point in valley}
        left = [m for m in left if m.start not in joined]
        valleys.append(sorted(valley, key=lambda point: point.action))
    return tuple(_as_one(valley) for valley in valleys)


def _grown(
    lowest: Minimum,
    near: Sequence[Minimum],
    one_valley: Callable[[Sequence[Minimum], Minimum], bool],
    place: Callable[[Minimum], Array],
) -> list[Minimum]:
    """The points of the lowest one's valley among some others, see `in_valleys`."""
    places = np.stack([place(point) for point in near])
    gap = np.linalg.norm(places - place(lowest), axis=1)
    asked = np.full(len(near), np.inf)  # distance at which each was asked last
    inside = np.zeros(len(near), dtype=bool)
    valley = [lowest]
    while (open_ := np.flatnonzero(~inside & (gap < 0.5 * asked))).size:
        k = int(open_[np.argmin(gap[open_])])
        asked[k] = gap[k]
        if one_valley(valley, near[k]):
            inside[k] = True
            valley.append(near[k])
            gap = np.minimum(gap, np.linalg.norm(places - places[k], axis=1))
    return valley[1:]


def _as_one(valley: Sequence[Minimum]) -> Minimum:
    if len(valley) == 1:
        return valley[0]
    lowest, ways = valley[0], Counter[str]()
    for point in valley:
        ways.update(point.ways)
    values = {name: [point.parameters[name] for point in valley] for name in lowest.parameters}
    return replace(
        lowest,
        count=sum(point.count for point in valley),
        starts=tuple(sorted(start for point in valley for start in point.starts)),
        ways=dict(ways),
        valley={name: (min(known), max(known)) for name, known in values.items()},
    )


def parameter_scale(file: RunTable, parameters: Array) -> Array:
    """Spread of each parameter: the width of its first guess, else its size."""
    if not parameters.shape[1]:
        return np.zeros(0)
    width = file.header.parameter_start[:, 1] - file.header.parameter_start[:, 0]
    return np.where(width > 0, width, np.maximum(np.abs(parameters[0]), 1e-12))


def minima_of_rows(
    file: RunTable, outcome: Outcome, groups: Sequence[npt.NDArray[np.int64]]
) -> tuple[Minimum, ...]:
    """The minima that the judge tells apart, lowest first.

    Args:
        file: The run.
        outcome: How its starts ended.
        groups: Rows of the starts that came to each.
    """
    found = []
    for rows in groups:
        rows = rows[np.argsort(outcome.action[rows], kind="stable")]
        kept = np.array([file.has_path(int(start)) for start in outcome.start[rows]])
        found.append(minimum_of(file, outcome, rows, kept))
    return tuple(sorted(found, key=lambda minimum: minimum.action))


def minimum_of(
    file: RunTable, outcome: Outcome, rows: npt.NDArray[np.int64], kept: npt.NDArray[np.bool_]
) -> Minimum:
    """The minimum of starts that ended at the same one.

    Args:
        file: The run.
        outcome: How its starts ended.
        rows: Which starts, lowest action first.
        kept: Whether the path of each was kept.
    """
    header = file.header
    best = rows[np.argmax(kept)] if kept.any() else rows[0]
    end = outcome.end[best]
    values = {name: float(end[name]) for name in _SHARED}
    ways = np.bincount(outcome.way[rows], minlength=len(header.ways))
    return Minimum(
        **values,
        reduced=2.0 * values["measurement"] / max(header.measured, 1),
        count=len(rows),
        start=int(outcome.start[best]),
        starts=tuple(sorted(int(start) for start in outcome.start[rows])),
        parameters=dict(zip(header.parameter, map(float, outcome.parameters[best]), strict=True)),
        converged=int(outcome.reason[best]) in header.converged,
        has_path=bool(kept.any()),
        ways={way: int(count) for way, count in zip(header.ways, ways, strict=True) if count},
        valley={},
    )
