"""Large-neighborhood search: a time interval is drawn anew (P. Shaw, CP98, LNCS 1520, 417, 1998).

The stretch is likely to be where the action is concentrated. In it unmeasured states become white noise with
the data's mean and spread, measured states the data; all else stays, and the rungs above the first mend the
seams.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.problem import Array
from hpcda.search.context import SearchContext
from hpcda.search.escape import Escape
from hpcda.search.stretches import draw_stretch
from hpcda.search.ways.noise import WAY as NOISE

LENGTHS = (1 / 3, 1 / 2)
"""Shares of a window that a stretch is long."""
RUNG = 0.4
"""Share of the ladder below the first rung."""


def _path(context: SearchContext, minima: Sequence[Array], rng: np.random.Generator) -> tuple[Array, int]:
    problem = context.problem
    old, parameters = problem.split(minima[0].copy())
    stretch = draw_stretch(context, minima[0], LENGTHS, rng)
    new, _ = problem.split(NOISE.draw(context, rng))
    times = slice(stretch.begin, stretch.end)
    old[stretch.window][times] = new[stretch.window][times]
    return problem.join(old, parameters), context.rung(RUNG)


ESCAPE = Escape(
    "neighborhood", "an interval of time where the action is large is drawn again", 1, _path,
    weight=3.0, place=10,
)  # fmt: skip
