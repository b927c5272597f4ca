"""Escapes: random numbers, bounds and finite paths for every model; what each of them changes and keeps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from hpcda.annealing import Ladder
from hpcda.linalg.banded import Banded
from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.sampling.fictitious_time import step
from hpcda.search import ESCAPES, SearchContext
from hpcda.search.escapes import settling
from hpcda.search.escapes.langevin import metric
from hpcda.search.stretches import action_by_time, draw_stretch
from tests.chance import generator
from tests.unit.problems import cases, dense, example, linear_problem

LADDER = Ladder(1e-2, 1.5, 40)
MODELS = {name: scheme for name, scheme in reversed(cases())}


def context_of(name="lorenz96", scheme="trapezoid", variant="walk", bounded=True):
    problem, path = example(name, scheme, variant)
    if bounded:
        problem = replace(
            problem,
            state_bounds=problem.state_start.copy(),
            parameters=tuple(replace(p, bounds=p.start) for p in problem.parameters),
            varying=tuple(replace(q, bounds=q.start) for q in problem.varying),
        )
    return SearchContext(problem, LADDER), path


def parents(problem, path, count):
    low, high = problem.bounds
    rng = generator(5)
    others = [np.clip(path + 0.1 * rng.standard_normal(len(path)), low, high) for _ in range(count - 1)]
    return [path, *others][:count]


@pytest.mark.parametrize("name", MODELS)
def test_paths_are_finite_inside_the_bounds_and_from_rng_alone(name):
    for variant, bounded in (("walk", True), ("nonlinear and gaps", True), ("states alone", False)):
        context, path = context_of(name, MODELS[name], variant, bounded)
        low, high = context.problem.bounds
        for escape in (one for one in ESCAPES.values() if one.weight):
            minima = parents(context.problem, path, escape.parents)
            before = [minimum.copy() for minimum in minima]
            new, first = escape.draw(context, minima, generator(1))
            again, same = escape.draw(context, minima, generator(1))
            others = [escape.draw(context, minima, generator(key))[0] for key in range(2, 10)]
            assert new.shape == path.shape and np.isfinite(new).all()
            assert (new >= low).all() and (new <= high).all()
            assert 0 <= first < LADDER.rungs
            assert np.array_equal(new, again) and first == same
            assert not all(np.array_equal(new, other) for other in others) and not np.array_equal(new, path)
            assert all(np.array_equal(a, b) for a, b in zip(minima, before, strict=True))


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson", "rk4"])
def test_action_by_time_is_the_action(scheme):
    context, path = context_of(scheme=scheme)
    parts = context.action.value(path, LADDER.rf[-1])
    total = sum(here.sum() for here in action_by_time(context, path))
    assert total == pytest.approx(parts.measurement + parts.model, rel=1e-12)


def test_a_stretch_is_where_the_action_is():
    context, path = context_of(bounded=False)
    here = action_by_time(context, path)
    rng = generator(3)
    drawn = [draw_stretch(context, path, (0.3, 0.5), rng) for _ in range(200)]
    inside = np.mean([here[s.window][s.begin : s.end].mean() for s in drawn])
    assert inside > np.mean(np.concatenate(here))
    for s in drawn:
        assert 0 <= s.begin < s.end <= len(here[s.window])
        assert 0.3 * len(here[s.window]) - 1 <= s.end - s.begin <= 0.5 * len(here[s.window]) + 1


@pytest.mark.parametrize("name", ["neighborhood", "transplant"])
def test_one_stretch_of_one_window_changes_and_no_shared_parameter(name):
    context, path = context_of()
    problem = context.problem
    for seed in range(10):
        new, _ = ESCAPES[name].draw(context, [path], generator(seed))
        (before, kept), (after, parameters) = problem.split(path), problem.split(new)
        assert np.array_equal(kept, parameters)
        changed = [(a != b).any(axis=1) for a, b in zip(before, after, strict=True)]
        assert sum(rows.any() for rows in changed) == 1
        rows = np.flatnonzero(next(rows for rows in changed if rows.any()))
        assert (np.diff(rows) == 1).all()
        assert len(rows) <= 0.5 * max(window.times for window in problem.windows) + 1


def test_transplant_puts_in_another_piece_of_the_path():
    context, path = context_of(bounded=False)
    problem = context.problem
    unmeasured = [1, 2, 3]  # of five states the first and the last are in the data
    old = problem.split(path)[0]
    pieces = {tuple(row) for block in old for row in block[:, unmeasured]}
    for seed in range(10):
        new, _ = ESCAPES["transplant"].draw(context, [path], generator(seed))
        blocks = problem.split(new)[0]
        assert {tuple(row) for block in blocks for row in block[:, unmeasured]} <= pieces
        for a, b in zip(old, blocks, strict=True):
            assert np.array_equal(a[:, problem.dimension :], b[:, problem.dimension :])


def test_splice_equals_its_parents_on_both_sides():
    context, path = context_of()
    problem = context.problem
    first, second = parents(problem, path, 2)
    ends = problem.layout.tail.start
    for seed in range(300):  # among them two cuts at one time
        new, _ = ESCAPES["splice"].draw(context, [first, second], generator(seed))
        a, b, c = (x[:ends].reshape(-1, problem.layout.block) for x in (first, second, new))
        inside = (c == b).all(axis=1) & (c != a).any(axis=1)
        assert ((c == a).all(axis=1) | inside).all()
        rows = np.flatnonzero(inside)
        assert 0 < len(rows) < len(c) and (np.diff(rows) == 1).all()
        between = np.sort([first[ends:], second[ends:]], axis=0)
        assert ((between[0] <= new[ends:]) & (new[ends:] <= between[1])).all()


def test_langevin_samples_a_gaussian_action_exactly_at_a_large_step():
    problem = linear_problem(times=4, windows=linear_problem(times=4).windows * 2)
    context = SearchContext(problem, LADDER)
    rf, temperature, size, count = 3.0, 2.0, 3.0, 4000  # a path turns by ρ = (1 - h/2) / (1 + h/2)
    rho = -0.2
    start = np.zeros(problem.size)
    hessian = dense(context.action, start, rf)
    minimum = np.linalg.solve(hessian, -context.action.gradient(start, rf)[1])
    factor = metric(context, start, rf, shift=0.0)
    np.testing.assert_allclose(factor.solve(hessian @ start + hessian[0]), np.eye(len(start))[0], atol=1e-10)
    rng = generator(1)
    path, samples = minimum, np.empty((count, len(start)))
    for k in range(count):
        gradient = context.action.gradient(path, rf)[1]
        path = step(path, gradient, factor, size, 0.5, temperature, rng.standard_normal(len(start)))
        samples[k] = path
    exact = temperature * np.linalg.inv(hessian)
    whitened = np.linalg.solve(np.linalg.cholesky(exact), (samples - minimum).T)
    error = 5.0 * np.sqrt((1 + rho**2) / (1 - rho**2) / count)
    assert np.abs(whitened.mean(axis=1)).max() < error
    assert np.abs(whitened @ whitened.T / count - np.eye(len(start))).max() < 1.5 * error


@pytest.mark.parametrize("border", [0, 2])
def test_banded_factor(border):
    rng = generator(2)
    size = 12
    matrix = np.tril(np.triu(rng.normal(size=(size, size)), -2), 0)
    matrix[size - border :] = rng.normal(size=(border, size))
    matrix = np.tril(matrix) @ np.tril(matrix).T + np.eye(size)
    matrix[: size - border, : size - border] = np.triu(np.tril(matrix, 2), -2)[
        : -border or None, : -border or None
    ]
    factor = Banded.factor(csr_array(matrix), border)
    right = rng.normal(size=(size, 3))
    np.testing.assert_allclose(matrix @ factor.solve(right), right, atol=1e-10)
    root = factor.sample(np.eye(size))
    np.testing.assert_allclose(root @ root.T, np.linalg.inv(matrix), atol=1e-10)
    matrix[5, 5] = -1.0
    with pytest.raises(NotPositiveDefiniteError):
        Banded.factor(csr_array(matrix), border)


def test_again_keeps_the_path_and_begins_a_decade_below_the_end():
    context, path = context_of()
    new, first = settling().draw(context, [path], generator(1))
    decades = np.log10(LADDER.rf[-1] / LADDER.rf[first - 1 : first + 1])
    assert np.array_equal(new, path) and decades[1] <= 1.0 + 1e-3 < decades[0]
