"""The unknowns of a job: estimated parameters and states, checked against the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcda.build.noise import sensor_names
from hpcda.errors import Mistake
from hpcda.job import Job
from hpcda.job.inputs import ParameterTable
from hpcda.job.mistakes import dotted
from hpcda.models.model import Model
from hpcda.names import nearest
from hpcda.problem import Estimated

Array = npt.NDArray[np.float64]
Pair = tuple[float, float]
FREE: Pair = (-np.inf, np.inf)


@dataclass(frozen=True)
class Unknowns:
    """Parameters and states of a job, in the form that `Problem` takes.

    Attributes:
        parameters: Estimated parameters that are constant in time.
        varying: Estimated parameters with a value at each time.
        fixed: Parameters with a known constant value.
        series: Parameters that the data give as functions of time.
        state_start: Uniform range of the initial guess of unmeasured states, shape (D, 2).
        state_bounds: Bounds on the states, shape (D, 2).
        weights: Weights of the model errors, shape (D,); None if they follow from the states' variability.
        initial_prior: Mean and standard deviation of each state with a prior at the first time.
    """

    parameters: tuple[Estimated, ...]
    varying: tuple[Estimated, ...]
    fixed: dict[str, float]
    series: tuple[str, ...]
    state_start: Array
    state_bounds: Array
    weights: Array | None
    initial_prior: dict[str, Pair]


def unknown_names(
    names: Iterable[str], known: Iterable[str], place: tuple[str | int, ...], kind: str, model: Model
) -> list[Mistake]:
    """One mistake for every name that the model does not have."""
    known = list(known)
    return [
        Mistake(dotted((*place, name)), f"{model.name} has no {kind} {name!r}", nearest(name, known))
        for name in names
        if name not in known
    ]


def unknowns(job: Job, model: Model, mistakes: list[Mistake]) -> Unknowns:
    """Parameters and states of the job; mistakes are appended to `mistakes`."""
    named = model.expanded(job.model.parameters)
    sensors = sensor_names(job, model)
    known = (*model.parameter_names, *sensors)
    mistakes += unknown_names(named, known, ("model", "parameters"), "parameter", model)
    mistakes += unknown_names(job.model.states, model.state_names, ("model", "states"), "state", model)
    given = job.action.model_error_weight
    weights = {} if given == "auto" else dict(given)
    mistakes += unknown_names(weights, model.state_names, ("action", "model_error_weight"), "state", model)
    ranges = job.ensemble.range
    if isinstance(ranges, dict):
        mistakes += unknown_names(ranges, model.state_names, ("ensemble", "range"), "state", model)
    parameters: list[Estimated] = []
    varying: list[Estimated] = []
    for one in model.parameters:
        asked = named.get(one.name)
        if asked is not None and asked.estimate:
            (varying if asked.per_time else parameters).append(
                _estimated(one.name, one.start, asked, mistakes)
            )
    for name in sensors:
        asked = named[name]
        if asked.estimate:
            (varying if asked.per_time else parameters).append(_sensor(name, asked, mistakes))
        elif asked.value is None:
            place = dotted(("model", "parameters", name))
            problem = f"{model.name} has no default for {name}, which only appears in observed"
            mistakes.append(
                Mistake(place, problem, "give value = 1.0, or estimate = true and start = [0.5, 2.0]")
            )
    series = tuple(name for name in model.parameter_names if name in named and named[name].series is not None)
    estimated = {one.name for one in (*parameters, *varying)}
    values = {name: table.value for name, table in named.items() if table.value is not None}
    return Unknowns(
        parameters=tuple(parameters),
        varying=tuple(varying),
        fixed={
            name: values.get(name, default)
            for name, default in model.defaults.items()
            if name not in estimated and name not in series
        }
        | {name: values[name] for name in sensors if name in values},
        series=series,
        state_start=np.array([_state_start(job, model, k, mistakes) for k in range(model.dimension)]),
        state_bounds=np.array([_state_bounds(job, name) for name in model.state_names]),
        weights=None if given == "auto" else np.array([weights.get(name, 1.0) for name in model.state_names]),
        initial_prior={
            name: (table.initial_prior.mean, table.initial_prior.std)
            for name in model.state_names
            if (table := job.model.states.get(name)) is not None and table.initial_prior is not None
        },
    )


def _estimated(name: str, usual: Pair, table: ParameterTable, mistakes: list[Mistake]) -> Estimated:
    """An estimated parameter; `usual` is its first guess where the job gives none."""
    bounds = table.bounds or FREE
    start = table.start
    if start is None:
        place = dotted(("model", "parameters", name, "bounds"))
        start = _within(usual, bounds, place, "the model's range of the first guess", mistakes)
    prior = (table.prior.mean, table.prior.std) if table.prior else None
    own = bool(table.per_window) and not table.per_time
    shared = table.per_time and table.per_window is False
    return Estimated(name, start, bounds, prior, table.walk_std, own, shared)


def _sensor(name: str, table: ParameterTable, mistakes: list[Mistake]) -> Estimated:
    """An estimated parameter of sensors alone, which has no first guess but the job's."""
    if table.start is None:
        place = dotted(("model", "parameters", name, "start"))
        remedy = "give the range of the first guess, such as start = [0.5, 2.0]"
        mistakes.append(Mistake(place, "is missing: the model does not have this parameter", remedy))
    return _estimated(name, (0.0, 1.0), table, mistakes)


def _state_bounds(job: Job, name: str) -> Pair:
    table = job.model.states.get(name)
    return table.bounds if table is not None and table.bounds is not None else FREE


def _state_start(job: Job, model: Model, k: int, mistakes: list[Mistake]) -> Pair:
    """Where a state starts: as its own table says, as [ensemble] says, or as the model says."""
    state = model.states[k]
    table = job.model.states.get(state.name)
    if table is not None and table.start is not None:
        return table.start
    bounds = _state_bounds(job, state.name)
    ranges = job.ensemble.range
    if isinstance(ranges, dict) and state.name in ranges:
        start = ranges[state.name]
        if start[0] < bounds[0] or start[1] > bounds[1]:
            place = dotted(("ensemble", "range", state.name))
            problem = f"[{start[0]:g}, {start[1]:g}] is not inside bounds = [{bounds[0]:g}, {bounds[1]:g}]"
            mistakes.append(
                Mistake(place, problem, "choose a range inside the state's bounds, or widen them")
            )
        return start
    if isinstance(ranges, tuple):
        return _within(ranges, bounds, "ensemble.range", f"the range, seen from {state.name},", mistakes)
    place = dotted(("model", "states", state.name, "bounds"))
    return _within(state.range, bounds, place, "the model's range of the state", mistakes)


def _within(start: Pair, bounds: Pair, place: str, what: str, mistakes: list[Mistake]) -> Pair:
    """The part of a range that was not given for this very quantity which its bounds allow."""
    low, high = max(start[0], bounds[0]), min(start[1], bounds[1])
    if low < high or low == high and start[0] == start[1]:
        return (low, high)
    shared = "does not overlap" if low > high else f"shares only {low:g} with"
    problem = f"{what} [{start[0]:g}, {start[1]:g}] {shared} [{bounds[0]:g}, {bounds[1]:g}]"
    mistakes.append(Mistake(place, problem, "give start = [low, high] inside the bounds"))
    return start
