"""Every elimination of a sparse matrix, in every order, against dense linear algebra."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hpcda.action import Action
from hpcda.action.blocks import pattern_of
from hpcda.linalg.blocktridiagonal import ChainElimination, NotBlockTridiagonalError
from hpcda.linalg.elimination import Inertia, NotPositiveDefiniteError, Pattern
from hpcda.linalg.order import counted, least_work, minimum_degree, orders
from hpcda.linalg.tree import FRONT, Tree, TreeElimination, stored_from
from tests.chance import generator
from tests.unit.fuzzing import cases
from tests.unit.problems import VARIANTS, example
from tests.unit.problems import cases as models


def sparse(size, shared, density, seed, layers=5):
    """A random positive definite matrix, its pattern, and its values; the last unknowns meet all others."""
    rng = generator(seed, size, shared)
    upper = np.triu(rng.standard_normal((size, size)) * (rng.random((size, size)) < density), 1)
    upper[:, size - shared :] = np.triu(rng.standard_normal((size, size)), 1)[:, size - shared :]
    dense = upper + upper.T
    dense += np.diag(np.abs(dense).sum(axis=1) + rng.uniform(0.1, 1.0, size))
    layer = np.where(np.arange(size) < size - shared, np.arange(size) // layers, -1)
    return dense, *pattern_and_values(dense, layer)


def pattern_and_values(dense, layer):
    matrix = csr_array(dense)
    matrix.sort_indices()
    return Pattern(matrix.indptr, matrix.indices, layer), matrix.data


def eliminations(pattern):
    return [TreeElimination(pattern, order) for order in orders(pattern)]


def agrees(elimination, dense, values, rtol=1e-8):
    """All that a factor gives is what dense linear algebra gives."""
    size, pattern = len(dense), elimination.pattern
    factor, inverse = elimination.factor(values), np.linalg.inv(dense)
    scale = np.abs(inverse).max()
    close = {"rtol": rtol, "atol": rtol * scale}
    right = generator(size).standard_normal((size, 3))
    np.testing.assert_allclose(factor.solve(right), inverse @ right, rtol=rtol, atol=10 * rtol * scale)
    np.testing.assert_allclose(factor.solve(right[:, 0]), factor.solve(right)[:, 0], rtol=1e-8, atol=1e-12)
    assert factor.logdet == pytest.approx(np.linalg.slogdet(dense)[1], rel=1e-10, abs=1e-8)
    half = factor.sample(np.eye(size))  # L⁻ᵀ
    np.testing.assert_allclose(half @ half.T, inverse, **close)
    np.testing.assert_allclose(factor.variances, np.diagonal(inverse), **close)
    np.testing.assert_allclose(factor.inverse_on_pattern(), inverse[pattern.rows, pattern.indices], **close)
    has_the_inertia(elimination, dense, values)


def has_the_inertia(elimination, dense, values):
    """Signs of eigenvalues, of the matrix and shifted to where some are below 0."""
    eigenvalues = np.linalg.eigvalsh(dense)
    at = int(np.argmax(np.diff(eigenvalues))) if len(dense) > 1 else 0
    for shift in (0.0, -float(eigenvalues[at : at + 2].mean())):
        below = int((eigenvalues + shift < 0).sum())
        if len(dense) > 1 or shift == 0.0:
            assert elimination.inertia(values, shift) == Inertia(len(dense) - below, below, 0)


@cases(40)
@given(
    size=st.integers(1, 60),
    shared=st.integers(0, 3),
    density=st.floats(0.0, 0.3),
    seed=st.integers(0, 10**6),
    layers=st.integers(1, 7),
)
def test_random_matrices_in_every_order(size, shared, density, seed, layers):
    dense, pattern, values = sparse(size, min(shared, size), density, seed, layers)
    for elimination in eliminations(pattern):
        agrees(elimination, dense, values)


@pytest.mark.parametrize("size", [FRONT - 1, FRONT, FRONT + 1, 2 * FRONT + 3, 200])
def test_fronts_of_more_than_one_panel(size):
    dense, pattern, values = sparse(size, 2, 1.0, 5)
    agrees(TreeElimination(pattern), dense, values)
    dense, pattern, values = sparse(size, 1, 0.08, 6)
    for elimination in eliminations(pattern):
        agrees(elimination, dense, values)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("name", "scheme"), models())
def test_hessians_of_every_model_and_discretization(name, scheme, variant):
    """Positive definite by a shift; the chain of blocks gives the same, where it fits."""
    problem, path = example(name, scheme, variant)
    action = Action(problem)
    indptr, indices, values = action.hessian(path, 10.0)
    dense = csr_array((values, indices, indptr), shape=(problem.size,) * 2).toarray()
    unit = np.sqrt(np.abs(np.diagonal(dense)) + 1e-3)  # unknowns of very different sizes
    pattern = pattern_of(problem, action.sparsity)
    values, dense = values / (unit[pattern.rows] * unit[pattern.indices]), dense / np.outer(unit, unit)
    lowest = np.linalg.eigvalsh(dense)[0]
    shift = max(0.0, -lowest) + 0.1
    dense += shift * np.eye(len(dense))
    values = values + shift * (pattern.rows == pattern.indices)
    found = [TreeElimination(pattern)]
    times = 2 if scheme == "hermite-simpson" else 1
    sizes = [
        [problem.layout.block * len(range(n, min(n + times, w.times))) for n in range(0, w.times, times)]
        for w in problem.windows
    ]
    found.append(ChainElimination(pattern, sizes))
    for elimination in found:
        agrees(elimination, dense, values)
        below = elimination.factor(values, 0.5)
        above = np.linalg.slogdet(dense + 0.5 * np.eye(len(dense)))[1]
        assert below.logdet == pytest.approx(above, rel=1e-10)
        with pytest.raises(NotPositiveDefiniteError):
            elimination.factor(values, -shift - 0.2 if lowest < 0 else -lowest - 0.2)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
@pytest.mark.parametrize(("size", "density"), [(150, 0.05), (300, 1.0), (530, 0.02)])
def test_every_number_of_lanes_gives_the_same_bits(lanes, size, density):
    """One matrix alone has its columns in vectors, several have one another."""
    _, pattern, _ = sparse(size, 2, density, 3)
    elimination = TreeElimination(pattern)
    diagonal = pattern.rows == pattern.indices
    symmetric = generator(7).random(pattern.size)
    values = np.stack(
        [np.where(diagonal, size + k, 1.0 / (1.0 + symmetric[pattern.rows] + symmetric[pattern.indices]))
         for k in range(lanes)], axis=1,
    )  # fmt: skip
    for lane, factor in enumerate(elimination.factor_all(values)):
        np.testing.assert_array_equal(factor.numbers, elimination.factor(values[:, lane]).numbers)


@pytest.mark.parametrize("place", [0, 30, 59])
def test_says_where_it_is_not_positive_definite(place):
    dense, pattern, values = sparse(60, 1, 0.1, 9)
    values = values.copy()
    values[(pattern.rows == place) & (pattern.indices == place)] = -1.0
    assert np.linalg.eigvalsh(dense)[0] > 0
    for elimination in eliminations(pattern):
        with pytest.raises(NotPositiveDefiniteError, match="the front of unknowns"):
            elimination.factor(values)
        with pytest.raises(NotPositiveDefiniteError, match="of matrix 1"):
            elimination.factor_all(
                np.stack([np.where(pattern.rows == pattern.indices, 100.0, 0.1), values], 1)
            )


def test_not_a_number_is_not_positive_definite():
    _, pattern, values = sparse(20, 0, 0.2, 1)
    values = values.copy()
    values[0] = np.nan
    with pytest.raises(NotPositiveDefiniteError):
        TreeElimination(pattern).factor(values)


@cases(40)
@given(
    size=st.integers(1, 60),
    density=st.floats(0.0, 0.3),
    late=st.floats(0.0, 1.0),
    seed=st.integers(0, 10**6),
)
def test_counts_are_those_of_the_factor(size, density, late, seed):
    """Of a matrix whose factor has no zero by chance; an order is a permutation, what is late comes last."""
    dense, pattern, _ = sparse(size, 0, density, seed)
    kept = generator(seed).random(size) < late
    order = minimum_degree(pattern, kept)
    np.testing.assert_array_equal(np.sort(order), np.arange(size))
    np.testing.assert_array_equal(order[size - kept.sum() :], np.flatnonzero(kept))
    lower = np.linalg.cholesky(dense[np.ix_(order, order)])
    found = counted("", pattern, order)
    below = np.count_nonzero(np.tril(lower, -1), axis=0)
    assert (found.below >= below).all() and found.below.sum() == _filled(dense[np.ix_(order, order)])
    assert found.flops == (found.below * (found.below + 2.0)).sum()


def _filled(dense):
    """Entries below the diagonal of a factor, by elimination of the graph."""
    graph = dense != 0
    total = 0
    for k in range(len(graph)):
        rows = k + 1 + np.flatnonzero(graph[k + 1 :, k])
        graph[np.ix_(rows, rows)] = True
        total += len(rows)
    return total


def grid(sites, times, reach=3):
    """Pattern of `times` rings of sites, each coupled with its neighbors at its own time and the next."""
    site, time = np.arange(sites * times) % sites, np.arange(sites * times) // sites
    offsets = [(t, s) for t in (-1, 0, 1) for s in range(-reach, reach + 1)]
    rows = np.concatenate([np.arange(sites * times)] * len(offsets))
    columns = np.concatenate([(site + s) % sites + sites * (time + t) for t, s in offsets])
    inside = np.concatenate([(time + t >= 0) & (time + t < times) for t, _ in offsets])
    matrix = csr_array((np.ones(inside.sum()), (rows[inside], columns[inside])))
    matrix.sum_duplicates()
    matrix.sort_indices()
    return Pattern(matrix.indptr, matrix.indices, time)


def test_wide_models_take_a_fraction_of_the_work_of_dense_blocks():
    """Operations counted for Lorenz 1996, 161 times; 400 sites take a tenth, 20 less than dense blocks."""
    for sites, least, best in (
        (20, 2.2e6, "natural"),
        (100, 1.55e8, "dissection"),
        (400, 2.6e9, "dissection"),
    ):
        pattern = grid(sites, 161)
        chosen = least_work(pattern)
        assert chosen.name.startswith(best) and chosen.flops <= least
        assert Tree.of(pattern, chosen).flops == pytest.approx(chosen.flops, rel=0.02)
        assert chosen.order.tolist() == least_work(pattern).order.tolist()


def test_shared_unknowns_can_stay():
    """The last front then holds them alone, and is put together only."""
    _, pattern, _ = sparse(70, 3, 0.05, 4)
    tree = Tree.of(pattern, keep_shared=True)
    assert tree.open and tree.fronts[-1].pivots == 3
    np.testing.assert_array_equal(tree.order[-3:], [67, 68, 69])
    np.testing.assert_array_equal(np.sort(tree.order), np.arange(70))
    ends = [(front.begin, front.begin + front.pivots) for front in tree.fronts]
    assert all(end == begin for (_, end), (begin, _) in pairwise(ends)) and ends[-1][1] == 70


@given(first=st.lists(st.integers(0, 40), min_size=1, max_size=30), pivots=st.integers(1, 30))
def test_rows_are_kept_from_where_any_tile_begins(first, pivots):
    """Tiles of up to six rows within pivots or rest, four columns wide."""
    pivots = min(pivots, len(first))
    columns = np.array(first)
    columns[:pivots] = np.minimum(columns[:pivots], np.arange(pivots))
    stored = stored_from(columns, pivots)
    for low, high in ((0, pivots), (pivots, len(first))):
        for begin in range(low, high):
            for end in range(begin + 1, min(begin + 6, high) + 1):
                start = columns[begin:end].min()
                assert (stored[begin:end] <= start // 4 * 4).all()


def test_a_chain_refuses_what_does_not_fit():
    _, pattern, _ = sparse(12, 0, 1.0, 1)
    with pytest.raises(NotBlockTridiagonalError):
        ChainElimination(pattern, [[4, 4, 4]])
