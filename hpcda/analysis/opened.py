"""Opening a run that has ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hpcda.analysis.rundata import Run
from hpcda.problem import Problem
from hpcda.store.network import KIND
from hpcda.store.reader import RunFile

if TYPE_CHECKING:
    from hpcda.analysis.network import NetworkRun


def open_run(
    path: str | os.PathLike[str], problem: Problem | None = None, trust: bool = False
) -> Run | NetworkRun:
    """Open a run that has ended.

    Args:
        path: Its directory.
        problem: Its problem; by default it is made again from the job.toml in the directory when it is
            needed. Runs that trained a network hold all that is needed.
        trust: Execute Python files that the job names also where another user wrote them.

    Returns:
        A `NetworkRun` where the run trained a network, else a `Run`.

    Raises:
        InputError: There is no such run, it is being written, or part of it is missing.
    """
    file = RunFile(path)
    if file.header.model_kind != KIND:
        return Run(file, problem, trust)
    from hpcda.analysis.network import NetworkRun

    return NetworkRun(file, trust)
