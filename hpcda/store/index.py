"""The virtual index run.h5: all closed shards of a run as one file; only coordinates are copied.

Every array maps the used rows of each shard, shard after shard, one mapping a shard; `/ensemble/start` tells
which start a row belongs to, `/paths/start` and `/paths/rung` which start and rung a path belongs to.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hpcda.annealing.record import PER_RUNG, PER_START
from hpcda.errors import InputError, Mistake, StorageError
from hpcda.results.layout import VERSION
from hpcda.store.axes import attach_scales, describe, show_at_root
from hpcda.store.ensemble import rows_in
from hpcda.store.header import copy_header
from hpcda.store.inspection import check_schema, closed_shards, damage, inspect, inspect_apart
from hpcda.store.minima import ENDED
from hpcda.store.shards import INDEX, every_shard, in_use
from hpcda.store.space import roll_back, writing

SKETCHES = "sketches"
"""Sketches in the index, whose /ended is a column of /ensemble."""
SEAL = b"hpcda-crc32"
"""Behind it stands the checksum of the whole index, as its last four bytes: HDF5 reads no damaged one."""


def build_index(run_dir: str | os.PathLike[str]) -> Path:
    """Write run.h5 over all shards of a run; an index that is there is replaced in one step.

    Args:
        run_dir: Directory of the run.

    Returns:
        The file.

    Raises:
        InputError: There are no shards, one is in use or damaged, or they belong to different runs.
        StorageError: It cannot be written.
    """
    folder = Path(run_dir)
    shards = closed_shards(folder)
    target, draft = folder / INDEX, folder / f".{INDEX}.{os.getpid()}"
    try:
        remedy = f"the shards are intact: free some space, then `hpcda analyze {folder}` writes it again"
        with writing(target, remedy):
            _write(draft, shards)
            with draft.open("ab") as file:
                file.write(SEAL + zlib.crc32(draft.read_bytes()).to_bytes(4, "little"))
            draft.replace(target)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return target


@dataclass(frozen=True)
class Listing:
    """What an index says of its shards: name and `state` of each; and the version of its own layout."""

    shards: dict[str, tuple[int, int]]
    version: int


def listed(path: Path) -> Listing | None:
    """What an index says of its shards; None where it is damaged.

    Raises:
        InputError: It is no file of an hpcda run, or of another version.
        OSError: It cannot be read.
    """
    content = path.read_bytes()
    end = len(content) - len(SEAL) - 4
    if content[end:-4] != SEAL or zlib.crc32(memoryview(content)[:end]).to_bytes(4, "little") != content[-4:]:
        return None
    with h5py.File(path, "r") as file:
        check_schema(file, path)
        names = [str(name) for name in file["shards/file"].asstr()[:]]
        states = dict(zip(names, map(tuple, file["shards/state"][:].tolist()), strict=True))
        return Listing(states, int(file.attrs["version"]))


def state(shard: Path) -> tuple[int, int]:
    """What changes when somebody writes into a file: its size, and when it was changed, in ns."""
    now = shard.stat()
    return now.st_size, now.st_mtime_ns


def _write(draft: Path, shards: list[Path]) -> None:
    draft.unlink(missing_ok=True)
    with h5py.File(draft, "w", libver=("earliest", "v110")) as index:
        rows, paths, starts, path_starts, path_rungs, clock, ranks, shapes = [], [], [], [], [], [], [], []
        for shard in shards:
            with h5py.File(shard, "r") as file:
                rows.append(rows_in(file["ensemble"]))
                starts.append(file["ensemble/start"][: rows[-1]])
                paths.append(rows_in(file["paths"]))
                path_starts.append(file["paths/start"][: paths[-1]])
                path_rungs.append(file["paths/rung"][: paths[-1]])
                clock.append((float(file.attrs["opened"]), _end(file, rows[-1]), float(file.attrs["closed"])))
                ranks.append((int(file.attrs["rank"]), int(file.attrs["generation"])))
                shapes.append(_shapes(file))
        opened = [first for first, _, _ in clock]
        with h5py.File(
            shards[int(np.argmax(opened))], "r"
        ) as file:  # a run that has grown says so in its newest
            copy_header(file, index)
        with h5py.File(shards[0], "r") as file:
            ensemble, group = index.create_group("ensemble"), index.create_group("paths")
            ensemble.create_dataset("start", data=np.concatenate(starts))
            for name in (*PER_START, *PER_RUNG, "parameters", "check"):
                if name != "start":
                    _virtual(ensemble, name, file["ensemble"][name], shards, rows, shapes)
            group.create_dataset("start", data=np.concatenate(path_starts))
            group.create_dataset("rung", data=np.concatenate(path_rungs))
            for name in ("states", "parameters", "check"):
                _virtual(group, name, file["paths"][name], shards, paths, shapes)
        _sketches(index, shards, rows, shapes)
        listing = index.create_group("shards")
        listing.create_dataset(
            "file", data=[f"shards/{shard.name}" for shard in shards], dtype=h5py.string_dtype()
        )
        listing.create_dataset("rows", data=np.asarray(rows, dtype="i8"))
        listing.create_dataset("paths", data=np.asarray(paths, dtype="i8"))
        listing.create_dataset("rank", data=np.asarray([rank for rank, _ in ranks], dtype="i4"))
        listing.create_dataset("generation", data=np.asarray([g for _, g in ranks], dtype="i4"))
        listing.create_dataset("state", data=np.asarray([state(shard) for shard in shards], dtype="i8"))
        describe(listing["state"], "bytes, and nanoseconds since 1970-01-01 UTC when it was changed")
        times = np.asarray(clock, dtype="f8")
        listing.create_dataset("clock", data=times[:, :2])
        describe(listing["clock"], "opened and closed, seconds since 1970-01-01 UTC")
        listing.create_dataset("closed", data=(times[:, 2] > 0).astype("i1"))
        describe(listing["closed"], "1 where its process closed it, 0 where that was killed")
        attach_scales(index)
        show_at_root(index)
        index.attrs["indexed"] = time.time()


def _shapes(shard: h5py.File) -> dict[str, tuple[int, ...]]:
    """Name of every array of a shard that the index maps -> its shape, read while the shard is open."""
    groups = [shard[name] for name in ("ensemble", "paths", ENDED) if name in shard]
    return {array.name: array.shape for group in groups for array in group.values()}


def _sketches(
    index: h5py.File, shards: list[Path], rows: list[int], shapes: list[dict[str, tuple[int, ...]]]
) -> None:
    """The sketches of all shards that have some, row by row as /ensemble, NaN where there is none."""
    sizes = [known.get(f"/{ENDED}/sketch", (0, 0)) for known in shapes]
    width = max(size for _, size in sizes)
    used = [min(count, there) for count, (there, size) in zip(rows, sizes, strict=True) if size == width]
    if not width or not sum(used):
        return
    layout, begin = h5py.VirtualLayout(shape=(sum(rows), width), dtype="f8"), 0
    for shard, count, (capacity, size) in zip(shards, rows, sizes, strict=True):
        there = min(count, capacity)
        if there and size == width:
            source = h5py.VirtualSource(f"shards/{shard.name}", f"{ENDED}/sketch", (capacity, width), "f8")
            layout[begin : begin + there] = source[:there]
        begin += count
    index.create_group(SKETCHES).create_virtual_dataset("sketch", layout, fillvalue=np.nan)


def _end(shard: h5py.File, rows: int) -> float:
    """When a shard was closed, or, where its process was killed, the time of its last commit."""
    ended = shard["ensemble/ended"][:rows]
    return float(shard.attrs["closed"]) or (float(np.nanmax(ended)) if rows else np.nan)


def _virtual(
    group: h5py.Group,
    name: str,
    like: h5py.Dataset,
    shards: list[Path],
    rows: list[int],
    shapes: list[dict[str, tuple[int, ...]]],
) -> None:
    """One array over all shards, their used rows one after the other."""
    tail = like.shape[1:]
    shape = (sum(rows), *tail)
    if 0 in shape:
        group.create_dataset(name, shape=shape, dtype=like.dtype)
        return
    layout = h5py.VirtualLayout(shape=shape, dtype=like.dtype)
    begin = 0
    for shard, count, known in zip(shards, rows, shapes, strict=True):
        if count:
            capacity = known[like.name]
            source = h5py.VirtualSource(f"shards/{shard.name}", like.name, shape=capacity, dtype=like.dtype)
            layout[begin : begin + count] = source[:count]
            begin += count
    fill = like.fillvalue
    group.create_virtual_dataset(name, layout, fillvalue=fill)


def fit_index(run_dir: Path) -> None:
    """Make the index anew unless it is whole and the shards are those it was made of.

    Args:
        run_dir: Directory of the run.

    Raises:
        InputError: A shard that it names is missing; one has been changed and is damaged; one is in use.
    """
    try:
        index = listed(run_dir / INDEX)
    except FileNotFoundError:
        index = None
    known = None if index is None else index.shards
    shards = every_shard(run_dir)
    there = {f"shards/{shard.name}": shard for shard in shards if not in_use(shard)}
    missing = sorted(set(known or ()) - {f"shards/{shard.name}" for shard in shards})
    if missing:
        raise InputError(
            Mistake(
                os.fspath(run_dir),
                f"{len(missing)} shards that its index names are not there ({missing[0]})",
                f"restore them beside {INDEX}; move or copy a run as a whole directory",
            )
        )
    for shard in there.values():
        with suppress(OSError):  # where nothing may be written it is read as it is, and found damaged
            roll_back(shard)
    changed = [shard for name, shard in there.items() if known is None or known.get(name) != state(shard)]
    for shard, verdict in zip(changed, inspect_apart(changed), strict=True):
        if verdict.kind != "ok":
            raise InputError(damage(run_dir, shard, verdict.reason))
    whole = known is not None and len(known) == len(there) == len(shards)
    if whole and not changed and index is not None and index.version == VERSION:
        return
    try:
        build_index(run_dir)
    except StorageError as error:
        if not whole:  # else it is a copy of the run, found in order, in a directory that is only read
            raise InputError(
                Mistake(
                    os.fspath(run_dir / INDEX),
                    f"it does not fit the shards and cannot be rewritten: {error}",
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
        for shard in every_shard(run_dir):
            verdict = inspect(shard)
            if verdict.kind != "ok":
                raise InputError(damage(run_dir, shard, verdict.reason)) from error
        raise InputError(
            Mistake(
                os.fspath(run_dir / INDEX),
                f"it cannot be read: {type(error).__name__}: {error}",
                "remove it: it is rebuilt from the shards",
            )
        ) from error


def damaged(run_dir: Path, group: str, row: int, reason: str) -> InputError:
    """The mistake that a row of a group, as the index counts them, does not match its checksum."""
    with h5py.File(run_dir / INDEX, "r") as file:
        ends = np.cumsum(file["shards"]["rows" if group == "ensemble" else "paths"][:])
        name = file["shards/file"].asstr()[int(np.searchsorted(ends, row, side="right"))]
    return InputError(damage(run_dir, run_dir / name, reason))
