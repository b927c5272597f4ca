"""Smoothed paths by many passes: the same data smoothed again and again, until the ensemble follows them.

With few sensors one pass ends before the ensemble has found the state. So the members of the first point are
smoothed as well (`hpcda.search.smoother`), spread apart a little, and taken through the same data again: running in
place (E. Kalnay, S.-C. Yang, Q. J. R. Meteorol. Soc. 136, 1644 (2010)), with the data's variance eased as in
multiple data assimilation (A. A. Emerick, A. C. Reynolds, Comput. Geosci. 55, 3 (2013)).

Whether an ensemble has found the state it says itself: its forecasts are then as far from the data as noise
is, while one that follows a wrong path is far away for good. So a run of passes goes on while its forecasts
are better than useless, and gives way to one of new members otherwise. What is random in the filter makes
runs differ: a small part of them finds the state, and a pass takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcda.problem import Array
from hpcda.search.scene import Scene
from hpcda.search.smoother import Filtered
from hpcda.search.ways.smoother import backward, first_members, memory, reach_of
from hpcda.search.ways.way import Way

PASSES = 100
"""Passes of one path; the last run of them is not cut short."""
RUN = 24
"""Passes of one run."""
EASING = 3.0, 12.0
"""Factor of the variance of the data: each run draws its own, evenly in its logarithm."""
SPREAD = 1.2
"""Factor of the members' distance from their mean between two passes."""
FOUND, USELESS = 1.8, 8.0
"""Mean square of forecast minus data, over the noise's: the state is found below the first, out of reach
above the second, after `PATIENCE` passes."""
PATIENCE = 4


@dataclass
class _Pass:
    """One pass: what the filter left, members at the ends and at the beginnings of windows, and the misfit."""

    filtered: list[Filtered]
    ends: list[Array]
    begun: list[Array]
    misfit: float


def _first(scene: Scene, rng: np.random.Generator) -> list[Array]:
    """New members of all windows; the shared rows of the first are those of all."""
    members: list[Array] = []
    for window in scene.problem.windows:
        shared = members[0][scene.problem.block :] if members else None
        members.append(first_members(scene, window, rng, shared))
    return members


def _pass(
    scene: Scene, rng: np.random.Generator, members: list[Array], easing: float, substeps: list[int], last: bool
) -> _Pass:
    problem = scene.problem
    one = _Pass([], [], [], np.inf)
    total, values = 0.0, 0
    for window, first, steps in zip(problem.windows, members, substeps, strict=True):
        now = first.copy()
        if one.ends:
            now[problem.block :] = one.ends[-1][problem.block :]
        begun = now.copy()
        reach = reach_of(scene, window)
        filtered = scene.smoother.filter(window, now, rng, reach, easing, steps, begun, last)
        one.filtered.append(filtered)
        one.ends.append(now)
        one.begun.append(begun)
        seen = np.isfinite(window.data).sum(axis=1)
        late = np.cumsum(seen) > seen.sum() / 2
        total += easing * float(filtered.misfit[late].sum()) if filtered.times == window.times else np.inf
        values += int(seen[late].sum())
    one.misfit = total / max(values, 1)
    return one


def _again(scene: Scene, one: _Pass) -> list[Array]:
    """Members for the next pass."""
    problem = scene.problem
    lower, upper = scene.smoother.bounds
    shared, members = one.ends[-1][problem.block :], []
    for begun in one.begun:
        begun[problem.block :] = shared
        mean = begun.mean(axis=1, keepdims=True)
        members.append(np.clip(mean + SPREAD * (begun - mean), lower[:, None], upper[:, None]))
    return members


def _path(scene: Scene, rng: np.random.Generator) -> Array:
    best: tuple[float, list[Array], float] | None = None
    passes, substeps = 0, list[int]()
    while passes < PASSES:
        easing = float(np.exp(rng.uniform(*np.log(EASING))))
        members = _first(scene, rng)
        if not substeps:
            windows = scene.problem.windows
            substeps = [scene.forecast.substeps(w, m[:, :16]) for w, m in zip(windows, members, strict=True)]
        found = False
        for k in range(RUN):
            one = _pass(scene, rng, members, easing, substeps, last=found)
            passes += 1
            if found and one.misfit < FOUND:
                return backward(scene.problem, one.filtered, one.ends)
            if best is None or one.misfit < best[0]:
                best = one.misfit, members, easing
            if not one.misfit < (USELESS if k + 1 >= PATIENCE else np.inf):
                break
            found = one.misfit < FOUND
            members = _again(scene, one)
    assert best is not None
    _, members, easing = best
    one = _pass(scene, rng, members, easing, substeps, last=True)
    return backward(scene.problem, one.filtered, one.ends)


PASSES_WAY = Way(
    "passes", "the data smoothed again and again by an ensemble of the model", _path, shares=(0.5,),
    memory=memory,
)  # fmt: skip
