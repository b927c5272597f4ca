"""Paths by many passes: what one pass hardly finds, and what no problem may spoil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from drawing import draw, scene_of
from problems import example

from hpcda.problem import Window
from hpcda.search.forecast import Forecast
from hpcda.search.ways import passes as way
from tests.oracles import ORACLES


def error(problem, oracle, seed, name):
    """Root mean square distance from the truth in the middle of the window."""
    (states,), _ = problem.split(draw(problem, name, seed))
    return np.sqrt(np.mean((states - oracle.truth.states)[40:120] ** 2))


def test_passes_find_the_state_where_one_does_not():
    """Lorenz 1996, 4 of 20 sites measured; the states' spread is 3.6."""
    oracle = ORACLES["lorenz96-20-L4-1"]
    problem = oracle.problem()
    assert sum(error(problem, oracle, seed, "passes") < 1.0 for seed in (1, 2, 3)) >= 2
    assert sum(error(problem, oracle, seed, "smoother") < 1.0 for seed in (1, 2, 3)) <= 1


def twin(windows):
    """Lorenz 63, x measured with noise of 0.5: a problem of windows, and the true states."""
    problem, _ = example("lorenz63", "trapezoid", "states alone")
    forecast, t = Forecast(problem), 0.02 * np.arange(150)
    empty = Window(t, np.full((150, 1), np.nan), np.full((150, 1), 0.5), np.zeros((150, 0)))
    rng = np.random.default_rng(4)
    begin = np.array([[1.0], [2.0], [20.0]]) + 3.0 * rng.standard_normal((3, windows))
    truth = forecast.run(empty, 0, 149, begin)
    noisy = truth[:, :1] + 0.5 * rng.standard_normal((150, 1, windows))
    filled = tuple(replace(empty, data=noisy[:, :, k].copy()) for k in range(windows))
    return replace(problem, windows=filled), truth.transpose(2, 0, 1)


def test_forecasts_agree_with_the_data_where_the_state_is_found():
    problem, truth = twin(3)
    passes = way.Passes.begin(scene_of(problem), np.random.default_rng(1))
    members = passes.members()
    first = passes.run(members, 8.0, None, last=False)
    second = passes.run(passes.again(first), 4.0, None, last=True)
    assert second.misfit < way.FOUND and np.isfinite(first.misfit)
    blocks, _ = problem.split(draw(problem, "passes"))
    assert np.sqrt(np.mean((np.array(blocks) - truth) ** 2)) < 1.0


def test_parameters_go_on_from_window_to_window():
    problem, _ = example("lorenz63", "trapezoid", "nonlinear and gaps")
    passes = way.Passes.begin(scene_of(problem), np.random.default_rng(1))
    one = passes.run(passes.members(), 4.0, None, last=False)
    members = passes.again(one)
    assert len(members) == len(problem.windows) > 1
    lower, upper = passes.scene.smoother.bounds
    for first in members:
        assert np.array_equal(first[problem.block :], members[0][problem.block :])
        assert (first.T >= lower).all() and (first.T <= upper).all()


def test_hopeless_data_end_after_their_work(monkeypatch):
    """Data that no path of the model explains: a path is drawn all the same, that of the best pass."""
    problem, _ = twin(1)
    (window,) = problem.windows
    problem = replace(
        problem, windows=(replace(window, data=np.random.default_rng(1).normal(0, 8, (150, 1))),)
    )
    monkeypatch.setattr(way, "WORK", 1e6)
    assert np.isfinite(draw(problem, "passes")).all()
