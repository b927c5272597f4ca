"""Uneven sample times: the points of the path, what is refused, and estimates from them."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import hpcda
from hpcda.build import build_problem
from hpcda.job import load_job
from tests.chance import generator

TIMES = np.array([0.0, 0.1, 0.37, 1.1, 2.513])


def lorenz(t, x):
    return [10.0 * (x[1] - x[0]), x[0] * (28.0 - x[2]) - x[1], x[0] * x[1] - 8.0 / 3.0 * x[2]]


def uneven_times(rng, count, end):
    inner = rng.uniform(0.0, end, 4 * count)
    chosen = np.sort(np.round(inner, 3))
    chosen = chosen[np.concatenate([[True], np.diff(chosen) > 0.004])]
    kept = np.sort(rng.choice(chosen[chosen < end - 0.01], count - 2, replace=False))
    return np.concatenate([[0.0], kept, [end]])


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson", "rk4"])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("longest", [None, 0.2])
def test_points_stand_at_the_times_and_steps_are_no_longer_than_asked(scheme, steps, longest):
    data = hpcda.Data(TIMES, {"x": np.arange(5.0)}, 0.3, uneven=True, sample_step=longest, hold_back=1)
    built = hpcda.Problem("lorenz63", data=data, steps_per_sample=steps, discretization=scheme).built
    (window,) = built.problem.windows
    whole = np.concatenate([window.t, built.beyond[0].t[1:]])
    assert np.isin(TIMES, whole).all() and window.t[-1] == TIMES[-2]
    reference = np.median(np.diff(TIMES)) if longest is None else longest
    assert np.diff(whole).max() <= reference / steps * (1.0 + 1e-5)
    assert np.array_equal(window.data[np.isin(window.t, TIMES), 0], np.arange(4.0))
    assert np.isnan(window.data[~np.isin(window.t, TIMES)]).all()
    if scheme == "hermite-simpson":
        np.testing.assert_allclose(np.diff(window.t)[::2], np.diff(window.t)[1::2], rtol=1e-9)


def test_an_unknown_parameter_and_the_unmeasured_states_are_found():
    rng = generator(1)
    t = uneven_times(rng, 130, 6.0)
    true = solve_ivp(lorenz, (0.0, 6.0), [1.0, 2.0, 20.0], t_eval=t, rtol=1e-10, atol=1e-10).y
    problem = hpcda.Problem(
        "lorenz63", t, {"x": true[0] + 0.1 * rng.standard_normal(len(t))}, 0.1, uneven=True,
        estimate={"rho": (20.0, 40.0)}, steps_per_sample=6, hold_back=10, model_error="per time",
    )  # fmt: skip
    result = hpcda.anneal(problem, starts=8, seed=2)
    rho = result.parameters.sel(parameter="rho")
    assert abs(rho.estimate - 28.0) < 5.0 * rho["std"] and rho["std"] < 0.2
    path = result.path()["path"]
    kept = t[:-10]
    assert np.isin(kept, path.time).all()
    for row, state in ((1, "y"), (2, "z")):
        off = path.sel(state=state, time=kept).values - true[row, :-10]
        assert np.sqrt(np.mean(off**2)) < 0.5
    ahead = result.predict()
    assert np.isin(t[-10:], ahead.time).all()


def test_a_file_and_arrays_give_one_result(tmp_path):
    rng = generator(2)
    t = uneven_times(rng, 30, 1.0)
    x = np.round(rng.normal(size=30), 6)
    np.savetxt(tmp_path / "x.csv", np.stack([t, x], axis=1), delimiter=",", header="t,x", comments="")
    job = {
        "model": {"name": "lorenz63", "parameters": {"rho": {"estimate": True, "start": [20.0, 40.0]}}},
        "data": {"file": str(tmp_path / "x.csv"), "time": "t", "observed": {"x": "x"}, "noise_std": 1.0,
                 "uneven": True},
        "action": {"steps_per_sample": 2, "model_error_weight": "auto"},
        "ladder": {"rf0": 1e-2, "rungs": 6, "alpha": 10.0},
        "ensemble": {"starts": 3, "way": "uniform"},
    }  # fmt: skip
    stored = hpcda.run(job, output=tmp_path / "run", quiet=True)
    problem = hpcda.Problem(
        "lorenz63", t, {"x": x}, 1.0, uneven=True, estimate={"rho": (20.0, 40.0)}, steps_per_sample=2
    )
    memory = hpcda.anneal(
        problem, starts=3, way="uniform", ladder=hpcda.Ladder(rf0=1e-2, rungs=6, alpha=10.0)
    )
    np.testing.assert_array_equal(stored.x, memory.x)
    np.testing.assert_array_equal(hpcda.open_run(tmp_path / "run").path().time, memory.path().time)


def test_what_cannot_be_is_refused():
    even = np.arange(20.0)
    with pytest.raises(hpcda.InputError, match=r"(?s)uneven.*map.*sample_step"):
        hpcda.Problem("henon", even, {"x": np.zeros(20)}, 0.1, uneven=True)
    with pytest.raises(hpcda.InputError, match=r"uneven = true in \[data\] \(in Python uneven=True\)"):
        hpcda.Problem("lorenz63", TIMES, {"x": np.zeros(5)}, 0.1)
    far = np.array([0.0, 1e-3, 2e-3, 1e5])
    with pytest.raises(hpcda.InputError, match=r"the path has \d+ points"):
        hpcda.Problem("lorenz63", far, {"x": np.zeros(4)}, 0.1, uneven=True, steps_per_sample=1)
    shared = {"rho": hpcda.Estimate(start=(20.0, 40.0), per_time=True, walk_std=0.1, per_window=False)}
    windows = [hpcda.Data(TIMES * scale, {"x": np.zeros(5)}, 0.1, uneven=True) for scale in (1.0, 1.0)]
    with pytest.raises(hpcda.InputError, match="time steps range"):
        hpcda.Problem("lorenz63", data=windows, estimate=shared, steps_per_sample=1)


def test_steps_that_differ_are_told_where_each_may_err_as_much():
    columns = {"t": TIMES, "x": np.zeros(5)}
    job = {
        "model": {"name": "lorenz63"},
        "data": {"file": columns, "time": "t", "observed": {"x": "x"}, "noise_std": 1.0, "uneven": True},
        "action": {"steps_per_sample": 1, "discretization": "trapezoid"},
        "ladder": {"rf0": 1e-2, "rungs": 6, "alpha": 10.0},
    }  # fmt: skip
    said = [note for note in build_problem(load_job(job)).notes if "longest step" in note]
    assert len(said) == 1 and "per time" in said[0]
    job["action"]["model_error"] = "per time"
    assert not [note for note in build_problem(load_job(job)).notes if "longest step" in note]
