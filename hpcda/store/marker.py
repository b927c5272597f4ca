"""The file beside a shard that says who writes it; gone once the shard is closed."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from hpcda.lock import FILE, holder
from hpcda.process import alive, born
from hpcda.store.names import SHARDS, Part, part_of


def marker_of(shard: Path) -> Path:
    """The file beside a shard that exists while a process writes it."""
    return shard.with_suffix(".open")


def mark(shard: Path) -> None:
    """Say that this process writes a shard."""
    words = (socket.gethostname(), os.getpid(), born(os.getpid()))
    try:
        marker_of(shard).write_text(" ".join(map(str, words)) + "\n", encoding="utf-8")
    except OSError:
        with suppress(OSError):
            marker_of(shard).unlink(missing_ok=True)
        raise


def in_use(shard: Path) -> bool:
    """Whether a process that may still be alive writes this shard; answered without opening it.

    A process of this host is asked for; one of another host is known to have ended once nobody holds the
    run, or the part of it that the shard is named after, or once whoever does is this process.
    """
    try:
        host, pid, *more = marker_of(shard).read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    if host == socket.gethostname():
        began = int(more[0]) if more and more[0].isdecimal() else 0
        return not pid.isdecimal() or alive(int(pid), began)
    run = next((one.parent for one in shard.parents if one.name == SHARDS), shard.parent)
    if not any(run.glob(f"{FILE}*")):
        return True
    owner = holder(run, str(part_of(shard) or ""))
    return owner is not None and (owner.host, owner.pid) != (socket.gethostname(), os.getpid())


def clear(run_dir: str | os.PathLike[str], part: Part) -> None:
    """Remove what killed processes left beside the shards of a part: markers, drafts.

    For who holds the part, once none of its shards is in use.

    Args:
        run_dir: Directory of the run.
        part: The part.

    Raises:
        OSError: One of them cannot be removed.
    """
    folder = Path(run_dir) / SHARDS
    names = ("rank-*.open", ".rank-*.h5.*", ".rank-*.undo")
    for left in [one for name in names for one in folder.glob(name)]:
        if part_of(Path(left.name.lstrip(".").partition(".")[0])) == part:
            left.unlink(missing_ok=True)
