"""hpcda: starts in lockstep, as many at once as the processor's vectors have lanes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.petsc import make_team
from hpcda.problem import Array, Problem
from hpcda.search import WAYS, SearchContext, begin

TOGETHER = 100_000
"""How many starts one call of `climb` takes."""


def prepare(problem: Problem, ladder: Ladder, folder: Path) -> Action:
    """The compiled action."""
    action = Action(problem)
    make_team(action, ladder).destroy()
    return action


def climb(
    problem: Problem,
    action: Action,
    ladder: Ladder,
    starts: list[int],
    seed: int,
    tell: Callable[[int, int], None] = lambda start, rung: None,
) -> list[tuple[float, Array, int, float]]:
    """Final action, final path, factorizations and seconds of every start.

    The seconds of a start are its share of the lanes at work, tick by tick.
    """
    results: dict[int, tuple[float, Array, int, float]] = {}
    spent: dict[int, tuple[int, float]] = {}
    waiting = list(starts)
    team = make_team(action, ladder)
    began = time.process_time()
    while waiting or team.busy:
        while waiting and team.free:
            team.take(begin(SearchContext(problem, ladder), WAYS["uniform"], seed, waiting.pop(0)))
        for one in team.work():
            start, outcome = one.climb.start, one.rung
            tell(start, one.rung.number)
            factorizations, seconds = spent.get(start, (0, 0.0))
            spent[start] = (factorizations + outcome.factorizations, seconds + one.rung.seconds)
            if one.ended:
                value = outcome.parts.total if one.climb.failed is None else float("inf")
                results[start] = (value, one.climb.path, *spent[start])
    whole = time.process_time() - began
    told = sum(seconds for *_, seconds in results.values())
    share = whole / told if told > 0.0 else 1.0
    team.destroy()
    return [(*results[start][:3], results[start][3] * share) for start in starts]
