"""The replay of tests/benchmarks/scaling.py where its answer is known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from scaling_parts.measured import kept  # noqa: E402
from scaling_parts.simulator import POLICIES, SWITCH_SECONDS, Network, Policy, Starts, replay  # noqa: E402

from hpcda.annealing.schedule import PATIENCE  # noqa: E402
from tests.chance import number  # noqa: E402

FREE = Network(0.0, 0.0)
EVEN = Starts("even", ((5, 3, 2),), {2: 0.4e-3, 4: 0.5e-3, 8: 1e-3})
UNEVEN = Starts(
    "uneven",
    ((5, 3, 2), (9, 1, 1), (4, 30, 2), (3, 3, 3)),
    {1: 1e-3, 2: 0.4e-3, 4: 0.5e-3, 8: 1e-3},
)


def test_one_rank_with_one_lane_takes_all_steps_one_after_another():
    found = replay(UNEVEN, 1, 20, Policy(), FREE, seed=number(1), widest=1)
    drawn = np.random.default_rng(number(1)).integers(0, 4, 20)  # noqa: TID251
    assert found.makespan == pytest.approx(UNEVEN.totals[drawn].sum())


@pytest.mark.parametrize(("share", "steps"), [(6, 10), (8, 10), (9, 20), (16, 20), (17, 30)])
def test_equal_starts_handed_out_greedily_come_in_rounds(share, steps):
    assert replay(EVEN, 5, share, POLICIES["greedy"], FREE).makespan == pytest.approx(steps)


@pytest.mark.parametrize(("share", "lanes"), [(1, 2), (2, 2), (3, 4), (4, 4)])
def test_few_equal_starts_take_one_narrow_round_on_every_rank(share, lanes):
    found = replay(EVEN, 5, share, Policy(), FREE)
    assert found.makespan == pytest.approx(10 * EVEN.cost(lanes))
    assert found.idle == pytest.approx(0.0)


def test_levelling_fills_the_lanes_of_equal_starts():
    """12 starts of 10 steps on 8 lanes: 15 steps, but for what a rung at the end leaves empty."""
    found = replay(EVEN, 7, 12, Policy(), FREE)
    assert 15.0 <= found.makespan <= 18.0
    assert replay(EVEN, 7, 12, POLICIES["greedy"], FREE).makespan == pytest.approx(20.0)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("share", [0.5, 1, 2.5, 10, 40])
def test_all_starts_are_handed_out_and_no_policy_beats_the_bounds(name, share):
    found = replay(UNEVEN, 20, share, POLICIES[name])
    assert found.handed == round(20 * share)
    assert 0.0 < found.efficiency <= found.bound + 1e-12
    assert 0.0 <= found.idle < 1.0
    assert found == replay(UNEVEN, 20, share, POLICIES[name])


def test_the_last_start_goes_on_in_fewer_lanes():
    """Seven starts of 5 steps and one of 1000: first in 8 lanes, in 2 once time has been lost."""
    long = Starts("long", (*[(5,)] * 7, (1000,)), {2: 0.4e-3, 4: 0.5e-3, 8: 1e-3})
    drawn = next(s for s in range(number(1), number(99)) if np.bincount(draw(8, s), minlength=8)[7] == 1)
    found = replay(long, 1, 8, Policy(), FREE, seed=drawn)
    wide = 5 + PATIENCE / long.seconds[8]
    switch = SWITCH_SECONDS / long.seconds[8]
    assert found.makespan == pytest.approx(wide + switch + 0.4 * (1000 - wide))
    assert replay(long, 1, 8, POLICIES["wide"], FREE, seed=drawn).makespan == pytest.approx(1000)


def draw(kinds, seed):
    return np.random.default_rng(seed).integers(0, kinds, kinds)  # noqa: TID251


def test_a_slow_queue_costs_what_it_takes():
    slow = replay(EVEN, 50, 1, POLICIES["fair"], Network(0.0, 1e-3))
    assert slow.makespan >= replay(EVEN, 50, 1, POLICIES["fair"], FREE).makespan + 49.0
    dealt = replay(EVEN, 50, 1, Policy(), Network(0.0, 1e-3))
    assert dealt.takes == 0 and dealt.waiting == 0.0


def test_measured_starts_are_there_and_the_schedule_serves_them_better_than_greed():
    starts = {one.name: one for one in kept()}
    assert all(len(one.steps) >= 500 for one in starts.values())
    for share in (3, 10, 30):
        better = replay(starts["colpitts"], 30, share, Policy()).efficiency
        assert better > replay(starts["colpitts"], 30, share, POLICIES["greedy"]).efficiency
