"""How every start of an ensemble ended, as one table of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpcda.results.table import RunTable
from hpcda.store.shards import INDEX

Array = npt.NDArray[np.float64]
COLUMNS = ("action", "measurement", "model", "prior", "gradient_norm")


@dataclass(frozen=True)
class Outcome:
    """Where each start ended; S starts, rising by number.

    Attributes:
        start: Number of the start, shape (S,).
        rung: Last complete rung, -1 where there is none, shape (S,).
        reason: Code of the reason at that rung, shape (S,).
        failed: Whether it failed, shape (S,).
        complete: Whether it came to the last rung of the ladder without failing, shape (S,). Only these can
            be
            compared: an action at a smaller Rf is lower.
        way: Position of its way the start began, shape (S,).
        first_rung: Its first rung, shape (S,).
        values: Final action, measurement, model, prior and gradient norm by name, each of shape (S,).
        parameters: Final parameters, shape (S, P).
        seconds: Time spent over all rungs, in s, shape (S,).
        iterations: Iterations over all rungs, shape (S,).
    """

    start: npt.NDArray[np.int64]
    rung: npt.NDArray[np.int64]
    reason: npt.NDArray[np.int64]
    failed: npt.NDArray[np.bool_]
    complete: npt.NDArray[np.bool_]
    way: npt.NDArray[np.int64]
    first_rung: npt.NDArray[np.int64]
    values: dict[str, Array]
    parameters: Array
    seconds: Array
    iterations: npt.NDArray[np.int64]

    @property
    def action(self) -> Array:
        """Final action, shape (S,)."""
        return self.values["action"]


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
    values = {name: file.table(name, positions)[row, rung] for name in COLUMNS}
    reason = file.table("reason", positions)[row, rung].astype(np.int64)
    failed = np.isin(reason, list(header.failed)) | (last < 0) | ~np.isfinite(values["action"])
    return Outcome(
        start=file.start[positions],
        rung=last,
        reason=reason,
        failed=failed,
        complete=(last == len(header.rf) - 1) & ~failed,
        way=file.table("way", positions).astype(np.int64),
        first_rung=file.table("first_rung", positions).astype(np.int64),
        values=values,
        parameters=file.table("parameters", positions)[row, rung],
        seconds=np.nansum(file.table("seconds", positions), axis=1),
        iterations=file.table("iterations", positions).sum(axis=1, dtype=np.int64),
    )


def joined(parts: list[Outcome]) -> Outcome:
    """Outcomes of all parts as one table, rising by number of the start."""
    order = np.argsort(np.concatenate([part.start for part in parts]), kind="stable")

    def join(name: str) -> npt.NDArray[np.generic]:
        return np.asarray(np.concatenate([getattr(part, name) for part in parts])[order])

    names = (
        "start",
        "rung",
        "reason",
        "failed",
        "complete",
        "way",
        "first_rung",
        "parameters",
        "seconds",
        "iterations",
    )
    values = {name: np.concatenate([part.values[name] for part in parts])[order] for name in COLUMNS}
    return Outcome(values=values, **{name: join(name) for name in names})  # type: ignore[arg-type]
