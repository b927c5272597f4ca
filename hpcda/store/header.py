"""What is known before the first start: axes, data, provenance; the same in every shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import numpy as np

from hpcda.store.checks import text_check
from hpcda.store.network_header import write_network
from hpcda.store.problem_header import write_problem
from hpcda.store.schema import SCHEMA, VERSION, Layout, NetworkLayout, RunLayout
from hpcda.store.texts import TEXT, attach_points, write_names

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
SCALES = ("CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS")
"""Attributes that dimension scales consist of."""


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
        not_run=layout.not_run,
    )
    file.create_dataset("job", data=layout.job_toml, dtype=TEXT)
    provenance = file.create_group("provenance")
    for key, value in layout.provenance.items():
        provenance.attrs[key] = str(value)
    reasons = file.create_group("reasons")
    codes = sorted(layout.reasons)
    reasons.create_dataset("code", data=np.asarray(codes, dtype="i2"))
    write_names(reasons, "name", [layout.reasons[code][0] for code in codes])
    write_names(reasons, "sentence", [layout.reasons[code][1] for code in codes])
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
    for name in ("rung", "unknown", "state", "parameter", "observed", "series"):
        axes[name].make_scale(name)
    axes["rung"].attrs["meaning"] = "position on the ladder"
    axes["rf"].attrs["meaning"] = "Rf, the precision of the model"
    axes["rf"].attrs["unit"] = "1"
    for name in ("beta", "rf"):
        axes[name].dims[0].attach_scale(axes["rung"])
    for group in ("windows", "beyond", "truth"):
        if group in file:
            attach_points(file, file[group])
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
