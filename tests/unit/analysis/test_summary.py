"""What the command line shows of a run's parameters: all of them, or where they are."""

from __future__ import annotations

import csv

import numpy as np

from hpcda.analysis import analyze
from hpcda.analysis.ended import plain
from hpcda.analysis.summary_text import ALL, SHOWN, _parameters
from tests.unit.synthetic_run import make_layout, write_run


def candidate(count):
    bars = {f"p{k}": {"kind": "gaussian", "std": 0.01, "low": 0.0, "high": 1.0} for k in range(count)}
    return {"error_bars": bars, "parameters": dict.fromkeys(bars, 0.5), "valley": {}, "no_error_bars": None}


def test_all_parameters_are_shown_or_the_file_that_holds_them():
    lines = _parameters(candidate(ALL), "run/analysis/parameters.csv")
    assert len(lines) == ALL and all("0.5 ± 0.01" in line for line in lines)
    lines = _parameters(candidate(ALL + 1), "run/analysis/parameters.csv")
    assert len(lines) == SHOWN + 1
    assert (
        f"… and {ALL + 1 - SHOWN} more, all with their error bars in run/analysis/parameters.csv" in lines[-1]
    )


def test_they_are_in_a_table_with_their_error_bars(tmp_path):
    layout = make_layout()
    write_run(tmp_path / "run", layout)
    summary = analyze(tmp_path / "run", problem=layout.problem)
    with (tmp_path / "run" / "analysis" / "parameters.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    bar = summary["candidate"]["error_bars"]["rho"]
    assert row["parameter"] == "rho" and row["kind"] == bar["kind"] == "gaussian"
    assert float(row["estimate"]) == summary["candidate"]["parameters"]["rho"]
    assert [float(row[key]) for key in ("std", "low", "high")] == [bar[key] for key in ("std", "low", "high")]


def test_without_error_bars_the_table_holds_the_estimates(tmp_path):
    write_run(tmp_path / "run", make_layout())
    analyze(tmp_path / "run")
    with (tmp_path / "run" / "analysis" / "parameters.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["parameter"] == "rho" and row["kind"] == row["std"] == ""


def test_plain():
    value = {"a": np.float64(1), "b": np.array([1.0, np.nan]), 3: (np.int64(2), np.inf, np.bool_(True))}
    assert plain(value) == {"a": 1.0, "b": [1.0, None], "3": [2, None, True]}
