"""Builds the data-assimilation problem that a job describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpcda.build.grid import MOST_POINTS, Grid, fits_discretization
from hpcda.build.measured import measured_window
from hpcda.build.model import collected, discretization, tried_model
from hpcda.build.noise import scales_of
from hpcda.build.truth import Truth, known_truth, unknown_truth
from hpcda.build.twin import twin_window
from hpcda.build.unknowns import unknowns
from hpcda.build.weights import automatic
from hpcda.errors import InputError, Mistake
from hpcda.job import Job
from hpcda.job.mistakes import dotted
from hpcda.models.model import Model
from hpcda.problem import Beyond, Estimated, Problem
from hpcda.source import Source


@dataclass(frozen=True)
class Built:
    """The problem of a job, with what belongs to it.

    Attributes:
        problem: The problem.
        beyond: Held-out data after each window; None if there are none.
        truth: The truth of each window; None if unknown.
        notes: Warnings for the user, one sentence each.
        doubts: Those of them that tell of data which contradict the rest.
        sources: File, lines and columns of each window's data; None for a twin.
    """

    problem: Problem
    beyond: tuple[Beyond, ...] | None = None
    truth: tuple[Truth, ...] | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    sources: tuple[Source | None, ...] = ()


def build_problem(job: Job) -> Built:
    """Load the model and the data of a job, or generate the twin.

    Raises:
        InputError: All mistakes in the job, its model and its data.
    """
    mistakes: list[Mistake] = []
    model: Model | None = collected(
        mistakes, tried_model, job.model.name, job.model.options, Path(job.folder), job.given.models
    )
    if model is None:
        raise InputError(mistakes)
    return _built(job, model, mistakes)


def windows(job: Job, model: Model, mistakes: list[Mistake]) -> tuple[list[Grid], list[Truth]]:
    """The windows of data, and their truth where it is known; mistakes are appended to `mistakes`."""
    grids: list[Grid] = []
    truths: list[Truth] = []
    series = tuple(
        n
        for n in model.parameter_names
        if n in job.model.parameters and job.model.parameters[n].series is not None
    )
    for k, entry in enumerate(job.data):
        place = table_place("data", k, len(job.data))
        grid = measured_window(job, entry, place, model, series, mistakes)
        grids += [grid] if grid is not None else []
        if entry.truth is not None:
            truths += [unknown_truth(model)] * (k - len(truths))
            path = None if grid is None else grid.t
            truths.append(known_truth(job, entry.truth, f"{place}.truth", model, path, mistakes))
    if truths:
        truths += [unknown_truth(model)] * (len(job.data) - len(truths))
    for k, twin in enumerate(job.twin):
        made = twin_window(job, twin, k, table_place("twin", k, len(job.twin)), model, mistakes)
        if made is not None:
            grids.append(made[0])
            truths.append(made[1])
    if job.twin:
        mistakes += [
            Mistake(
                dotted(("model", "parameters", name, "series")),
                "needs [data], but the job has [twin]",
                "give value, or write the twin to files and read them with [data]",
            )
            for name in series
        ]
    return grids, truths


def table_place(name: str, number: int, count: int) -> str:
    """The place of a table that may be repeated: ``data``, or ``data[1]``."""
    return name if count == 1 else f"{name}[{number}]"


def _built(job: Job, model: Model, mistakes: list[Mistake]) -> Built:
    scheme: str | None = collected(mistakes, discretization, model, job.action.discretization)
    if model.kind == "map" and job.action.model_error == "per time":
        told = f'is "per time", but {model.name} is a map, whose time has no steps'
        mistakes.append(Mistake("action.model_error", told, 'write "per step", or remove it'))
    known = unknowns(job, model, mistakes)
    grids, truths = windows(job, model, mistakes)
    kind, entries = ("data", job.data) if job.data else ("twin", job.twin)
    if len(grids) == len(entries):
        for k, grid in enumerate(grids):
            place = table_place(kind, k, len(grids))
            mistakes += fits_discretization(grid.inside, scheme or "", job.steps, place)
        size = sum(grid.inside for grid in grids) * (model.dimension + len(known.varying))
        size += len(known.parameters)
        if size > 100 * MOST_POINTS:
            mistakes.append(
                Mistake(kind, f"makes {size} unknowns, more than {100 * MOST_POINTS}", "use less of the data")
            )
    mistakes += _uneven(known.varying, grids)
    scales = scales_of(entries, [table_place(kind, k, len(entries)) for k in range(len(entries))], mistakes)
    if mistakes or scheme is None:
        raise InputError(mistakes)
    observed = tuple(dict.fromkeys(key for entry in entries for key in entry.observed))
    problem = Problem(
        model=model,
        discretization=scheme,
        windows=tuple(grid.window(observed) for grid in grids),
        observed={key: key for key in observed},
        noise=scales.noise,
        parameters=(*known.parameters, *scales.parameters),
        varying=known.varying,
        fixed=known.fixed,
        series=known.series,
        state_start=known.state_start,
        state_bounds=known.state_bounds,
        model_error_weight=np.ones(model.dimension) if known.weights is None else known.weights,
        model_error=job.action.model_error,
        initial_prior=known.initial_prior,
        steps_per_sample=job.steps,
    )
    if known.weights is None:
        problem = replace(problem, model_error_weight=automatic(problem))
    kept = any(grid.inside < len(grid.t) for grid in grids)
    doubts = tuple(dict.fromkeys(note for grid in grids for note in grid.notes))
    return Built(
        problem=problem,
        beyond=tuple(grid.beyond(observed) for grid in grids) if kept else None,
        truth=tuple(truths) if truths else None,
        notes=(*_notes(problem), *doubts),
        doubts=doubts,
        sources=tuple(grid.read(observed) for grid in grids),
    )


def _uneven(varying: Sequence[Estimated], grids: Sequence[Grid]) -> list[Mistake]:
    """Parameters that windows share time by time where the times of windows are not equally far apart."""
    steps = np.concatenate([np.empty(0), *(np.diff(grid.t) for grid in grids)])
    if not len(steps) or np.ptp(steps) <= 1e-6 * max(steps):
        return []
    problem = (
        f"windows share it at each time, but their time steps range from {min(steps):.6g} to {max(steps):.6g}"
    )
    remedy = "give all windows the same step, or remove per_window = false"
    places = (dotted(("model", "parameters", one.name, "per_window")) for one in varying if one.shared)
    return [Mistake(place, problem, remedy) for place in places]


def _notes(problem: Problem) -> tuple[str, ...]:
    notes = []
    if not problem.parameters and not problem.varying:
        notes.append("No parameter is estimated: only the states are unknown.")
    empty = [
        key
        for k, key in enumerate(problem.observed)
        if not any(np.isfinite(window.data[:, k]).any() for window in problem.windows)
    ]
    notes += [f"{key} is not measured in any window." for key in empty]
    if not all(window.even for window in problem.windows) and problem.model_error == "per step":
        steps = np.concatenate([window.steps for window in problem.windows])
        notes.append(
            f"The longest step of the path is {steps.max() / steps.min():.3g} times the shortest; each is "
            'allowed the same model error; model_error = "per time" allows long ones more.'
        )
    if loose := _loose_sensors(problem):
        belong = "belongs to a sensor and has" if len(loose) == 1 else "belong to sensors and have"
        notes.append(
            f"{', '.join(loose)} {belong} neither bounds nor a prior: where Rf is small, states may "
            "shrink or drift while the sensor makes up for it. Give bounds or a prior under model.parameters."
        )
    return tuple(notes)


def _loose_sensors(problem: Problem) -> list[str]:
    """Estimated parameters of sensors, not of the model or the noise, that nothing holds."""
    scales = {noise.scale for noise in problem.noise.values()}
    return [
        one.name
        for one in (*problem.parameters, *problem.varying)
        if one.name not in (*problem.model.parameter_names, *scales)
        and one.prior is None
        and not np.isfinite(one.bounds).all()
    ]
