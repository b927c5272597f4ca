"""Check sums of what a run stores, so that damage is told from data.

Everything that counts has its own CRC-32, written with it: every rung (its numbers, and which start and
rung they belong to), every row (once where it begins, once where it ends), every path, and what is known
before the first start. No check sum is 0, which is what unwritten places hold. Each costs 4 bytes and a
microsecond, that of a path one more for every four kilobytes.

HDF5's own check sums (the filter fletcher32) belong to whole chunks: a process that is killed while it writes
one rung would leave the rungs of 31 other starts unreadable.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Checks = npt.NDArray[np.uint32]

RUNG = ("action", "measurement", "model", "prior", "gradient_norm", "seconds")
_RUNG = struct.Struct("<qiiih6d")
_RUNG_ROW = np.dtype(
    [
        ("start", "<i8"),
        ("rung", "<i4"),
        ("iterations", "<i4"),
        ("factorizations", "<i4"),
        ("reason", "<i2"),
        ("x", "<f8", 6),
    ]
)
BEGIN = ("start", "way", "first_rung", "parent", "partner", "began")
_BEGIN = struct.Struct("<q32siqqd")
END = ("start", "same_as", "committed", "ended")
_END = struct.Struct("<qqid")
_OLD_WAY = "<i4"
_ROWS = {
    BEGIN: np.dtype(list(zip(BEGIN, ("<i8", "S32", "<i4", "<i8", "<i8", "<f8"), strict=True))),
    END: np.dtype(list(zip(END, ("<i8", "<i8", "<i4", "<f8"), strict=True))),
}
_SHARD = struct.Struct("<2d3q")
_PLACE = struct.Struct("<qq")


def rung_check(start: int, rung: int, record: Any) -> int:
    """Of one rung: a `RungRecord`, and where it belongs."""
    head = _RUNG.pack(
        start,
        rung,
        record.iterations,
        record.factorizations,
        record.reason,
        *(getattr(record, name) for name in RUNG),
    )
    return zlib.crc32(np.asarray(record.parameters, dtype="<f8").tobytes(), zlib.crc32(head)) or 1


def rung_checks(
    start: npt.ArrayLike, rung: npt.ArrayLike, values: Mapping[str, npt.NDArray[Any]], parameters: Array
) -> Checks:
    """Of n rungs: starts and rungs, shape (n,), arrays of `PER_RUNG` by name, shape (n,); (n, P)."""
    count = len(parameters)
    rows = np.empty(count, dtype=_RUNG_ROW)
    rows["start"], rows["rung"] = start, rung
    for name in ("iterations", "factorizations", "reason"):
        rows[name] = values[name]
    rows["x"] = np.stack([values[name] for name in RUNG], axis=-1) if count else 0.0
    inner = np.ascontiguousarray(parameters, dtype="<f8")
    return _each(np.concatenate([_bytes(rows), _bytes(inner)], axis=1))


def begin_check(*values: float | bytes) -> int:
    """Of a row that begins: start, way, first_rung, parent, partner, began."""
    return zlib.crc32(_BEGIN.pack(*values)) or 1


def end_check(*values: float) -> int:
    """Of a row that has ended: start, same_as, committed, ended."""
    return zlib.crc32(_END.pack(*values)) or 1


def row_checks(names: Sequence[str], table: Mapping[str, npt.NDArray[Any]]) -> Checks:
    """`begin_check` or `end_check` (names BEGIN or END) of every row of a table, shape (S,)."""
    dtype = _ROWS[tuple(names)]
    if "way" in names and table["way"].dtype.kind != "S":  # version 3
        dtype = np.dtype([(name, _OLD_WAY if name == "way" else dtype[name]) for name in names])
    rows = np.empty(len(table["start"]), dtype=dtype)
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
