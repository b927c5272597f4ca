"""The shards of a run: file names, the part of the run of each, the process that writes it.

A run may be divided into parts, worlds of ranks that know nothing of each other: part K of N writes its own
shards, `rank-pKofN-0000.h5`, into the directory that all of them share.

Beside a shard that is being written stands a file, `rank-0000.open`, that names its process; it goes when the
shard is closed.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hpcda.errors import InputError, Mistake
from hpcda.lock import FILE, holder
from hpcda.process import alive, born

SHARDS = "shards"
INDEX = "run.h5"
RANKS_OF_A_PART = 1_000_000
"""Shards name their ranks; those of part K begin at (K - 1) times this."""
_SHARD = re.compile(r"rank-(?:p(?P<number>\d+)of(?P<count>\d+)-)?(?P<rank>\d{4,})(?:-(?P<generation>\d+))?")


@dataclass(frozen=True)
class Part:
    """Part `number` of `count`, counted from 1; a run that is not divided is part 1 of 1."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}" if self.count > 1 else ""

    @property
    def mark(self) -> str:
        """What tells its files from those of others; empty where there are no others."""
        return f"p{self.number}of{self.count}" if self.count > 1 else ""

    def file(self, name: str) -> str:
        """The name of its own file of a kind, as `plan.jsonl`, or `plan-p2of4.jsonl`."""
        stem, dot, suffix = name.partition(".")
        return f"{stem}-{self.mark}{dot}{suffix}" if self.mark else name


def shard_name(rank: int, generation: int, part: Part | None = None) -> str:
    """File name of the shard of a rank; the generation counts how often the run was taken up again."""
    mark = f"{part.mark}-" if part is not None and part.mark else ""
    return f"rank-{mark}{rank:04d}{f'-{generation}' if generation else ''}.h5"


def part_of(shard: Path) -> Part | None:
    """The part that a shard belongs to; None where it is not named like a shard."""
    match = _SHARD.fullmatch(shard.stem)
    if match is None:
        return None
    return Part(int(match["number"]), int(match["count"])) if match["number"] else Part()


def shards_of(run_dir: Path, part: Part) -> list[Path]:
    """The shards of a part, in the order of their names.

    Raises:
        InputError: The run is divided into another number of parts.
    """
    found = []
    for shard in sorted((run_dir / SHARDS).glob("rank-*.h5")):
        own = part_of(shard)
        if own is None:
            continue
        if own.count != part.count:
            was = f"in {own.count} parts" if own.count > 1 else "as a whole"
            raise InputError(
                Mistake(
                    "--part",
                    f"{run_dir} is run {was}, not {f'in {part.count}' if part.count > 1 else 'as a whole'}",
                    f"give --part K/{own.count}" if own.count > 1 else "leave out --part",
                )
            )
        if own == part:
            found.append(shard)
    return found


def every_shard(run_dir: Path) -> list[Path]:
    """All shards of a run, of any part, in the order of their names."""
    return sorted((run_dir / SHARDS).glob("rank-*.h5"))


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
