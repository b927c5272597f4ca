"""What the files of a run hold that assimilates windows of data: its model, its unknowns, its data.

/windows, /beyond, /truth, /sources, and the axes of the unknowns; written and read.
"""

from __future__ import annotations

import h5py
import numpy as np

from hpcda.problem import Array
from hpcda.results.layout import Layout, parameter_names, series_names, unknown_names
from hpcda.results.windows import StoredWindow
from hpcda.source import Source
from hpcda.store.axes import TEXT, describe, write_names, write_series, write_units

SERIES = ("windows", "beyond", "truth")
"""Groups whose arrays stand along points."""


def read_windows(file: h5py.File, lengths: tuple[int, ...]) -> tuple[StoredWindow, ...]:
    """All windows of a run, of these lengths, from its index or from a shard of it."""
    count, axes = len(lengths), file["axes"]
    groups: dict[str, list[dict[str, Array]]] = {}
    for group, names in (
        ("windows", ("t", "data", "noise_std", "series")),
        ("beyond", ("t", "data", "series")),
        ("truth", ("t", "states")),
    ):
        if group not in file:
            empty = {"t": np.zeros(0), "states": np.zeros((0, len(axes["state"])))}
            empty["data"] = np.zeros((0, len(axes["observed"])))
            empty["series"] = np.zeros((0, len(axes["series"])))
            groups[group] = [{name: empty[name] for name in names}] * count
            continue
        which = file[group]["window"][:]
        arrays = {name: file[group][name][:] for name in names}
        cuts = np.searchsorted(which, np.arange(count + 1))
        groups[group] = [{n: a[b:e] for n, a in arrays.items()} for b, e in zip(cuts, cuts[1:], strict=False)]
    return tuple(
        StoredWindow(
            w["t"],
            w["data"],
            w["noise_std"],
            w["series"],
            b["t"],
            b["data"],
            b["series"],
            t["t"],
            t["states"],
            source,
        )
        for w, b, t, source in zip(
            groups["windows"],
            groups["beyond"],
            groups["truth"],
            read_sources(file, lengths),
            strict=True,
        )
    )


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
    for group in SERIES:
        if group in file:
            describe(file[group]["t"], "time", model.time_unit)


def _axes(axes: h5py.Group, layout: Layout) -> None:
    """Dimension scales, with units and bounds as attributes."""
    problem = layout.problem
    model = problem.model
    unknown = write_names(axes, "unknown", unknown_names(problem))
    units = {p.name: p.unit for p in model.parameters}
    describe(unknown, "unknowns of one time: states, parameters that belong to one time")
    own = [units.get(q.name, "1") for q in problem.varying]
    write_units(axes, "unknown", [*(s.unit for s in model.states), *own])
    state = write_names(axes, "state", model.state_names)
    describe(state, "states of the model")
    write_units(axes, "state", [s.unit for s in model.states])
    state.attrs["model_error_weight"] = np.asarray(problem.model_error_weight, dtype="f8")
    parameter = write_names(axes, "parameter", parameter_names(problem))
    describe(parameter, "estimated parameters that all times share")
    observed = write_names(axes, "observed", list(problem.observed))
    if problem.noise:
        observed.attrs["loss"] = [
            problem.noise[name].loss if name in problem.noise else "gaussian" for name in problem.observed
        ]
    write_names(axes, "expression", list(problem.observed.values()))
    series = write_names(axes, "series", series_names(problem))
    stimuli = {s.name: s.unit for s in model.stimuli}
    if problem.constants:
        write_units(axes, "parameter", [units.get(p.name, "1") for p in problem.constants])
        parameter.attrs["limits"] = np.asarray([p.bounds for p in problem.constants], dtype="f8")
        parameter.attrs["start_range"] = np.asarray([p.start for p in problem.constants], dtype="f8")
    if len(series):
        series.attrs["unit"] = [stimuli.get(name, units.get(name, "1")) for name in series_names(problem)]
    describe(series, "known time series")
    describe(observed, "measured quantities; /axes/expression gives them in terms of states and parameters")


def write_sources(group: h5py.Group, layout: Layout) -> None:
    """Write file and columns of every window, and line or row of every point."""
    windows, quantities = layout.problem.windows, len(layout.problem.observed)
    absent = [Source("", "", np.full(w.times, -1, dtype=np.int64), ("",) * quantities) for w in windows]
    sources = [one or empty for one, empty in zip(layout.sources, absent, strict=True)]
    for name, values in (
        ("file", [one.file for one in sources]),
        ("counted_by", [one.counted_by for one in sources]),
        ("column", [one.columns for one in sources]),
    ):
        group.create_dataset(name, data=np.asarray(values, dtype=object), dtype=TEXT)
    group.create_dataset("number", data=np.concatenate([one.numbers for one in sources]).astype("i8"))
    describe(group["number"], "line, from 1, or row, from 0, as counted_by says; -1: none")


def read_sources(file: h5py.File, lengths: tuple[int, ...]) -> tuple[Source | None, ...]:
    """Where the data of each window were read, None where they were not read from a file.

    Args:
        file: The index of a run, or a shard of it.
        lengths: Points of each window.
    """
    if "sources" not in file:
        return (None,) * len(lengths)
    group = file["sources"]
    names, counted = group["file"].asstr()[:], group["counted_by"].asstr()[:]
    columns, numbers = group["column"].asstr()[:], group["number"][:]
    pieces = np.split(numbers, np.cumsum(lengths)[:-1])
    return tuple(
        Source(str(name), str(word), piece, tuple(map(str, row))) if name else None
        for name, word, piece, row in zip(names, counted, pieces, columns, strict=True)
    )
