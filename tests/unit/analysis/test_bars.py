"""Error bars: at bounds, along flat directions, in flat valleys; beside closed forms and SciPy."""

import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import curve_fit, minimize

from hpcda.action import Action
from hpcda.analysis import analyze, format_summary, open_run
from hpcda.analysis.at_bound import one_sided
from hpcda.analysis.bars import bar_words, parameter_bars
from hpcda.analysis.figures.final import draw_final_actions
from hpcda.analysis.figures.levels import draw_levels
from hpcda.analysis.figures.parameters import draw_parameters
from hpcda.analysis.laplace import RESOLVED, Bar, NotAMinimumError, gaussian, mixture
from hpcda.analysis.valley import Patience, one_valley, work_of_a_step
from hpcda.annealing import Reason, Rung, Task
from hpcda.models.model import Model, Parameter, State
from hpcda.problem import Estimated, Problem, Window
from hpcda.search import Conclusion
from hpcda.store import Layout, Shard, build_index
from tests.unit.analysis.test_candidate import minimum
from tests.unit.analysis.test_laplace import dense

T = np.linspace(0.0, 3.0, 31)
NOISE = 0.05
DECAY = 2.0 * np.exp(-0.5 * T) + NOISE * np.random.default_rng(0).standard_normal(31)  # noqa: TID251
FREE = (-np.inf, np.inf)


def made(equations, parameters, data=DECAY, t=T, states=("x",), bounds=FREE, unit=1.0, **keywords):
    """A problem whose first state, in units of 1/`unit`, is measured."""
    model = Model(
        "made",
        tuple(State(name, range=(0.0, 3.0 * unit)) for name in states),
        tuple(Parameter(p.name, sum(p.start) / 2) for p in parameters),
        equations,
    )
    values = np.atleast_2d(data).T * unit
    window = Window(t, values, np.full(values.shape, NOISE * unit), np.zeros((len(t), 0)))
    known = {
        "model": model,
        "discretization": "trapezoid",
        "windows": (window,),
        "observed": {states[0]: states[0]},
        "parameters": tuple(parameters),
        "state_start": np.tile([0.0, 3.0 * unit], (len(states), 1)),
        "state_bounds": np.tile(np.asarray(bounds) * unit, (len(states), 1)),
        "model_error_weight": np.full(len(states), unit**-2.0),
    }
    return Problem(**(known | keywords))


def settled(problem, parameters, rf, states=None, steps=60):
    """The minimum that Newton's method, held by the bounds, comes to; flat directions stay where they are."""
    action, n = Action(problem), problem.layout.tail.start
    lower, upper = problem.bounds
    blocks = states
    if blocks is None:
        scale = np.abs(problem.state_start[:, 1])
        blocks = [np.tile(0.3 * scale, (window.times, 1)) for window in problem.windows]
        for block, window in zip(blocks, problem.windows, strict=True):
            block[:, 0] = window.data[:, 0]
    path = np.clip(problem.join(blocks, np.asarray(parameters, dtype=float)), lower, upper)
    unit = np.concatenate(
        [np.repeat(problem.state_start[:, 1].max(), n), np.maximum(np.abs(path[n:]), 1e-12)]
    )
    for _ in range(steps):
        gradient = action.gradient(path, rf)[1]
        free = ~(((path <= lower) & (gradient > 0)) | ((path >= upper) & (gradient < 0)))
        matrix = dense(action.hessian(path, rf), problem.size) * np.outer(unit, unit)
        values, vectors = np.linalg.eigh(matrix[np.ix_(free, free)])
        values = np.where(np.abs(values) > 1e-6 * NOISE**-2, np.abs(values), np.inf)
        step = np.zeros(problem.size)
        step[free] = -(vectors @ (vectors.T @ (unit * gradient)[free] / values)) * unit[free]
        size, here = 1.0, action.value(path, rf).total
        while size > 1e-8:
            trial = np.clip(path + size * step, lower, upper)
            if action.value(trial, rf).total <= here:
                path = trial
                break
            size /= 2
    return path


def at(problem, path, rf):
    action = Action(problem)
    return gaussian(problem, path, action.hessian(path, rf), action.gradient(path, rf)[1])


@pytest.mark.parametrize(
    ("slope", "curvature"), [(0.0, 4.0), (1.0, 0.5), (20.0, 1.0), (40.0, 1.0), (9.0, 0.0), (1e5, 1.0)]
)
def test_law_at_a_bound(slope, curvature):
    """Beside SciPy's quadrature of exp(-g s - h s²/2)."""
    found = one_sided([slope], [curvature])
    end = 40 / max(slope, np.sqrt(curvature))

    def moment(power, upto=end):
        return quad(
            lambda s: s**power * np.exp(-slope * s - curvature * s**2 / 2), 0, upto, epsabs=0, epsrel=1e-10
        )[0]

    volume = moment(0)
    mean = moment(1) / volume
    assert found.log_volume[0] == pytest.approx(np.log(volume), rel=1e-7)
    assert found.mean[0] == pytest.approx(mean, rel=1e-6)
    assert found.variance[0] == pytest.approx(moment(2) / volume - mean**2, rel=1e-4)
    assert moment(0, found.reach[0]) / volume == pytest.approx(0.95, rel=1e-7)


DRIFT = np.linspace(0.0, 1.2, 31)


def drift(bounds, unit=1.0):
    """x' = c: the action is a quadratic form of path and c."""
    return made(
        lambda x, p: [p.c], [Estimated("c", (0.0, 1.0), bounds)], DRIFT + 0.01 * np.sin(40 * T), unit=unit
    )


def test_a_gaussian_cut_off_at_a_bound():
    """Closed form: the posterior is a Gaussian of all unknowns, cut off at c = 0.45."""
    rf, bound = 4e3, 0.45
    free = drift(FREE)
    path = settled(free, [0.4], rf)
    covariance = np.linalg.inv(dense(Action(free).hessian(path, rf), free.size))
    law = stats.truncnorm(
        (bound - path[-1]) / np.sqrt(covariance[-1, -1]), np.inf, path[-1], np.sqrt(covariance[-1, -1])
    )
    assert 1.5 < law.a < 5
    problem = drift((bound, 9.0))
    found = at(problem, settled(problem, [0.6], rf), rf)
    assert found.path[-1] == bound and found.kinds[-1] == Bar.AT_BOUND and (found.kinds[:-1] == 0).all()
    assert np.isnan(found.std[-1]) and found.low[-1] == bound
    assert found.high[-1] == pytest.approx(law.ppf(0.95))
    assert found.mean[-1] == pytest.approx(law.mean()) and found.variances[-1] == pytest.approx(law.var())
    along = covariance[:-1, -1] / covariance[-1, -1]
    np.testing.assert_allclose(found.mean[:-1], path[:-1] + along * (law.mean() - path[-1]), rtol=1e-7)
    rest = np.diagonal(covariance)[:-1] - along**2 * covariance[-1, -1]
    np.testing.assert_allclose(found.variances[:-1], rest + along**2 * law.var(), rtol=1e-6)

    # weights: of the same Gaussian, not cut off and cut off, those of the two integrals
    whole = at(free, path, rf)
    actions = [Action(free).value(one.path, rf).total for one in (whole, found)]
    both = mixture(
        free, [minimum(a, start=k) for k, a in enumerate(actions)], [whole, replace(found, path=path)]
    )
    kept = stats.norm.sf(law.a)
    assert both.weights[1] == pytest.approx(kept / (1 + kept), rel=1e-6)


def test_an_inner_minimum_is_not_at_a_bound():
    rf = 4e3
    path = settled(drift(FREE), [0.4], rf)
    problem = drift((path[-1] - 1e-9, 9.0))
    found = at(problem, path, rf)
    assert found.low[-1] == path[-1] - 1e-9 and found.high[-1] > path[-1]
    inside = at(drift((path[-1] - 0.01, 9.0)), path, rf)
    assert inside.kinds[-1] == Bar.GAUSSIAN and inside.low[-1] >= path[-1] - 0.01


def test_states_at_their_bound():
    """A decay to below the noise, never negative: bars end at 0, and what lies at 0 has a one-sided one."""
    rf = 1.0
    data = np.exp(-4 * T) + NOISE * np.random.default_rng(2).standard_normal(31)  # noqa: TID251
    problem = made(lambda x, p: [-p.k * x[0]], [Estimated("k", (1.0, 9.0))], data, bounds=(0.0, 5.0))
    found = at(problem, settled(problem, [4.0], rf), rf)
    held = found.kinds == Bar.AT_BOUND
    assert 3 < held.sum() < 29 and (found.path[held] == 0).all()
    assert (found.low >= problem.bounds[0]).all() and (found.low[held] == 0).all()
    assert ((found.high[held] > 0) & (found.high[held] < 1)).all()
    free = ~held
    matrix = dense(Action(problem).hessian(found.path, rf), problem.size)[np.ix_(free, free)]
    np.testing.assert_allclose(found.variances[free], np.diagonal(np.linalg.inv(matrix)), rtol=1e-8)


def product(start=((0.1, 2.0), (0.1, 2.0)), unit=1.0, factor=1.0, **keywords):
    """x' = -p q x, with q in units of 1/`factor`."""
    (p, q) = start
    return made(
        lambda x, par: [-par.p * par.q / factor * x[0]],
        [Estimated("p", p), Estimated("q", (q[0] * factor, q[1] * factor))],
        unit=unit,
        **keywords,
    )


@pytest.mark.parametrize(
    ("factor", "unit", "discretization"),
    [
        (1.0, 1.0, "trapezoid"),
        (1e-9, 1.0, "trapezoid"),
        (1e6, 1e6, "trapezoid"),
        (1.0, 1e-6, "trapezoid"),
        (1.0, 1.0, "hermite-simpson"),
    ],
)
def test_a_product_of_parameters(factor, unit, discretization):
    """p and q are open, whatever the units; the path, and so the product, is as sure as with one rate k."""
    rf = 1e6
    problem = product(factor=factor, unit=unit, discretization=discretization)
    single = made(
        lambda x, p: [-p.k * x[0]], [Estimated("k", (0.01, 4.0))], unit=unit, discretization=discretization
    )
    known = at(single, settled(single, [0.5], rf), rf)
    assert known.flats == () and (known.kinds == 0).all()
    path = settled(problem, [1.0, 0.5 * factor], rf)
    found = at(problem, path, rf)
    p, q = path[-2:]
    assert p * q / factor == pytest.approx(known.path[-1], rel=1e-4)
    assert (found.kinds[-2:] == Bar.OPEN).all() and (found.kinds[:-2] == Bar.GAUSSIAN).all()
    (flat,) = found.flats
    moves = dict(flat.moves)
    assert set(moves) == {"p", "q"} and moves["q"] / moves["p"] == pytest.approx(-q / p, rel=1e-3)
    np.testing.assert_allclose(found.std[:-2], known.std[:-1], rtol=1e-4)
    across = np.array([q, p]) / factor
    assert np.sqrt(across @ found.corner @ across) == pytest.approx(known.std[-1], rel=1e-3)
    assert not found.downward and (np.isinf(found.low[-2:])).all()


def test_flat_directions_are_told_apart():
    """Two pairs, each open by itself, and a parameter that moves nothing."""

    def equations(x, p):
        return [-p.a * p.b * x[0] + p.c * p.d * x[1] + 0 * p.e, -x[1]]

    parameters = [Estimated(name, (0.1, 2.0)) for name in "abcde"]
    data = 2 * np.exp(-0.5 * T) + NOISE * np.random.default_rng(5).standard_normal(31)  # noqa: TID251
    problem = made(equations, parameters, data, states=("x", "y"), initial_prior={"y": (1.0, 0.1)})
    found = at(problem, settled(problem, [1.0, 0.6, 0.5, 0.5, 1.0], 1e5), 1e5)
    assert {frozenset(flat.moves) for flat in found.flats} == {
        frozenset("ab"),
        frozenset("cd"),
        frozenset("e"),
    }


def test_an_initial_state_that_nothing_sees():
    """y is not measured and acts on nothing: its beginning is open, and what it was is soon forgotten."""
    problem = made(lambda x, p: [-p.k * x[0], -4.0 * x[1]], [Estimated("k", (0.1, 2.0))], states=("x", "y"))
    single = made(lambda x, p: [-p.k * x[0]], [Estimated("k", (0.1, 2.0))])
    rf = 1e6
    found = at(problem, settled(problem, [0.5], rf), rf)
    assert [dict(flat.moves) for flat in found.flats] == [{"y(0)": 1.0}]
    known = at(single, settled(single, [0.5], rf), rf)
    assert found.std[-1] == pytest.approx(known.std[-1], rel=1e-4) and np.isnan(found.std[1])
    kinds = found.kinds[1:-1:2]
    assert kinds[0] == Bar.OPEN and kinds[-1] == Bar.GAUSSIAN and (np.diff(kinds) <= 0).all()
    prior = replace(problem, initial_prior={"y": (1.0, 0.3)})
    closed = at(prior, settled(prior, [0.5], rf), rf)
    assert closed.flats == () and closed.std[1] == pytest.approx(0.3, rel=1e-4)


def test_several_windows_and_a_walk():
    """Windows share p q and have each its own beginning of y; the forcing f walks, tied to nothing."""
    one = product(states=("x",))
    window = one.windows[0]
    model = Model(
        "both",
        (State("x"), State("y")),
        (Parameter("p", 1.0), Parameter("q", 1.0), Parameter("f", 0.0)),
        lambda x, p: [-p.p * p.q * x[0], -0.1 * x[1] + p.f],
    )
    problem = replace(
        one,
        model=model,
        windows=(window, replace(window, t=window.t[:21], data=window.data[:21] * 0.8,
                                 noise_std=window.noise_std[:21], series=window.series[:21])),
        varying=(Estimated("f", (-1.0, 1.0), walk_std=0.5),),
        state_start=np.tile([0.0, 3.0], (2, 1)),
        state_bounds=np.tile(FREE, (2, 1)),
        model_error_weight=np.ones(2),
    )  # fmt: skip
    rf = 1e5
    states = [np.stack([w.data[:, 0], 1 + 0 * w.t, 0.1 + 0 * w.t], axis=1) for w in problem.windows]
    found = at(problem, settled(problem, [1.0, 0.5], rf, states), rf)
    names = [set(flat.moves) for flat in found.flats]
    assert {"p", "q"} in names and len(names) == 5
    moved = set().union(*names)
    assert moved >= {"y(0) of window 0", "y(0) of window 1", "f(0) of window 0", "f(0) of window 1"}
    blocks, _ = problem.split(found.std)
    assert all(np.isfinite(block[:, 0]).all() and np.isnan(block[0, 1:]).all() for block in blocks)


SINKING = DECAY - 0.02 * T
"""Data that would have the drift below 0."""


@pytest.mark.parametrize("discretization", ["trapezoid", "hermite-simpson"])
def test_a_forcing_of_every_time_that_nothing_sees(discretization):
    """Hundreds of flat directions: the forcing f(t) of a state y that is not measured; k is sure."""
    problem = made(
        lambda x, p: [-p.k * x[0], -0.1 * x[1] + p.f],
        [Estimated("k", (0.1, 2.0))],
        states=("x", "y"),
        discretization=discretization,
    )
    model = replace(problem.model, parameters=(*problem.model.parameters, Parameter("f", 0.0)))
    problem = replace(problem, model=model, varying=(Estimated("f", (-1.0, 1.0)),))
    single = made(lambda x, p: [-p.k * x[0]], [Estimated("k", (0.1, 2.0))], discretization=discretization)
    rf, states = 1e5, [np.stack([DECAY, 1 + 0 * T, 0.1 + 0 * T], axis=1)]
    found = at(problem, settled(problem, [0.5], rf, states), rf)
    known = at(single, settled(single, [0.5], rf), rf)
    np.testing.assert_allclose(found.std[:-1:3], known.std[:-1], rtol=1e-4)
    assert found.std[-1] == pytest.approx(known.std[-1], rel=1e-4) and not found.downward
    blocks, _ = problem.split(found.std)
    assert np.isnan(blocks[0][:, 1:]).all()
    assert {"y(0)", "f(0)"} == {name for flat in found.flats for name in flat.moves}


def test_a_saddle():
    """At q = 1 the action of these data is highest along q: q is open, k keeps its bar."""
    data = DECAY + 0.02 * T
    problem = replace(kinked(), windows=(replace(kinked().windows[0], data=data[:, None]),))
    path = settled(problem, [0.5, 1.0], 1e6)
    assert path[-1] == 1.0
    found = at(problem, path, 1e6)
    assert found.downward and found.flats[0].name == "q" and np.isfinite(found.std[-2])


def kinked(unit=1.0, factor=1.0):
    """Below q = 0 the drift does not depend on q at all."""

    def equations(x, p):
        q = p.q / factor
        return [-p.k * x[0] + unit * np.where(q < 0, 0.0, 0.02 + (q - 1.0) ** 2)]

    return made(
        equations,
        [
            Estimated("k", (0.1, 2.0), (0.0, 9.0)),
            Estimated("q", (-2.0 * factor, 2.0 * factor), (-5.0 * factor, 5.0 * factor)),
        ],
        SINKING,
        unit=unit,
    )


@pytest.mark.parametrize(("unit", "factor"), [(1.0, 1.0), (1e-6, 1e9), (1e4, 1e-7)])
def test_a_parameter_that_does_nothing_there(unit, factor):
    """q is open; k is as sure as SciPy's fit of the exponential says."""
    problem, rf = kinked(unit, factor), 1e6
    path = settled(problem, [0.5, -0.3 * factor], rf)
    found = at(problem, path, rf)
    values, covariance = curve_fit(
        lambda t, a, k: a * np.exp(-k * t), T, SINKING, (2.0, 0.5), np.full(31, NOISE), absolute_sigma=True
    )
    assert found.path[-2] == pytest.approx(values[1], abs=0.05 * np.sqrt(covariance[1, 1]))
    assert found.std[-2] == pytest.approx(np.sqrt(covariance[1, 1]), rel=0.02)
    assert np.isnan(found.std[-1]) and found.flats[0].name == "q" and len(found.flats) == 1
    bars = parameter_bars(problem, found)
    assert bars["q"]["kind"] == "open" and (bars["q"]["low"], bars["q"]["high"]) == (-5 * factor, 5 * factor)
    assert bar_words(path[-1], bars["q"]) == "open" and bar_words(path[-2], bars["k"]).startswith("± 0.01")


def test_profile_of_the_action():
    """Two standard deviations away the action, all else minimized by SciPy, is 2 higher."""
    rf = 1e4
    problem = made(lambda x, p: [-p.k * x[0]], [Estimated("k", (0.1, 2.0))])
    path = settled(problem, [0.5], rf)
    found, action = at(problem, path, rf), Action(problem)
    for side in (-1, 1):
        k = path[-1] + side * 2 * found.std[-1]

        def cost(x, k=k):
            parts, gradient = action.gradient(np.append(x, k), rf)
            return parts.total, gradient[:-1]

        lowest = minimize(
            cost, path[:-1], jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-15}
        )
        assert lowest.fun - action.value(path, rf).total == pytest.approx(2.0, rel=0.1)


def test_a_straight_valley_and_a_barrier():
    problem, rf = kinked(), 1e6
    action = Action(problem)
    low, lower = (settled(problem, [0.5, q], rf) for q in (-0.3, -4.5))
    other = settled(problem, [0.5, 1.0], rf)
    assert other[-1] == pytest.approx(1.0, abs=1e-3) and at(problem, other, rf).kinds[-1] == Bar.GAUSSIAN
    assert one_valley(action, low, lower, rf) and not one_valley(action, low, other, rf)


@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_a_curved_valley(unit):
    """p q = const.: the straight path between two points of it rises by more than 1000."""
    problem, rf = product(unit=unit), 1e6
    action = Action(problem)
    points = [settled(problem, p, rf) for p in ([0.25, 2.0], [1.0, 0.5], [2.0, 0.25])]
    for one, other in pairwise(points):
        assert action.value((one + other) / 2, rf).total > action.value(one, rf).total + 10
    assert one_valley(action, points[0], points[2], rf) and one_valley(action, points[2], points[1], rf)


def test_a_curved_valley_is_looked_for_as_far_as_patience_goes():
    """A walk is ended where its work is spent; one that arrives costs nothing."""
    problem, rf = product(), 1e6
    action = Action(problem)
    one, other = (settled(problem, p, rf) for p in ([0.25, 2.0], [2.0, 0.25]))
    step = work_of_a_step(problem)
    assert step == 2 * problem.windows[0].times * (1 + 2) ** 2
    patience = Patience(2, 3.5 * step)
    assert not one_valley(action, one, other, rf, patience)
    assert patience == Patience(1, -0.5 * step) and not patience
    patience = Patience(2, 1000.0 * step)
    assert one_valley(action, one, other, rf, patience)
    assert patience == Patience(2, 1000.0 * step)


def test_mirrored_minima_are_two():
    """x' = -(p² + 0 q) x: minima at p and -p, with the same action, and q open at both."""
    problem = made(
        lambda x, par: [-par.p * par.p * x[0] + 0 * par.q],
        [Estimated("p", (-2.0, 2.0)), Estimated("q", (0.0, 1.0))],
    )
    rf = 1e6
    action = Action(problem)
    plus, minus = settled(problem, [0.7, 0.2], rf), settled(problem, [-0.7, 0.9], rf)
    assert plus[-2] == pytest.approx(-minus[-2], rel=1e-6)
    assert action.value(plus, rf).total == pytest.approx(action.value(minus, rf).total)
    assert at(problem, plus, rf).flats[0].name == "q" and not one_valley(action, plus, minus, rf)


def test_a_point_that_is_no_minimum():
    problem, rf = product(), 1e4
    path = settled(problem, [1.0, 0.5], rf)
    path[3] += 1.0
    with pytest.raises(NotAMinimumError, match="lowers the action by"):
        at(problem, path, rf)


def test_open_in_the_mixture():
    """What is open at one minimum of weight is open in all; bounds hold for the mixture too."""
    problem, rf = kinked(), 1e6
    action = Action(problem)
    paths = [settled(problem, [0.5, q], rf) for q in (-0.3, 1.0)]
    found = [at(problem, path, rf) for path in paths]
    minima = [minimum(action.value(path, rf).total, start=k) for k, path in enumerate(paths)]
    both = mixture(problem, minima, found)
    assert set(both.weights) == {0, 1} and min(both.weights.values()) > 1e-4
    assert np.isnan(both.std[-1]) and np.isfinite(both.std[-2])
    assert np.isnan(both.parameter_covariance[1]).all() and np.isfinite(both.parameter_covariance[0, 0])
    assert both.low[-1] == -5.0 and both.high[-1] == 5.0
    alone = mixture(problem, minima[1:], found[1:])
    assert np.isfinite(alone.std[-1])


def ended(run_dir, problem, paths, rf):
    """A run whose starts ended on these paths, one after the other, by two ways in turn."""
    ladder = rf * 4.0 ** np.arange(-11, 1)
    layout = Layout(
        problem=problem,
        rf=ladder,
        beta=np.arange(12),
        alpha=4.0,
        starts=len(paths),
        seed=1,
        keep_paths="final",
        job_toml="",
        provenance={"hpcda": "0", "host": "node1", "command": "hpcda run job.toml"},
    )
    action = Action(problem)
    with Shard.create(run_dir, 0, layout) as shard:
        for start, path in enumerate(paths):
            row = shard.begin(Task(start, ("uniform", "quiet")[start % 2]))
            for rung in range(12):
                parts, gradient = action.gradient(path, rf)
                norm = float(np.linalg.norm(gradient))
                one = Rung(path, parts, norm, 5, 0, Reason.CONVERGED_GRADIENT, rung, 0.01)
                shard.rungs([(row, one, path[problem.layout.tail.start :])])
            shard.finish(row, path)
    build_index(run_dir)
    return layout


@pytest.fixture(scope="module")
def flat_run(tmp_path_factory):
    """Three points of the flat valley q < 0, and the minimum at q = 1, a little above."""
    folder, problem, rf = tmp_path_factory.mktemp("flat") / "run", kinked(), 1e6
    points = [settled(problem, [0.5, q], rf) for q in (-0.3, -1.5, -4.5)]
    other = settled(problem, [0.5, 1.0], rf)
    ended(folder, problem, [points[k % 3] for k in range(14)] + [other, other], rf)
    return folder, problem, points, other


def test_a_run_with_a_flat_valley(flat_run):
    folder, problem, points, other = flat_run
    run = open_run(folder, problem)
    assert [minimum.count for minimum in run.levels] == [14, 2]
    assert run.candidate.starts == tuple(range(14)) and run.candidate.ways == {"uniform": 7, "quiet": 7}
    assert run.candidate.valley["q"] == pytest.approx((-4.5, -0.3)) and run.levels[1].valley == {}
    assert run.left_open == ("q",) and run.evidence.left_open == ("q",)
    bars = run.error_bars()
    sure = at(problem, points[0], 1e6)
    np.testing.assert_array_equal(bars["parameter_kind"], ["gaussian", "open"])
    assert float(bars["parameter_std"][0]) == sure.std[-2] and np.isnan(bars["parameter_std"][1])
    assert float(bars["parameter_estimate"][0]) == run.candidate.parameters["k"]
    assert set(run.distribution["start"].values) == {run.levels[0].start, run.levels[1].start}
    assert run.distribution.attrs["missing"] == []

    summary = analyze(folder, processes=0, problem=problem)
    first, second = summary["minima"]
    assert first["error_bars"]["k"]["std"] == pytest.approx(sure.std[-2])
    assert second["error_bars"]["q"]["std"] == pytest.approx(at(problem, other, 1e6).std[-1])
    assert summary["candidate"]["error_bars"] == first["error_bars"]
    assert summary["distribution"]["parameters"]["q"]["std"] is None
    assert summary["verdict"]["evidence"]["left_open"] == ["q"]
    text = format_summary(summary)
    assert "q  -0.3 open; starts ended from -4.5 to -0.3" in text and "left open" in text
    row = f"<td class=text>k</td><td>{first['parameters']['k']:.7g}</td><td>± {sure.std[-2]:.2g}</td>"
    report = (folder / "analysis" / "report.html").read_text()
    assert row in report and "<td class=text>q</td><td>-0.3</td><td>open</td>" in report
    assert "All minima combined" in report


def test_verdict_of_a_flat_valley(tmp_path, flat_run):
    """Points of one valley are no rivals of each other."""
    _, problem, points, _ = flat_run
    ended(tmp_path, problem, [points[k % 3] for k in range(60)], 1e6)
    run = open_run(tmp_path, problem)
    assert len(run.levels) == 1 and run.separation.gap is None
    assert run.evidence.left_open == ("q",) and run.evidence.rivals == 0
    assert run.verdict is Conclusion.CONSISTENT_NOT_CONFIRMED  # few data: no escapes were tried


def test_no_distribution_without_the_candidate(tmp_path, flat_run):
    """A path that is no minimum is named as missing; as the candidate it leaves no distribution at all."""
    _, problem, points, _ = flat_run
    matrix = dense(Action(problem).hessian(points[0], 1e6), problem.size)
    worse = points[0].copy()
    worse[-2] += 2.0 / np.sqrt(matrix[-2, -2])  # 2 above
    ended(tmp_path / "both", problem, [points[0], worse], 1e6)
    both = open_run(tmp_path / "both", problem)
    assert len(both.levels) == 2 and list(both.distribution["start"].values) == [0]
    (missing,) = both.distribution.attrs["missing"]
    assert "start 1" in missing and "it is not a minimum" in missing
    assert any("missing in the distribution" in note for note in both.notes)
    ended(tmp_path / "alone", problem, [worse], 1e6)
    alone = open_run(tmp_path / "alone", problem)
    with pytest.raises(ValueError, match="it is not a minimum"):
        _ = alone.distribution
    with pytest.raises(ValueError, match="no error bars"):
        alone.error_bars()
    summary = analyze(tmp_path / "alone", processes=0, problem=problem)
    assert "error_bars" not in summary["candidate"] and "distribution" not in summary
    assert summary["candidate"]["parameters"]["k"] == worse[-2]
    assert "± 0<" not in (tmp_path / "alone" / "analysis" / "report.html").read_text()


@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_curvature_that_is_lost_in_rounding(unit):
    """Equal weights of states whose units differ by 1e9: rounding would be the bar of k; it is told.

    With weights of like size the bar is that of the problem in like units, and no unit changes what is lost.
    """

    def problem(second, weights):
        return made(
            lambda x, p: [-p.k * x[0] + 0.1 * x[1] / second * unit, -p.k * x[1]],
            [Estimated("k", (0.1, 2.0))],
            states=("x", "y"),
            unit=unit,
            state_start=np.array([[0.0, 3.0 * unit], [0.0, 3.0 * second]]),
            model_error_weight=np.asarray(weights),
        )

    known = problem(unit, [unit**-2] * 2)
    states = [np.stack([DECAY * unit, 0.3 * DECAY * unit], axis=1)]
    like = at(known, settled(known, [0.5], 1e4, states), 1e4)

    def found(weights):
        """The Gaussian at the same path, y in units of 1e-9."""
        one, path = problem(1e9 * unit, weights), like.path.copy()
        path[1:-1:2] *= 1e9
        action = Action(one)
        _, _, values = action.derivatives(path, 1e4)
        return gaussian(one, path, (action.sparsity.indptr, action.sparsity.indices, values))

    wide, equal = found([unit**-2, (1e9 * unit) ** -2]), found([unit**-2] * 2)
    for one in (like, wide):
        assert one.unsure is None and one.lost < 1e-6
    assert wide.std[-1] == pytest.approx(like.std[-1], rel=1e-6)
    assert wide.lost == pytest.approx(like.lost, rel=1e-3)
    assert equal.lost > RESOLVED and "lost in rounding" in equal.unsure


def test_a_state_at_rest_is_not_open():
    """k = 0 at its bound, x constant: x(0) is the mean of the two data, its bar that of a mean."""
    problem = made(
        lambda x, p: [-p.k * x[0]],
        [Estimated("k", (0.1, 2.0), (0.0, 9.0))],
        data=np.array([0.1, 1.8]),
        t=np.array([0.0, 2.0]),
    )
    path = settled(problem, [0.0], 1e7)
    assert path[-1] == 0.0 and np.ptp(path[:2]) < 1e-3
    found = at(problem, path, 1e7)
    assert found.flats == () and found.kinds.tolist() == [Bar.GAUSSIAN, Bar.GAUSSIAN, Bar.AT_BOUND]
    assert path[0] == pytest.approx(0.95, abs=1e-3)
    assert found.std[0] == pytest.approx(NOISE / np.sqrt(2), rel=0.05)


def test_a_saddle_has_no_bars_anywhere(tmp_path):
    data = DECAY + 0.02 * T
    problem = replace(kinked(), windows=(replace(kinked().windows[0], data=data[:, None]),))
    path = settled(problem, [0.5, 1.0], 1e6)
    ended(tmp_path, problem, [path] * 3, 1e6)
    run = open_run(tmp_path, problem)
    assert run.bars is None and "saddle" in run.no_bars and run.left_open == ("q",)
    with pytest.raises(ValueError, match="saddle"):
        run.error_bars()
    with pytest.raises(ValueError, match="saddle"):
        _ = run.distribution
    summary = analyze(tmp_path, processes=0, problem=problem)
    assert "error_bars" not in summary["candidate"] and "error_bars" not in summary["minima"][0]
    assert "saddle" in summary["candidate"]["no_error_bars"] and "distribution" not in summary
    text = format_summary(summary)
    assert (
        "±" not in text.split("parameters")[1].split("Evidence")[0] and "none: the action decreases" in text
    )
    assert "<td>none: the action decreases" in (tmp_path / "analysis" / "report.html").read_text()


def test_one_limit(tmp_path, flat_run):
    """A(∞) of the candidate is one number, whichever of its starts comes first."""
    _, problem, points, _ = flat_run
    near = points[0].copy()
    near[5] += 1e-6
    ended(tmp_path, problem, [near, points[0]], 1e6)
    run = open_run(tmp_path, problem)
    assert run.candidate.start == 1 and run.candidate.starts == (0, 1)
    parts = Action(problem).value(points[0], 1e6)
    assert run.plateau.limit == run.candidate.limit == pytest.approx(parts.total + parts.model, rel=1e-14)
    assert run.plateau.rise == run.candidate.model


def test_states_at_a_bound_are_told(tmp_path):
    """A decay to below the noise, never negative."""
    data = np.exp(-4 * T) + NOISE * np.random.default_rng(2).standard_normal(31)  # noqa: TID251
    problem = made(lambda x, p: [-p.k * x[0]], [Estimated("k", (1.0, 9.0))], data, bounds=(0.0, 5.0))
    path = settled(problem, [4.0], 1.0)
    ended(tmp_path, problem, [path] * 2, 1.0)
    summary = analyze(tmp_path, processes=0, problem=problem)
    held = int((path[:-1] == 0.0).sum())
    assert held > 3 and summary["candidate"]["states_at_bound"] == {"x": held}
    assert f"at a bound      x at {held} of 31 times" in format_summary(summary)


@pytest.mark.parametrize("noise", [1e6 * NOISE, NOISE])
def test_figures_of_actions_far_from_the_band(tmp_path, noise):
    """Actions of 1e-10, and two data values that leave no band at all: nothing is drawn off the page."""
    few = T if noise > 1 else T[[0, -1]]
    problem = made(lambda x, p: [-p.k * x[0]], [Estimated("k", (0.1, 2.0))], DECAY[: len(few)], t=few)
    problem = replace(
        problem, windows=(replace(problem.windows[0], noise_std=np.full((len(few), 1), noise)),)
    )
    path = np.append(np.linspace(2.0, 0.5, len(few)), 0.5)
    ended(tmp_path, problem, [path] * 3, 1e-3)
    run = open_run(tmp_path, problem)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for draw in (draw_levels, draw_final_actions, draw_parameters):
            draw(run, tmp_path / "figure.png")


def test_many_points_of_a_curved_valley_are_one(tmp_path):
    """p q = const.: forty points of the hyperbola, more than are followed one by one from the lowest."""
    problem, rf = product(), 1e6
    points = [settled(problem, [p, 0.5 / p], rf) for p in np.geomspace(0.1, 5.0, 40)]
    ended(tmp_path, problem, points, rf)
    run = open_run(tmp_path, problem)
    assert [minimum.count for minimum in run.levels] == [40]
    assert run.candidate.valley["p"] == pytest.approx((0.1, 5.0), rel=0.1)
    assert not any("pairs of minima" in note for note in run.notes)
