"""Runs that train networks: the same on any number of ranks, analyzed, killed, taken up again."""

from __future__ import annotations

import copy
import csv
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from hpcda.errors import InputError

MPI = pytest.importorskip("mpi4py.MPI")

import hpcda  # noqa: E402
from hpcda import runner  # noqa: E402
from hpcda.analysis import analyze, format_summary  # noqa: E402
from hpcda.job import load_job  # noqa: E402
from hpcda.job.text import to_toml  # noqa: E402
from hpcda.store import RunFile  # noqa: E402
from tests import extending  # noqa: E402
from tests.chance import number  # noqa: E402

pytestmark = pytest.mark.mpi(min_size=1)
COMM = MPI.COMM_WORLD
JOB = {
    "network": {"hidden": [4], "output_activation": "tanh"},
    "twin": {"inputs": 3, "outputs": 3, "pairs": 200, "hold_back": 50, "noise_std": 0.02, "seed": number(1)},
    "ensemble": {"starts": 12, "seed": number(2), "budget": "starts"},
}
ARRAYS = ("action", "measurement", "prior", "gradient_norm", "iterations", "reason", "parameters")


def job(**tables):
    found = copy.deepcopy(JOB)
    for table, values in tables.items():
        found.setdefault(table, {}).update(values)
    return found


def same(one, other):
    assert list(one.start) == list(other.start)
    for name in ARRAYS:
        np.testing.assert_array_equal(one.table(name), other.table(name), err_msg=name)
    for name in ("parent", "first_rung"):
        np.testing.assert_array_equal(one.table(name), other.table(name), err_msg=name)
    for start in one.start:
        np.testing.assert_array_equal(
            one.paths([one.path_places(int(start))])[0], other.paths([other.path_places(int(start))])[0]
        )


def outside():
    """The environment without what a launcher has put there for its ranks."""
    ours = ("OMPI_ALLOW", "OMPI_MCA_rmaps", "OMPI_MCA_hwloc", "OMPI_MCA_mpi_yield")
    theirs = ("OMPI_", "PMIX_", "PRTE_", "ORTE_")
    return {k: v for k, v in os.environ.items() if k.startswith(ours) or not k.startswith(theirs)}


def as_file(path, tables):
    path.write_text(to_toml(tables))
    return path


def alone(folder, tables, name):
    """The same run in a process of its own, without ranks."""
    file = as_file(folder / f"{name}.toml", tables)
    words = [sys.executable, "-m", "hpcda", "run", str(file), "--output", str(folder / name), "--quiet"]
    subprocess.run(words, check=True, env=outside(), timeout=300)
    return RunFile(folder / name)


def test_a_search_is_the_same_on_any_number_of_ranks_and_its_analysis_says_what_it_found(shared_path):
    folder = runner.run(JOB, output=shared_path / "run", quiet=True)
    if COMM.rank:
        return
    found = RunFile(folder)
    assert found.finished.all() and len(found.start) == 12
    same(found, alone(shared_path, JOB, "alone"))
    summary = analyze(folder, processes=0)
    text = format_summary(summary)
    run = hpcda.open_run(folder)
    lowest = summary["minima"][0]
    assert summary["candidate"]["action"] == lowest["action"] == run.candidate.action
    assert lowest["action"] == pytest.approx(found.table("action").min(), rel=1e-6)
    assert sum(one["count"] for one in summary["minima"]) == 12
    assert "Verdict: " + summary["verdict"]["code"] in text and "held-out pairs" in text
    page = (folder / "analysis" / "report.html").read_text()
    assert page.count("<figure>") == 3 and "held-out pairs" in page
    with (folder / "analysis" / "candidate.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == list(run.theta())
    assert (rows[1]["weight"], rows[-1]["weight"]) == ("W0[0,1]", "b1[2]")


def test_an_annealed_run_is_the_same_on_any_number_of_ranks(shared_path):
    """Finite rungs are climbed again by who takes a start up: they follow from its number."""
    tables = {
        **job(ladder={"rf0": 1.0, "alpha": 10.0, "rungs": 4}, twin={"pairs": 40}),
        "ensemble": {"starts": 5, "seed": number(2), "way": "annealed"},
    }
    folder = runner.run(tables, output=shared_path / "annealed", quiet=True)
    if COMM.rank:
        return
    found = RunFile(folder)
    assert found.finished.all() and set(found.table("way")) == {found.table("way")[0]}
    same(found, alone(shared_path, tables, "annealed-alone"))


def test_weights_predict_what_the_network_gives(shared_path):
    """Forwards by hand, through the scales of the inputs."""
    data = {"source": "sklearn:iris", "hold_back": 30, "standardize": True}
    tables = {"network": {"hidden": [3], "weight_std": 3.0}, "data": data,
              "ensemble": {"starts": 2, "way": "small", "seed": number(4)}}  # fmt: skip
    pytest.importorskip("sklearn")
    folder = runner.run(tables, output=shared_path / "iris", quiet=True)
    if COMM.rank:
        return
    run = hpcda.open_run(folder)
    from sklearn.datasets import load_iris

    known, weights, trained = load_iris(), run.weights(), run.pairs.t.astype(int)
    mean, spread = known.data[trained].mean(axis=0), known.data[trained].std(axis=0)
    hidden = np.tanh((known.data - mean) / spread @ weights["W0"].values.T + weights["b0"].values)
    logits = hidden @ weights["W1"].values.T + weights["b1"].values
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run.predict(known.data).values, chance, rtol=1e-9, atol=1e-12)
    assert run.weights()["W0"].dims == ("layer1", "layer0")
    back = run.pairs.beyond_t.astype(int)
    right = np.mean(chance[back].argmax(axis=1) == known.target[back])
    assert run.held_back.accuracy == pytest.approx(right) and run.held_back.pairs == 30
    entropy = -np.log(chance[back, known.target[back]]).mean()
    assert run.held_back.loss == pytest.approx(entropy, rel=1e-9)
    measurement = -np.log(chance[trained, known.target[trained]]).sum()
    assert run.candidate.measurement == pytest.approx(measurement, rel=1e-9)
    assert np.sum(run.held_back.confusion) == 30 and run.categories
    with pytest.raises(InputError, match="give finite numbers of shape"):
        run.predict(np.zeros((2, 3)))


def test_noisy_inputs_are_unknowns_of_their_own(shared_path):
    """Inputs move to where the outputs want them; weights predict as those of exact inputs do."""
    tables = job(
        network={"hidden": [3, 3], "residual": True, "weight_std": 3.0, "output_activation": "identity"},
        twin={"input_std": 0.05, "pairs": 60},
        ensemble={"starts": 4, "way": "small"},
    )
    folder = runner.run(tables, output=shared_path / "noisy", quiet=True)
    if COMM.rank:
        return
    run = hpcda.open_run(folder)
    theta, given = run.theta(), run.pairs.series
    assert len(theta) == 60 * 3 + run.network.weights and run.file.header.unknown[4] == "x[1,1]"
    inputs = theta[: given.size].reshape(given.shape)
    moved = inputs - given
    assert 0.0 < np.sqrt(np.mean(moved**2)) < 0.15
    w = run.weights()
    x = inputs
    for n in (0, 1):
        x = x + np.tanh(x @ w[f"W{n}"].values.T + w[f"b{n}"].values)
    x = x @ w["W2"].values.T + w["b2"].values
    np.testing.assert_allclose(run.predict(inputs).values, x, rtol=1e-9, atol=1e-12)
    misfit = 0.5 * np.sum((x - run.pairs.data) ** 2) / 0.02**2 + 0.5 * np.sum(moved**2) / 0.05**2
    assert run.candidate.measurement == pytest.approx(misfit, rel=1e-9)
    assert run.file.header.measured == 60 * 3 * 2
    text = format_summary(analyze(folder, processes=0))
    assert "Verdict: " in text


def test_a_start_that_fails_is_a_result_with_a_reason(shared_path):
    """A training whose weights are not finite in every other start."""
    if COMM.rank == 0:
        text = extending.TRAINING.replace("0.5 *", "(0.5 if rng.random() < 0.5 else np.nan) *")
        (shared_path / "half.py").write_text(text.replace("from hpcda", "import numpy as np\nfrom hpcda", 1))
    COMM.Barrier()
    tables = job(ensemble={"starts": 16, "way": "normal"}) | {
        "extensions": ["half.py"], "folder": str(shared_path),
    }  # fmt: skip
    tables["ensemble"]["budget"] = "starts"
    with extending.forgotten():
        folder = runner.run(tables, output=shared_path / "run", quiet=True)
        if COMM.rank:
            return
        summary = analyze(folder, processes=0)
    assert summary["failed"] > 0 and summary["complete"] > 0
    assert summary["failed_reasons"] == {"FAILED_NON_FINITE": summary["failed"]}
    assert summary["starts"] == 16 == summary["failed"] + summary["complete"]
    assert np.isfinite(summary["minima"][0]["action"])


def test_parts_make_one_run(shared_path):
    for part in ("1/2", "2/2"):
        runner.run(job(ensemble={"way": "small"}), output=shared_path / "parts", quiet=True, part=part)
    runner.run(job(ensemble={"way": "small"}), output=shared_path / "whole", quiet=True)
    if not COMM.rank:
        parts, whole = RunFile(shared_path / "parts"), RunFile(shared_path / "whole")
        np.testing.assert_array_equal(parts.start, whole.start)
        np.testing.assert_array_equal(parts.table("action"), whole.table("action"))


def test_a_run_grows_and_another_job_is_refused(shared_path):
    few = job(ensemble={"starts": 5})
    runner.run(few, output=shared_path / "grown", quiet=True)
    runner.resume(shared_path / "grown", JOB, quiet=True)
    with pytest.raises(InputError, match=r"network\.hidden"):
        runner.resume(shared_path / "grown", job(network={"hidden": [5]}), quiet=True)
    with pytest.raises(InputError, match="trained without PETSc"):
        runner.run(JOB, ["-tao_gatol", "1e-3"], output=shared_path / "other", quiet=True)
    runner.run(JOB, output=shared_path / "once", quiet=True)
    if not COMM.rank:
        assert len(RunFile(shared_path / "grown").start) == 12


def test_files_of_users_define_activations_and_trainings(shared_path):
    """A search draws the training; another process reads the run with the copies of the files it kept."""
    if COMM.rank == 0:
        (shared_path / "mine.py").write_text(extending.ACTIVATION)
        (shared_path / "first.py").write_text(extending.TRAINING)
    COMM.Barrier()
    tables = job(network={"activation": "swish"}, ensemble={"starts": 9}) | {
        "extensions": ["mine.py", "first.py"], "folder": str(shared_path),
    }  # fmt: skip
    with extending.forgotten():
        folder = runner.run(tables, output=shared_path / "run", quiet=True)
    if COMM.rank:
        return
    for name in ("mine.py", "first.py"):
        (shared_path / name).unlink()
    read = (
        "import sys, hpcda; run = hpcda.open_run(sys.argv[1]); print(sorted(set(run.dataset.way.values)));"
        "print(run.predict(run.pairs.series).shape)"
    )
    words = [sys.executable, "-c", read, str(folder)]
    found = subprocess.run(words, capture_output=True, text=True, env=outside(), timeout=120)
    assert found.returncode == 0, found.stderr
    assert "'normal'" in found.stdout and "(200, 3)" in found.stdout


@pytest.mark.worlds(most=1)
def test_a_killed_run_goes_on_to_the_same_end(tmp_path):
    """SIGKILL at several moments, a resume after each: nothing is lost, nothing differs."""
    tables = job(twin={"pairs": 1500}, ensemble={"starts": 16})
    whole = alone(tmp_path, tables, "whole")
    file = as_file(tmp_path / "job.toml", tables)
    words = [
        sys.executable,
        "-m",
        "hpcda",
        "run",
        str(file),
        "--output",
        str(tmp_path / "run"),
        "--quiet",
        "--resume",
    ]
    killed = 0
    for _ in range(40):
        life = subprocess.Popen(words, env=outside())
        shards, end = tmp_path / "run" / "shards", time.monotonic() + 60.0
        known = len(list(shards.glob("*.h5")))
        while life.poll() is None and time.monotonic() < end and len(list(shards.glob("*.h5"))) == known:
            time.sleep(0.01)
        time.sleep(0.3)
        if life.poll() is not None:
            break
        life.send_signal(signal.SIGKILL)
        life.wait()
        killed += 1
        if killed == 4:
            subprocess.run(words, check=True, env=outside(), timeout=300)
            break
    assert killed >= 1
    found = RunFile(tmp_path / "run")
    assert found.finished.all()
    same(found, whole)


@pytest.mark.worlds(most=1)
@pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH")
def test_the_command_line_tells_what_is_wrong_once(tmp_path):
    file = as_file(tmp_path / "job.toml", job(network={"activation": "tahn"}))
    words = ["mpirun", "-n", "2", sys.executable, "-m", "hpcda", "run", str(file)]
    found = subprocess.run(words, capture_output=True, text=True, env=outside(), timeout=120)
    assert found.returncode == 2
    assert found.stderr.count("network.activation: 'tahn' is not accepted") == 1
    assert not (tmp_path / "run").exists()
    assert load_job(JOB).network.activation == "tanh"
