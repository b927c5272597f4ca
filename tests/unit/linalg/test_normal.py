"""Matrices Jᵀ J of one pattern, in a band with a border."""

import numpy as np
import pytest

from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.linalg.normal import NormalMatrices
from tests.chance import generator


def jacobian(rng):
    """Rows that couple neighbors, some columns twice, and the last two columns with all; and its pattern."""
    lengths, indices = [], []
    for row in range(40):
        begin = int(rng.integers(9))
        own = [begin, begin + 1, begin + 2, begin + 1] if row % 3 else [begin]
        own += [10 + int(column) for column in np.flatnonzero(rng.random(2) < 0.7)] if row % 2 else []
        lengths.append(len(own))
        indices += [min(column, 11) for column in own]
    return np.concatenate([[0], np.cumsum(lengths)]), np.array(indices)


def dense(indptr, indices, values, size):
    found = np.zeros((len(indptr) - 1, size))
    np.add.at(found, (np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)), indices), values)
    return found


@pytest.mark.parametrize("border", [0, 2])
def test_factors_are_those_of_the_dense_product(border):
    rng = generator(1)
    indptr, indices = jacobian(rng)
    order = np.concatenate([rng.permutation(10), [10, 11]])
    matrices = NormalMatrices(indptr, indices, order, border)
    for _ in range(2):
        values, diagonal = rng.normal(size=len(indices)), rng.uniform(0.5, 2.0, 12)
        whole = dense(indptr, indices, values, 12)
        expected = (whole.T @ whole + np.diag(diagonal))[order][:, order]
        factor, right = matrices.factor(values, diagonal), rng.normal(size=12)
        np.testing.assert_allclose(expected @ factor.solve(right), right, rtol=1e-10, atol=1e-10)


def test_a_band_is_no_wider_than_it_must_be():
    indptr = 2 * np.arange(30)
    indices = np.stack([np.arange(29), np.arange(1, 30)], axis=1).ravel()
    factor = NormalMatrices(indptr, indices, np.arange(30), 0).factor(np.ones(58), np.ones(30))
    assert factor.band.shape == (30, 2)


def test_what_is_not_finite_or_positive_definite_is_refused():
    matrices = NormalMatrices(np.array([0, 2]), np.array([0, 1]), np.arange(2), 0)
    with pytest.raises(NotPositiveDefiniteError, match="not finite"):
        matrices.factor(np.array([np.nan, 1.0]), np.ones(2))
    with pytest.raises(NotPositiveDefiniteError):
        matrices.factor(np.ones(2), np.array([-1.0, 0.0]))
