"""Reads a finished run: tables ordered by start, windows, and paths one at a time.

Nothing stays open: every read opens run.h5 and closes it, so that a RunFile can be sent to another process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcda.annealing.record import PER_RUNG, PER_START
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array
from hpcda.results.network import StoredNetwork
from hpcda.results.rows import committed_rungs, current_rows
from hpcda.results.table import RunTable
from hpcda.results.windows import StoredWindow
from hpcda.store.checksums import BYTES, DamageError
from hpcda.store.ensemble import SHARED, good_rows, good_rungs, marked_rungs
from hpcda.store.header import read_header, ways_of
from hpcda.store.index import SKETCHES, damaged, fit_index, reading
from hpcda.store.network import read_network
from hpcda.store.paths import counting_paths, read_paths, wrong_path
from hpcda.store.shards import INDEX
from hpcda.store.windows import read_windows


class RunFile(RunTable):
    """A run whose results are in files; see `RunTable`.

    Attributes:
        run_dir: Its directory.

    Args:
        run_dir: Directory of the run.

    Raises:
        InputError: There is no such run, it is being written, or a shard is missing.
    """

    def __init__(self, run_dir: str | os.PathLike[str]) -> None:
        self._run_dir = Path(run_dir)
        self.name = os.fspath(run_dir)
        self.file = self.run_dir / INDEX
        if not self.run_dir.is_dir():
            raise InputError(
                Mistake(os.fspath(run_dir), "there is no such directory", "name the directory of a run")
            )
        fit_index(self.run_dir)
        with reading(self.run_dir):
            self._read()

    def _read(self) -> None:
        with h5py.File(self.file, "r") as file:
            self.header = read_header(file)
            ensemble = file["ensemble"]
            table = {name: ensemble[name][:] for name in PER_START}
            start, finished = table["start"], table["finished"]
            rows, closed = file["shards/rows"][:], file["shards/closed"][:] == 1
            good = good_rows(table, strict=np.repeat(closed, rows))
            if not good.all():
                wrong = int(np.argmin(good))
                raise damaged(
                    self.run_dir, "ensemble", wrong, f"start {start[wrong]} does not match its checksum"
                )
            try:
                marked = table["committed"]
                committed = marked_rungs(ensemble, start, finished, marked, self.header.not_run)
            except DamageError as error:
                raise damaged(self.run_dir, "ensemble", error.row, str(error)) from None
            rows = current_rows(start, finished, committed)
            self._trusted = np.zeros(len(rows), dtype=bool)
            reason = ensemble["reason"][:][rows]
            own = committed_rungs(reason, committed[rows], self.header.not_run)
            self._set(rows, start[rows], finished[rows] == 1, committed[rows], own, table["same_as"][rows])
            self._place, self.path_start, self.path_rung = counting_paths(
                file, self.header.keep_paths, self._rows, self.start, self.finished, self._own
            )

    @property
    def run_dir(self) -> Path:
        """See `RunTable`."""
        return self._run_dir

    @property
    def source(self) -> str:
        """See `RunTable`: the directory."""
        return str(self.run_dir)

    def _check(self, positions: npt.NDArray[np.int64]) -> None:
        """Compute the checksums of the rungs of some starts, unless that was done before.

        Raises:
            InputError: One is wrong.
        """
        todo = np.unique(positions[~self._trusted[positions]])
        todo = todo[np.argsort(self._rows[todo], kind="stable")]
        width = 8 * self._own.shape[1] * (len(PER_RUNG) + len(self.header.parameter))
        for part in np.array_split(todo, max(1, len(todo) * width // BYTES)):
            if not len(part):
                continue
            names = (*PER_RUNG, *SHARED)
            wrong = self._own[part] & ~good_rungs(
                self.start[part], self._own[part], {name: self._stored(name, part) for name in names}
            )
            if wrong.any():
                position, rung = part[np.argwhere(wrong)[0, 0]], int(np.argwhere(wrong)[0, 1])
                start, row = int(self.start[position]), int(self._rows[position])
                reason = f"rung {rung} of start {start} does not match its checksum"
                raise damaged(self.run_dir, "ensemble", row, reason)
            self._trusted[part] = True

    def _stored(self, name: str, positions: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Rows of one array of /ensemble as they are stored."""
        rows = self._rows[positions]
        with reading(self.run_dir), h5py.File(self.file, "r") as file:
            dataset = file["ensemble"][name]
            first, end = (int(rows.min()), int(rows.max()) + 1) if rows.size else (0, 0)
            values: npt.NDArray[Any] = dataset[first:end][rows - first]
        return ways_of(values, self.header.ways) if name == "way" else values

    def _sketched(self) -> Array | None:
        with reading(self.run_dir), h5py.File(self.file, "r") as file:
            if SKETCHES not in file:
                return None
            return np.asarray(file[SKETCHES]["sketch"][:][self._rows])

    def windows(self) -> tuple[StoredWindow, ...]:
        """All windows with their data, the held-out data, and the truth."""
        with reading(self.run_dir), h5py.File(self.file, "r") as file:
            return read_windows(file, self.header.lengths)

    def network(self) -> StoredNetwork:
        """The network of a run that trained one."""
        with reading(self.run_dir), h5py.File(self.file, "r") as file:
            return read_network(file)

    def paths(self, places: npt.ArrayLike) -> tuple[Array, Array]:
        """Kept paths by their positions: states, shape (n, Σ N, D + V), and parameters, shape (n, P)."""
        wanted = self._place[np.asarray(places, dtype=np.int64)]
        order = np.argsort(wanted, kind="stable")
        unique, inverse = np.unique(wanted[order], return_inverse=True)
        with reading(self.run_dir), h5py.File(self.file, "r") as file:
            found = read_paths(file, unique)
        if (wrong := wrong_path(unique, *found)) is not None:
            reason = f"the path of start {wrong[1]} does not match its checksum"
            raise damaged(self.run_dir, "paths", wrong[0], reason)
        back = np.empty(len(wanted), dtype=np.int64)
        back[order] = inverse
        return found[3][back], found[4][back]
