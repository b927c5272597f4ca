"""Two communicators: across the whole ensemble, and within the ranks that work on one start together."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, TypeVar

from mpi4py import MPI

from hpcda.errors import InputError, Mistake, StorageError

T = TypeVar("T")


class World:
    """The ranks of a run, in groups of equal size; free it with `close`, best in a `with`.

    An error that leaves the `with` on one of several ranks is printed and ends all of them at once. Mistakes
    in the input, which every rank finds alike, are passed on.

    Args:
        ranks_per_start: Ranks in a group.

    Raises:
        InputError: The ranks cannot be split into such groups, or the launcher started separate worlds.
    """

    def __init__(self, ranks_per_start: int = 1) -> None:
        self.comm = MPI.COMM_WORLD.Dup()
        self.rank, self.size = self.comm.rank, self.comm.size
        _check_launcher(self.size)
        if self.size % ranks_per_start:
            raise InputError(
                Mistake(
                    "ensemble.ranks_per_start",
                    f"{self.size} ranks cannot be split into groups of {ranks_per_start}",
                    f"start a multiple of {ranks_per_start} ranks (mpirun -n {ranks_per_start * self.size})",
                )
            )
        self.groups = self.size // ranks_per_start
        self.group_number = self.rank // ranks_per_start
        self.group = self.comm.Split(self.group_number, self.rank)

    @property
    def leads(self) -> bool:
        """Whether this rank speaks and writes for its group."""
        return bool(self.group.rank == 0)

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, InputError) and self.size > 1:
            sys.stderr.write(f"hpcda: rank {self.rank} failed, all ranks end.\n")
            if isinstance(error, StorageError):
                sys.stderr.write(f"{error}\n")
            else:
                traceback.print_exception(error)
            sys.stderr.flush()
            self.comm.Abort(1)
        self.close()

    def close(self) -> None:
        """Free the communicators; collective."""
        self.group.Free()
        self.comm.Free()

    def wait(self, meanwhile: Callable[[], None] | None = None) -> None:
        """Wait for all ranks without keeping a core busy; call `meanwhile` now and then."""
        request = self.comm.Ibarrier()
        while not request.Test():
            if meanwhile is not None:
                meanwhile()
            time.sleep(0.002)


def all_or_none(comm: Any, action: Callable[[], T]) -> T | None:
    """Do `action` on rank 0 of `comm`; where it finds mistakes, every rank raises them.

    Returns:
        What `action` returned on rank 0, None elsewhere.

    Raises:
        InputError: That of rank 0.
    """
    result: T | None = None
    mistakes: tuple[Mistake, ...] = ()
    if comm.rank == 0:
        try:
            result = action()
        except InputError as error:
            mistakes = error.mistakes
    mistakes = comm.bcast(mistakes, root=0)
    if mistakes:
        raise InputError(mistakes)
    return result


def all_agree(comm: Any, action: Callable[[], T]) -> T:
    """Do `action` on every rank of `comm`; where any of them finds mistakes, every rank raises them.

    Returns:
        What `action` returned on this rank.

    Raises:
        InputError: That of the first rank that has one; it says so where the others have none.
    """
    result: T | None = None
    mistakes: tuple[Mistake, ...] = ()
    try:
        result = action()
    except InputError as error:
        mistakes = error.mistakes
    found = comm.allgather(mistakes)
    failed = [rank for rank, one in enumerate(found) if one]
    if not failed:
        return result  # type: ignore[return-value]
    if len(failed) == len(found):
        raise InputError(found[0])
    alone = f"only rank {failed[0]} of {len(found)} found this: do all nodes see the same files?"
    raise InputError(replace(one, remedy=f"{one.remedy}; {alone}") for one in found[failed[0]])


def _check_launcher(size: int) -> None:
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    launched = "SLURM_STEP_ID" in os.environ and "OMPI_COMM_WORLD_SIZE" not in os.environ
    if launched and tasks > 1 and size == 1:
        raise InputError(
            Mistake(
                "srun",
                f"it started {tasks} tasks, but MPI sees 1 rank in each",
                "use srun --mpi=pmix, or mpirun inside the allocation",
            )
        )


def mpi_version() -> str:
    """The MPI library's own words, and mpi4py's version."""
    import mpi4py

    library = MPI.Get_library_version().splitlines()[0].split("\0")[0].strip()
    return f"{library[:80]} (mpi4py {mpi4py.__version__})"
