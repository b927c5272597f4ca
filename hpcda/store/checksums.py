"""Checksums of stored data, to detect damage.

Everything that counts has its own CRC-32, written with it: every rung (its numbers, and which start and
rung they belong to), every row (once where it begins, once where it ends), every path, and what is known
before the first start. No checksum is 0, which is what unwritten places hold. Each costs 4 bytes and a
microsecond, that of a path one more for every four kilobytes.

HDF5's own checksums (the filter fletcher32) belong to whole chunks: a process that is killed while it writes
one rung would leave the rungs of 31 other starts unreadable.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.annealing.record import PER_RUNG, PER_START, RUNG
from hpcda.problem import Array

Checks = npt.NDArray[np.uint32]

CODES = {"f8": "d", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u4": "I", "S32": "32s"}
"""What `struct` calls the types of columns."""
_RUNG = struct.Struct("<qi" + "".join(CODES[RUNG[name].str.lstrip("<")] for name in RUNG.names or ()))
_RUNG_ROW = np.dtype([("start", "<i8"), ("rung", "<i4"), *((name, RUNG[name]) for name in PER_RUNG)])
_OLD_WAY = "<i4"
_SHARD = struct.Struct("<2d3q")
_PLACE = struct.Struct("<qq")
BYTES = 64 * 2**20
"""Bytes of a table or of paths that are read at a time."""


class DamageError(Exception):
    """A file does not hold what was written into it.

    Args:
        reason: What is wrong.
        row: Row of the table that it was found in, -1 where it was not in one.
    """

    def __init__(self, reason: str, row: int = -1) -> None:
        super().__init__(reason)
        self.row = row


def parts_of(rows: int, width: int) -> Iterator[slice]:
    """Stretches of so many rows, of `width` bytes each, that are read at a time."""
    step = max(1, BYTES // max(width, 1))
    for begin in range(0, rows, step):
        yield slice(begin, min(begin + step, rows))


def rung_check(start: int, rung: int, values: tuple[Any, ...], parameters: Array) -> int:
    """Of one rung: where it belongs, its values in the order of `PER_RUNG`, and its parameters."""
    head = _RUNG.pack(start, rung, *values)
    return zlib.crc32(np.asarray(parameters, dtype="<f8").tobytes(), zlib.crc32(head)) or 1


def rung_checks(
    start: npt.ArrayLike, rung: npt.ArrayLike, values: Mapping[str, npt.NDArray[Any]], parameters: Array
) -> Checks:
    """Of n rungs: starts and rungs, shape (n,), the columns of `PER_RUNG` by name, (n,); (n, P)."""
    rows = np.empty(len(parameters), dtype=_RUNG_ROW)
    rows["start"], rows["rung"] = start, rung
    for name in PER_RUNG:
        rows[name] = values[name]
    inner = np.ascontiguousarray(parameters, dtype="<f8")
    return _each(np.concatenate([_bytes(rows), _bytes(inner)], axis=1))


def start_check(kind: str, values: Mapping[str, float | bytes]) -> int:
    """Of what is known of a start: when it begins, or when it has ended.

    Args:
        kind: Name of the checksum.
        values: By the names of `PER_START`, those among them that go into it.
    """
    names, pack = _CHECKED[kind]
    return zlib.crc32(pack(*(values[name] for name in names))) or 1


def start_checks(kind: str, table: Mapping[str, npt.NDArray[Any]]) -> Checks:
    """`start_check` of every row of a table, shape (S,)."""
    names, _ = _CHECKED[kind]
    types = {name: f"<{PER_START[name].dtype}" for name in names}
    if "way" in types and table["way"].dtype.kind != "S":  # version 3
        types["way"] = _OLD_WAY
    rows = np.empty(len(table["start"]), dtype=list(types.items()))
    for name in names:
        rows[name] = table[name]
    return _each(_bytes(rows))


def path_check(start: int, rung: int, *parts: npt.NDArray[Any]) -> int:
    """Of a path, in one array or in several, and where it belongs."""
    value = zlib.crc32(_PLACE.pack(start, rung))
    for part in parts:
        value = zlib.crc32(np.ascontiguousarray(part, dtype="<f8").data, value) if part.size else value
    return value or 1


def shard_check(attributes: Mapping[str, Any], closed: float | None = None) -> int:
    """Of what belongs to one shard alone.

    Args:
        attributes: Those of the file.
        closed: When it was closed, where another time is meant than they say.
    """
    numbers = [attributes["opened"], attributes["closed"] if closed is None else closed]
    place = [attributes["rank"], attributes["generation"], attributes["header_check"]]
    return zlib.crc32(_SHARD.pack(*map(float, numbers), *map(int, place))) or 1


def text_check(pieces: Iterable[bytes]) -> int:
    """Of pieces of bytes, one after the other."""
    value = 0
    for piece in pieces:
        value = zlib.crc32(piece, zlib.crc32(len(piece).to_bytes(8, "little"), value))
    return value or 1


def _bytes(rows: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    width = rows.dtype.itemsize * int(np.prod(rows.shape[1:]))
    return np.frombuffer(rows.tobytes(), dtype=np.uint8).reshape(len(rows), width)


def _each(rows: npt.NDArray[np.uint8]) -> Checks:
    count, width = rows.shape
    found = (zlib.crc32(row) or 1 for (row,) in struct.iter_unpack(f"{width}s", rows.tobytes()))
    return np.fromiter(found, dtype=np.uint32, count=count)


def _checked(kind: str) -> tuple[tuple[str, ...], Any]:
    names = tuple(name for name, column in PER_START.items() if kind in column.checks)
    return names, struct.Struct("<" + "".join(CODES[PER_START[name].dtype] for name in names)).pack


_CHECKED = {
    kind: _checked(kind) for kind in dict.fromkeys(k for one in PER_START.values() for k in one.checks)
}
"""Checksums of starts: the columns that go into each, and how they become bytes."""
