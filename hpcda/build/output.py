"""Refuses an output directory that already holds a run."""

from __future__ import annotations

from pathlib import Path

from hpcda.errors import InputError, Mistake


def refuse_used(directory: Path, shards: str | None = "*") -> None:
    """Refuse a directory that already holds a run.

    Args:
        directory: The directory.
        shards: Pattern of the names of shards that make it one; None where it may hold a run.

    Raises:
        InputError: It holds shards, or run.h5 where any shard makes it a run; or it is a file, or lies
            within one.
    """
    place = "output.directory"
    for above in (directory, *directory.parents):
        if above.exists() and not above.is_dir():
            raise InputError(Mistake(place, f"{above} is a file", "give a directory, or --output DIR"))
    if shards is None:
        return
    whole = shards == "*" and (directory / "run.h5").exists()
    if whole or any(directory.glob(f"shards/{shards}")):
        raise InputError(
            Mistake(
                place,
                f"{directory} already holds a run",
                f"resume it with `hpcda resume {directory}`, or give --output DIR, or move that run away",
            )
        )
