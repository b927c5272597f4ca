"""What a check leaves out where it would take too long, and says so."""

from __future__ import annotations

import pytest

from hpcda import check as module
from hpcda.check import check, report
from hpcda.job import load_job


def job(tmp_path, dimension=5):
    return load_job(
        {
            "model": {
                "name": "lorenz96",
                "options": {"dimension": dimension},
                "parameters": {"F": {"estimate": True}},
            },
            "twin": {"dt": 0.025, "samples": 21, "observed": ["x0", "x2"], "noise_std": 0.5},
            "ladder": {"alpha": 10.0, "rf_max": 1e4},
            "output": {"directory": str(tmp_path / "run")},
        }
    )


def test_nothing_is_left_out_where_there_is_time(tmp_path):
    checked = check(job(tmp_path))
    assert len(checked.verifications) == 2 and checked.ok and not checked.notes


def test_what_would_take_too_long_is_left_out_with_a_word(tmp_path, monkeypatch):
    usual = check(job(tmp_path))
    monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(module, "verify", pytest.fail)
    monkeypatch.setattr(module, "_trial", pytest.fail)
    monkeypatch.setattr(module, "cholesky_banded", pytest.fail)
    checked = check(job(tmp_path))
    assert checked.verifications == () and 0.0 < checked.cost.total < 1e3 * usual.cost.total + 1.0
    said = report(job(tmp_path), checked)
    assert said.count("derivatives at Rf = ") == 2 and "not on a trial: each of its steps" in said


def test_code_that_takes_long_to_compile_is_not_compiled(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "kept", lambda code: False)
    monkeypatch.setattr(module, "COMPILED", 1e4)
    assert not check(job(tmp_path)).notes
    assert capsys.readouterr().err.startswith("hpcda: compiling the code of the run, about ")
    monkeypatch.setattr(module, "COMPILED", 1.0)
    monkeypatch.setattr(module, "_trial", pytest.fail)
    (note,) = check(job(tmp_path)).notes
    assert "compiling its code about " in note and "60 s of a check" in note
