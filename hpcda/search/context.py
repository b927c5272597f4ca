"""What starting strategies and escapes may use: the problem, the ladder, the action."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from hpcda.action import Action
from hpcda.action.blocks import in_time
from hpcda.action.residuals import Residuals
from hpcda.annealing import Ladder, Task
from hpcda.errors import InputError, Mistake
from hpcda.linalg.normal import NormalMatrices
from hpcda.problem import Array, Problem
from hpcda.search.forecast import Forecast
from hpcda.search.merge import Sketch
from hpcda.search.smoother import Smoother
from hpcda.search.units import Symmetries


class SearchContext:
    """The problem, its ladder and its action, with what is derived from them when first used; one per run.

    Args:
        problem: The problem.
        ladder: The ladder that all starts climb.
        action: The action of the problem, if it is compiled already.

    Attributes:
        problem: The problem.
        ladder: The ladder.
        meanwhile: Called now and then while a path is drawn, for messages and time limits; it must not change
            the path.
        cap: Action above which a start is not worth further work, see `hpcda.search.plan.Plan`.
    """

    meanwhile: Callable[[], object]
    cap: float

    def __init__(self, problem: Problem, ladder: Ladder, action: Action | None = None) -> None:
        self.problem, self.ladder = problem, ladder
        self.meanwhile = _nothing
        self.cap = np.inf
        if action is not None:
            self.action = action

    @cached_property
    def action(self) -> Action:
        """The action."""
        return Action(self.problem)

    @cached_property
    def residuals(self) -> Residuals:
        """The action as a sum of squares."""
        return Residuals(self.action)

    @cached_property
    def normal(self) -> NormalMatrices:
        """The Gauss-Newton Hessians of the action, in the order of time (`hpcda.action.blocks.in_time`)."""
        own, order = self.residuals, in_time(self.problem)[0]
        return NormalMatrices(own.indptr, own.indices, order, len(self.problem.constants))

    @cached_property
    def forecast(self) -> Forecast:
        """The compiled model, for forecasts of many ensemble members at once."""
        return Forecast(self.problem, self.action.equations)

    @cached_property
    def smoother(self) -> Smoother:
        """The ensemble smoother of the windows."""
        return Smoother(self.forecast)

    @property
    def size(self) -> int:
        """Number of unknowns in a flat path."""
        return self.problem.size

    @cached_property
    def sketch(self) -> Sketch:
        """The random sketch by which paths are compared."""
        return Sketch(self.problem)

    @cached_property
    def symmetries(self) -> Symmetries:
        """The symmetries of the action that come from arrays of parameters."""
        return Symmetries(self.action.equations)

    def representative(self, path: Array) -> Array:
        """The canonical form of a path under the symmetries of the action, shape (size,)."""
        return self.symmetries.canonical(path) if self.problem.model.arrays else path

    def recorded(self, path: Array) -> Array:
        """The part of a path that is stored at every rung: the estimated parameters, shape (P,)."""
        return path[self.problem.layout.tail.start :]

    def draw(self, task: Task, minima: Sequence[Array], rng: np.random.Generator) -> tuple[Array, int]:
        """The initial path of a start, shape (size,), and its first rung.

        Args:
            task: The start.
            minima: Paths of the minima it starts from, each of shape (size,); empty for a starting strategy.
            rng: Random generator of this start.

        Raises:
            InputError: The strategy or escape returns no valid path or raises an exception, or its name is
                not known.
        """
        from hpcda.search.escapes import ESCAPES
        from hpcda.search.ways import WAYS

        if task.way in WAYS:
            return WAYS[task.way].draw(self, rng), task.first
        if task.way not in ESCAPES:
            problem = f"has a start by {task.way!r}, which this version of hpcda does not know"
            raise InputError(
                Mistake("the run", problem, "resume it with the version of hpcda that started it")
            )
        return ESCAPES[task.way].draw(self, minima, rng)

    def of(self, problem: Problem) -> SearchContext:
        """The context of a problem with the same equations and other windows."""
        context = SearchContext(
            problem, self.ladder, Action(problem, equations=self.action.equations.of(problem))
        )
        context.forecast, context.smoother, context.meanwhile = self.forecast, self.smoother, self.meanwhile
        return context

    def rung(self, share: float) -> int:
        """The rung that has this fraction of the ladder below it, 0 ≤ share < 1."""
        return min(int(share * self.ladder.rungs), self.ladder.rungs - 1)


def _nothing() -> None:
    """The default of `meanwhile`: does nothing."""
