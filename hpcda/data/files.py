"""Chooses the reader of a data file from its suffix and its first bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpcda.data.arrays import RawArray, array_table
from hpcda.data.table import Table
from hpcda.data.text import read_text
from hpcda.errors import InputError, Mistake
from hpcda.names import nearest

TEXT = (".csv", ".txt", ".tsv", ".dat")
NUMPY = (".npy", ".npz")
HDF5 = (".h5", ".hdf5", ".hdf")
NETCDF = (".nc", ".nc4", ".cdf")
SUFFIXES = (*TEXT, *NUMPY, *HDF5, *NETCDF)
_FORMATS = {
    b"CDF\x05": "of the netCDF format CDF-5, which is not read",
    b"\xcd\xf3\x00\x01": "a CDF file of NASA's, which is not read",
}
"""First bytes of what is not read."""


def read_table(
    path: Path,
    place: str,
    time: str | int | None = None,
    wanted: Sequence[str | int] = (),
    header: bool | None = None,
) -> Table:
    """Read a file of data.

    Args:
        path: The file.
        place: The key of the job that names it, for messages.
        time: The time column, which determines the time axis of arrays.
        wanted: The other columns that are used, which help to recognize a header row.
        header: Whether the first row of a text file is a header; None to infer it.

    Raises:
        InputError: The file is missing, of an unknown format, of another format than its suffix says, or
            ambiguous.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            Mistake(place, f"{path.name} has no known ending", f"give a file {', '.join(SUFFIXES)}")
        )
    try:
        if path.exists() and not path.is_file():
            kind = "a directory" if path.is_dir() else "a pipe, a socket or a device"
            raise InputError(Mistake(place, f"{path.name} is {kind}", "give a file that holds the data"))
        if suffix in TEXT:
            return read_text(path, place, [*([] if time is None else [time]), *wanted], header)
        if header is not None:
            problem = f"has no effect on {path.name}, which is not a text file"
            raise InputError(Mistake(f"{place.rpartition('.')[0]}.header", problem, "remove header"))
        if suffix in NUMPY:
            return array_table(path, place, _numpy(path), {}, time)
        if suffix in NETCDF and _is_classic(path, place):
            return array_table(path, place, _classic(path), {}, time)
        return array_table(path, place, *_hdf5(path), time)
    except InputError:
        raise
    except FileNotFoundError:
        folder = path.parent
        try:
            names = sorted(one.name for one in folder.iterdir() if one.suffix in SUFFIXES)
        except OSError:  # no such folder, or one that may not be listed
            names = []
        remedy = nearest(path.name, names) if names else f"put the file there; {folder} holds no data file"
        raise InputError(Mistake(place, f"there is no file {path}", remedy)) from None
    except MemoryError as error:
        remedy = "give a file that contains only the samples to be used"
        raise InputError(Mistake(place, f"{path.name} is too large: {error}", remedy)) from None
    except Exception as error:  # damaged files make these libraries raise nearly anything
        reason = (str(error).splitlines() or [""])[0][:200]
        remedy = f"give a file whose content matches its ending, {suffix}"
        raise InputError(
            Mistake(place, f"{path.name} cannot be read: {type(error).__name__}: {reason}", remedy)
        ) from error


def _numpy(path: Path) -> list[RawArray]:
    with path.open("rb") as stream:  # np.load leaves a damaged file open that it has opened itself
        loaded = np.load(stream, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return [RawArray("", loaded)]
        with loaded:
            return [RawArray(name, loaded[name]) for name in loaded.files]


def _hdf5(path: Path) -> tuple[list[RawArray], dict[str, str]]:
    from hpcda.store.user_file import read_arrays

    found, left = read_arrays(path)
    return [RawArray(one.name, one.values, one.attributes, one.dimensions, one.fill) for one in found], left


def _is_classic(path: Path, place: str) -> bool:
    """Whether a netCDF file is of the classic format or that with 64-bit offsets, and not HDF5."""
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic in _FORMATS:
        remedy = "convert it, as in `nccopy -k nc4 old.nc new.nc`, or to csv"
        raise InputError(Mistake(place, f"{path.name} is {_FORMATS[magic]}", remedy))
    return magic in (b"CDF\x01", b"CDF\x02")


def _classic(path: Path) -> list[RawArray]:
    """The arrays of a classic netCDF file (https://doi.org/10.5065/D6H70CW6, appendix B)."""
    from scipy.io import netcdf_file

    arrays: list[RawArray] = []
    with path.open("rb") as stream:
        file = netcdf_file(stream, "r", mmap=False)
        for name, variable in file.variables.items():
            values: Any = np.array(variable.data)
            arrays.append(RawArray(name, values, dict(variable._attributes), tuple(variable.dimensions)))
    # Nothing is left to close: attributes of the file may have replaced those that file.close() goes by.
    return arrays
