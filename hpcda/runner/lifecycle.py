"""Start or resume a run, until it is done or stopped."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpcda.annealing.layered import PETSC
from hpcda.ensemble import EarlierRun, Ensemble, RunControl
from hpcda.errors import InputError, Mistake, StoppedError
from hpcda.formatting import counted
from hpcda.job import AnyJob, Job, NetworkJob, load_job, settled
from hpcda.job.given import with_model
from hpcda.job.stored import FILE, job_to_go_on
from hpcda.lock import refuse_held
from hpcda.models.model import Model
from hpcda.progress import Progress, duration
from hpcda.ranks import all_agree, all_or_none
from hpcda.runner.directory import admit, chosen_steps, hold, index, left_there, named_part, prepare
from hpcda.runner.extensions import agreed
from hpcda.runner.petsc import QUIET, require
from hpcda.runner.study import Study, share_of, study_of
from hpcda.runner.world import launched, queue_of, world_of
from hpcda.stop import Stop, deadline, sentence
from hpcda.store import INDEX, PLAN, Journal, Part, RunLayout, Shard


def run(
    job: AnyJob | Mapping[str, Any] | str | os.PathLike[str],
    petsc_options: Sequence[str] = (),
    output: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    resume: bool = False,
    time_limit: str | float | None = None,
    part: str | None = None,
) -> Path:
    """Run a job on all ranks of the MPI world; one rank where nothing launched several.

    Args:
        job: A job, its tables as a dict, or the path of a job file.
        petsc_options: PETSc options as typed on a command line, ``["-tao_gatol", "1e-9"]``; they
            overrule the job's.
        output: Directory of the results, instead of the job's.
        quiet: Show no progress.
        resume: Go on with the run that the directory holds, where it holds one.
        time_limit: When to stop: a number of seconds from now, a text such as "90 min" or "1:30:00", or
            "slurm" for the end of the Slurm job.
        part: "K/N" to run part K of N, which share the directory, each in a world of its own.

    Returns:
        The run's directory, which holds run.h5.

    Raises:
        InputError: Mistakes in the job, its data, the options or the output directory; nothing has been
            written.
        StoppedError: A signal or the time limit ended it; what was done is kept, and `resume` goes on.
    """
    job = _loaded(job)
    if job.given.arrays:
        remedy = "write them to a file, as with numpy.savez, or use hpcda.anneal, which needs none"
        raise InputError(
            Mistake("data.file", "holds arrays, which a stored run could not read again", remedy)
        )
    directory = Path(output) if output is not None else job.output_directory
    return _run_or_resume(job, directory, _RunOptions(tuple(petsc_options), quiet, resume, time_limit, part))


def resume(
    directory: str | os.PathLike[str],
    job: AnyJob | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    petsc_options: Sequence[str] = (),
    quiet: bool = False,
    time_limit: str | float | None = None,
    part: str | None = None,
    model: Model | None = None,
) -> Path:
    """Go on with a run that was stopped or killed, on any number of ranks.

    Finished starts are not run again; those at work go on after their last stored rung. A run that is
    complete stays as it is.

    Args:
        directory: Directory of the run.
        job: The job with more starts, more rungs or a larger budget; by default the run's own.
        petsc_options: See `run`; by default those of the run.
        quiet: See `run`.
        time_limit: See `run`.
        part: See `run`.
        model: The model, where the run was given one as an object of Python.

    Returns:
        The run's directory.

    Raises:
        InputError: There is no run, another process is at work on it, or the job has changed otherwise.
        StoppedError: See `run`.
    """
    folder = Path(directory)
    if job is None:
        if not (folder / FILE).is_file():
            raise InputError(
                Mistake(
                    os.fspath(directory),
                    f"it holds no {FILE}" if folder.is_dir() else "there is no such directory",
                    "name the directory of a run, or give the job with --job",
                )
            )
        job = _agreed(lambda: job_to_go_on(folder))
    job = with_model(_loaded(job), model)
    return _run_or_resume(job, folder, _RunOptions(tuple(petsc_options), quiet, True, time_limit, part))


def _loaded(job: AnyJob | Mapping[str, Any] | str | os.PathLike[str]) -> AnyJob:
    return job if isinstance(job, Job | NetworkJob) else _agreed(lambda: load_job(job))


def _agreed(load: Callable[[], AnyJob]) -> AnyJob:
    """A job whose files are executed by every rank; where one of them finds mistakes, all ranks raise them.

    A process that no launcher started finds them without MPI.
    """
    if not launched():
        return load()
    from hpcda.mpi import agreed_by_world

    return agreed_by_world(load)


@dataclass(frozen=True)
class _RunOptions:
    """How a run is to be run, beside its job."""

    petsc_options: tuple[str, ...]
    quiet: bool
    resume: bool
    time_limit: str | float | None
    part: str | None


def _run_or_resume(job: AnyJob, directory: Path, how: _RunOptions) -> Path:
    """Start or resume a run in this process, until it is done or stopped."""
    began = time.time()
    part = named_part(how.part)
    with Stop(began) as stop:
        _announce(job, how.petsc_options)
        with world_of(job.ensemble.ranks_per_start) as world, contextlib.ExitStack() as held:
            comm = world.comm
            stop.deadline = comm.bcast(all_or_none(comm, lambda: deadline(how.time_limit, began)))
            stop.listen()
            agreed(comm, all_agree(comm, lambda: job.extension_files))
            whole = _with_options(job, how.petsc_options)
            all_or_none(comm, lambda: refuse_held(directory, str(part)))
            all_or_none(comm, lambda: admit(whole, directory, part, how.resume))
            if isinstance(job, Job) and isinstance(whole, Job) and job.action.steps_per_sample == "auto":
                given = job
                steps = comm.bcast(all_or_none(comm, lambda: chosen_steps(given, directory, how.quiet)))
                job, whole = job.with_steps(steps), whole.with_steps(steps)
            study, share = study_of(job, world, how.petsc_options), share_of(job, part)
            with study.options():
                if world.rank == 0 and not how.quiet:
                    for note in study.notes:
                        sys.stderr.write(f"note: {note}\n")
                layout = study.layout(world, study.try_once(world, share), whole)
                all_or_none(comm, lambda: hold(held, whole, directory, part, how.resume))
                earlier = comm.bcast(
                    all_or_none(comm, lambda: left_there(job, directory, part, layout, how.resume))
                )
                all_or_none(comm, lambda: prepare(job, directory, layout, part, how.resume))
                message = _ensemble(job, study, world, layout, directory, how, part, earlier, stop)
            all_or_none(comm, lambda: index(directory, part))
            world.wait()
    if message:
        raise StoppedError(message, directory)
    return directory


def _with_options(job: AnyJob, petsc_options: Sequence[str]) -> AnyJob:
    """The job with the PETSc options of the command line in it.

    Raises:
        InputError: It is trained without PETSc.
    """
    if not _takes_options(job):
        if petsc_options:
            problem = f"{shlex.join(petsc_options)} has no effect: this network is trained without PETSc"
            remedy = 'leave out what follows --, or set solver.elimination = "petsc"'
            raise InputError(Mistake("--", problem, remedy))
        return job
    if not petsc_options:
        return job
    require(f"the option {petsc_options[0]!r}")
    from hpcda.petsc import given_options

    return settled(job, given_options(petsc_options))


def _takes_options(job: AnyJob) -> bool:
    """Whether PETSc works for a job."""
    return isinstance(job, Job) or job.solver.elimination == PETSC


def _announce(job: AnyJob, petsc_options: Sequence[str]) -> None:
    """PETSc reads options such as -log_view once, when it is loaded: from its environment variable."""
    if _takes_options(job) and "petsc4py.PETSc" not in sys.modules:
        words = [word for name, value in job.solver.petsc.items() for word in (f"-{name}", str(value))]
        words.append(QUIET)
        known = os.environ.get("PETSC_OPTIONS", "")
        os.environ["PETSC_OPTIONS"] = shlex.join([*shlex.split(known), *words, *petsc_options])


def _ensemble(
    job: AnyJob, study: Study, world: Any, layout: RunLayout, directory: Path, how: _RunOptions, part: Part,
    earlier: EarlierRun, stop: Stop,
) -> str:  # fmt: skip
    """Run what is left.

    Returns:
        Why and where it was stopped, as a sentence; empty where it came to its end.
    """
    progress = None
    if world.rank == 0:
        progress = Progress(directory, starts=0, rungs=0, ranks=world.size, quiet=how.quiet, mark=part.mark)
    share = share_of(job, part)
    queue = queue_of(world)
    team = study.team(world, share, lambda iteration, value: ensemble.watch())

    def make_shard() -> Shard:
        if world.rank == 0:
            (directory / INDEX).unlink(missing_ok=True)
        return Shard.create(directory, world.group_number, layout, how.resume, part)

    control = RunControl(earlier, stop, Journal(directory / part.file(PLAN)), study.max_seconds)
    ensemble = Ensemble(
        study.context, world, team, make_shard if world.leads else None, queue, job.ensemble.seed,
        job.ensemble.merge, progress, control,
    )  # fmt: skip
    try:
        try:
            whole = ensemble.run(study.plan(world, share))
        finally:
            ensemble.close()
    except Exception as error:
        if progress is not None:
            progress.finish("failed", " ".join(f"{type(error).__name__}: {error}".split())[:500])
        raise
    team.destroy()
    world.wait()
    message = ""
    if progress is not None:
        ensemble.tell()
        if whole:
            progress.finish("done", "" if ensemble.worked else "it was already complete")
        else:
            message = _stopped(progress, directory, part, sentence(ensemble.why))
    queue.close()
    return str(world.comm.bcast(message))


def _stopped(progress: Progress, directory: Path, part: Part, why: str) -> str:
    """Tell that the run was stopped: a sentence that says so, and how to go on."""
    now = progress.snapshot
    again = f"hpcda resume {shlex.quote(os.fspath(directory))}" + (f" --part {part}" if str(part) else "")
    progress.finish("stopped", why)
    return (
        f"stopped by {why} after {duration(now.seconds)}: {now.done} of {counted(now.starts, 'start')} done, "
        f"resume with: {again}"
    )
