"""How every start of an ensemble ended, as one table of arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.analysis.parallel import Mapping, in_turn
from hpcda.annealing.record import PER_RUNG, table_of
from hpcda.results.table import RunTable
from hpcda.store.shards import INDEX

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """Where each start ended; S starts, rising by number.

    Attributes:
        start: Number of the start, shape (S,).
        rung: Last complete rung, -1 where there is none, shape (S,).
        end: That rung as it was stored, of type `hpcda.annealing.record.RUNG`, shape (S,).
        failed: Whether it failed, shape (S,).
        complete: Whether it came to the last rung of the ladder without failing, shape (S,). Only these can
            be compared: an action at a smaller Rf is lower.
        way: Position of its way among those of the header, shape (S,).
        first_rung: Its first rung, shape (S,).
        parameters: Final parameters, shape (S, P).
        seconds: Time spent over all rungs, in s, shape (S,).
        iterations: Iterations over all rungs, shape (S,).
    """

    start: npt.NDArray[np.int64]
    rung: npt.NDArray[np.int64]
    end: npt.NDArray[Any]
    failed: npt.NDArray[np.bool_]
    complete: npt.NDArray[np.bool_]
    way: npt.NDArray[np.int64]
    first_rung: npt.NDArray[np.int64]
    parameters: Array
    seconds: Array
    iterations: npt.NDArray[np.int64]

    @property
    def action(self) -> Array:
        """Final action, shape (S,)."""
        return np.asarray(self.end["action"])

    @property
    def reason(self) -> npt.NDArray[np.int64]:
        """Code of the reason at the last rung, shape (S,)."""
        return self.end["reason"].astype(np.int64)


@lru_cache(maxsize=4)
def cached_file(run_dir: str, stamp: int) -> RunTable:
    """The run as this process sees it; `stamp`, the time of change of its index, renews it."""
    from hpcda.store.reader import RunFile

    return RunFile(Path(run_dir))


def open_file(source: str | RunTable) -> RunTable:
    """The tables of a run, `RunTable.source`: those of a directory are shared by the tasks of a process."""
    if isinstance(source, RunTable):
        return source
    index = Path(source) / INDEX
    return cached_file(source, index.stat().st_mtime_ns if index.exists() else 0)


def task_source(file: RunTable, mapping: Mapping) -> str | RunTable:
    """What the tasks of a mapping open a run by: the tables themselves, where this process does them all."""
    return file if mapping is in_turn else file.source


def collect(source: str | RunTable, positions: npt.NDArray[np.int64]) -> Outcome:
    """Outcome of the starts at some positions; the task that each worker runs on its part of the shards.

    Args:
        source: `RunTable.source` of the run.
        positions: Positions in `RunTable.start`, rising.
    """
    file = open_file(source)
    header = file.header
    last = file.last[positions]
    row, rung = np.arange(len(positions)), np.maximum(last, 0)
    rungs = {name: file.table(name, positions) for name in PER_RUNG}
    end = table_of({name: values[row, rung] for name, values in rungs.items()})
    failed = np.isin(end["reason"], list(header.failed)) | (last < 0) | ~np.isfinite(end["action"])
    return Outcome(
        start=file.start[positions],
        rung=last,
        end=end,
        failed=failed,
        complete=(last == len(header.rf) - 1) & ~failed,
        way=file.table("way", positions).astype(np.int64),
        first_rung=file.table("first_rung", positions).astype(np.int64),
        parameters=file.table("parameters", positions)[row, rung],
        seconds=np.nansum(rungs["seconds"], axis=1),
        iterations=rungs["iterations"].sum(axis=1, dtype=np.int64),
    )


def joined(parts: list[Outcome]) -> Outcome:
    """Outcomes of all parts as one table, rising by number of the start."""
    order = np.argsort(np.concatenate([part.start for part in parts]), kind="stable")

    def join(name: str) -> npt.NDArray[Any]:
        return np.asarray(np.concatenate([getattr(part, name) for part in parts])[order])

    return Outcome(**{field.name: join(field.name) for field in fields(Outcome)})
