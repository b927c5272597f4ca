"""Re-annealing: down the ladder and up again, which tests whether a minimum persists over a decade of Rf."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcda.problem import Array
from hpcda.search.context import SearchContext
from hpcda.search.escape import Escape


def _path(context: SearchContext, minima: Sequence[Array], rng: np.random.Generator) -> tuple[Array, int]:
    ladder = context.ladder
    return minima[0], int(np.flatnonzero(ladder.rf >= 0.0999 * ladder.largest)[0])


ESCAPE = Escape(
    "again", "one decade of Rf down the ladder and up again", 1, _path, weight=0.0, settles=True, place=50
)
