"""Arrays of a binary file as columns; finds which axis is time.

An array y of one dimension, or of several of which all but one are 1, is the column ``y``. An array of two
dimensions holds the columns ``y[0]``, ``y[1]``, … along the side that is not time. Time is the side that has
the dimension of the times, or is as long as they are; where the times stand in y itself, the longer side
along which they increase. Where both sides could be time, ``y[:,0]`` (its first column) and ``y[0,:]`` (its
first row) say which is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.data.table import Column, Table
from hpcda.errors import InputError, Mistake
from hpcda.names import shortened

EVEN = 1e-6
"""Relative difference of two steps that are even."""
_ENTRY = re.compile(r"(.*)\[(\d+)\]")


@dataclass(frozen=True)
class RawArray:
    """One array of a file.

    Attributes:
        name: Its name, a path in an HDF5 file; "" in a .npy file.
        values: The array.
        attributes: What the file says of it.
        dimensions: Name of each dimension, "" where it has none.
        fill: What the file holds where nothing was written, or None where it does not say.
    """

    name: str
    values: npt.NDArray[Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    dimensions: tuple[str, ...] = ()
    fill: float | None = None


def array_table(
    path: Path,
    place: str,
    arrays: Sequence[RawArray],
    left_out: Mapping[str, str],
    time: str | int | None = None,
) -> Table:
    """The columns of the arrays of a file.

    Args:
        path: The file.
        place: The key of the job that names it, for messages.
        arrays: Its arrays.
        left_out: What else it holds -> what that is.
        time: The column of the times, by which the sides of arrays are told; None where there is none.

    Raises:
        InputError: It contains no numeric columns, or two of one name.
    """
    vectors: dict[str, RawArray] = {}
    matrices: dict[str, RawArray] = {}
    aliases: dict[str, str] = {}
    order: list[str] = []
    left = dict(left_out)
    for one in map(_plain, arrays):
        name, values = one.name, one.values
        sides = [size for size in values.shape if size != 1]
        if values.dtype.kind not in "iufb":
            left[name] = f"is an array of type {values.dtype}"
            continue
        if values.ndim == 0:
            left[name] = "is a single number"
            continue
        if len(sides) > 2:
            left[name] = f"is an array of {values.ndim} dimensions, {_shape(values)}"
            continue
        if len(sides) == 2:
            matrices[name] = replace(one, values=values.reshape(sides), dimensions=_kept(one))
        else:
            if values.ndim > 1:
                other = f"{name}[0]"
                if not name or (values.ndim == 2 and values.shape[1] == 1):
                    name, other = other, name
                aliases[other] = name
            if name in vectors:
                raise _twice(path, place, name)
            vectors[name] = replace(one, name=name, values=values.reshape(-1), dimensions=_kept(one))
        order.append(name)
    sides_of, unplaced, doubts = _orient(vectors, matrices, aliases, order, time, path.name)
    columns: dict[str, Column] = {}
    for name in order:
        if name in vectors:
            one = vectors[name]
            new = {name: Column(one.values, one.attributes, one.fill)}
        else:
            one = matrices[name]
            lines = one.values.T if sides_of[name] == 0 else one.values
            doubt, remedy = doubts.get(name, ("", ""))
            new = {
                f"{name}[{k}]": Column(line, one.attributes, one.fill, doubt, remedy)
                for k, line in enumerate(lines)
            }
        for twice in new.keys() & columns.keys():
            raise _twice(path, place, twice)
        columns |= new
    if not columns:
        remedy = "store real numbers in arrays of one or two dimensions"
        raise InputError(Mistake(place, f"{path.name} contains no numeric columns{_told(left)}", remedy))
    return Table(
        path.name,
        columns,
        aliases={other: name for other, name in aliases.items() if other not in columns},
        matrices={name: Column(one.values, one.attributes, one.fill) for name, one in matrices.items()},
        left_out=left,
        unplaced=unplaced,
        turned={name: _shape(matrices[name].values) for name, side in sides_of.items() if side == 1},
    )


def _twice(path: Path, place: str, name: str) -> InputError:
    problem = f"{path.name} has two columns {shortened(name)!r}"
    return InputError(Mistake(place, problem, "give every column its own name"))


def _plain(one: RawArray) -> RawArray:
    """The same with numbers of this machine's order of bytes, as booleans and wide floats are none."""
    kind = one.values.dtype
    if kind.kind not in "iufb" or (kind.isnative and kind.kind != "b" and kind.itemsize <= 8):
        return one
    wanted = np.dtype("u1" if kind.kind == "b" else "f8") if kind.kind == "b" or kind.itemsize > 8 else kind
    with np.errstate(over="ignore"):  # what float64 does not hold becomes infinite, and is refused as such
        return replace(one, values=one.values.astype(wanted.newbyteorder("=")))


def _kept(one: RawArray) -> tuple[str, ...]:
    """Names of the dimensions that are not 1."""
    if len(one.dimensions) != one.values.ndim:
        return ()
    return tuple(name for name, size in zip(one.dimensions, one.values.shape, strict=True) if size != 1)


def _shape(values: npt.NDArray[Any]) -> str:
    return " × ".join(map(str, values.shape))


def _told(left: Mapping[str, str]) -> str:
    first = next(iter(left.items()), None)
    return "" if first is None else f" ({shortened(first[0]) or 'it'!r} {first[1]})"


def _orient(
    vectors: Mapping[str, RawArray],
    matrices: Mapping[str, RawArray],
    aliases: Mapping[str, str],
    order: Sequence[str],
    time: str | int | None,
    shown: str,
) -> tuple[dict[str, int], str, dict[str, tuple[str, str]]]:
    """The side of each matrix that is time, why positions tell no column, and the doubts about matrices."""
    sides = dict.fromkeys(matrices, 0)
    doubts: dict[str, tuple[str, str]] = {}
    home, entry = _home(vectors, matrices, aliases, order, time)
    if home is None:
        return sides, "", doubts
    if home in vectors:
        length, names = len(vectors[home].values), {home.rpartition("/")[2], home, *vectors[home].dimensions}
    else:
        side = _side_of_times(matrices[home].values, entry)
        if side is None:
            doubts[home] = _doubt(home, matrices[home], "its times increase along both sides", shown)
        sides[home] = side or 0
        length, names = matrices[home].values.shape[sides[home]], set()
        if matrices[home].dimensions:
            names = {matrices[home].dimensions[sides[home]]}
    for name, one in matrices.items():
        if name == home:
            continue
        shape = one.values.shape
        known = [k for k, dimension in enumerate(one.dimensions) if dimension and dimension in names]
        alike = [k for k in (0, 1) if shape[k] == length]
        if len(known) == 1:
            sides[name] = known[0]
        elif len(alike) == 1:
            sides[name] = alike[0]
        elif len(alike) == 2:
            doubts[name] = _doubt(name, one, f"there are {length} times", shown)
    turned = [name for name in matrices if sides[name] == 1]
    unplaced = ""
    if turned and len(order) > 1:
        size = _shape(matrices[turned[0]].values)
        unplaced = f"{shortened(turned[0])!r} of {shown} is {size} and holds a column in every row"
    return sides, unplaced, doubts


def _home(
    vectors: Mapping[str, RawArray],
    matrices: Mapping[str, RawArray],
    aliases: Mapping[str, str],
    order: Sequence[str],
    time: str | int | None,
) -> tuple[str | None, int]:
    """The array that holds the times, and which of its entries they are."""
    if isinstance(time, int):
        for name in order:
            count = 1 if name in vectors else matrices[name].values.shape[1]
            if time < count or len(order) == 1:
                return name, time
            time -= count
        return None, 0
    if time is None:
        return None, 0
    name = aliases.get(time, time)
    if name in vectors:
        return name, 0
    match = _ENTRY.fullmatch(name)
    return (match[1], int(match[2])) if match and match[1] in matrices else (None, 0)


def _side_of_times(values: npt.NDArray[Any], entry: int) -> int | None:
    """The side along which an entry increases, the longer one where both do; None where that is not known.

    A square tells it only where the entry is evenly spaced along one side alone.
    """
    rising: list[int] = []
    even: list[int] = []
    for side in (0, 1):
        if entry < values.shape[1 - side]:
            steps = np.diff(values.take(entry, axis=1 - side).astype(np.float64))
            if (steps > 0.0).all():
                rising.append(side)
                even += [side] if len(steps) and np.ptp(steps) <= EVEN * steps.max() else []
    if len(rising) == 2:
        rows, columns = values.shape
        if rows != columns:
            return int(columns > rows)
        return even[0] if len(even) == 1 else None
    return rising[0] if rising else int(entry >= values.shape[1])


def _doubt(name: str, one: RawArray, why: str, shown: str) -> tuple[str, str]:
    shape = _shape(one.values)
    what = repr(shortened(name)) if name else "the array"
    problem = f"{what} of {shown} is {shape}, and {why}: either dimension may be time"
    remedy = f"write {name}[:,0] for its first column or {name}[0,:] for its first row"
    return problem, remedy
