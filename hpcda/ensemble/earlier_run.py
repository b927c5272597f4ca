"""The state of an interrupted run: finished starts, unfinished starts, decisions of its search.

A run that is taken up again goes through the rounds of its plan once more. What has ended is not run again,
what was at work goes on after its last committed rung, the rest begins; so it ends as it would have ended
without the interruption, on any number of ranks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpcda.annealing import Task
from hpcda.ensemble.work import resumed_work
from hpcda.problem import Array
from hpcda.search import Found, Listed, Round
from hpcda.search.levels import distinct

if TYPE_CHECKING:
    from hpcda.store import Checkpoint, Decision, Survey

PARENTS = 8
"""Lowest levels whose paths a search may ask for."""


@dataclass(frozen=True)
class EarlierRun:
    """State left by earlier processes of a run; the same on all ranks.

    Attributes:
        survey: Where its starts stand; None where there is no earlier process.
        decisions: Rounds that its search has begun.
        found: How starts have ended; empty where no search asks for it.
        needed: Starts that run again, since escapes that have not ended begin from their minima.
    """

    survey: Survey | None = None
    decisions: tuple[Decision, ...] = ()
    found: tuple[Found, ...] = ()
    needed: frozenset[int] = frozenset()

    def has_ended(self, start: int) -> bool:
        """Whether a start is done with."""
        place = self._place(start)
        return place is not None and self.survey is not None and bool(self.survey.ended[place])

    def checkpoint(self, start: int) -> Checkpoint | None:
        """Where a start goes on that has not ended; None where it begins."""
        if self.survey is None or self._place(start) is None:
            return None
        one = self.survey.checkpoint(start)
        if len(one.rungs) == 0:
            return None
        return None if one.path is None and not over(one) else one

    @property
    def lowest(self) -> float:
        """Lowest action at the end of the ladder; infinite where there is none."""
        return np.inf if self.survey is None else self.survey.lowest

    def path(self, start: int) -> Array | None:
        """The final path of a start that has ended; None where it was not kept."""
        return None if self.survey is None else self.survey.path(start)

    def rest(self, tasks: Round) -> tuple[Round, list[Task]]:
        """The tasks of a round that are left, those that have far to go first; and those that are done."""
        if self.survey is None or len(self.survey.start) == 0:
            return tasks, []
        every = [tasks.task(position) for position in range(len(tasks))]
        done = [task for task in every if self.has_ended(task.start)]
        return Listed([task for task in every if not self.has_ended(task.start)]), done

    def failed(self, tasks: Iterable[Task]) -> int:
        """How many of some starts that have ended have failed."""
        if self.survey is None:
            return 0
        return int(np.isin(self.survey.start[self.survey.failed], [task.start for task in tasks]).sum())

    def _place(self, start: int) -> int | None:
        if self.survey is None:
            return None
        starts = self.survey.start
        place = int(np.searchsorted(starts, start))
        return place if place < len(starts) and starts[place] == start else None


def over(checkpoint: Checkpoint) -> bool:
    """Whether a start that ended on a ladder with fewer rungs goes no further on one with more."""
    failed = resumed_work(checkpoint, np.zeros(0)).climb.failed is not None
    short = int(checkpoint.rungs[-1]) < checkpoint.ladder - 1
    return checkpoint.finished and (failed or short or checkpoint.same_as >= 0)


def read_earlier_run(
    survey: Survey, decisions: Collection[Decision], informed: bool, rungs: int, cores: int
) -> EarlierRun:
    """Collect the state left by earlier processes of a run; on one rank.

    Args:
        survey: Where its starts stand.
        decisions: Rounds that its search has begun.
        informed: Whether the plan wants to know what was found.
        rungs: Rungs of the ladder.
        cores: Ranks that work on a start together.
    """
    if not informed:
        return EarlierRun(survey)
    found = {}
    for one in survey.all_ended():
        sketch = np.zeros(0) if one.sketch is None else one.sketch
        same_as = one.task.start if one.same_as < 0 else one.same_as
        found[one.task.start] = resumed_work(one, sketch).found(same_as, rungs, cores)
    needed: set[int] = set()
    while True:
        wanted = _parents(decisions, found) | {level.start for level in _levels(found, rungs)[:PARENTS]}
        lost = (wanted & set(found)) - survey.have_paths(wanted & set(found))
        needed |= lost
        if not lost:
            break
        for start in lost:
            del found[start]
        survey = survey.without(lost)
    needed |= _parents(decisions, found) - set(found)
    return EarlierRun(survey, tuple(decisions), tuple(found.values()), frozenset(needed))


def _parents(decisions: Iterable[Decision], found: Collection[int]) -> set[int]:
    """Starts from whose minima those begin that have not ended."""
    tasks = (task for decision in decisions for task in decision.tasks)
    return {parent for task in tasks if task.start not in found for parent in task.parents}


def _levels(found: dict[int, Found], rungs: int) -> list[Found]:
    alone = (one for one in found.values() if one.same_as == one.start)
    return distinct(one for one in alone if one.last == rungs - 1 and not one.failed)
