"""The file that one rank writes: every rung of every start it has run.

A shard appears under its name with its header complete. Order of writing: data, flush, mark, flush. Whoever
is killed in between leaves a file whose marks tell the truth: what is behind a mark is complete. Beside the
table of rungs the newest path of every start at work is kept twice, rung n in copy n mod 2, so that the copy
which the mark points at is never the one being written.

Memory does not grow with the number of starts: what is kept is a few numbers for each start at work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from hpcda.errors import InputError, Mistake, StorageError
from hpcda.store.checkpoint import Checkpoint
from hpcda.store.checks import BEGIN, begin_check, end_check, path_check, rung_check, shard_check
from hpcda.store.failure import writing
from hpcda.store.header import write_header
from hpcda.store.lowlevel import Column, Room
from hpcda.store.marker import mark, marker_of
from hpcda.store.names import RANKS_OF_A_PART, SHARDS, Part, shard_name
from hpcda.store.schema import PER_RUNG, PER_START, Array, Layout, RungRecord, best_of

CHUNK_CACHE = 131072
"""Bytes of chunk cache a dataset; rows are appended, so that HDF5's own 1 MiB would only fill up."""
ROWS = 32
"""Rows by which the table of starts grows."""


@dataclass
class _Work:
    """A start at work: its place in the file."""

    start: int
    slot: int
    same_as: int = -1
    committed: int = 0
    last: tuple[int, RungRecord] | None = None
    seen: set[int] = field(default_factory=set)


class Shard:
    """Writes the starts of one rank; make it with `create`, best in a `with`.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, rank: int, generation: int, layout: Layout) -> None:
        self.path = path
        self._layout = layout
        self._best = best_of(layout.keep_paths)
        self._rows = 0
        self._paths = 0
        self._work: dict[int, _Work] = {}
        self._free: list[int] = []
        self._slots = 0
        self._kept: list[tuple[int, float, int, int]] = []
        self._minima: dict[int, int] = {}
        self._ways = {way: code for code, way in enumerate(layout.ways)}
        self._failed = {code for code, (name, _) in layout.reasons.items() if name.startswith("FAILED")}
        self._size = layout.problem.size
        self._states = layout.problem.offsets[-1]
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with writing(path):
            mark(path)
            self._file = h5py.File(draft, "w", libver=("earliest", "v108"), rdcc_nbytes=CHUNK_CACHE)
        self._room = Room(self._file, path)
        try:
            with self._room.writing():
                self._room.take(0)
                self._file.attrs.update(rank=rank, generation=generation, closed=0.0, opened=time.time())
                write_header(self._file, layout)
                self._file.attrs["shard_check"] = np.uint32(shard_check(self._file.attrs))
                self._make_arrays()
                self._file.flush()
                draft.rename(path)
        except StorageError:
            self._let_go()
            with suppress(OSError):
                draft.unlink()
            raise

    @classmethod
    def create(
        cls,
        run_dir: str | os.PathLike[str],
        rank: int,
        layout: Layout,
        resume: bool = False,
        part: Part | None = None,
    ) -> Shard:
        """A new shard of this rank: `shards/rank-0000.h5`, and after a resume `rank-0000-1.h5`, and so on.

        A shard that is there is never written again: what was computed before a resume is only read.

        Args:
            run_dir: Directory of the run; made where it is not there.
            rank: Rank of this process, or number of its group.
            layout: What the run holds.
            resume: Whether shards of an earlier life of the same run may be there.
            part: The part of the run that it belongs to, where the run is divided.

        Raises:
            InputError: A shard of this rank is there and `resume` is False.
        """
        folder = Path(run_dir) / SHARDS
        folder.mkdir(parents=True, exist_ok=True)
        part = part or Part()
        generation = 0
        while (path := folder / shard_name(rank, generation, part)).exists():
            generation += 1
        if generation and not resume:
            raise InputError(
                Mistake(
                    "output.directory",
                    f"{os.fspath(run_dir)!r} holds a run already",
                    "name another directory",
                )
            )
        return cls(path, RANKS_OF_A_PART * (part.number - 1) + rank, generation, layout)

    def _make_arrays(self) -> None:
        layout, file = self._layout, self._file
        rungs, parameters, room = len(layout.rf), layout.problem.shared, self._room
        ensemble = file.create_group("ensemble")
        fill_start: dict[str, float] = {
            "start": -1,
            "way": -1,
            "first_rung": -1,
            "parent": -1,
            "partner": -1,
            "same_as": -1,
        }
        fill_start |= {"began": np.nan, "ended": np.nan}
        self._per_start = {
            name: Column(ensemble, name, dtype, (), fill_start.get(name, 0), ROWS, 1, room)
            for name, (dtype, _, _) in PER_START.items()
        }
        fill_rung = {"iterations": 0, "factorizations": 0, "reason": layout.not_run}
        self._per_rung = {
            name: Column(ensemble, name, dtype, (rungs,), fill_rung.get(name, np.nan), ROWS, 2, room)
            for name, (dtype, _, _) in PER_RUNG.items()
        }
        self._parameters = Column(ensemble, "parameters", "f8", (rungs, parameters), np.nan, ROWS, 2, room)
        self._check = Column(ensemble, "check", "u4", (rungs,), 0, ROWS, 2, room)
        block = layout.problem.block
        points = self._states // block
        paths = file.create_group("paths")
        self._path_states = Column(paths, "states", "f8", (points, block), np.nan, 1, 1, room)
        self._path_parameters = Column(paths, "parameters", "f8", (parameters,), np.nan, ROWS, 1, room)
        self._path_start = Column(paths, "start", "i8", (), -1, ROWS, 1, room)
        self._path_rung = Column(paths, "rung", "i4", (), -1, ROWS, 1, room)
        self._path_check = Column(paths, "check", "u4", (), 0, ROWS, 1, room)
        current = file.create_group("current")
        self._current = Column(current, "path", "f8", (2, self._size), np.nan, 1, 2, room)
        self._current_check = Column(current, "check", "u4", (2,), 0, 1, 2, room)
        self._current_row = Column(current, "row", "i8", (), -1, 1, 1, room)
        if layout.sketch:
            ended = file.create_group("ended")
            self._sketches = Column(ended, "sketch", "f8", (layout.sketch,), np.nan, ROWS, 1, room)
            self._sketch_check = Column(ended, "check", "u4", (), 0, ROWS, 1, room)
        if layout.minima:
            minima = file.create_group("minima")
            self._minimum = Column(minima, "path", "f8", (self._size,), np.nan, 1, 1, room)
            self._minimum_start = Column(minima, "start", "i8", (), -1, 1, 1, room)
            self._minimum_check = Column(minima, "check", "u4", (), 0, 1, 1, room)
        attach_scales(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _flush(self) -> None:
        self._room.flush()

    def begin(
        self,
        start: int,
        way: str,
        first_rung: int,
        checkpoint: Checkpoint | None = None,
        parents: Sequence[int] = (),
    ) -> int:
        """Open a row for a start.

        Args:
            start: Number of the start.
            way: How its path begins, one of `Layout.ways`.
            first_rung: Its first rung.
            checkpoint: Where an interrupted start continues: its rungs are copied into the new row.
            parents: Starts from whose minima it begins, two at most; none where it begins anew.

        Returns:
            The row, to be named in `rung`, `finish` and `merge`.

        Raises:
            KeyError: `way` is none of the layout's ways.
        """
        code = self._ways[way]
        row = self._rows
        self._rows += 1
        for column in (*self._per_start.values(), *self._per_rung.values(), self._parameters, self._check):
            column.make_room(row)
        if self._layout.sketch:
            self._sketches.make_room(row)
            self._sketch_check.make_room(row)
        slot = self._free.pop() if self._free else self._slots
        if slot == self._slots:
            self._slots += 1
            self._current.make_room(slot)
            self._current_check.make_room(slot)
            self._current_row.make_room(slot)
        self._work[row] = _Work(start, slot)
        now = time.time()
        began = now if checkpoint is None else now - float(np.sum(checkpoint.values["seconds"]))
        written: dict[str, float] = {"start": start, "way": code, "first_rung": first_rung, "same_as": -1}
        written |= {"began": began, "ended": now}
        written |= dict(zip(("parent", "partner"), (*parents, -1, -1), strict=False))
        written["begin_check"] = begin_check(*(written[name] for name in BEGIN))
        for name, value in written.items():
            self._per_start[name].write((row,), value)
        if checkpoint is None or checkpoint.path is not None:
            self._current_row.write((slot,), row)
        if checkpoint is None:
            return row
        for position, rung in enumerate(checkpoint.rungs):
            self._write_rung(row, int(rung), checkpoint.record(position), None)
        for rung, path in checkpoint.paths:
            self._write_path(self._paths, start, rung, path)
            self._paths += 1
        if checkpoint.path is not None:
            self._write_current(self._work[row], checkpoint.path)
        self._flush()
        self._per_start["committed"].write((row,), self._work[row].committed)
        self._flush()
        return row

    def rung(self, row: int, rung: int, record: RungRecord, path: Array) -> None:
        """Store one rung; see `rungs`."""
        self.rungs([(row, rung, record, path)])

    def rungs(self, finished: Sequence[tuple[int, int, RungRecord, Array]]) -> None:
        """Store rungs of one start or of several with one commit: data, flush, marks, flush.

        Args:
            finished: For every rung: what `begin` returned, the position of the rung on the ladder, larger
                than those stored before for this start, what is stored, and the path at the rung's minimum,
                flat, shape (size,).

        Raises:
            ValueError: A rung does not lie above the last one of its start.
        """
        per_row: dict[int, list[tuple[int, RungRecord, Array]]] = {}
        for row, rung, record, path in finished:
            per_row.setdefault(row, []).append((rung, record, path))
        # An even number of rungs would overwrite the copy of the path that the mark points at.
        self._commit({row: rungs[: len(rungs) - 1 + len(rungs) % 2] for row, rungs in per_row.items()})
        self._commit({row: rungs[-1:] for row, rungs in per_row.items() if len(rungs) % 2 == 0})

    def _commit(self, per_row: dict[int, list[tuple[int, RungRecord, Array]]]) -> None:
        if not per_row:
            return
        now = time.time()
        for row, rungs in per_row.items():
            work = self._work[row]
            for rung, record, path in rungs:
                if work.last is not None and rung <= work.last[0]:
                    raise ValueError(f"rung {rung} of start {work.start} comes after rung {work.last[0]}")
                self._write_rung(row, rung, record, path)
            self._write_current(work, rungs[-1][2])
            self._per_start["ended"].write((row,), now)
        self._flush()
        for row in per_row:
            self._per_start["committed"].write((row,), self._work[row].committed)
        self._flush()

    def _write_current(self, work: _Work, path: Array) -> None:
        place = (work.slot, work.committed % 2)
        self._current.write(place, path)
        self._current_check.write(place, path_check(work.start, work.committed, path))

    def _write_rung(self, row: int, rung: int, record: RungRecord, path: Array | None) -> None:
        index = (row, rung)
        columns = self._per_rung
        for name, column in columns.items():
            column.write(index, getattr(record, name))
        self._parameters.write(index, record.parameters)
        work = self._work[row]
        self._check.write(index, rung_check(work.start, rung, record))
        work.committed += 1
        work.last = (rung, record)
        if path is not None and self._layout.keep_paths == "all":
            self._write_path(self._paths, work.start, rung, path)
            self._paths += 1

    def _write_path(self, place: int, start: int, rung: int, path: Array) -> None:
        columns = (
            self._path_states,
            self._path_parameters,
            self._path_start,
            self._path_rung,
            self._path_check,
        )
        for column in columns:
            column.make_room(place)
        self._path_states.write((place,), path[: self._states])
        self._path_parameters.write((place,), path[self._states :])
        self._path_rung.write((place,), rung)
        self._path_check.write((place,), path_check(start, rung, path))
        self._path_start.write((place,), start)

    def finish(self, row: int, path: Array | None, sketch: Array | None = None) -> None:
        """End a start: keep its path as the job asks, free its place among the starts at work.

        Args:
            row: What `begin` returned.
            path: The final path, flat, shape (size,); None where there is none to keep.
            sketch: What is kept of the path in any case, shape (`Layout.sketch`,); None for nothing.
        """
        work = self._work.pop(row)
        if sketch is not None and self._layout.sketch:
            self._sketches.write((row,), sketch)
            self._sketch_check.write((row,), path_check(work.start, work.committed, sketch))
        if path is not None and work.last is not None:
            rung, record = work.last
            if self._best is not None:
                self._keep_best(work.start, rung, record, path)
            elif self._layout.keep_paths == "final":
                self._write_path(self._paths, work.start, rung, path)
                self._paths += 1
        now = time.time()
        self._per_start["ended"].write((row,), now)
        self._per_start["end_check"].write((row,), end_check(work.start, work.same_as, work.committed, now))
        self._flush()
        self._per_start["finished"].write((row,), 1)
        self._flush()
        self._current_row.write((work.slot,), -1)
        self._free.append(work.slot)

    def merge(self, row: int, same_as: int) -> None:
        """End a start that has become the same path as another: what follows is stored with that one.

        Args:
            row: What `begin` returned.
            same_as: Number of the other start.
        """
        self._work[row].same_as = same_as
        self._per_start["same_as"].write((row,), same_as)
        self.finish(row, None)

    def keep_minima(self, minima: Mapping[int, Array], spared: Collection[int]) -> None:
        """Keep the paths of these starts beside those that the job asks for, and no others.

        Args:
            minima: Start -> flat path, shape (size,).
            spared: Starts whose paths stay where they have been kept so far.
        """
        if not self._layout.minima:
            return
        new = [start for start in minima if start not in self._minima]
        for start in new:
            taken = set(self._minima.values())
            place = next(place for place in range(len(taken) + 1) if place not in taken)
            self._minimum.make_room(place)
            self._minimum_start.make_room(place)
            self._minimum_check.make_room(place)
            self._minimum.write((place,), minima[start])
            self._minimum_check.write((place,), path_check(start, 0, minima[start]))
            self._minima[start] = place
        if not new:
            return
        self._flush()
        for start in new:
            self._minimum_start.write((self._minima[start],), start)
        for start in [one for one in self._minima if one not in minima and one not in spared]:
            self._minimum_start.write((self._minima.pop(start),), -1)
        self._flush()

    def _keep_best(self, start: int, rung: int, record: RungRecord, path: Array) -> None:
        """Keep the K lowest: write the new one to the free place, then strike off what it pushes out."""
        assert self._best is not None
        if record.reason in self._failed or not np.isfinite(record.action):
            return
        rank = (-rung, record.action, start)
        full = len(self._kept) == self._best
        worst = max(self._kept) if full else None
        if worst is not None and rank >= worst[:3]:
            return
        taken = {place for *_, place in self._kept}
        place = next(place for place in range(self._best + 1) if place not in taken)
        self._write_path(place, start, rung, path)
        self._kept.append((*rank, place))
        if worst is not None:
            self._flush()
            self._path_start.write((worst[3],), -1)
            self._kept.remove(worst)

    def close(self) -> None:
        """Close the file; what is at work stays resumable. Closing twice does nothing.

        Raises:
            StorageError: It cannot be written; but not where that was raised before.
        """
        if not self._file:
            return
        try:
            if not self._room.lost:
                with self._room.writing():
                    self._file.attrs.modify("closed", time.time())
                    self._flush()
                    self._file.attrs.modify("shard_check", np.uint32(shard_check(self._file.attrs)))
                    self._flush()
                    self._room.trim()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._room.lost:
            self._room.abandon()
        with self._room.writing():
            self._file.close()
            marker_of(self.path).unlink(missing_ok=True)


def attach_scales(file: Any) -> None:
    """Name the dimensions of /ensemble and /paths, with units, in a shard or in the index."""
    axes, ensemble, paths = file["axes"], file["ensemble"], file["paths"]
    ensemble["start"].make_scale("start")
    for name, (_, unit, meaning) in {**PER_START, **PER_RUNG}.items():
        dataset = ensemble[name]
        dataset.attrs["unit"], dataset.attrs["meaning"] = unit, meaning
        if name != "start":
            dataset.dims[0].label = "start"
            dataset.dims[0].attach_scale(ensemble["start"])
    for group in (ensemble, paths):
        group["check"].attrs["unit"], group["check"].attrs["meaning"] = (
            "1",
            "check sum of what is stored here",
        )
    for name in ("parameters", "check"):
        ensemble[name].dims[0].label = "start"
        ensemble[name].dims[0].attach_scale(ensemble["start"])
    for name in (*PER_RUNG, "parameters", "check"):
        ensemble[name].dims[1].label = "rung"
        ensemble[name].dims[1].attach_scale(axes["rung"])
    ensemble["parameters"].dims[2].label = "parameter"
    ensemble["parameters"].dims[2].attach_scale(axes["parameter"])
    labels = {
        "states": ("path", "point", "unknown"),
        "parameters": ("path", "parameter"),
        "rung": ("path",),
        "check": ("path",),
    }
    scales = {
        "path": paths["start"],
        "point": file["windows/t"],
        **{k: axes[k] for k in ("unknown", "parameter")},
    }
    paths["start"].make_scale("path")
    for name, dims in labels.items():
        for axis, label in enumerate(dims):
            paths[name].dims[axis].label = label
            paths[name].dims[axis].attach_scale(scales[label])
