"""From the job to the problem: windows, gaps, what is kept back, what is estimated, twins."""

import csv
import tomllib
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcda.build import build_problem
from hpcda.build.export import export_twin
from hpcda.errors import InputError
from hpcda.job import load_job
from hpcda.models.lorenz96 import build as lorenz96
from hpcda.models.twin import simulate
from tests.unit.fuzzing import cases

LADDER = {"rf0": 1e-2, "alpha": 2.0, "rungs": 3}
NEURON = """
from hpcda import Model, Parameter, State, Stimulus

def neuron():
    return Model("n", (State("V"), State("w")), (Parameter("g", 1.0), Parameter("E", 2.0)),
                 lambda x, p, u: [u.I - p.g * x.V + p.E, x.V - x.w], (Stimulus("I"),))
def other():
    return Model("o", (State("w"), State("V"), State("z")), (Parameter("g", 1.0),),
                 lambda x, p, u: [x.V - x.w, u.J - p.g * x.V, -x.z], (Stimulus("J"),))
def decay():
    return Model("d", (State("x"),), (), lambda x, p: -x)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "neuron.py").write_text(NEURON)
    return tmp_path


def write(path, text):
    path.write_text(text)


def job(data: Any = None, model: Any = None, **tables: Any) -> Any:
    raw: dict[str, Any] = {"model": model or {"name": "lorenz63"}, "ladder": LADDER, **tables}
    if data is not None:
        raw["data"] = data
    return load_job(raw)


DATA = {"file": "x.csv", "time": "t", "observed": {"x": "y0", "z": "y1"}, "noise_std": 0.5}


def test_a_window(folder):
    write(folder / "x.csv", "t,y0,y1\n0,1,4\n0.5,2,5\n1.0,3,6\n")
    built = build_problem(job(DATA))
    (window,) = built.problem.windows
    np.testing.assert_array_equal(window.t, [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(window.data, [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(window.noise_std, np.full((3, 2), 0.5))
    assert window.series.shape == (3, 0)
    assert built.problem.discretization == "trapezoid"
    assert built.problem.observed == {"x": "x", "z": "z"}
    assert built.problem.fixed == built.problem.model.defaults
    assert built.beyond is None
    assert built.truth is None


def test_steps_between_samples(folder):
    write(folder / "x.csv", "t,y0,y1\n0,1,4\n0.5,2,5\n1.0,3,6\n")
    built = build_problem(job({**DATA, "hold_back": 1}, action={"steps_per_sample": 2}))
    (window,), (beyond,) = built.problem.windows, built.beyond
    np.testing.assert_array_equal(window.t, [0.0, 0.25, 0.5])
    np.testing.assert_array_equal(window.data[:, 0], [1.0, np.nan, 2.0])
    np.testing.assert_array_equal(beyond.t, [0.5, 0.75, 1.0])
    np.testing.assert_array_equal(beyond.data[:, 0], [np.nan, np.nan, 3.0])


def test_gaps_and_missing_times(folder):
    write(folder / "x.csv", "t,y0,y1\n0,1,4\n1,,5\n2,3,NA\n5,4,6\n")
    (window,) = build_problem(job({**DATA, "gaps": True})).problem.windows
    np.testing.assert_array_equal(window.t, np.arange(6.0))
    np.testing.assert_array_equal(window.data[:, 0], [1, np.nan, 3, np.nan, np.nan, 4])
    np.testing.assert_array_equal(window.data[:, 1], [4, 5, np.nan, np.nan, np.nan, 6])


def test_noise_from_a_column(folder):
    write(folder / "x.csv", "t,y0,y1,s\n0,1,4,1\n1,,5,\n2,3,6,3\n")
    noise = {"x": {"column": "s"}, "z": 0.25}
    (window,) = build_problem(job({**DATA, "gaps": True, "noise_std": noise})).problem.windows
    np.testing.assert_array_equal(window.noise_std[[0, 2], 0], [1.0, 3.0])
    assert (window.noise_std > 0).all()
    np.testing.assert_array_equal(window.noise_std[:, 1], 0.25)


def test_from_to_and_hold_back(folder):
    write(folder / "x.csv", "t,y0,y1\n" + "".join(f"{n / 10},{n},0\n" for n in range(20)))
    built = build_problem(job({**DATA, "from": 0.3, "to": 1.2, "hold_back": 4}))
    (window,), (beyond,) = built.problem.windows, built.beyond
    np.testing.assert_allclose(window.t, np.arange(3, 9) / 10)
    np.testing.assert_array_equal(window.data[:, 0], np.arange(3, 9))
    np.testing.assert_allclose(beyond.t, np.arange(8, 13) / 10)
    np.testing.assert_array_equal(beyond.data[:, 0], [np.nan, 9, 10, 11, 12])


def test_rounded_times(folder):
    write(folder / "x.csv", "t,y0,y1\n" + "".join(f"{n / 30:.3f},{n},0\n" for n in range(100)))
    (window,) = build_problem(job(DATA)).problem.windows
    assert window.times == 100
    assert window.dt == pytest.approx(1 / 30, rel=1e-4)


@given(st.floats(1e-6, 1e6), st.integers(2, 300), st.floats(-1e3, 1e3))
@cases(100)
def test_any_uniform_times_are_accepted(folder, step, count, first):
    if abs(first) > 1e9 * step:
        return
    t = first + step * np.arange(count)
    np.savez(folder / "x.npz", t=t, y0=np.zeros(count), y1=np.zeros(count))
    (window,) = build_problem(job({**DATA, "file": "x.npz"})).problem.windows
    assert window.times == count
    np.testing.assert_allclose(window.t, t, atol=1e-3 * step)


def test_windows_may_measure_different_quantities(folder):
    write(folder / "x.csv", "t,y0,y1\n0,1,4\n1,2,5\n")
    other = {
        "file": "x.csv",
        "time": 0,
        "observed": {"x + y": "y0", "x": 2},
        "noise_std": {"x + y": 1.0, "x": 2.0},
    }
    problem = build_problem(job([DATA, other])).problem
    assert problem.observed == {"x": "x", "z": "z", "x + y": "x + y"}
    np.testing.assert_array_equal(problem.windows[0].data, [[1, 4, np.nan], [2, 5, np.nan]])
    np.testing.assert_array_equal(problem.windows[1].data, [[4, np.nan, 1], [5, np.nan, 2]])
    assert problem.measured == 8


def test_one_window_may_keep_nothing_back(folder):
    write(folder / "x.csv", "t,y0,y1\n0,1,4\n1,2,5\n2,3,6\n")
    built = build_problem(job([DATA, {**DATA, "hold_back": 1}]))
    assert [len(one.t) for one in built.beyond] == [1, 2]
    assert np.isnan(built.beyond[0].data).all()


def test_stimuli_and_series_are_interpolated(folder):
    write(folder / "x.csv", "t,V,I,g\n0,1,0,1\n1,2,2,1\n3,4,4,3\n")
    data = {
        "file": "x.csv",
        "time": "t",
        "observed": ["V"],
        "noise_std": 1.0,
        "stimulus": {"I": "I"},
        "gaps": True,
    }
    model = {"name": "neuron.py:neuron", "parameters": {"g": {"series": "g"}, "E": {"value": 7.0}}}
    problem = build_problem(job(data, model, action={"steps_per_sample": 2})).problem
    assert problem.series == ("g",)
    assert problem.fixed == {"E": 7.0}
    (window,) = problem.windows
    np.testing.assert_allclose(window.series[:, 0], [0, 1, 2, 2.5, 3, 3.5, 4])
    np.testing.assert_allclose(window.series[:, 1], [1, 1, 1, 1.5, 2, 2.5, 3])


@pytest.mark.parametrize("kind", ["npy", "npz", "h5", "csv", "semicolon", "blanks", "headless"])
def test_kinds_of_files(folder, kind):
    table = np.column_stack([np.arange(3.0), [1.0, 2, 3], [4.0, 5, 6]])
    keys: dict[str, Any] = {"time": 0, "observed": {"x": 1, "z": 2}}
    name = {"npy": "x.npy", "npz": "x.npz", "h5": "x.h5"}.get(kind, "x.csv")
    if kind == "npy":
        np.save(folder / name, table)
    elif kind == "npz":
        np.savez(folder / name, t=table[:, 0], y=table[:, 1:])
        keys = {"time": "t", "observed": {"x": "y[0]", "z": "y[1]"}}
    elif kind == "h5":
        with h5py.File(folder / name, "w") as file:
            file["run/t"] = table[:, 0].astype("i4")
            file["run/y"] = table[:, 1:]
            file["note"] = "text"
        keys = {"time": "run/t", "observed": {"x": "run/y[0]", "z": 2}}
    else:
        mark = {"semicolon": ";", "blanks": "  ", "headless": ","}.get(kind, ",")
        head = [] if kind == "headless" else [mark.join(["t", "y0", "y1"])]
        lines = [mark.join(str(v) for v in row) for row in table]
        write(folder / name, "\ufeff# made by hand\n" + "\r\n".join([*head, *lines, ""]))
    (window,) = build_problem(job({"file": name, "noise_std": 1.0, **keys})).problem.windows
    np.testing.assert_array_equal(window.data, table[:, 1:])


def test_what_is_estimated(folder):
    write(folder / "x.csv", "t,y0,y1\n0,1,4\n1,2,5\n")
    parameters = {
        "beta": {"estimate": True, "per_time": True, "walk_std": 0.1, "start": [1, 2]},
        "rho": {"estimate": True, "bounds": [0, 30], "prior": {"mean": 28, "std": 2}},
        "sigma": {"value": 9.0},
    }
    states = {
        "y": {"bounds": [-50, 5], "start": [-2, -1]},
        "x": {"bounds": [0, 99], "initial_prior": {"mean": 1, "std": 2}},
    }
    tables = {"action": {"model_error_weight": {"z": 3.0}}, "ensemble": {"range": [-5, 5]}}
    problem = build_problem(
        job(DATA, {"name": "lorenz63", "parameters": parameters, "states": states}, **tables)
    ).problem
    (rho,), (beta,) = problem.parameters, problem.varying
    assert (rho.name, rho.bounds, rho.prior) == ("rho", (0.0, 30.0), (28.0, 2.0))
    assert 0 <= rho.start[0] < rho.start[1] <= 30
    assert (beta.name, beta.start, beta.walk_std) == ("beta", (1.0, 2.0), 0.1)
    assert problem.fixed == {"sigma": 9.0}
    np.testing.assert_array_equal(problem.state_start, [[0, 5], [-2, -1], [-5, 5]])
    np.testing.assert_array_equal(problem.state_bounds, [[0, 99], [-50, 5], [-np.inf, np.inf]])
    np.testing.assert_array_equal(problem.model_error_weight, [1, 1, 3])
    assert problem.initial_prior == {"x": (1.0, 2.0)}
    assert problem.size == 2 * 4 + 1


def test_automatic_weights_are_made_of_data_and_ranges(folder):
    """x by its data; y and z, of other ranges, by these."""
    write(folder / "x.csv", "t,y0,y1\n0,1,4\n1,2,5\n2,5,6\n")
    states = {"y": {"start": [0.0, 1e-6]}, "z": {"start": [-4e6, 4e6]}}
    made = job(
        DATA | {"observed": {"x": "y0"}}, {"name": "lorenz63", "states": states},
        action={"model_error_weight": "auto"},
    )  # fmt: skip
    problem = build_problem(made).problem
    spread = np.array([np.std(problem.windows[0].data[:, 0]), 1e-6 / 12**0.5, 8e6 / 12**0.5])
    ratio = problem.model_error_weight * spread**2 / 16
    assert (ratio >= 0.5).all() and (ratio <= 2.0).all()
    again = load_job(tomllib.loads(made.resolved_toml()))
    assert again.action.model_error_weight == "auto"
    np.testing.assert_array_equal(build_problem(again).problem.model_error_weight, problem.model_error_weight)


def test_the_range_may_be_a_table(folder):
    write(folder / "x.csv", "t,y0,y1\n0,1,4\n1,2,5\n")
    problem = build_problem(job(DATA, ensemble={"range": {"y": [1, 2]}})).problem
    own = [state.range for state in problem.model.states]
    np.testing.assert_array_equal(problem.state_start, [own[0], (1, 2), own[2]])


TWIN = {"dt": 0.01, "samples": 21, "observed": ["x0", "x2"], "noise_std": 0.5, "seed": 3, "hold_back": 10}
L96 = {"name": "lorenz96", "options": {"dimension": 5}}


def test_a_twin():
    built = build_problem(job(model=L96, twin={**TWIN, "parameters": {"F": 7.0}, "initial": {"x1": 2.0}}))
    (window,), (beyond,), (truth,) = built.problem.windows, built.beyond, built.truth
    assert window.times == 21
    assert len(beyond.t) == 11
    assert truth.states.shape == (31, 5)
    assert truth.parameters == {"F": 7.0}
    model = lorenz96(dimension=5)
    start = [state.initial for state in model.states]
    start[1] = 2.0
    np.testing.assert_array_equal(truth.states, simulate(model, {"F": 7.0}, start, truth.t))
    noise = np.vstack([window.data, beyond.data[1:]]) - truth.states[:, [0, 2]]
    assert 0.3 < noise.std() < 0.7
    assert built.problem.fixed == {"F": model.defaults["F"]}  # what is fitted does not know the truth


def test_a_twin_depends_on_its_seed_alone():
    def data(**keys):
        return build_problem(job(model=L96, twin={**TWIN, **keys})).problem.windows[0].data

    np.testing.assert_array_equal(data(), data())
    assert (data(seed=4) != data()).all()
    random = data(initial="random", spin_up=1.0)
    np.testing.assert_array_equal(random, data(initial="random", spin_up=1.0))
    assert (random != data(initial="random", spin_up=1.0, seed=4)).all()


def test_steps_between_the_samples_of_a_twin():
    coarse = build_problem(job(model=L96, twin=TWIN))
    fine = build_problem(
        job(model=L96, twin=TWIN, action={"steps_per_sample": 4, "discretization": "hermite-simpson"})
    )
    (a,), (b,) = coarse.problem.windows, fine.problem.windows
    assert b.times == 81
    np.testing.assert_allclose(b.data[::4], a.data, rtol=1e-9)
    assert np.isnan(b.data[1::4]).all()
    assert fine.problem.discretization == "hermite-simpson"


def test_several_twins_have_their_own_noise():
    built = build_problem(job(model=L96, twin=[TWIN, TWIN]))
    a, b = built.problem.windows
    assert (a.data != b.data).all()
    np.testing.assert_array_equal(built.truth[0].states, built.truth[1].states)


def test_a_truth_of_another_model(folder):
    twin = {
        "model": {"name": "neuron.py:other"},
        "dt": 0.1,
        "samples": 5,
        "observed": {"V": "v"},
        "noise_std": 0.1,
        "parameters": {"g": 2.0},
        "stimulus": {
            "I": {"kind": "constant", "value": 1.0},
            "J": {"kind": "sine", "amplitude": 1.0, "period": 2.0},
        },
    }
    built = build_problem(job(model={"name": "neuron.py:neuron"}, twin=twin))
    np.testing.assert_array_equal(built.problem.windows[0].series, np.ones((5, 1)))
    assert built.truth[0].states.shape == (5, 2)
    assert built.truth[0].parameters == {"g": 2.0}

    twin["observed"] = ["x"]
    twin["model"] = {"name": "neuron.py:decay"}
    del twin["parameters"], twin["stimulus"]["J"]
    twin["stimulus"] = {}
    built = build_problem(job(model={"name": "lorenz63"}, twin=twin))
    assert np.isfinite(built.truth[0].states[:, 0]).all()
    assert np.isnan(built.truth[0].states[:, 1:]).all()  # the truth has no such states


def test_a_stimulus_from_a_file(folder):
    write(folder / "i.csv", "time,current\n0,0\n1,10\n2,0\n")
    twin = {"dt": 0.5, "samples": 4, "observed": ["V"], "noise_std": 0.1}
    twin["stimulus"] = {"I": {"file": "i.csv", "time": "time", "column": "current"}}
    built = build_problem(job(model={"name": "neuron.py:neuron"}, twin=twin))
    np.testing.assert_allclose(built.problem.windows[0].series[:, 0], [0, 5, 10, 5])


def test_a_map():
    twin = {"samples": 6, "observed": ["x"], "noise_std": 0.01}
    built = build_problem(job(model={"name": "henon"}, twin=twin, action={"steps_per_sample": 2}))
    assert built.problem.discretization == "map"
    (window,), (truth,) = built.problem.windows, built.truth
    np.testing.assert_array_equal(window.t, np.arange(11.0))
    x, y = truth.states[3]
    p = built.problem.model.defaults
    np.testing.assert_allclose(truth.states[4], [1 - p["a"] * x**2 + y, p["b"] * x])


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("model", ["lorenz96", "nakl"])
def test_the_written_twin_gives_the_same_problem(folder, steps, model):
    twin: dict[str, Any] = {
        "dt": 0.03,
        "samples": 11,
        "observed": {"x0": "a", "x1**2": "b"},
        "noise_std": 0.5,
        "hold_back": 4,
    }
    options: dict[str, Any] = L96
    if model == "nakl":
        twin |= {"observed": ["V"], "stimulus": {"I": {"kind": "chaotic", "scale": 10.0}}}
        options = {"name": "nakl"}
    action = {"steps_per_sample": steps}
    first = job(model=options, twin=twin, action=action)
    files, text = export_twin(first, "job", folder)
    assert [file.name for file in files] == ["job-data.csv", "job-truth.csv"]
    tables = tomllib.loads(text)
    second = job(tables["data"], options, action=tables.get("action", action))
    a, b = build_problem(first), build_problem(second)
    np.testing.assert_allclose(b.problem.windows[0].t, a.problem.windows[0].t, atol=1e-12)
    np.testing.assert_array_equal(b.problem.windows[0].data, a.problem.windows[0].data)
    np.testing.assert_array_equal(b.beyond[0].data, a.beyond[0].data)
    np.testing.assert_allclose(b.problem.windows[0].series, a.problem.windows[0].series)
    with files[1].open() as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["t", *a.problem.model.state_names]
    np.testing.assert_array_equal(np.array(rows[1:], dtype=float)[:, 1:], a.truth[0].states)
    np.testing.assert_array_equal(b.truth[0].t, a.truth[0].t)
    np.testing.assert_array_equal(b.truth[0].states, a.truth[0].states)
    assert b.truth[0].parameters == a.truth[0].parameters


def test_a_truth_beside_the_data(folder):
    write(folder / "x.csv", "t,y0,y1\n0,1,4\n1,2,5\n")
    write(folder / "truth.csv", "time,z,other\n0,7,1\n0.5,8,2\n1,9,3\n")
    name = build_problem(job(DATA)).problem.model.parameter_names[0]
    truth = {"file": "truth.csv", "time": "time", "parameters": {name: 2.0}}
    (found,) = build_problem(job({**DATA, "truth": truth})).truth
    at = build_problem(job(DATA)).problem.model.state_names.index("z")
    assert found.t.tolist() == [0.0, 0.5, 1.0] and found.parameters == {name: 2.0}
    assert found.states[:, at].tolist() == [7.0, 8.0, 9.0]
    assert np.isnan(np.delete(found.states, at, axis=1)).all()


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        ({"file": "none.csv"}, "none.csv"),
        ({"file": "x.csv"}, "no column named after a state"),
        ({"file": "back.csv"}, "do not increase"),
        ({"parameters": {"nothing": 1.0}}, "nothing"),
        ({"files": "x.csv"}, "not a key"),
        ({}, "is missing, as is parameters"),
        ({"file": "late.csv"}, "none of the times of late.csv is a time of the path"),
    ],
)
def test_a_wrong_truth_is_refused(folder, truth, words):
    write(folder / "x.csv", "t,y0,y1\n0,1,4\n1,2,5\n")
    write(folder / "back.csv", "t,z\n1,1\n0,2\n")
    write(folder / "late.csv", "t,z\n0.1,1\n1.1,2\n")
    with pytest.raises(InputError, match=words):
        build_problem(job({**DATA, "truth": truth}))


def test_a_note_where_nothing_is_estimated(folder):
    write(folder / "x.csv", "t,y0,y1\n0,1,4\n1,2,\n")
    notes = build_problem(job({**DATA, "gaps": True})).notes
    assert any("No parameter" in note for note in notes)


def test_a_note_where_a_quantity_has_no_datum(folder):
    write(folder / "x.csv", "t,y0,y1\n0,1,\n1,2,\n")
    assert any(
        "z is not measured in any window" in note for note in build_problem(job({**DATA, "gaps": True})).notes
    )
