"""The header of a shard: everything known before the first start; written, read, checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcda.annealing.reasons import Reason
from hpcda.problem import Array
from hpcda.results.header import Header
from hpcda.results.layout import SCHEMA, VERSION, Layout, NetworkLayout, RunLayout
from hpcda.store.axes import (
    SCALES,
    TEXT,
    attach_axes,
    attach_points,
    copy,
    describe,
    described,
    read_units,
    write_names,
)
from hpcda.store.checksums import text_check
from hpcda.store.network import write_network
from hpcda.store.windows import SERIES, write_problem

_TEXT = h5py.h5t.py_create(TEXT, logical=True)
GROUPS = (
    "job",
    "provenance",
    "axes",
    "reasons",
    "ways",
    "extensions",
    "network",
    "windows",
    "sources",
    "beyond",
    "truth",
)
"""What is known before the first start, beside the attributes of the file; /ways in version 3 alone."""
OWN = ("rank", "generation", "opened", "closed", "indexed", "header_check", "shard_check")
"""Attributes that are not the same in every file of a run."""


def write_header(file: h5py.File, layout: RunLayout) -> None:
    """Write everything but the ensemble into a new file.

    Args:
        file: An open, empty file.
        layout: What the run holds.
    """
    file.attrs.update(
        schema=SCHEMA,
        version=VERSION,
        fingerprint=layout.fingerprint,
        alpha=float(layout.alpha),
        seed=str(layout.seed),
        starts=int(layout.starts),
        keep_paths=layout.keep_paths,
        not_run=Reason.NOT_RUN.code,
    )
    file.create_dataset("job", data=layout.job_toml, dtype=TEXT)
    provenance = file.create_group("provenance")
    for key, value in layout.provenance.items():
        provenance.attrs[key] = str(value)
    reasons = file.create_group("reasons")
    every = sorted(Reason, key=lambda reason: reason.code)
    reasons.create_dataset("code", data=np.asarray([reason.code for reason in every], dtype="i2"))
    write_names(reasons, "name", [reason.name for reason in every])
    write_names(reasons, "sentence", [reason.value for reason in every])
    for name in ("converged", "failed"):
        flags = reasons.create_dataset(name, data=np.asarray([getattr(r, name) for r in every], dtype="i1"))
        describe(flags, f"1 where a rung that ended for this reason has {name}")
    if layout.extensions:
        extensions = file.create_group("extensions")
        for name in ("name", "sha256", "text"):
            write_names(extensions, name, [getattr(one, name) for one in layout.extensions])
    axes = file.create_group("axes")
    axes.create_dataset("rung", data=np.arange(len(layout.rf), dtype="i4"))
    axes.create_dataset("beta", data=np.asarray(layout.beta, dtype="i8"))
    axes.create_dataset("rf", data=np.asarray(layout.rf, dtype="f8"))
    if isinstance(layout, NetworkLayout):
        write_network(file, layout)
    else:
        assert isinstance(layout, Layout)
        write_problem(file, layout)
    describe(axes["rung"], "position on the ladder", "1")
    describe(axes["rf"], "Rf, the model precision", "1")
    describe(axes["beta"], "β of the rung: Rf = rf0 alpha^β", "1")
    attach_header(file)
    file.attrs["header_check"] = np.uint32(header_check(file))


def attach_header(file: h5py.File) -> None:
    """Name the dimensions of what is known before the first start."""
    attach_axes(file["axes"])
    for name in SERIES:
        if name in file:
            attach_points(file, file[name])


def copy_header(source: h5py.File, target: h5py.File) -> None:
    """Copy what is known before the first start, as this version writes it, and make its scales anew."""
    for key, value in source.attrs.items():
        if key not in OWN:
            target.attrs[key] = value
    target.attrs["version"] = VERSION
    for name in GROUPS:
        if name in source:
            copy(source[name], target, name)
    attach_header(target)


def header_check(file: h5py.File) -> int:
    """Checksum of what is known before the first start, the same in a shard and in the index."""
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


def _codes(reasons: h5py.Group, table: dict[int, tuple[str, str]], which: str) -> frozenset[int]:
    """Codes of the reasons that are minima, or failures; before version 5 their names say so."""
    if which in reasons:
        return frozenset(int(code) for code in reasons["code"][:][reasons[which][:] == 1])
    return frozenset(code for code, (name, _) in table.items() if getattr(Reason[name], which))


def _ways(file: h5py.File) -> tuple[str, ...]:
    """Names of the ways and escapes by which starts began; of version 3, of all that there were."""
    if "ways" in file:
        return tuple(str(name) for name in file["ways"].asstr()[:])
    return tuple(name.decode() for name in np.unique(file["ensemble/way"][:]).tolist() if name)


def ways_of(values: npt.NDArray[Any], names: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Positions in `names` of the ways as a file holds them, -1 where there is none."""
    if values.dtype.kind != "S":
        return values.astype(np.int64)
    codes = {name.encode(): code for code, name in enumerate(names)}
    return np.array([codes.get(name, -1) for name in values.tolist()], dtype=np.int64)


def read_header(file: h5py.File) -> Header:
    """The header in the index of a run."""
    attributes, axes = file.attrs, file["axes"]

    def names(dataset: Any) -> tuple[str, ...]:
        return tuple(str(name) for name in dataset.asstr()[:])

    def pairs(key: str) -> Array:
        return np.asarray(described(axes["parameter"], key, np.zeros((0, 2))), dtype=np.float64)

    weight, reasons = axes["state"].attrs.get("model_error_weight"), file["reasons"]
    codes = (int(code) for code in reasons["code"][:])
    table = dict(
        zip(codes, zip(names(reasons["name"]), names(reasons["sentence"]), strict=True), strict=True)
    )
    true = {}
    if "truth" in file:
        true = dict(zip(names(file["truth/parameter"]), map(float, file["truth/value"][:]), strict=True))
    return Header(
        model=str(attributes["model"]),
        model_title=str(attributes["model_title"]),
        model_citation=str(attributes["model_citation"]),
        model_kind=str(attributes["model_kind"]),
        time_unit=str(attributes["time_unit"]),
        discretization=str(attributes["discretization"]),
        alpha=float(attributes["alpha"]),
        seed=int(attributes["seed"]),
        starts=int(attributes["starts"]),
        keep_paths=str(attributes["keep_paths"]),
        measured=int(attributes["measured"]),
        prior_terms=int(attributes["prior_terms"]),
        trajectory_unknowns=int(attributes["trajectory_unknowns"]),
        state=names(axes["state"]),
        state_unit=read_units(axes, "state"),
        model_error_weight=None if weight is None else np.asarray(weight, dtype=np.float64),
        model_error=str(axes["state"].attrs.get("model_error", "per step")),
        unknown=names(axes["unknown"]),
        unknown_unit=read_units(axes, "unknown"),
        parameter=names(axes["parameter"]),
        parameter_unit=read_units(axes, "parameter"),
        parameter_bounds=pairs("limits"),
        parameter_start=pairs("start_range"),
        observed=names(axes["observed"]),
        expression=names(axes["expression"]),
        noise=tuple(str(name) for name in axes["observed"].attrs.get("loss", ())),
        series=names(axes["series"]),
        ways=_ways(file),
        rf=axes["rf"][:],
        beta=axes["beta"][:],
        reasons=table,
        converged=_codes(reasons, table, "converged"),
        failed=_codes(reasons, table, "failed"),
        not_run=int(attributes["not_run"]),
        provenance={key: str(value) for key, value in file["provenance"].attrs.items()},
        job_toml=str(file["job"].asstr()[()]),
        fingerprint=str(attributes["fingerprint"]),
        true_parameters=true,
        clock=file["shards/clock"][:],
        ranks=len(np.unique(file["shards/rank"][:])),
        lengths=tuple(
            int(n) for n in np.bincount(file["windows/window"][:], minlength=int(attributes["windows"]))
        ),
    )
