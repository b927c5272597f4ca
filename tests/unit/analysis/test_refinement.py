"""Refinement in time of a run: in Python, by `hpcda analyze --refine`, in summary, report and picture."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

import hpcda
from hpcda.cli import main
from hpcda.search.time_step import ACTION
from tests.unit import epidemic


@pytest.fixture(scope="module")
def outbreak():
    days = np.arange(len(epidemic.IN_BED) + 1.0)
    data = np.array([np.nan, *epidemic.IN_BED])
    problem = hpcda.Problem(
        epidemic.make_problem().model,
        days,
        {"I": data},
        epidemic.NOISE,
        gaps=True,
        steps_per_sample=1,
        estimate={
            name: hpcda.Estimate(start, bounds=(0.0, 10.0))
            for name, start in (("beta", (0.5, 4.0)), ("gamma", (0.1, 1.0)))
        },
        initial={name: hpcda.Prior(mean, std) for name, (mean, std) in epidemic.KNOWN.items()},
    )
    return hpcda.anneal(problem, starts=4, ladder=hpcda.Ladder(rf0=1.0, alpha=10.0, rungs=7))


def test_the_limit_of_a_result_is_the_least_squares_fit(outbreak):
    values, stds, lowest = epidemic.fitted()
    found = outbreak.refine(5)
    assert outbreak.refine(5) is found
    assert [one.steps for one in found.levels] == [1, 2, 4, 8, 16]
    for name, right, std in zip(("beta", "gamma"), values, stds, strict=True):
        assert abs(found.limits[name].value - right) < 0.01 * std
    assert found.limits[ACTION].value == pytest.approx(lowest, abs=0.01)
    np.testing.assert_array_equal(found.levels[0].path, outbreak.problem.join(*outbreak.kept_path()))


def test_it_is_drawn_into_axes(outbreak):
    axes = outbreak.plot.refinement(4, ax=Figure().subplots())
    assert {line.get_label() for line in axes.lines} >= {"beta", "gamma", ACTION}


def test_bad_numbers_of_levels_are_refused(outbreak):
    with pytest.raises(hpcda.InputError, match=r"(?s)^refine: 2 levels do not fit.*from 3 to 10"):
        outbreak.refine(2)


def test_analyze_says_whether_the_step_is_fine_enough(tmp_path, capsys):
    pytest.importorskip("petsc4py")
    job = epidemic.write_job(tmp_path, discretization="trapezoid", steps_per_sample=1)
    job["ensemble"] = {"starts": 4}
    run = tmp_path / "run"
    hpcda.run(job, output=run, quiet=True)
    assert main(["analyze", str(run), "--refine", "5"]) == 0
    told = capsys.readouterr().out
    summary = json.loads((run / "analysis" / "summary.json").read_text())
    record = summary["refinement"]
    assert "Refinement in time: The time step is too coarse: " in told
    assert record["enough"] > 1 and f"steps_per_sample = {record['enough']} is enough" in record["sentence"]
    assert [one["steps_per_sample"] for one in record["levels"]] == [1, 2, 4, 8, 16]
    values, stds, _ = epidemic.fitted()
    bars = summary["candidate"]["error_bars"]
    for name, right, std in zip(("beta", "gamma"), values, stds, strict=True):
        assert record["deviations"][name] == bars[name]["std"] == pytest.approx(std, rel=0.2)  # coarse steps
        assert abs(record["limits"][name]["value"] - right) < 0.01 * std
    report = (run / "analysis" / "report.html").read_text()
    assert "<h2>Refinement in time</h2>" in report and record["sentence"][:30] in report
    assert (run / "analysis" / "refinement.png").stat().st_size > 5000
    assert main(["analyze", str(run), "--refine", "2"]) == 2
    assert "2 levels do not fit" in capsys.readouterr().err
    assert main(["analyze", str(run)]) == 0
    assert "refinement" not in json.loads((run / "analysis" / "summary.json").read_text())


def test_runs_without_time_steps_are_refused(tmp_path, capsys):
    pytest.importorskip("petsc4py")
    x = np.linspace(-1.0, 1.0, 20)
    (tmp_path / "d.csv").write_text("a,b\n" + "".join(f"{v},{v * v}\n" for v in x))
    job = {
        "folder": str(tmp_path),
        "network": {"hidden": [2]},
        "data": {"file": "d.csv", "inputs": ["a"], "outputs": ["b"], "noise_std": 0.1},
        "ensemble": {"starts": 1, "way": "small"},
    }
    hpcda.run(job, output=tmp_path / "run", quiet=True)
    assert main(["analyze", str(tmp_path / "run"), "--refine", "4"]) == 2
    assert "layers in place of time steps" in capsys.readouterr().err
