"""Reads from earlier shards what a resumed run needs.

A survey says which starts have ended and which are at work, and where each stands; the records themselves are
read when they are asked for, so that a survey is small however many starts there are. Shards of a ladder with
fewer rungs lie in folders of their own, `shards/ladder-30`: their starts are carried over one by one and
climb on.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcda.annealing.reasons import Reason
from hpcda.annealing.record import PER_RUNG, Rung, Task, table_of
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array
from hpcda.results.layout import RunLayout
from hpcda.results.rows import committed_rungs, current_rows, last_rungs
from hpcda.store.current import CurrentPaths
from hpcda.store.ensemble import rows_in
from hpcda.store.minima import Minima, Sketches
from hpcda.store.paths import Paths
from hpcda.store.shards import INDEX, SHARDS, Part, shards_of

Numbers = npt.NDArray[np.int64]
NARROW = "ladder-"


@dataclass(frozen=True)
class Checkpoint:
    """A start after its last committed rung.

    Attributes:
        task: The start, and how it began.
        same_as: The start whose path it has become, -1 where it went on by itself.
        finished: Whether it has ended, in whatever way.
        rungs: Its committed rungs, rising, shape (n,).
        values: What was stored of each, of type `RUNG`, shape (n,).
        parameters: Shared parameters at each rung, shape (n, P).
        sketch: What was kept of the path of a start that has ended; None where nothing was.
        ladder: Rungs of the ladder that it climbed.
        path: The path at the last rung, flat, shape (size,); None where it was not asked for or not kept.
        paths: Rung and path of all paths that have to be carried over to a new shard.
    """

    task: Task
    same_as: int
    finished: bool
    rungs: Numbers
    values: npt.NDArray[Any]
    parameters: Array
    ladder: int
    sketch: Array | None = None
    path: Array | None = None
    paths: tuple[tuple[int, Array], ...] = ()

    def rung(self, position: int) -> Rung:
        """The rung at a position in `rungs`, without its path."""
        return Rung.stored(int(self.rungs[position]), self.values[position])


@dataclass(frozen=True)
class Survey:
    """How far the starts of an interrupted run, or of one of its parts, have come.

    Attributes:
        run_dir: Directory of the run.
        files: The shards, relative to it.
        rungs: Rungs of the ladder.
        start: Starts that have a committed rung or have ended, rising, shape (S,).
        file: Position in `files` of each, shape (S,).
        row: Row in it, shape (S,).
        ended: Whether it is done with, shape (S,); else it goes on.
        failed: Whether it has failed, shape (S,).
        lowest: Lowest action at the end of the ladder; infinite where there is none.
    """

    run_dir: Path
    files: tuple[str, ...]
    rungs: int
    start: Numbers
    file: Numbers
    row: Numbers
    ended: npt.NDArray[np.bool_]
    failed: npt.NDArray[np.bool_]
    lowest: float

    def without(self, starts: Collection[int]) -> Survey:
        """The same, but that these starts have never begun."""
        keep = ~np.isin(self.start, list(starts))
        return replace(
            self,
            **{name: getattr(self, name)[keep] for name in ("start", "file", "row", "ended", "failed")},
        )

    def checkpoint(self, start: int) -> Checkpoint:
        """All that is needed to go on with a start that has not ended.

        Raises:
            KeyError: There is no such start.
        """
        place = self._place(start)
        with self._open(int(self.file[place])) as file:
            one = _read(file, np.array([self.row[place]]))[0]
            narrow = len(file["axes/rf"]) < self.rungs
            carried = narrow and str(file.attrs["keep_paths"]) == "all"
            paths = Paths.of(file, start, one.rungs) if carried else ()
            return replace(one, path=_path(file, one), paths=paths)

    def path(self, start: int) -> Array | None:
        """The final path of a start that has ended; None where it was not kept."""
        place = self._place(start)
        with self._open(int(self.file[place])) as file:
            return _path(file, _read(file, np.array([self.row[place]]))[0])

    def have_paths(self, starts: Collection[int]) -> set[int]:
        """Those of some ended starts whose final paths were kept."""
        found: set[int] = set()
        wanted = np.flatnonzero(np.isin(self.start, list(starts)))
        for number in np.unique(self.file[wanted]):
            with self._open(int(number)) as file:
                kept = {int(one) for one in file["paths/start"][:]} | Minima.starts(file)
            found |= kept & {int(one) for one in self.start[wanted][self.file[wanted] == number]}
        return found

    def all_ended(self) -> Iterator[Checkpoint]:
        """All starts that are done with, without their paths."""
        for number in range(len(self.files)):
            rows = np.sort(self.row[self.ended & (self.file == number)])
            if len(rows):
                with self._open(number) as file:
                    yield from _read(file, rows)

    def _place(self, start: int) -> int:
        place = int(np.searchsorted(self.start, start))
        if place >= len(self.start) or self.start[place] != start:
            raise KeyError(start)
        return place

    def _open(self, number: int) -> h5py.File:
        return h5py.File(self.run_dir / self.files[number], "r")


@dataclass
class _Rows:
    """Rows of several shards behind one another."""

    parts: dict[str, list[npt.NDArray[Any]]] = field(default_factory=dict)

    def add(self, **arrays: npt.NDArray[Any]) -> None:
        for name, array in arrays.items():
            self.parts.setdefault(name, []).append(array)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return np.concatenate(self.parts[name])


def put_by(run_dir: Path, part: Part, layout: RunLayout) -> None:
    """Move the part's shards of a ladder with fewer rungs to a folder of their own."""
    for shard in shards_of(run_dir, part):
        with _opened(shard) as file:
            rungs = len(file["axes/rf"])
        if rungs < len(layout.rf):
            folder = run_dir / SHARDS / f"{NARROW}{rungs}"
            folder.mkdir(exist_ok=True)
            target = folder / shard.name
            while target.exists():
                target = target.with_name(f"{target.stem}-1{target.suffix}")
            (run_dir / INDEX).unlink(missing_ok=True)
            shard.rename(target)


def survey(run_dir: str | os.PathLike[str], part: Part, layout: RunLayout) -> Survey:
    """Where the starts of a part stand.

    Call it on one rank, before the resumed run creates a shard.

    Args:
        run_dir: Directory of the run.
        part: The part.
        layout: What the new shards hold.

    Raises:
        InputError: A shard cannot be read.
    """
    folder = Path(run_dir)
    widest = len(layout.rf)
    sources = [(shard, widest) for shard in shards_of(folder, part)]
    narrow = [
        (int(one.name.removeprefix(NARROW)), one)
        for one in (folder / SHARDS).glob(f"{NARROW}*")
        if one.name.removeprefix(NARROW).isdecimal()
    ]
    for rungs, one in sorted(narrow, reverse=True):
        own = f"rank-{part.mark}-*.h5" if part.mark else "rank-[0-9]*.h5"
        sources += [(shard, rungs) for shard in sorted(one.glob(own))]
    failed = [reason.code for reason in Reason if reason.failed]
    not_run = Reason.NOT_RUN.code
    rows = _Rows()
    files: list[str] = []
    for shard, rungs in sources:
        with _opened(shard) as file:
            ensemble = file["ensemble"]
            used = rows_in(ensemble)
            start = ensemble["start"][:used]
            committed, finished = ensemble["committed"][:used], ensemble["finished"][:used]
            visited = committed_rungs(ensemble["reason"][:used], committed, not_run)
            last = last_rungs(visited)
            at = np.arange(used)
            # A row that has neither ended nor a committed rung counts as not begun.
            rows.add(
                start=start,
                finished=finished,
                committed=committed,
                file=np.full(used, len(files)),
                row=at,
                rungs=np.full(used, rungs),
                reason=np.where(visited.any(axis=1), ensemble["reason"][:used][at, last], not_run),
                action=np.where(visited[:, -1], ensemble["action"][:used, -1], np.nan),
            )
        files.append(os.fspath(shard.relative_to(folder)))
    if not files:
        empty = np.zeros(0, dtype=np.int64)
        return Survey(folder, (), widest, empty, empty, empty, empty > 0, empty > 0, np.inf)
    taken, places = np.zeros(0, dtype=np.int64), []
    for rungs in sorted({rungs for _, rungs in sources}, reverse=True):
        of_ladder = np.flatnonzero(rows["rungs"] == rungs)
        current = of_ladder[
            current_rows(rows["start"][of_ladder], rows["finished"][of_ladder], rows["committed"][of_ladder])
        ]
        current = current[~np.isin(rows["start"][current], taken)]
        taken = np.concatenate([taken, rows["start"][current]])
        places.append(current)
    chosen = np.concatenate(places)
    chosen = chosen[np.argsort(rows["start"][chosen], kind="stable")]
    ended = (rows["finished"][chosen] == 1) & (rows["rungs"][chosen] == widest)
    ended &= rows["committed"][chosen] > 0
    bad = np.isin(rows["reason"][chosen], failed)
    actions = rows["action"][chosen][ended & ~bad]
    return Survey(
        folder, tuple(files), widest, rows["start"][chosen], rows["file"][chosen], rows["row"][chosen],
        ended, ended & bad, float(np.nanmin(actions)) if np.isfinite(actions).any() else np.inf,
    )  # fmt: skip


def _opened(shard: Path) -> h5py.File:
    try:
        file = h5py.File(shard, "r")
        len(file["axes/rf"]), file["ensemble/reason"], file["current/row"], file.attrs["fingerprint"]
    except (OSError, KeyError) as error:
        raise InputError(
            Mistake(
                os.fspath(shard),
                f"it cannot be read: {error}",
                "move it away; the starts that only it contains are repeated",
            )
        ) from error
    return file


def _read(file: h5py.File, rows: Numbers) -> list[Checkpoint]:
    """Starts at rising rows."""
    ensemble, first, end = file["ensemble"], int(rows[0]), int(rows[-1]) + 1

    def column(name: str) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = ensemble[name][first:end][rows - first]
        return values

    per_rung = {name: column(name) for name in PER_RUNG}
    parameters = column("parameters")
    visited = committed_rungs(per_rung["reason"], column("committed"), Reason.NOT_RUN.code)
    single = {
        name: column(name)
        for name in ("start", "way", "first_rung", "parent", "partner", "same_as", "finished")
    }
    sketches = Sketches.rows(file, first, end)
    found = []
    for k in range(len(rows)):
        rungs = np.flatnonzero(visited[k])
        parents = tuple(int(single[name][k]) for name in ("parent", "partner") if single[name][k] >= 0)
        finished = bool(single["finished"][k])
        way, begins = single["way"][k].decode(), int(single["first_rung"][k])
        found.append(
            Checkpoint(
                task=Task(int(single["start"][k]), way, begins, parents),
                same_as=int(single["same_as"][k]) if finished else -1,
                finished=finished,
                rungs=rungs,
                values=table_of({name: values[k][rungs] for name, values in per_rung.items()}),
                parameters=parameters[k][rungs],
                ladder=visited.shape[1],
                sketch=None if sketches is None or not finished else sketches[rows[k] - first],
            )
        )
    return found


def _path(file: h5py.File, one: Checkpoint) -> Array | None:
    """The path at a start's last rung."""
    start = one.task.start
    if not one.finished:
        return CurrentPaths.of(file, start, len(one.rungs))
    path = Paths.at(file, start, int(one.rungs[-1]) if len(one.rungs) else -1)
    return Minima.of(file, start) if path is None else path
