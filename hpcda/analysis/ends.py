"""The table of how the starts ended, built from a run's results for the judge."""

from __future__ import annotations

import numpy as np

from hpcda.analysis.levels import Minimum
from hpcda.analysis.outcome import Outcome
from hpcda.results.rows import Numbers
from hpcda.results.table import RunTable
from hpcda.search.judge import Ends


def ends_of(file: RunTable, outcome: Outcome) -> Ends:
    """How the starts of a run ended.

    Args:
        file: The results.
        outcome: How every start ended, of the same starts in the same order.
    """
    codes = sorted(file.header.converged)
    names = np.array([*file.header.ways, ""])
    sketch = file.sketches
    return Ends(
        start=outcome.start,
        way=names[outcome.way].tolist(),
        parents=file.parents(),
        ended=file.finished,
        complete=outcome.complete,
        action=outcome.action,
        measurement=outcome.end["measurement"],
        prior=outcome.end["prior"],
        converged=np.isin(outcome.reason, codes),
        sketch=np.full((len(outcome.start), 0), np.nan) if sketch is None else sketch,
        rungs=lambda rows: (file.table("action", rows), file.table("model", rows)),
    )


def rows_of(ends: Ends, minima: tuple[Minimum, ...]) -> list[Numbers]:
    """Rows of the starts that came to each of some minima, its first start first."""
    return [np.searchsorted(ends.start, sorted(one.starts)) for one in minima]
