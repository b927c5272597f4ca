"""Opening a run that has ended."""

from __future__ import annotations

import os

from hpcda.analysis.network import NetworkRun
from hpcda.analysis.rundata import Run
from hpcda.problem import Problem
from hpcda.store.network import KIND
from hpcda.store.reader import RunFile


def open_run(path: str | os.PathLike[str], problem: Problem | None = None) -> Run | NetworkRun:
    """Open a run that has ended.

    Args:
        path: Its directory.
        problem: Its problem; by default it is made again from the job.toml in the directory when it is
            needed. Runs that trained a network hold all that is needed.

    Returns:
        A `NetworkRun` where the run trained a network, else a `Run`.

    Raises:
        InputError: There is no such run, it is being written, or part of it is missing.
    """
    file = RunFile(path)
    return NetworkRun(file) if file.header.model_kind == KIND else Run(file, problem)
