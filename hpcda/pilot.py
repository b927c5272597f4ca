"""The pilot of `steps_per_sample = "auto"`: finds the number of steps from a few short ladders.

A few starts climb the ladder at one step a sample. The lowest is compared with the model's own flow
(`hpcda.search.time_step`); the order of the discretization tells how many times as many steps bring the shift
of its estimates down to a tenth of their standard deviations. There it is minimized and compared again, until
that is so. Where the comparison cannot be made (a step so coarse that there is no minimum, or that the flow
grows without bound within it), and where the level does not agree with the data, starts climb anew at twice
as many steps. Of stiff models the order tells nothing at steps longer than their fastest motion: there the
steps are doubled too. All depends on the job and its seed alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from hpcda.action import SCHEMES
from hpcda.annealing.eliminations import of_petsc
from hpcda.annealing.lockstep import MOST_MEMORY, Settings, climbs_of, lanes_that_fit, memory
from hpcda.build import build_problem
from hpcda.errors import InputError, Mistake
from hpcda.job import Job
from hpcda.problem import Array
from hpcda.search import WAYS, SearchContext, at_once
from hpcda.search.evidence import DEVIATIONS, noise_of
from hpcda.search.expected import expected_of_data
from hpcda.search.finer import minimum_at, refined_path
from hpcda.search.local_errors import StepUnknownError
from hpcda.search.time_step import StepShift, refuse_large, step_shift

PLACE = "action.steps_per_sample"
MOST_STEPS = 1024
"""Steps from sample to sample beyond which none is looked for."""
BLIND = 64
"""Steps up to which they are doubled where the comparison cannot be made."""
ACCEPTED = 0.12
"""Shift, in standard deviations, at which a step is taken; the next one aims at a tenth."""
STARTS = 8
"""Starts of the pilot, of the ways that are made for it in turn."""
REMEDY = (
    "write a number, or choose a discretization of higher order; if the flow cannot be integrated, check the "
    "equations"
)
REMEDY_STIFF = (
    "the model is stiff: its fastest time scale is much shorter than a step. Write a number and raise "
    "it until the estimates stop changing, or replace the equations of the fast states by their equilibrium"
)
ITERATIONS = 200
"""Most iterations of one of their rungs."""


@dataclass(frozen=True)
class Tried:
    """What one number of steps does to the pilot's estimates: the shift, or why it is not known.

    Attributes:
        steps: The number.
        shift: The shift.
        unknown: Why it is not known.
        stiff: Whether the model is known to be stiff.
    """

    steps: int
    shift: StepShift | None
    unknown: str = ""
    stiff: bool = False

    @property
    def enough(self) -> bool:
        """Whether so many steps are enough."""
        return self.shift is not None and self.shift.largest[1] <= ACCEPTED

    @property
    def found(self) -> str:
        """The shift or the reason, for people."""
        if self.shift is None:
            return f"not known ({self.unknown})"
        if self.stiff and not self.enough:
            return f"above {ACCEPTED:g} standard deviations (by how much is not known, as the model is stiff)"
        name, shift = self.shift.largest
        return f"{shift:.2g} standard deviations of {name}"


def described(tried: Sequence[Tried]) -> str:
    """All that were tried, for people; neighbors of which the same is said stand together."""
    groups = [(found, list(group)) for found, group in groupby(tried, key=lambda one: one.found)]
    return ", at ".join(f"{', '.join(str(one.steps) for one in group)}: {found}" for found, group in groups)


@dataclass(frozen=True)
class Chosen:
    """The number of steps from sample to sample, and all that were tried, the last of which it is."""

    steps: int
    tried: tuple[Tried, ...]

    def __str__(self) -> str:
        return f"{self.steps}, chosen by a pilot; shifts by the time step at {described(self.tried)}"


class PilotTimeError(Exception):
    """The pilot takes longer than it may."""


def with_steps(job: Job) -> Job:
    """The job with the number of steps that "auto" stands for; itself, where it gives a number.

    Raises:
        InputError: See `choose`.
    """
    return job.with_steps(choose(job).steps) if job.action.steps_per_sample == "auto" else job


def choose(job: Job, seconds: float = np.inf) -> Chosen:
    """Find the number of steps from sample to sample.

    Args:
        job: The job; what it says of the number does not matter.
        seconds: How long it may take.

    Raises:
        InputError: Mistakes in the job; or there is no number up to `MOST_STEPS`, or the problem is too large
            for a pilot.
        PilotTimeError: It takes longer.
    """
    pilot = _Pilot(job, time.monotonic() + seconds)
    tried: list[Tried] = []
    steps = pilot.first
    level: _Level | None = None
    while steps <= MOST_STEPS:
        level = pilot.level(steps, level)
        found = pilot.compared(steps, level)
        tried.append(found)
        if found.enough:
            return Chosen(steps, tuple(tried))
        if found.shift is None or found.stiff:
            level = None
            if steps >= BLIND:
                break
            steps *= 2
        else:
            steps *= int(np.ceil(found.shift.finer - 1e-9))
    raise InputError(
        Mistake(
            PLACE,
            f'"auto" found no sufficient number of steps; shifts by the time step at {described(tried)}',
            REMEDY_STIFF if any(one.stiff for one in tried) else REMEDY,
        )
    )


@dataclass(frozen=True)
class _Level:
    """A minimum: its context, its flat path, its action, whether that agrees with the data."""

    context: SearchContext
    path: Array
    action: float
    agrees: bool


class _Pilot:
    """Starts and minima of one job at any number of steps; `end` is when it has to be done."""

    def __init__(self, job: Job, end: float) -> None:
        self._job, self._end = job, end
        self._ladder = job.ladder.ladder.finite
        self._settings = Settings(
            max_iterations=min(job.solver.max_iterations, ITERATIONS),
            barrier=job.solver.barrier,
            rung_tolerance=job.solver.rung_tolerance,
            elimination="auto" if of_petsc(job.solver.elimination) else job.solver.elimination,
        )
        name = job.action.discretization
        span = SCHEMES[name].span if name in SCHEMES else 1  # so many steps suit it, whatever the data
        problem = build_problem(job.with_steps(span)).problem
        if problem.model.kind == "map":
            remedy = "write how many iterations of the map lie between two samples, such as 1"
            raise InputError(Mistake(PLACE, '"auto" is for flows: a map has no time step', remedy))
        samples = [(window.times - 1) // span for window in problem.windows]
        self.first = next(k for k in range(1, span + 1) if all(k * n % span == 0 for n in samples))

    def level(self, steps: int, before: _Level | None) -> _Level | None:
        """The lowest minimum: from that of a coarser step, or, where none agrees, from new starts."""
        problem = build_problem(self._job.with_steps(steps)).problem
        context = SearchContext(problem, self._ladder)
        self._refuse_large(context)
        found: list[_Level] = []
        if before is not None:
            old = before.context.problem
            path = refined_path(before.context.action, before.path, steps // old.steps_per_sample)
            try:
                path = minimum_at(context.action, path, self._rf)
                found.append(self._level(context, path))
            except StepUnknownError:
                pass
        if not any(one.agrees for one in found):
            found += [self._level(context, path) for path in self._climbed(context)]
        return min(found, key=lambda one: one.action, default=None)

    def compared(self, steps: int, level: _Level | None) -> Tried:
        """What the time step does to a minimum."""
        if level is None:
            return Tried(steps, None, "no start reached the end of the ladder")
        try:
            shift = step_shift(level.context.action, level.path, self._rf)
            return Tried(steps, shift, stiff=shift.stiff)
        except StepUnknownError as error:
            return Tried(steps, None, str(error), error.stiff)

    @property
    def _rf(self) -> float:
        return float(self._ladder.rf[-1])

    def _level(self, context: SearchContext, path: Array) -> _Level:
        problem, parts = context.problem, context.action.value(path, self._rf)
        noise = noise_of(
            expected_of_data(problem), problem.measured, problem.prior_terms, problem.trajectory_unknowns
        )
        score = noise.score(parts.measurement + parts.prior)
        return _Level(context, path, parts.total, score is None or score <= DEVIATIONS)

    def _climbed(self, context: SearchContext) -> list[Array]:
        """Paths of the starts that reached the end of the ladder."""
        lockstep = climbs_of(
            context.action,
            self._ladder,
            lanes_that_fit(context.action, self._settings.elimination),
            self._settings,
        )
        ways = sorted((way for way in WAYS.known() if way.pilots), key=lambda way: -way.leads)
        fitting = [way if way.fits(context.problem) else at_once() for way in ways]
        left, ended = [(start, fitting[start % len(fitting)]) for start in range(STARTS)], []
        while left or lockstep.active:
            for lane in lockstep.empty[: len(left)]:
                start, way = left.pop(0)
                self._refuse_late()
                path = way.draw(context, np.random.default_rng([self._job.ensemble.seed, start]))
                lockstep.put(int(lane), start, path, context.rung(way.shares[0]), True)
            lockstep.advance(10)
            ended += [one for one in lockstep.reached() if one.rung.number == self._ladder.rungs - 1]
            self._refuse_late()
        return [one.rung.path for one in ended if np.isfinite(one.rung.parts.total)]

    def _refuse_late(self) -> None:
        if time.monotonic() > self._end:
            raise PilotTimeError

    def _refuse_large(self, context: SearchContext) -> None:
        """Refuse a problem that is too large for a pilot.

        Raises:
            InputError: It is.
        """
        try:
            refuse_large(context.problem)
            too_large = memory(context.action, 1) > MOST_MEMORY
        except StepUnknownError:
            too_large = True
        if too_large:
            problem = f'"auto" needs a pilot, for which {context.problem.size} unknowns are too many'
            raise InputError(Mistake(PLACE, problem, "write a number; the analysis estimates its effect"))
