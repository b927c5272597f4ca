"""Distinct levels among the starts, each represented by its first start.

That start went on by itself, whatever else was merged: its numbers are the same on any number of ranks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from hpcda.problem import Array
from hpcda.search.merge import Known, alike
from hpcda.search.plan import Found


def is_level(one: Found, level: Found) -> bool:
    """Whether a start ended at a level."""
    return one.last == level.last and bool(
        alike(one.action, one.sketch, np.array([level.action]), level.sketch[None])[0]
    )


class Ended(Protocol):
    """A start that came to the last rung."""

    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def action(self) -> float: ...  # noqa: D102
    @property
    def sketch(self) -> Array: ...  # noqa: D102


class Sketched(NamedTuple):
    """Number, final action and sketch of a start; see `Ended`."""

    start: int
    action: float
    sketch: Array


One = TypeVar("One", bound=Ended)


def grouped(ended: Iterable[One]) -> list[list[One]]:
    """The starts that came to each level, the first one first; the lowest level first.

    Args:
        ended: Starts that came to the last rung.
    """
    known, members = Known(), dict[int, list[One]]()
    for one in sorted(ended, key=lambda one: one.start):
        level = known.find(one.action, one.sketch)
        if level is None:
            known.add(one.start, one.action, one.sketch)
            members[one.start] = [one]
        else:
            members[level].append(one)
    return sorted(members.values(), key=lambda level: (level[0].action, level[0].start))


def distinct(ended: Iterable[Found]) -> list[Found]:
    """The levels' first starts, the lowest level first."""
    return [level[0] for level in grouped(ended)]
