"""A problem as methods see it, and what a method is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from hpcda.search import SearchContext
from tests.oracles import ORACLES, Oracle


class End(NamedTuple):
    """A start that came to its end: core-seconds since the method began, and its action."""

    seconds: float
    action: float


@dataclass(frozen=True)
class Case:
    """One problem.

    Attributes:
        oracle: The oracle.
        context: The problem, its ladder, its compiled action.
        target: A method may stop when it has an action as low as this.
    """

    oracle: Oracle
    context: SearchContext
    target: float

    @classmethod
    def of(cls, name: str, stops: bool) -> Case:
        """The case of an oracle, compiled.

        Args:
            name: Its name.
            stops: Whether methods stop when they have solved it.
        """
        oracle = ORACLES[name]
        context = SearchContext(oracle.problem(), oracle.ladder)
        context.action  # noqa: B018  (compiled here, not on a method's time)
        return cls(oracle, context, oracle.goal if stops else -np.inf)


class Method(Protocol):
    """A way to search for the lowest minimum."""

    name: str

    def run(self, case: Case, seed: int, seconds: float) -> list[End]:
        """Search until the target is reached or so many core-seconds are spent.

        What is compiled or set up once a problem does not count.

        Args:
            case: The problem.
            seed: What all random numbers depend on.
            seconds: Limit of core-seconds; a start that has not ended by then does not count.

        Returns:
            The ends of its starts, in order.
        """
        ...
