"""Movement along directions that the data leave open, against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest

from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.search.curvature import moved
from tests.chance import generator


def test_movement_along_directions_is_what_their_values_explain():
    """Of a Gaussian with covariance C: the covariance of all with u = Fᵀx, through that of u alone."""
    rng = generator(5)
    root, flat = rng.standard_normal((9, 9)), rng.standard_normal((9, 3))
    covariance = root @ root.T
    share, moves = moved(covariance @ flat, flat)
    across, own = covariance @ flat, flat.T @ covariance @ flat
    np.testing.assert_allclose(moves, across @ np.linalg.inv(own), rtol=1e-9)
    np.testing.assert_allclose(share, np.diagonal(across @ np.linalg.inv(own) @ across.T), rtol=1e-9)
    np.testing.assert_allclose(flat.T @ moves, np.eye(3), atol=1e-9)


def test_directions_that_rounding_does_not_leave_apart_are_told():
    flat = np.zeros((6, 3))
    flat[[0, 1, 1], [0, 1, 2]] = 1.0
    with pytest.raises(NotPositiveDefiniteError, match="3 directions that the data leave open"):
        moved(np.eye(6) @ flat, flat)
    share, moves = moved(np.zeros((6, 0)), np.zeros((6, 0)))
    assert not share.any() and moves.shape == (6, 0)
