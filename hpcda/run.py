"""From a job to a run: the problem, the ensemble over all ranks, the store."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import shlex
import socket
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import hpcda
from hpcda.action import Action, unused
from hpcda.annealing import Ladder, Reason
from hpcda.build import Built, build_problem, refuse_used
from hpcda.ensemble import Earlier, Ensemble, Lives, look_back
from hpcda.errors import InputError, Mistake, StoppedError, StorageError, no_room
from hpcda.job import Job, load_job, refuse_changed, settled
from hpcda.lock import RunLock, refuse_held
from hpcda.progress import Progress, duration
from hpcda.search import ESCAPES, WAYS, Auto, Budget, Plain, Plan, Scene, Share, Sketch, begin
from hpcda.stop import Stop, deadline, sentence
from hpcda.store import (
    INDEX,
    PLAN,
    SHARDS,
    Journal,
    Layout,
    Part,
    Shard,
    build_index,
    clear,
    in_use,
    put_by,
    set_aside,
    shards_of,
    survey,
)
from hpcda.words import counted

JOB = "job.toml"
TRIED = 20
"""Paths of which one at least must have a finite action."""
ROUND, GROUP_ROUND = 4096, 16
"""Starts of the plain ensemble that are run side by side: at least so many, and so many a group of ranks."""
HELD = 5e8
"""Bytes of paths that a group of ranks may hold for them, where that leaves it `GROUP_ROUND` starts."""


def run(
    job: Job | Mapping[str, Any] | str | os.PathLike[str],
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
        time_limit: When to stop: seconds from now, "H:M:S", or "slurm" for the end of the Slurm job.
        part: "K/N" to run part K of N, which share the directory, each in a world of its own.

    Returns:
        The run's directory, which holds run.h5.

    Raises:
        InputError: Mistakes in the job, its data, the options or the output directory; nothing has been
            written.
        StoppedError: A signal or the time limit ended it; what was done is kept, and `resume` goes on.
    """
    job = job if isinstance(job, Job) else load_job(job)
    directory = Path(output) if output is not None else job.output_directory
    return _live(job, directory, _Wish(tuple(petsc_options), quiet, resume, time_limit, part))


def resume(
    directory: str | os.PathLike[str],
    job: Job | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    petsc_options: Sequence[str] = (),
    quiet: bool = False,
    time_limit: str | float | None = None,
    part: str | None = None,
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

    Returns:
        The run's directory.

    Raises:
        InputError: There is no run, another process is at work on it, or the job has changed otherwise.
        StoppedError: See `run`.
    """
    folder = Path(directory)
    if job is None:
        if not (folder / JOB).is_file():
            raise InputError(
                Mistake(
                    os.fspath(directory),
                    f"it holds no {JOB}" if folder.is_dir() else "there is no such directory",
                    "name the directory of a run, or give the job with --job",
                )
            )
        job = load_job(folder / JOB)
    job = job if isinstance(job, Job) else load_job(job)
    return _live(job, folder, _Wish(tuple(petsc_options), quiet, True, time_limit, part))


@dataclass(frozen=True)
class _Wish:
    """How a run is to be run, beside its job."""

    petsc_options: tuple[str, ...]
    quiet: bool
    resume: bool
    time_limit: str | float | None
    part: str | None


def _live(job: Job, directory: Path, wish: _Wish) -> Path:
    """One life of a run, from its begin or where it was to its end or where it is stopped."""
    began = time.time()
    part = _part(wish.part)
    with Stop(began) as stop:
        _announce(job, wish.petsc_options)
        from hpcda.mpi import World, all_agree, all_or_none
        from hpcda.petsc import SolverOptions, given_options

        with World(job.ensemble.ranks_per_start) as world, contextlib.ExitStack() as held:
            comm = world.comm
            stop.deadline = comm.bcast(all_or_none(comm, lambda: deadline(wish.time_limit, began)))
            stop.listen()
            whole = settled(job, given_options(wish.petsc_options))
            all_or_none(comm, lambda: refuse_held(directory, str(part)))
            all_or_none(comm, lambda: _admit(whole, directory, part, wish.resume))
            built = all_agree(comm, lambda: build_problem(job))
            action = all_agree(comm, lambda: Action(built.problem))
            ladder = Ladder(job.ladder.rf0, job.ladder.alpha, job.ladder.count, tuple(job.ladder.first_rungs))
            options = SolverOptions(job.solver.petsc, wish.petsc_options)
            with options:
                scene = Scene(built.problem, ladder, action)
                if world.rank == 0 and not wish.quiet:
                    for note in (*built.notes, *unused(action.equations)):
                        sys.stderr.write(f"note: {note}\n")
                solver = _try_once(job, scene, world, options, part)
                layout = _layout(whole, built, scene, world, wish.petsc_options, solver)
                all_or_none(comm, lambda: _hold(held, whole, directory, part, wish.resume))
                earlier = comm.bcast(
                    all_or_none(comm, lambda: _earlier(job, directory, part, layout, wish.resume))
                )
                all_or_none(comm, lambda: _prepare(directory, layout, part, wish.resume))
                told = _ensemble(job, scene, world, layout, directory, wish, part, earlier, stop)
            all_or_none(comm, lambda: _index(directory, part))
            world.wait()
    if told:
        raise StoppedError(told, directory)
    return directory


def _part(text: str | None) -> Part:
    """The part that "K/N" names.

    Raises:
        InputError: It is none.
    """
    if text is None:
        return Part()
    number, slash, count = text.partition("/")
    if slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count) <= 999_999:
        return Part(int(number), int(count))
    raise InputError(Mistake("--part", f"{text!r} is no part K/N", "give K from 1 to N, such as --part 2/8"))


def _admit(job: Job, directory: Path, part: Part, again: bool) -> None:
    """Refuse what must not be run in a directory; on rank 0.

    Raises:
        InputError: It holds another run, or this one and `again` is False.
    """
    own = f"rank-{part.mark}-*" if part.mark else "*"
    refuse_used(directory, None if again else own)
    if (directory / JOB).exists() and (again or part.count > 1):
        refuse_changed(load_job(directory / JOB), job)


def _hold(held: contextlib.ExitStack, job: Job, directory: Path, part: Part, again: bool) -> None:
    """Take the lock of the run, or of the part, until `held` ends; on rank 0, before anything is written.

    Raises:
        InputError: Somebody else holds it, or has run another job there meanwhile; ranks of a world that has
            lost its rank 0 are still at work; or the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(directory, error) from None
    held.enter_context(RunLock(directory, str(part)))
    _admit(job, directory, part, again)
    used = [shard.name for shard in shards_of(directory, part) if in_use(shard)]
    if used:
        raise InputError(
            Mistake(
                os.fspath(directory),
                counted(
                    len(used),
                    "process of its earlier life still writes",
                    "processes of its earlier life still write",
                )
                + f" it ({used[0]})",
                "wait until they have ended, or end them",
            )
        )
    try:
        clear(directory, part)
    except OSError as error:
        raise _unwritable(directory, error) from None


def _unwritable(directory: Path, error: OSError) -> InputError | StorageError:
    problem = f"{directory} cannot be written: {error.strerror}"
    return no_room(directory, error) or InputError(Mistake("output.directory", problem, "give --output DIR"))


def _earlier(job: Job, directory: Path, part: Part, layout: Layout, again: bool) -> Earlier:
    """What earlier lives of the run have left; on rank 0, which holds the run. Damaged shards are set aside.

    Raises:
        InputError: It cannot be read, or belongs to another run.
    """
    if not again:
        return Earlier()
    for shard in set_aside(directory, layout.fingerprints, part):
        sys.stderr.write(f"hpcda: {shard}\n")
    put_by(directory, part, layout)
    found = survey(directory, part, layout)
    informed = job.ensemble.way == "auto"
    decisions = Journal(directory / part.file(PLAN)).read() if informed else []
    if informed and len(found.start) and not decisions:
        raise InputError(
            Mistake(
                os.fspath(directory / part.file(PLAN)),
                "it is not there, and only it says what this search has decided",
                "bring it back from a copy, or begin anew with --output DIR",
            )
        )
    return look_back(found, decisions, informed, len(layout.rf), job.ensemble.ranks_per_start)


def _index(directory: Path, part: Part) -> None:
    """Make the index where there is none, unless other parts are at work, the last of which makes it.

    Raises:
        InputError: A shard has been damaged meanwhile; but not where it is another part's.
    """
    shards = sorted((directory / SHARDS).glob("rank-*.h5"))
    if shards and not (directory / INDEX).exists() and not any(in_use(shard) for shard in shards):
        try:
            build_index(directory)
        except InputError as error:
            if part.count == 1:
                raise
            sys.stderr.write(f"hpcda: {INDEX} is not made yet: {error}\n")


def _announce(job: Job, petsc_options: Sequence[str]) -> None:
    """PETSc reads options such as -log_view once, when it is loaded: from its environment variable."""
    if "petsc4py.PETSc" not in sys.modules:
        words = [word for name, value in job.solver.petsc.items() for word in (f"-{name}", str(value))]
        # A signal asks a run to stop; PETSc's own handlers would end it.
        words.append("-no_signal_handler")
        known = os.environ.get("PETSC_OPTIONS", "")
        os.environ["PETSC_OPTIONS"] = shlex.join([*shlex.split(known), *words, *petsc_options])


def _try_once(job: Job, scene: Scene, world: Any, options: Any, part: Part) -> str:
    """One iteration from the first path whose action is finite: does a solver use every option?

    Returns:
        How linear systems are solved, as a sentence; empty where the minimiser does not tell.
    """
    from hpcda.petsc import make_team

    way = "quiet" if job.ensemble.way == "auto" else job.ensemble.way
    tried = min(job.ensemble.starts, TRIED)
    for start in range(tried):
        climb = begin(scene, WAYS[way], job.ensemble.seed, start)
        rf = float(scene.ladder.rf[climb.next])
        if np.isfinite(scene.action.value(climb.path, rf).total):
            break
    else:
        which = "the first path" if tried == 1 else f"each of the first {tried} paths"
        raise InputError(
            Mistake(
                "ensemble",
                f"the action of {which} is not finite at Rf = {rf:g}",
                "narrow the ranges of states and parameters, or look for a logarithm, root or division "
                "that fails there",
            )
        )
    team = make_team(
        scene.action,
        scene.ladder,
        job.solver.minimizer,
        comm=world.group,
        max_iterations=1,
        share=_shared(job, part).count(job.ensemble.starts) / world.groups,
    )
    try:
        team.take(climb)
        team.work()
        options.check()
        return team.linear
    finally:
        team.destroy()


def _prepare(directory: Path, layout: Layout, part: Part, again: bool) -> None:
    """Write job.toml whole or not at all; of several parts the first one does.

    Raises:
        InputError: The directory cannot be written, or another part has begun another job there meanwhile.
    """
    target = directory / JOB
    draft = directory / f".{JOB}.{socket.gethostname()}.{os.getpid()}"
    try:
        if not again:
            (directory / part.file(PLAN)).unlink(missing_ok=True)
        if again and target.exists() and target.read_text(encoding="utf-8") == layout.job_toml:
            return
        draft.write_text(layout.job_toml, encoding="utf-8")
        if part.count == 1 or again:
            draft.replace(target)
            return
        with contextlib.suppress(FileExistsError):
            target.hardlink_to(draft)
        draft.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise _unwritable(directory, error) from None
    refuse_changed(load_job(target), load_job(tomllib.loads(layout.job_toml)))


def _ensemble(
    job: Job, scene: Scene, world: Any, layout: Layout, directory: Path, wish: _Wish, part: Part,
    earlier: Earlier, stop: Stop,
) -> str:  # fmt: skip
    """Run what is left.

    Returns:
        Why and where it was stopped, as a sentence; empty where it came to its end.
    """
    from hpcda.mpi import Queue
    from hpcda.petsc import make_team

    progress = None
    if world.rank == 0:
        progress = Progress(directory, starts=0, rungs=0, ranks=world.size, quiet=wish.quiet, mark=part.mark)
    share = _shared(job, part)
    queue = Queue(world.comm, world.group, 0)
    team = make_team(
        scene.action,
        scene.ladder,
        job.solver.minimizer,
        comm=world.group,
        max_iterations=job.solver.max_iterations,
        barrier=job.solver.barrier,
        rung_tolerance=job.solver.rung_tolerance,
        watch=lambda iteration, value: ensemble.watch(),
        share=share.count(job.ensemble.starts) / world.groups,
    )

    def make_shard() -> Shard:
        if world.rank == 0:
            (directory / INDEX).unlink(missing_ok=True)
        return Shard.create(directory, world.group_number, layout, wish.resume, part)

    lives = Lives(earlier, stop, Journal(directory / part.file(PLAN)), job.solver.max_seconds)
    ensemble = Ensemble(
        scene, world, team, make_shard if world.leads else None, queue, job.ensemble.seed,
        job.ensemble.merge, progress, lives,
    )  # fmt: skip
    try:
        try:
            whole = ensemble.run(_plan(job, scene, world, share))
        finally:
            ensemble.close()
    except Exception as error:
        if progress is not None:
            progress.finish("failed", " ".join(f"{type(error).__name__}: {error}".split())[:500])
        raise
    team.destroy()
    world.wait()
    told = ""
    if progress is not None:
        ensemble.tell()
        if whole:
            progress.finish("done", "" if ensemble.worked else "it was complete already")
        else:
            told = _stopped(progress, directory, part, sentence(ensemble.why))
    queue.close()
    return str(world.comm.bcast(told))


def _stopped(progress: Progress, directory: Path, part: Part, why: str) -> str:
    """Tell that the run was stopped: a sentence that says so, and how to go on."""
    now = progress.snapshot
    again = f"hpcda resume {shlex.quote(os.fspath(directory))}" + (f" --part {part}" if str(part) else "")
    progress.finish("stopped", why)
    return (
        f"stopped by {why} after {duration(now.seconds)}: {now.done} of {counted(now.starts, 'start')} done, "
        f"resume with: {again}"
    )


def _plan(job: Job, scene: Scene, world: Any, share: Share) -> Plan:
    """Which starts are run."""
    ensemble = job.ensemble
    if ensemble.way == "auto":
        seconds = (ensemble.core_seconds or np.inf) / share.parts
        budget = Budget(share.count(ensemble.starts), seconds, ensemble.ends == "verdict")
        return Auto(scene, ensemble.seed, budget, share)
    held = int(HELD / (8 * scene.problem.size))
    round_of_all = max(GROUP_ROUND, min(ROUND // world.groups, held)) * world.groups
    return Plain(ensemble.way, scene.ladder, share.count(ensemble.starts), round_of_all, share)


def _shared(job: Job, part: Part) -> Share:
    """The starts of a part."""
    return Share(part.number - 1, part.count, len(job.ladder.first_rungs))


def _layout(
    job: Job, built: Built, scene: Scene, world: Any, petsc_options: Sequence[str], solver: str
) -> Layout:
    ladder, searches = scene.ladder, job.ensemble.way == "auto"
    return Layout(
        problem=built.problem,
        rf=ladder.rf,
        beta=ladder.beta,
        alpha=ladder.alpha,
        starts=job.ensemble.starts if job.ensemble.ends == "starts" else 0,
        seed=job.ensemble.seed,
        keep_paths=job.output.keep_paths,
        reasons=Reason.table(),
        ways=(*WAYS, *ESCAPES),
        job_toml=job.resolved_toml(),
        provenance=_provenance(world, petsc_options) | {"linear_solver": solver},
        truth=built.truth,
        beyond=built.beyond,
        code=scene.action.equations.code,
        sketch=len(Sketch(built.problem)(np.zeros(built.problem.size))) if searches else 0,
        minima=searches and job.output.keep_paths.startswith("best"),
    )


def _provenance(world: Any, petsc_options: Sequence[str]) -> dict[str, str]:
    from importlib.metadata import version

    from hpcda.mpi import mpi_version
    from hpcda.petsc import petsc_version

    threads = {
        name: os.environ.get(name, "unset")
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    }
    return {
        "hpcda": hpcda.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "h5py": version("h5py"),
        "petsc": petsc_version(),
        "mpi": mpi_version(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "petsc_options": shlex.join(petsc_options),
        "ranks": str(world.size),
        "ranks_per_start": str(world.size // world.groups),
        "threads": " ".join(f"{name}={value}" for name, value in threads.items()),
    }
