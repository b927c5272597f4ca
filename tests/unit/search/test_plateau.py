"""The limit of a level for large Rf, beside closed forms and solves at far larger Rf."""

import numpy as np
import pytest

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Lockstep
from hpcda.build import build_problem
from hpcda.job import load_job
from hpcda.models.model import Model, Parameter, State
from hpcda.problem import Estimated, Problem, Window
from hpcda.search.plateau import NATS, PART, plateau, plateau_of_level

RF = 10.0 ** np.arange(-2, 7)


def linear(rf, gap=3.0, sigma=0.5, steps=10):
    """Action and model part of a random walk between two values, `gap` apart, measured with noise sigma.

    x(n+1) - x(n) = r(n): the two ends differ by the sum of the r, whose variance is steps / Rf, and by the
    noise of both. So A = gap² / (2 V), V = 2 σ² + steps / Rf; the share steps / (Rf V) of it is model error.
    """
    variance = 2 * sigma**2 + steps / rf
    action = 0.5 * gap**2 / variance
    return action, action * steps / rf / variance


def test_the_limit_of_a_linear_problem_is_its_closed_form():
    limit = 0.5 * 3.0**2 / (2 * 0.5**2)
    for last in range(5, len(RF)):
        found = plateau(*linear(RF[: last + 1]), RF[: last + 1])
        assert found.limit - limit == pytest.approx(-limit * (10 / 0.5 / RF[last]) ** 2, rel=0.1)
        assert abs(found.limit - limit) <= found.error, "what it may be off by holds"
        assert found.rise == linear(RF[last])[1]
    assert found.reached and found.decades == pytest.approx(1.0)


def climbed(problem, ladder):
    """Action and model part at every rung of one climb."""
    lockstep = Lockstep(Action(problem), ladder, 1)
    lockstep.put(
        0,
        0,
        problem.join(
            [np.zeros((w.times, problem.layout.block)) for w in problem.windows],
            np.zeros(len(problem.constants)),
        ),
        0,
        True,
    )
    parts = {}
    while lockstep.active:
        lockstep.advance(1000)
        parts |= {one.rung.number: one.rung.parts for one in lockstep.reached()}
    rungs = sorted(parts)
    return (
        np.array([parts[k].total for k in rungs]),
        np.array([parts[k].model for k in rungs]),
        parts[rungs[-1]],
    )


def walk(prior=None, walk_std=None):
    """x' = q (or 0) measured at both ends of ten steps."""
    data = np.full((11, 1), np.nan)
    data[[0, -1], 0] = 0.0, 3.0
    varying = () if prior is None else (Estimated("q", (-1.0, 1.0), prior=prior, walk_std=walk_std),)
    model = Model(
        name="walk",
        states=(State("x"),),
        parameters=(Parameter("q", 0.0),),
        equations=lambda x, p: [p.q + 0 * x.x],
    )
    return Problem(
        model=model, discretization="trapezoid",
        windows=(Window(np.arange(11.0), data, np.full((11, 1), 0.5), np.zeros((11, 0))),),
        observed={"x": "x"}, varying=varying, fixed={} if varying else {"q": 0.0},
        state_start=np.array([[-1.0, 1.0]]), state_bounds=np.array([[-np.inf, np.inf]]),
        model_error_weight=np.ones(1),
    )  # fmt: skip


def test_climbs_of_a_linear_problem_have_the_closed_form():
    action, model, _ = climbed(walk(), Ladder(1e-2, 10.0, 9))
    expected = linear(RF)
    np.testing.assert_allclose(action, expected[0], rtol=2e-5)
    np.testing.assert_allclose(model[-1], expected[1][-1], rtol=1e-6)
    assert plateau(action, model, RF).limit == pytest.approx(9.0, abs=1e-6)


def test_priors_and_walks_do_not_scale_with_rf():
    """Without model error the drive q has to bridge the gap, at the price of its prior and its walk."""
    action, model, last = climbed(walk(prior=(0.0, 0.2), walk_std=0.1), Ladder(1e-2, 10.0, 9))
    assert last.prior > 1.0 and model[-1] == last.model
    found = plateau(action, model, RF)
    longer = climbed(walk(prior=(0.0, 0.2), walk_std=0.1), Ladder(1e-2, 10.0, 12))[0][-1]
    assert found.limit == pytest.approx(longer, abs=1e-4) and found.reached


@pytest.mark.parametrize("alpha", [2.0, 10.0])
def test_the_limit_on_lorenz_63_is_what_a_far_larger_rf_finds(alpha):
    job = {
        "model": {"name": "lorenz63", "parameters": {"rho": {"estimate": True, "start": [20, 40]}}},
        "twin": {"dt": 0.02, "samples": 61, "observed": ["x", "z"], "noise_std": 0.5, "seed": 3},
        "ladder": {"rf0": 1.0, "alpha": alpha, "rungs": 1},
    }
    built = build_problem(load_job(job))
    path = built.problem.join([built.truth[0].states[:61]], np.array([28.0]))

    def climb(top):
        ladder = Ladder(1.0, alpha, round(np.log(top) / np.log(alpha)) + 1)
        lockstep = Lockstep(Action(built.problem), ladder, 1)
        lockstep.put(0, 0, path, 0, True)
        parts = []
        while lockstep.active:
            lockstep.advance(1000)
            parts += [one.rung.parts for one in lockstep.reached()]
        return np.array([[p.total, p.model] for p in parts]).T, ladder.rf

    (action, model), rf = climb(1e5)
    (far, _), _ = climb(1e9)
    found = plateau(action, model, rf)
    assert found.reached and abs(found.limit - far[-1]) <= found.error
    assert abs(found.limit - far[-1]) < 0.02 * (far[-1] - action[-1]), "much nearer than the action itself"
    decade = round(1.0 / np.log10(alpha))
    earlier = plateau(action[:-decade], model[:-decade], rf[:-decade])
    assert abs(earlier.limit - far[-1]) <= earlier.error
    assert abs(earlier.limit - far[-1]) < 0.2 * (far[-1] - action[-1 - decade]), "known a decade earlier"


def test_small_and_large_actions_are_judged_in_nats_and_in_deviations():
    for factor, deviation in ((1e-6, 0.0), (1.0, 0.0), (1e4, 1e4 * NATS / PART)):
        action, model = (factor * part for part in linear(RF))
        for last in range(3, len(RF)):
            found = plateau(action[: last + 1], model[: last + 1], RF[: last + 1], deviation)
            far = factor * 9.0 - action[last]
            assert found.reached is (found.rise + found.error <= max(NATS, PART * deviation))
            assert not found.reached or far <= max(NATS, PART * deviation)
    assert plateau(*linear(RF[:5]), RF[:5]).reached is False and plateau(*linear(RF), RF).reached


def test_a_level_whose_equations_do_not_hold_rises_on():
    """A model that is wrong: the model errors do not vanish, and the action rises with every decade."""
    found = plateau(0.5 * np.sqrt(RF), 0.25 * np.sqrt(RF), RF, deviation=20.0)
    assert found.reached is False and found.error > 0.0


def test_short_ladders_tell_what_they_can():
    short = RF[-1] * 1.1 ** np.arange(-3, 1)
    near = plateau(*linear(short), short)
    assert near.reached is None and near.error is None and near.change is None
    assert near.limit == pytest.approx(9.0, abs=1e-6), "the limit needs one rung"
    loose = RF[3] * 1.1 ** np.arange(-3, 1)
    assert plateau(*linear(loose), loose).reached is False, "it is far from its limit, whatever the ladder"
    one = plateau(*linear(RF[-1:]), RF[-1:])
    assert one.reached is None and one.limit == pytest.approx(9.0, abs=1e-6)
    nothing = plateau(np.full(3, np.nan), np.full(3, np.nan), RF[:3])
    assert nothing.limit is None and nothing.reached is None
    wide = np.array([1.0, 1e6])
    assert plateau(*linear(wide), wide).reached


def test_rungs_before_a_fall_are_another_minimum():
    action, model = linear(RF)
    action[:4] += 500.0
    model[:4] += 500.0
    found = plateau(action, model, RF)
    assert found.reached and found.limit == pytest.approx(9.0, abs=1e-6)
    action[:-1] += 500.0
    assert plateau(action, model, RF).reached is None


def test_the_longest_ladder_that_tells_speaks_for_a_level():
    action, model = linear(RF)
    late = np.where(np.arange(len(RF)) < len(RF) - 1, np.nan, action)
    rows = np.array([late, action])
    assert plateau_of_level(rows, np.array([model, model]), RF).reached
    assert plateau_of_level(rows[:1], np.array([model]), RF).reached is None
    assert plateau_of_level(np.zeros((0, 9)), np.zeros((0, 9)), RF).limit is None


def test_a_ladder_that_ends_at_infinity_is_there():
    action, model = linear(RF)
    found = plateau(np.append(action, 9.0), np.append(model, 0.0), np.append(RF, np.inf))
    assert found.exact and found.reached and (found.limit, found.rise, found.error) == (9.0, 0.0, 0.0)
    early = plateau(np.append(action, np.nan), np.append(model, np.nan), np.append(RF, np.inf))
    assert early == plateau(action, model, RF) and not early.exact
