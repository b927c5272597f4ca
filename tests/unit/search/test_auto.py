"""The tasks of a search, and when it ends."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from hpcda.annealing import Ladder, Task
from hpcda.errors import InputError
from hpcda.models.catalogue import load_model
from hpcda.problem import Window
from hpcda.search import (
    ESCAPES,
    WAYS,
    Auto,
    Budget,
    Conclusion,
    Plain,
    SearchContext,
    begin,
)
from hpcda.search.auto import consistent, costs, expected
from hpcda.search.descent import fell_back
from hpcda.search.expected import Expected
from hpcda.search.levels import distinct
from tests.unit import problems
from tests.unit.ended_starts import ended_start

PROBLEM = problems.example("lorenz63", "trapezoid", "priors and sparse data")[0]
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
    return ended_start(
        task.start, task.way, action, first=task.first, parents=task.parents, last=last,
        measurement=measurement, levels=np.full(12, action), model=np.zeros(12), sketch=np.full(3, action),
        opening=10, iterations=iterations, seconds=0.1,
    )  # fmt: skip


def test_escapes_that_fell_back_do_not_count():
    """Starts 3 and 5 escaped from start 0's minimum, 5 by way of start 4; start 2 came from elsewhere."""
    parents = {2: (1,), 3: (0,), 4: (6, 0), 5: (4,)}
    assert fell_back((0, 2, 3, 5), parents) == {3, 5}
    assert fell_back((), parents) == set()


class TestAuto:
    LADDER = Ladder(1e-2, 2.0, 12)

    def plan(self, starts=200, seed=1):
        return Auto(SearchContext(PROBLEM, self.LADDER), seed, Budget(starts, until_stable=False))

    def eight(self):
        """The first eight tasks."""
        plan = self.plan()
        rounds = [plan.next([]) for _ in range(2)]
        return [one.task(k) for one in rounds for k in range(len(one))]

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

    def test_two_smoothed_paths_come_first_then_every_way_that_is_quick(self):
        plan = self.plan()
        first, second = plan.next([]), plan.next([])
        assert [first.task(k).way for k in range(len(first))] == ["passes"] * 2
        assert len(first) + len(second) == 8
        assert {second.task(k).way for k in range(len(second))} >= {"quiet", "noise", "smoother"}

    def test_without_a_smoother_every_way_comes_first(self, monkeypatch):
        ways = [WAYS[way] for way in ("quiet", "noise")]
        monkeypatch.setattr("hpcda.search.auto.searched", lambda context, files: ways)
        tasks = self.plan().next([])
        assert {tasks.task(k).way for k in range(len(tasks))} == {"quiet", "noise"} and len(tasks) == 8

    def test_a_level_seen_at_the_last_rungs_alone_is_followed_down_once(self):
        """Its first start fell into it two rungs before the end."""
        plan, half = self.plan(), PROBLEM.measured / 2
        tasks = plan.next([])
        fell = np.array([*np.full(10, 2 * half), half, half])
        ended = [replace(found(tasks.task(k), half), levels=fell) for k in range(len(tasks))]
        again = plan.next(ended)
        assert [again.task(k) for k in range(len(again))] == [Task(2, "again", 0, (0,))]
        late = replace(found(again.task(0), half), levels=np.where(np.arange(12) < 8, np.nan, half))
        tasks = plan.next([*ended, late])
        assert all(tasks.task(k).way != "again" for k in range(len(tasks)))

    def test_a_level_that_one_way_alone_finds_is_asked_of_others(self):
        half = PROBLEM.measured / 2
        tasks, _ = self.play(
            self.plan(), lambda task: half if task.way == "smoother" else 50 * half + task.start
        )
        ways = Counter(task.way for task in tasks[16:])
        assert 0.25 < ways["smoother"] / ways.total() < 0.75 and {"quiet", "noise"} < set(ways)
        lowest = min(task.start for task in tasks if task.way == "smoother")
        escaped = [task.way for task in tasks if lowest in task.parents]
        assert set(escaped) == {"opening"}, "others fall back"

    @pytest.mark.parametrize("rises", [False, True])
    def test_a_search_for_the_verdict_ends_when_more_starts_would_not_change_it(self, rises):
        half = PROBLEM.measured / 2
        plan = Auto(SearchContext(PROBLEM, self.LADDER), 1, Budget(200))
        everything = []
        while (tasks := plan.next(everything)) is not None:
            for k in range(len(tasks)):
                one = found(tasks.task(k), half)
                rising = one.levels * np.linspace(0.1, 1.0, 12)
                everything.append(replace(one, levels=rising if rises else one.levels))
            everything.sort(key=lambda one: one.start)
        conclusion, _ = plan.conclusion(everything)
        assert len(everything) < 40 and conclusion.stable is not rises
        assert conclusion is (Conclusion.RISING_WITH_RF if rises else Conclusion.CONSISTENT_AND_STABLE)

    def test_every_start_is_given_once_and_no_more_than_asked_for(self):
        tasks, _ = self.play(self.plan(starts=77), lambda task: 100.0 + task.start)
        assert sorted(task.start for task in tasks) == list(range(77))

    def test_it_turns_to_what_finds_the_lowest_level(self):
        tasks, _ = self.play(self.plan(), lambda task: 5.0 if task.way == "noise" else 50.0 + task.start)
        assert sum(task.way == "noise" for task in tasks[100:]) > 25

    def test_the_same_findings_give_the_same_tasks(self):
        one, _ = self.play(self.plan(), lambda task: 50.0 + task.start % 7)
        two, _ = self.play(self.plan(), lambda task: 50.0 + task.start % 7)
        other, _ = self.play(self.plan(seed=2), lambda task: 50.0 + task.start % 7)
        assert one == two != other

    def test_it_gives_up_what_is_far_above_a_level_that_agrees_with_the_data(self):
        plan, half = self.plan(), PROBLEM.measured / 2
        task = plan.next([]).task(0)
        plan.next([found(task, half / 2)])
        assert half / 2 < plan.cap < half / 2 + 10 * np.sqrt(half)
        for _ in range(2):
            plan.next([found(task, 10 * half)])
        assert plan.cap == np.inf

    @pytest.mark.parametrize("starts", [1, 5, 8, 16, 200])
    def test_first_rounds_give_up_what_cannot_agree_with_the_data_but_never_the_last_one(self, starts):
        plan, half, caps = self.plan(starts), PROBLEM.measured / 2, []
        while plan.next([]) is not None:
            caps.append(plan.cap)
        assert caps[-1] == np.inf
        assert all(half < cap < half + 10 * np.sqrt(half) for cap in caps[:3][: len(caps) - 1])
        assert all(cap == np.inf for cap in caps[3:])

    def test_core_seconds_end_it_but_not_before_any_start_was_let_to_its_end(self):
        plan = Auto(
            SearchContext(PROBLEM, self.LADDER), 1, Budget(200, core_seconds=0.15, until_stable=False)
        )
        tasks = plan.next([])
        given_up = [found(tasks.task(k), 1e9, last=3) for k in range(len(tasks))]
        assert plan.cap < np.inf
        assert plan.next(given_up) is not None
        assert plan.cap == np.inf
        assert plan.next(given_up) is None

    @pytest.mark.parametrize(("core_seconds", "wanted"), [(0.25, 1), (0.45, 3), (1.0, 6), (np.inf, 6)])
    def test_a_round_is_no_longer_than_what_is_left_of_the_core_seconds(self, core_seconds, wanted):
        plan = Auto(SearchContext(PROBLEM, self.LADDER), 1, Budget(200, core_seconds, until_stable=False))
        tasks = plan.next([])
        ended = [replace(found(tasks.task(k), 100.0 + k), seconds=0.1) for k in range(len(tasks))]
        assert len(plan.next(ended)) == wanted

    def test_what_a_start_costs_does_not_depend_on_merging(self):
        tasks = self.eight()
        listed = sorted(tasks, key=lambda task: task.start)
        one = [found(task, 7.0 + task.start % 2, iterations=54) for task in listed]
        two = [one[0], one[1], *(replace(other, iterations=11) for other in one[2:])]
        assert costs(one, distinct(one)) == costs(two, distinct(two))
        first = one[0]
        rungs = sum(other.last - other.first for other in one[:2])
        assert costs(one, distinct(one))[0] == pytest.approx(
            10 + 88 / rungs * (first.last - first.first) + WAYS["passes"].steps
        )

    def test_paths_that_take_long_to_draw_have_half_of_the_steps_while_nothing_agrees(self):
        plan, ends, dear = self.plan(4000), [], 0
        for _ in range(14):
            tasks = plan.next(ends)
            listed = sorted((tasks.task(k) for k in range(len(tasks))), key=lambda task: task.start)
            if 0 < len(ends) < 8:
                assert all(WAYS[task.way].steps == 0 for task in listed)
            dear += sum(task.way == "grown" for task in listed)
            ends += [found(task, 1e6 + task.start, iterations=400, measurement=1e6) for task in listed]
        spent = costs(ends, distinct(ends))
        grown = sum(cost for one, cost in zip(ends, spent, strict=True) if one.way == "grown")
        passes = sum(cost for one, cost in zip(ends, spent, strict=True) if one.way == "passes")
        assert dear > 5 and 0.2 < grown / sum(spent) < 0.7 and 0.1 < passes / sum(spent) < 0.5

    @pytest.mark.parametrize("iterations", [60, 400, 3000])
    def test_what_is_expected_to_be_drawn_is_drawn_where_nothing_agrees(self, iterations):
        plan = self.plan(3000)

        def wrong(task):
            return found(task, 1e6 + task.start, iterations=iterations, measurement=1e6)

        tasks, ends = [], []
        while (more := plan.next(ends)) is not None:
            listed = sorted((more.task(k) for k in range(len(more))), key=lambda task: task.start)
            tasks += listed
            ends += [wrong(task) for task in listed]
        spent = zip(ends, costs(ends, distinct(ends)), strict=True)
        usual = np.mean([cost for one, cost in spent if not WAYS.get(one.way) or not WAYS[one.way].steps])
        draws = expected(SearchContext(PROBLEM, self.LADDER), 3000, float(usual))
        assert set(draws) == {"passes", "grown"}
        for way, wanted in draws.items():
            drawn = sum(task.way == way for task in tasks)
            assert abs(drawn - wanted) < 4 * np.sqrt(wanted) + 0.05 * wanted

    @pytest.mark.parametrize("starts", [1, 2, 5])
    def test_no_more_draws_are_expected_than_there_are_starts(self, starts):
        draws = expected(SearchContext(PROBLEM, self.LADDER), starts, 1e4)
        assert draws["passes"] >= min(starts, 2) and sum(draws.values()) <= starts

    def test_what_drawing_costs_is_counted(self):
        tasks = self.plan().next([])
        listed = sorted((tasks.task(k) for k in range(len(tasks))), key=lambda task: task.start)
        ends = [found(task, 7.0 + task.start) for task in listed]
        grown = [replace(ends[0], task=replace(ends[0].task, way="grown")), *ends[1:]]
        dearer = costs(grown, distinct(grown))[0] - costs(ends, distinct(ends))[0]
        assert dearer == pytest.approx(WAYS["grown"].steps - WAYS["passes"].steps) and dearer > 0

    def test_levels_are_counted_once_lowest_first(self):
        tasks = self.eight()
        ended = [found(tasks[k], action) for k, action in enumerate((7.0, 3.0, 7.0, 3.0, 9.0))]
        assert [one.action for one in distinct(ended)] == [3.0, 7.0, 9.0]
        assert distinct(ended)[0].start == min(one.start for one in ended if one.action == 3.0)

    def test_a_level_is_named_by_its_first_start_however_the_others_round(self):
        tasks = self.eight()
        ended = [found(task, 3.0 * (1.0 - 1e-12 * task.start)) for task in tasks]
        assert [one.start for one in distinct(ended)] == [0]

    def test_a_level_agrees_with_the_data_up_to_three_deviations(self):
        task = self.plan().next([]).task(0)
        assert consistent(found(task, 1.0, measurement=50.0), Expected.gaussian(100))
        assert not consistent(found(task, 1.0, measurement=75.0), Expected.gaussian(100))


class TestMemory:
    """What would take too much memory is left out of a search, and refused where it is asked for."""

    WIDE = problems.example(load_model("lorenz96", {"dimension": 400}), "trapezoid", "states alone")[0]

    def wide(self, times):
        (window,) = self.WIDE.windows
        t = window.t[0] + window.dt * np.arange(times)
        data = np.full((times, window.data.shape[1]), np.nan)
        data[::2] = 1.0
        long = Window(t, data, np.ones_like(data), np.zeros((times, window.series.shape[1])))
        return replace(self.WIDE, windows=(long,))

    def test_a_smoother_keeps_two_covariances_a_time(self):
        assert WAYS["smoother"].memory(self.wide(100)) == pytest.approx(2 * 8 * 100 * 400**2, rel=0.01)
        assert WAYS["quiet"].memory(self.wide(100)) == 0.0

    def test_it_is_refused_by_name_and_left_out_of_a_search(self):
        small, large = (SearchContext(self.wide(times), Ladder(1e-2, 2.0, 12)) for times in (50, 5000))
        assert WAYS["smoother"].fits(small.problem) and not WAYS["smoother"].fits(large.problem)
        assert not ESCAPES["langevin"].fits(large.problem)
        with pytest.raises(InputError) as caught:
            begin(large, WAYS["smoother"], 1, 0)
        assert [mistake.place for mistake in caught.value.mistakes] == ["ensemble.way"]
        assert "12.8 GB" in str(caught.value) and 'way = "auto"' in str(caught.value)
        for context, there in ((small, True), (large, False)):
            tasks = Auto(context, 1, Budget(16)).next([])
            assert any(tasks.task(k).way == "passes" for k in range(len(tasks))) is there
