"""Steps of many starts in lockstep: Newton's, against dense algebra, with and without bounds."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize

from hpcda.action import SCHEMES, Action
from hpcda.action.residuals import Residuals
from hpcda.annealing import Ladder, Reason
from hpcda.annealing.lockstep import Lockstep, Settings
from hpcda.annealing.scale import scales
from tests.chance import generator
from tests.unit.climbing import FREE_STEPS, action_of, climb, first_paths, near_minimum, scaled_gradient
from tests.unit.problems import dense, linear_problem

RF = 0.5
FLOWS = [name for name, scheme in SCHEMES.items() if scheme.kind == "flow"]
CASES = [
    *(("lorenz63", scheme, "walk") for scheme in FLOWS),
    ("lorenz63", "trapezoid", "nonlinear and gaps"),
    ("lorenz63", "hermite-simpson", "nonlinear and gaps"),
    ("morris_lecar", "trapezoid", "walk"),
    ("henon", "map", "walk"),
    ("henon", "map", "nonlinear and gaps"),
]
# A fresh step of the last map leaves the region where its model holds.
BEFORE = [(*case, before) for case in CASES for before in (0.0, 0.4, 1.0) if before or case != CASES[-1]]


@cache
def residuals_of(action):
    return Residuals(action)


def jacobian(action, path, rf):
    """The derivatives of all residuals, dense."""
    residuals = residuals_of(action)
    _, slopes = residuals.evaluate(path, rf)
    matrix = np.zeros((residuals.count, action.size))
    matrix[np.repeat(np.arange(residuals.count), np.diff(residuals.indptr)), residuals.indices] = slopes
    return matrix


def hessian_parts(action, path, rf):
    """What the Hessian is at multipliers 0, and what the model's second derivatives add at Rf s r."""

    def beyond_squares(rf):
        slopes = jacobian(action, path, rf)
        return dense(action, path, rf) - slopes.T @ slopes

    slopes, observed = jacobian(action, path, rf), beyond_squares(0.0)
    return slopes.T @ slopes + observed, beyond_squares(rf) - observed


def moved(action, path, count, size):
    """Paths beside `path`."""
    rng = generator(5)
    return [path + size * scales(action.problem) * rng.standard_normal(action.size) for _ in range(count)]


def lockstep_from(action, paths, ladder, rung, fresh, settings=FREE_STEPS, lanes=None):
    """A lockstep with one path a lane."""
    lockstep = Lockstep(action, ladder, lanes, settings)
    for lane in range(lockstep.lanes):
        lockstep.put(lane, lane, paths[lane % len(paths)], rung, fresh)
    return lockstep


def trusted(action, path, hessian, step):
    """Whether the action falls by about what its quadratic model says, so that the step is taken as it is."""
    gradient = action.gradient(path, RF)[1]
    promise = -gradient @ step - step @ hessian @ step / 2
    fallen = action.value(path, RF).total - action.value(path + step, RF).total
    return abs(fallen - promise) < 0.2 * promise


def minima(name, scheme, variant):
    """Minima of problems with ever other data: where too few steps are taken whole, the next is tried."""
    return (near_minimum(name, scheme, variant, rf=RF, own=own) for own in range(7, 17))


@pytest.mark.parametrize(("name", "scheme", "variant", "before"), BEFORE)
def test_a_tick_is_one_newton_step_with_the_multipliers_of_the_rung_before(name, scheme, variant, before):
    """Fresh paths have multipliers 0; others Rf s r at the rung before, whose Rf is `before` times this."""
    taken, different = 0, 0.0
    for action, minimum in minima(name, scheme, variant):
        assert action.problem.layout.block > action.problem.dimension or len(action.problem.constants) > 1
        paths = [path for size in (1e-3, 1e-4) for path in moved(action, minimum, 4, size)]
        ladder = Ladder(RF, 3.0, 1) if before == 0 else Ladder(RF * before, 1 / before, 2)
        lockstep = lockstep_from(action, paths, ladder, ladder.rungs - 1, fresh=before == 0, lanes=8)
        assert lockstep.advance(1) == 1
        assert lockstep.reached() == []
        for lane, path in enumerate(paths):
            first, second = hessian_parts(action, path, RF)
            hessian = first + before * second
            gradient = action.gradient(path, RF)[1]
            step = np.linalg.solve(hessian, -gradient)
            assert lockstep.actions[lane] == pytest.approx(action.value(path, RF).total, rel=1e-12)
            assert lockstep.gradient_norms[lane] == pytest.approx(scaled_gradient(action, path, RF), rel=1e-9)
            if np.linalg.eigvalsh(hessian).min() <= 0 or not trusted(action, path, hessian, step):
                continue
            taken += 1
            other = np.linalg.solve(first + (before + 0.1) * second, -gradient)
            different = max(different, np.abs(other - step).max() / np.abs(step).max())
            np.testing.assert_allclose(
                lockstep.stacked[:, lane] - path, step, rtol=1e-6, atol=1e-9 * np.abs(step).max()
            )
        if taken >= 3 and different > 1e-5:
            return
    pytest.fail(f"{taken} steps that are taken whole; one with other multipliers differs by {different}")


@pytest.mark.parametrize(("name", "scheme", "variant"), CASES)
def test_later_steps_have_the_multipliers_of_the_linear_model(name, scheme, variant):
    """λ = Rf s (r + J d) of the last step d."""
    taken, different = 0, 0.0
    for action, minimum in minima(name, scheme, variant):
        paths = [path for size in (1e-2, 3e-3, 1e-3, 3e-4) for path in moved(action, minimum, 2, size)]
        lockstep = lockstep_from(action, paths, Ladder(RF / 2, 2.0, 2), 1, fresh=False, lanes=8)
        lockstep.advance(1)
        middle = lockstep.stacked.copy()
        lockstep.advance(1)
        for lane, path in enumerate(paths):
            here = middle[:, lane].copy()
            first, second = hessian_parts(action, path, RF)
            slopes = jacobian(action, path, RF)
            model = np.abs(jacobian(action, path, 4 * RF) - slopes).max(axis=1) > 0
            linear = residuals_of(action).evaluate(path, RF)[0] + slopes @ (here - path)
            hessian = hessian_parts(action, here, RF)[0] + curvature(
                action, here, np.where(model, linear, 0.0)
            )
            gradient = action.gradient(here, RF)[1]
            wanted = np.linalg.solve(hessian, -gradient)
            whole = trusted(action, path, first + second / 2, here - path)
            if not (whole and trusted(action, here, hessian, wanted)):
                continue
            taken += 1
            usual = np.linalg.solve(dense(action, here, RF), -gradient)
            different = max(different, np.abs(wanted - usual).max() / np.abs(wanted).max())
            step = lockstep.stacked[:, lane] - here
            np.testing.assert_allclose(step, wanted, rtol=0, atol=1e-7 * np.abs(wanted).max())
        if taken >= 2 and different > 3e-6:
            return
    pytest.fail(f"{taken} steps that are taken whole; one with usual multipliers differs by {different}")


def curvature(action, path, force):
    """The second derivatives of the residuals weighted by `force`, by differences of their first ones."""
    found = np.empty((action.size, action.size))
    for k, nudge in enumerate(np.diag(1e-5 * scales(action.problem))):
        change = jacobian(action, path + nudge, RF) - jacobian(action, path - nudge, RF)
        found[k] = change.T @ force / (2 * nudge[k])
    return found


def box_minimum(hessian, gradient, low, high):
    """The minimum of g d + d H d / 2 with low <= d <= high, by trying every set of active bounds."""
    best, value = None, np.inf
    count = len(gradient)
    for sides in product((-1, 0, 1), repeat=count):
        sides = np.array(sides)
        step = np.where(sides < 0, low, high)
        free = sides == 0
        if not np.isfinite(step[~free]).all():
            continue
        right = -gradient[free] - hessian[np.ix_(free, ~free)] @ step[~free]
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], right)
        if np.all(step >= low - 1e-13) and np.all(step <= high + 1e-13):
            found = gradient @ step + step @ hessian @ step / 2
            if found < value:
                best, value = step, found
    return best


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson"])
def test_shared_parameters_step_to_the_minimum_of_the_quadratic_model_between_their_bounds(scheme):
    """Every unknown of the paths is free: three parameters are left, in boxes that their step leaves."""
    action, minimum = near_minimum("lorenz63", scheme, "nonlinear and gaps", rf=RF)
    problem, size = action.problem, scales(action.problem)
    tail = problem.layout.tail.start
    assert action.size - tail == 3
    rng = generator(8)
    met, released = np.zeros(4, dtype=int), 0
    for number, path in enumerate(moved(action, minimum, 300, 1e-3)):
        if number >= 30 and released and met[1:].all():
            break
        first, second = hessian_parts(action, path, RF)
        hessian, gradient, here = first + second, action.gradient(path, RF)[1], path[tail:]
        if np.linalg.eigvalsh(hessian).min() < 1e-4:
            continue
        inner = np.linalg.solve(
            hessian[:tail, :tail], np.column_stack([hessian[:tail, tail:], gradient[:tail]])
        )
        schur = hessian[tail:, tail:] - hessian[tail:, :tail] @ inner[:, :3]
        reduced = gradient[tail:] - hessian[tail:, :tail] @ inner[:, 3]
        free = np.linalg.solve(schur, -reduced)
        for _ in range(40):  # boxes, until the free step leaves one where the minimum does not
            low = -np.abs(free) * rng.choice([0.0, 0.3, 0.9, 0.99, np.inf], 3)
            high = np.abs(free) * rng.choice([0.1, 0.3, 0.9, 0.99, np.inf], 3)
            last = box_minimum(schur, reduced, low, high)
            active = (last == low) | (last == high)
            release = (((free < low) | (free > high)) & ~active).any()
            if release or rng.random() < 0.01:
                break
        ends = zip(problem.parameters, here + low, here + high, strict=True)
        parameters = tuple(replace(p, bounds=(float(a), float(b))) for p, a, b in ends)
        boxed = Action(replace(problem, parameters=parameters))
        lockstep = lockstep_from(boxed, [path], Ladder(RF, 1.0, 2), 1, fresh=False)
        lockstep.advance(1)
        assert (lockstep.stacked[tail:] >= (here + low)[:, None]).all()
        assert (lockstep.stacked[tail:] <= (here + high)[:, None]).all()
        step = np.concatenate([-inner[:, 3] - inner[:, :3] @ last, last])
        if not trusted(action, path, hessian, step):
            continue
        met[active.sum()] += 1
        released += int(release)
        found = (lockstep.stacked[:, 0] - path) / size
        np.testing.assert_allclose(found, step / size, rtol=0, atol=1e-8 * np.abs(step / size).max())
    assert met[1] and met[2] and met[3], "one, two and three bounds met"
    assert released, "a bound that the free step crosses, but not the minimum"


BOUNDED = [("lorenz63", scheme) for scheme in FLOWS] + [("henon", "map"), ("rossler", "rk4")]


@pytest.mark.parametrize(("name", "scheme"), BOUNDED)
def test_minima_between_bounds_fulfil_the_conditions_of_a_minimum(name, scheme):
    """Inside the bounds; gradient 0 where free, pushing outward where not; none lower by L-BFGS-B nearby."""
    action, _ = action_of(name, scheme, bounded=True)
    low, high = action.problem.bounds
    size = scales(action.problem)
    ladder = Ladder(0.02, 4.0, 4)
    rf = float(ladder.rf[-1])
    found = climb(Lockstep(action, ladder), first_paths(action.problem, 6))
    active = 0
    for rungs in found.values():
        outcome = rungs[-1].rung
        assert outcome.reason.converged
        path, gradient = outcome.path, action.gradient(outcome.path, rf)[1] * size
        assert (path >= low).all() and (path <= high).all()
        lowest, highest = path == low, path == high
        inside = ~lowest & ~highest
        active += int(lowest.sum() + highest.sum())
        assert np.abs(gradient[inside]).max() < 2e-4 * outcome.parts.total
        assert (gradient[lowest] > -1e-4).all() and (gradient[highest] < 1e-4).all()
        known = minimize(
            lambda x: (action.value(x, rf).total, action.gradient(x, rf)[1]),
            path,
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(low, high, strict=True)),
            options={"ftol": 1e-16, "gtol": 1e-9, "maxiter": 300, "maxcor": 40},
        )
        assert known.fun == pytest.approx(outcome.parts.total, rel=1e-9)
    assert active > 10


@pytest.mark.parametrize("barrier", [0.0, 1e-3])
def test_a_quadratic_action_between_bounds_is_minimized_exactly(barrier):
    """The linear map in a box that cuts states and the parameter; its one minimum by coordinate descent."""
    bounds = np.array([(-0.3, 0.2), (-0.1, 3.0), (-3.0, 0.05)])
    problem = linear_problem()
    shared = tuple(replace(p, bounds=(-1.0, 0.1)) for p in problem.parameters)
    action = Action(replace(problem, state_bounds=bounds, parameters=shared))
    low, high = action.problem.bounds
    hessian = dense(action, np.zeros(action.size), 3.0)
    gradient = action.gradient(np.zeros(action.size), 3.0)[1]
    assert np.linalg.eigvalsh(hessian).min() > 0
    known = np.clip(np.zeros(action.size), low, high)
    for _ in range(1000):
        for k in range(action.size):
            rest = gradient[k] + hessian[k] @ known - hessian[k, k] * known[k]
            known[k] = np.clip(-rest / hessian[k, k], low[k], high[k])
    held = (known == low) | (known == high)
    assert held.sum() > 5
    lockstep = Lockstep(action, Ladder(3.0, 2.0, 1), None, Settings(barrier=barrier))
    paths = [np.clip(path, low, high) for path in first_paths(action.problem, 9)]
    for rungs in climb(lockstep, paths).values():
        outcome = rungs[-1].rung
        assert outcome.reason in (Reason.CONVERGED_GRADIENT, Reason.CONVERGED_DECREMENT)
        np.testing.assert_allclose(outcome.path, known, rtol=0, atol=1e-6)
        np.testing.assert_allclose(outcome.path[held], known[held], rtol=1e-15)  # a step to it may round


def test_a_quadratic_action_is_minimized_by_short_steps_too():
    """Where the quadratic model is exact, a shifted step does what it promises but ends at no minimum."""
    action = Action(linear_problem())
    zero = np.zeros(action.size)
    known = np.linalg.solve(dense(action, zero, 3.0), -action.gradient(zero, 3.0)[1])
    for longest in (1e6, 0.03, 1e-3):
        settings = Settings(longest=longest, rung_tolerance=1e-9)
        lockstep = Lockstep(action, Ladder(3.0, 1.0, 2), None, settings)
        for rungs in climb(lockstep, first_paths(action.problem, 9)).values():
            np.testing.assert_allclose(rungs[0].rung.path, known, rtol=0, atol=1e-3)
            np.testing.assert_allclose(rungs[1].rung.path, known, rtol=0, atol=1e-6)
