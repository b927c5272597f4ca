"""Lets the tests of this folder import the problems of the other tiers; what ranks share."""

import sys
from pathlib import Path

import pytest

for tier in ("unit", "petsc"):
    sys.path.append(str(Path(__file__).parents[1] / tier))
sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def shared_path(tmp_path):
    """One temporary folder for all ranks."""
    from mpi4py import MPI

    path = MPI.COMM_WORLD.bcast(str(tmp_path), root=0)
    yield Path(path)
    MPI.COMM_WORLD.Barrier()
