"""How a start may have ended, for plans and judges: made up, as `hpcda.search.Found`."""

from __future__ import annotations

import numpy as np

from hpcda.action import Parts
from hpcda.annealing import Reason, Rung, Task
from hpcda.search import Found


def ended_start(
    start, way, action, *, first=0, parents=(), last=0, measurement=None, prior=0.0, levels=None, model=None,
    sketch=None, failed=False, opening=0, iterations=0, seconds=0.0,
):  # fmt: skip
    """A start that went on by itself and converged, with this action at its last rung."""
    measured = action - prior if measurement is None else measurement
    rest = 0.0 if measurement is None else action - measured - prior
    return Found(
        task=Task(start, way, first, parents),
        end=Rung(np.zeros(0), Parts(measured, rest, prior), 0.0, 0, 0, Reason.CONVERGED_GRADIENT, last),
        levels=np.array([action]) if levels is None else levels,
        model=np.zeros(1) if model is None else model,
        sketch=np.array([action]) if sketch is None else sketch,
        same_as=start,
        failed=failed,
        opening=opening,
        iterations=iterations,
        seconds=seconds,
    )
