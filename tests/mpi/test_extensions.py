"""Files outside the package, on several ranks: the same for all, or told once."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tests.mpi.launching import ALONE, RANKS, mpirun

MPI = pytest.importorskip("mpi4py.MPI")
pytest.importorskip("petsc4py")

from hpcda import runner  # noqa: E402
from hpcda.errors import InputError  # noqa: E402
from hpcda.extensions import load  # noqa: E402
from hpcda.runner.extensions import agreed  # noqa: E402
from hpcda.store import RunFile  # noqa: E402
from tests import extending  # noqa: E402
from tests.unit.test_extensions import written  # noqa: E402

pytestmark = pytest.mark.mpi(min_size=1)
COMM = MPI.COMM_WORLD
MANY = pytest.mark.worlds(least=2)
RANK = 'import os\nRANK = os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMIX_RANK"))\n'


@pytest.fixture(autouse=True)
def forgotten():
    with extending.forgotten():
        yield


@MANY
@pytest.mark.parametrize("minimizer", ["lockstep", "scipy-lbfgsb"])
def test_ranks_share_the_starts_of_a_run_with_a_file(shared_path, minimizer):
    text = extending.WAY + extending.MINIMIZER
    if COMM.rank == 0:
        job = written(shared_path, mine=text, way="middle", minimizer=minimizer)
        job.write_text(job.read_text().replace("starts = 4", "starts = 8"))
    COMM.Barrier()
    run = runner.run(shared_path / "job.toml", output=shared_path / "run", quiet=True)
    file = RunFile(run)
    assert {file.header.ways[way] for way in file.table("way")} == {"middle"}
    assert list(file.start) == [*range(8)] and (file.table("reason")[:, -1] > 0).all()
    assert np.ptp(file.table("action")[:, -1]) < 1e-6
    assert runner.resume(run, quiet=True) == run


@MANY
def test_a_minimizer_of_a_file_works_on_one_rank_a_start(shared_path):
    if COMM.rank == 0:
        job = written(shared_path, mine=extending.MINIMIZER, minimizer="scipy-lbfgsb", way="quiet")
        job.write_text(job.read_text().replace("starts = 4", f"starts = 4\nranks_per_start = {COMM.size}"))
    COMM.Barrier()
    with pytest.raises(InputError, match="'scipy-lbfgsb' works on one rank per start"):
        runner.run(shared_path / "job.toml", output=shared_path / "run", quiet=True)


@MANY
def test_files_that_are_not_the_same_on_all_ranks_are_refused_by_all(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(extending.WAY + (f"# rank {COMM.rank}\n" if COMM.rank == 1 else ""))
    with pytest.raises(InputError) as caught:
        agreed(COMM, [load(file, "extensions[0]")])
    assert "mine.py differs between rank 1 and rank 0" in str(caught.value)
    assert caught.value.mistakes[0].place == "extensions[0]"


class TestLaunched:
    pytestmark = ALONE

    @pytest.mark.parametrize(
        ("text", "said", "code"),
        [
            (RANK + "if RANK == '1':\n    raise ValueError('only here')\n", "only rank 1 of 3 found this", 2),
            ("raise ValueError('only here')\n", "ValueError: only here", 2),
        ],
    )
    def test_a_file_that_raises_is_told_once(self, tmp_path, text, said, code):
        job = written(tmp_path, mine=text + extending.WAY, way="middle")
        done = mpirun(sys.executable, "-m", "hpcda", "run", job, "--quiet", cwd=tmp_path, ranks=RANKS)
        assert done.returncode == code
        assert done.stderr.count(said) == 1 and done.stderr.count("extensions[0]") == 1
        assert "Traceback" not in done.stderr and not (tmp_path / "run").exists()
