"""Replaces a time interval of a minimum by what its path does at another time.

Large-neighborhood search as in `hpcda.search.escapes.neighborhood`, but what is put in moves as the model
does: a piece of the same minimum, from anywhere in any window. Measured states become the stretch's data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.problem import Array
from hpcda.search.context import SearchContext
from hpcda.search.escape import Escape
from hpcda.search.escapes.neighborhood import LENGTHS
from hpcda.search.stretches import draw_stretch
from hpcda.search.way import measured_states

RUNG = 0.5
"""Share of the ladder below the first rung."""


def _path(context: SearchContext, minima: Sequence[Array], rng: np.random.Generator) -> tuple[Array, int]:
    problem = context.problem
    states = slice(0, problem.dimension)
    blocks, parameters = problem.split(minima[0].copy())
    stretch = draw_stretch(context, minima[0], LENGTHS, rng)
    length, times = stretch.end - stretch.begin, slice(stretch.begin, stretch.end)
    sources = [
        (window, begin)
        for window, block in enumerate(blocks)
        for begin in range(len(block) - length + 1)
        if (window, begin) != (stretch.window, stretch.begin)
    ]
    if sources:
        window, begin = sources[rng.integers(len(sources))]
        blocks[stretch.window][times, states] = blocks[window][begin : begin + length, states].copy()
    for state, values in measured_states(problem, problem.windows[stretch.window]).items():
        blocks[stretch.window][times, state] = values[times]
    return problem.join(blocks, parameters), context.rung(RUNG)


ESCAPE = Escape(
    "transplant", "an interval of time where the action is large is replaced by that of "
                  "another time", 1, _path,
    weight=3.0, place=0,
)  # fmt: skip
