"""What the files of a run say that assimilates windows of data: its model, its unknowns, its data."""

from __future__ import annotations

import h5py
import numpy as np

from hpcda.store.origins import write_sources
from hpcda.store.schema import Layout, parameter_names, series_names, unknown_names
from hpcda.store.texts import write_names, write_series


def write_problem(file: h5py.File, layout: Layout) -> None:
    """Write them into a new file, which has the axes of the ladder already."""
    problem = layout.problem
    model = problem.model
    file.attrs.update(
        model=model.name,
        model_title=model.title,
        model_citation=model.citation,
        model_kind=model.kind,
        time_unit=model.time_unit,
        discretization=problem.discretization,
        dimension=problem.dimension,
        varying=len(problem.varying),
        windows=len(problem.windows),
        measured=problem.measured,
        prior_terms=problem.prior_terms,
        trajectory_unknowns=problem.trajectory_unknowns,
    )
    _axes(file["axes"], layout)
    write_series(file.create_group("windows"), problem.windows, ("data", "noise_std", "series"))
    if any(source is not None for source in layout.sources):
        write_sources(file.create_group("sources"), layout)
    if layout.beyond is not None:
        write_series(file.create_group("beyond"), layout.beyond, ("data", "series"))
    if layout.truth is not None:
        write_series(file.create_group("truth"), layout.truth, ("states",))
        true: dict[str, float] = {}
        for window in layout.truth:
            true = {**(getattr(window, "parameters", None) or {}), **true}
        write_names(file["truth"], "parameter", list(true))
        file["truth"].create_dataset("value", data=np.asarray(list(true.values()), dtype="f8"))
    for group in ("windows", "beyond", "truth"):
        if group in file:
            file[group]["t"].attrs["unit"] = model.time_unit


def _axes(axes: h5py.Group, layout: Layout) -> None:
    """Dimension scales, with units and bounds as attributes."""
    problem = layout.problem
    model = problem.model
    unknown = write_names(axes, "unknown", unknown_names(problem))
    units = {p.name: p.unit for p in model.parameters}
    unknown.attrs["unit"] = [
        *(s.unit for s in model.states),
        *(units.get(q.name, "1") for q in problem.varying),
    ]
    state = write_names(axes, "state", model.state_names)
    state.attrs["unit"] = [s.unit for s in model.states]
    state.attrs["model_error_weight"] = np.asarray(problem.model_error_weight, dtype="f8")
    parameter = write_names(axes, "parameter", parameter_names(problem))
    observed = write_names(axes, "observed", list(problem.observed))
    if problem.noise:
        observed.attrs["loss"] = [
            problem.noise[name].loss if name in problem.noise else "gaussian" for name in problem.observed
        ]
    write_names(axes, "expression", list(problem.observed.values()))
    series = write_names(axes, "series", series_names(problem))
    stimuli = {s.name: s.unit for s in model.stimuli}
    if problem.constants:
        parameter.attrs["unit"] = [units.get(p.name, "1") for p in problem.constants]
        parameter.attrs["bounds"] = np.asarray([p.bounds for p in problem.constants], dtype="f8")
        parameter.attrs["start"] = np.asarray([p.start for p in problem.constants], dtype="f8")
    if len(series):
        series.attrs["unit"] = [stimuli.get(name, units.get(name, "1")) for name in series_names(problem)]
    observed.attrs["meaning"] = (
        "measured quantities; /axes/expression gives them in terms of states and parameters"
    )
