"""Iterated ensemble smoother: the same data are assimilated repeatedly, until forecasts agree with them.

With few sensors one pass ends before the ensemble has found the state. So the members of the first point are
smoothed as well (`hpcda.search.smoother`), spread apart a little, and taken through the same data again:
running in place (E. Kalnay, S.-C. Yang, Q. J. R. Meteorol. Soc. 136, 1644 (2010)), with the variance of the
data eased, less from pass to pass (A. A. Emerick, A. C. Reynolds, Comput. Geosci. 55, 3 (2013)).

Whether an ensemble has found the state it says itself: its forecasts are then as far from the data as noise
is, while those of one that follows a wrong path stay far away. So a run of passes is given up for one of new
members once its forecasts are of no use, and ends where they agree with the data in two passes, one after
the other. Chance decides which run finds the state; a few do, and a pass takes milliseconds.

Data that no path of the model explains would be smoothed for ever. So the passes of a path are bounded by
their number and by their work; and where the forecasts of many runs are all of no use, and all about equally
far from the data, no further run begins. (Where a state can be found, runs that miss it differ by much more:
with noise of a thousandth of the spread, by factors above 1000.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcda.problem import Array
from hpcda.search.context import SearchContext
from hpcda.search.smoother import Filtered
from hpcda.search.way import Way, log_uniform
from hpcda.search.ways.smoother import backward, first_members, hops_of, memory, reach_of, shared_rows

WORK, MOST = 2.7e8, 400
"""Work of all passes, see `Passes.work`, and their number: beyond either no run begins."""
CALL, POINT, SUBSTEP = 12_000.0, 250.0, 0.4
"""What a pass through a window takes whatever its size, and a time of it whatever its members are; by what
each further Runge-Kutta step adds to the work of a step. Measured, in the unit of `Passes.work`."""
RUN = 24
"""Most passes of one run."""
EASING, RELIEF, LEAST = (4.0, 64.0), 0.8, 4.0
"""Factor of the variance of the data: each run draws its first, evenly in its logarithm; by how much it
changes from pass to pass; the least."""
SPREAD = 1.2
"""Factor of the members' distance from their mean between two passes."""
FOUND, USELESS = 1.8, 8.0
"""Mean square of forecast minus data, in units of the noise's: the state is found below the first."""
STEPS = 300.0
"""See `Way`."""
PATIENCE = 4
"""Passes of a run after which useless forecasts end it."""
HOPELESS, ALIKE = 12, 10.0
"""Runs after which data are given up whose forecasts were useless in all of them, the best ones of each run
within this factor of each other."""


@dataclass(frozen=True)
class Pass:
    """What one pass leaves, in lists with an entry a window.

    Attributes:
        filtered: What the filter left.
        ends: Members at the last point, shape (D + V + P, members).
        begun: Members at the first point, smoothed by the data of their window.
        misfit: Mean square of forecast minus data over the later half of the data, in units of the noise's;
            infinite where all members were lost.
    """

    filtered: list[Filtered]
    ends: list[Array]
    begun: list[Array]
    misfit: float


@dataclass(frozen=True)
class Passes:
    """Passes over the windows of a problem.

    Attributes:
        context: The context.
        rng: Where all that is random comes from.
        substeps: Runge-Kutta steps a step of the path, an entry a window.
        reach: How far from where a member is lost, see `Smoother.filter`, an entry a window.
    """

    context: SearchContext
    rng: np.random.Generator
    substeps: list[int]
    reach: list[tuple[Array, Array]]

    @classmethod
    def begin(cls, context: SearchContext, rng: np.random.Generator) -> Passes:
        """Passes of this problem."""
        windows = context.problem.windows
        substeps = [
            context.forecast.substeps(window, first_members(context, window, rng, None)[:, :16])
            for window in windows
        ]
        return cls(context, rng, substeps, [reach_of(context.problem, window) for window in windows])

    def members(self) -> list[Array]:
        """New members at the first point of each window; the parameters of the first are those of all."""
        windows, rows = self.context.problem.windows, shared_rows(self.context.problem)
        members = [first_members(self.context, windows[0], self.rng, None)]
        for window in windows[1:]:
            members.append(first_members(self.context, window, self.rng, members[0][rows]))
        return members

    def run(self, members: list[Array], easing: float, hops: float | None, last: bool) -> Pass:
        """One pass; every window goes on with the parameters that the one before it ended with.

        Args:
            members: Members at the first point of each window.
            easing: Factor of the variance of the data.
            hops: How far data reach, see `Smoother.filter`.
            last: Whether it can be followed backward.
        """
        problem, rows = self.context.problem, shared_rows(self.context.problem)
        filtered: list[Filtered] = []
        ends: list[Array] = []
        begun: list[Array] = []
        total, values = 0.0, 0
        for k, window in enumerate(problem.windows):
            now = members[k].copy()
            if ends:
                now[rows] = ends[-1][rows]
            first = now.copy()
            one = self.context.smoother.filter(
                window, now, self.rng, self.reach[k], easing, self.substeps[k], first, last, hops
            )
            seen = np.isfinite(window.data).sum(axis=1)
            late = np.cumsum(seen) > seen.sum() / 2
            misfit = easing * float(one.misfit[late].sum())
            total += misfit if one.times == window.times and np.isfinite(misfit) else np.inf
            values += int(seen[late].sum())
            filtered.append(one)
            ends.append(now)
            begun.append(first)
        return Pass(filtered, ends, begun, total / max(values, 1))

    def work(self, one: Pass) -> float:
        """What a pass takes: times, rows and members multiplied, and what a call and a time take besides.

        The unit is 4 to 10 ns of one core, by the model.
        """
        total = 0.0
        for filtered, members, substeps in zip(one.filtered, one.ends, self.substeps, strict=True):
            steps = 1.0 + SUBSTEP * (substeps - 1)
            total += CALL + filtered.times * (POINT + members.size * steps)
        return total

    def again(self, one: Pass) -> list[Array]:
        """Members for the pass after this one."""
        rows, (lower, upper) = shared_rows(self.context.problem), self.context.smoother.bounds
        members = []
        for begun in one.begun:
            begun[rows] = one.ends[-1][rows]
            mean = begun.mean(axis=1, keepdims=True)
            members.append(np.clip(mean + SPREAD * (begun - mean), lower[:, None], upper[:, None]))
        return members


def hopeless(misfits: Sequence[float]) -> bool:
    """Whether further runs would end as these have.

    Args:
        misfits: The lowest `Pass.misfit` of each run, infinite where all members were always lost.
    """
    least, most = min(misfits, default=0.0), max(misfits, default=0.0)
    return len(misfits) >= HOPELESS and least > USELESS and most <= ALIKE * least


def _path(context: SearchContext, rng: np.random.Generator) -> Array:
    problem, passes = context.problem, Passes.begin(context, rng)
    work, number, lowest = 0.0, 0, np.inf
    best: tuple[list[Array], float, float | None] = passes.members(), EASING[1], None
    misfits: list[float] = []
    while work < WORK and number < MOST and not hopeless(misfits):
        members, easing, hops = passes.members(), log_uniform(rng, EASING), hops_of(context, rng)
        found = False
        misfits.append(np.inf)
        for done in range(1, RUN + 1):
            one = passes.run(members, easing, hops, last=found)
            context.meanwhile()
            work += passes.work(one)
            number += 1
            if found and one.misfit < FOUND:
                return backward(problem, one.filtered, one.ends)
            misfits[-1] = min(misfits[-1], one.misfit)
            if one.misfit < lowest:
                best, lowest = (members, easing, hops), one.misfit
            if not np.isfinite(one.misfit) or (done >= PATIENCE and one.misfit > USELESS):
                break
            found = one.misfit < FOUND
            members = passes.again(one)
            easing = max(RELIEF * easing, LEAST)
    one = passes.run(*best, last=True)
    return backward(problem, one.filtered, one.ends)


WAY = Way(
    "passes", "iterated ensemble Kalman smoother", _path, shares=(0.5,),
    memory=memory, steps=STEPS, timed=True, leads=2, place=40,
)  # fmt: skip
