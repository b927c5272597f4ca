"""Reads columns of a user's HDF5 file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

REFERENCES = ("REFERENCE_LIST", "DIMENSION_LIST")
"""Attributes by which HDF5 ties datasets together."""


@dataclass(frozen=True)
class StoredArray:
    """One array of numbers of an HDF5 file.

    Attributes:
        name: Its path within the file.
        values: The array.
        attributes: Its attributes.
        dimensions: Name of the scale of each dimension, "" where it has none.
        fill: What it holds where nothing was written, where its writer chose that, else None.
    """

    name: str
    values: npt.NDArray[Any]
    attributes: dict[str, Any]
    dimensions: tuple[str, ...]
    fill: float | None


def read_arrays(path: Path) -> tuple[list[StoredArray], dict[str, str]]:
    """The numeric arrays in an HDF5 file, and what else it holds: path within the file -> what it is.

    Arrays of more than two dimensions that are not 1 are not read.

    Raises:
        OSError: The file is not HDF5, or cannot be read.
        MemoryError: An array takes more than half of this machine's memory. Its file may be small all the
            same: what was never written is made up while it is read.
    """
    found: list[StoredArray] = []
    left: dict[str, str] = {}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if item.shape is None or item.dtype.kind not in "iufb":
            left[name] = f"is an array of type {item.dtype}"
        elif item.ndim == 0:
            left[name] = "is a single number"
        elif sum(size != 1 for size in item.shape) > 2:
            left[name] = f"is an array of {item.ndim} dimensions, {' × '.join(map(str, item.shape))}"
        else:
            if item.size * item.dtype.itemsize > memory / 2:
                raise MemoryError(f"{name} has {item.size:.4g} numbers, this machine {memory / 1e9:.3g} GB")
            values = np.asarray(item[()])
            found.append(StoredArray(name, values, _attributes(item), _dimensions(item), _fill(item)))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found, left


def _attributes(item: h5py.Dataset) -> dict[str, Any]:
    """The attributes, but for those that refer to other datasets."""
    return {name: item.attrs[name] for name in item.attrs if name not in REFERENCES}


def _dimensions(item: h5py.Dataset) -> tuple[str, ...]:
    """Name of the first scale of each dimension; a dataset that is a scale names its own."""
    if item.is_scale and item.ndim == 1:
        return (item.name.lstrip("/"),)
    return tuple(scales[0].name.lstrip("/") if len(scales) else "" for scales in item.dims)


def _fill(item: h5py.Dataset) -> float | None:
    """The fill value that a writer has chosen, where it is not 0."""
    chosen = item.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED
    return float(item.fillvalue) if chosen and np.isfinite(item.fillvalue) and item.fillvalue != 0 else None
