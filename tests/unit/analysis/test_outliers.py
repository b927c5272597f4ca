# ruff: noqa: E501
"""Data that carry nearly all of the misfit are named with file, line and column."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

from hpcda.analysis import open_run
from hpcda.analysis.outliers import DEVIATIONS, outliers, sentences
from hpcda.results.windows import StoredWindow
from hpcda.source import Source
from tests.chance import generator
from tests.unit.fuzzing import cases
from tests.unit.synthetic_run import make_layout, write_run


def window(data, std, source=None):
    empty = np.zeros((0, data.shape[1]))
    t = 0.1 * np.arange(len(data))
    return StoredWindow(t, data, std, np.zeros((len(t), 0)), t[:0], empty, empty, t[:0], empty, source)


def found(data, fit, std, source=None):
    one = window(data, np.full(data.shape, std), source)
    fitted = fit * [1.0, 2.0]
    return outliers([one], [fitted], [(data - fitted) / std], ("x", "y"))


def noisy(rng, n=200, std=0.1):
    fit = rng.normal(size=(n, 2))
    return np.column_stack([fit[:, 0], 2 * fit[:, 1]]) + std * rng.normal(size=(n, 2)), fit


def test_one_wrong_value():
    data, fit = noisy(generator(0))
    data[14, 1] = 999.0
    data[20] = np.nan
    lines = np.arange(200) + 2
    (one,) = found(data, fit, 0.1, Source("data.csv", "line", lines, ("x", "second")))
    assert one.place == "data.csv, line 16, column 'second'"
    assert (one.window, one.observed, one.value) == (0, "y", 999.0)
    assert one.fitted == pytest.approx(2 * fit[14, 1])
    assert one.deviations == pytest.approx((999.0 - 2 * fit[14, 1]) / 0.1)
    squares = ((data - np.column_stack([fit[:, 0], 2 * fit[:, 1]])) / 0.1) ** 2
    assert one.share == pytest.approx(squares[14, 1] / np.nansum(squares))
    (note,) = sentences([one])
    assert (
        note.startswith("data.csv, line 16, column 'second': 999 lies ") and "100% of the measurement" in note
    )


def test_noise_alone_has_none():
    """One of 1,000 lies beyond 6 σ by chance in one of 500,000 runs of this test."""
    for key in range(5):
        data, fit = noisy(generator(key), n=100)
        assert found(data, fit, 0.1) == []


def test_a_bad_fit_has_none_but_those_that_stand_out():
    """Where all residuals are fifty deviations wide, noise_std or the model is wrong, not single data."""
    data, fit = noisy(generator(1), std=5.0)
    assert found(data, fit, 0.1) == []
    data[3, 0] += 200.0
    (one,) = found(data, fit, 0.1)
    assert one.place == "x at t = 0.3"


@given(st.integers(0, 10**6), st.floats(0.01, 100.0), st.integers(0, 15))
@cases(50)
def test_the_limit_is_that_of_the_median_absolute_deviation(seed, width, wrong):
    rng = generator(seed)
    data, fit = noisy(rng, n=60, std=0.1 * width)
    rows = rng.choice(60, wrong, replace=False)
    data[rows, 0] += rng.choice([-1, 1], wrong) * 100 * width
    residuals = (data - np.column_stack([fit[:, 0], 2 * fit[:, 1]])) / 0.1
    both = np.concatenate([residuals, -residuals])  # about a median of 0
    limit = DEVIATIONS * max(1.0, median_abs_deviation(both, axis=None, scale="normal"))
    expected = np.sort(np.abs(residuals[np.abs(residuals) > limit]))[::-1]
    sizes = [abs(one.deviations) for one in found(data, fit, 0.1)]
    np.testing.assert_allclose(sizes, expected)
    assert wrong <= len(sizes)


def test_many_are_told_in_four_sentences():
    data, fit = noisy(generator(2))
    data[::20, 0] += 50.0
    all_of_them = found(data, fit, 0.1)
    assert len(all_of_them) == 10
    notes = sentences(all_of_them)
    assert len(notes) == 4 and notes[3].startswith("7 more data lie beyond 6 σ")


def test_a_run_keeps_where_its_data_were_read(tmp_path):
    layout = make_layout(windows=2)
    second = layout.problem.windows[1]
    source = Source("d.csv", "line", 3 + np.arange(second.times), ("x",))
    write_run(tmp_path / "run", replace(layout, sources=(None, source)))
    run = open_run(tmp_path / "run")
    assert run.windows[0].source is None
    stored = run.windows[1].source
    np.testing.assert_array_equal(stored.numbers, source.numbers)
    assert (stored.file, stored.counted_by, stored.columns) == ("d.csv", "line", ("x",))
    assert stored.place(10, 0) == "d.csv, line 13, column 'x'"


def test_a_run_without_sources(tmp_path):
    write_run(tmp_path / "run", make_layout(windows=2))
    assert [one.source for one in open_run(tmp_path / "run").windows] == [None, None]


def test_from_the_job_to_the_summary(tmp_path):
    """A wrong value in a file is named in the analysis of the run that read it."""

    from hpcda.analysis import analyze, format_summary
    from hpcda.job import load_job
    from hpcda.runner import run as run_job

    t = 0.25 * np.arange(25)
    x = 2 * np.exp(-0.5 * t) + 0.03 * generator(1).standard_normal(25)
    x[15] = 3.7
    rows = "".join(f"{a},{b:.4f}\n" for a, b in zip(t, x, strict=True))
    (tmp_path / "d.csv").write_text("# by hand\nt,x\n" + rows)
    (tmp_path / "m.py").write_text(
        "from hpcda import Model, Parameter, State\n"
        "def build():\n"
        "    return Model('m', (State('x', range=(0, 3)),), (Parameter('k', 0.8),), lambda x, p: [-p.k * x[0]])\n"
    )
    job = {
        "model": {
            "name": str(tmp_path / "m.py") + ":build",
            "parameters": {"k": {"estimate": True, "bounds": [0, 9]}},
        },
        "data": {"file": str(tmp_path / "d.csv"), "time": "t", "observed": {"x": "x"}, "noise_std": 0.03},
        "ladder": {"rf0": 0.01, "alpha": 10.0, "rf_max": 1e6},
        "ensemble": {"way": "quiet", "starts": 2},
    }
    summary = analyze(run_job(load_job(job), output=tmp_path / "run", quiet=True), processes=0)
    (one,) = summary["outliers"]
    assert one["place"] == "d.csv, line 18, column 'x'" and one["value"] == 3.7
    assert abs(one["deviations"]) > 90 and one["share"] > 0.9
    assert "d.csv, line 18, column 'x': 3.7 lies" in " ".join(format_summary(summary).split())
    assert "d.csv, line 18" in (tmp_path / "run/analysis/report.html").read_text()
