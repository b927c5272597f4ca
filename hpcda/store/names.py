"""Names of the files of a run, and which of its parts they belong to.

A run may be divided into parts, worlds of ranks that know nothing of each other: part K of N writes its own
shards, `rank-pKofN-0000.h5`, into the directory that all of them share.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hpcda.errors import InputError, Mistake

SHARDS = "shards"
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
