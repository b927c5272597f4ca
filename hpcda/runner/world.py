"""The ranks of a run: those of MPI under a launcher, else this process alone, without MPI."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from typing import Any

from hpcda.action.dealt import ALONE, Ranks
from hpcda.errors import InputError, Mistake
from hpcda.process import RANK_VARIABLES
from hpcda.ranks import AloneQueue, AloneWorld, launched_ranks


def launched(environment: Mapping[str, str] | None = None) -> bool:
    """Whether MPI is asked which ranks there are.

    A variable of Slurm's alone, as in a batch script, asks for it only where mpi4py is installed.

    Args:
        environment: By default this process's.

    Raises:
        InputError: A launcher started several ranks, and mpi4py is not installed.
    """
    environment = os.environ if environment is None else environment
    several = launched_ranks(environment)
    installed = "mpi4py" in sys.modules or importlib.util.find_spec("mpi4py") is not None
    if several is not None and not installed:
        launcher, ranks = several
        problem = f"it started {ranks} ranks, but mpi4py is not installed"
        raise InputError(Mistake(launcher, problem, "pip install 'hpcda[mpi]', or run one process alone"))
    return installed and (several is not None or any(name in environment for name in RANK_VARIABLES))


def world_of(ranks_per_start: int) -> Any:
    """The ranks of this run, to be used in a `with`.

    Raises:
        InputError: They cannot be split into groups of `ranks_per_start`, or mpi4py is missing.
    """
    if not launched():
        return AloneWorld(ranks_per_start)
    from hpcda.mpi import World

    return World(ranks_per_start)


def queue_of(world: Any) -> Any:
    """The queue that hands out starts to the ranks of a world; collective."""
    if isinstance(world, AloneWorld):
        return AloneQueue()
    from hpcda.mpi import Queue

    return Queue(world.comm, world.group, 0)


def sharing(world: Any) -> Ranks:
    """The ranks of a group, as those that share the pairs of a network."""
    if isinstance(world, AloneWorld):
        return ALONE
    from hpcda.mpi import Shared

    return Shared(world.group)


def group_of(world: Any) -> Any:
    """The communicator of the ranks that share a start, as PETSc takes it; None for this process alone."""
    return None if isinstance(world, AloneWorld) else world.group


def mpi_of(world: Any) -> str:
    """The MPI library's own words, and mpi4py's version; "none" without MPI."""
    if isinstance(world, AloneWorld):
        return "none"
    from hpcda.mpi import mpi_version

    return mpi_version()
