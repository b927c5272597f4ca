"""The two communicators: over the whole ensemble, and over the ranks that share one start."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from mpi4py import MPI

from hpcda.errors import InputError, Mistake, StorageError
from hpcda.formatting import counted
from hpcda.ranks.agreement import all_agree
from hpcda.ranks.launched import launched_ranks

T = TypeVar("T")
PATIENCE = 5.0
"""Seconds after which a mistake that not all ranks have found ends them all."""


class World:
    """The ranks of a run, in groups of equal size; free it with `close`, best in a `with`.

    An error that leaves the `with` on one of several ranks is printed and ends all of them at once. Mistakes
    in the input that every rank finds are passed on; one that others have not found soon ends all too.

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
                    f"{counted(self.size, 'rank')} cannot be split into groups of {ranks_per_start}",
                    f"start a multiple of {ranks_per_start} ranks (mpirun -n {ranks_per_start * self.size})",
                )
            )
        self.groups = self.size // ranks_per_start
        self.group_number = self.rank // ranks_per_start
        self.group = self.comm.Split(self.group_number, self.rank)
        self._mistaken = self.comm.Dup()

    @property
    def leads(self) -> bool:
        """Whether this rank speaks and writes for its group."""
        return bool(self.group.rank == 0)

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self.size > 1 and not (isinstance(error, InputError) and self._all_found()):
            sys.stderr.write(f"hpcda: rank {self.rank} failed, stopping all ranks.\n")
            if isinstance(error, StorageError | InputError):
                sys.stderr.write(f"{error}\n")
            else:
                traceback.print_exception(error)
            sys.stderr.flush()
            self.comm.Abort(2 if isinstance(error, InputError) else 1)
        self.close()

    def _all_found(self) -> bool:
        """Whether all ranks come here, with a mistake, within `PATIENCE` seconds."""
        request, end = self._mistaken.Ibarrier(), time.monotonic() + PATIENCE
        while not request.Test():
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True

    def close(self) -> None:
        """Free the communicators; collective."""
        self._mistaken.Free()
        self.group.Free()
        self.comm.Free()

    def wait(self, meanwhile: Callable[[], None] | None = None) -> None:
        """Wait for all ranks without keeping a core busy; call `meanwhile` now and then."""
        request = self.comm.Ibarrier()
        while not request.Test():
            if meanwhile is not None:
                meanwhile()
            time.sleep(0.002)


def agreed_by_world(action: Callable[[], T]) -> T:
    """`all_agree` of all ranks that there are; any other error of one of them ends all."""
    try:
        return all_agree(MPI.COMM_WORLD, action)
    except InputError:
        raise
    except Exception as error:
        if MPI.COMM_WORLD.size > 1:
            traceback.print_exception(error)
            sys.stderr.flush()
            MPI.COMM_WORLD.Abort(1)
        raise


def _check_launcher(size: int) -> None:
    """Refuse a world that is not as large as the launcher made it: a launcher and an MPI that do not match.

    Such ranks are worlds of their own, and each would do the whole run. A process that nobody launched is
    not looked at: a Python or a notebook within an allocation is a world of one rank, whatever
    SLURM_NTASKS says.
    """
    launched = launched_ranks(os.environ)
    if launched is None or launched[1] == size:
        return
    launcher, ranks = launched
    seen = "1 rank in each process" if size == 1 else f"{size} ranks"
    if launcher == "srun":
        remedy = "use srun --mpi=pmix (srun --mpi=list shows the choices), or mpirun inside the allocation"
    else:
        remedy = f"use the mpirun of the MPI that mpi4py was built with: {mpi_version()}"
    raise InputError(Mistake(launcher, f"it started {counted(ranks, 'rank')}, but MPI sees {seen}", remedy))


def mpi_version() -> str:
    """The MPI library's own words, and mpi4py's version."""
    import mpi4py

    library = MPI.Get_library_version().splitlines()[0].split("\0")[0].strip()
    return f"{library[:80]} (mpi4py {mpi4py.__version__})"
