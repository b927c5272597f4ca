"""The virtual index run.h5: all closed shards of a run as one file, nothing copied but the coordinates.

Every array maps the used rows of each shard, shard after shard, one mapping a shard; `/ensemble/start` tells
which start a row belongs to, `/paths/start` and `/paths/rung` which start and rung a path belongs to.
"""

from __future__ import annotations

import os
import time
import zlib
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np

from hpcda.store.failure import writing
from hpcda.store.header import GROUPS, OWN, SCALES
from hpcda.store.integrity import INDEX, check_schema, closed_shards
from hpcda.store.scales import attach_scales
from hpcda.store.schema import PER_RUNG, PER_START
from hpcda.store.tables import rows_in
from hpcda.store.texts import attach_points

SEAL = b"hpcda-crc32"
"""Behind it stands the check sum of the whole index, as its last four bytes: HDF5 reads no damaged one."""


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
        remedy = f"the shards are whole: make room, then `hpcda analyze {folder}` makes it again"
        with writing(target, remedy):
            _write(draft, shards)
            with draft.open("ab") as file:
                file.write(SEAL + zlib.crc32(draft.read_bytes()).to_bytes(4, "little"))
            draft.replace(target)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return target


def listed(path: Path) -> dict[str, tuple[int, int]] | None:
    """The shards that an index names, relative to it, each with its `state`; None where it is damaged.

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
        return dict(zip(names, map(tuple, file["shards/state"][:].tolist()), strict=True))


def state(shard: Path) -> tuple[int, int]:
    """What changes when somebody writes into a file: its size, and when it was changed, in ns."""
    now = shard.stat()
    return now.st_size, now.st_mtime_ns


def _write(draft: Path, shards: list[Path]) -> None:
    draft.unlink(missing_ok=True)
    with h5py.File(draft, "w", libver=("earliest", "v110")) as index:
        rows, paths, starts, path_starts, path_rungs, clock, ranks = [], [], [], [], [], [], []
        for shard in shards:
            with h5py.File(shard, "r") as file:
                rows.append(rows_in(file["ensemble"]))
                starts.append(file["ensemble/start"][: rows[-1]])
                paths.append(rows_in(file["paths"]))
                path_starts.append(file["paths/start"][: paths[-1]])
                path_rungs.append(file["paths/rung"][: paths[-1]])
                clock.append((float(file.attrs["opened"]), _end(file, rows[-1]), float(file.attrs["closed"])))
                ranks.append((int(file.attrs["rank"]), int(file.attrs["generation"])))
        opened = [first for first, _, _ in clock]
        _header(index, shards[int(np.argmax(opened))])  # a run that has grown says so in its newest shard
        with h5py.File(shards[0], "r") as file:
            ensemble, group = index.create_group("ensemble"), index.create_group("paths")
            ensemble.create_dataset("start", data=np.concatenate(starts))
            for name in (*PER_START, *PER_RUNG, "parameters", "check"):
                if name != "start":
                    _virtual(ensemble, name, file["ensemble"][name], shards, rows)
            group.create_dataset("start", data=np.concatenate(path_starts))
            group.create_dataset("rung", data=np.concatenate(path_rungs))
            for name in ("states", "parameters", "check"):
                _virtual(group, name, file["paths"][name], shards, paths)
        listing = index.create_group("shards")
        listing.create_dataset(
            "file", data=[f"shards/{shard.name}" for shard in shards], dtype=h5py.string_dtype()
        )
        listing.create_dataset("rows", data=np.asarray(rows, dtype="i8"))
        listing.create_dataset("paths", data=np.asarray(paths, dtype="i8"))
        listing.create_dataset("rank", data=np.asarray([rank for rank, _ in ranks], dtype="i4"))
        listing.create_dataset("generation", data=np.asarray([g for _, g in ranks], dtype="i4"))
        listing.create_dataset("state", data=np.asarray([state(shard) for shard in shards], dtype="i8"))
        listing["state"].attrs["meaning"] = "bytes, and nanoseconds since 1970-01-01 UTC when it was changed"
        times = np.asarray(clock, dtype="f8")
        listing.create_dataset("clock", data=times[:, :2])
        listing["clock"].attrs["meaning"] = "opened and closed, seconds since 1970-01-01 UTC"
        listing.create_dataset("closed", data=(times[:, 2] > 0).astype("i1"))
        listing["closed"].attrs["meaning"] = "1 where its process closed it, 0 where that was killed"
        attach_scales(index)
        index.attrs["indexed"] = time.time()


def _end(shard: h5py.File, rows: int) -> float:
    """When a shard was closed, or, where its process was killed, the time of its last commit."""
    ended = shard["ensemble/ended"][:rows]
    return float(shard.attrs["closed"]) or (float(np.nanmax(ended)) if rows else np.nan)


def _header(index: h5py.File, shard: Path) -> None:
    """Copy what is known before the first start, and make its dimension scales anew."""
    with h5py.File(shard, "r") as file:
        for key, value in file.attrs.items():
            if key not in OWN:
                index.attrs[key] = value
        index.attrs["header_check"] = file.attrs["header_check"]
        for name in GROUPS:
            if name in file:
                _copy(file[name], index, name)
        for name in ("windows", "beyond", "truth"):
            if name in index:
                attach_points(index, index[name])
        for name in ("beta", "rf"):
            index["axes"][name].dims[0].attach_scale(index["axes/rung"])
        for name in ("rung", "unknown", "state", "parameter", "observed", "series"):
            index["axes"][name].make_scale(name)


def _copy(source: h5py.Group | h5py.Dataset, target: h5py.Group, name: str) -> None:
    """Copy data and attributes, but none of the references that dimension scales consist of."""
    if isinstance(source, h5py.Group):
        made = target.create_group(name)
        for key in source:
            _copy(source[key], made, key)
    else:
        made = target.create_dataset(name, data=source[()], dtype=source.dtype)
    for key, value in source.attrs.items():
        if key not in SCALES:
            made.attrs[key] = value


def _virtual(group: h5py.Group, name: str, like: h5py.Dataset, shards: list[Path], rows: list[int]) -> None:
    """One array over all shards, their used rows one after the other."""
    tail = like.shape[1:]
    shape = (sum(rows), *tail)
    if 0 in shape:
        group.create_dataset(name, shape=shape, dtype=like.dtype)
        return
    layout = h5py.VirtualLayout(shape=shape, dtype=like.dtype)
    begin = 0
    for shard, count in zip(shards, rows, strict=True):
        if count:
            with h5py.File(shard, "r") as file:
                capacity = file[like.name].shape
            source = h5py.VirtualSource(f"shards/{shard.name}", like.name, shape=capacity, dtype=like.dtype)
            layout[begin : begin + count] = source[:count]
            begin += count
    fill = like.fillvalue
    group.create_virtual_dataset(name, layout, fillvalue=fill)
