"""The shard: the HDF5 file that one rank writes, with every rung of each of its starts.

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

from hpcda.annealing.record import Rung, Task
from hpcda.errors import InputError, Mistake, StorageError
from hpcda.problem import Array
from hpcda.registry import LONGEST
from hpcda.results.layout import RunLayout
from hpcda.store.axes import attach_scales
from hpcda.store.checksums import shard_check
from hpcda.store.current import CurrentPaths, committed_at_once
from hpcda.store.ensemble import Ensemble
from hpcda.store.header import write_header
from hpcda.store.minima import Minima, Sketches
from hpcda.store.paths import Paths
from hpcda.store.restart import Checkpoint
from hpcda.store.shards import RANKS_OF_A_PART, SHARDS, Part, mark, marker_of, shard_name
from hpcda.store.space import Space, writing

EMPTY = 2**16
"""Bytes of all arrays of a shard without starts, and more."""
VERSIONS = "earliest", "v108"
"""Versions of HDF5's format that a shard is written in."""


@dataclass
class _Open:
    """A start at work: its place among the current paths, and how far it is."""

    start: int
    place: int
    same_as: int = -1
    committed: int = 0
    last: Rung | None = None


class Shard:
    """Writes the starts of one rank; make it with `create`, best in a `with`.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, rank: int, generation: int, layout: RunLayout) -> None:
        self.path = path
        self._open: dict[int, _Open] = {}
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
        self._space = Space(self._file, path)
        try:
            with self._space.writing():
                self._space.reserve(EMPTY)
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
            resume: Whether shards of earlier processes of the run may exist.
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
                    f"{os.fspath(run_dir)!r} already holds a run",
                    "name another directory",
                )
            )
        return cls(path, RANKS_OF_A_PART * (part.number - 1) + rank, generation, layout)

    def _make_arrays(self, layout: RunLayout) -> None:
        file, space, size = self._file, self._space, layout.size
        self._ensemble = Ensemble(file, layout, space)
        self._paths = Paths(file, layout, space)
        self._current = CurrentPaths(file, size, space)
        self._sketches = Sketches(file, layout.sketch, space) if layout.sketch else None
        self._minima = Minima(file, size, space) if layout.minima else None
        attach_scales(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, task: Task, checkpoint: Checkpoint | None = None) -> int:
        """Open a row for a start.

        Args:
            task: The start, and how it begins; from the minima of two others at most.
            checkpoint: Where an interrupted start continues: its rungs are copied into the new row.

        Returns:
            The row, to be named in `rungs`, `finish` and `merge`.

        Raises:
            ValueError: The name of its way is too long for what is stored of it.
        """
        named = task.way.encode("ascii")
        if len(named) > LONGEST:
            raise ValueError(f"{task.way!r} has more than {LONGEST} letters")
        now = time.time()
        began = now if checkpoint is None else now - float(np.sum(checkpoint.values["seconds"]))
        parent, partner, *_ = (*task.parents, -1, -1)
        row = self._ensemble.begin(
            {
                "start": task.start,
                "way": named,
                "first_rung": task.first,
                "parent": parent,
                "partner": partner,
                "began": began,
                "ended": now,
            }
        )
        if self._sketches is not None:
            self._sketches.make_room(row)
        work = self._open[row] = _Open(task.start, self._current.take())
        if checkpoint is None or checkpoint.path is not None:
            self._current.belongs(work.place, row)
        if checkpoint is None:
            return row
        rungs = [
            (int(rung), values.item(), parameters)
            for rung, values, parameters in zip(
                checkpoint.rungs, checkpoint.values, checkpoint.parameters, strict=True
            )
        ]
        for number, values, parameters in rungs:
            self._ensemble.write_rung(row, number, values, parameters)
        work.committed = len(rungs)
        work.last = checkpoint.rung(len(rungs) - 1) if rungs else None
        for number, path in checkpoint.paths:
            self._paths.add(task.start, number, path)
        if checkpoint.path is not None:
            self._current.write(work.place, task.start, work.committed, checkpoint.path)
        self._ensemble.commit(row, task.start, rungs, work.committed)
        return row

    def rungs(self, finished: Sequence[tuple[int, Rung, Array]]) -> None:
        """Store rungs of one start or of several: of each start the data, then the mark.

        Args:
            finished: For every rung: what `begin` returned; the rung, above those stored before of this
                start, its path of shape (size,); and the shared parameters there, shape (P,).

        Raises:
            ValueError: A rung does not lie above the last one of its start.
        """
        per_row: dict[int, list[tuple[Rung, Array]]] = {}
        for row, rung, parameters in finished:
            per_row.setdefault(row, []).append((rung, parameters))
        cut = {row: committed_at_once(rungs) for row, rungs in per_row.items()}
        self._commit({row: first for row, (first, _) in cut.items() if first})
        self._commit({row: rest for row, (_, rest) in cut.items() if rest})

    def _commit(self, per_row: Mapping[int, Sequence[tuple[Rung, Array]]]) -> None:
        if not per_row:
            return
        now = time.time()
        for row, rungs in per_row.items():
            work = self._open[row]
            stored = [(rung.number, rung.values, parameters) for rung, parameters in rungs]
            for rung, (number, values, parameters) in zip((one for one, _ in rungs), stored, strict=True):
                if work.last is not None and number <= work.last.number:
                    raise ValueError(
                        f"rung {number} of start {work.start} comes after rung {work.last.number}"
                    )
                self._ensemble.write_rung(row, number, values, parameters)
                if self._paths.every_rung:
                    self._paths.add(work.start, number, rung.path)
                work.committed += 1
                work.last = rung
            self._current.write(work.place, work.start, work.committed, rungs[-1][0].path)
            self._ensemble.seen(row, now)
            self._ensemble.commit(row, work.start, stored, work.committed)
        self._space.look()

    def finish(self, row: int, path: Array | None, sketch: Array | None = None) -> None:
        """End a start: keep its path as the job asks, free its place among the starts at work.

        Args:
            row: What `begin` returned.
            path: The final path, flat, shape (size,); None where there is none to keep.
            sketch: What is kept of the path in any case, shape (`Layout.sketch`,); None for nothing.
        """
        work = self._open.pop(row)
        if sketch is not None and self._sketches is not None:
            self._sketches.write(row, work.start, work.committed, sketch)
        if path is not None and work.last is not None:
            self._paths.end(work.start, work.last, path)
        self._ensemble.finish(row, work.start, work.same_as, work.committed, time.time())
        self._current.give_back(work.place)
        self._space.look()

    def merge(self, row: int, same_as: int) -> None:
        """End a start that has become the same path as another: what follows is stored with that one.

        Args:
            row: What `begin` returned.
            same_as: Number of the other start.
        """
        self._open[row].same_as = same_as
        self._ensemble.became(row, same_as)
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
            if not self._space.lost:
                with self._space.writing():
                    self._file.attrs.modify("closed", time.time())
                    self._space.flush()
                    self._file.attrs.modify("shard_check", np.uint32(shard_check(self._file.attrs)))
                    self._space.flush()
                    self._space.trim()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._space.lost:
            self._space.abandon()
        self._space.leave()
        with self._space.writing():
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
