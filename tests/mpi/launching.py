"""Launching mpirun from a test, which runs in a world of one."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.lives.kills import environment
from tests.waiting import PATIENCE

MPI = pytest.importorskip("mpi4py.MPI")

ALONE = [
    pytest.mark.mpi(min_size=1),
    pytest.mark.worlds(most=1),  # launches ranks itself
    pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH"),
]
RANKS = 3

JOB = """
[model]
name = "{model}"
[model.parameters.rho]
estimate = true
start = [20.0, 40.0]
[twin]
dt = 0.02
samples = 31
observed = ["x"]
noise_std = 0.5
[ladder]
rf0 = 1e-2
alpha = 8.0
rungs = 3
[ensemble]
starts = 60
[output]
directory = "run"
"""
# Lorenz 1963 whose build goes wrong on one rank, as where a node does not see a file.
MODEL = """
import os
from hpcda.models.lorenz63 import build as lorenz63

def build():
    if os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMIX_RANK")) == "1":
        {what}
    return lorenz63()
"""


def mpirun(*command, cwd=None, ranks=RANKS):
    """What a command on several ranks says and returns; an error where it does not end."""
    return subprocess.run(
        ["mpirun", "-n", str(ranks), *map(str, command)],
        env=environment(),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
        errors="replace",
    )
