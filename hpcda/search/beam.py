"""Beam search over low minima of a short time interval, which grows at both ends.

The minima of a short stretch are few and found by short ladders of short paths; its lowest ones, extended a
little, lie near minima of a longer stretch, which are found from a high rung (C. Pires, R. Vautard, O.
Talagrand, Tellus A 48, 96 (1996): quasi-static assimilation). What is not the true path ends above what noise
explains when more data join, and leaves the beam.

At its end a stretch is extended by the model. Backward the model is unstable, so there members that know the
parameters are filtered through the data before the stretch, and the means of the backward pass that ends at
the minimum's first point are the extension (`hpcda.search.smoother`); its random members give several.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcda.annealing import Ladder, Reason
from hpcda.annealing.lockstep import Reached, Settings, climbs_of
from hpcda.problem import Array, Problem
from hpcda.search.context import SearchContext
from hpcda.search.way import center_and_spread, log_uniform

RATIO = 8.0
"""About the ratio of Rf of neighboring rungs."""
RUNG = 0.65
"""Share of the ladder below the rung from which an extended stretch is annealed."""
MINIMA, PATHS = 8, 8
"""Most minima that are kept, and paths that are annealed for each extension backward."""
WIDTH = 15.0
"""Minima whose action is further above the lowest one's are not kept."""
DEVIATIONS = 3.0
"""Standard deviations of χ² that a minimum's action may lie above what noise leaves."""
SAME = 1e-4
"""Relative difference up to which two actions belong to the same minimum."""
MOST_STEPS = 60
"""Limit of Newton steps of a rung."""
MEMBERS, EASING, FAR = 200, (8.0, 64.0), 10.0
"""Members, factor of the variance of the data, and ranges of a state beyond which a member is lost."""


@dataclass(frozen=True)
class Beam:
    """Low minima of the times begin ≤ n < end of a window.

    Attributes:
        context: The context of the whole window, the only one of its problem.
        begin: First time of the stretch.
        end: The time after its last one.
        minima: Flat paths of the stretch, lowest action first.
    """

    context: SearchContext
    begin: int
    end: int
    minima: tuple[Array, ...]

    @property
    def whole(self) -> bool:
        """Whether the stretch is the whole window."""
        return self.begin == 0 and self.end == self.context.problem.windows[0].times

    def grown(self, back: int, ahead: int, rng: np.random.Generator) -> Beam:
        """The beam of a longer stretch; it has no minima where none is consistent with the data.

        Args:
            back: Times by which it grows before its beginning, at most.
            ahead: Times by which it grows after its end, at most.
            rng: Where the members come from.
        """
        problem = self.context.problem
        begin = max(0, self.begin - back)
        end = min(problem.windows[0].times, self.end + ahead)
        count = max(len(self.minima), PATHS) if begin < self.begin else len(self.minima)
        paths = [
            self._extended(self.minima[k % len(self.minima)], begin, end, rng)
            for k in range(count if self.minima else 0)
        ]
        context = self.context.of(problem.cut(0, begin, end))
        return Beam(self.context, begin, end, lowest(context, paths, RUNG))

    def _extended(self, path: Array, begin: int, end: int, rng: np.random.Generator) -> Array:
        problem = self.context.problem
        (block,), parameters = problem.cut(0, self.begin, self.end).split(path)
        parts = [block]
        if begin < self.begin:
            parts.insert(0, self._before(np.append(block[0], parameters), begin, rng))
        if end > self.end:
            parts.append(self._after(np.append(block[-1], parameters), end))
        longer = problem.cut(0, begin, end)
        lower, upper = longer.bounds
        return np.clip(longer.join(parts, parameters), lower, upper)

    def _before(self, last: Array, begin: int, rng: np.random.Generator) -> Array:
        """What leads to a point in the beginning of the stretch, shape (times, D + V)."""
        problem, smoother = self.context.problem, self.context.smoother
        piece = problem.cut(0, begin, self.begin + 1)
        window, states = piece.windows[0], problem.dimension
        center, spread = center_and_spread(problem, window)
        for name, (mean, std) in piece.initial_prior.items():
            state = problem.model.state_names.index(name)
            center[state], spread[state] = mean, std
        members = np.repeat(last[:, None], MEMBERS, axis=1)
        members[:states] = center[:, None] + spread[:, None] * rng.standard_normal((states, MEMBERS))
        low, high = problem.state_bounds.reshape(-1, 2).T
        members[:states] = np.clip(members[:states], low[:, None], high[:, None])
        far = np.abs(problem.state_start).max(axis=1) + np.ptp(problem.state_start, axis=1)
        reach = center, np.where(far > 0.0, FAR * far, np.finfo(float).max)
        easing = log_uniform(rng, EASING)
        substeps = self.context.forecast.substeps(window, members[:, :16])
        filtered = smoother.filter(window, members, rng, reach, easing, substeps)
        if filtered.times < window.times:
            found = np.repeat(last[None, : problem.layout.block], window.times - 1, axis=0)
        else:
            found = filtered.smoothed(last)[:-1, : problem.layout.block]
        return np.where(np.isfinite(found), found, last[: problem.layout.block])

    def _after(self, first: Array, end: int) -> Array:
        """Where the model goes from a point at the end of the stretch, shape (times, D + V)."""
        window, forecast = self.context.problem.windows[0], self.context.forecast
        members = np.repeat(first[:, None], 8, axis=1)
        substeps = forecast.substeps(window, members)
        run = forecast.run(window, self.end - 1, end - 1, members, substeps)
        found: Array = run[1:, : self.context.problem.layout.block, 0]
        return np.where(np.isfinite(found), found, first[: self.context.problem.layout.block])


def lowest(context: SearchContext, paths: Sequence[Array], share: float) -> tuple[Array, ...]:
    """The lowest distinct minima that are consistent with the data, lowest first.

    Args:
        context: The context of a stretch.
        paths: Flat paths of it, from which the ladder is climbed in few rungs.
        share: Share of the ladder below the first rung.
    """
    ladder = coarse(context.ladder.finite)
    first = int(np.argmin(np.abs(np.log(ladder.rf / context.ladder.near(context.rung(share))))))
    cap = consistent(context.problem)
    usable = (Reason.STOPPED_ITERATIONS,)
    ends = [
        one
        for one in _climbed(context, ladder, paths, first, cap)
        if one.rung.number == ladder.rungs - 1
        and (one.rung.reason.converged or one.rung.reason in usable)
        and one.rung.parts.total <= cap
    ]
    kept: list[Reached] = []
    for one in sorted(ends, key=lambda end: (end.rung.parts.total, end.start)):
        action = one.rung.parts.total
        if kept and action > kept[0].rung.parts.total + WIDTH:
            break
        if not kept or action > kept[-1].rung.parts.total + SAME * max(1.0, action):
            kept.append(one)
    return tuple(one.rung.path for one in kept[:MINIMA])


def coarse(ladder: Ladder) -> Ladder:
    """The rungs of a ladder that are about a factor `RATIO` apart, its last one among them."""
    step = min(max(1, round(math.log(RATIO) / math.log(ladder.alpha))), max(1, ladder.rungs - 1))
    count = (ladder.rungs - 1) // step + 1
    return Ladder(float(ladder.rf[ladder.rungs - 1 - step * (count - 1)]), ladder.alpha**step, count)


def consistent(problem: Problem) -> float:
    """Highest action of a path that noise explains: half of χ² and `DEVIATIONS` of its standard deviations.

    The states of one time and the parameters take as many degrees of freedom from the data.
    """
    data, priors = problem.measured, problem.prior_terms
    free = max(data - problem.dimension - len(problem.seen), 0) + priors
    return 0.5 * free + DEVIATIONS * float(np.sqrt(0.5 * (data + priors)))


def _climbed(
    context: SearchContext, ladder: Ladder, paths: Sequence[Array], first: int, cap: float
) -> list[Reached]:
    """The last rung that each path came to."""
    lockstep = climbs_of(context.action, ladder, settings=Settings(max_iterations=MOST_STEPS))
    lockstep.cap = cap
    waiting = list(range(len(paths)))[::-1]
    ends: dict[int, Reached] = {}
    while waiting or lockstep.active:
        for lane in lockstep.empty:
            if waiting:
                start = waiting.pop()
                lockstep.put(int(lane), start, paths[start], first, True)
        lockstep.advance(1000)
        context.meanwhile()
        ends |= {one.start: one for one in lockstep.reached() if one.ended}
    return [ends[start] for start in range(len(paths))]
