"""Starts that have become the same path, and the tasks of a search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hpcda.annealing import Ladder
from hpcda.annealing.scale import scales
from hpcda.search import Auto, Budget, Found, Merger, Plain, Scene, Sketch
from hpcda.search.auto import consistent, distinct
from hpcda.search.descent import fell_back
from hpcda.search.merge import DISTANCE, alike

from . import problems

PROBLEM = problems.example("lorenz63", "trapezoid", "priors and sparse data")[0]


def test_a_sketch_tells_the_distance_of_two_paths():
    sketch, rng, size = Sketch(PROBLEM), np.random.default_rng(3), scales(PROBLEM)
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
    path = np.random.default_rng(4).standard_normal(PROBLEM.size)
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


CASES = list(itertools.product((1, 7, 20), ((0,), (4, 0, 9)), (3, 50)))


@pytest.mark.parametrize(("starts", "first_rungs", "at_once"), CASES)
def test_the_plain_ensemble_runs_every_start_once_long_ladders_first(starts, first_rungs, at_once):
    ladder = Ladder(1e-2, 2.0, 12, first_rungs)
    plan, seen = Plain("uniform", ladder, starts, at_once), []
    while (tasks := plan.next([])) is not None:
        listed = [tasks.task(k) for k in range(len(tasks))]
        assert [task.first for task in listed] == sorted(task.first for task in listed)
        assert all(task.first == ladder.first(task.start) and task.way == "uniform" for task in listed)
        assert tasks.rungs(ladder) == sum(12 - task.first for task in listed)
        with pytest.raises(IndexError):
            tasks.task(len(tasks))
        seen += [task.start for task in listed]
    assert sorted(seen) == list(range(starts))


def found(task, action, last=11, measurement=None, iterations=50):
    return Found(
        task.start, task.way, task.first, (), last, action, action if measurement is None else measurement,
        0.0, np.full(12, action), np.full(3, action), task.start, False, iterations, 0.1,
    )  # fmt: skip


def test_escapes_that_fell_back_do_not_count():
    """Starts 3 and 5 escaped from start 0's minimum, 5 by way of start 4; start 2 came from elsewhere."""
    parents = {2: (1,), 3: (0,), 4: (6, 0), 5: (4,)}
    assert fell_back((0, 2, 3, 5), parents) == {3, 5}
    assert fell_back((), parents) == set()


class TestAuto:
    LADDER = Ladder(1e-2, 2.0, 12)

    def plan(self, starts=200, seed=1):
        return Auto(Scene(PROBLEM, self.LADDER), seed, Budget(starts, until_stable=False))

    def play(self, plan, outcome, rounds=100):
        """Rounds against a made-up world; all tasks and what was found."""
        everything, tasks_seen = [], []
        for _ in range(rounds):
            tasks = plan.next(everything)
            if tasks is None:
                break
            listed = [tasks.task(k) for k in range(len(tasks))]
            tasks_seen += listed
            everything += [found(task, outcome(task)) for task in listed]
            everything.sort(key=lambda one: one.start)
        return tasks_seen, everything

    def test_the_first_round_tries_every_way(self):
        tasks = self.plan().next([])
        ways = {(tasks.task(k).way, tasks.task(k).first) for k in range(len(tasks))}
        assert {way for way, _ in ways} >= {"quiet", "noise"}
        assert len(ways) >= 3

    def test_every_start_is_given_once_and_no_more_than_asked_for(self):
        tasks, _ = self.play(self.plan(starts=77), lambda task: 100.0 + task.start)
        assert sorted(task.start for task in tasks) == list(range(77))

    def test_it_turns_to_what_finds_the_lowest_level(self):
        tasks, _ = self.play(self.plan(), lambda task: 5.0 if task.way == "noise" else 50.0 + task.start)
        assert sum(task.way == "noise" for task in tasks[100:]) > 80

    def test_the_same_findings_give_the_same_tasks(self):
        one, _ = self.play(self.plan(), lambda task: 50.0 + task.start % 7)
        two, _ = self.play(self.plan(), lambda task: 50.0 + task.start % 7)
        other, _ = self.play(self.plan(seed=2), lambda task: 50.0 + task.start % 7)
        assert one == two != other

    def test_it_gives_up_what_is_far_above_a_level_that_agrees_with_the_data(self):
        plan, half = self.plan(), PROBLEM.measured / 2
        task = plan.next([]).task(0)
        assert half < plan.cap < half + 10 * np.sqrt(half)
        plan.next([found(task, half - 1)])
        assert half - 1 < plan.cap < half + 10 * np.sqrt(half)
        plan.next([found(task, 10 * half)])
        assert plan.cap == np.inf

    def test_a_search_of_one_round_gives_nothing_up(self):
        plan = self.plan(starts=8)
        plan.next([])
        assert plan.cap == np.inf

    def test_levels_are_counted_once_lowest_first(self):
        tasks = self.plan().next([])
        ended = [found(tasks.task(k), action) for k, action in enumerate((7.0, 3.0, 7.0, 3.0, 9.0))]
        assert [one.action for one in distinct(ended)] == [3.0, 7.0, 9.0]
        assert distinct(ended)[0].start == min(one.start for one in ended if one.action == 3.0)

    def test_a_level_agrees_with_the_data_up_to_three_deviations(self):
        task = self.plan().next([]).task(0)
        assert consistent(found(task, 1.0, measurement=50.0), 100)
        assert not consistent(found(task, 1.0, measurement=75.0), 100)
