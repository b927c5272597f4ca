"""Experiments under one forcing that nobody knows: a run whose windows share a parameter time by time."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("petsc4py")

from scipy.integrate import solve_ivp  # noqa: E402

import hpcda  # noqa: E402
from hpcda import runner  # noqa: E402
from hpcda.errors import InputError  # noqa: E402
from hpcda.models.catalogue import load_model  # noqa: E402
from tests.chance import generator  # noqa: E402

NOISE, DT, SAMPLES = 0.3, 0.05, 31
MODEL = load_model("lorenz96", {"dimension": 5})


def forcing(t):
    return 8.0 + 2.0 * np.sin(1.3 * t)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three experiments, each from another state, as files."""
    where, rng, t = tmp_path_factory.mktemp("forced"), generator(1), DT * np.arange(SAMPLES)

    def rates(s, x):
        return [float(one) for one in MODEL(x, {"F": forcing(s)}, {}, s)]

    for k in range(3):
        begin = rng.uniform(2.0, 6.0, 5)
        states = solve_ivp(rates, (0.0, t[-1]), begin, t_eval=t, rtol=1e-9, atol=1e-9).y.T
        table = np.column_stack([t, states[:, :3] + NOISE * rng.normal(size=(SAMPLES, 3))])
        np.savetxt(where / f"{k}.csv", table, delimiter=",", header="t,x0,x1,x2", comments="")
    return where


def job(folder, per_window, **solver):
    table = {"time": "t", "observed": ["x0", "x1", "x2"], "noise_std": NOISE}
    forcing = {"estimate": True, "start": [4.0, 12.0], "per_time": True, "walk_std": 3.0}
    return {
        "model": {
            "name": "lorenz96",
            "options": {"dimension": 5},
            "parameters": {"F": forcing | {"per_window": per_window}},
        },
        "data": [{"file": str(folder / f"{k}.csv")} | table for k in range(3)],
        "action": {"discretization": "hermite-simpson"},
        "ladder": {"rungs": 24},
        "ensemble": {"starts": 6, "way": "quiet"},
        "solver": solver,
    }


def estimated(folder, tmp_path, per_window, **solver):
    """The run and the forcings of its candidate, shape (windows, times)."""
    run = hpcda.open_run(runner.run(job(folder, per_window, **solver), output=tmp_path / "run", quiet=True))
    blocks, _ = run.kept_path()
    return run, np.array([block[:, -1] for block in blocks])


def test_experiments_together_know_a_forcing_better_than_each_alone(folder, tmp_path):
    run, shared = estimated(folder, tmp_path / "shared", False)
    other, _ = estimated(folder, tmp_path / "alone", True)
    assert np.array_equal(shared[0], shared[1]) and np.array_equal(shared[0], shared[2])
    std, alone = (
        np.array([np.asarray(one.error_bars(k)["varying_std"]).ravel() for k in range(3)])
        for one in (run, other)
    )
    assert np.array_equal(std[0], std[2])
    # A walk that is measured λ times as well is known λ^(-1/4) times as narrowly.
    assert np.median(std[0]) / np.median(alone) == pytest.approx(3**-0.25, rel=0.15)
    deviations = (shared[0] - forcing(DT * np.arange(SAMPLES))) / std[0]
    assert np.sqrt(np.mean(deviations**2)) < 2.0
    problem = run.problem
    assert problem.unknowns == problem.size - 2 * SAMPLES
    assert run.obedience is not None


@pytest.mark.parametrize("minimizer", ["newton", "nls"])
def test_other_minimizers_come_to_the_same_minimum(folder, tmp_path, minimizer):
    run, _ = estimated(folder, tmp_path / "lockstep", False)
    other, _ = estimated(folder, tmp_path / minimizer, False, minimizer=minimizer)
    assert other.candidate.action == pytest.approx(run.candidate.action, rel=1e-4)


def test_what_does_not_fit_is_refused_by_name(folder, tmp_path):
    with pytest.raises(InputError, match=r"(?s)solver\.elimination.*'chain' does not support"):
        runner.run(job(folder, False, elimination="chain"), output=tmp_path / "run", quiet=True)
    finer = np.loadtxt(folder / "2.csv", delimiter=",", skiprows=1)
    finer[:, 0] *= 0.5
    np.savetxt(tmp_path / "2.csv", finer, delimiter=",", header="t,x0,x1,x2", comments="")
    tables = job(folder, False)
    tables["data"][2]["file"] = str(tmp_path / "2.csv")
    with pytest.raises(InputError, match=r"(?s)parameters\.F\.per_window.*time steps range from 0\.025 to"):
        runner.run(tables, output=tmp_path / "run", quiet=True)
