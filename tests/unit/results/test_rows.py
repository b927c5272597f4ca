"""Which rungs of a start count, and which row of several is a start's own."""

import numpy as np

from hpcda.results.rows import committed_rungs, current_rows


def test_committed_rungs_ignores_the_one_that_was_being_written():
    reason = np.array([[0, 1, 1, 1], [1, 0, 2, 0]])
    visited = committed_rungs(reason, np.array([2, 2]), 0)
    np.testing.assert_array_equal(visited, [[False, True, True, False], [True, False, True, False]])


def test_current_rows():
    start = np.array([4, 1, -1, 4, 1, 9, 7])
    finished = np.array([0, 1, 0, 1, 0, 0, 1])
    committed = np.array([9, 3, 0, 2, 5, 0, 0])
    np.testing.assert_array_equal(current_rows(start, finished, committed), [1, 3, 6])
