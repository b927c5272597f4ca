"""The output directory: two runs are never mixed in one."""

from __future__ import annotations

from pathlib import Path

from hpcda.errors import InputError, Mistake


def refuse_used(directory: Path) -> None:
    """Refuse a directory that already holds a run.

    Raises:
        InputError: It holds run.h5 or shards, is a file, or lies within one.
    """
    place = "output.directory"
    for above in (directory, *directory.parents):
        if above.exists() and not above.is_dir():
            raise InputError(Mistake(place, f"{above} is a file", "name a directory, or give --output DIR"))
    if (directory / "run.h5").exists() or any(directory.glob("shards/*")):
        raise InputError(
            Mistake(place, f"{directory} already holds a run", "give --output DIR, or move that run away")
        )
