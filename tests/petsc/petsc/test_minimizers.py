"""Every minimizer by name, on problems with one minimum; how they end; what they leave behind."""

from __future__ import annotations

import gc
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

pytest.importorskip("petsc4py", reason="the minimizers are PETSc's")

import psutil
from scipy.optimize import minimize

from hpcda.action import SCHEMES, Action
from hpcda.annealing import Ladder, Reason, step
from hpcda.annealing.minimizers import MINIMIZERS
from hpcda.errors import InputError
from hpcda.models.model import Model, State
from hpcda.petsc import PetscMinimizer, make_minimizer
from hpcda.problem import Problem, Window
from hpcda.search import WAYS, SearchContext, begin
from tests.chance import generator, number
from tests.petsc.lorenz import FREE, lorenz_problem
from tests.unit.problems import dense, linear_problem

pytestmark = pytest.mark.petsc

SINGLE = {name: kind for name, kind in MINIMIZERS.items() if name != "lockstep"}
SECOND_ORDER = [name for name, kind in SINGLE.items() if kind.linear or name == "brgn"]
FIRST_ORDER = [name for name in SINGLE if name not in SECOND_ORDER]
BOUNDED = [name for name, kind in SINGLE.items() if kind.bounds]
UNBOUNDED = [name for name in SINGLE if name not in BOUNDED]
RF = 10.0


@cache
def near():
    """The Lorenz problem, a path near its minimum at RF, and the minimum's action by dense Newton steps."""
    action = Action(lorenz_problem())
    path = begin(SearchContext(action.problem, Ladder(1.0, 2.0, 1)), WAYS["quiet"], number(1), 0).path
    with make_minimizer(action) as minimizer:
        for rf in (1e-2, 1e-1, 1.0, RF):
            path = minimizer.minimize(path, rf).path
    for _ in range(3):
        path = path - np.linalg.solve(dense(action, path, RF), action.gradient(path, RF)[1])
    assert np.linalg.eigvalsh(dense(action, path, RF)).min() > 0
    moved = path + 0.05 * generator(0).standard_normal(action.size)
    return action, moved, action.value(path, RF).total


@cache
def boxed():
    """The Lorenz problem in a box that its minimum touches, a first path, and the minimum by L-BFGS-B."""
    problem = lorenz_problem(rho_bounds=(20.0, 27.0), state_bounds=np.array([FREE, FREE, (0.0, 30.0)]))
    action = Action(problem)
    low, high = problem.bounds
    path = np.clip(near()[1], low, high)
    known = minimize(
        lambda x: (action.value(x, RF).total, action.gradient(x, RF)[1]),
        path,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high, strict=True)),
        options={"ftol": 1e-16, "gtol": 1e-10, "maxiter": 20_000, "maxfun": 50_000},
    )
    assert (np.isclose(known.x, low) | np.isclose(known.x, high)).sum() > 1
    return action, path, known.fun


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_second_order_minimizers_end_at_the_minimum(name):
    action, path, wanted = near()
    with make_minimizer(action, name) as minimizer:
        found = minimizer.minimize(path, RF)
    assert found.reason.converged, found.reason
    assert found.parts.total == pytest.approx(wanted, rel=1e-8)
    assert found.iterations > 0
    assert np.array_equal(found.parts.total, action.value(found.path, RF).total)


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_first_order_minimizers_come_close(name):
    """Without curvature they may stop at their limit; then the action is right to a part in ten thousand."""
    action, path, wanted = near()
    with make_minimizer(action, name, max_iterations=4000) as minimizer:
        found = minimizer.minimize(path, RF)
    assert found.reason.converged or found.reason in (Reason.STOPPED_ITERATIONS, Reason.FAILED_LINE_SEARCH)
    assert found.parts.total == pytest.approx(wanted, rel=1e-8 if found.reason.converged else 1e-4)


@pytest.mark.parametrize("name", BOUNDED)
def test_minimizers_that_keep_bounds(name):
    action, path, wanted = boxed()
    with make_minimizer(action, name, max_iterations=4000) as minimizer:
        found = minimizer.minimize(path, RF)
    low, high = action.problem.bounds
    assert (found.path >= low).all() and (found.path <= high).all()
    assert found.parts.total == pytest.approx(wanted, rel=1e-6 if name in SECOND_ORDER else 1e-3)
    if name in ("auto", "newton"):
        assert found.reason.converged
        assert found.parts.total <= wanted * (1 + 1e-9)


@pytest.mark.parametrize("name", UNBOUNDED)
def test_minimizers_that_keep_no_bounds_refuse_a_problem_with_bounds(name):
    with pytest.raises(InputError) as caught:
        make_minimizer(boxed()[0], name)
    (mistake,) = caught.value.mistakes
    assert mistake.place == "solver.minimizer"
    assert name in mistake.problem and "bounds" in mistake.problem


def test_an_unknown_minimizer_is_refused_with_the_likely_one():
    with pytest.raises(InputError, match="bnls") as caught:
        make_minimizer(near()[0], "bnlss")
    assert caught.value.mistakes[0].place == "solver.minimizer"


@pytest.mark.parametrize("scheme", [name for name, scheme in SCHEMES.items() if scheme.kind == "flow"])
def test_the_minimum_is_that_of_scipy(scheme):
    """Newton's method of SciPy in a trust region, with the same value, gradient and Hessian."""
    problem = lorenz_problem(times=17, discretization=scheme)
    action = Action(problem)
    path = begin(SearchContext(problem, Ladder(1.0, 2.0, 1)), WAYS["quiet"], number(1), 0).path
    with make_minimizer(action) as minimizer:
        for rf in (1e-2, 1.0):
            path = minimizer.minimize(path, rf).path
        found = minimizer.minimize(path, RF)
    known = minimize(
        lambda x: action.value(x, RF).total,
        path,
        jac=lambda x: action.gradient(x, RF)[1],
        hess=lambda x: dense(action, x, RF),
        method="trust-exact",
        options={"gtol": 1e-6, "maxiter": 500},
    )
    assert found.parts.total == pytest.approx(known.fun, rel=1e-9)
    np.testing.assert_allclose(found.path, known.x, atol=1e-4)


@pytest.mark.parametrize("name", ["auto", "nls", "bnls", "brgn", "lmvm", "snes-newtonls"])
def test_a_whole_ladder_ends_where_newton_ends(name):
    problem = lorenz_problem(times=21)
    action, ladder = Action(problem), Ladder(1e-2, 4.0, 8)
    ends = {}
    for one in ("auto", name):
        climb = begin(SearchContext(problem, ladder), WAYS["quiet"], number(1), 0)
        with make_minimizer(action, one, max_iterations=3000) as minimizer:
            while not climb.ended(ladder):
                climb, rung = step(climb, ladder, minimizer)
        ends[one] = rung
    assert ends[name].number == ladder.rungs - 1
    tolerance = 1e-3 if name == "lmvm" else 1e-8
    assert ends[name].parts.total == pytest.approx(ends["auto"].parts.total, rel=tolerance)


def exploding() -> Action:
    """A map whose logarithm is not finite on one side of 0."""
    model = Model("log", (State("x", range=(0.5, 3.0)),), (), lambda x, p: [np.log(x[0])], kind="map")
    window = Window(np.arange(4.0), np.full((4, 1), -5.0), np.ones((4, 1)), np.zeros((4, 0)))
    bounds = np.array([FREE])
    start = np.array([[0.5, 3.0]])
    return Action(
        Problem(
            model,
            "map",
            (window,),
            {"x": "x"},
            (),
            state_start=start,
            state_bounds=bounds,
            model_error_weight=np.ones(1),
        )
    )


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_path_where_the_action_is_not_finite_is_a_failed_outcome(name, bad):
    action = exploding()
    with make_minimizer(action, name, max_iterations=20) as minimizer:
        found = minimizer.minimize(np.array([1.0, bad, 1.0, 1.0]), 1.0)
        assert found.reason is Reason.FAILED_NON_FINITE
        assert not found.reason.converged
        again = minimizer.minimize(np.array([1.0, 1.5, 1.0, 1.0]), 1.0)
    assert isinstance(again.reason, Reason) and again.path.shape == (4,)


def test_newton_stays_where_the_model_is_finite():
    """The data pull x below 0, where the logarithm ends; steps that would go there are shortened."""
    with make_minimizer(exploding()) as minimizer:
        found = minimizer.minimize(np.array([1.0, 1.5, 1.0, 1.0]), 1.0)
    assert np.isfinite(found.parts.total) and (found.path[:3] > 0).all()
    assert found.reason.converged


@pytest.mark.parametrize("name", SINGLE)
def test_the_limit_of_iterations_is_a_reason(name):
    action, path, wanted = near()
    with make_minimizer(action, name, max_iterations=1) as minimizer:
        found = minimizer.minimize(path + 1.0, RF)
    assert found.reason is Reason.STOPPED_ITERATIONS
    assert found.iterations <= 2
    assert found.parts.total > wanted


def test_watch_hears_of_every_iteration():
    heard = []
    action, path, wanted = near()
    with make_minimizer(action, watch=lambda iteration, value: heard.append((iteration, value))) as minimizer:
        found = minimizer.minimize(path, RF)
    assert [iteration for iteration, _ in heard] == list(range(len(heard)))
    assert len(heard) >= found.iterations
    values = np.array([value for _, value in heard])
    assert np.all(np.diff(values) <= 1e-9 * values[:-1])
    assert values[-1] == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("name", SINGLE)
def test_starts_do_not_mix(name):
    """A start gives the same result whatever its minimizer did before: it does not depend on who ran what.

    Newton gives the same bits; sums in other updates may depend on where vectors lie in memory.
    """
    action, path, _ = near()
    with make_minimizer(action, name) as minimizer:
        first = minimizer.minimize(path, RF, fresh=True)
        minimizer.minimize(path + 3.0, 1e-2, fresh=True)
        second = minimizer.minimize(path, RF, fresh=True)
    assert first.reason is second.reason
    if name in (*FIRST_ORDER, "brgn"):
        assert second.parts.total == pytest.approx(first.parts.total, rel=1e-10)
    else:
        assert np.array_equal(first.path, second.path) and first.parts == second.parts


def test_the_given_path_is_not_changed():
    action, path, _ = near()
    before = path.copy()
    with make_minimizer(action) as minimizer:
        found = minimizer.minimize(path, RF)
        kept = found.path.copy()
        minimizer.minimize(path + 1.0, RF)
    assert np.array_equal(path, before) and np.array_equal(found.path, kept)


def resident() -> float:
    """Memory of this process in MB."""
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


@pytest.mark.parametrize("name", ["auto", "nls", "bntr", "bqnls", "snes-newtonls"])
def test_three_hundred_minimizations_leave_no_memory_behind(name):
    """One vector of 9,000 unknowns that is lost at each call would add 20 MB."""
    action = Action(linear_problem(times=3000))
    path, calls = np.zeros(action.size), 300
    with make_minimizer(action, name, max_iterations=1) as minimizer:
        for _ in range(10):
            minimizer.minimize(path, 1.0)
        before = resident()
        for _ in range(calls):
            minimizer.minimize(path, 1.0)
        assert resident() - before < 5.0


def test_minimizers_made_and_destroyed_leave_no_memory_behind():
    action = Action(linear_problem(times=10_000))
    path = np.zeros(action.size)

    def once():
        with PetscMinimizer(action, max_iterations=1) as minimizer:
            minimizer.minimize(path, 1.0)

    for _ in range(5):
        once()
    before = resident()
    for _ in range(30):
        once()
    assert resident() - before < 5.0


def test_destroying_twice_does_no_harm():
    minimizer = make_minimizer(near()[0])
    minimizer.minimize(near()[1], RF)
    minimizer.destroy()
    minimizer.destroy()


def test_weights_of_zero_model_error_are_allowed():
    """A state whose error has almost no weight is bound by nothing but its measurement."""
    problem = replace(linear_problem(), model_error_weight=np.array([1.0, 1.0, 1e-12]))
    with make_minimizer(Action(problem)) as minimizer:
        assert minimizer.minimize(np.zeros(problem.size), 1.0).reason.converged
