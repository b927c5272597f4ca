"""What is known before the first start: axes, data, provenance; the same in every shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import numpy as np

from hpcda.store.checks import text_check
from hpcda.store.origins import write_sources
from hpcda.store.schema import (
    SCHEMA,
    VERSION,
    Layout,
    parameter_names,
    series_names,
    unknown_names,
)

TEXT = h5py.string_dtype()
_TEXT = h5py.h5t.py_create(TEXT, logical=True)
GROUPS = (
    "job",
    "provenance",
    "axes",
    "reasons",
    "ways",
    "extensions",
    "windows",
    "sources",
    "beyond",
    "truth",
)
"""What is known before the first start, beside the attributes of the file; /ways in version 3 alone."""
OWN = ("rank", "generation", "opened", "closed", "indexed", "header_check", "shard_check")
"""Attributes that are not the same in every file of a run."""
SCALES = ("CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS")
"""Attributes that dimension scales consist of."""


def write_header(file: h5py.File, layout: Layout) -> None:
    """Write everything but the ensemble into a new file.

    Args:
        file: An open, empty file.
        layout: What the run holds.
    """
    problem = layout.problem
    model = problem.model
    file.attrs.update(
        schema=SCHEMA,
        version=VERSION,
        fingerprint=layout.fingerprint,
        model=model.name,
        model_title=model.title,
        model_citation=model.citation,
        model_kind=model.kind,
        time_unit=model.time_unit,
        discretization=problem.discretization,
        alpha=float(layout.alpha),
        seed=str(layout.seed),
        starts=int(layout.starts),
        keep_paths=layout.keep_paths,
        dimension=problem.dimension,
        varying=len(problem.varying),
        windows=len(problem.windows),
        measured=problem.measured,
        prior_terms=problem.prior_terms,
        trajectory_unknowns=problem.trajectory_unknowns,
        not_run=layout.not_run,
    )
    file.create_dataset("job", data=layout.job_toml, dtype=TEXT)
    provenance = file.create_group("provenance")
    for key, value in layout.provenance.items():
        provenance.attrs[key] = str(value)
    _axes(file.create_group("axes"), layout)
    reasons = file.create_group("reasons")
    codes = sorted(layout.reasons)
    reasons.create_dataset("code", data=np.asarray(codes, dtype="i2"))
    _names(reasons, "name", [layout.reasons[code][0] for code in codes])
    _names(reasons, "sentence", [layout.reasons[code][1] for code in codes])
    if layout.extensions:
        extensions = file.create_group("extensions")
        for name in ("name", "sha256", "text"):
            _names(extensions, name, [getattr(one, name) for one in layout.extensions])
    _series(file.create_group("windows"), problem.windows, ("data", "noise_std", "series"), file["axes"])
    if any(source is not None for source in layout.sources):
        write_sources(file.create_group("sources"), layout)
    if layout.beyond is not None:
        _series(file.create_group("beyond"), layout.beyond, ("data", "series"), file["axes"])
    if layout.truth is not None:
        _series(file.create_group("truth"), layout.truth, ("states",), file["axes"])
        true: dict[str, float] = {}
        for window in layout.truth:
            true = {**(getattr(window, "parameters", None) or {}), **true}
        _names(file["truth"], "parameter", list(true))
        file["truth"].create_dataset("value", data=np.asarray(list(true.values()), dtype="f8"))
    for group in ("windows", "beyond", "truth"):
        if group in file:
            file[group]["t"].attrs["unit"] = model.time_unit
    file.attrs["header_check"] = np.uint32(header_check(file))


def header_check(file: h5py.File) -> int:
    """Check sum of what is known before the first start, the same in a shard and in the index."""
    return text_check(_pieces(file))


def _pieces(file: h5py.File) -> Iterator[bytes]:
    yield from _attributes(file, OWN)
    for name in GROUPS:
        if name in file:
            yield name.encode()
            yield from _contents(file[name])


def _contents(item: h5py.Group | h5py.Dataset) -> Iterator[bytes]:
    yield from _attributes(item, SCALES)
    if isinstance(item, h5py.Group):
        for key in sorted(item):
            yield key.encode()
            yield from _contents(item[key])
    elif _plain(item.id.get_type()):
        yield from _value(np.asarray(item[()]))
    else:
        yield from _value(np.asarray(item.asstr()[()]))


def _attributes(item: h5py.Group | h5py.Dataset, without: Sequence[str]) -> Iterator[bytes]:
    for key in sorted(set(item.attrs) - set(without)):
        yield key.encode()
        _plain(item.attrs.get_id(key).get_type())
        yield from _value(np.asarray(item.attrs[key]))


def _plain(kind: h5py.h5t.TypeID) -> bool:
    """Whether it is a type of numbers; else it is that of texts.

    Raises:
        TypeError: It is neither: reading what is of a type with a flipped bit would end the process.
    """
    if kind.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT):
        return True
    if not kind.equal(_TEXT):
        raise TypeError("a type of data that no run has")
    return False


def _value(array: Any) -> Iterator[bytes]:
    yield repr(array.shape).encode()
    if array.dtype.kind in "OSU":
        yield from (str(text).encode() for text in array.reshape(-1))
    else:
        yield array.dtype.str.encode()
        yield np.ascontiguousarray(array).tobytes()


def _names(group: Any, name: str, values: Sequence[str]) -> Any:
    """A dataset of text, also where there is none of them."""
    return group.create_dataset(
        name, data=np.asarray(list(values), dtype=object), dtype=TEXT, shape=(len(values),)
    )


def _axes(axes: h5py.Group, layout: Layout) -> None:
    """Dimension scales, with units and bounds as attributes."""
    problem = layout.problem
    model = problem.model
    axes.create_dataset("rung", data=np.arange(len(layout.rf), dtype="i4"))
    axes.create_dataset("beta", data=np.asarray(layout.beta, dtype="i8"))
    axes.create_dataset("rf", data=np.asarray(layout.rf, dtype="f8"))
    unknown = _names(axes, "unknown", unknown_names(problem))
    units = {p.name: p.unit for p in model.parameters}
    unknown.attrs["unit"] = [
        *(s.unit for s in model.states),
        *(units.get(q.name, "1") for q in problem.varying),
    ]
    state = _names(axes, "state", model.state_names)
    state.attrs["unit"] = [s.unit for s in model.states]
    state.attrs["model_error_weight"] = np.asarray(problem.model_error_weight, dtype="f8")
    parameter = _names(axes, "parameter", parameter_names(problem))
    observed = _names(axes, "observed", list(problem.observed))
    if problem.noise:
        observed.attrs["loss"] = [
            problem.noise[name].loss if name in problem.noise else "gaussian" for name in problem.observed
        ]
    _names(axes, "expression", list(problem.observed.values()))
    series = _names(axes, "series", series_names(problem))
    stimuli = {s.name: s.unit for s in model.stimuli}
    if problem.constants:
        parameter.attrs["unit"] = [units.get(p.name, "1") for p in problem.constants]
        parameter.attrs["bounds"] = np.asarray([p.bounds for p in problem.constants], dtype="f8")
        parameter.attrs["start"] = np.asarray([p.start for p in problem.constants], dtype="f8")
    if len(series):
        series.attrs["unit"] = [stimuli.get(name, units.get(name, "1")) for name in series_names(problem)]
    for scale, name in (
        (axes[key], key) for key in ("rung", "unknown", "state", "parameter", "observed", "series")
    ):
        scale.make_scale(name)
    axes["rung"].attrs["meaning"] = "position on the ladder"
    axes["rf"].attrs["meaning"] = "Rf, the precision of the model"
    axes["rf"].attrs["unit"] = "1"
    for name in ("beta", "rf"):
        axes[name].dims[0].attach_scale(axes["rung"])
    observed.attrs["meaning"] = (
        "measured quantities; /axes/expression gives them in terms of states and parameters"
    )


def _series(group: h5py.Group, parts: Sequence[Any], names: Sequence[str], axes: h5py.Group) -> None:
    """Arrays of all windows behind one another along the dimension point, t as its coordinate."""
    lengths = [len(part.t) for part in parts]
    group.create_dataset("window", data=np.repeat(np.arange(len(parts), dtype="i4"), lengths))
    t = group.create_dataset("t", data=np.concatenate([np.asarray(part.t, dtype="f8") for part in parts]))
    t.make_scale("point")
    group["window"].dims[0].attach_scale(t)
    axis = {"data": "observed", "noise_std": "observed", "series": "series", "states": "state"}
    for name in names:
        values = [np.asarray(getattr(part, name), dtype="f8") for part in parts]
        dataset = group.create_dataset(name, data=np.concatenate(values), fillvalue=np.nan)
        dataset.dims[0].label = "point"
        dataset.dims[0].attach_scale(t)
        dataset.dims[1].label = axis[name]
        dataset.dims[1].attach_scale(axes[axis[name]])
