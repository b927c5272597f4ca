"""Data-assimilation content of a run's files: model, unknowns, windows of data.

/windows, /beyond, /truth, /sources, and the axes of the unknowns; written and read.
"""

from __future__ import annotations

import h5py
import numpy as np

from hpcda.problem import Array
from hpcda.results.header import Header, header_of
from hpcda.results.layout import Layout
from hpcda.results.windows import StoredWindow
from hpcda.source import Source
from hpcda.store.axes import TEXT, describe, write_names, write_series, write_units

SERIES = ("windows", "beyond", "truth")
"""Groups whose arrays stand along points."""
ATTRIBUTES = (
    "model", "model_title", "model_citation", "model_kind", "time_unit", "discretization", "measured",
    "prior_terms", "trajectory_unknowns",
)  # fmt: skip
"""What of `Header` are attributes of the file."""


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
    problem, header = layout.problem, header_of(layout, (), np.zeros((1, 2)))
    file.attrs.update(
        {name: getattr(header, name) for name in ATTRIBUTES},
        dimension=problem.dimension,
        varying=len(problem.varying),
        windows=len(problem.windows),
    )
    _axes(file["axes"], layout, header)
    write_series(file.create_group("windows"), problem.windows, ("data", "noise_std", "series"))
    if any(source is not None for source in layout.sources):
        write_sources(file.create_group("sources"), layout)
    if layout.beyond is not None:
        write_series(file.create_group("beyond"), layout.beyond, ("data", "series"))
    if layout.truth is not None:
        write_series(file.create_group("truth"), layout.truth, ("states",))
        true = header.true_parameters
        write_names(file["truth"], "parameter", list(true))
        file["truth"].create_dataset("value", data=np.asarray(list(true.values()), dtype="f8"))
    for group in SERIES:
        if group in file:
            describe(file[group]["t"], "time", header.time_unit)


def _axes(axes: h5py.Group, layout: Layout, header: Header) -> None:
    """Dimension scales, with units and bounds as attributes."""
    model = layout.problem.model
    unknown = write_names(axes, "unknown", header.unknown)
    describe(unknown, "unknowns of one time: states, parameters that belong to one time")
    write_units(axes, "unknown", header.unknown_unit)
    state = write_names(axes, "state", header.state)
    describe(state, "states of the model")
    write_units(axes, "state", header.state_unit)
    state.attrs["model_error_weight"] = np.asarray(header.model_error_weight, dtype="f8")
    state.attrs["model_error"] = header.model_error
    parameter = write_names(axes, "parameter", header.parameter)
    describe(parameter, "estimated parameters that all times share")
    observed = write_names(axes, "observed", header.observed)
    if header.noise:
        observed.attrs["loss"] = list(header.noise)
    write_names(axes, "expression", header.expression)
    series = write_names(axes, "series", header.series)
    if header.parameter:
        write_units(axes, "parameter", header.parameter_unit)
        parameter.attrs["limits"] = header.parameter_bounds
        parameter.attrs["start_range"] = header.parameter_start
    if len(series):
        units = {one.name: one.unit for one in model.parameters}
        units |= {one.name: one.unit for one in model.stimuli}
        series.attrs["unit"] = [units.get(name, "1") for name in header.series]
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
