"""MPI: communicators of an ensemble, sums over ranks, and the queue of starts."""

from hpcda.mpi.queue import Queue
from hpcda.mpi.shared import Shared
from hpcda.mpi.world import World, agreed_by_world, mpi_version

__all__ = ["Queue", "Shared", "World", "agreed_by_world", "mpi_version"]
