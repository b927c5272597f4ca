"""Ranks that share the pairs of a network: whole jobs end in the same bits, however many there are."""

from __future__ import annotations

import copy
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from hpcda.errors import InputError
from tests.waiting import PATIENCE

MPI = pytest.importorskip("mpi4py.MPI")

from hpcda import runner  # noqa: E402
from hpcda.action.exact_network import ExactNetwork  # noqa: E402
from hpcda.mpi import Shared  # noqa: E402
from hpcda.runner import alike  # noqa: E402
from hpcda.store import RunFile  # noqa: E402
from tests.chance import number  # noqa: E402
from tests.mpi.launching import mpirun  # noqa: E402
from tests.mpi.runner.test_networks import JOB, alone, as_file, outside, same  # noqa: E402
from tests.unit.action.test_exact_network import example  # noqa: E402

pytestmark = pytest.mark.mpi(min_size=1)
COMM = MPI.COMM_WORLD
SMALL = {"starts": 3, "way": "small", "seed": number(311)}
JOBS = {
    "search": {"ensemble": {"starts": 8}},
    "noisy inputs": {
        "network": {"hidden": [3, 3], "residual": True, "weight_std": 3.0},
        "twin": {"input_std": 0.05, "pairs": 90},
        "ensemble": SMALL,
    },
    "noisy inputs, pruned": {
        "network": {"hidden": [3]}, "twin": {"input_std": 0.05, "pairs": 70},
        "ensemble": {"starts": 2, "way": "wide"},
    },
    "krylov": {"ensemble": SMALL, "solver": {"elimination": "krylov"}},
    "petsc": {"ensemble": SMALL, "solver": {"elimination": "petsc", "petsc": {"ksp_rtol": 1e-5}}},
    "data": {
        "network": {"weight_std": 3.0}, "twin": {"pairs": 70}, "ensemble": SMALL,
        "solver": {"elimination": "data"},
    },
}  # fmt: skip
CATEGORIES = {
    "network": {"hidden": [3], "weight_std": 3.0},
    "data": {"source": "sklearn:iris", "hold_back": 30, "standardize": True},
    "ensemble": {"starts": 4, "seed": number(312), "budget": "starts"},
}


def job(ranks, tables):
    """Tables of a job whose starts have so many ranks."""
    found = copy.deepcopy(JOB)
    for table, values in {**tables, "ensemble": {**tables["ensemble"], "ranks_per_start": ranks}}.items():
        found.setdefault(table, {}).update(values)
    if found["ensemble"].get("way", "auto") != "auto":
        del found["ensemble"]["budget"]
    return found


@pytest.mark.parametrize("name", JOBS)
def test_a_job_has_the_same_bits_however_many_ranks_share_its_pairs(shared_path, name):
    folder = runner.run(job(COMM.size, JOBS[name]), output=shared_path / "run", quiet=True)
    if COMM.rank == 0:
        found = RunFile(folder)
        assert found.finished.all() and len(found.start) == JOBS[name]["ensemble"]["starts"]
        same(found, alone(shared_path, job(1, JOBS[name]), "alone"))


def test_categories_have_the_same_bits(shared_path):
    pytest.importorskip("sklearn")
    tables = copy.deepcopy(CATEGORIES)
    tables["ensemble"]["ranks_per_start"] = COMM.size
    folder = runner.run(tables, output=shared_path / "run", quiet=True)
    if COMM.rank == 0:
        same(RunFile(folder), alone(shared_path, CATEGORIES, "alone"))


@pytest.mark.worlds(least=4, multiple=2)
def test_several_groups_of_ranks_take_starts_in_turn(shared_path):
    folder = runner.run(job(2, JOBS["search"]), output=shared_path / "run", quiet=True)
    if COMM.rank == 0:
        found = RunFile(folder)
        assert len(list((folder / "shards").glob("*.h5"))) == COMM.size // 2
        same(found, alone(shared_path, job(1, JOBS["search"]), "alone"))


def test_a_run_goes_on_with_another_number_of_ranks_a_start(shared_path):
    """Begun by one rank a start, ended by all ranks of the world."""
    few = job(1, {"ensemble": {"starts": 3}})
    runner.run(few, output=shared_path / "run", quiet=True)
    runner.resume(shared_path / "run", job(COMM.size, {"ensemble": {"starts": 6}}), quiet=True)
    runner.run(job(1, {"ensemble": {"starts": 6}}), output=shared_path / "whole", quiet=True)
    if COMM.rank == 0:
        same(RunFile(shared_path / "run"), RunFile(shared_path / "whole"))


def test_sums_over_ranks(shared_path):
    """Large ones too, of which each rank adds a piece."""
    network = example("tanh", 0.3, (8, 12, 12, 2), 200)
    theta = np.linspace(-1.0, 1.0, network.weights)
    found = ExactNetwork(network, Shared(COMM)).derivatives(theta)
    wanted = ExactNetwork(network).derivatives(theta)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.worlds(least=2)
def test_more_ranks_than_blocks_of_pairs_are_refused(shared_path):
    with pytest.raises(InputError, match=r"ranks_per_start: \d ranks share 12 pairs.*1 block\n.*= 1"):
        runner.run(
            job(COMM.size, {"network": {"weight_std": 1.0}, "twin": {"pairs": 12}, "ensemble": SMALL}),
            output=shared_path / "run", quiet=True,
        )  # fmt: skip
    with pytest.raises(InputError, match=rf"start a multiple of {COMM.size + 1} ranks"):
        runner.run(job(COMM.size + 1, JOBS["krylov"]), output=shared_path / "run", quiet=True)


@pytest.mark.worlds(least=2)
def test_ranks_that_round_differently_are_refused(shared_path, monkeypatch):
    own = alike.bits()
    monkeypatch.setattr(alike, "bits", lambda: own if COMM.rank == 0 else "other")
    with pytest.raises(InputError, match=r"ranks_per_start: ranks 0 and 1 of a start round differently"):
        runner.run(job(COMM.size, JOBS["krylov"]), output=shared_path / "run", quiet=True)
    assert not (shared_path / "run").exists()


@pytest.mark.worlds(most=1)
def test_a_rank_that_fails_alone_ends_all(tmp_path):
    """Its training is wrong on one of the ranks that share the pairs."""
    (tmp_path / "mine.py").write_text(
        "import os\n"
        "from hpcda.search.training import Training\n"
        "def weights(context, minima, rng):\n"
        "    if os.environ.get('OMPI_COMM_WORLD_RANK', os.environ.get('PMIX_RANK')) == '1':\n"
        "        raise ValueError('only here')\n"
        "    return context.first_weights(context.action, rng)\n"
        "TRAINING = Training('mine', 'weights that one rank cannot draw', weights)\n"
    )
    tables = job(2, {"ensemble": {"starts": 2, "way": "mine"}}) | {"extensions": ["mine.py"]}
    file = as_file(tmp_path / "job.toml", tables)
    done = mpirun(sys.executable, "-m", "hpcda", "run", file, "--quiet", cwd=tmp_path, ranks=2)
    assert done.returncode == 2
    assert done.stderr.count("only here") == 1 and done.stderr.count("rank 1 failed, stopping all ranks") == 1


@pytest.mark.worlds(most=1)
def test_a_killed_run_goes_on_with_other_ranks_to_the_same_end(tmp_path):
    """SIGKILL of a life of two ranks a start at several moments; one rank a start, then three, go on."""
    size = {"twin": {"pairs": 1500}, "ensemble": {"starts": 10, "way": "small"}}
    whole = alone(tmp_path, job(1, size), "whole")

    def words(ranks):
        file = as_file(tmp_path / f"job{ranks}.toml", job(ranks, size))
        run = [sys.executable, "-m", "hpcda", "run", str(file), "--output", str(tmp_path / "run")]
        return ["mpirun", "-n", str(ranks), *run, "--quiet", "--resume"]

    killed = 0
    for ranks in (2, 1, 2, 3):
        life = subprocess.Popen(words(ranks), env=outside(), start_new_session=True)
        shards, end = tmp_path / "run" / "shards", time.monotonic() + PATIENCE
        known = len(list(shards.glob("*.h5")))
        while life.poll() is None and time.monotonic() < end and len(list(shards.glob("*.h5"))) == known:
            time.sleep(0.01)
        time.sleep(0.4)
        if life.poll() is not None:
            break
        life.send_signal(signal.SIGKILL)
        life.wait()
        killed += 1
    assert killed >= 1
    subprocess.run(words(3), check=True, env=outside(), timeout=2 * PATIENCE)
    found = RunFile(tmp_path / "run")
    assert found.finished.all()
    same(found, whole)
