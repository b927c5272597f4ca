"""Sets aside shards from which a run cannot resume.

A shard that is cut off, damaged, of another run or of an older layout is renamed, so that it is neither read
nor lost, and its starts are computed again.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from hpcda.errors import InputError, Mistake
from hpcda.store.inspection import Verdict, inspect_apart
from hpcda.store.shards import INDEX, SHARDS, Part, in_use, marker_of, part_of
from hpcda.store.space import roll_back

STRANGE = ("foreign", "older")


@dataclass(frozen=True)
class SetAside:
    """A shard that was set aside.

    Attributes:
        shard: Its path as it was.
        now: Its path as it is.
        verdict: Why.
    """

    shard: Path
    now: Path
    verdict: Verdict

    def __str__(self) -> str:
        return f"{self.shard} is renamed {self.now.name}, its starts are repeated: {self.verdict.reason}"


def set_aside(
    run_dir: str | os.PathLike[str],
    fingerprint: str | Collection[str] | None = None,
    part: Part | None = None,
) -> list[SetAside]:
    """Rename the shards of a run from which it cannot go on; for who holds the run's lock, or the part's.

    Those whose process was killed while they grew are mended first. Shards that others write are left alone.
    Where a shard is set aside the index, which names it, is removed.

    Args:
        run_dir: Directory of the run.
        fingerprint: Of the run, or several that are welcome; None for any.
        part: The part of the run whose shards are looked at; None for all.

    Raises:
        InputError: A shard may not be read, the directory may not be written, or it holds another run: no
            shard of this one is there, but whole ones of another.
    """
    run = Path(run_dir)
    welcome = {fingerprint} if isinstance(fingerprint, str) else fingerprint
    shards = [
        shard
        for shard in sorted((run / SHARDS).rglob("rank-*.h5"))
        if not in_use(shard) and (part is None or part_of(shard) == part)
    ]
    for shard in shards:
        try:
            roll_back(shard)
        except OSError as error:
            problem = f"it was growing when its process was killed, and cannot be mended: {error.strerror}"
            raise InputError(
                Mistake(os.fspath(shard), problem, "make it and its directory writable")
            ) from None
    verdicts = inspect_apart(shards, welcome)
    kinds = [verdict.kind for verdict in verdicts]
    strange = next((shard for shard, kind in zip(shards, kinds, strict=True) if kind in STRANGE), None)
    if strange is not None and "ok" not in kinds:
        verdict = verdicts[shards.index(strange)]
        if verdict.kind == "older":
            remedy = (
                "go on with the hpcda that wrote it, or give --output DIR for a new run; "
                "`hpcda analyze` reads what is there"
            )
            raise InputError(Mistake(os.fspath(strange), verdict.reason, remedy))
        raise InputError(
            Mistake(
                os.fspath(strange),
                "it was written with other data, another model, another ladder or other extensions",
                "restore these, or give --output DIR for a new run",
            )
        )
    aside: list[SetAside] = []
    for shard, verdict in zip(shards, verdicts, strict=True):
        if verdict.kind == "ok":
            continue
        suffix, count = f".{verdict.kind}", 0
        while (now := shard.with_name(shard.name + suffix)).exists():
            count += 1
            suffix = f".{verdict.kind}-{count}"
        try:
            (run / INDEX).unlink(missing_ok=True)
            shard.rename(now)
            marker_of(shard).unlink(missing_ok=True)
        except OSError as error:
            raise InputError(
                Mistake(
                    os.fspath(shard),
                    f"{verdict.reason}, and it cannot be renamed: {error.strerror}",
                    "make the directory writable",
                )
            ) from None
        aside.append(SetAside(shard, now, verdict))
    return aside
