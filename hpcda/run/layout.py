"""What the shards of a run say of it: its problem, its ladder, and where it comes from."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import socket
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

import hpcda
from hpcda.annealing import Reason
from hpcda.build import Built
from hpcda.job import Job
from hpcda.mpi import mpi_version
from hpcda.petsc import petsc_version
from hpcda.search import Scene, Sketch
from hpcda.store import File, Layout


def layout_of(
    job: Job, built: Built, scene: Scene, world: Any, petsc_options: Sequence[str], solver: str
) -> Layout:
    """What every shard of the run holds beside its starts."""
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
        job_toml=job.resolved_toml(),
        provenance=_provenance(world, petsc_options) | {"linear_solver": solver},
        truth=built.truth,
        beyond=built.beyond,
        sources=built.sources,
        equations=scene.action.equations.digest,
        extensions=tuple(
            File(name, one.sha256, one.content.decode("utf-8", "replace"))
            for name, one in zip(job.extensions, job.extension_files, strict=True)
        ),
        sketch=len(Sketch(built.problem)(np.zeros(built.problem.size))) if searches else 0,
        minima=searches and job.output.keep_paths.startswith("best"),
    )


def _provenance(world: Any, petsc_options: Sequence[str]) -> dict[str, str]:
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
