"""Starts whose actions are the same."""

import numpy as np

from hpcda.analysis.levels import action_groups


def test_action_groups():
    action = np.array([1.0, 1.0 + 5e-7, 1.0 + 9e-7, 1.0 + 1.8e-6, 2.0])
    assert action_groups(action, 1e-6 * action).tolist() == [0, 0, 0, 1, 2]
    assert action_groups(np.zeros(0), np.zeros(0)).tolist() == []
