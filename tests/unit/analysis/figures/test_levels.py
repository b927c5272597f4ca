"""Labels beside levels do not cover each other."""

import numpy as np
import pytest

from hpcda.analysis.figures.levels import moved_apart


def test_moved_apart():
    wanted = np.array([0.1, 0.1, 0.1, 0.5, 0.99, 1.0])
    places = moved_apart(wanted, 0.06)
    assert (np.diff(places) >= 0.06 - 1e-12).all() and places.min() >= 0 and places.max() <= 1 + 1e-12
    assert places[3] == pytest.approx(0.5)
    assert moved_apart(np.zeros(0), 0.1).shape == (0,)
    assert np.diff(moved_apart(np.full(30, 0.5), 0.06)).min() > 0.03
