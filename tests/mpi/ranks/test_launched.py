"""Who started the ranks, told from the environment that launchers leave."""

import pytest

pytest.importorskip("mpi4py.MPI")

from hpcda.ranks import launched_ranks  # noqa: E402

pytestmark = pytest.mark.mpi(min_size=1)
STEP, TASKS = "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS"
JOB = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}


@pytest.mark.parametrize(
    ("environment", "launched"),
    [
        ({}, None),
        (JOB, None),  # a batch script, the shell of salloc, a notebook there
        (
            JOB | {STEP: "4294967290", TASKS: "2"},
            None,
        ),  # Slurm's interactive step
        (JOB | {STEP: "0", TASKS: "4"}, ("srun", 4)),
        (JOB | {STEP: "0", TASKS: "4", "PMI_SIZE": "4"}, ("srun", 4)),
        # mpirun on two nodes: srun started its helpers, one a node
        (
            JOB | {STEP: "0", TASKS: "2", "OMPI_COMM_WORLD_SIZE": "4"},
            ("mpirun", 4),
        ),
        (JOB | {STEP: "0", TASKS: "2", "PMI_SIZE": "4"}, ("mpirun", 4)),
        ({"OMPI_COMM_WORLD_SIZE": "3"}, ("mpirun", 3)),
    ],
)
def test_who_started_the_ranks(environment, launched):
    assert launched_ranks(environment) == launched
