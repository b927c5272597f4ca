"""The file that one rank writes: every rung of every start it has run.

A shard appears under its name with its header complete. Order of writing: data, then the mark, each with the
operating system before the next begins. Whoever is killed in between leaves a file whose marks tell the
truth: what is behind a mark is complete.

Memory does not grow with the number of starts: what is kept is a few numbers for each start at work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np

from hpcda.errors import InputError, Mistake, StorageError
from hpcda.registry import LONGEST
from hpcda.store.checkpoint import Checkpoint
from hpcda.store.checks import shard_check
from hpcda.store.failure import writing
from hpcda.store.header import write_header
from hpcda.store.kept import KeptPaths
from hpcda.store.marker import mark, marker_of
from hpcda.store.names import RANKS_OF_A_PART, SHARDS, Part, shard_name
from hpcda.store.newest import NewestPaths
from hpcda.store.room import Room
from hpcda.store.scales import attach_scales
from hpcda.store.schema import Array, RungRecord, RunLayout
from hpcda.store.searched import Minima, Sketches
from hpcda.store.starts import Starts

EMPTY = 2**16
"""Bytes of all arrays of a shard without starts, and more."""
VERSIONS = "earliest", "v108"
"""Versions of HDF5's format that a shard is written in."""


@dataclass
class _Work:
    """A start at work: its place among the newest paths, and how far it is."""

    start: int
    place: int
    same_as: int = -1
    committed: int = 0
    last: tuple[int, RungRecord] | None = None


class Shard:
    """Writes the starts of one rank; make it with `create`, best in a `with`.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, rank: int, generation: int, layout: RunLayout) -> None:
        self.path = path
        self._work: dict[int, _Work] = {}
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with writing(path):
            mark(path)
            try:
                draft.write_bytes(_header(rank, generation, layout))
                self._file = h5py.File(draft, "r+", libver=VERSIONS, rdcc_nbytes=0)
            except OSError:
                for left in (draft, marker_of(path)):
                    with suppress(OSError):
                        left.unlink(missing_ok=True)
                raise
        self._room = Room(self._file, path)
        try:
            with self._room.writing():
                self._room.take(EMPTY)
                self._make_arrays(layout)
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
        layout: RunLayout,
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

    def _make_arrays(self, layout: RunLayout) -> None:
        file, room, size = self._file, self._room, layout.size
        self._starts = Starts(file, layout, room)
        self._paths = KeptPaths(file, layout, room)
        self._newest = NewestPaths(file, size, room)
        self._sketches = Sketches(file, layout.sketch, room) if layout.sketch else None
        self._minima = Minima(file, size, room) if layout.minima else None
        attach_scales(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
            way: Name of the way, or of the escape, by which its path begins.
            first_rung: Its first rung.
            checkpoint: Where an interrupted start continues: its rungs are copied into the new row.
            parents: Starts from whose minima it begins, two at most; none where it begins anew.

        Returns:
            The row, to be named in `rung`, `finish` and `merge`.

        Raises:
            ValueError: The name is too long for what is stored of it.
        """
        named = way.encode("ascii")
        if len(named) > LONGEST:
            raise ValueError(f"{way!r} has more than {LONGEST} letters")
        now = time.time()
        began = now if checkpoint is None else now - float(np.sum(checkpoint.values["seconds"]))
        parent, partner, *_ = (*parents, -1, -1)
        row = self._starts.begin(
            {
                "start": start,
                "way": named,
                "first_rung": first_rung,
                "parent": parent,
                "partner": partner,
                "began": began,
                "ended": now,
            }
        )
        if self._sketches is not None:
            self._sketches.make_room(row)
        work = self._work[row] = _Work(start, self._newest.take())
        if checkpoint is None or checkpoint.path is not None:
            self._newest.belongs(work.place, row)
        if checkpoint is None:
            return row
        rungs = [(int(rung), checkpoint.record(position)) for position, rung in enumerate(checkpoint.rungs)]
        for rung, record in rungs:
            self._write_rung(row, rung, record)
        for rung, path in checkpoint.paths:
            self._paths.add(start, rung, path)
        if checkpoint.path is not None:
            self._newest.write(work.place, start, work.committed, checkpoint.path)
        self._starts.mark(row, start, rungs, work.committed)
        return row

    def rung(self, row: int, rung: int, record: RungRecord, path: Array) -> None:
        """Store one rung; see `rungs`."""
        self.rungs([(row, rung, record, path)])

    def rungs(self, finished: Sequence[tuple[int, int, RungRecord, Array]]) -> None:
        """Store rungs of one start or of several: of each start the data, then the mark.

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
                self._write_rung(row, rung, record)
                if self._paths.every_rung:
                    self._paths.add(work.start, rung, path)
            self._newest.write(work.place, work.start, work.committed, rungs[-1][2])
            self._starts.seen(row, now)
            marked = [(rung, record) for rung, record, _ in rungs]
            self._starts.mark(row, work.start, marked, work.committed)
        self._room.look()

    def _write_rung(self, row: int, rung: int, record: RungRecord) -> None:
        work = self._work[row]
        self._starts.rung(row, rung, record)
        work.committed += 1
        work.last = (rung, record)

    def finish(self, row: int, path: Array | None, sketch: Array | None = None) -> None:
        """End a start: keep its path as the job asks, free its place among the starts at work.

        Args:
            row: What `begin` returned.
            path: The final path, flat, shape (size,); None where there is none to keep.
            sketch: What is kept of the path in any case, shape (`Layout.sketch`,); None for nothing.
        """
        work = self._work.pop(row)
        if sketch is not None and self._sketches is not None:
            self._sketches.write(row, work.start, work.committed, sketch)
        if path is not None and work.last is not None:
            self._paths.end(work.start, *work.last, path)
        self._starts.finish(row, work.start, work.same_as, work.committed, time.time())
        self._newest.give_back(work.place)
        self._room.look()

    def merge(self, row: int, same_as: int) -> None:
        """End a start that has become the same path as another: what follows is stored with that one.

        Args:
            row: What `begin` returned.
            same_as: Number of the other start.
        """
        self._work[row].same_as = same_as
        self._starts.became(row, same_as)
        self.finish(row, None)

    def keep_minima(self, minima: Mapping[int, Array], spared: Collection[int]) -> None:
        """Keep the paths of these starts beside those that the job asks for, and no others.

        Args:
            minima: Start -> flat path, shape (size,).
            spared: Starts whose paths stay where they have been kept so far.
        """
        if self._minima is not None:
            self._minima.keep(minima, spared)

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
                    self._room.flush()
                    self._file.attrs.modify("shard_check", np.uint32(shard_check(self._file.attrs)))
                    self._room.flush()
                    self._room.trim()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._room.lost:
            self._room.abandon()
        self._room.leave()
        with self._room.writing():
            self._file.close()
            marker_of(self.path).unlink(missing_ok=True)


def _header(rank: int, generation: int, layout: RunLayout) -> bytes:
    """A shard without arrays, made in memory: HDF5 does not say that it was a full disk that stopped it."""
    with h5py.File("header", "w", driver="core", backing_store=False, libver=VERSIONS) as file:
        file.attrs.update(rank=rank, generation=generation, closed=0.0, opened=time.time())
        write_header(file, layout)
        file.attrs["shard_check"] = np.uint32(shard_check(file.attrs))
        file.flush()
        image: bytes = file.id.get_file_image()
        return image
