"""From a job to a run: the problem, the ensemble over all ranks, the store."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hpcda
from hpcda.action import Action
from hpcda.annealing import Climb, Ladder, Reason, Rung, Schedule, Team
from hpcda.build import Built, build_problem, refuse_used
from hpcda.errors import InputError, Mistake
from hpcda.job import Job, load_job
from hpcda.problem import Problem
from hpcda.progress import Progress
from hpcda.search import WAYS, Scene, begin
from hpcda.store import Layout, RungRecord, Shard, build_index

POLL_SECONDS = 0.1


def run(
    job: Job | Mapping[str, Any] | str | os.PathLike[str],
    petsc_options: Sequence[str] = (),
    output: str | os.PathLike[str] | None = None,
    quiet: bool = False,
) -> Path:
    """Run a job on all ranks of the MPI world; one rank where nothing launched several.

    Args:
        job: A job, its tables as a dict, or the path of a job file.
        petsc_options: PETSc options as typed on a command line, ``["-tao_gatol", "1e-9"]``; they
            overrule the job's.
        output: Directory of the results, instead of the job's.
        quiet: Show no progress.

    Returns:
        The run's directory, which holds run.h5.

    Raises:
        InputError: Mistakes in the job, its data, the options or the output directory; nothing has been
            written.
    """
    job = job if isinstance(job, Job) else load_job(job)
    directory = Path(output) if output is not None else job.output_directory
    _announce(job, petsc_options)
    from hpcda.mpi import World, all_agree, all_or_none
    from hpcda.petsc import SolverOptions

    with World(job.ensemble.ranks_per_start) as world:
        all_or_none(world.comm, lambda: refuse_used(directory))
        built = all_agree(world.comm, lambda: build_problem(job))
        action = all_agree(world.comm, lambda: Action(built.problem))
        ladder = Ladder(job.ladder.rf0, job.ladder.alpha, job.ladder.count, tuple(job.ladder.first_rungs))
        options = SolverOptions(job.solver.petsc, petsc_options)
        with options:
            solver = _try_once(job, action, ladder, world, options)
            layout = _layout(job, built, ladder, world, petsc_options, solver)
            all_or_none(world.comm, lambda: _prepare(directory, layout))
            _ensemble(job, action, ladder, world, layout, directory, quiet)
        if world.rank == 0:
            build_index(directory)
        world.wait()
    return directory


def _announce(job: Job, petsc_options: Sequence[str]) -> None:
    """PETSc reads options such as -log_view once, when it is loaded: from its environment variable."""
    if "petsc4py.PETSc" not in sys.modules:
        words = [word for name, value in job.solver.petsc.items() for word in (f"-{name}", str(value))]
        known = os.environ.get("PETSC_OPTIONS", "")
        os.environ["PETSC_OPTIONS"] = shlex.join([*shlex.split(known), *words, *petsc_options])


def _try_once(job: Job, action: Action, ladder: Ladder, world: Any, options: Any) -> str:
    """One iteration from the first path: is the action finite, does a solver use every option?

    Returns:
        How linear systems are solved, as a sentence; empty where the minimiser does not tell.
    """
    from hpcda.petsc import make_team

    climb = _begin(job, action, ladder, 0)
    rf = float(ladder.rf[climb.next])
    if not np.isfinite(action.value(climb.path, rf).total):
        raise InputError(
            Mistake(
                "ensemble",
                f"the action of the first path is not finite at Rf = {rf:g}",
                "narrow the ranges of states and parameters, or look for a logarithm, root or division "
                "that fails there",
            )
        )
    team = make_team(
        action, ladder, job.solver.minimizer, comm=world.group, max_iterations=1, share=_share(job, world)
    )
    try:
        team.take(climb)
        team.work()
        options.check()
        return team.linear
    finally:
        team.destroy()


def _prepare(directory: Path, layout: Layout) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "job.toml").write_text(layout.job_toml, encoding="utf-8")
    except OSError as error:
        raise InputError(
            Mistake(
                "output.directory", f"{directory} cannot be written: {error.strerror}", "give --output DIR"
            )
        ) from None


def _begin(job: Job, action: Action, ladder: Ladder, start: int) -> Climb:
    return begin(Scene(action.problem, ladder, action), WAYS[job.ensemble.way], job.ensemble.seed, start)


def _ensemble(
    job: Job, action: Action, ladder: Ladder, world: Any, layout: Layout, directory: Path, quiet: bool
) -> None:
    from hpcda.mpi import Queue
    from hpcda.petsc import make_team

    progress = _progress(job, ladder, world, directory, quiet)
    shard = Shard.create(directory, world.group_number, layout) if world.leads else None
    team = make_team(
        action,
        ladder,
        job.solver.minimizer,
        comm=world.group,
        max_iterations=job.solver.max_iterations,
        barrier=job.solver.barrier,
        rung_tolerance=job.solver.rung_tolerance,
        watch=lambda iteration, value: watch() if watch is not None else None,
        share=_share(job, world),
    )
    schedule = Schedule(job.ensemble.starts, world.groups, team.lanes, ladder.first_rungs)
    queue = Queue(world.comm, world.group, job.ensemble.starts, schedule.dealt_to_all)
    watch = _watch(queue, progress)
    try:
        _work(job, action, ladder, team, shard, queue, schedule, world.group_number)
        if watch is not None:
            while queue.counts().done < job.ensemble.starts:
                watch()
                time.sleep(POLL_SECONDS / 2)
    finally:
        if shard is not None:
            shard.close()
    team.destroy()
    world.wait()
    if progress is not None:
        counts = queue.counts()
        progress.update(
            done=counts.done, rungs_done=counts.rungs, failed=counts.failed, lowest=_known(counts.lowest)
        )
        progress.finish("done")
    queue.close()


def _share(job: Job, world: Any) -> float:
    """Starts there are for each group of ranks."""
    return float(job.ensemble.starts / world.groups)


def _work(
    job: Job,
    action: Action,
    ladder: Ladder,
    team: Team,
    shard: Shard | None,
    queue: Any,
    schedule: Schedule,
    group: int,
) -> None:
    """Work on the starts dealt to this group, then on those of the queue; store every finished rung."""
    rows: dict[int, int] = {}

    def take(positions: Sequence[int]) -> None:
        for position in positions:
            climb = _begin(job, action, ladder, schedule.start(position))
            team.take(climb)
            if shard is not None:
                rows[climb.start] = shard.begin(climb.start, climb.way, climb.first)

    take(schedule.dealt(group))
    more, batch = schedule.dealt_to_all < schedule.starts, schedule.batch(schedule.dealt_to_all)
    if schedule.at_once or not more:
        team.level()
    while more or team.busy:
        while more and (free := team.free) >= batch:
            positions = queue.take_several(free)
            take(positions)
            batch = schedule.batch(positions.stop)
            if len(positions) < free:
                more = False
                team.level()
        if not team.busy:
            continue
        finished = team.work()
        if shard is None or not finished:
            continue
        shard.rungs(
            [
                (rows[one.climb.start], one.rung.number, _record(one.rung, action.problem), one.climb.path)
                for one in finished
            ]
        )
        queue.rungs_done(len(finished))
        for one in finished:
            if one.ended:
                shard.finish(rows.pop(one.climb.start), one.climb.path)
                queue.start_done(one.rung.outcome.parts.total, one.climb.failed is not None)


def _record(rung: Rung, problem: Problem) -> RungRecord:
    outcome = rung.outcome
    return RungRecord(
        action=outcome.parts.total,
        measurement=outcome.parts.measurement,
        model=outcome.parts.model,
        prior=outcome.parts.prior,
        gradient_norm=outcome.gradient_norm,
        iterations=outcome.iterations,
        seconds=rung.seconds,
        reason=outcome.reason.code,
        parameters=outcome.path[problem.offsets[-1] :],
    )


def _progress(job: Job, ladder: Ladder, world: Any, directory: Path, quiet: bool) -> Progress | None:
    if world.rank != 0:
        return None
    rungs = sum(ladder.rungs - ladder.first(start) for start in range(job.ensemble.starts))
    return Progress(directory, starts=job.ensemble.starts, rungs=rungs, ranks=world.size, quiet=quiet)


def _watch(queue: Any, progress: Progress | None) -> Callable[[], None] | None:
    """What rank 0 does at every iteration: let the queue go on and tell how far the run is."""
    if progress is None:
        return None
    last = 0.0

    def watch() -> None:
        nonlocal last
        queue.poll()
        now = time.monotonic()
        if now - last >= POLL_SECONDS:
            last = now
            counts = queue.counts()
            progress.update(
                done=counts.done, rungs_done=counts.rungs, failed=counts.failed, lowest=_known(counts.lowest)
            )

    return watch


def _known(lowest: float) -> float | None:
    return lowest if np.isfinite(lowest) else None


def _layout(
    job: Job, built: Built, ladder: Ladder, world: Any, petsc_options: Sequence[str], solver: str
) -> Layout:
    return Layout(
        problem=built.problem,
        rf=ladder.rf,
        beta=ladder.beta,
        alpha=ladder.alpha,
        starts=job.ensemble.starts,
        seed=job.ensemble.seed,
        keep_paths=job.output.keep_paths,
        reasons=Reason.table(),
        ways=tuple(WAYS),
        job_toml=job.resolved_toml(),
        provenance=_provenance(world, petsc_options) | {"linear_solver": solver},
        truth=built.truth,
        beyond=built.beyond,
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
