"""The candidate solved again with finer and finer steps: whether its time step is fine enough.

What is done is said in `hpcda.search.refinement`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpcda.analysis.bars import parameter_bars
from hpcda.errors import CompilerError
from hpcda.problem import Array
from hpcda.search.local_errors import StepUnknownError
from hpcda.search.refinement import Refinement
from hpcda.search.time_step import ACTION

if TYPE_CHECKING:
    from hpcda.analysis.rundata import Result


def deviations(run: Result) -> dict[str, float]:
    """Standard deviations that shifts of the candidate are measured by.

    Of the action √(n/2), n data values and priors; of each parameter its own error bar, where it has one.
    """
    header = run.file.header
    found = {ACTION: float(np.sqrt(max(header.measured + header.prior_terms, 1) / 2.0))}
    if run.bars is not None:
        bars = parameter_bars(run.problem, run.bars)
        found |= {name: bar["std"] for name, bar in bars.items() if bar["kind"] == "gaussian" and bar["std"]}
    return found


def refinement_record(run: Result, levels: int) -> dict[str, Any] | None:
    """What the refinement of the candidate shows, as plain values; None, with a note, where it is not known.

    Keys: sentence, enough (the fewest steps per sample that are enough, or None), deviations, and those of
    `Refinement.record`.

    Raises:
        InputError: The model is a map, or the number of levels makes no sense.
    """
    if run.candidate is None or not run.candidate.has_path:
        run._note("no refinement: the path of a candidate was not stored")
        return None
    try:
        found = run.refine(levels)
    except (CompilerError, StepUnknownError) as error:
        run._note(f"no refinement: {str(error).splitlines()[0]}")
        return None
    units = deviations(run)
    told = {"sentence": found.sentence(units), "enough": found.fine_enough(units), "deviations": units}
    return told | found.record()


def distances(found: Refinement, units: dict[str, float]) -> dict[str, Array]:
    """Distance of every level from the limit, in standard deviations, shape (levels,), where there is one."""
    told = {}
    for name, unit in units.items():
        limit = found.limits[name].value
        if limit is not None:
            told[name] = np.abs(np.array([one.value(name) for one in found.levels]) - limit) / unit
    return told
