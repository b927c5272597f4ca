"""The true path of a window, where it is known: from a twin experiment or from a file."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hpcda.build.model import collected
from hpcda.build.noise import sensor_names
from hpcda.build.unknowns import unknown_names
from hpcda.data import read_table
from hpcda.errors import Mistake
from hpcda.job import Job
from hpcda.job.inputs import TruthTable
from hpcda.models.model import Model
from hpcda.names import nearest

Array = npt.NDArray[np.float64]
SAME = 1e-6
"""Difference up to which two times are the same, in units of the window."""


@dataclass(frozen=True)
class Truth:
    """The truth of one window, which may extend over its held-out samples.

    Attributes:
        t: Times, shape (M,); M = 0 if the states are not known.
        states: States of the fitted model, shape (M, D); NaN where they are not known.
        parameters: True values of parameters by name.
    """

    t: Array
    states: Array
    parameters: dict[str, float]


def unknown_truth(model: Model) -> Truth:
    """The empty truth, for a window whose truth is not known."""
    return Truth(np.zeros(0), np.zeros((0, model.dimension)), {})


def known_truth(
    job: Job, entry: TruthTable, place: str, model: Model, path: Array | None, mistakes: list[Mistake]
) -> Truth:
    """The truth that a [data.truth] table names.

    Args:
        job: The job.
        entry: The table.
        place: Its place in the job, for messages.
        model: The fitted model, whose states are the columns of the file.
        path: Times of the path points, shape (N,), with which the truth is compared; None where they are
            not known.
        mistakes: Mistakes are appended to it.
    """
    before = len(mistakes)
    names = (*model.parameter_names, *sensor_names(job, model))
    given = model.expanded(entry.parameters)
    mistakes += [
        replace(one, place=f"{place}.{one.place}")
        for one in unknown_names(given, names, ("parameters",), "parameter", model)
    ]
    nothing = Truth(np.zeros(0), np.zeros((0, model.dimension)), given)
    table = None
    if entry.file is not None:
        table = collected(mistakes, read_table, job.path(entry.file), f"{place}.file", entry.time)
    if table is None:
        return nothing
    t = collected(mistakes, table.numbers, entry.time, f"{place}.time")
    there = {*table.columns, *table.aliases} if table.named else set()
    known = [name for name in model.state_names if name in there]
    if not known:
        mistakes.append(
            Mistake(
                f"{place}.file",
                f"{table.shown} has no column named after a state of {model.name}",
                nearest(model.state_names[0], table.columns),
            )
        )
    states = {name: collected(mistakes, table.numbers, name, f"{place}.file") for name in known}
    if len(mistakes) > before or t is None:
        return nothing
    if not np.isfinite(t).all() or (np.diff(t) <= 0.0).any():
        mistakes.append(Mistake(f"{place}.time", "the times do not increase", "sort the rows by time"))
        return nothing
    if any(column is not None and len(column) != len(t) for column in states.values()):
        problem = "its columns differ in length"
        mistakes.append(Mistake(f"{place}.file", problem, "give columns of equal length"))
        return nothing
    if path is not None and not _meet(t, path):
        problem = f"none of the times of {table.shown} is a time of the path, {path[0]:g} to {path[-1]:g}"
        mistakes.append(Mistake(f"{place}.time", problem, "give the truth at the times of the data"))
        return nothing
    absent = np.full(len(t), np.nan)
    columns = [states.get(name) for name in model.state_names]
    states_of = np.column_stack([absent if column is None else column for column in columns])
    return Truth(t, states_of, given)


def _meet(t: Array, path: Array) -> bool:
    """Whether any time of the path is one of t, ascending."""
    slack = SAME * float(path[-1] - path[0])
    at = np.clip(np.searchsorted(t, path - slack), 0, len(t) - 1)
    return bool((np.abs(t[at] - path) <= slack).any())
