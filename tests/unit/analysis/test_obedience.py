"""Whether equations are obeyed: shifts and deviations beside exact fits, and what is said of them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.optimize import least_squares
from scipy.sparse import csr_array

from hpcda.action import SCHEMES, Action
from hpcda.action.residuals import Residuals
from hpcda.analysis.obedience import obedience
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Lockstep
from hpcda.build.weights import automatic, spreads, unlike
from hpcda.models.model import Model, Parameter, State
from hpcda.problem import Estimated, Problem, Window
from hpcda.search.obeyed import SHIFT, WIDER, Equation, Obedience, sentence
from tests.chance import generator
from tests.unit.problems import VARIANTS, example

DT, TIMES, SIGMA = 0.1, 21, 0.1
RATES = np.array([[-0.2, 1.0, 0.0], [0.0, -0.7, 0.0], [0.0, 1.0, -1.0]])
"""Of X, which is measured, Y, which drives it, and Z, which Y drives and which nothing shows."""
FIRST = np.array([0.0, 2.0, 1.0])


def chain(units=(1.0, 1.0, 1.0), windows=1, seed=0, states=3, scheme="trapezoid"):
    """x' = R x in some units, X measured, and the step of the trapezoid rule in units of order one."""
    units, rates = np.array(units[:states]), RATES[:states, :states]
    scaled = rates * units[:, None] / units
    eye = np.eye(states)
    step = np.linalg.solve(eye - DT / 2 * rates, eye + DT / 2 * rates)
    parts, rng = [], generator(seed)
    for number in range(windows):
        path = [FIRST[:states] * (1 + number)]
        for _ in range(TIMES - 1):
            path.append(step @ path[-1])
        data = np.array(path)[:, [0]] + SIGMA * rng.standard_normal((TIMES, 1))
        std = np.full((TIMES, 1), SIGMA * units[0])
        parts.append(Window(DT * np.arange(TIMES), data * units[0], std, np.zeros((TIMES, 0))))
    names = ("X", "Y", "Z")[:states]
    model = Model(
        name="chain",
        states=tuple(
            State(n, range=(0.0, top * u)) for n, top, u in zip(names, (4.0, 4.0, 2.0), units, strict=False)
        ),
        parameters=(),
        equations=lambda x, p: [sum(float(r) * x[k] for k, r in enumerate(row) if r) for row in scaled],
    )
    problem = Problem(
        model=model, discretization=scheme, windows=tuple(parts), observed={"X": "X"},
        state_start=np.array([state.range for state in model.states]),
        state_bounds=np.tile([-np.inf, np.inf], (states, 1)), model_error_weight=np.ones(states),
    )  # fmt: skip
    return problem, step


def weak(problem, rf):
    """Minimum of a quadratic action and its standard deviations, from the squares that it sums."""
    residuals = Residuals(Action(problem))
    values, slopes = residuals.evaluate(np.zeros(problem.size), rf)
    matrix = csr_array((slopes, residuals.indices, residuals.indptr), shape=(residuals.count, problem.size))
    scale = 1.0 / np.sqrt(matrix.power(2).sum(axis=0))
    q, r = np.linalg.qr(matrix.toarray() * scale)
    inverse = np.linalg.inv(r)
    return -scale * (inverse @ (q.T @ values)), scale * np.sqrt(np.sum(inverse**2, axis=1))


def exact(problem, step, units):
    """Path and standard deviations of the fit that obeys: linear in the first states of each window."""
    states = len(step)
    powers = [np.linalg.matrix_power(step, n) for n in range(TIMES)]
    paths = block_diag(*[np.concatenate(powers)] * len(problem.windows))
    seen = paths[::states]
    data = np.concatenate([window.data[:, 0] for window in problem.windows]) / units[0]
    precision = seen.T @ seen / SIGMA**2
    covariance = np.linalg.pinv(precision, rcond=1e-10)
    first = covariance @ seen.T @ data / SIGMA**2
    size = np.tile(units[:states], TIMES * len(problem.windows))
    return paths @ first * size, np.sqrt(np.einsum("ij,jk,ik->i", paths, covariance, paths)) * size


@pytest.mark.parametrize("windows", [1, 3])
@pytest.mark.parametrize("unit", [1e-9, 1e-4, 1e-2, 1.0, 1e6])
@pytest.mark.parametrize("rf", [1e2, 1e4, 1e7])
def test_shifts_are_those_of_the_exact_fit(unit, rf, windows):
    """From a path whose Y follows the noise to one that obeys, in standard deviations of the latter."""
    units = (1.0, unit)
    problem, step = chain(units, windows, states=2)
    path, std = weak(problem, rf)
    right, bars = exact(problem, step, units)
    per_state = ((right - path) / bars).reshape(windows, TIMES, 2)
    expected = np.sqrt(np.mean(per_state**2, axis=1)).max()
    found = obedience(Action(problem), path, rf)
    assert found.shift == pytest.approx(expected, rel=0.02, abs=1e-3) or min(found.shift, expected) > 100.0
    assert found.obeyed is bool(expected <= SHIFT) or any(one.wider > WIDER for one in found.equations)
    ratio = np.sqrt(
        np.mean(std.reshape(windows, TIMES, 2) ** 2, 1) / np.mean(bars.reshape(windows, TIMES, 2) ** 2, 1)
    )
    for k, one in enumerate(found.equations):
        assert one.wider == pytest.approx(ratio[one.window, k], rel=0.02) or min(one.wider, ratio.max()) > 1e3
        assert one.allowed == pytest.approx(rf**-0.5)


@pytest.mark.parametrize("unit", [1e-9, 1e6])
def test_with_automatic_weights_equations_are_obeyed_in_any_unit(unit):
    problem, step = chain((1.0, unit), states=2)
    problem = replace(problem, model_error_weight=automatic(problem))
    found = obedience(Action(problem), weak(problem, 1e6)[0], 1e6)
    assert found.obeyed and found.shift < 0.05 and found.disobeyed == ()
    assert "obeyed" in sentence(found.record()) and "not obeyed" not in sentence(found.record())


def test_the_state_whose_equation_is_at_fault_is_named():
    """Y moves by 1e-9: not X, although it changes most where Y is made to obey."""
    problem, _ = chain((1.0, 1e-9), states=2)
    found = obedience(Action(problem), weak(problem, 1e7)[0], 1e7)
    assert [one.state for one in found.disobeyed] == ["Y"] and found.equations[0].obeyed
    worst = found.disobeyed[0]
    assert worst.shift > 1.0 and worst.error > 0.1 * worst.motion and worst.allowed > 1e4 * worst.motion
    assert sentence(found.record()).startswith("not obeyed: Y, whose model error is ")


def test_a_state_that_nothing_pulls_is_not_bound_although_its_equation_holds():
    """Z shows in no datum; the minimum obeys exactly, but 0.0003 a step are free for what moves by 1e-9."""
    units = (1.0, 1.0, 1e-9)
    problem, _ = chain(units)
    problem = replace(problem, initial_prior={"Z": (1e-9, 1e-10)})
    path, _ = weak(problem, 1e7)
    found = obedience(Action(problem), path, 1e7)
    assert found.shift < SHIFT and [one.state for one in found.disobeyed] == ["Z"]
    z = found.disobeyed[0]
    assert z.error < 1e-6 * z.motion and z.wider > 1e3
    assert "its standard deviation is" in sentence(found.record())
    bound = replace(problem, model_error_weight=automatic(problem))
    assert obedience(Action(bound), weak(bound, 1e7)[0], 1e7).obeyed


def constant(level, drift=0.0):
    """c' = 0, measured with noise, from a path that drifts a little."""
    data = level + SIGMA * generator(1).standard_normal((TIMES, 1))
    window = Window(DT * np.arange(TIMES), data, np.full((TIMES, 1), SIGMA), np.zeros((TIMES, 0)))
    model = Model(
        name="still",
        states=(State("c", range=(0.0, 10.0)),),
        equations=lambda x, p: [0.0 * x.c],
        parameters=(),
    )
    return Problem(
        model=model, discretization="trapezoid", windows=(window,), observed={"c": "c"},
        state_start=np.array([[0.0, 10.0]]), state_bounds=np.array([[-np.inf, np.inf]]),
        model_error_weight=np.ones(1),
    )  # fmt: skip


@pytest.mark.parametrize("level", [0.0, 5.0])
@pytest.mark.parametrize("rf, obeyed", [(1e7, True), (1e5, True), (1e2, False)])
def test_a_state_that_does_not_move_is_judged_by_what_it_would_change(level, rf, obeyed):
    """Its motion is nothing but model error; the right value is the mean of the data, σ / √N."""
    problem = constant(level)
    path, _ = weak(problem, rf)
    found = obedience(Action(problem), path, rf)
    off = (problem.windows[0].data.mean() - path) / (SIGMA / np.sqrt(TIMES))
    assert found.shift == pytest.approx(np.sqrt(np.mean(off**2)), rel=0.02, abs=2e-3)
    assert found.obeyed is obeyed


def test_what_is_told_of_hermite_simpson_counts_both_residuals():
    problem, _ = chain((1.0, 1e-9), states=2, scheme="hermite-simpson")
    path, _ = weak(problem, 1e7)
    x = path.reshape(TIMES, 2)
    f = x @ (RATES[:2, :2] * np.array([[1.0], [1e-9]]) / np.array([1.0, 1e-9])).T
    a, b, c, h = slice(0, -2, 2), slice(1, -1, 2), slice(2, None, 2), 2 * DT
    simpson = x[c] - x[a] - h / 6 * (f[a] + 4 * f[b] + f[c])
    hermite = x[b] - (x[a] + x[c]) / 2 - h / 8 * (f[a] - f[c])
    errors = np.concatenate([simpson, hermite])
    found = obedience(Action(problem), path, 1e7)
    for k, one in enumerate(found.equations):
        assert one.error == pytest.approx(np.sqrt(np.mean(errors[:, k] ** 2)), rel=1e-6)
        assert one.motion == pytest.approx(np.sqrt(np.mean((x[c] - x[a])[:, k] ** 2)), rel=1e-9)
    assert [one.state for one in found.disobeyed] == ["Y"]


def test_the_window_where_an_equation_is_obeyed_least_is_named():
    """Y moves by 1 in two windows, and by 1e-3 in the one between, where Rf is too small for it."""
    problem, _ = chain(windows=3, states=2)
    middle = problem.windows[1]
    path, _ = weak(problem, 1e4)
    assert obedience(Action(problem), path, 1e4).obeyed
    calm = replace(middle, data=middle.data * 1e-3, noise_std=middle.noise_std * 1e-3)
    problem = replace(problem, windows=(problem.windows[0], calm, problem.windows[2]))
    found = obedience(Action(problem), weak(problem, 1e4)[0], 1e4)
    assert not found.obeyed and {one.window for one in found.disobeyed} == {1}
    assert "in window 1, whose model error" in sentence(found.record())


def test_maps():
    """x(n+1) = y, y(n+1) = 1e-9-sized: only the second equation is free."""
    units = np.array([1.0, 1e-9])
    model = Model(
        name="turn", kind="map", states=(State("x", range=(-2, 2)), State("y", range=(-2e-9, 2e-9))),
        parameters=(),
        equations=lambda x, p: [0.8 * x.x + 0.6e9 * x.y, -0.6e-9 * x.x + 0.8 * x.y],
    )  # fmt: skip
    turn, path = np.array([[0.8, 0.6], [-0.6, 0.8]]), [np.array([1.0, 0.5])]
    for _ in range(TIMES - 1):
        path.append(turn @ path[-1])
    data = np.array(path)[:, [0]] + SIGMA * generator(2).standard_normal((TIMES, 1))
    problem = Problem(
        model=model, discretization="map",
        windows=(Window(np.arange(float(TIMES)), data, np.full((TIMES, 1), SIGMA), np.zeros((TIMES, 0))),),
        observed={"x": "x"}, state_start=np.array([s.range for s in model.states]),
        state_bounds=np.tile([-np.inf, np.inf], (2, 1)), model_error_weight=np.ones(2),
    )  # fmt: skip
    found = obedience(Action(problem), weak(problem, 1e7)[0], 1e7)
    assert [one.state for one in found.disobeyed] == ["y"]
    problem = replace(problem, model_error_weight=np.array([1.0, 1e18]))
    right, bars = exact(problem, turn, units)
    path, _ = weak(problem, 1e3)
    off = np.sqrt(np.mean(((right - path) / bars).reshape(TIMES, 2) ** 2, axis=0)).max()
    assert obedience(Action(problem), path, 1e3).shift == pytest.approx(off, rel=0.02)


CASES = [
    (name, scheme, variant)
    for name, scheme in (("lorenz63", "trapezoid"), ("lorenz63", "hermite-simpson"), ("lorenz96", "rk4"),
                         ("morris_lecar", "implicit-midpoint"), ("henon", "map"))
    for variant in VARIANTS
]  # fmt: skip


@pytest.mark.parametrize("name, scheme, variant", CASES)
def test_model_errors_are_told_for_every_term_of_the_action(name, scheme, variant):
    """Their squares, weighted, are the model part of the window that is told of."""
    problem, path = example(name, scheme, variant)
    rf, blocks, shared = 1e3, problem.split(path)[0], path[problem.layout.tail.start :]
    found = obedience(Action(problem), path, rf)
    windows = range(len(problem.windows))
    cut = [problem.cut(k, 0, problem.windows[k].times) for k in windows]
    paths = [one.join([block], shared) for one, block in zip(cut, blocks, strict=True)]
    alone = [obedience(Action(one), x, rf).equations for one, x in zip(cut, paths, strict=True)]
    for k, one in enumerate(found.equations):
        assert one.error == pytest.approx(alone[one.window][k].error)
        assert one.motion == pytest.approx(alone[one.window][k].motion)
    for one, x, equations in zip(cut, paths, alone, strict=True):
        rows = (one.windows[0].times - 1) // SCHEMES[scheme].span * SCHEMES[scheme].errors
        squares = np.array([equation.error**2 for equation in equations])
        total = 0.5 * rf * rows * np.sum(one.model_error_weight * squares)
        assert total == pytest.approx(Action(one).value(x, rf).model)


@pytest.mark.parametrize("low, high", [(-1.0, 0.0), (0.0, 1.0)])
def test_a_state_that_lies_at_its_bound_throughout(low, high):
    """At one of the two it is held, and moves nothing; from the other it is drawn away. X obeys."""
    problem, _ = chain(states=2)
    blocks = np.zeros((TIMES, 2))
    blocks[:, 0] = 2.0 * (1 - 0.02) ** np.arange(TIMES) if low == 0.0 else -2.0
    problem = replace(problem, state_bounds=np.array([[-np.inf, np.inf], [low, high]]))
    found = obedience(Action(problem), blocks.ravel(), 1e7)
    numbers = [(one.error, one.motion, one.shift, one.wider) for one in found.equations]
    assert np.isfinite(numbers).all() and np.isfinite(found.shift)


DECAY = np.array([
    -0.011, 0.205, 0.386, 0.601, 0.764, 0.938, 1.05, 1.34, 1.43, 1.58, 1.85, 1.77, 1.93, 2.06, 2.21, 2.36,
    2.63, 2.36, 2.68, 2.85, 2.78, 3.15, 2.81, 3.19, 3.29, 3.28, 3.36, 3.53, 3.42, 3.79, 3.63,
])  # fmt: skip
"""X' = 1e9 Y, Y' = -d Y, Y(0) = 2e-9, d = 0.3, measured every 0.1 with noise of 0.05."""


def decay(weights=None):
    model = Model(
        name="decay", states=(State("X", range=(0.0, 8.0)), State("Y", range=(0.0, 3e-9))),
        parameters=(Parameter("d", 0.3, range=(0.1, 1.0)),), equations=lambda x, p: [1e9 * x.Y, -p.d * x.Y],
    )  # fmt: skip
    problem = Problem(
        model=model, discretization="trapezoid",
        windows=(Window(0.1 * np.arange(31), DECAY[:, None], np.full((31, 1), 0.05), np.zeros((31, 0))),),
        observed={"X": "X"}, parameters=(Estimated("d", (0.1, 1.0), (0.0, 5.0)),),
        state_start=np.array([[0.0, 8.0], [0.0, 3e-9]]), state_bounds=np.array([[0.0, 100.0], [0.0, 1e-8]]),
        model_error_weight=np.ones(2),
    )  # fmt: skip
    return replace(problem, model_error_weight=automatic(problem)) if weights == "auto" else problem


def climbed(problem, ladder):
    lockstep = Lockstep(Action(problem), ladder, 1)
    block = np.column_stack([DECAY.clip(0.01), np.full(31, 1.5e-9)])
    lockstep.put(0, 0, problem.join([block], np.array([0.5])), 0, True)
    while lockstep.active:
        lockstep.advance(1000)
        last = lockstep.reached()
    return last[-1].rung


def test_a_decay_in_mol_per_liter_is_fitted_as_scipy_fits_it():
    """Shooting by SciPy, beside the ladder with the weights of the spreads and with equal ones."""

    def misfit(unknowns):
        x, y, d = unknowns
        ratio = (1 - 0.05 * d) / (1 + 0.05 * d)
        rate = y * ratio ** np.arange(31)
        path = x + np.concatenate([[0.0], np.cumsum(0.05 * (rate[1:] + rate[:-1]))])
        return (path - DECAY) / 0.05

    fit = least_squares(misfit, (0.0, 2.0, 0.3), xtol=1e-14, ftol=1e-14, gtol=1e-14)
    ladder = Ladder(1e-2, 4.0, 15)
    found = climbed(decay("auto"), ladder)
    assert found.parts.total == pytest.approx(fit.cost, rel=1e-3)
    assert found.path[-1] == pytest.approx(fit.x[2], abs=1e-3)
    assert obedience(Action(decay("auto")), found.path, ladder.rf[-1]).obeyed
    loose = climbed(decay(), ladder)
    assert loose.parts.total < 0.9 * fit.cost, "Y follows the noise"
    told = obedience(Action(decay()), loose.path, ladder.rf[-1])
    assert [one.state for one in told.disobeyed] == ["Y"]


def test_weights_are_exact_powers_of_two_and_follow_the_units():
    problem, _ = chain()
    weights = automatic(problem)
    assert (np.log2(weights) == np.round(np.log2(weights))).all() and weights[1] == 64.0
    weights = automatic(chain((1.0, 0.5, 0.5))[0])
    for power in (-30, -1, 5, 20):
        unit = 2.0**power
        scaled = automatic(chain((1.0, unit / 2, unit / 2))[0])
        np.testing.assert_array_equal(scaled, weights * np.array([1.0, unit**-2, unit**-2]))


def test_spreads_come_from_data_then_from_states_of_the_same_kind_then_from_the_range():
    problem, _ = chain(windows=2)
    pooled = np.concatenate([w.data[:, 0] - w.data[:, 0].mean() for w in problem.windows])
    found = spreads(problem)
    assert found[0] == pytest.approx(np.sqrt(np.mean(pooled**2)))
    assert found[1] == found[0], "X and Y have one unit and one range in the model"
    assert found[2] == pytest.approx(2.0 / np.sqrt(12.0))
    hidden = replace(problem, observed={"X": "X + Y"})
    np.testing.assert_allclose(spreads(hidden), np.array([4.0, 4.0, 2.0]) / np.sqrt(12.0))
    flat = replace(problem.windows[0], data=np.ones((TIMES, 1)))
    assert spreads(replace(problem, windows=(flat,)))[0] == pytest.approx(4.0 / np.sqrt(12.0))
    points = replace(
        problem, observed={"X": "Y + X"}, state_start=np.array([[3.0, 3.0], [0.0, 0.0], [-1.0, 1.0]])
    )
    np.testing.assert_allclose(spreads(points), [3.0, 1.0, 2.0 / np.sqrt(12.0)])


def test_unlike_states_are_told_of_with_the_remedy():
    problem, _ = chain((1.0, 1e-9), states=2)
    told = unlike(problem, 1e6)
    assert told.startswith("Y moves by about 1.2e-09 beside X, by ") and 'model_error_weight = "auto"' in told
    assert unlike(replace(problem, model_error_weight=automatic(problem)), 1e6) is None
    assert unlike(replace(problem, model_error_weight=np.array([1.0, 1e18])), 1e6) is None
    assert unlike(chain((1.0, 1.0), states=2)[0], 1e6) is None
    assert "X moves by" in unlike(chain((1e-6, 1e-6), states=2)[0], 1e6), "both are free"


def equation(state="Y", **changed):
    return Equation(**({"state": state, "window": 0, "error": 2e-9, "motion": 1e-9, "allowed": 1e-3,
                        "shift": 7.0, "wider": 5.0, "obeyed": False} | changed))  # fmt: skip


def test_many_equations_are_not_all_named():
    many = Obedience(tuple(equation(f"y{k}", shift=float(k + 1)) for k in range(9)), 9.0, "d")
    assert [one.state for one in many.disobeyed][:2] == ["y8", "y7"]
    told = sentence(many.record())
    assert told.startswith("not obeyed: y8, ") and told.endswith(", and 3 more") and "y2" not in told
    assert "more than 100" in sentence(Obedience((equation(shift=1e9),), 1e9, "Y").record())
