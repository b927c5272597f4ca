"""What a resumed run needs from the shards of the part that was interrupted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hpcda.store.integrity import closed_shards
from hpcda.store.schema import PER_RUNG, Array, RungRecord
from hpcda.store.tables import committed_rungs, used_rows


@dataclass(frozen=True)
class Checkpoint:
    """A start that was interrupted, after its last committed rung.

    Attributes:
        start: Its number.
        way: How it began.
        first_rung: Its first rung.
        rungs: Position and record of every committed rung, in order; at least one.
        path: The path at the last of them, flat, shape (size,).
    """

    start: int
    way: str
    first_rung: int
    rungs: tuple[tuple[int, RungRecord], ...]
    path: Array


@dataclass(frozen=True)
class Resumable:
    """State of an interrupted run.

    Attributes:
        done: Starts that have ended and are not run again.
        unfinished: Starts to be continued. A start in neither is run from its beginning.
        fingerprint: Of the layout that the shards were written with; compare with `Layout.fingerprint`.
        starts: Number of starts that were asked for.
    """

    done: frozenset[int]
    unfinished: tuple[Checkpoint, ...]
    fingerprint: str
    starts: int


def resumable(run_dir: str | os.PathLike[str]) -> Resumable | None:
    """Read the shards of an interrupted run; None where there are none.

    Call it on one rank before any shard of the new part is made.

    Args:
        run_dir: Directory of the run.

    Raises:
        InputError: A shard is in use, is damaged, or belongs to another run.
    """
    shards = closed_shards(Path(run_dir), required=False)
    if not shards:
        return None
    done: set[int] = set()
    unfinished: dict[int, Checkpoint] = {}
    fingerprint, starts = "", 0
    for path in shards:
        with h5py.File(path, "r") as file:
            fingerprint, starts = str(file.attrs["fingerprint"]), int(file.attrs["starts"])
            ensemble = file["ensemble"]
            rows = used_rows(ensemble["start"][:])
            finished = ensemble["finished"][:rows] == 1
            done.update(int(start) for start in ensemble["start"][:rows][finished])
            current = file["current/row"][:]
            for slot, row in enumerate(current):
                if not 0 <= row < rows or finished[row] or ensemble["committed"][row] == 0:
                    continue
                checkpoint = _checkpoint(file, int(row), slot)
                known = unfinished.get(checkpoint.start)
                if known is None or len(known.rungs) < len(checkpoint.rungs):
                    unfinished[checkpoint.start] = checkpoint
    left = tuple(unfinished[start] for start in sorted(unfinished) if start not in done)
    return Resumable(frozenset(done), left, fingerprint, starts)


def _checkpoint(file: h5py.File, row: int, slot: int) -> Checkpoint:
    ensemble = file["ensemble"]
    committed = int(ensemble["committed"][row])
    reason = ensemble["reason"][row]
    visited = np.flatnonzero(
        committed_rungs(reason[None], np.array([committed]), int(file.attrs["not_run"]))[0]
    )
    values = {name: ensemble[name][row] for name in PER_RUNG}
    parameters = ensemble["parameters"][row]
    rungs = tuple(
        (int(r), RungRecord(**{name: values[name][r].item() for name in PER_RUNG}, parameters=parameters[r]))
        for r in visited
    )
    ways = file["ways"].asstr()[:]
    return Checkpoint(
        start=int(ensemble["start"][row]),
        way=str(ways[ensemble["way"][row]]),
        first_rung=int(ensemble["first_rung"][row]),
        rungs=rungs,
        path=file["current/path"][slot, committed % 2],
    )
