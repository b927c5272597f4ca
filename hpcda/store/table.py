"""Reading the columns of a user's HDF5 file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def read_arrays(path: Path) -> dict[str, Any]:
    """The numeric arrays of one or two dimensions in an HDF5 file: path within the file -> array.

    Raises:
        OSError: The file is not HDF5, or cannot be read.
        MemoryError: An array takes more than half of this machine's memory. Its file may be small all the
            same: what was never written is made up while it is read.
    """
    found: dict[str, Any] = {}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim in (1, 2) and item.dtype.kind in "iufb":
            if item.size * item.dtype.itemsize > memory / 2:
                raise MemoryError(f"{name} has {item.size:.4g} numbers, this machine {memory / 1e9:.3g} GB")
            found[name] = np.asarray(item[()])

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found
