"""Reading the columns of a user's HDF5 file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np


def read_arrays(path: Path) -> dict[str, Any]:
    """The numeric arrays of one or two dimensions in an HDF5 file: path within the file -> array.

    Raises:
        OSError: The file is not HDF5, or cannot be read.
    """
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim in (1, 2) and item.dtype.kind in "iufb":
            found[name] = np.asarray(item[()])

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found
