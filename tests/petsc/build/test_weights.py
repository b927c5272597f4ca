"""A decay whose driver is measured in mol/l: whole runs with equal weights and with those of the spreads."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

pytest.importorskip("petsc4py", reason="the minimizers are PETSc's")

import hpcda
from hpcda import runner
from hpcda.analysis import analyze

pytestmark = pytest.mark.petsc

MODEL = """
from hpcda import Model, Parameter, State

def equations(x, p):
    return [1e9 * x.Y, -p.d * x.Y]

def build():
    return Model(
        name="decay",
        states=(State("X", range=(0, 8)), State("Y", range=(0, 3e-9))),
        parameters=(Parameter("d", 0.3, range=(0.1, 1)),),
        equations=equations,
    )
"""
DATA = np.array([
    0.7, 0.36, 0.7, 0.94, 0.8, 0.66, 1.13, 1.36, 2.09, 1.32, 1.66, 1.68, 1.73, 2.2, 2.11, 2.35, 2.79, 2.77,
    2.9, 3.72, 3.04, 3.03, 3.33, 3.57, 3.13, 3.55, 3.82, 4.03, 3.87, 3.7, 4.16,
])  # fmt: skip
NOISE = 0.3


def shot(unknowns):
    """Path of X by the trapezoid rule, Y in nmol/l."""
    x, y, d = unknowns
    rate = y * ((1 - 0.05 * d) / (1 + 0.05 * d)) ** np.arange(31)
    return x + np.concatenate([[0.0], np.cumsum(0.05 * (rate[1:] + rate[:-1]))])


@pytest.fixture(scope="module")
def fit():
    """SciPy's least squares: cost, d and its standard deviation."""
    found = least_squares(
        lambda unknowns: (shot(unknowns) - DATA) / NOISE, (0.1, 2.0, 0.3),
        bounds=([0, 0, 0], [100, 10, 5]), xtol=1e-14, ftol=1e-14, gtol=1e-14,
    )  # fmt: skip
    std = float(np.sqrt(np.linalg.inv(found.jac.T @ found.jac)[2, 2]))
    assert (found.cost, found.x[2], std) == pytest.approx((11.77, 0.132, 0.12), rel=0.05)
    return found.cost, found.x[2], std


def assimilated(folder, **action):
    (folder / "mine.py").write_text(MODEL)
    np.savetxt(
        folder / "x.csv",
        np.column_stack([0.1 * np.arange(31), DATA]),
        delimiter=",",
        header="t,X",
        comments="",
    )
    job = {
        "folder": str(folder),
        "model": {
            "name": "mine.py:build",
            "parameters": {"d": {"estimate": True, "bounds": [0, 5]}},
            "states": {"X": {"bounds": [0, 100]}, "Y": {"bounds": [0, 1e-8]}},
        },
        "data": {"file": "x.csv", "time": "t", "observed": ["X"], "noise_std": NOISE},
        "action": action,
        "ladder": {"alpha": 4.0, "rf_max": 1e7},
    }
    return hpcda.open_run(runner.run(job, output=folder / "run", quiet=True))


def test_equal_weights_leave_the_driver_free_and_the_verdict_says_so(tmp_path, fit):
    cost, _, _ = fit
    run = assimilated(tmp_path)
    assert run.levels[0].action < 0.7 * cost, "Y follows the noise"
    assert run.verdict.code == "equation_not_obeyed" and not run.verdict.stable
    assert [one.state for one in run.evidence.obedience.disobeyed] == ["Y"]
    summary = analyze(tmp_path / "run", processes=0)
    assert summary["verdict"]["code"] == "equation_not_obeyed"
    assert "model_error_weight" in summary["verdict"]["sentence"]


def test_weights_by_the_spreads_find_what_scipy_finds(tmp_path, fit):
    cost, d, std = fit
    run = assimilated(tmp_path, model_error_weight="auto")
    assert run.levels[0].limit == pytest.approx(cost, abs=1e-3)
    assert run.levels[0].parameters["d"] == pytest.approx(d, abs=0.01 * std)
    assert run.verdict.code == "consistent_and_stable" and run.evidence.obedience.obeyed
    assert 0.5 < run.file.header.model_error_weight[1] * 3e-9**2 / 12 / 16 < 2.0
