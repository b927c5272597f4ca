"""MPI: the communicators of an ensemble and the queue that hands out its starts."""

from hpcda.mpi.queue import Counts, Queue
from hpcda.mpi.world import World, agreed_by_world, all_agree, all_or_none, mpi_version

__all__ = ["Counts", "Queue", "World", "agreed_by_world", "all_agree", "all_or_none", "mpi_version"]
