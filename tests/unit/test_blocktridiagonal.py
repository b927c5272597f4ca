"""The structured factorization against dense linear algebra."""

import numpy as np
import pytest
from fuzzing import cases
from hypothesis import given
from hypothesis import strategies as st

from hpcda.linalg.blocktridiagonal import BlockTridiagonal, NotBlockTridiagonalError, NotPositiveDefiniteError
from tests.chance import generator


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
