"""Results in memory: `Recorder` collects what an ensemble stores, `MemoryRun` reads it."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.annealing.record import PER_RUNG, PER_START, RUNG, Rung, Task
from hpcda.problem import Array
from hpcda.results.header import header_of
from hpcda.results.layout import NetworkLayout, RunLayout
from hpcda.results.network import StoredNetwork
from hpcda.results.rows import Numbers
from hpcda.results.table import RunTable
from hpcda.results.windows import StoredWindow, windows_of

KEPT = 2e9
"""Bytes of paths that are kept; beyond them the highest go."""


@dataclass
class _Start:
    """A start: how it began, its rungs, its last path."""

    task: Task
    began: float
    rungs: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    parameters: dict[int, Array] = field(default_factory=dict)
    same_as: int = -1
    ended: float = np.nan
    finished: bool = False
    path: Array | None = None
    action: float = np.inf


class Recorder:
    """Takes what an ensemble stores, as `hpcda.store.Shard` does; an ensemble of one process.

    Args:
        size: Numbers of a path.
    """

    def __init__(self, size: int) -> None:
        self.starts: list[_Start] = []
        self.sketches: dict[int, Array] = {}
        self.began = time.time()
        self._most = max(8, int(KEPT / (8 * size)))

    def begin(self, task: Task, checkpoint: Any = None) -> int:
        """Open a row for a start, which begins; returns the row."""
        self.starts.append(_Start(task, time.time()))
        return len(self.starts) - 1

    def rungs(self, finished: Sequence[tuple[int, Rung, Array]]) -> None:
        """Take rungs: the row, the rung, and the shared parameters there, shape (P,)."""
        for row, rung, parameters in finished:
            one = self.starts[row]
            one.rungs[rung.number] = rung.values
            one.parameters[rung.number] = parameters
            one.action = rung.action

    def finish(self, row: int, path: Array | None, sketch: Array | None = None) -> None:
        """End a start: keep its path, flat, shape (size,), and the sketch of it."""
        one = self.starts[row]
        one.finished, one.ended, one.path = True, time.time(), path
        if sketch is not None:
            self.sketches[one.task.start] = sketch
        held = [other for other in self.starts if other.path is not None]
        if len(held) > self._most:
            max(held, key=lambda other: other.action).path = None

    def merge(self, row: int, same_as: int) -> None:
        """End a start that has become the same path as another."""
        self.starts[row].same_as = same_as
        self.finish(row, None)

    def keep_minima(self, minima: Mapping[int, Array], spared: Collection[int]) -> None:
        """Nothing more is kept: paths of ended starts are."""

    def close(self) -> None:
        """Nothing has to be closed."""


class MemoryRun(RunTable):
    """A run whose results are in memory; see `RunTable`.

    Args:
        layout: What it holds.
        recorder: What the ensemble left.
    """

    def __init__(self, layout: RunLayout, recorder: Recorder) -> None:
        self.name = "in memory"
        self._layout = layout
        every = sorted((one for one in recorder.starts if one.rungs), key=lambda one: one.task.start)
        ways = tuple(sorted({one.task.way for one in every}))
        self.header = header_of(layout, ways, np.array([[recorder.began, time.time()]]))
        count, rungs = len(every), len(layout.rf)
        table = np.zeros((count, rungs), dtype=RUNG)
        for name, column in PER_RUNG.items():
            table[name] = column.fill
        parameters = np.full((count, rungs, len(layout.recorded)), np.nan)
        own = np.zeros((count, rungs), dtype=bool)
        for row, one in enumerate(every):
            for rung, values in one.rungs.items():
                table[row, rung], parameters[row, rung], own[row, rung] = values, one.parameters[rung], True
        parents = [(*one.task.parents, -1, -1)[:2] for one in every]
        columns: dict[str, Any] = {
            "start": [one.task.start for one in every],
            "way": [ways.index(one.task.way) for one in every],
            "first_rung": [one.task.first for one in every],
            "parent": [pair[0] for pair in parents],
            "partner": [pair[1] for pair in parents],
            "began": [one.began for one in every],
            "same_as": [one.same_as for one in every],
            "committed": [len(one.rungs) for one in every],
            "ended": [one.ended for one in every],
            "finished": [one.finished for one in every],
        }
        dtypes = {name: np.int64 if name == "way" else PER_START[name].dtype for name in columns}
        self._table: dict[str, npt.NDArray[Any]] = {
            name: np.array(values, dtype=dtypes[name]) for name, values in columns.items()
        }
        self._table |= {name: table[name] for name in PER_RUNG} | {"parameters": parameters}
        width = max((len(one) for one in recorder.sketches.values()), default=0)
        self._sketches = np.full((count, width), np.nan)
        for row, one in enumerate(every):
            self._sketches[row] = recorder.sketches.get(one.task.start, np.nan)
        finished = self._table["finished"] == 1
        start, committed = self._table["start"], self._table["committed"]
        self._set(np.arange(count), start, finished, committed, own, self._table["same_as"])
        kept = [row for row, one in enumerate(every) if one.path is not None]
        self._paths = [one.path for one in every if one.path is not None]
        self.path_start = start[kept]
        last = rungs - 1 - np.argmax(own[kept][:, ::-1], axis=1)
        self.path_rung = last.astype(np.int32)

    @property
    def source(self) -> MemoryRun:
        """See `RunTable`: itself."""
        return self

    def _stored(self, name: str, positions: Numbers) -> npt.NDArray[Any]:
        return self._table[name][positions]

    def _sketched(self) -> Array | None:
        return self._sketches

    def windows(self) -> tuple[StoredWindow, ...]:
        """See `RunTable`."""
        return windows_of(self._layout)

    def network(self) -> StoredNetwork:
        """See `RunTable`."""
        if not isinstance(self._layout, NetworkLayout):
            return super().network()
        return self._layout.network

    def paths(self, places: npt.ArrayLike) -> tuple[Array, Array]:
        """See `RunTable`."""
        points, unknowns = self._layout.points
        cut = points * unknowns
        wanted = np.atleast_1d(np.asarray(places, dtype=np.int64))
        flat = np.array([self._paths[place] for place in wanted]).reshape(len(wanted), self._layout.size)
        return flat[:, :cut].reshape(-1, points, unknowns), flat[:, cut:]
