"""Parameters of one time that all windows share: the action, its graph, its error bars, its climbs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from hpcda.action import Action, verify
from hpcda.action.chain import chain_action, chain_places
from hpcda.action.residuals import Residuals
from hpcda.analysis.laplace import Bar, gaussian
from hpcda.annealing import Ladder, Reason
from hpcda.annealing.climbs import climb
from hpcda.annealing.eliminations import plan
from hpcda.annealing.lockstep import Lockstep, climbs_of
from hpcda.errors import InputError
from hpcda.problem import Estimated, Ties
from tests.chance import generator
from tests.unit.problems import cases, example, linear_problem

RF = 10.0


def tied(name="lorenz96", scheme="trapezoid", **changes):
    """Two windows that share a walking parameter with a prior, and a path with its copies."""
    problem, path = example(name, scheme, "walk")
    (varying,) = problem.varying
    problem = replace(problem, varying=(replace(varying, shared=True, **changes),))
    return problem, problem.ties.tied(path)


def dense(csr):
    return csr_array((csr[2], csr[1], csr[0]), shape=(len(csr[0]) - 1,) * 2).toarray()


def loose(problem):
    """The same without ties, walks and priors of what is shared."""
    varying = (replace(q, shared=False, prior=None, walk_std=None) for q in problem.varying)
    return replace(problem, varying=tuple(varying))


def test_the_first_window_that_has_a_time_holds_its_unknown():
    ties = Ties.of(9, [[np.array([0, 1]), np.array([3, 4, 5]), np.array([6, 7, 8])]])
    assert ties.first.tolist() == [0, 1, 2, 0, 1, 5, 0, 1, 5]
    assert ties.copies.tolist() == [3, 4, 6, 7, 8] and ties.some
    assert ties.tied(np.arange(9.0)).tolist() == [0, 1, 2, 0, 1, 5, 0, 1, 5]
    assert ties.gathered(np.ones(9)).tolist() == [3, 3, 1, 0, 0, 2, 0, 0, 0]


def test_unknowns_walks_and_priors_are_counted_once():
    problem, _ = tied()
    times = [window.times for window in problem.windows]
    assert times == [9, 13] and problem.unknowns == problem.size - 9
    assert problem.trajectory_unknowns == 2 * problem.dimension + 13 + len(problem.constants)
    assert problem.prior_terms == 13 + 12
    steps = np.concatenate([walk.places for walk in problem.walks])
    assert sorted(map(tuple, steps)) == sorted(set(map(tuple, steps))) and len(steps) == 12
    assert not problem.ties.copied[steps].any()
    assert not problem.cut(1, 0, 13).ties.some


@pytest.mark.parametrize(("name", "scheme"), cases())
def test_derivatives_are_those_of_the_action_and_its_graph(name, scheme):
    problem, path = tied(name, scheme)
    action, graph, places = Action(problem), chain_action(problem), chain_places(problem)
    assert verify(action, path, RF).ok
    parts, gradient, _ = action.derivatives(path, RF)
    assert action.value(path, RF) == pytest.approx(parts) and not gradient[problem.ties.copies].any()
    own = np.unique(places, return_index=True)[1]
    shares, slopes, _ = graph.derivatives(path[own], RF)
    for group in ("measurement", "model", "prior"):
        assert shares[group] == pytest.approx(getattr(parts, group), rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(slopes, gradient[own], rtol=1e-11, atol=1e-11 * np.abs(slopes).max())
    whole = dense(graph.hessian(path[own], RF))
    found = dense(action.hessian(path, RF))[np.ix_(own, own)]
    np.testing.assert_allclose(found, whole, rtol=1e-11, atol=1e-12 * np.abs(whole).max())


def test_the_action_is_that_of_the_windows_with_the_walk_and_the_priors_once():
    problem, path = tied()
    (q,) = problem.varying
    values = path[problem.layout.points(1)[:, -1]]
    walk = np.sum(np.diff(values) ** 2) / (2 * q.walk_std**2 * problem.windows[0].dt)
    prior = np.sum((values - q.prior[0]) ** 2) / (2 * q.prior[1] ** 2)
    before, after = Action(loose(problem)), Action(problem)
    assert after.value(path, RF).total == pytest.approx(
        before.value(path, RF).total + walk + prior, rel=1e-13
    )
    torn = path + generator(2).normal(size=problem.size) * problem.ties.copied
    assert after.value(torn, RF) == after.value(path, RF)


def test_residuals_have_the_action_and_the_gradient():
    problem, path = tied()
    action = Action(problem)
    residuals = Residuals(action)
    values, slopes = residuals.evaluate(path, RF)
    parts, gradient = action.gradient(path, RF)
    jacobian = csr_array((slopes, residuals.indices, residuals.indptr), (residuals.count, problem.size))
    assert 0.5 * values @ values == pytest.approx(parts.total, rel=1e-12)
    np.testing.assert_allclose(jacobian.T @ values, gradient, rtol=1e-10, atol=1e-10 * np.abs(gradient).max())


def linear():
    """A linear map of three windows that share b(n), which walks."""
    problem = linear_problem()
    (window,) = problem.windows
    rng = generator(4)
    cut = (12, 9, 7)
    windows = tuple(
        replace(window, t=window.t[:n], data=rng.normal(size=(n, 2)), noise_std=window.noise_std[:n],
                series=window.series[:n])
        for n in cut
    )  # fmt: skip
    b = Estimated("b", (-1.0, 2.0), prior=(0.3, 2.0), walk_std=0.5, shared=True)
    return replace(problem, windows=windows, parameters=(), varying=(b,))


def test_climbs_end_in_the_minimum_that_linear_algebra_gives():
    problem = linear()
    action, ladder = Action(problem), Ladder(1.0, 10.0, 2)
    start = problem.ties.tied(generator(5).normal(size=problem.size))
    ends = [climb(climbs_of(action, ladder, lanes), [start, start + 1.0]) for lanes in (2, 8)]
    last = ends[0][0][-1]
    assert last.reason.converged
    own = ~problem.ties.copied
    _, gradient = action.gradient(start, ladder.rf[-1])
    matrix = dense(action.hessian(start, ladder.rf[-1]))[np.ix_(own, own)]
    wanted = start.copy()
    wanted[own] -= np.linalg.solve(matrix, gradient[own])
    np.testing.assert_allclose(last.path, problem.ties.tied(wanted), atol=1e-7)
    assert np.array_equal(ends[1][0][-1].path, last.path)


def test_error_bars_are_those_of_the_dense_inverse():
    problem = linear()
    action, rf = Action(problem), 10.0
    last = climb(climbs_of(action, Ladder(rf, 10.0, 1), 1), [np.zeros(problem.size)])[0][-1]
    found = gaussian(problem, last.path, action.hessian(last.path, rf), action.gradient(last.path, rf)[1])
    own = ~problem.ties.copied
    matrix = dense(action.hessian(last.path, rf))[np.ix_(own, own)]
    variances = np.empty(problem.size)
    variances[own] = np.diagonal(np.linalg.inv(matrix))
    assert (found.kinds == Bar.GAUSSIAN).all()
    np.testing.assert_allclose(found.variances, problem.ties.tied(variances), rtol=1e-9)
    assert found.logdet == pytest.approx(np.linalg.slogdet(matrix)[1], rel=1e-10)


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson"])
def test_one_window_has_the_same_bits_as_a_parameter_of_its_own(scheme):
    problem, path = tied(scheme=scheme)
    alone = problem.cut(1, 0, 13)
    assert alone.varying[0].shared
    plain = replace(alone, varying=tuple(replace(q, shared=False) for q in alone.varying))
    start = np.concatenate([path[problem.layout.points(1).ravel()], path[problem.layout.tail]])
    one, other = Action(alone), Action(plain)
    assert np.array_equal(one.derivatives(start, RF)[2], other.derivatives(start, RF)[2])
    ladder = Ladder(0.1, 4.0, 3)
    first, second = (climb(climbs_of(action, ladder, 1), [start])[0] for action in (one, other))
    assert isinstance(climbs_of(one, ladder, 1), Lockstep)
    assert all(np.array_equal(a.path, b.path) for a, b in zip(first, second, strict=True))


def test_climbs_of_a_nonlinear_model_end_where_the_gradient_ends():
    problem, path = tied()
    action, ladder = Action(problem), Ladder(0.1, 4.0, 4)
    (rungs,) = climb(climbs_of(action, ladder, 1), [path])
    assert rungs[-1].reason is not Reason.FAILED_OTHER
    gradient = action.gradient(rungs[-1].path, ladder.rf[-1])[1]
    assert np.abs(gradient * action.sizes(rungs[-1].path)).max() < 1e-5
    assert np.array_equal(problem.ties.tied(rungs[-1].path), rungs[-1].path)


def test_a_chain_does_not_eliminate_what_windows_share():
    problem, _ = tied()
    action = Action(problem)
    assert plan(action).what.startswith("tree of ")
    with pytest.raises(InputError, match=r"(?s)solver.elimination.*'chain'.*auto"):
        plan(action, "chain")
