"""Growth of a shard that a kill cannot break.

When an array grows, HDF5 changes what it keeps about the file (its end, trees of chunks, sizes) in many
writes, and a file between two of them may not open. Before it begins, all of that is copied to a file beside
the shard, `rank-0000.undo`, which goes when it is done and before anything is written to the new rows. Where
it is still there the process was killed meanwhile, and what it holds is put back: the shard is as it was
before it grew.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

Span = tuple[int, int]
"""Where a stretch of a file begins, and where it ends, in bytes."""
_SPAN = struct.Struct("<QQ")
_SEAL = struct.Struct("<I")


def undo_of(shard: Path) -> Path:
    """The file beside a shard that exists while it grows."""
    return shard.with_suffix(".undo")


def joined(data: Iterable[Span]) -> list[Span]:
    """The same stretches, rising, those that touch as one."""
    found: list[Span] = []
    for begin, stop in sorted(data):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((begin, stop))
    return found


def save(shard: Path, handle: int, end: int, data: Iterable[Span]) -> None:
    """Copy all of a shard that growing may change.

    Args:
        shard: The file.
        handle: Its open descriptor.
        end: Where it ends.
        data: Stretches that hold numbers, which growing leaves alone; rising and apart, as `joined` makes
            them.

    Raises:
        OSError: It cannot be written.
    """
    pieces = []
    for begin, stop in _between(data, end):
        pieces += [_SPAN.pack(begin, stop), os.pread(handle, stop - begin, begin)]
    content = b"".join(pieces)
    target = undo_of(shard)
    draft = target.with_name(f".{target.name}")
    try:
        draft.write_bytes(content + _SEAL.pack(zlib.crc32(content)))
        draft.rename(target)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def forget(shard: Path) -> None:
    """Say that a shard has grown.

    Raises:
        OSError: It cannot be said.
    """
    undo_of(shard).unlink()


def mend(shard: Path) -> None:
    """Bring a shard whose process was killed while it grew back to what it was before; else do nothing.

    Raises:
        OSError: The shard or its directory cannot be written.
    """
    saved = undo_of(shard)
    try:
        content = saved.read_bytes()
    except FileNotFoundError:
        return
    body = memoryview(content)[: -_SEAL.size]
    if content[-_SEAL.size :] == _SEAL.pack(zlib.crc32(body)) and shard.exists():
        with shard.open("r+b") as file:
            for begin, piece in _pieces(body):
                file.seek(begin)
                file.write(piece)
    with suppress(FileNotFoundError):
        saved.unlink()


def _pieces(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(content):
        begin, stop = _SPAN.unpack_from(content, at)
        at += _SPAN.size
        yield begin, content[at : at + stop - begin]
        at += stop - begin


def _between(data: Iterable[Span], end: int) -> Iterator[Span]:
    """What lies between rising stretches, up to the end."""
    at = 0
    for begin, stop in data:
        if begin > at:
            yield at, begin
        at = stop
    if end > at:
        yield at, end
