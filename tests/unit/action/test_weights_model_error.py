"""Model errors per step or per time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hpcda
from hpcda.action import SCHEMES, Action
from hpcda.action.chain import chain_action
from hpcda.action.residuals import Residuals
from hpcda.action.weights import loosest, step_weights
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Settings, climbs_of
from hpcda.problem import Window
from hpcda.search.finer import refined
from tests.chance import generator
from tests.unit.problems import example, linear_model

FLOWS = [scheme.name for scheme in SCHEMES.values() if scheme.kind == "flow"]


def power_of_two(problem, dt):
    """The same data at times that are whole multiples of a power of two."""
    windows = [
        Window(dt * np.arange(one.times), one.data, one.noise_std, one.series) for one in problem.windows
    ]
    return replace(problem, windows=tuple(windows))


@pytest.mark.parametrize("scheme", FLOWS)
@settings(max_examples=8, deadline=None)
@given(
    power=st.integers(-9, 3),
    rung=st.integers(-3, 20),
    variant=st.sampled_from(["walk", "nonlinear and gaps"]),
)
def test_per_time_is_per_step_at_rf_over_h_bit_by_bit(scheme, power, rung, variant):
    dt, rf = 2.0**power, 1.7 * 2.0**rung
    step, path = example("lorenz96", scheme, variant)
    step = power_of_two(step, dt)
    time = replace(step, model_error="per time")
    h = dt * SCHEMES[scheme].duration
    assert h == (2.0 * dt if scheme == "hermite-simpson" else dt)
    for one, other in zip(
        Action(time).derivatives(path, rf)[1:], Action(step).derivatives(path, rf / h)[1:], strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("scheme", FLOWS)
def test_whole_climbs_are_the_same_bit_by_bit(scheme):
    """The minimizer sees nothing but the weights: paths of all rungs agree."""
    step, path = example("lorenz96", scheme, "states alone")
    step = power_of_two(step, 2.0**-5)
    h = 2.0**-5 * SCHEMES[scheme].duration
    ends = []
    for problem, first in ((step, 0.5 / h), (replace(step, model_error="per time"), 0.5)):
        climbs = climbs_of(Action(problem), Ladder(first, 4.0, 6), 2, Settings())
        climbs.put(0, 0, path, 0, True)
        found = []
        while climbs.active:
            climbs.advance(1000)
            found += [one.rung.path for one in climbs.reached()]
        ends.append(found)
    assert len(ends[0]) == 6
    np.testing.assert_array_equal(*ends)


def test_every_form_of_the_action_has_the_same_weights():
    """Windows of different steps: the compiled chain, the graph and the sum of squares agree."""
    problem, path = example("lorenz63", "hermite-simpson", "nonlinear and gaps", model_error="per time")
    other = problem.windows[1]
    finer = Window(other.t[0] + 0.25 * (other.t - other.t[0]), other.data, other.noise_std, other.series)
    problem = replace(problem, windows=(problem.windows[0], finer))
    action, graph, rf = Action(problem), chain_action(problem), 3.0
    parts, gradient = action.gradient(path, rf)
    np.testing.assert_allclose(graph.gradient(path, rf)[1], gradient, rtol=1e-10, atol=1e-9)
    squares = Residuals(action).evaluate(path, rf)[0]
    np.testing.assert_allclose(0.5 * squares @ squares, parts.total, rtol=1e-12)
    by_hand = 0.0
    for number, window in enumerate(problem.windows):
        errors = action.model_errors(number, path)[0].reshape(-1, problem.dimension)
        by_hand += 0.5 * rf * float(np.sum(problem.model_error_weight * errors**2)) / (2.0 * window.dt)
    np.testing.assert_allclose(parts.model, by_hand, rtol=1e-12)
    np.testing.assert_array_equal(loosest(problem), step_weights(problem, problem.windows[0])[0])


def test_the_model_term_goes_over_into_the_integral():
    """Along one smooth curve: it settles as 1/N² per time, and falls as 1/N per step."""
    model = linear_model("flow")

    def values(kind):
        found = []
        for times in (41, 81, 161, 321):
            t = np.linspace(0.0, 2.0, times)
            nothing = np.full((times, 1), np.nan)
            problem, _ = example(model, "trapezoid", "states alone", model_error=kind)
            window = Window(t, nothing, np.ones((times, 1)), np.zeros((times, 0)))
            problem = replace(problem, windows=(window,), observed={"y": "x"})
            curve = np.stack([np.sin(t), np.cos(2.0 * t), t**2], axis=1)
            found.append(Action(problem).value(problem.join([curve], np.zeros(0)), 1.0).model)
        return np.array(found)

    time, step = values("per time"), values("per step")
    orders = np.log2(np.diff(time)[:-1] / np.diff(time)[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.05)
    np.testing.assert_allclose(np.log2(step[:-1] / step[1:]), 1.0, atol=0.05)


def test_a_finer_step_weights_more():
    problem, _ = example("lorenz63", "trapezoid", "states alone", model_error="per time")
    finer = refined(problem, 4)
    weights = step_weights(problem, problem.windows[0])
    np.testing.assert_allclose(step_weights(finer, finer.windows[0])[0], 4.0 * weights[0], rtol=1e-12)


def test_maps_and_unknown_words_are_refused():
    t, y = np.arange(20.0), {"x": np.zeros(20)}
    with pytest.raises(
        hpcda.InputError, match=r'(?s)action.model_error.*"per time", but henon is a map.*"per step"'
    ):
        hpcda.Problem("henon", t, y, 0.1, model_error="per time")
    with pytest.raises(hpcda.InputError, match="model_error"):
        hpcda.Problem("lorenz63", t, y, 0.1, steps_per_sample=1, model_error="per second")


def test_a_job_says_it_and_the_problem_knows(tmp_path):
    t = 0.02 * np.arange(21)
    problem = hpcda.Problem("lorenz63", t, {"x": np.sin(t)}, 0.1, steps_per_sample=2, model_error="per time")
    built = problem.built.problem
    assert built.model_error == "per time"
    np.testing.assert_allclose(
        step_weights(built, built.windows[0])[0], built.model_error_weight / 0.01, rtol=1e-12
    )
    assert (
        hpcda.Problem("lorenz63", t, {"x": np.sin(t)}, 0.1, steps_per_sample=2).built.problem.model_error
        == "per step"
    )


def test_a_whole_run_its_verdict_and_momenta_are_the_same():
    """Lorenz 1963 at steps of 2⁻⁶: every number of the two runs agrees, and so does what is said of them."""
    t = np.arange(65) / 64.0
    x, y, z = np.array([1.5, 2.0, 20.0]), [], 1.0 / 64.0
    for _ in t:
        y.append(x[0])
        for _ in range(20):
            rate = np.array([10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]])
            x = x + z / 20 * rate
    data = {"x": np.array(y) + 0.3 * generator(5).normal(size=len(t))}
    found = []
    for kind, rf0 in (("per step", 64.0 * 0.01), ("per time", 0.01)):
        problem = hpcda.Problem("lorenz63", t, data, 0.3, steps_per_sample=1, model_error=kind)
        ladder = hpcda.Ladder(rf0=rf0, alpha=4.0, rungs=10)
        found.append(hpcda.anneal(problem, starts=6, ladder=ladder))
    step, time = found
    np.testing.assert_array_equal(step.x, time.x)
    assert step.message == time.message
    assert step.obedience == time.obedience
    np.testing.assert_array_equal(step.time_step.shift.path, time.time_step.shift.path)
    assert step.candidate == time.candidate
    np.testing.assert_array_equal(step.momentum.leaving, time.momentum.leaving)
    np.testing.assert_array_equal(step.energy.energy, time.energy.energy)


def test_a_stored_run_knows_it(tmp_path):
    t = np.arange(33) / 64.0
    problem = hpcda.Problem("lorenz63", t, {"x": np.sin(t)}, 0.3, steps_per_sample=1, model_error="per time")
    job = problem.job(hpcda.Ladder(rf0=0.01, alpha=4.0, rungs=4), ensemble={"starts": 2})
    assert job.action.model_error == "per time"
    table = {
        "model": {"name": "lorenz63"},
        "twin": {"samples": 33, "dt": 0.02, "noise_std": 0.5, "observed": ["x"]},
        "action": {"model_error": "per time", "steps_per_sample": 1},
        "ladder": {"rf0": 0.01, "alpha": 4.0, "rungs": 4},
        "ensemble": {"starts": 2},
    }
    hpcda.run(table, output=tmp_path / "run", quiet=True)
    run = hpcda.open_run(tmp_path / "run")
    assert run.file.header.model_error == run.problem.model_error == "per time"
    action, path = Action(run.problem), run.x
    parts = action.value(path, float(run.file.header.rf[-1]))
    np.testing.assert_allclose(parts.total, run.fun, rtol=1e-12)
    summary = hpcda.analysis.analyze(tmp_path / "run", processes=0)
    assert summary["model_error"] == "per time"
    assert summary["momenta"]["imbalance"] < 1e-2
    assert "Mechanics" in (tmp_path / "run" / "analysis" / "report.html").read_text()
    assert "momenta.png" in summary["figures"]
