"""Names in the files of a run, and series that stand along the dimension of points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

TEXT = h5py.string_dtype()
AXIS = {"data": "observed", "noise_std": "observed", "series": "series", "states": "state"}
"""Second dimension of the arrays of /windows, /beyond and /truth."""


def write_names(group: Any, name: str, values: Sequence[str]) -> Any:
    """Write a dataset of text, also where there is none of them."""
    return group.create_dataset(
        name, data=np.asarray(list(values), dtype=object), dtype=TEXT, shape=(len(values),)
    )


def write_series(group: h5py.Group, parts: Sequence[Any], names: Sequence[str]) -> None:
    """Write arrays of all windows behind one another along the dimension point, t as its coordinate."""
    lengths = [len(part.t) for part in parts]
    group.create_dataset("window", data=np.repeat(np.arange(len(parts), dtype="i4"), lengths))
    group.create_dataset("t", data=np.concatenate([np.asarray(part.t, dtype="f8") for part in parts]))
    for name in names:
        values = [np.asarray(getattr(part, name), dtype="f8") for part in parts]
        group.create_dataset(name, data=np.concatenate(values), fillvalue=np.nan)


def attach_points(file: h5py.File, group: h5py.Group) -> None:
    """Name the dimensions of what `write_series` wrote; the axes are scales already."""
    group["t"].make_scale("point")
    group["window"].dims[0].attach_scale(group["t"])
    for name, label in AXIS.items():
        if name in group:
            group[name].dims[0].label, group[name].dims[1].label = "point", label
            group[name].dims[0].attach_scale(group["t"])
            group[name].dims[1].attach_scale(file["axes"][label])
