"""Losses: shares of the action, what noise makes of them, draws, and their derivatives in an action."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_array

from hpcda.action import Action, verify
from hpcda.action.losses import LOSSES
from hpcda.action.residuals import Residuals
from hpcda.annealing.ladder import Ladder
from hpcda.annealing.lockstep import Lockstep
from hpcda.annealing.scale import scales
from hpcda.build.noise import loss_of
from hpcda.errors import InputError
from hpcda.job import load_job
from hpcda.models.expression import Expression
from hpcda.models.twin import simulate
from hpcda.problem import Estimated, Noise, Window
from tests.chance import generator
from tests.unit.job.test_job import SMALL
from tests.unit.problems import example

DENSITIES = {
    "gaussian": lambda h, s, o: stats.norm(h, s),
    "student-t": lambda h, s, o: stats.t(o["nu"], h, s),
    "poisson": lambda h, s, o: stats.poisson(h),
    "negative-binomial": lambda h, s, o: stats.nbinom(
        o["dispersion"], o["dispersion"] / (h + o["dispersion"])
    ),
    "bernoulli": lambda h, s, o: stats.bernoulli(1 / (1 + np.exp(-h))),
}
COUNTS = ("poisson", "negative-binomial")
H = dict.fromkeys(COUNTS, np.array([0.05, 0.8, 3.3, 41.0, 700.0])) | {
    "bernoulli": np.array([-4.0, -0.5, 0.0, 2.0])
}


SINGLE = [name for name in LOSSES if not LOSSES[name].joint]
"""Losses of one measured quantity."""


def values_of(name):
    return H.get(name, np.array([-1.3, 0.0, 2.4]))


@pytest.mark.parametrize("name", DENSITIES)
def test_a_share_is_minus_the_logarithm_of_the_density(name):
    loss, s = LOSSES[name], 0.7
    options = loss.optional({})
    h = values_of(name)
    discrete = name in (*COUNTS, "bernoulli")
    y = np.array([0.0, 1.0]) if name == "bernoulli" else np.array([0.0, 1.0, 5.0])
    for datum in y:
        law = DENSITIES[name](h, s, options)
        minus_log = -(law.logpmf(datum) if discrete else law.logpdf(datum))
        difference = loss.share(h, np.float64(datum), s, options) - minus_log
        assert np.allclose(difference, difference[0], atol=1e-9)


@pytest.mark.parametrize("name", [name for name in SINGLE if name != "bernoulli"])
def test_a_share_is_zero_where_the_datum_is_explained_best(name):
    loss = LOSSES[name]
    y = np.array([1.0, 3.0, 12.0])
    assert np.allclose(loss.share(y, y, 0.3, loss.optional({})), 0.0, atol=1e-12)


@pytest.mark.parametrize("name", SINGLE)
def test_what_noise_makes_of_a_share(name):
    loss, rng, s, count = LOSSES[name], generator(3), 0.7, 200_000
    options = loss.optional({})
    for h in values_of(name):
        drawn = loss.draw(rng, np.full(count, h), np.full(count, s), options)
        assert loss.accepts(drawn).all()
        shares = loss.share(np.full(count, h), drawn, s, options)
        mean, variance = (float(v) for v in loss.noise(np.float64(h), np.float64(s), options))
        assert abs(shares.mean() - mean) < 6 * np.sqrt(variance / count) + 1e-3 * mean
        assert abs(shares.var() - variance) <= 0.1 * variance + 1e-12
        residuals = loss.residual(np.full(count, h), drawn, s, options)
        assert abs(residuals.mean()) < 0.02
        if name in ("gaussian", *COUNTS, "bernoulli"):
            assert abs(residuals.var() - 1) < 0.1


def test_softmax_is_the_categorical_density():
    loss, rng = LOSSES["softmax"], generator(6)
    h = rng.normal(size=(5, 4))
    chance = np.exp(h) / np.exp(h).sum(axis=1, keepdims=True)
    for row, p in zip(h, chance, strict=True):
        for category in range(4):
            y = np.eye(4)[category]
            wanted = -stats.multinomial(1, p).logpmf(y)
            assert loss.share(row, y, 1.0, {}) == pytest.approx(wanted, rel=1e-12)
    assert np.allclose(loss.share(h + 1000.0, np.eye(4)[[0] * 5], 1.0, {}), -np.log(chance[:, 0]))
    mean, variance = loss.noise(h, np.ones(5), {})
    assert np.allclose(mean, [stats.entropy(p) for p in chance])
    count = 100_000
    drawn = loss.draw(rng, np.tile(h[0], (count, 1)), np.ones(count), {})
    assert loss.accepts(drawn).all()
    assert not loss.accepts(np.array([1.0, 1.0])).any()
    assert stats.chisquare(drawn.sum(axis=0), count * chance[0]).pvalue > 1e-4
    shares = loss.share(np.tile(h[0], (count, 1)), drawn, 1.0, {})
    assert abs(shares.mean() - mean[0]) < 5 * np.sqrt(variance[0] / count)
    assert abs(shares.var() / variance[0] - 1) < 0.05
    residuals = loss.residual(np.tile(h[0], (count, 1)), drawn, 1.0, {})
    assert np.abs(residuals.mean(axis=0)).max() < 0.03
    assert np.abs(residuals.var(axis=0) - 1).max() < 0.1


def test_a_loss_of_several_values_is_refused_for_one():
    problem, _ = with_noise("student-t", "trapezoid", False)
    with pytest.raises(InputError, match="several values"):
        Action(replace(problem, noise={"first": Noise("softmax")}))


def test_a_job_does_not_take_it_for_one_quantity():
    job = load_job({**SMALL, "data": {**SMALL["data"], "loss": "softmax"}})
    with pytest.raises(InputError, match="a job gives each quantity its own loss"):
        loss_of(job.data[0], "x")


def test_a_logit_of_zero():
    """Where the branches of the cross-entropy meet, its slopes are right."""
    problem, path = with_noise("bernoulli", "trapezoid", False)
    blocks, constants = problem.split(path.copy())
    for block in blocks:
        block[:, 0] = 0.0
    assert verify(Action(problem), problem.join(blocks, constants), 1.0, length=1e-3).ok


@pytest.mark.parametrize("name", ["gaussian", "student-t"])
def test_draws_have_the_density(name):
    loss, options = LOSSES[name], LOSSES[name].optional({})
    drawn = loss.draw(generator(5), np.full(20_000, 1.5), np.full(20_000, 0.4), options)
    assert stats.kstest(drawn, DENSITIES[name](1.5, 0.4, options).cdf).pvalue > 1e-4


def with_noise(name, scheme, unknown, windows=2):
    """Lorenz 96 whose first quantity has a loss of its own; its second stays Gaussian."""
    loss = LOSSES[name]
    problem, path = example("lorenz96", scheme, "nonlinear and gaps")
    rng = generator(9)
    usual = "x0 + offset" if unknown else "gain * x0 + offset"
    link = (dict.fromkeys(COUNTS, "exp(gain*x0/8)") | {"bernoulli": "gain*x0/4"}).get(name, usual)
    gain = Estimated("gain", (0.5, 2.0), (0.1, 5.0))
    sensor = (*(() if unknown else (gain,)), Estimated("offset", (-1.0, 1.0), per_window=True))
    scale = (Estimated("noise", (0.2, 2.0), (0.05, 50.0)),) if unknown else ()
    made = []
    for window in problem.windows:
        data = window.data.copy()
        plausible = loss.draw(rng, np.full(len(data), 1.5), np.full(len(data), 0.5), loss.optional({}))
        data[:, 0] = np.where(np.isfinite(data[:, 0]), plausible, np.nan)
        made.append(Window(window.t, data, window.noise_std, window.series))
    problem = replace(
        problem,
        windows=tuple(made),
        observed={"first": link, "second": "x1 + offset"} | {"third": "x2"},
        noise={"first": Noise(name, loss.optional({}), "noise" if unknown else None)},
        parameters=(*problem.parameters, *sensor, *scale),
    )
    blocks, _ = problem.split(np.zeros(problem.size))
    old, last = [], 0
    for block in blocks:
        old.append(path[last : last + block.size].reshape(block.shape))
        last += block.size
    constants = np.array([rng.uniform(*p.start) for p in problem.constants])
    return problem, problem.join(old, constants)


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson", "rk4"])
@pytest.mark.parametrize(
    ("name", "unknown"),
    [(name, unknown) for name in SINGLE for unknown in (False, True) if LOSSES[name].scaled or not unknown],
)
def test_derivatives(name, unknown, scheme):
    problem, path = with_noise(name, scheme, unknown)
    found = verify(Action(problem), path, 3.7, length=1e-3)
    assert found.ok, found


def with_data_of_its_path(problem, path, rng):
    """The problem with data drawn from a path that obeys the model, and that path."""
    blocks, constants = problem.split(path)
    names = [constant.name for constant in problem.layout.constants]
    for number, (window, block) in enumerate(zip(problem.windows, blocks, strict=True)):
        known = dict(zip([names[k] for k in problem.layout.seen(number)],
                         constants[problem.layout.seen(number)], strict=True))  # fmt: skip
        parameters = {**problem.fixed, **{n: known[n] for n in problem.model.parameter_names if n in known}}
        block[:] = simulate(problem.model, parameters, block[0], window.t)
        states = dict(zip(problem.model.state_names, block.T, strict=True))
        for column, (measured, text) in enumerate(problem.observed.items()):
            h = Expression(text, tuple(states), "observed", tuple(known))({**known, **states})
            noise = problem.noise.get(measured, Noise("gaussian"))
            s = window.noise_std[:, column] if noise.scale is None else np.full(len(h), known[noise.scale])
            drawn = LOSSES[noise.loss].draw(rng, h, s, noise.options)
            window.data[:, column] = np.where(np.isfinite(window.data[:, column]), drawn, np.nan)
    return problem, problem.join(blocks, constants)


@pytest.mark.parametrize(("name", "unknown"), [("student-t", True), ("poisson", False), ("bernoulli", False)])
def test_climbs_in_lockstep_end_at_minima_of_the_action(name, unknown):
    """With constants of one window in the border of its chain alone."""
    problem, path = with_data_of_its_path(*with_noise(name, "trapezoid", unknown), generator(8))
    action, ladder = Action(problem), Ladder(1.0, 10.0, 3)
    rng = generator(2)
    lockstep = Lockstep(action, ladder, 4)
    lower, upper = problem.bounds
    for lane in range(4):
        moved = path + 0.05 * scales(problem) * rng.standard_normal(problem.size)
        lockstep.put(lane, lane, np.clip(moved, lower, upper), 0, True)
    ends = {}
    while lockstep.active:
        lockstep.advance(50)
        ends |= {one.start: one.rung for one in lockstep.reached()}
    assert len(ends) == 4
    for outcome in ends.values():
        if unknown and outcome.path[-1] <= lower[-1]:
            continue  # few data that can be fitted as they are: the scale goes to its bound, many steps away
        assert outcome.reason.converged, outcome.reason
        parts, gradient = action.gradient(outcome.path, ladder.rf[-1])
        assert parts.total == pytest.approx(outcome.parts.total, rel=1e-12)
        inside = (outcome.path > lower) & (outcome.path < upper)
        assert np.abs(gradient * scales(problem))[inside].max() < 1e-4 * max(1.0, abs(parts.total))
        indptr, indices, values = action.hessian(outcome.path, ladder.rf[-1])
        hessian = csr_array((values, indices, indptr), shape=(problem.size,) * 2).toarray()
        assert np.linalg.eigvalsh(hessian[inside][:, inside]).min() > -1e-9


@pytest.mark.parametrize(("name", "unknown"), [("student-t", True), ("poisson", False), ("gaussian", False)])
def test_residuals_have_the_derivatives_that_differences_show(name, unknown):
    problem, path = with_noise(name, "trapezoid", unknown)
    residuals = Residuals(Action(problem))
    values, slopes = residuals.evaluate(path, 2.3)
    jacobian = csr_array((slopes, residuals.indices, residuals.indptr), shape=(len(values), len(path)))
    direction = scales(problem) * generator(4).standard_normal(len(path))
    step = 1e-6
    ahead, back = (residuals.evaluate(path + side * step * direction, 2.3)[0] for side in (1, -1))
    np.testing.assert_allclose((ahead - back) / (2 * step), jacobian @ direction, rtol=1e-5, atol=1e-6)


def test_the_root_of_softmax_is_that_of_its_second_derivatives():
    """Beside differences of its slope, and where some categories are all but impossible."""
    loss, rng = LOSSES["softmax"], generator(161)
    h = np.concatenate([rng.normal(size=(5, 4)), 40.0 * rng.normal(size=(5, 4))])
    y, width = np.eye(4)[rng.integers(0, 4, 10)], 1e-4
    found = loss.root(h) @ loss.root(h).transpose(0, 2, 1)
    for i in range(4):
        for j in range(4):
            up, across = width * np.eye(4)[i], width * np.eye(4)[j]
            second = sum(
                sign * loss.share(h + a * up + b * across, y, 1.0, {})
                for a, b, sign in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
            )
            np.testing.assert_allclose(found[:, i, j], second / (4.0 * width**2), rtol=0.0, atol=2e-6)
