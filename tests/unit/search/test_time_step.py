"""What the time step does to a minimum: against SciPy's integrators and fits, closed forms, finer steps."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm, lstsq
from scipy.optimize import least_squares

from hpcda import Model, Parameter, State, Stimulus
from hpcda.action import SCHEMES, Action
from hpcda.action.rates import Rates
from hpcda.models.catalogue import catalogue, load_model
from hpcda.problem import Estimated, Problem, Window
from hpcda.search import finer, local_errors, time_step
from hpcda.search.conclusion import Conclusion, conclude, sentence_of
from hpcda.search.evidence import Level, facts
from hpcda.search.finer import minimum_at, refined, refined_path
from hpcda.search.local_errors import LocalErrors, StepUnknownError
from hpcda.search.time_step import AIM, LARGEST, TimeStep, step_shift
from tests.chance import generator
from tests.unit import epidemic
from tests.unit.problems import SMALL, example, linear_problem

FLOWS = [name for name, scheme in SCHEMES.items() if scheme.kind == "flow"]
RF = 1e6


@cache
def right():
    return epidemic.fitted()


@cache
def outbreak(scheme, steps):
    """The action at so many steps a day, its minimum, and what the step does to it."""
    problem = refined(epidemic.make_problem(scheme), steps)
    action = Action(problem)
    (window,) = problem.windows
    states = epidemic.followed([762.0, 1.0, 0.0], [1.6, 0.45], window.t)
    path = minimum_at(action, problem.join([states], np.array([1.6, 0.45])), RF)
    return action, path, step_shift(action, path, RF)


def test_the_fit_of_the_outbreak_is_the_known_one():
    values, stds, action = right()
    assert values == pytest.approx([1.669, 0.443], abs=1e-3) and action == pytest.approx(5.152, abs=1e-3)
    assert stds[0] == pytest.approx(0.028, abs=1e-3)


@pytest.mark.parametrize(("scheme", "steps"), [(s, 4 if SCHEMES[s].order == 2 else 2) for s in FLOWS])
def test_the_flow_would_give_the_least_squares_fit(scheme, steps):
    """What is told of the flow, from a coarse step alone, is what SciPy's fit finds."""
    action, path, shift = outbreak(scheme, steps)
    values, stds, lowest = right()
    coarse = action.problem.split(path)[1]
    told = np.array([*shift.estimates.values()])
    assert abs(told - values).max() < 0.1 * abs(coarse - values).max()
    assert (abs(told - values) < 0.02 * stds).all()
    assert action.value(path, RF).total + shift.action == pytest.approx(lowest, abs=0.005)


@pytest.mark.parametrize("scheme", FLOWS)
def test_the_shift_goes_as_the_step_to_the_order(scheme):
    shifts = [outbreak(scheme, steps)[2].parameters["beta"] for steps in (4, 8)]
    assert np.log2(shifts[0] / shifts[1]) == pytest.approx(SCHEMES[scheme].order, abs=0.3)


@pytest.mark.parametrize(("scheme", "enough"), [("trapezoid", 5), ("implicit-midpoint", 6)])
def test_too_coarse_a_step_is_told_with_the_number_that_is_enough(scheme, enough):
    action, path, _ = outbreak(scheme, 1)
    found = finer.time_step(action, path, RF)
    assert found.coarse and found.enough == enough and found.left.largest[1] < LARGEST
    assert not outbreak(scheme, enough)[2].largest[1] > LARGEST
    assert found.record()["estimates"] == pytest.approx(
        dict(zip(("beta", "gamma"), right()[0], strict=True)), abs=1e-3
    )
    fine, path, _ = outbreak(scheme, 20)
    assert not finer.time_step(fine, path, RF).coarse


def test_a_path_that_is_dear_is_not_solved_again(monkeypatch):
    monkeypatch.setattr(finer, "MOST_OPERATIONS", 10.0)
    action, path, shift = outbreak("trapezoid", 1)
    found = finer.time_step(action, path, RF)
    assert found.enough == np.ceil((shift.largest[1] / AIM) ** 0.5) and found.left is None
    assert "by the order" in found.advice


def errors_by_scipy(problem, number, block, shared):
    """The errors that the flow leaves in the formulas of the four discretizations, written out."""
    window, model, dt = problem.windows[number], problem.model, problem.windows[number].dt
    varying = [q.name for q in problem.varying]

    def rate(t, x):
        series = [np.interp(t, window.t, column) for column in window.series.T]
        p = dict(problem.fixed) | dict(zip((one.name for one in problem.parameters), shared, strict=True))
        inside = np.array([np.interp(t, window.t, column) for column in block[:, len(x) :].T])
        p |= dict(zip(varying, inside, strict=True))
        p |= dict(zip(problem.series, series[len(model.stimuli) :], strict=True))
        u = dict(zip(model.stimulus_names, series[: len(model.stimuli)], strict=True))
        return np.array(model(x, p, u, t), dtype=float)

    def flow(x, t):
        return solve_ivp(rate, (t, t + dt), x, "DOP853", rtol=1e-13, atol=1e-13).y[:, -1]

    found = []
    for n in range(0, window.times - 1, SCHEMES[problem.discretization].span):
        t, x = window.t[n], block[n, : problem.dimension]
        y = flow(x, t)
        if problem.discretization == "trapezoid":
            found.append(y - x - dt / 2 * (rate(t, x) + rate(t + dt, y)))
        elif problem.discretization == "implicit-midpoint":
            found.append(y - x - dt * rate(t + dt / 2, (x + y) / 2))
        elif problem.discretization == "heun":
            a = rate(t, x)
            found.append(y - x - dt / 2 * (a + rate(t + dt, x + dt * a)))
        elif problem.discretization == "rk4":
            a = rate(t, x)
            b = rate(t + dt / 2, x + dt / 2 * a)
            c = rate(t + dt / 2, x + dt / 2 * b)
            found.append(y - x - dt / 6 * (a + 2 * b + 2 * c + rate(t + dt, x + dt * c)))
        else:
            z = flow(y, t + dt)
            f, g, h = rate(t, x), rate(t + dt, y), rate(t + 2 * dt, z)
            whole = z - x - dt / 3 * (f + 4 * g + h)
            found.append(np.concatenate([whole, y - (x + z) / 2 - dt / 4 * (f - h)]))
    return np.array(found)


@pytest.mark.parametrize("scheme", FLOWS)
@pytest.mark.parametrize(
    ("name", "variant"),
    [(name, "walk") for name in catalogue() if load_model(name, SMALL.get(name)).kind == "flow"]
    + [("nakl", "independent and series")],
)
def test_local_errors_are_those_of_the_flow(name, variant, scheme):
    problem, _ = example(name, scheme, variant, dt=0.01)
    action = Action(problem)
    rng = generator(3)
    low, high = problem.state_start.T
    middle, width = (low + high) / 2, high - low
    number = len(problem.windows) - 1
    times = problem.windows[number].times
    states = middle + 0.1 * width * rng.uniform(-1, 1, (times, len(low)))
    varying = [rng.uniform(*q.start, times) for q in problem.varying]
    block = np.column_stack([states, *varying])
    shared = np.array([rng.uniform(*p.start) for p in problem.parameters])
    blocks = [np.ones((window.times, problem.layout.block)) for window in problem.windows[:-1]]
    path = problem.join([*blocks, block], shared)
    found = LocalErrors(action, Rates(action.equations), number, path).values
    wanted = errors_by_scipy(problem, number, block, shared)
    scale = np.abs(wanted).max(axis=0) + 1e-11 * np.tile(width, SCHEMES[scheme].errors)
    assert (np.abs(found - wanted) / scale).max() < 2e-3


STIFFNESS, FRICTION = 4.0, 0.3
MATRIX = np.array([[0.0, 1.0], [-STIFFNESS, -FRICTION]])


def oscillator(x, p, u):
    return [x.v, -STIFFNESS * x.x - FRICTION * x.v + p.pull + u.I]


def linear_flow(scheme, varying=False, dt=0.1, bounds=(-np.inf, np.inf)):
    """A driven oscillator in two windows, one with a gap; `pull` is one number, or one for each time."""
    model = Model(
        name="oscillator",
        states=(State("x", range=(-2, 2)), State("v", range=(-4, 4))),
        parameters=(Parameter("pull", 0.2, range=(-1, 1)),),
        stimuli=(Stimulus("I"),),
        equations=oscillator,
    )
    rng = generator(5)
    windows = []
    for begin, times in ((0.0, 41), (7.0, 31)):
        t = begin + dt * np.arange(times)
        data = rng.normal(0.0, 1.0, (times, 1)) * 0.1 + np.sin(1.7 * t)[:, None]
        data[10:13] = np.nan
        windows.append(Window(t, data, np.full_like(data, 0.1), np.cos(0.9 * t)[:, None]))
    pull = Estimated("pull", (-1.0, 1.0), bounds, prior=(0.0, 3.0), walk_std=0.5 if varying else None)
    return Problem(
        model=model,
        discretization=scheme,
        windows=tuple(windows),
        observed={"x": "x"},
        parameters=() if varying else (pull,),
        varying=(pull,) if varying else (),
        state_start=np.array([[-2.0, 2.0], [-4.0, 4.0]]),
        state_bounds=np.tile([-np.inf, np.inf], (2, 1)),
        model_error_weight=np.ones(2),
    )


def exact_minimum(problem, rf):
    """The minimum under the exact flow, by linear least squares: x(n+1) = E x(n) + G0 f(n) + G1 f(n+1).

    The force f is linear between the points; E, G0, G1 from one exponential (C. F. Van Loan, IEEE Trans.
    Autom. Control 23, 395 (1978)).
    """
    dt, size = problem.windows[0].dt, problem.size
    big = np.zeros((4, 4))
    big[:2, :2], big[:2, 2], big[2, 3] = MATRIX, [0.0, 1.0], 1.0 / dt
    whole = expm(dt * big)
    step, first, second = whole[:2, :2], whole[:2, 2] - whole[:2, 3], whole[:2, 3]
    rows, values = [], []

    def row(weights, value, precision):
        line = np.zeros(size)
        for place, weight in weights:
            line[place] += weight
        rows.append(line * np.sqrt(precision))
        values.append(value * np.sqrt(precision))

    for window, offset in zip(problem.windows, problem.layout.begins, strict=False):
        for n in range(window.times):
            at = offset + n * problem.layout.block
            pull = at + 2 if problem.varying else problem.layout.tail.start
            if np.isfinite(window.data[n, 0]):
                row([(at, 1.0)], window.data[n, 0], window.noise_std[n, 0] ** -2)
            if problem.varying:
                row([(pull, 1.0)], 0.0, 3.0**-2)
            if n + 1 == window.times:
                continue
            after = pull + problem.layout.block if problem.varying else pull
            if problem.varying:
                row([(after, 1.0), (pull, -1.0)], 0.0, 1.0 / (0.5**2 * dt))
            known = first * window.series[n, 0] + second * window.series[n + 1, 0]
            for k in range(2):
                terms = [(at + problem.layout.block + k, 1.0), (at, -step[k, 0]), (at + 1, -step[k, 1])]
                row([*terms, (pull, -first[k]), (after, -second[k])], known[k], rf)
    if problem.parameters:
        row([(problem.layout.tail.start, 1.0)], 0.0, 3.0**-2)
    return lstsq(np.array(rows), np.array(values))[0]


@pytest.mark.parametrize("varying", [False, True])
@pytest.mark.parametrize("scheme", FLOWS)
def test_stimuli_windows_gaps_and_parameters_of_one_time(scheme, varying):
    """A linear model, whose minimum under the exact flow is a closed form."""
    problem = linear_flow(scheme, varying)
    action = Action(problem)
    # So large that it does not matter how the discretization weighs the model errors that are left.
    rf = 1e9
    path = minimum_at(action, np.zeros(problem.size), rf)
    shift = step_shift(action, path, rf)
    wanted = exact_minimum(problem, rf) - path
    assert np.abs(wanted).max() > 1e-5
    # Hermite-Simpson is of fourth order only where parameters of one time are smooth.
    part = 0.15 if scheme == "hermite-simpson" and varying else 0.05
    assert np.abs(shift.path - wanted).max() < part * np.abs(wanted).max()
    assert set(shift.states) == {"x", "v", "pull"} if varying else {"x", "v"}


def test_an_unknown_at_a_bound_stays_there():
    free = linear_flow("trapezoid")
    found = minimum_at(Action(free), np.zeros(free.size), RF)[-1]
    problem = linear_flow("trapezoid", bounds=(-np.inf, found - 0.5))
    action = Action(problem)
    path = minimum_at(action, np.zeros(problem.size), RF)
    shift = step_shift(action, path, RF)
    assert path[-1] == pytest.approx(found - 0.5) and shift.parameters == {"pull": 0.0}
    known = replace(problem, parameters=(), fixed={"pull": found - 0.5})
    same = step_shift(Action(known), path[:-1], RF)
    np.testing.assert_allclose(shift.path[:-1], same.path, rtol=1e-6, atol=1e-12)


def exploding(x, p):
    return [x.x**2]


def test_a_flow_that_cannot_be_followed_is_told():
    model = Model(name="exploding", states=(State("x", range=(0, 2)),), parameters=(), equations=exploding)
    t = np.arange(5.0)
    window = Window(t, np.ones((5, 1)), np.ones((5, 1)), np.zeros((5, 0)))
    problem = Problem(
        model=model,
        discretization="trapezoid",
        windows=(window,),
        observed={"x": "x"},
        state_start=np.array([[0.0, 2.0]]),
        state_bounds=np.array([[-np.inf, np.inf]]),
        model_error_weight=np.ones(1),
    )
    found = finer.time_step(Action(problem), np.full(5, 3.0), 1.0)
    said, fact, sentence = judged(found)
    assert found.coarse and said is Conclusion.CONSISTENT_STEP_TOO_COARSE and sentence.endswith('"auto".')
    assert "standard deviations" not in sentence
    assert fact["time step"] == "too coarse: the flow grows without bound within a single step"


@pytest.mark.parametrize("scheme", FLOWS)
def test_steps_that_follow_their_error_tell_the_same(monkeypatch, scheme):
    action, path, shift = outbreak(scheme, 1 if scheme != "hermite-simpson" else 2)
    monkeypatch.setattr(local_errors, "MOST_SUBSTEPS", 4)
    found = step_shift(action, path, RF)
    assert not found.stiff and found.parameters == pytest.approx(shift.parameters, rel=1e-3)
    np.testing.assert_allclose(found.path, shift.path, rtol=1e-3, atol=1e-4 * np.abs(shift.path).max())


@pytest.mark.parametrize("varying", [False, True])
@pytest.mark.parametrize("scheme", FLOWS)
def test_they_know_stimuli_and_parameters_of_one_time(monkeypatch, scheme, varying):
    """Neighboring intervals share a point, whose parameter moves in one of them alone."""
    problem = linear_flow(scheme, varying)
    action, path = Action(problem), generator(8).normal(0.0, 1.0, problem.size)
    rates, number = Rates(action.equations), 1
    usual = LocalErrors(action, rates, number, path)
    multipliers = generator(9).normal(0.0, 1.0, usual.values.shape)
    monkeypatch.setattr(local_errors, "MOST_SUBSTEPS", 4)
    monkeypatch.setattr(local_errors, "SETTLED", 1e-12)
    found = LocalErrors(action, rates, number, path)
    np.testing.assert_allclose(found.values, usual.values, atol=1e-3 * np.abs(usual.values).max())
    slopes = []
    for one in (usual, found):
        places, parts = one.gradient(multipliers)
        slopes.append(np.bincount(places, weights=parts, minlength=problem.size))
    np.testing.assert_allclose(slopes[1], slopes[0], atol=2e-3 * np.abs(slopes[0]).max())


def test_a_flow_that_takes_too_long_is_told(monkeypatch):
    monkeypatch.setattr(local_errors, "MOST_RATES", 4.0)
    monkeypatch.setattr(local_errors, "MOST_FOLLOWED", 4.0)
    action, path, _ = outbreak("trapezoid", 1)
    found = finer.time_step(action, path, RF)
    said, fact, _ = judged(found)
    assert not found.coarse and said is Conclusion.CONSISTENT_AND_STABLE
    assert fact["time step"] == "not known: integrating all steps would take too long"


def robertson(x, p):
    first, second, third = p.k1 * x.a, 3e7 * x.b**2, 1e4 * x.b * x.c
    return [third - first, first - second - third, second]


def kinetics(times, dt):
    """Robertson's kinetics observed without noise, and SciPy's path of them."""
    unit = (0.0, 1.0)
    model = Model(
        name="robertson",
        states=(State("a", range=unit), State("b", range=(0, 1e-4)), State("c", range=unit)),
        parameters=(Parameter("k1", 0.04),),
        equations=robertson,
    )
    t = dt * np.arange(times)
    path = solve_ivp(
        lambda _, x: [
            1e4 * x[1] * x[2] - 0.04 * x[0],
            0.04 * x[0] - 3e7 * x[1] ** 2 - 1e4 * x[1] * x[2],
            3e7 * x[1] ** 2,
        ],
        (0.0, t[-1]), [1.0, 0.0, 0.0], "Radau", t, rtol=1e-10, atol=1e-14,
    ).y.T  # fmt: skip
    data = path[:, ::2]
    problem = Problem(
        model=model,
        discretization="trapezoid",
        windows=(Window(t, data, np.full_like(data, 0.01), np.zeros((times, 0))),),
        observed={"a": "a", "c": "c"},
        parameters=(Estimated("k1", (0.0, 0.1), (-np.inf, np.inf)),),
        state_start=np.array([unit, (0.0, 1e-4), unit]),
        state_bounds=np.tile([-np.inf, np.inf], (3, 1)),
        model_error_weight=np.array([1e3, 1e10, 1e3]),
    )
    return problem, path


def test_local_errors_of_a_stiff_model():
    """Against SciPy's implicit integrator, in the formula of the trapezoid rule."""
    dt = 10.0
    problem, path = kinetics(21, dt)
    action = Action(problem)
    found = LocalErrors(action, Rates(action.equations), 0, problem.join([path], np.array([0.04])))
    assert found.stiff
    rates = np.array([robertson(State3(*x), Known(0.04)) for x in path])
    # The path is the flow's own: where it begins and where it is carried are its points.
    wanted = np.diff(path, axis=0) - dt / 2 * (rates[1:] + rates[:-1])
    np.testing.assert_allclose(found.values, wanted, atol=1e-5 * np.abs(wanted).max(axis=0).min())


State3 = namedtuple("State3", "a b c")
Known = namedtuple("Known", "k1")


def test_a_stiff_model_is_not_told_what_first_order_does_not_tell():
    """A state that follows another at once; under the trapezoid rule it overshoots from step to step."""
    model = Model(
        name="follower",
        states=(State("x", range=(0, 2)), State("y", range=(0, 2))),
        parameters=(),
        equations=lambda x, p: [-1e6 * (x.x - x.y), -0.1 * x.y],
    )
    t = np.arange(21.0)
    data = np.exp(-0.1 * t)[:, None] + 0.01 * generator(6).normal(size=(21, 2))
    problem = Problem(
        model=model,
        discretization="trapezoid",
        windows=(Window(t, data, np.full_like(data, 0.01), np.zeros((21, 0))),),
        observed={"x": "x", "y": "y"},
        state_start=np.tile([0.0, 2.0], (2, 1)),
        state_bounds=np.tile([-np.inf, np.inf], (2, 1)),
        model_error_weight=np.ones(2),
    )
    action = Action(problem)
    path = minimum_at(action, np.ones(problem.size), 1e6)
    found = finer.time_step(action, path, 1e6)
    said, fact, sentence = judged(found)
    assert found.stiff and "auto" not in sentence
    assert "standard deviations" not in sentence
    assert found.coarse and said is Conclusion.CONSISTENT_STEP_TOO_COARSE
    assert "as the model is stiff" in fact["time step"] and "as the model is stiff" in sentence


def test_a_path_that_is_too_large_is_told(monkeypatch):
    monkeypatch.setattr(time_step, "MOST_UNKNOWNS", 10)
    action, path, _ = outbreak("trapezoid", 1)
    with pytest.raises(StepUnknownError, match="47 unknowns"):
        step_shift(action, path, RF)


def decay(names, scheme="trapezoid", times=21, dt=0.4):
    """Exponential decay at the rate that is the product of some parameters, observed with some noise."""

    def equations(x, p):
        return [-x.x * np.prod([getattr(p, name) for name in names])]

    model = Model(
        name="decay",
        states=(State("x", range=(0, 3)),),
        parameters=tuple(Parameter(name, 1.0, range=(0.1, 2)) for name in names),
        equations=equations,
    )
    t = dt * np.arange(times)
    data = 2.0 * np.exp(-0.6 * t)[:, None] + 0.003 * generator(4).normal(size=(times, 1))
    return Problem(
        model=model,
        discretization=scheme,
        windows=(Window(t, data, np.full_like(data, 0.003), np.zeros((times, 0))),),
        observed={"x": "x"},
        parameters=tuple(Estimated(name, (0.1, 2.0), (-np.inf, np.inf)) for name in names),
        state_start=np.array([[0.0, 3.0]]),
        state_bounds=np.array([[-np.inf, np.inf]]),
        model_error_weight=np.ones(1),
    )


@pytest.mark.parametrize("scheme", FLOWS)
def test_what_the_data_leave_open_does_not_hide_the_rest(scheme):
    """Two factors of a rate: state, action, and their product are those of one parameter."""
    one, two = decay(["k"], scheme), decay(["k", "q"], scheme)
    action = Action(one)
    path = minimum_at(action, one.join([one.windows[0].data], np.array([0.6])), RF)
    wanted = step_shift(action, path, RF)
    rate, factor = path[-1], 0.5
    path = np.concatenate([path[:-1], [rate / factor, factor]])
    shift = step_shift(Action(two), path, RF)
    assert shift.action == pytest.approx(wanted.action, rel=1e-2, abs=1e-9)
    assert shift.states["x"] == pytest.approx(wanted.states["x"], rel=1e-2)
    k, q = shift.path[-2:]
    assert k * factor + q * rate / factor == pytest.approx(wanted.path[-1], rel=1e-2)
    # Its factors may lie anywhere, so that their shift is nothing.
    assert max(abs(s) for s in shift.parameters.values()) < 0.05 * abs(wanted.parameters["k"]) + 1e-6


def test_the_product_alone_is_told_of_a_flow():
    """From a coarse step, that of SciPy's fit."""
    one = decay(["k", "q"])
    action = Action(one)
    single = Action(decay(["k"]))
    rf = 100 * RF  # SciPy's fit obeys the model
    path = minimum_at(single, np.append(one.windows[0].data, 0.6), rf)
    shift = step_shift(action, np.concatenate([path[:-1], [path[-1] / 0.5, 0.5]]), rf)
    t, data = one.windows[0].t, one.windows[0].data[:, 0]
    fit = least_squares(lambda v: (v[0] * np.exp(-v[1] * t) - data) / 0.003, [2.0, 0.6], xtol=1e-12)
    told = shift.estimates["k"] * 0.5 + path[-1] / 0.5 * (shift.estimates["q"] - 0.5)
    assert abs(path[-1] - fit.x[1]) > 1e-3
    assert abs(told - fit.x[1]) < 0.1 * abs(path[-1] - fit.x[1])


def test_a_jump_beside_an_open_parameter_moves_nothing():
    """Below q = 0 nothing depends on q; a difference that crosses 0 meets the jump of the rate there."""
    one, two = decay(["k"]), decay(["k", "q"])
    model = replace(two.model, equations=lambda x, p: [-p.k * x.x + np.where(p.q < 0, 0.0, 1.0)])
    path = minimum_at(Action(one), np.append(one.windows[0].data, 0.6), RF)
    wanted = step_shift(Action(one), path, RF)
    shift = step_shift(Action(replace(two, model=model)), np.append(path, -1e-6), RF)
    assert abs(shift.parameters["q"]) < 1e-6
    assert shift.parameters["k"] == pytest.approx(wanted.parameters["k"], rel=1e-2)
    assert shift.action == pytest.approx(wanted.action, rel=1e-2)


def test_a_saddle_has_no_error_bars():
    """The rate k² is 0 at k = 0, where decaying data pull k to either side."""
    problem = decay(["k"])
    model = replace(problem.model, equations=lambda x, p: [-(p.k**2) * x.x])
    action = Action(replace(problem, model=model))
    # By symmetry no force acts on k there; the states minimize the action at k = 0.
    still = Action(replace(problem, model=model, parameters=(), fixed={"k": 0.0}))
    path = np.append(minimum_at(still, np.ones(21), RF), 0.0)
    with pytest.raises(StepUnknownError, match="not a minimum: the action decreases"):
        step_shift(action, path, RF)
    found = finer.time_step(action, path, RF)
    assert not found.coarse and facts_of(found).startswith("not known: the path is not a minimum")


def facts_of(step):
    return judged(step)[1]["time step"]


def test_where_only_the_action_could_move_it_is_said_once():
    action, path, shift = outbreak("trapezoid", 20)
    nothing = replace(shift, action=0.0, parameters={}, states={})
    assert facts_of(TimeStep(nothing)) == "fine enough: it moves the action by 0 standard deviations"


def test_a_map_has_no_step():
    problem = linear_problem()
    assert finer.time_step(Action(problem), np.zeros(problem.size), 1.0) is None


def test_finer_points_keep_data_times_and_states():
    problem, path = example("nakl", "hermite-simpson", "walk")
    for factor in (2, 3):
        fine = refined(problem, factor)
        assert fine.steps_per_sample == factor and fine.measured == problem.measured
        for window, old in zip(fine.windows, problem.windows, strict=True):
            np.testing.assert_allclose(window.t[::factor], old.t)
            np.testing.assert_array_equal(window.data[::factor], old.data)
            np.testing.assert_allclose(window.series[::factor], old.series)
        blocks, shared = fine.split(refined_path(Action(problem), path, factor))
        old_blocks, old_shared = problem.split(path)
        for block, old in zip(blocks, old_blocks, strict=True):
            np.testing.assert_allclose(block[::factor], old)
        np.testing.assert_array_equal(shared, old_shared)


def judged(step, z_off=0.0):
    level = Level(490.0 + z_off, 490.0 + z_off, 8, {"quiet": 4, "noise": 4})
    found, evidence = conclude([level], {"quiet": 4, "noise": 4}, 1000, True, absorbed=20, step=step)
    return found, facts(evidence.record()), sentence_of(found, evidence)


def test_a_coarse_step_withholds_the_stable_verdict_and_names_the_number():
    action, path, _ = outbreak("trapezoid", 1)
    coarse = finer.time_step(action, path, RF)
    found, fact, sentence = judged(coarse)
    assert found is Conclusion.CONSISTENT_STEP_TOO_COARSE and not found.stable
    assert sentence.endswith("steps_per_sample = 5 is enough, as a minimum there shows.")
    assert fact["time step"].startswith("too coarse: it moves beta by 1.9 standard deviations (to 1.669")
    found, fact, sentence = judged(coarse, z_off=500.0)
    assert (
        found is Conclusion.INCONSISTENT and "The time step is too coarse: steps_per_sample = 5" in sentence
    )


def test_a_fine_or_unknown_step_leaves_the_verdict():
    action, path, _ = outbreak("trapezoid", 20)
    for step, text in (
        (finer.time_step(action, path, RF), "fine enough"),
        (TimeStep(unknown="why"), "not known: why"),
    ):
        found, fact, sentence = judged(step)
        assert found is Conclusion.CONSISTENT_AND_STABLE and sentence == found.sentence
        assert fact["time step"].startswith(text)
    assert "time step" not in judged(None)[1]
