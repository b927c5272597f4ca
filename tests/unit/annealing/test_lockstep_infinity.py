"""The rung at infinity is strong-constraint 4D-Var, computed again by SciPy on first state and parameters.

The oracles know no path: they iterate the map, or solve the steps of a discretization one after the other,
and minimize the misfit of that orbit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares

from hpcda.action import Action
from hpcda.action.chain import chain_action
from hpcda.analysis.laplace import gaussian
from hpcda.annealing import Ladder, Reason
from hpcda.annealing.graph import GraphLockstep
from hpcda.annealing.lockstep import Lockstep, Settings, climbs_of
from hpcda.models.catalogue import load_model
from hpcda.models.model import Model, State
from hpcda.native.compile import vector_lanes
from hpcda.problem import Estimated, Problem, Window
from hpcda.search.relaxed import NATS, precision, relaxed
from tests.chance import generator
from tests.unit.climbing import action_of, climb, first_paths, same

FREE = (-np.inf, np.inf)
LADDER = Ladder(0.1, 10.0, 9, infinity=True)
RF = float(LADDER.largest)


def henon(x, p):
    return np.array([1.0 - p[0] * x[0] ** 2 + x[1], 0.3 * x[0]])


def lorenz(x, p):
    return np.array([10.0 * (x[1] - x[0]), x[0] * (p[0] - x[2]) - x[1], x[0] * x[1] - 8.0 / 3.0 * x[2]])


def nagumo(x, p):
    return np.array([x[0] - x[0] ** 3 / 3.0 - x[1] + 0.5, (x[0] + p[0] - p[1] * x[1]) / 12.5])


def rk4(x, p, h):
    k1 = nagumo(x, p)
    k2 = nagumo(x + h / 2 * k1, p)
    k3 = nagumo(x + h / 2 * k2, p)
    k4 = nagumo(x + h * k3, p)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def trapezoid(x, p, h):
    """The next point, by Newton's method; x and p may be complex, for derivatives by complex steps."""
    own = x + h / 2 * lorenz(x, p)
    new = x + h * lorenz(x, p)
    for _ in range(12):
        slope = np.array([[-10.0, 10.0, 0.0], [p[0] - new[2], -1.0, -new[0]], [new[1], new[0], -8.0 / 3.0]])
        new = new - np.linalg.solve(np.eye(3) - h / 2 * slope, new - own - h / 2 * lorenz(new, p))
    return new


CASES = {
    "henon": ("map", lambda x, p, h: henon(x, p), 1.0, 14, [0.1, 0.1], {"a": (1.4, (1.0, 1.42), FREE)}, 0.05),
    "lorenz63": (
        "trapezoid", trapezoid, 0.02, 41, [-4.0, -6.0, 20.0], {"rho": (28.0, (20.0, 40.0), FREE)}, 0.5,
    ),
    "fitzhugh_nagumo": (
        "rk4", rk4, 0.5, 61, [-1.2, -0.6],
        {"a": (0.7, (0.3, 1.1), FREE), "b": (0.8, (0.4, 0.75), (0.4, 0.75))}, 0.1,
    ),
}  # fmt: skip
"""Discretization, step, its width, points, first state, parameters with truth, start and bounds, noise."""


def orbit(name, unknowns):
    """All states from the first one and the parameters, shape (N, D)."""
    _, step, h, times, first, _, _ = CASES[name]
    states = [np.asarray(unknowns[: len(first)])]
    for _ in range(times - 1):
        states.append(step(states[-1], unknowns[len(first) :], h))
    return np.array(states)


def truth(name):
    return np.array([*CASES[name][4], *(one[0] for one in CASES[name][5].values())])


def made(name):
    """The problem, with data of its first state and noise, and one bound that holds."""
    scheme, _, h, times, _, parameters, std = CASES[name]
    model = load_model(name)
    data = orbit(name, truth(name))[:, :1] + std * generator(5).standard_normal((times, 1))
    series = np.full((times, len(model.stimuli)), 0.5)
    window = Window(h * np.arange(times), data, np.full((times, 1), std), series)
    fixed = {one.name: one.default for one in model.parameters if one.name not in parameters}
    first = model.state_names[0]
    return Problem(
        model, scheme, (window,), {first: first},
        tuple(Estimated(key, start, bounds) for key, (_, start, bounds) in parameters.items()),
        fixed=fixed, state_start=np.array([one.range for one in model.states]),
        state_bounds=np.tile(FREE, (model.dimension, 1)), model_error_weight=np.ones(model.dimension),
    )  # fmt: skip


def near(problem, name, seed=2):
    """A path close to the truth that does not obey the model."""
    states = orbit(name, truth(name))
    spread = 0.1 * states.std(axis=0)
    low, high = problem.bounds
    path = problem.join(
        [states + spread * generator(seed).standard_normal(states.shape)], truth(name)[len(states[0]) :]
    )
    return np.clip(path, low, high)


def misfits(name, problem, unknowns):
    window = problem.windows[0]
    return ((orbit(name, unknowns)[:, :1] - window.data) / window.noise_std).ravel()


def end(action, path, ladder=LADDER, **settings):
    (rungs,) = climb(climbs_of(action, ladder, settings=Settings(**settings)), [path]).values()
    return rungs


@pytest.mark.parametrize("name", CASES)
def test_the_level_is_that_of_strong_constraint_4dvar(name):
    problem = made(name)
    action = Action(problem)
    last = end(action, near(problem, name))[-1].rung
    assert last.reason.converged and last.parts.model == 0.0
    dimension = problem.dimension
    low, high = np.array([FREE] * dimension + [one.bounds for one in problem.parameters]).T
    tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "x_scale": "jac"}
    first = np.clip(truth(name), low + 1e-3, high - 1e-3)
    found = least_squares(lambda z: misfits(name, problem, z), first, "cs", (low, high), **tight)
    free = (found.x > low + 1e-6) & (found.x < high - 1e-6)
    held = np.where(free, found.x, np.where(found.x < low + 1e-6, low, high))

    def of(z):
        whole = held.astype(z.dtype)
        whole[free] = z
        return misfits(name, problem, whole)

    found = least_squares(of, held[free], "cs", **tight)
    assert last.parts.total == pytest.approx(found.cost, rel=1e-11)
    (states,), parameters = problem.split(last.path)
    held[free] = found.x
    np.testing.assert_allclose([*states[0], *parameters], held, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(states, orbit(name, np.array([*states[0], *parameters])), rtol=1e-8, atol=1e-8)
    assert free.all() == (name != "fitzhugh_nagumo"), "one bound holds"


@pytest.mark.parametrize("name", CASES)
def test_the_last_finite_rungs_tell_the_limit_to_second_order(name):
    """A(∞) = A + M + O(Rf⁻²): what is left falls by a hundred from decade to decade of Rf."""
    problem = made(name)
    ladder = Ladder(0.1, 10.0, 11, infinity=True)
    rungs = end(Action(problem), near(problem, name), ladder, rung_tolerance=1e-13)
    exact = rungs[-1].rung.parts.total
    rest = [abs(one.rung.parts.total + one.rung.parts.model - exact) for one in rungs[:-1]]
    assert rest[-1] <= 1e-8 * exact
    last = max(k for k, left in enumerate(rest) if left > 1e-8 * exact)
    assert rest[last] / rest[last - 1] == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("rf0", [1.0, 1e3])
def test_the_rung_at_infinity_alone_comes_to_the_same_level(name, rf0):
    problem = made(name)
    action, path = Action(problem), near(problem, name)
    wanted = end(action, path)[-1].rung
    (alone,) = end(action, path, Ladder(rf0, 2.0, 1, infinity=True))
    assert alone.rung.reason.converged
    assert alone.rung.parts.total == pytest.approx(wanted.parts.total, rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_level_does_not_depend_on_where_the_finite_rungs_end(name):
    """Not at Rf = 1, where the penalty is raised; nor at 1e14, where Rf times a model error has no digits."""
    problem = made(name)
    action, path = Action(problem), near(problem, name)
    levels = [end(action, path, Ladder(0.1, 10.0, top, infinity=True))[-1].rung for top in (3, 8, 17)]
    assert all(one.reason.converged for one in levels)
    np.testing.assert_allclose([one.parts.total for one in levels], levels[-1].parts.total, rtol=1e-10)


PROBLEMS = [
    ("lorenz63", "trapezoid", "walk", False),
    ("lorenz63", "hermite-simpson", "walk", True),
    ("lorenz63", "rk4", "walk", True),
    ("lorenz63", "implicit-midpoint", "walk", False),
    ("morris_lecar", "trapezoid", "walk", True),
    ("henon", "map", "walk", True),
]
UP = Ladder(0.02, 4.0, 12, infinity=True)


def errors_of(action, path):
    """Model errors of all windows, and their derivatives, dense."""
    problem, values, rows = action.problem, [], []
    for number in range(len(problem.windows)):
        errors, entries, columns, widths = action.model_errors(number, path)
        each = np.repeat(np.arange(len(widths)), widths)
        for error, entry, column in zip(errors, entries, columns, strict=True):
            own = np.zeros((len(widths), problem.size))
            np.add.at(own, (each, column), entry)
            values.append(error)
            rows.append(own)
    return np.concatenate(values), np.vstack(rows)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_the_gradient_is_that_of_the_constraints(problem):
    """At a minimum the model errors are 0, and some multipliers balance the gradient of all other terms."""
    action, _ = action_of(*problem)
    ends = climb(Lockstep(action, UP), first_paths(action.problem, 5))
    low, high = action.problem.bounds
    for rungs in ends.values():
        last = rungs[-1].rung
        assert last.reason.converged and last.parts.model == 0.0
        errors, slopes = errors_of(action, last.path)
        assert np.abs(errors).max() <= 1e-11 * np.abs(last.path).max()
        gradient = action.gradient(last.path, 0.0)[1]
        free = (last.path > low + 1e-9) & (last.path < high - 1e-9)
        multipliers = np.linalg.lstsq(slopes[:, free].T, -gradient[free], rcond=None)[0]
        rest = gradient + slopes.T @ multipliers
        assert np.abs(rest[free]).max() <= 1e-6 * np.abs(gradient).max()


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_finite_rungs_are_those_of_a_ladder_without_infinity(problem):
    action, _ = action_of(*problem)
    paths = first_paths(action.problem, 4)
    wanted = climb(Lockstep(action, replace(UP, infinity=False)), paths)
    found = climb(Lockstep(action, UP), paths)
    for start, rungs in found.items():
        assert len(rungs) == UP.rungs and same(rungs[:-2], wanted[start][: UP.rungs - 2])


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_the_same_bits_whatever_is_beside_a_start_and_however_many_lanes(problem):
    action, _ = action_of(*problem)
    paths = first_paths(action.problem, 7)
    wanted = climb(Lockstep(action, UP), paths)
    for lanes in (1, 2, 4, 8):
        if lanes <= vector_lanes():
            found = climb(Lockstep(action, UP, lanes), paths, order=[3, 5, 1, 0, 6, 2, 4], ticks=3)
            for start, rungs in found.items():
                assert same(
                    [replace(one, lane=0) for one in rungs], [replace(one, lane=0) for one in wanted[start]]
                )


@pytest.mark.parametrize("problem", PROBLEMS[:2], ids=str)
def test_a_climb_goes_on_at_infinity_with_the_same_bits_after_its_last_rung_or_in_another_lane(problem):
    action, _ = action_of(*problem)
    paths = first_paths(action.problem, 2)
    wanted = climb(Lockstep(action, UP), paths)[0]
    again = Lockstep(action, UP)
    again.put(1, 0, wanted[-2].rung.path, UP.rungs - 1, fresh=False)
    again.advance(1000)
    assert same(again.reached(), wanted[-1:])
    first, other = Lockstep(action, UP), Lockstep(action, UP, 2)
    first.put(0, 0, wanted[-2].rung.path, UP.rungs - 1, fresh=False)
    first.advance(1)
    assert first.active
    other.set_down(1, first.lift(0))
    other.advance(1000)
    assert same(other.reached(), wanted[-1:])


@pytest.mark.parametrize("problem", [PROBLEMS[0], PROBLEMS[-1]], ids=str)
def test_a_graph_comes_to_the_level_of_its_chain(problem):
    action, _ = action_of(*problem)
    paths = first_paths(action.problem, 3)
    chain = climb(Lockstep(action, UP), paths)
    start = [rungs[-2].rung.path for rungs in chain.values()]
    graph = GraphLockstep(chain_action(action.problem), UP)
    for lane, path in zip(graph.empty, start, strict=False):
        graph.put(int(lane), int(lane), path, UP.rungs - 1, fresh=False)
    graph.advance(1000)
    found = {one.start: one.rung for one in graph.reached()}
    while graph.active:
        graph.advance(1000)
        found |= {one.start: one.rung for one in graph.reached()}
    for number, outcome in found.items():
        assert outcome.reason.converged and outcome.parts.model == 0.0
        assert outcome.parts.total == pytest.approx(chain[number][-1].rung.parts.total, rel=1e-9)


def test_windows_that_share_unknowns_come_to_a_minimum_of_their_own():
    problem, _ = action_of("lorenz63", "trapezoid", "walk", False)
    whole = problem.problem
    tied = replace(whole, varying=tuple(replace(one, shared=True) for one in whole.varying))
    action = Action(tied)
    paths = [tied.ties.tied(path) for path in first_paths(tied, 3)]
    for rungs in climb(climbs_of(action, UP), paths).values():
        last = rungs[-1].rung
        assert last.reason.converged and last.parts.model == 0.0
        errors, slopes = errors_of(action, last.path)
        assert np.abs(errors).max() <= 1e-10 * np.abs(last.path).max()
        gradient = action.gradient(last.path, 0.0)[1]
        slopes = np.array([tied.ties.gathered(row) for row in slopes])
        own = np.setdiff1d(np.arange(tied.size), tied.ties.copies)
        multipliers = np.linalg.lstsq(slopes[:, own].T, -gradient[own], rcond=None)[0]
        rest = gradient + slopes.T @ multipliers
        assert np.abs(rest[own]).max() <= 1e-6 * np.abs(gradient).max()


def test_a_start_that_cannot_obey_the_model_ends_with_a_reason_and_leaves_the_others_alone():
    """x(n+1) = x(n) + 1 between bounds that are too close for all steps."""
    model = Model("count", (State("x", range=(0.0, 2.0)),), (), lambda x, p: [x[0] + 1.0], kind="map")
    window = Window(np.arange(6.0), np.full((6, 1), 1.0), np.ones((6, 1)), np.zeros((6, 0)))
    problem = Problem(
        model, "map", (window,), {"x": "x"}, state_start=np.array([[0.0, 2.0]]),
        state_bounds=np.array([[0.0, 2.0]]), model_error_weight=np.ones(1),
    )  # fmt: skip
    for ladder in (Ladder(0.1, 10.0, 6, infinity=True), Ladder(0.1, 10.0, 1, infinity=True)):
        for rungs in climb(Lockstep(Action(problem), ladder), first_paths(problem, 3)).values():
            last = rungs[-1].rung
            assert last.reason is Reason.FAILED_MODEL and rungs[-1].ended and last.parts.model > 0.0
            assert np.isfinite(last.path).all()


def test_too_few_steps_are_no_minimum():
    problem = made("henon")
    ladder = Ladder(0.1, 2.0, 1, infinity=True)
    (last,) = end(Action(problem), near(problem, "henon"), ladder, max_iterations=2)
    assert last.rung.reason is Reason.FAILED_MODEL


def reduced_hessian(name, problem, unknowns):
    """Second derivatives of the action by first state and parameters: differences of complex steps."""

    def gradient(z):
        steps = z + 1e-30j * np.eye(len(z))
        return np.array([0.5 * np.sum(misfits(name, problem, one) ** 2) for one in steps]).imag / 1e-30

    size = 1e-6 * np.maximum(np.abs(unknowns), 0.1)
    rows = [(gradient(unknowns + h) - gradient(unknowns - h)) / 2.0 for h in np.diag(size)]
    return np.array(rows) / size[:, None]


@pytest.mark.parametrize("name", ["henon", "lorenz63"])
def test_error_bars_are_those_of_first_state_and_parameters_alone(name):
    problem = made(name)
    action = Action(problem)
    path = end(action, near(problem, name))[-1].rung.path
    rf = precision(action, path, RF)
    close = relaxed(action, path, rf)
    assert action.value(close, rf).model <= 2.0 * NATS
    assert np.sum(((close - path) / (1.0 + np.abs(path))) ** 2) < 1e-5
    parts, gradient, values = action.derivatives(close, rf)
    csr = (action.sparsity.indptr, action.sparsity.indices, values)
    found = gaussian(problem, close, csr, gradient)
    (states,), parameters = problem.split(path)
    covariance = np.linalg.inv(reduced_hessian(name, problem, np.array([*states[0], *parameters])))
    first = np.array([*problem.split(found.std)[0][0][0], *problem.split(found.std)[1]])
    np.testing.assert_allclose(first, np.sqrt(covariance.diagonal()), rtol=2e-3)
