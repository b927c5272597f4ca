"""The structured factorization against dense linear algebra."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcda.linalg.blocktridiagonal import BlockTridiagonal, Factor, NotBlockTridiagonalError
from hpcda.linalg.elimination import NotPositiveDefiniteError
from tests.chance import generator
from tests.unit.fuzzing import cases


def matrix(sizes, border, seed, shift=1.0):
    """A random symmetric positive definite matrix of the structure, and its compressed rows."""
    rng = generator(seed)
    n = sum(map(sum, sizes)) + border
    dense, begin = np.zeros((n, n)), 0
    for chain in sizes:
        edges = begin + np.concatenate([[0], np.cumsum(chain)])
        for k in range(len(chain)):
            a = slice(edges[k], edges[min(k + 2, len(chain))])
            part = np.concatenate([np.arange(n)[a], np.arange(n - border, n)])
            m = rng.standard_normal((len(part), len(part)))
            dense[np.ix_(part, part)] += m @ m.T
        begin = edges[-1]
    dense += (shift if begin else 1.0) * np.eye(n)
    rows, columns = np.nonzero(dense)
    indptr = np.searchsorted(rows, np.arange(n + 1))
    return dense, (indptr, columns, dense[rows, columns])


chain = st.lists(st.integers(1, 4), min_size=1, max_size=6)


@cases(60)
@given(sizes=st.lists(chain, min_size=1, max_size=3), border=st.integers(0, 3), seed=st.integers(0, 10**6))
def test_agrees_with_the_dense_inverse(sizes, border, seed):
    dense, csr = matrix(sizes, border, seed)
    factor = BlockTridiagonal.from_csr(*csr, sizes).cholesky()
    inverse = np.linalg.inv(dense)
    assert factor.logdet == pytest.approx(np.linalg.slogdet(dense)[1], rel=1e-10, abs=1e-10)
    right = generator(seed).standard_normal((len(dense), 2))
    np.testing.assert_allclose(factor.solve(right), inverse @ right, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(factor.solve(right[:, 0]), inverse @ right[:, 0], rtol=1e-8, atol=1e-10)
    selected = factor.selected_inverse()
    np.testing.assert_allclose(selected.variances, np.diagonal(inverse), rtol=1e-8)
    begin, inside = 0, len(dense) - border
    for blocks, diagonal, strips in zip(sizes, selected.diagonal, selected.border, strict=True):
        for size, block, strip in zip(blocks, diagonal, strips, strict=True):
            part = slice(begin, begin + size)
            np.testing.assert_allclose(block, inverse[part, part], rtol=1e-7, atol=1e-10)
            np.testing.assert_allclose(strip, inverse[inside:, part], rtol=1e-7, atol=1e-10)
            begin += size
    np.testing.assert_allclose(selected.corner, inverse[inside:, inside:], rtol=1e-7, atol=1e-10)


@cases(40)
@given(
    sizes=st.lists(chain, min_size=1, max_size=2),
    border=st.integers(0, 3),
    seed=st.integers(0, 10**6),
    shift=st.sampled_from([-3.0, -1.0, 0.0, 4.0]),
    turned=st.booleans(),
)
def test_what_is_lifted_is_all_that_differs(sizes, border, seed, shift, turned):
    """The chains' factor is that of the matrix, indefinite or not, plus the lifts, each in its block."""
    dense, csr = matrix(sizes, border, seed, shift)
    made = BlockTridiagonal.from_csr(*csr, sizes)
    order, begin = [], 0
    for blocks in sizes:
        starts = begin + np.concatenate([[0], np.cumsum(blocks)])
        parts = [np.arange(low, high) for low, high in zip(starts, starts[1:], strict=False)]
        order += parts[::-1] if turned else parts
        begin = starts[-1]
    made = made.reversed() if turned else made
    where = np.concatenate([*order, np.arange(begin, len(dense))])
    chains, schur, lifts = made.lifted(0.5)
    whole = dense.copy()
    for lift in lifts:
        rows = order[sum(len(blocks) for blocks in sizes[: lift.chain]) + lift.block]
        gain = np.maximum(lift.raised, -lift.curvatures) - lift.curvatures
        assert (gain > 0).all()
        whole[np.ix_(rows, rows)] += (lift.directions * gain) @ lift.directions.T
    inside = whole[:begin, :begin]
    assert np.linalg.eigvalsh(inside).min() > 0
    logdet = 2 * sum(np.log(np.diagonal(block)).sum() for one in chains for block in one.diagonal)
    assert logdet == pytest.approx(np.linalg.slogdet(inside)[1], rel=1e-6, abs=1e-6)
    across = whole[begin:, :begin]
    expected = whole[begin:, begin:] - across @ np.linalg.solve(inside, across.T)
    np.testing.assert_allclose(schur, expected, rtol=1e-5, atol=1e-6 * np.abs(dense).max())
    if shift > 0:
        factor = Factor(chains, np.linalg.cholesky(schur))
        right = generator(seed).standard_normal(len(dense))
        found = np.empty(len(dense))
        found[where] = factor.solve(right[where])
        np.testing.assert_allclose(found, np.linalg.solve(whole, right), rtol=1e-6, atol=1e-8)


def test_says_where_it_is_not_positive_definite():
    dense, _ = matrix([[2, 2, 2]], 1, 0)
    dense[2, 2] = -5.0
    rows, columns = np.nonzero(dense)
    csr = np.searchsorted(rows, np.arange(8)), columns, dense[rows, columns]
    with pytest.raises(NotPositiveDefiniteError, match="block 1 of chain 0"):
        BlockTridiagonal.from_csr(*csr, [[2, 2, 2]]).cholesky()
    dense, _ = matrix([[2, 2]], 1, 0)
    dense[-1, -1] = 0.0
    rows, columns = np.nonzero(np.abs(dense) >= 0)
    csr = np.searchsorted(rows, np.arange(6)), columns, dense[rows, columns]
    with pytest.raises(NotPositiveDefiniteError, match="border"):
        BlockTridiagonal.from_csr(*csr, [[2, 2]]).cholesky()


def test_nan_is_not_positive_definite():
    with pytest.raises(NotPositiveDefiniteError):
        BlockTridiagonal.from_csr([0, 1], [0], [np.nan], [[1]]).cholesky()


def test_refuses_blocks_that_do_not_fit():
    dense, csr = matrix([[4, 4, 4]], 0, 1)
    with pytest.raises(NotBlockTridiagonalError):
        BlockTridiagonal.from_csr(*csr, [[2] * 6])
    with pytest.raises(NotBlockTridiagonalError):
        BlockTridiagonal.from_csr(*csr, [[4, 4], [4]])
