"""The problem that a run solved, made again from its job, with the data as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hpcda.errors import InputError, Mistake
from hpcda.models.model import Model
from hpcda.problem import Problem, Window
from hpcda.results.table import RunTable
from hpcda.results.windows import StoredWindow


def problem_again(file: RunTable, trust: bool = False, model: Model | None = None) -> Problem:
    """The problem that the job of a run in files describes.

    Args:
        file: The results.
        trust: Execute Python files that the job names also where another user wrote them.
        model: The model, where the run was given one as an object of Python.

    Raises:
        InputError: The job cannot be read, or names code of another user, who is not trusted.
    """
    from hpcda.build import build_problem
    from hpcda.job import Job
    from hpcda.job.given import with_model
    from hpcda.job.stored import job_as_it_was
    from hpcda.store.reader import RunFile

    assert isinstance(file, RunFile)  # one in memory has its problem
    job = with_model(job_as_it_was(file.run_dir, trust), model)
    assert isinstance(job, Job)  # or this run would be a NetworkResult
    return build_problem(job).problem


def as_solved(problem: Problem, file: RunTable, windows: Sequence[StoredWindow]) -> Problem:
    """A problem with the data and the weights of the model error that a run has stored.

    Args:
        problem: The problem.
        file: The results.
        windows: The windows of the run.

    Raises:
        InputError: It is another problem than the one that the run solved.
    """
    header = file.header
    same = (
        problem.model.state_names == header.state
        and tuple(constant.label for constant in problem.layout.constants) == header.parameter
        and tuple(window.times for window in problem.windows) == header.lengths
        and tuple(problem.observed) == header.observed
        and problem.discretization == header.discretization
    )
    if not same:
        place = f"{file.name}/job.toml"
        remedy = "restore the job, the model and the data as they were"
        raise InputError(
            Mistake(place, "it defines a different problem from the one this run solved", remedy)
        )
    weight = header.model_error_weight
    return replace(
        problem,
        windows=tuple(Window(w.t, w.data, w.noise_std, w.series) for w in windows),
        model_error_weight=problem.model_error_weight if weight is None else weight,
    )
