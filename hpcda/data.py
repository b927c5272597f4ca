"""Tables of numbers from files: csv, npy, npz and HDF5, read column by column.

A csv has commas, semicolons, tabs or blanks between its cells, a first row of names (or none), and empty
cells, ``nan`` or ``NA`` where nothing was measured; lines that begin with # are left out. In the other
formats each one-dimensional array is a column and a two-dimensional array y makes the columns ``y[0]``,
``y[1]``, …
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpcda.errors import InputError, Mistake
from hpcda.names import nearest, shortened
from hpcda.words import counted

Array = npt.NDArray[np.float64]

EMPTY = frozenset({"", "nan", "na", "n/a", "null", "none"})
SUFFIXES = (".csv", ".txt", ".tsv", ".dat", ".npy", ".npz", ".h5", ".hdf5", ".hdf")
SHOWN = 3
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Table:
    """The columns of a file.

    Attributes:
        shown: The file's name as messages give it.
        columns: Name of each column -> its values, or its cells as they were written.
        lines: Line of the file on which each row stands; empty where a file has no lines.
        named: Whether the columns have names; without, they are reached by position only.
    """

    shown: str
    columns: dict[str, Array | list[str]]
    lines: tuple[int, ...] = ()
    named: bool = True

    def key(self, column: str | int, place: str) -> str:
        """The name under which a column is kept.

        Raises:
            InputError: There is no such column.
        """
        names = list(self.columns)
        if isinstance(column, int):
            if column < len(names):
                return names[column]
            raise InputError(
                Mistake(
                    place, f"{self.shown} has no column {column}", f"its columns are 0 … {len(names) - 1}"
                )
            )
        if column in self.columns and self.named:
            return column
        remedy = (
            nearest(column, names)
            if self.named
            else f"it has no names: give a position, 0 … {len(names) - 1}"
        )
        raise InputError(Mistake(place, f"{self.shown} has no column {column!r}", remedy))

    def where(self, row: int, name: str) -> str:
        """The place of one value, for messages."""
        spot = f"line {self.lines[row]}" if self.lines else f"row {row}"
        return f"{self.shown}, {spot}, column {shortened(name)!r}"

    def numbers(self, column: str | int, place: str) -> Array:
        """The values of a column, shape (rows,), NaN where a cell is empty.

        Raises:
            InputError: There is no such column, or it holds what is not a finite number.
        """
        name = self.key(column, place)
        cells = self.columns[name]
        if isinstance(cells, np.ndarray):
            values, wrong = cells, [int(row) for row in np.flatnonzero(np.isinf(cells))]
        else:
            values = np.array([_number(cell) for cell in cells], dtype=np.float64)
            wrong = [int(row) for row in np.flatnonzero(np.isinf(values))]
        if wrong:
            texts = [str(cells[row]) for row in wrong[:SHOWN]]
            mistakes = [
                Mistake(
                    self.where(row, name),
                    f"{text[:40]!r} is not a finite number",
                    "write a number, or leave it empty",
                )
                for row, text in zip(wrong, texts, strict=False)
            ]
            raise InputError(more(mistakes, len(wrong)))
        return values


def more(mistakes: list[Mistake], count: int) -> list[Mistake]:
    """The first mistakes of a kind, the last of which tells how many there are of it."""
    if count > len(mistakes):
        last = mistakes[-1]
        mistakes[-1] = Mistake(
            last.place, f"{last.problem} (and {count - len(mistakes)} more like it)", last.remedy
        )
    return mistakes


def _number(cell: str) -> float:
    """The number in a cell, NaN where it is empty, inf where it holds something else."""
    text = cell.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    return np.nan if text.lower() in EMPTY else np.inf


def read_table(path: Path, place: str) -> Table:
    """Read a file of data.

    Args:
        path: The file.
        place: The key of the job that names it, for messages.

    Raises:
        InputError: The file is missing, of an unknown kind, or not what its name says.
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
        if suffix in (".npy", ".npz"):
            return _arrays(path, place, _numpy(path))
        if suffix.startswith(".h"):
            from hpcda.store.table import read_arrays

            return _arrays(path, place, read_arrays(path))
        return _csv(path, place)
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
        remedy = "give a file that holds the samples to be used, and no more"
        raise InputError(Mistake(place, f"{path.name} is too large: {error}", remedy)) from None
    except Exception as error:  # damaged files make these libraries raise nearly anything
        reason = (str(error).splitlines() or [""])[0][:200]
        remedy = f"give a file that is what its ending, {suffix}, says"
        raise InputError(
            Mistake(place, f"{path.name} cannot be read: {type(error).__name__}: {reason}", remedy)
        ) from error


def _numpy(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    with path.open("rb") as stream:  # np.load leaves a damaged file open that it has opened itself
        loaded = np.load(stream, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}


def _arrays(path: Path, place: str, arrays: dict[str, npt.NDArray[np.generic]]) -> Table:
    columns: dict[str, Array | list[str]] = {}
    for name, array in arrays.items():
        if array.dtype.kind not in "iufb" or array.ndim not in (1, 2):
            continue
        with np.errstate(
            over="ignore"
        ):  # what float64 does not hold becomes infinite, and is refused as such
            values = array.astype(np.float64)
        if array.ndim == 1:
            new = {name: values}
        else:
            new = {f"{name}[{k}]": values[:, k] for k in range(array.shape[1])}
        for twice in new.keys() & columns.keys():
            remedy = "give every column its own name"
            raise InputError(Mistake(place, f"{path.name} has two columns {shortened(twice)!r}", remedy))
        columns |= new
    if not columns:
        remedy = "store real numbers in arrays of one or two dimensions"
        raise InputError(Mistake(place, f"{path.name} holds no columns of numbers", remedy))
    return Table(path.name, columns)


def _csv(path: Path, place: str) -> Table:
    text = path.read_bytes().decode("utf-8-sig")
    rows: list[list[str]] = []
    lines: list[int] = []
    kept = [
        (n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")
    ]
    if not kept:
        raise InputError(
            Mistake(place, f"{path.name} is empty", "give a file with a row of names and rows of numbers")
        )
    delimiter = next((mark for mark in (",", ";", "\t") if mark in kept[0][1]), None)
    for n, line in kept:
        rows.append(
            line.split() if delimiter is None else next(csv.reader([line], delimiter=delimiter, strict=True))
        )
        lines.append(n)
    header = any(np.isinf(_number(cell)) for cell in rows[0])
    names = [cell.strip() for cell in rows[0]] if header else [str(k) for k in range(len(rows[0]))]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        remedy = "give every column its own name"
        raise InputError(
            Mistake(
                f"{path.name}, line {lines[0]}", f"two columns are named {shortened(repeated[0])!r}", remedy
            )
        )
    body, at = (rows[1:], lines[1:]) if header else (rows, lines)
    wrong = [k for k, row in enumerate(body) if len(row) != len(names)]
    if wrong:
        mistakes = [
            Mistake(
                f"{path.name}, line {at[k]}",
                f"has {counted(len(body[k]), 'cell')} for {counted(len(names), 'column')}",
                "leave no cell out; an empty cell is a gap",
            )
            for k in wrong[:SHOWN]
        ]
        raise InputError(more(mistakes, len(wrong)))
    cells = zip(*body, strict=True) if body else [()] * len(names)
    return Table(path.name, {n: list(c) for n, c in zip(names, cells, strict=True)}, tuple(at), header)
