"""Which starts a group takes, how many at once, and which climbs its lanes go to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcda.annealing import Ladder, Schedule
from hpcda.annealing.schedule import Pool, capacity, few, width
from hpcda.search import Plain


def in_order(starts, first_rungs):
    """The starts of a plain ensemble by their position in the queue."""
    tasks = Plain("uniform", Ladder(1.0, 2.0, 8, first_rungs), starts, starts).next([])
    return [tasks.task(position).start for position in range(starts)] if tasks is not None else []


firsts = st.lists(st.integers(0, 5), min_size=1, max_size=6).map(tuple)


@given(starts=st.integers(0, 60), first_rungs=firsts)
def test_every_start_has_one_position_and_long_ladders_come_first(starts, first_rungs):
    ladder = Ladder(1.0, 2.0, 8, first_rungs)
    order = in_order(starts, first_rungs)
    assert sorted(order) == list(range(starts))
    begins = [ladder.first(start) for start in order]
    assert begins == sorted(begins)


def test_starts_of_one_ladder_keep_their_order():
    assert in_order(7, (0,)) == list(range(7))
    assert in_order(7, (4, 0)) == [1, 3, 5, 0, 2, 4, 6]


@pytest.mark.parametrize(
    ("share", "lanes", "held"),
    [(0.2, 8, 1), (3.9, 8, 3), (10, 8, 10), (1000, 8, 16), (1000, 4, 8), (1000, 1, 1)],
)
def test_a_group_holds_its_share_and_no_more_than_its_reserve(share, lanes, held):
    assert capacity(share, lanes) == held


def test_few_starts_are_given_narrow_batches():
    assert [width(share, 8) for share in (0.1, 2, 3, 5, 5.1, 100)] == [2, 2, 4, 4, 8, 8]
    assert width(2, 4) == 2 and width(3, 4) == 4 and width(3, 2) == 2 and width(100, 1) == 1


def test_climbs_are_few_where_half_of_the_lanes_hold_them():
    assert [few(climbs, 8) for climbs in (0, 1, 4, 5)] == [False, True, True, False]
    assert few(2, 4) and not few(3, 4) and not few(1, 2) and not few(1, 1)


@given(starts=st.integers(1, 10_000), groups=st.integers(1, 50), lanes=st.sampled_from([1, 2, 4, 8]))
def test_batches_shrink_to_one(starts, groups, lanes):
    schedule = Schedule(starts, groups, lanes)
    batches = [schedule.batch(seen) for seen in range(0, starts + 1, max(1, starts // 20))]
    assert batches == sorted(batches, reverse=True)
    assert schedule.batch(starts) == 1
    assert all(1 <= batch <= schedule.capacity for batch in batches)


@given(starts=st.integers(0, 500), groups=st.integers(1, 50), lanes=st.sampled_from([1, 4, 8]))
def test_first_positions_are_dealt_like_cards(starts, groups, lanes):
    schedule = Schedule(starts, groups, lanes)
    hands = [schedule.dealt(group) for group in range(groups)]
    assert sorted(p for hand in hands for p in hand) == list(range(schedule.dealt_to_all))
    assert max(map(len, hands)) - min(map(len, hands)) <= 1
    assert max(map(len, hands)) <= schedule.capacity


def test_all_is_handed_out_at_once_where_every_group_can_hold_its_share():
    assert Schedule(100, 10, 8).at_once and Schedule(109, 10, 8).at_once and Schedule(169, 10, 8).at_once
    assert not Schedule(170, 10, 8).at_once and not Schedule(10, 10, 1).at_once


def test_a_pool_has_room_for_another_start_when_one_start_of_work_is_done():
    pool = Pool(3, rungs=4)
    assert pool.free([]) == 3
    for key in "abc":
        pool.add(key, 0)
    assert pool.free([]) == 0
    assert [pool.next(), pool.next()] == ["a", "b"] and len(pool) == 1
    assert pool.free([1, 2]) == 0 and pool.free([2, 2]) == 1 and pool.free([0, 4]) == 1
    assert pool.free([0, 0, 0, 0]) == 0


def test_lanes_go_to_the_climb_that_is_least_far_once_no_more_starts_come():
    pool = Pool(4, rungs=4)
    pool.add("far", 3)
    pool.add("near", 1)
    assert not pool.gives_way(2)
    pool.last = True
    assert pool.gives_way(2) and not pool.gives_way(1)
    assert [pool.next(), pool.next(), pool.next()] == ["near", "far", None]
    assert not pool.gives_way(2)
