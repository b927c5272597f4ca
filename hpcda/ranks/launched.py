"""Detects the launcher (mpirun, srun) from the environment, without loading MPI."""

from __future__ import annotations

from collections.abc import Mapping

LEAST_OWN_STEP = 0xFFFFFFF0
"""Slurm counts its own steps (the batch script, the shell of salloc) down from 2³²; srun's count from 0."""


def launched_ranks(environment: Mapping[str, str]) -> tuple[str, int] | None:
    """Who started this process as a rank, and how many of them; None where nobody did.

    mpirun's own word comes first: on several nodes it starts its helpers with srun, whose counts are theirs.
    """
    for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"):
        if environment.get(name, "").isdigit():
            by_srun = name == "PMI_SIZE" and environment[name] == environment.get("SLURM_STEP_NUM_TASKS")
            return "srun" if by_srun else "mpirun", int(environment[name])
    step, tasks = environment.get("SLURM_STEP_ID", ""), environment.get("SLURM_STEP_NUM_TASKS", "")
    if step.isdigit() and int(step) < LEAST_OWN_STEP and tasks.isdigit():
        return "srun", int(tasks)
    return None
