"""Starts that have become the same path."""

from __future__ import annotations

import numpy as np
import pytest

from hpcda.annealing.scale import scales
from hpcda.search import (
    Merger,
    Sketch,
)
from hpcda.search.merge import DISTANCE, alike
from tests.chance import generator
from tests.unit import problems

PROBLEM = problems.example("lorenz63", "trapezoid", "priors and sparse data")[0]


def test_a_sketch_tells_the_distance_of_two_paths():
    sketch, rng, size = Sketch(PROBLEM), generator(3), scales(PROBLEM)
    path = rng.standard_normal(PROBLEM.size)
    for distance in (1e-5, 1e-2, 1.0):
        found = []
        for _ in range(50):
            step = rng.standard_normal(PROBLEM.size)
            step *= distance / np.sqrt(np.mean(step**2))
            found.append(np.sqrt(np.mean((sketch(path + step * size) - sketch(path)) ** 2)))
        assert np.mean(found) == pytest.approx(distance, rel=0.1)
        assert max(found) < 2 * distance


def test_paths_are_alike_by_action_and_by_place():
    sketch = Sketch(PROBLEM)
    path = generator(4).standard_normal(PROBLEM.size)
    near, far = path + 1e-3 * DISTANCE, path + 100 * DISTANCE * scales(PROBLEM) * np.sign(path)
    many = np.array([sketch(near), sketch(near), sketch(far)])
    actions = np.array([10.0, 10.1, 10.0])
    assert alike(10.0, sketch(path), actions, many).tolist() == [True, False, False]


def test_a_merger_names_the_first_start_at_the_same_rung():
    merger, sketch = Merger(), np.zeros(4)
    assert merger.same(5, 0, 1.0, sketch) is None
    assert merger.same(3, 0, 1.0, sketch) == 5
    assert merger.same(7, 0, 1.0, sketch) == 3
    assert merger.same(8, 1, 1.0, sketch) is None
    assert merger.same(9, 0, 1.0, sketch + 1.0) is None
    assert merger.same(5, 0, 1.0, sketch) == 3


def test_a_merger_forgets():
    merger, sketch = Merger(), np.zeros(4)
    for start, action in ((0, 1.0), (1, 2.0), (2, 3.0)):
        merger.same(start, 0, action, sketch)
    merger.keep(lambda start: start != 1)
    assert [merger.same(9, 0, action, sketch) for action in (1.0, 2.0, 3.0)] == [0, None, 2]


def test_the_first_of_many_paths_is_found_as_by_looking_at_all():
    rng, merger, seen = generator(5), Merger(), []
    for start in rng.permutation(300):
        action = float(rng.choice((0.0, -1.0, 1.0, 1.00005, 50.0)))
        sketch = np.full(4, float(rng.integers(3)))
        same = [one for one, its, place in seen if alike(action, sketch, np.array([its]), place[None])[0]]
        wanted = min(same, default=None)
        assert merger.same(int(start), 4, action, sketch) == wanted
        seen.append((int(start), action, sketch))
