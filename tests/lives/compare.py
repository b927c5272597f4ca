"""Is one run the other? Starts, how they began, every rung, every kept path."""

from __future__ import annotations

import numpy as np

from hpcda.store import RunFile

PER_RUNG = ("action", "measurement", "model", "prior", "gradient_norm", "reason", "iterations")
BEGIN = ("start", "way", "first_rung", "parent", "partner")


def same_run(one: RunFile, two: RunFile) -> None:
    """Two runs of a job without merging are equal bit by bit."""
    for name in BEGIN:
        np.testing.assert_array_equal(one.table(name), two.table(name), err_msg=name)
    assert one.finished.all() and two.finished.all()
    np.testing.assert_array_equal(one.visited, two.visited)
    for name in (*PER_RUNG, "parameters"):
        np.testing.assert_array_equal(one.table(name), two.table(name), err_msg=name)
    np.testing.assert_array_equal(one.path_start, two.path_start)
    np.testing.assert_array_equal(one.path_rung, two.path_rung)
    for place in range(len(one.path_start)):
        for left, right in zip(one.paths([place]), two.paths([place]), strict=True):
            np.testing.assert_array_equal(left, right)


def same_ends(one: RunFile, two: RunFile, relative: float = 1e-12, bits: bool = True) -> None:
    """Two runs of a job end at the same actions, whichever of their starts were merged when.

    Args:
        one: A run.
        two: Another one.
        relative: Largest relative difference of final actions.
        bits: Whether starts that were never merged are equal bit by bit; sums over ranks are not.
    """
    for name in BEGIN:
        np.testing.assert_array_equal(one.table(name), two.table(name), err_msg=name)
    assert one.finished.all() and two.finished.all()
    np.testing.assert_array_equal(one.last, two.last)
    (left, right), at = (run.table("action") for run in (one, two)), np.arange(len(one.start))
    complete = one.last == left.shape[1] - 1
    np.testing.assert_allclose(left[complete, -1], right[complete, -1], rtol=relative)
    alone = complete & (one.same_as == one.start) & (two.same_as == two.start)
    if bits:
        np.testing.assert_array_equal(left[alone, -1], right[alone, -1])
    assert (left[at, one.last] > 0).all()
    paths = [
        int(start) for start in one.start[complete] if one.has_path(int(start)) and two.has_path(int(start))
    ]
    for start in paths:
        for a, b in zip(one.path(start)[0], two.path(start)[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=0.0, atol=1e-5 * np.abs(b).max())
