"""The index of a run before it is read: does it fit the shards? And what is said where one is damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py
import numpy as np

from hpcda.errors import InputError, Mistake, StorageError
from hpcda.store.guard import guarded
from hpcda.store.index import build_index, listed, state
from hpcda.store.integrity import INDEX, damage, inspect
from hpcda.store.marker import in_use
from hpcda.store.undo import mend


def fit_index(run_dir: Path) -> None:
    """Make the index anew unless it is whole and the shards are those it was made of.

    Args:
        run_dir: Directory of the run.

    Raises:
        InputError: A shard that it names is missing; one has been changed and is damaged; one is in use.
    """
    try:
        known = listed(run_dir / INDEX)
    except FileNotFoundError:
        known = None
    shards = sorted((run_dir / "shards").glob("rank-*.h5"))
    there = {f"shards/{shard.name}": shard for shard in shards if not in_use(shard)}
    missing = sorted(set(known or ()) - {f"shards/{shard.name}" for shard in shards})
    if missing:
        raise InputError(
            Mistake(
                os.fspath(run_dir),
                f"{len(missing)} shards that its index names are not there ({missing[0]})",
                f"bring them back beside {INDEX}; a run is moved or copied as a whole directory",
            )
        )
    for shard in there.values():
        with suppress(OSError):  # where nothing may be written it is read as it is, and found damaged
            mend(shard)
    changed = [shard for name, shard in there.items() if known is None or known.get(name) != state(shard)]
    for shard, verdict in zip(changed, guarded(changed), strict=True):
        if verdict.kind != "ok":
            raise InputError(damage(run_dir, shard, verdict.reason))
    whole = known is not None and len(known) == len(there) == len(shards)
    if whole and not changed:
        return
    try:
        build_index(run_dir)
    except StorageError as error:
        if not whole:  # else it is a copy of the run, found in order, in a directory that is only read
            raise InputError(
                Mistake(
                    os.fspath(run_dir / INDEX),
                    f"it does not fit the shards and cannot be made anew: {error}",
                    "make the directory writable, or copy the run to one that is",
                )
            ) from None


@contextmanager
def reading(run_dir: Path) -> Iterator[None]:
    """Turn what damaged files make HDF5 raise into one mistake, which names a shard that is bad."""
    try:
        yield
    except (InputError, BrokenPipeError):
        raise
    except Exception as error:
        for shard in sorted((run_dir / "shards").glob("rank-*.h5")):
            verdict = inspect(shard)
            if verdict.kind != "ok":
                raise InputError(damage(run_dir, shard, verdict.reason)) from error
        raise InputError(
            Mistake(
                os.fspath(run_dir / INDEX),
                f"it cannot be read: {type(error).__name__}: {error}",
                "remove it: it is made again from the shards",
            )
        ) from error


def damaged(run_dir: Path, group: str, row: int, reason: str) -> InputError:
    """The mistake that a row of a group, as the index counts them, does not have its check sum."""
    with h5py.File(run_dir / INDEX, "r") as file:
        ends = np.cumsum(file["shards"]["rows" if group == "ensemble" else "paths"][:])
        name = file["shards/file"].asstr()[int(np.searchsorted(ends, row, side="right"))]
    return InputError(damage(run_dir, run_dir / name, reason))
