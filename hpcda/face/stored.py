"""A job run into a directory, from Python: on all ranks that a launcher started, else in this process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpcda.models.model import Model

if TYPE_CHECKING:
    from hpcda.analysis.network import NetworkResult
    from hpcda.analysis.rundata import Result
    from hpcda.job import AnyJob


def run(
    job: AnyJob | Mapping[str, Any] | str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    petsc_options: Sequence[str] = (),
    quiet: bool = False,
    resume: bool = False,
    time_limit: str | float | None = None,
) -> Result | NetworkResult:
    """Run a job into a directory and open what came of it; every rank calls it, where there are several.

    Args:
        job: The path of a job file, its tables as a dict, or a job. In a dict ``model.name`` may be a
            `Model`.
        output: Directory of the results, instead of the job's.
        petsc_options: PETSc options as typed on a command line, ``["-tao_gatol", "1e-9"]``; they overrule the
            job's.
        quiet: Show no progress.
        resume: Go on with the run that the directory holds, where it holds one.
        time_limit: When to stop: seconds from now, a text such as "1:30:00", or "slurm" for the end of the
            Slurm job.

    Returns:
        The opened run; its directory is ``result.file.run_dir``.

    Raises:
        InputError: Mistakes in the job, its data, the options or the output directory; nothing has been
            written.
        StoppedError: A signal or the time limit ended it; what was done is kept, and `resume` goes on.
    """
    from hpcda.analysis import open_run
    from hpcda.job import Job, NetworkJob, load_job
    from hpcda.runner import run as run_job

    loaded = job if isinstance(job, Job | NetworkJob) else None
    if loaded is None and isinstance(job, Mapping):
        loaded = load_job(job)
    directory = run_job(loaded or job, petsc_options, output, quiet, resume, time_limit)
    models = [] if loaded is None else [*loaded.given.models.values()]
    return open_run(directory, model=models[0] if models else None)


def resume(
    directory: str | os.PathLike[str],
    job: AnyJob | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    model: Model | None = None,
    petsc_options: Sequence[str] = (),
    quiet: bool = False,
    time_limit: str | float | None = None,
) -> Result | NetworkResult:
    """Go on with a run that was stopped or killed, on any number of ranks, and open it.

    Args:
        directory: Directory of the run.
        job: The job with more starts, more rungs or a larger budget; by default the run's own.
        model: The model, where the run was given one as an object of Python.
        petsc_options: See `run`; by default those of the run.
        quiet: See `run`.
        time_limit: See `run`.

    Returns:
        The opened run.

    Raises:
        InputError: There is no run, another process is at work on it, or the job has changed otherwise.
        StoppedError: See `run`.
    """
    from hpcda.analysis import open_run
    from hpcda.runner import resume as resume_job

    folder = resume_job(directory, job, petsc_options, quiet, time_limit, model=model)
    return open_run(folder, model=model)
