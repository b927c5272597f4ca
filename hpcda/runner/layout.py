"""The header of a run's shards: problem, ladder, provenance."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from hpcda.build import Built
from hpcda.job import Job
from hpcda.runner.provenance import files_of, provenance
from hpcda.search import SearchContext
from hpcda.store import Layout


def layout_of(
    job: Job,
    built: Built,
    context: SearchContext,
    world: Any,
    petsc_options: Sequence[str],
    solver: str,
    petsc: str,
) -> Layout:
    """What every shard of the run holds beside its starts; `petsc` is PETSc's version, or "none"."""
    ladder, searches = context.ladder, job.ensemble.way == "auto"
    return Layout(
        problem=built.problem,
        rf=ladder.rf,
        beta=ladder.beta,
        alpha=ladder.alpha,
        starts=job.ensemble.starts if job.ensemble.ends == "starts" else 0,
        seed=job.ensemble.seed,
        keep_paths=job.output.keep_paths,
        job_toml=job.resolved_toml(),
        provenance=provenance(world)
        | {
            "linear_solver": solver,
            "petsc": petsc,
            "petsc_options": shlex.join(petsc_options),
        },
        truth=built.truth,
        beyond=built.beyond,
        sources=built.sources,
        equations=context.action.equations.digest,
        extensions=files_of(job),
        sketch=len(context.sketch(np.zeros(context.size))),
        minima=searches and job.output.keep_paths.startswith("best"),
    )
