"""Subtrees of a tree of fronts: windows apart, what is shared at the end; against dense algebra."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from hpcda.action import Action
from hpcda.action.blocks import pattern_of
from hpcda.linalg.elimination import Pattern
from hpcda.linalg.spread import Part, SpreadElimination, permuted
from hpcda.linalg.tree import Tree, TreeElimination
from tests.chance import generator
from tests.unit.problems import VARIANTS, cases, example


def alone(pattern):
    """All of a matrix on one rank."""
    none = np.zeros(pattern.size, dtype=np.int64)
    return Part(pattern, np.arange(pattern.size), none, none)


def windows_of(problem):
    """Window of every unknown, -1 for the parameters."""
    found = np.full(problem.size, -1)
    for number in range(len(problem.windows)):
        found[problem.layout.points(number).ravel()] = number
    return found


@pytest.mark.parametrize("variant", ["nonlinear and gaps", "walk", "priors and sparse data"])
@pytest.mark.parametrize(("name", "scheme"), cases())
def test_windows_are_subtrees_that_meet_in_what_they_share(name, scheme, variant):
    problem, _ = example(name, scheme, variant)
    action = Action(problem)
    pattern, window = pattern_of(problem, action.sparsity), windows_of(problem)
    for tree in (Tree.of(pattern, keep_shared=True), SpreadElimination(alone(pattern)).tree):
        fronts = tree.fronts[: len(tree.fronts) - tree.open]
        for front in fronts:
            pivots = tree.order[front.begin : front.begin + front.pivots]
            own = set(window[pivots])
            assert len(own) == 1 and -1 not in own
            assert set(window[tree.order[front.rest]]) <= own | {-1}
            if front.parent >= 0 and front.parent < len(fronts):
                above = tree.fronts[front.parent]
                assert set(window[tree.order[above.begin : above.begin + above.pivots]]) == own
        assert {int(window[tree.order[front.begin]]) for front in fronts} == set(range(len(problem.windows)))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson"])
def test_solutions_are_those_of_dense_linear_algebra(scheme, variant):
    problem, path = example("lorenz63", scheme, variant)
    action = Action(problem)
    indptr, indices, values = action.hessian(path, 10.0)
    dense = csr_array((values, indices, indptr), shape=(problem.size,) * 2).toarray()
    unit = np.sqrt(np.abs(np.diagonal(dense)) + 1e-3)
    pattern = pattern_of(problem, action.sparsity)
    values, dense = values / (unit[pattern.rows] * unit[pattern.indices]), dense / np.outer(unit, unit)
    lowest = np.linalg.eigvalsh(dense)[0]
    elimination = SpreadElimination(alone(pattern))
    assert elimination.flops > 0 and elimination.memory > 8 * problem.size
    right = generator(1).standard_normal((problem.size, 2))
    diagonal = pattern.rows == pattern.indices
    for shift in (0.1 - min(lowest, 0.0), -lowest - 0.1, 3.0 - min(lowest, 0.0)):
        whole = dense + shift * np.eye(problem.size)
        definite = np.linalg.eigvalsh(whole)[0] > 0
        assert elimination.factor(values + shift * diagonal) == definite
        if definite:
            wanted = np.linalg.solve(whole, right)
            close = {"rtol": 1e-10, "atol": 1e-10 * np.abs(wanted).max()}
            np.testing.assert_allclose(elimination.solve(right), wanted, **close)
            np.testing.assert_allclose(elimination.solve(right[:, 1]), wanted[:, 1], **close)


def test_parameters_of_few_of_many_windows_stay_in_their_subtrees():
    """Else what comes last, all of them, would be one large dense block."""
    problem, path = example("lorenz63", "trapezoid", "nonlinear and gaps")
    first, *others = problem.parameters
    windows = tuple(replace(problem.windows[1], t=problem.windows[1].t + 2.0 * n) for n in range(9))
    problem = replace(problem, windows=windows, parameters=(replace(first, per_window=True), *others))
    action = Action(problem)
    indptr, indices, values = action.hessian(generator(5).uniform(1.0, 2.0, problem.size), 10.0)
    dense = csr_array((values, indices, indptr), shape=(problem.size,) * 2).toarray()
    shift = 1.0 - min(float(np.linalg.eigvalsh(dense)[0]), 0.0)
    pattern = pattern_of(problem, action.sparsity)
    elimination = SpreadElimination(alone(pattern))
    assert [one.size for one in elimination.meetings] == [len(others)] and pattern.shared == 9 + len(others)
    assert elimination.factor(values + shift * (pattern.rows == pattern.indices))
    right = np.arange(1.0, problem.size + 1)
    wanted = np.linalg.solve(dense + shift * np.eye(problem.size), right)
    np.testing.assert_allclose(elimination.solve(right), wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())


def test_nothing_shared_and_nothing_but_shared():
    """A matrix of which no unknown is kept, and one whose unknowns all are."""
    half = generator(2).standard_normal((9, 9))
    dense = half @ half.T + np.eye(9)
    matrix = csr_array(dense)
    for layer in (np.zeros(9, dtype=np.int64), np.full(9, -1)):
        pattern = Pattern(matrix.indptr, matrix.indices, layer)
        elimination = SpreadElimination(alone(pattern))
        assert elimination.factor(matrix.data)
        found = elimination.solve(np.arange(9.0))
        np.testing.assert_allclose(found, np.linalg.solve(dense, np.arange(9.0)), rtol=1e-10)
        assert not elimination.factor(-matrix.data)


def test_a_pattern_in_another_order():
    dense = generator(3).random((8, 8)) < 0.3
    dense = np.where(dense | dense.T | np.eye(8, dtype=bool), 1.0 + np.arange(64.0).reshape(8, 8), 0.0)
    matrix = csr_array(dense)
    order = generator(4).permutation(8)
    pattern, source = permuted(Pattern(matrix.indptr, matrix.indices, np.arange(8)), order, 2)
    turned = csr_array((matrix.data[source], pattern.indices, pattern.indptr)).toarray()
    np.testing.assert_array_equal(turned, dense[np.ix_(order, order)])
    np.testing.assert_array_equal(pattern.layer, [*order[:6], -1, -1])


def test_the_tree_with_its_last_front_eliminated_densely_takes_no_more_work():
    problem, _ = example("lorenz96", "trapezoid", "nonlinear and gaps")
    pattern = pattern_of(problem, Action(problem).sparsity)
    assert SpreadElimination(alone(pattern)).flops <= 1.2 * TreeElimination(pattern).flops
