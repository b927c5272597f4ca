"""The initial path of a start, determined by its number and the seed."""

from __future__ import annotations

import numpy as np

from hpcda.annealing import Climb
from hpcda.errors import InputError, Mistake
from hpcda.formatting import either
from hpcda.search.context import SearchContext
from hpcda.search.ways import WAYS, Way


def refuse_large(context: SearchContext, way: Way) -> None:
    """Refuse a way that would take too much memory.

    Raises:
        InputError: It would.
    """
    if not way.fits(context.problem):
        fitting = either(one.name for one in WAYS.values() if one.fits(context.problem))
        raise InputError(
            Mistake(
                "ensemble.way",
                f"{way.name!r} would take {way.memory(context.problem) / 1e9:.3g} GB to draw a path",
                f'set way = "auto", which leaves it out, or {fitting}',
            )
        )


def begin(context: SearchContext, way: Way, seed: int, start: int) -> Climb:
    """A start of the plain ensemble; its random numbers depend on (seed, start) alone.

    Raises:
        InputError: Drawing the path would take too much memory.
    """
    refuse_large(context, way)
    path = way.draw(context, np.random.default_rng([seed, start]))
    first = context.ladder.first(start)
    return Climb.begun(start, way.name, first, path)
