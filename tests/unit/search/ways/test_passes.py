"""Paths by many passes: what one pass hardly finds, and what no problem may spoil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcda import Model, Parameter, State
from hpcda.problem import Estimated, Problem, Window
from hpcda.search.forecast import Forecast
from hpcda.search.ways import passes as way
from tests.chance import generator
from tests.oracles import ORACLES
from tests.unit.drawing import context_of, draw
from tests.unit.problems import example


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
    rng = generator(4)
    begin = np.array([[1.0], [2.0], [20.0]]) + 3.0 * rng.standard_normal((3, windows))
    truth = forecast.run(empty, 0, 149, begin)
    noisy = truth[:, :1] + 0.5 * rng.standard_normal((150, 1, windows))
    filled = tuple(replace(empty, data=noisy[:, :, k].copy()) for k in range(windows))
    return replace(problem, windows=filled), truth.transpose(2, 0, 1)


def test_forecasts_agree_with_the_data_where_the_state_is_found():
    problem, truth = twin(3)
    passes = way.Passes.begin(context_of(problem), generator(1))
    members = passes.members()
    first = passes.run(members, 8.0, None, last=False)
    second = passes.run(passes.again(first), 4.0, None, last=True)
    assert second.misfit < way.FOUND and np.isfinite(first.misfit)
    blocks, _ = problem.split(draw(problem, "passes"))
    assert np.sqrt(np.mean((np.array(blocks) - truth) ** 2)) < 1.0


def test_parameters_go_on_from_window_to_window():
    problem, _ = example("lorenz63", "trapezoid", "nonlinear and gaps")
    passes = way.Passes.begin(context_of(problem), generator(1))
    one = passes.run(passes.members(), 4.0, None, last=False)
    members = passes.again(one)
    assert len(members) == len(problem.windows) > 1
    lower, upper = passes.context.smoother.bounds
    for first in members:
        assert np.array_equal(first[problem.layout.block :], members[0][problem.layout.block :])
        assert (first.T >= lower).all() and (first.T <= upper).all()


def decay(samples, noise_std=0.03, gross=()):
    """x' = -k x measured from 2.5 on with k = 0.8, which is estimated; values at `gross` are -999."""
    model = Model(
        name="decay",
        states=(State("x", range=(0.0, 3.0)),),
        parameters=(Parameter("k", 0.8, range=(0.1, 2.0)),),
        equations=lambda x, p: [-p.k * x.x],
    )
    t = np.linspace(0.0, 6.0, samples)
    data = 2.5 * np.exp(-0.8 * t) + 0.03 * generator(1).standard_normal(samples)
    data[list(gross)] = -999.0
    window = Window(t, data[:, None], np.full((samples, 1), noise_std), np.zeros((samples, 0)))
    return Problem(
        model,
        "trapezoid",
        (window,),
        {"x": "x"},
        parameters=(Estimated("k", (0.1, 2.0), (0.0, 9.0)),),
        state_start=np.array([[0.0, 3.0]]),
        state_bounds=np.array([[-np.inf, np.inf]]),
        model_error_weight=np.ones(1),
    )


def two_samples():
    """One sample of a decay, and one far above it."""
    problem = decay(2)
    (window,) = problem.windows
    return replace(problem, windows=(replace(window, data=np.array([[0.1], [1.8]])),))


def noise_alone():
    """Lorenz 63, in the place of x white noise as wide as x."""
    problem, _ = twin(1)
    (window,) = problem.windows
    data = generator(1).normal(0.0, 8.0, (150, 1))
    return replace(problem, windows=(replace(window, data=data),))


def counted(problem, seed=1):
    """How many passes a path takes."""
    context, told = context_of(problem), []
    context.meanwhile = lambda: told.append(1)
    path = way.WAY.draw(context, generator(seed))
    assert np.isfinite(path).all()
    return len(told)


@pytest.mark.parametrize(
    "make",
    [noise_alone, lambda: decay(61, gross=(10, 30, 45)), lambda: decay(3, gross=(1,))],
    ids=["white noise", "values of -999", "three samples"],
)
def test_data_that_no_path_explains_are_given_up_after_a_few_runs(make):
    """A path is drawn all the same, that of the best pass. A run whose members are all lost ends earlier."""
    assert way.HOPELESS <= counted(make()) <= way.HOPELESS * way.PATIENCE


@pytest.mark.parametrize("seed", range(1, 7))
def test_passes_over_two_samples_are_few(seed):
    """One forecast alone may agree by chance, so that runs differ; their number ends them."""
    assert counted(two_samples(), seed) < way.MOST + way.RUN


def test_runs_that_are_neither_useless_nor_right_are_bounded_by_their_number(monkeypatch):
    """The noise is said to be half of what it is."""
    monkeypatch.setattr(way, "FOUND", 0.0)
    assert way.MOST <= counted(decay(61, noise_std=0.015)) < way.MOST + way.RUN


def test_what_a_call_takes_is_counted_however_few_the_times(monkeypatch):
    """A hundred calls' worth of work is less than a hundred passes over two samples."""
    monkeypatch.setattr(way, "WORK", 100 * way.CALL)
    monkeypatch.setattr(way, "HOPELESS", 10_000)
    assert 50 < counted(two_samples()) < 100 + way.PATIENCE


def test_work_counts_windows_times_and_steps_of_the_members():
    passes = way.Passes.begin(context_of(twin(2)[0]), generator(1))
    one = passes.run(passes.members(), 8.0, None, last=False)
    size = one.ends[0].size
    assert passes.work(one) == 2 * (way.CALL + 150 * (way.POINT + size))
    finer = replace(passes, substeps=[1, 11]).work(one) - passes.work(one)
    assert finer == pytest.approx(150 * size * 10 * way.SUBSTEP)


@pytest.mark.parametrize(
    ("misfits", "given_up"),
    [
        ([400.0, 350.0, 410.0] * 4, True),
        ([400.0, 350.0, 410.0] * 3, False),
        ([np.inf] * 12, True),
        ([np.inf, *[400.0] * 11], False),
        ([2.0] * 12, False),
        ([6e4, 3e4, 12.0] * 4, False),
    ],
    ids=["alike", "too few yet", "all lost", "some lost", "of use", "far apart"],
)
def test_what_is_hopeless(misfits, given_up):
    assert way.hopeless(misfits) is given_up


def test_little_noise_is_not_taken_for_hopeless():
    """Lorenz 1996, 4 of 20 sites measured with noise of 0.05: most runs are useless, some find the state."""
    problem = ORACLES["lorenz96-20-L4-1"].problem()
    window = problem.windows[0]
    forecast = Forecast(problem)
    states = ORACLES["lorenz96-20-L4-1"].truth.states.T
    members = np.vstack([states, np.full((len(problem.seen), states.shape[1]), 8.0)])
    noise = generator(1).normal(0.0, 0.05, window.data.shape)
    data = forecast.observe(window, 0, members).T[: len(window.data)] + noise
    little = replace(window, data=data, noise_std=np.full_like(data, 0.05))
    passes = way.Passes.begin(context_of(replace(problem, windows=(little,))), generator(1))
    misfits = []
    for _ in range(12):
        members, least = passes.members(), np.inf
        for _ in range(way.PATIENCE):
            one = passes.run(members, 16.0, None, last=False)
            least, members = min(least, one.misfit), passes.again(one)
        misfits.append(least)
    assert max(misfits) > way.USELESS and not way.hopeless(misfits)
