"""hpcda: one start after another, each rung by its default minimiser."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from hpcda.action import Action
from hpcda.annealing import WAYS, Ladder, begin, step
from hpcda.petsc import make_minimiser
from hpcda.problem import Array, Problem

TOGETHER = 1
"""How many starts one call of `climb` takes."""


def prepare(problem: Problem, ladder: Ladder, folder: Path) -> Action:
    """The compiled action."""
    return Action(problem)


def climb(
    problem: Problem,
    action: Action,
    ladder: Ladder,
    starts: list[int],
    seed: int,
    tell: Callable[[int, int], None] = lambda start, rung: None,
) -> list[tuple[float, Array, int, float]]:
    """Final action, final path, factorizations and seconds of every start."""
    results = []
    with make_minimiser(action) as minimiser:
        for start in starts:
            state = begin(problem, ladder, WAYS["uniform"], seed, start)
            factorizations, value = 0, float("nan")
            began = time.perf_counter()
            while not state.ended(ladder):
                tell(start, state.next)
                state, rung = step(state, ladder, minimiser)
                factorizations += rung.outcome.factorizations
                value = rung.outcome.parts.total
            seconds = time.perf_counter() - began
            results.append(
                (value if state.failed is None else float("inf"), state.path, factorizations, seconds)
            )
    return results
