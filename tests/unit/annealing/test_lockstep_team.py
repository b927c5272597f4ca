"""Teams: whatever climbs share the lanes, and in which order, every rung is the same bit by bit."""

from __future__ import annotations

import pytest

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing import lockstep_team as module
from hpcda.annealing.lockstep import Lockstep
from hpcda.annealing.lockstep_team import LockstepTeam
from hpcda.build import build_problem
from hpcda.job import load_job
from hpcda.search import WAYS, SearchContext, begin
from tests.chance import number

JOB = {
    "model": {"name": "lorenz63", "parameters": {"rho": {"estimate": True, "start": [20.0, 40.0]}}},
    "twin": {
        "dt": 0.02,
        "samples": 41,
        "spin_up": 10.0,
        "observed": ["x"],
        "noise_std": 0.5,
        "seed": number(1),
    },
    "action": {"discretization": "trapezoid"},
    "ladder": {"rf0": 1e-2, "alpha": 4.0, "rungs": 10},
    "ensemble": {"starts": 12, "way": "uniform"},
}
STARTS = 12


@pytest.fixture(scope="module")
def parts():
    problem = build_problem(load_job(JOB)).problem
    return problem, Ladder(1e-2, 4.0, 10, (0, 3)), Action(problem)


def climbed(parts, level, **options):
    """Every rung of every start, and the order in which starts ended."""
    problem, ladder, action = parts
    team, found, order, taken = LockstepTeam(action, ladder, **options), {}, [], 0
    try:
        if level:
            team.level(True)
        while taken < STARTS or team.busy:
            while taken < STARTS and team.free:
                team.take(begin(SearchContext(problem, ladder), WAYS["uniform"], number(1), taken))
                taken += 1
            for one in team.work():
                key = (one.climb.start, one.rung.number)
                assert key not in found
                found[key] = (one.rung.parts, one.rung.iterations, one.climb.path.tobytes())
                if one.ended:
                    order.append(one.climb.start)
    finally:
        team.destroy()
    return found, order


def test_rungs_do_not_depend_on_lanes_reserve_or_levelling(parts):
    plain, order = climbed(parts, False, lanes=8)
    assert sorted(order) == list(range(STARTS))
    assert len(plain) == sum(10 - (0, 3)[start % 2] for start in range(STARTS))
    for level, options in [
        (True, {"lanes": 8, "share": 12.0}),
        (True, {"lanes": 4, "share": 12.0}),
        (False, {"lanes": 4, "share": 12.0}),
        (True, {"lanes": 2, "share": 3.0}),
        (True, {"share": 2.0}),
    ]:
        assert climbed(parts, level, **options)[0] == plain


def test_levelled_climbs_end_together(parts):
    """With 12 climbs in 4 lanes none ends before all are near their last rungs; else they end in rounds."""
    problem, ladder, action = parts
    rest = {}
    for level in (False, True):
        team, at = LockstepTeam(action, ladder, lanes=4, share=12.0), {}
        try:
            for start in range(0, 2 * STARTS, 2):
                team.take(begin(SearchContext(problem, ladder), WAYS["uniform"], number(1), start))
                at[start] = 0
            if level:
                team.level(True)
            over = False
            while not over:
                for one in team.work():
                    at[one.climb.start] = one.rung.number + 1
                    over |= one.ended
        finally:
            team.destroy()
        rest[level] = sum(10 - rung for rung in at.values())
    assert rest[False] > 60
    assert rest[True] < 40


@pytest.fixture
def impatient(parts, monkeypatch):
    """Narrow widths are compiled, and a team goes over to them at once; which lanes it went over to."""
    _, ladder, action = parts
    for lanes in (4, 2):
        Lockstep(action, ladder, lanes)
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    monkeypatch.setattr(module, "LOOK_SECONDS", 1e-5)
    went, inner = [], LockstepTeam._go_over

    def go_over(team, lanes):
        went.append((len(team._climbs), lanes))
        inner(team, lanes)
        assert team._lockstep.lanes == lanes and team.lanes == 8

    monkeypatch.setattr(LockstepTeam, "_go_over", go_over)
    return went


def test_the_last_climbs_go_over_to_fewer_lanes_and_end_with_the_same_bits(parts, impatient):
    plain, _ = climbed(parts, False, lanes=8, share=12.0)
    assert not impatient, "more climbs may come"
    found, _ = climbed(parts, True, lanes=8, share=12.0)
    assert found == plain
    assert [lanes for _, lanes in impatient] in ([4, 2], [2])
    assert all(climbs <= lanes for climbs, lanes in impatient)


def test_a_team_that_has_narrowed_has_room_for_what_comes_after_all(parts, impatient, monkeypatch):
    monkeypatch.setattr(module, "SLICE_SECONDS", 0.0)
    problem, ladder, action = parts
    plain, _ = climbed(parts, False, lanes=8)
    team, found = LockstepTeam(action, ladder, lanes=8), {}

    def work():
        for one in team.work():
            found[one.climb.start, one.rung.number] = one.rung.parts

    try:
        team.level(True)
        for start in range(3):
            team.take(begin(SearchContext(problem, ladder), WAYS["uniform"], number(1), start))
        for _ in range(3):
            work()
        assert team.busy
        for start in range(3, 9):
            team.take(begin(SearchContext(problem, ladder), WAYS["uniform"], number(1), start))
        while team.busy:
            work()
    finally:
        team.destroy()
    assert [lanes for _, lanes in impatient][:2] == [4, 8]
    assert found == {key: value[0] for key, value in plain.items() if key[0] < 9}


def test_a_width_that_is_not_compiled_is_not_waited_for(parts, impatient, monkeypatch):
    monkeypatch.setattr("hpcda.annealing.widths.kept", lambda code: False)
    climbed(parts, True, lanes=8, share=12.0)
    assert {lanes for _, lanes in impatient} == {8}
