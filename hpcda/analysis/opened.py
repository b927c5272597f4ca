"""Opens a finished run from its directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hpcda.analysis.rundata import Result
from hpcda.models.model import Model
from hpcda.problem import Problem

if TYPE_CHECKING:
    from hpcda.analysis.network import NetworkResult


def open_run(
    path: str | os.PathLike[str],
    problem: Problem | None = None,
    trust: bool = False,
    model: Model | None = None,
) -> Result | NetworkResult:
    """Open a run that has ended.

    Args:
        path: Its directory.
        problem: Its problem; by default it is made again from the job.toml in the directory when it is
            needed. Runs that trained a network hold all that is needed.
        model: The model, where the run was given one as an object of Python.
        trust: Execute Python files that the job names also where another user wrote them.

    Returns:
        A `NetworkResult` where the run trained a network, else a `Result`.

    Raises:
        InputError: There is no such run, it is being written, or part of it is missing.
    """
    from hpcda.results.network import KIND
    from hpcda.store.reader import RunFile

    file = RunFile(path)
    if file.header.model_kind != KIND:
        return Result(file, problem, trust, model)
    from hpcda.analysis.network import NetworkResult

    return NetworkResult(file, trust)
