"""Problems from arrays, ensembles in memory, results in the words of SciPy and xarray."""

import copy
import pickle
import subprocess
import sys
import textwrap

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp

import hpcda
from hpcda.action import Action
from hpcda.models.catalogue import load_model
from hpcda.models.twin import simulate
from tests.chance import generator

STEP, SAMPLES = 0.02, 81
LADDER = hpcda.Ladder(rungs=14, alpha=4.0)


@pytest.fixture(scope="module")
def known():
    """Times, a true path of Lorenz 1963, and x with noise of 0.5."""
    t = STEP * np.arange(SAMPLES)
    states = simulate(load_model("lorenz63"), {"rho": 28.0}, [-5.0, -8.0, 20.0], t)
    return t, states, states[:, 0] + 0.5 * generator(5).standard_normal(SAMPLES)


@pytest.fixture(scope="module")
def problem(known):
    t, _, x = known
    return hpcda.Problem(
        "lorenz63", t, {"x": x}, noise_std=0.5, estimate={"rho": (20.0, 40.0)}, steps_per_sample=2
    )


@pytest.fixture(scope="module")
def result(problem):
    return hpcda.anneal(problem, starts=16, seed=3, ladder=LADDER)


def test_an_ensemble_in_memory_finds_the_truth(result, known):
    assert result.success and result.verdict.code == "consistent_and_stable"
    assert result.message.startswith("The lowest level") and np.isfinite(result.fun)
    rho = result.parameters.sel(parameter="rho")
    assert abs(rho.estimate - 28.0) < 4.0 * rho["std"] and rho.kind == "gaussian"
    path = result.path()
    assert path["path"].dims == ("time", "state") and list(path.state.values) == ["x", "y", "z"]
    off = path["path"].sel(time=known[0], method="nearest").values - known[1]
    assert np.sqrt(np.mean(off**2)) < 0.6
    assert result.x.shape == (3 * (2 * SAMPLES - 1) + 1,) and result.x[-1] == rho.estimate


def test_the_result_is_that_of_a_stored_run_bit_by_bit(problem, result, known, tmp_path):
    np.savez(tmp_path / "data.npz", t=known[0], x=known[2])
    tables = problem.tables | {
        "data": {
            "file": str(tmp_path / "data.npz"), "time": "t", "observed": {"x": "x"}, "noise_std": 0.5
        },
        "ladder": LADDER.table,
        "ensemble": {"starts": 16, "seed": 3},
    }  # fmt: skip
    stored = hpcda.run(tables, tmp_path / "run", quiet=True)
    assert isinstance(stored, hpcda.Result) and stored.file.run_dir == tmp_path / "run"
    np.testing.assert_array_equal(stored.actions.values, result.actions.values)
    np.testing.assert_array_equal(stored.x, result.x)
    assert stored.verdict is result.verdict and stored.evidence.record() == result.evidence.record()
    xr.testing.assert_identical(stored.minima, result.minima)
    xr.testing.assert_identical(stored.parameters, result.parameters)
    xr.testing.assert_allclose(stored.distribution, result.distribution)
    xr.testing.assert_allclose(stored.path(), result.path())


def test_a_model_object_is_run_resumed_and_opened(known, tmp_path):
    model = hpcda.Model(
        name="line",
        states=(hpcda.State("x"),),
        parameters=(hpcda.Parameter("slope", 1.0),),
        equations=lambda x, p: [p.slope],
    )
    np.savez(
        tmp_path / "d.npz", t=np.arange(12.0), y=0.5 * np.arange(12.0) + 0.1 * generator(2).normal(size=12)
    )
    job = {
        "model": {"name": model, "parameters": {"slope": {"estimate": True, "start": [-2.0, 2.0]}}},
        "data": {"file": str(tmp_path / "d.npz"), "time": "t", "observed": {"x": "y"}, "noise_std": 0.1},
        "ladder": {"rungs": 8, "alpha": 10.0},
        "ensemble": {"starts": 4, "way": "quiet"},
    }
    result = hpcda.run(job, tmp_path / "run", quiet=True)
    assert abs(result.candidate.parameters["slope"] - 0.5) < 0.05
    with pytest.raises(hpcda.InputError, match="object of Python"):
        hpcda.resume(tmp_path / "run", quiet=True)
    again = hpcda.resume(tmp_path / "run", model=model, quiet=True)
    assert again.fun == result.fun and again.parameters["std"].notnull().all()
    opened = hpcda.open_run(tmp_path / "run", model=model)
    xr.testing.assert_identical(opened.parameters, result.parameters)


def test_arrays_are_refused_where_a_run_is_stored(problem, tmp_path):
    tables = problem.tables | {"ladder": LADDER.table}
    with pytest.raises(hpcda.InputError, match=r"data.file: holds arrays"):
        hpcda.run(tables, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"noise_std": -1.0}, "data.noise_std: -1.0 is not above 0"),
        ({"y": {"w": np.zeros(SAMPLES)}}, "w"),
        ({"y": {"x": np.zeros(3)}}, r"y\['x'\]: has shape \(3,\), t has shape \(81,\)"),
        ({"y": {"x": np.zeros((SAMPLES, 2))}}, r"y\['x'\]: has shape \(81, 2\)"),
        ({"y": np.zeros(SAMPLES)}, "y: is a ndarray, which does not say what"),
        ({"y": {"x": np.full(SAMPLES, np.nan)}, "gaps": True}, "contains no data"),
        ({"y": {"x": [0.0, np.nan] + [1.0] * (SAMPLES - 2)}}, "column 'x': is empty .*\n.*gaps=True"),
        ({"y": {"x": np.ma.masked_equal(np.arange(SAMPLES), 3)}}, "row 3, column 'x': is empty"),
        ({"t": np.datetime64("2026-01-01") + np.arange(SAMPLES)}, "t: holds dates"),
        ({"noise_std": (0.1, 10.0)}, r"noise_std: \(0.1, 10.0\) is no standard deviation"),
        ({"noise_std": "small"}, "noise_std: 'small' is no standard deviation"),
        ({"estimate": ["rho"]}, r"estimate: \['rho'\] is not a dict"),
        ({"estimate": {"rho": 20.0}}, r"estimate\['rho'\]: 20.0 is not a pair"),
        ({"estimate": {"rho": (1.0, 2.0, 3.0)}}, "is not a pair"),
        ({"estimate": {"rho": hpcda.Estimate(bounds=("a", 2.0))}}, "Estimate.bounds: .* is not a pair"),
        ({"fixed": {"rho": 28.0}}, "estimate: 'rho' stands under fixed as well"),
        ({"fixed": {"sigma": "ten"}}, r"fixed\['sigma'\]: 'ten' is not a number"),
        ({"initial": {"z": (20.0, 5.0)}}, r"initial\['z'\]: \(20.0, 5.0\) is not a Prior"),
        ({"estimate": {"nothing": (0.0, 1.0)}}, "nothing"),
        ({"estimate": {"rho": (40.0, 20.0)}}, "start"),
        ({"t": np.zeros(SAMPLES)}, "time"),
        ({"model": "lorenz6"}, "lorenz63"),
        ({"y": {"x": np.array(["a"] * SAMPLES)}}, "numbers"),
    ],
)
def test_mistakes_are_told(problem, change, told):
    with pytest.raises(hpcda.InputError, match=told):
        problem.replace(**change)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"starts": 0}, "^starts: 0 is below 1"),
        ({"seed": -1}, "^seed: -1 is below 0"),
        ({"way": "quiet", "until": "verdict"}, "^until: is 'verdict'"),
        ({"way": "quiet", "core_seconds": 1}, 'until = "core-seconds" or "verdict"'),
        ({"solver": "nls"}, "solver: 'nls' is not a Solver"),
        ({"ladder": 27}, "ladder: 27 is not a Ladder"),
        ({"core_seconds": "1 min"}, "core_seconds: '1 min' is not a number"),
    ],
)
def test_mistaken_options_are_told(problem, options, told):
    with pytest.raises(hpcda.InputError, match=told):
        hpcda.anneal(problem, **options)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"bounds": {"x": (-1.0, 1.0)}}, r"σ outside the bounds of x, \[-1, 1\]"),
        ({"y": {"x": np.full(SAMPLES, 1e9)}}, "times the width of the range of x"),
        ({"noise_std": 1e4}, "noise_std of x is 10000, and all of its data lie within"),
    ],
)
def test_data_that_contradict_the_rest_are_told_in_a_warning(problem, change, told):
    with pytest.warns(hpcda.DataWarning, match=told) as caught:
        found = problem.replace(**change)
    assert {str(one.message) for one in caught} <= set(found.notes)


def test_times_in_another_unit_are_refused(known):
    t, _, x = known
    model = hpcda.Model(
        name="decay", states=(hpcda.State("x", unit="mV"),), parameters=(), equations=lambda x, p: [-x.x],
        time_unit="ms",
    )  # fmt: skip
    time = xr.DataArray(t, dims="time", attrs={"units": "s"})
    with pytest.raises(hpcda.InputError, match="'s', and the time unit of decay is ms\n.*times by 1000"):
        hpcda.Problem(model, time, {"x": x}, noise_std=0.5)
    own = time.assign_attrs(units="ms")
    with pytest.warns(hpcda.DataWarning, match="gives 'x' in 'V', and x is in mV: nothing was converted"):
        hpcda.Problem(model, own, {"x": xr.DataArray(x, dims="time", attrs={"units": "V"})}, noise_std=0.5)
    same = hpcda.Problem(model, own, xr.Dataset({"x": ("time", x, {"units": "mV"})}), noise_std=0.5)
    assert "nothing was converted" not in " ".join(same.notes)


def test_an_ensemble_needs_a_problem():
    with pytest.raises(hpcda.InputError, match="problem: 'lorenz63' is not a Problem"):
        hpcda.anneal("lorenz63")


def test_the_same_data_in_many_forms_are_one_problem(problem, known):
    t, _, x = known
    frame = pd.DataFrame({"x": x}, index=t)
    dataset = xr.Dataset({"x": ("time", x)}, {"time": t})
    forms = [
        {"y": frame}, {"t": frame.index, "y": {"x": frame.x}}, {"t": list(t), "y": {"x": list(x)}},
        {"t": dataset.time, "y": dataset}, {"noise_std": np.full(SAMPLES, 0.5)},
        {"noise_std": np.float32(0.5)},
        {"estimate": {"rho": np.array([20, 40])}}, {"steps_per_sample": np.int64(2)},
    ]  # fmt: skip
    window = problem.built.problem.windows[0]
    for form in forms:
        other = problem.replace(**form).built.problem.windows[0]
        np.testing.assert_array_equal(other.data, window.data)
        np.testing.assert_array_equal(other.noise_std, window.noise_std)


def test_what_is_missing_is_left_out_where_that_is_meant(problem, known):
    t, _, x = known
    holes = np.where(np.arange(SAMPLES) % 10 == 3, np.nan, x)
    by_nan = problem.replace(y={"x": holes}, gaps=True).built.problem
    masked = np.ma.masked_array(x, np.isnan(holes))
    by_mask = problem.replace(y={"x": masked}, gaps=True).built.problem
    nothing = {"t": None, "y": None, "noise_std": None}
    by_number = problem.replace(
        **nothing, data=hpcda.Data(t, {"x": np.nan_to_num(holes, nan=-999.0)}, 0.5, missing=[-999.0])
    ).built.problem
    rows = np.flatnonzero(~np.isnan(holes))
    by_row = problem.replace(
        **nothing, data=hpcda.Data(t[rows], {"x": x[rows]}, 0.5, gaps=True, sample_step=STEP)
    ).built.problem
    for other in (by_mask, by_number, by_row):
        np.testing.assert_array_equal(other.windows[0].data, by_nan.windows[0].data)
    assert by_nan.measured == len(rows)


def test_the_defaults_come_to_a_verdict(known):
    t, _, x = known
    problem = hpcda.Problem("lorenz63", t, {"x": x}, noise_std=0.5, estimate={"rho": (20, 40)})
    result = hpcda.anneal(problem, starts=32, seed=1)
    assert result.success, result.message
    rho = result.parameters.sel(parameter="rho")
    assert abs(rho.estimate - 28.0) < 4.0 * rho["std"]


def test_parameters_are_labeled_also_where_there_are_none(known):
    t, _, x = known
    rho = hpcda.Estimate(start=(20.0, 40.0), per_time=True, walk_std=0.1)
    problem = hpcda.Problem("lorenz63", t, {"x": x}, 0.5, estimate={"rho": rho}, steps_per_sample=1)
    result = hpcda.anneal(problem, starts=2, way="quiet", ladder=LADDER)
    assert result.parameters.parameter.dtype.kind == "U" and result.parameters.sizes == {"parameter": 0}
    assert result.path()["parameters"].sizes == {"time": SAMPLES, "varying": 1}


def test_an_open_bound_is_none(problem):
    built = problem.replace(bounds={"z": (0.0, None)}).built.problem
    np.testing.assert_array_equal(built.state_bounds[2], [0.0, np.inf])


def test_a_noise_may_be_estimated(known):
    t, states, x = known
    problem = hpcda.Problem("lorenz63", t, {"x": x}, hpcda.Estimate(start=(0.1, 10.0)), steps_per_sample=2)
    result = hpcda.anneal(problem, starts=8, seed=3, ladder=LADDER)
    noise = result.parameters.sel(parameter="noise_std(x)")
    assert abs(noise.estimate - np.std(x - states[:, 0])) < 3.0 * noise["std"]


def test_a_result_is_pickled_and_copied(result):
    for other in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result), copy.copy(result)):
        assert other.fun == result.fun and other.verdict is result.verdict
        np.testing.assert_array_equal(other.x, result.x)
        xr.testing.assert_identical(other.parameters, result.parameters)
        xr.testing.assert_identical(other.predict(), result.predict())


def test_predictions_go_on_from_the_end_of_the_window(result):
    end, rho = float(result.path().time[-1]), float(result.parameters.estimate[0])

    def flow(_, s):
        return [10.0 * (s[1] - s[0]), s[0] * (rho - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]

    begin = result.path()["path"].values[-1]
    for t in ([end + 0.3], end + 0.5, [end + 0.1, end + 0.7], [end, end + 0.2]):
        times = np.atleast_1d(t)
        known = solve_ivp(flow, (end, times[-1]), begin, t_eval=times, rtol=1e-10, atol=1e-10).y.T
        made = result.predict(t=t)
        np.testing.assert_allclose(made["states"], known, rtol=1e-5)
        np.testing.assert_array_equal(made.time, times)
        np.testing.assert_array_equal(made["prediction"].sel(observed="x"), made["states"].sel(state="x"))


@pytest.mark.parametrize("t", [[0.5, 3.0], [3.0, 2.9], [3.0, np.nan], [], [[3.0]]])
def test_predictions_of_other_times_are_refused(result, t):
    with pytest.raises(hpcda.InputError, match="predict: t "):
        result.predict(t=t)


@pytest.mark.parametrize("name", ["path", "predict", "error_bars"])
def test_a_window_that_is_not_there_is_named(result, name):
    with pytest.raises(IndexError, match="window 3: the run has 1, counted from 0"):
        getattr(result, name)(window=3)


def test_numbers_of_numpy_do_in_a_job_as_in_an_ensemble(known, tmp_path):
    np.savez(tmp_path / "d.npz", t=known[0], x=known[2])
    tables = {
        "model": {"name": "lorenz63", "parameters": {"rho": {"estimate": True, "start": np.array([20, 40])}}},
        "data": {
            "file": str(tmp_path / "d.npz"), "time": "t", "observed": {"x": "x"}, "noise_std": np.float32(0.5)
        },
        "ladder": {"rungs": np.int64(3), "first_rungs": (0,)},
        "ensemble": {"starts": np.int32(2), "way": "quiet"},
    }  # fmt: skip
    job = hpcda.load_job(tables)
    assert (
        type(job.ensemble.starts) is int and job.ladder.rungs == 3 and tuple(job.ladder.first_rungs) == (0,)
    )


def test_either_arrays_or_windows_are_given(known):
    t, _, x = known
    with pytest.raises(hpcda.InputError, match="y: is missing"):
        hpcda.Problem("lorenz63", t)
    with pytest.raises(hpcda.InputError, match="data: stands beside t, y"):
        hpcda.Problem("lorenz63", t, {"x": x}, data=hpcda.Data(t, {"x": x}, 0.5))
    with pytest.raises(hpcda.InputError, match="data: stands beside noise_std, loss"):
        hpcda.Problem("lorenz63", noise_std=0.5, loss="huber", data=hpcda.Data(t, {"x": x}, 0.5))


def test_a_problem_of_one_window_takes_what_a_window_takes():
    """The same as with the same arguments in a `Data`: a loss, a stimulus, data kept back."""
    t = 0.02 * np.arange(60)
    counts = np.round(5.0 + 4.0 * np.sin(3.0 * t))
    window = {"loss": "poisson", "hold_back": 10}
    short = hpcda.Problem("lorenz63", t, {"exp(x/9)": counts}, **window, estimate={"rho": (20, 40)})
    long = hpcda.Problem(
        "lorenz63", data=hpcda.Data(t, {"exp(x/9)": counts}, **window), estimate={"rho": (20, 40)}
    )
    assert short.tables["data"].keys() == long.tables["data"].keys()
    assert short.built.problem.windows[0].times == long.built.problem.windows[0].times == 50
    path = generator(2).standard_normal(short.built.problem.size)
    values = [Action(one.built.problem).value(path, 1.0).total for one in (short, long)]
    assert values[0] == values[1] and np.isfinite(values[0])
    driven = {"t": t, "y": {"V": counts - 60.0}, "noise_std": 1.0, "stimuli": {"I": 0.1 * counts}}
    one = hpcda.Problem("morris_lecar", **driven, discretization="trapezoid")
    np.testing.assert_array_equal(one.windows[0].stimuli["I"], 0.1 * counts)


def test_several_windows_priors_noise_by_value_and_options(known):
    t, states, x = known
    noise = np.where(t < 0.5, 0.4, 0.8)
    windows = [hpcda.Data(t, {"x": x}, {"x": noise}), hpcda.Data(t, {"x": x + 0.1, "z": states[:, 2]}, 0.5)]
    problem = hpcda.Problem(
        "lorenz63", data=windows,
        estimate={"rho": hpcda.Estimate((20.0, 40.0), bounds=(0.0, 60.0), prior=hpcda.Prior(28.0, 3.0))},
        bounds={"z": (-10.0, 80.0)}, states={"y": (-20.0, 20.0)}, initial={"y": hpcda.Prior(-8.0, 2.0)},
        fixed={"beta": 8 / 3},
    )  # fmt: skip
    built = problem.built.problem
    assert len(built.windows) == 2 and built.prior_terms == 3 and built.bounded
    np.testing.assert_array_equal(np.unique(built.windows[0].noise_std[:, 0]), [0.4, 0.8])
    assert "2 windows" in repr(problem)


def test_pictures_take_and_give_axes(result):
    mpl.use("Agg")
    figure = Figure()
    axes = figure.add_subplot()
    assert result.plot.levels(ax=axes) is axes and axes.get_ylabel() == "action $A$"
    for draw in (result.plot.actions, result.plot.parameter, result.plot.path):
        made = draw(ax=figure.add_subplot())
        assert made.has_data()
    with pytest.raises(ValueError, match="there are: x, y, z"):
        result.plot.path("q")
    with pytest.raises(ValueError, match="there are: rho"):
        result.plot.parameter("q")


@pytest.mark.filterwarnings("error")
def test_levels_below_zero_of_starts_that_have_not_ended_are_drawn(result):
    mpl.use("Agg")
    other = pickle.loads(pickle.dumps(result))
    action = other.file._table["action"]
    action -= action[np.isfinite(action)].max() + 1000.0
    action[:, -1] = np.nan
    axes = other.plot.levels(ax=Figure().add_subplot())
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "linear" and low < np.nanmin(action) < np.nanmax(action) < high


def test_a_notebook_shows_verdict_levels_and_parameters(result):
    text = result._repr_html_()
    assert "consistent_and_stable" in text and "<td>rho</td>" in text and "<script" not in text


def test_minima_are_labeled(result):
    minima = result.minima
    assert minima["parameters"].dims == ("minimum", "parameter")
    assert float(minima.action[0]) == result.fun and minima["count"].sum() == result.outcome.complete.sum()
    with pytest.raises(ValueError, match="in memory"):
        _ = result.file.run_dir


def test_options_that_do_not_fit_are_told(problem):
    with pytest.raises(hpcda.InputError, match=r"ladder\.alpha"):
        hpcda.anneal(problem, ladder=hpcda.Ladder(alpha=0.5))
    with pytest.raises(hpcda.InputError, match="^way: "):
        hpcda.anneal(problem, way="nothing")
    with pytest.raises(hpcda.InputError, match=r"solver\.minimizer"):
        hpcda.anneal(problem, solver=hpcda.Solver(minimizer="nothing"))


def test_nothing_of_mpi_petsc_or_hdf5_is_loaded_in_memory():
    code = """
        import sys
        import numpy as np
        import hpcda
        t = 0.1 * np.arange(21)
        problem = hpcda.Problem("lorenz63", t, {"x": np.sin(t)}, noise_std=0.5)
        ladder = hpcda.Ladder(rungs=3, alpha=10.0)
        result = hpcda.anneal(problem, starts=4, way="quiet", ladder=ladder, progress=True)
        result.fun, result.message, result.minima, result.actions
        print(sorted({"mpi4py", "petsc4py", "h5py"} & set(sys.modules)))
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]" and "4 of 4 starts" in found.stderr


def test_what_petsc_or_mpi_are_asked_for_without_them_is_told():
    """In a process where they cannot be imported."""
    code = """
        import sys
        import importlib.util
        real, absent = importlib.util.find_spec, ("petsc4py", "mpi4py")
        importlib.util.find_spec = lambda name, *more: None if name in absent else real(name, *more)
        import numpy as np
        import hpcda
        t = 0.1 * np.arange(21)
        problem = hpcda.Problem("lorenz63", t, {"x": np.sin(t)}, noise_std=0.5)
        for solver in (hpcda.Solver(minimizer="nls"), hpcda.Solver(petsc={"tao_gatol": 1e-9})):
            try:
                hpcda.anneal(problem, starts=2, ladder=hpcda.Ladder(rungs=3, alpha=10.0), solver=solver)
            except hpcda.InputError as error:
                print(error)
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert found.stdout.count("petsc4py is not installed") == 2 and "pip install 'hpcda[mpi]'" in found.stdout
