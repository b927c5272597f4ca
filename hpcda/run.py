"""From a job to a run: the problem, the ensemble over all ranks, the store."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hpcda
from hpcda.action import Action
from hpcda.annealing import Ladder, Reason
from hpcda.build import Built, build_problem, refuse_used
from hpcda.ensemble import Ensemble
from hpcda.errors import InputError, Mistake
from hpcda.job import Job, load_job
from hpcda.progress import Progress
from hpcda.search import ESCAPES, WAYS, Auto, Budget, Plain, Plan, Scene, begin
from hpcda.store import Layout, Shard, build_index

ROUND, GROUP_ROUND = 4096, 16
"""Starts of the plain ensemble that are run side by side: at least so many, and so many a group of ranks."""
HELD = 5e8
"""Bytes of paths that a group of ranks may hold for them, where that leaves it `GROUP_ROUND` starts."""


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
            scene = Scene(built.problem, ladder, action)
            solver = _try_once(job, scene, world, options)
            layout = _layout(job, built, ladder, world, petsc_options, solver)
            all_or_none(world.comm, lambda: _prepare(directory, layout))
            _ensemble(job, scene, world, layout, directory, quiet)
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


def _try_once(job: Job, scene: Scene, world: Any, options: Any) -> str:
    """One iteration from the first path: is the action finite, does a solver use every option?

    Returns:
        How linear systems are solved, as a sentence; empty where the minimiser does not tell.
    """
    from hpcda.petsc import make_team

    way = "quiet" if job.ensemble.way == "auto" else job.ensemble.way
    climb = begin(scene, WAYS[way], job.ensemble.seed, 0)
    rf = float(scene.ladder.rf[climb.next])
    if not np.isfinite(scene.action.value(climb.path, rf).total):
        raise InputError(
            Mistake(
                "ensemble",
                f"the action of the first path is not finite at Rf = {rf:g}",
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
        share=_share(job, world),
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


def _ensemble(job: Job, scene: Scene, world: Any, layout: Layout, directory: Path, quiet: bool) -> None:
    from hpcda.mpi import Queue
    from hpcda.petsc import make_team

    progress = None
    if world.rank == 0:
        progress = Progress(directory, starts=0, rungs=0, ranks=world.size, quiet=quiet)
    shard = Shard.create(directory, world.group_number, layout) if world.leads else None
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
        share=_share(job, world),
    )
    merge = job.ensemble.merge
    ensemble = Ensemble(scene, world, team, shard, queue, job.ensemble.seed, merge, progress)
    try:
        ensemble.run(_plan(job, scene, world))
    finally:
        if shard is not None:
            shard.close()
    team.destroy()
    world.wait()
    if progress is not None:
        ensemble.tell()
        progress.finish("done")
    queue.close()


def _plan(job: Job, scene: Scene, world: Any) -> Plan:
    """Which starts are run."""
    ensemble = job.ensemble
    if ensemble.way == "auto":
        budget = Budget(ensemble.starts, ensemble.core_seconds or np.inf, ensemble.ends == "verdict")
        return Auto(scene, ensemble.seed, budget)
    held = int(HELD / (8 * scene.problem.size))
    round_of_all = max(GROUP_ROUND, min(ROUND // world.groups, held)) * world.groups
    return Plain(ensemble.way, scene.ladder, ensemble.starts, round_of_all)


def _share(job: Job, world: Any) -> float:
    """Starts there are for each group of ranks."""
    return float(job.ensemble.starts / world.groups)


def _layout(
    job: Job, built: Built, ladder: Ladder, world: Any, petsc_options: Sequence[str], solver: str
) -> Layout:
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
