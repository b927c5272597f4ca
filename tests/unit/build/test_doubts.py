# ruff: noqa: E501
"""Absurd numbers of data are refused or told, with file, line and column."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcda.build import build_problem
from hpcda.build.doubts import resolution
from hpcda.errors import InputError
from hpcda.job import load_job
from tests.chance import generator

T = np.arange(12.0)
X = np.round(2.0 + np.sin(T), 2)


def job(tmp_path, x=X, t=T, model=None, **data):
    rows = "".join(f"{a!r},{b!r}\n" for a, b in zip(t.tolist(), np.asarray(x).tolist(), strict=True))
    (tmp_path / "d.csv").write_text("t,x\n" + rows)
    table = {"file": str(tmp_path / "d.csv"), "time": "t", "observed": {"x": "x"}, "noise_std": 0.1, **data}
    ladder = {"rf0": 1.0, "alpha": 2.0, "rungs": 2}
    return load_job({"model": {"name": "lorenz63", **(model or {})}, "data": table, "ladder": ladder})


def notes(*args, **keywords):
    return [note for note in build_problem(job(*args, **keywords)).notes if not note.startswith("No param")]


def changed(row, value):
    values = X.copy()
    values[row] = value
    return values


def test_nothing_is_told_of_plain_data(tmp_path):
    assert notes(tmp_path) == []


@pytest.mark.parametrize("value", [1e300, -1e150, 1.7e308])
def test_numbers_that_cannot_be_squared_are_refused(tmp_path, value):
    with pytest.raises(InputError) as caught:
        build_problem(job(tmp_path, changed(4, value), missing=[]))
    (one,) = caught.value.mistakes
    assert one.place == "d.csv, line 6, column 'x'" and "too large to be squared" in one.problem


@pytest.mark.parametrize("value", [1e-300, -1e-200, 5e-324])
def test_numbers_that_are_as_good_as_0_are_told(tmp_path, value):
    (note,) = notes(tmp_path, changed(4, value))
    assert note.startswith("d.csv, line 6, column 'x': ") and "effectively 0" in note


def test_a_datum_far_from_the_range_of_its_state(tmp_path):
    (note,) = notes(tmp_path, changed(7, 4.1e10))
    assert note.startswith("d.csv, line 9, column 'x': 4.1e+10 lies 1.0e+09 times the width")
    assert notes(tmp_path, changed(7, 4.1e4)) == []


def test_data_outside_the_bounds_of_their_state(tmp_path):
    model = {"states": {"x": {"bounds": [0, 2.5]}}}
    above = X > 2.5 + 6 * 0.05
    row = int(X.argmax())
    (note,) = notes(tmp_path, model=model, noise_std=0.05)
    away = (X[row] - 2.5) / 0.05
    assert note.startswith(
        f"d.csv, line {row + 2}, column 'x': {X[row]:g} lies {away:.3g} σ outside the bounds"
    )
    assert f"and {above.sum() - 1} more" in note
    assert notes(tmp_path, model=model, noise_std=0.5) == []


def test_noise_below_the_resolution(tmp_path):
    (note,) = notes(tmp_path, noise_std=1e-4)
    assert "noise_std of x is 0.0001, far below the resolution of its data, 0.01" in note
    assert f"{0.01 / np.sqrt(12):.2g}" in note
    assert notes(tmp_path, noise_std=0.002) == []


def test_noise_above_all_that_the_data_span(tmp_path):
    (note,) = notes(tmp_path, noise_std=50.0)
    assert "noise_std of x is 50, and all of its data lie within" in note


@given(st.lists(st.integers(-(10**6), 10**6), min_size=5, max_size=30, unique=True), st.integers(0, 6))
def test_the_resolution_of_decimals(numbers, digits):
    """Numbers k · 10^-digits are multiples of it; a coarser step is found only where all are multiples of that."""
    step = resolution(np.array([float(f"{k}e-{digits}") for k in numbers]))
    coarser = 0
    while coarser < digits and all(k % 10 ** (coarser + 1) == 0 for k in numbers):
        coarser += 1
    assert step == pytest.approx(10.0 ** -(digits - coarser), rel=1e-12)


def test_no_resolution_of_real_numbers():
    assert resolution(generator(1).normal(size=50)) == 0.0
    assert resolution(np.array([1.0, 2.0])) == 0.0


@pytest.mark.parametrize("t", [1e-250 * T, 1e200 * T, 1e150 + 1e148 * T])
def test_absurd_times_are_refused(tmp_path, t):
    with pytest.raises(InputError) as caught:
        build_problem(job(tmp_path, t=t))
    (one,) = caught.value.mistakes
    assert one.place == "data.time" and "another unit of time" in one.remedy


def test_a_stimulus_of_a_twin_is_read_as_strictly(tmp_path):
    (tmp_path / "n.py").write_text(
        "from hpcda import Model, Parameter, State, Stimulus\n"
        "def build():\n"
        "    return Model('n', (State('V'),), (Parameter('g', 1),), lambda x, p, u: [u.I - p.g * x[0]],\n"
        "                 (Stimulus('I'),))\n"
    )

    def twin(rows, **keys):
        (tmp_path / "i.csv").write_text(rows)
        shape = {"file": str(tmp_path / "i.csv"), "time": 0, "column": 2, **keys}
        raw = {
            "model": {"name": str(tmp_path / "n.py") + ":build"},
            "twin": {"dt": 0.5, "samples": 4, "observed": ["V"], "noise_std": 1.0, "stimulus": {"I": shape}},
            "ladder": {"rf0": 1.0, "alpha": 2.0, "rungs": 2},
        }
        return build_problem(load_job(raw)).problem.windows[0].series[:, 0]

    def mistake(rows, **keys):
        with pytest.raises(InputError) as caught:
            twin(rows, **keys)
        (one,) = caught.value.mistakes
        return one

    assert twin("0.0 *** 2.0\n0.5 1.8 1.8\n1.5 1.6 1.4\n").tolist() == pytest.approx([2.0, 1.8, 1.6, 1.4])
    one = mistake("0,0,2\n0.5,0,-999\n1.5,0,1.4\n")
    assert one.place == "i.csv, line 2, column '2'" and "missing = []" in one.remedy
    assert twin("0,0,2\n0.5,0,-999\n1.5,0,1.4\n", missing=[])[1] == -999
    one = mistake("0,0,2\n0.5,0,7\n1.5,0,1.4\n", missing=[7])
    assert one.place == "i.csv, line 2, column '2'" and "every row" in one.remedy
    assert "may be names" in mistake("0,LOD,2\n0.7,0,7\n1.5,0,1.4\n").problem
    assert twin("0,LOD,2\n0.7,0,7\n1.5,0,1.4\n", header=False)[0] == 2
    assert "too large" in mistake("0,0,2\n0.5,0,1e200\n1.5,0,1.4\n").problem
