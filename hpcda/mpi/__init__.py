"""MPI: the communicators of an ensemble, sums over ranks, and the queue that hands out its starts."""

from hpcda.mpi.queue import Counts, Queue
from hpcda.mpi.shared import Shared
from hpcda.mpi.world import World, agreed_by_world, all_agree, all_or_none, mpi_version

__all__ = ["Counts", "Queue", "Shared", "World", "agreed_by_world", "all_agree", "all_or_none", "mpi_version"]
