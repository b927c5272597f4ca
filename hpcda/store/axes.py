"""Dimensions of the stored arrays: names, scales and units, readable by CF tools and xarray.

`xarray.open_dataset("run.h5")` shows the arrays of /axes and /ensemble, which the index holds in / as well:
netCDF looks for the scales of an array in its group and those above.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from hpcda.annealing.record import PER_RUNG, PER_START

TEXT = h5py.string_dtype()
AXIS = {"data": "observed", "noise_std": "observed", "series": "series", "states": "state"}
"""Second dimension of the arrays of /windows, /beyond and /truth."""


NAMED = ("rung", "unknown", "state", "parameter", "observed", "series")
"""Dimensions of /axes."""
UNITS = "_units"
"""Behind the name of a dimension: the array of the units of its elements."""
OLD = {"units": "unit", "long_name": "meaning", "limits": "bounds", "start_range": "start"}
"""Attributes of arrays, and their names before version 5; units of the elements of a dimension were one as
well."""
_NEW = {old: name for name, old in OLD.items()}
SCALES = ("CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS")
"""Attributes that dimension scales consist of."""


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


def describe(array: h5py.Dataset, long_name: str, units: str = "") -> None:
    """Say what an array holds, as CF does."""
    array.attrs["long_name"] = long_name
    if units:
        array.attrs["units"] = units


def described(array: h5py.Dataset, name: str, otherwise: Any = None) -> Any:
    """An attribute of an array, of files before version 5 as well."""
    return array.attrs.get(name, array.attrs.get(OLD[name], otherwise))


def write_units(axes: h5py.Group, name: str, units: Sequence[str]) -> None:
    """Write the units of the elements of a dimension."""
    if len(units):
        write_names(axes, name + UNITS, units)


def read_units(axes: h5py.Group, name: str) -> tuple[str, ...]:
    """The units of the elements of a dimension, none where they are not known."""
    if name + UNITS in axes:
        return tuple(str(unit) for unit in axes[name + UNITS].asstr()[:])
    return tuple(str(unit) for unit in axes[name].attrs.get("unit", ()))


def attach_axes(axes: h5py.Group) -> None:
    """Make the arrays of /axes scales, and name the dimensions of those that stand along them."""
    along = {"beta": "rung", "rf": "rung", "expression": "observed"}
    for name in NAMED:
        axes[name].make_scale(name)
        along[name + UNITS] = name
    for name, dimension in along.items():
        if name in axes:
            axes[name].dims[0].label = dimension
            axes[name].dims[0].attach_scale(axes[dimension])


def copy(source: h5py.Group | h5py.Dataset, target: h5py.Group, name: str) -> None:
    """Copy data and attributes as this version writes them, but no references that scales consist of."""
    if isinstance(source, h5py.Group):
        made = target.create_group(name)
        for key in source:
            copy(source[key], made, key)
    else:
        made = target.create_dataset(name, data=source[()], dtype=source.dtype)
    for key, value in source.attrs.items():
        if key in SCALES:
            continue
        if isinstance(source, h5py.Group):
            made.attrs[key] = value
        elif key == "unit" and np.ndim(value):
            write_units(target, name, list(value))
        else:
            made.attrs[_NEW.get(key, key)] = value


def show_at_root(file: h5py.File) -> None:
    """Let arrays of /axes and /ensemble, and the times, stand in / as well, where xarray looks for them."""
    for group in ("axes", "ensemble"):
        for name, array in file[group].items():
            file[name] = array
    file["t"] = file["windows/t"]


def attach_scales(file: Any) -> None:
    """Name the dimensions of /ensemble and /paths, with units, in a shard or in the index."""
    axes, ensemble, paths = file["axes"], file["ensemble"], file["paths"]
    ensemble["start"].make_scale("start")
    for name, column in {**PER_START, **PER_RUNG}.items():
        dataset = ensemble[name]
        describe(dataset, column.long_name, column.units)
        if name != "start":
            dataset.dims[0].label = "start"
            dataset.dims[0].attach_scale(ensemble["start"])
    for group in (ensemble, paths):
        describe(group["check"], "checksum of what is stored here", "1")
    describe(ensemble["parameters"], "parameters that all times share, or norms of weights")
    for name in ("parameters", "check"):
        ensemble[name].dims[0].label = "start"
        ensemble[name].dims[0].attach_scale(ensemble["start"])
    for name in (*PER_RUNG, "parameters", "check"):
        ensemble[name].dims[1].label = "rung"
        ensemble[name].attrs["coordinates"] = "rf beta"
        ensemble[name].dims[1].attach_scale(axes["rung"])
    ensemble["parameters"].dims[2].label = "parameter"
    ensemble["parameters"].dims[2].attach_scale(axes["parameter"])
    labels = {
        "states": ("path", "point", "unknown"),
        "parameters": ("path", "parameter"),
        "rung": ("path",),
        "check": ("path",),
    }
    scales = {
        "path": paths["start"],
        "point": file["windows/t"],
        **{k: axes[k] for k in ("unknown", "parameter")},
    }
    paths["start"].make_scale("path")
    for name, dims in labels.items():
        for axis, label in enumerate(dims):
            paths[name].dims[axis].label = label
            if paths[name].shape[axis] == scales[label].shape[0] or label == "path":
                paths[name].dims[axis].attach_scale(scales[label])
