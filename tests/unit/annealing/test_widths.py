"""Climbs that go over to other lanes in the middle of a rung, and numbers of lanes: every bit is the same."""

from __future__ import annotations

import threading
from functools import cache

import numpy as np
import pytest

from hpcda.annealing import Ladder, widths
from hpcda.annealing.lockstep import Lockstep, Settings
from hpcda.annealing.schedule import LEAST
from hpcda.annealing.widths import COMPILE_AFTER, Widths
from hpcda.errors import CompilerError
from hpcda.models.catalogue import catalogue, load_model
from tests.unit.climbing import action_of, climb, first_paths, same
from tests.waiting import PATIENCE, until

LADDER = Ladder(0.02, 4.0, 4)
PROBLEMS = [
    ("lorenz63", "hermite-simpson", "walk", True),
    ("lorenz63", "trapezoid", "nonlinear and gaps", False),
    ("morris_lecar", "rk4", "walk", True),
    ("henon", "map", "walk", True),
]


def moving(problem, paths, route, every):
    """The climbs, moved to the next lockstep of the route after every so many steps; what was moved."""
    action, _ = action_of(*problem)
    found, moved, lockstep = {start: [] for start in range(len(paths))}, [], None
    while lockstep is None or lockstep.active:
        climbs = [] if lockstep is None else [lockstep.lift(n) for n in np.flatnonzero(at_work(lockstep))]
        moved += climbs
        lanes = route[0]
        route = [*route[1:], lanes]
        before, lockstep = lockstep, Lockstep(action, LADDER, lanes, Settings())
        if before is None:
            for start, path in enumerate(paths):
                lockstep.put(start, start, path, 0, fresh=True)
        else:
            assert not before.active and before.empty.size == before.lanes
        for lane, one in zip(range(lanes)[::-1], climbs, strict=False):
            lockstep.set_down(lane, one)
        for _ in range(every):
            lockstep.advance(1)
            for one in lockstep.reached():
                found[one.start].append(one)
    return found, moved


def at_work(lockstep):
    return ~np.isin(np.arange(lockstep.lanes), lockstep.empty)


@cache
def moved_and_not(problem, every):
    action, _ = action_of(*problem)
    paths = first_paths(action.problem, 2)
    return climb(Lockstep(action, LADDER), paths), *moving(problem, paths, [8, 4, 2, 4, 2], every)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("every", [1, 3])
def test_climbs_moved_in_the_middle_of_a_rung_go_on_with_the_same_bits(problem, every):
    wanted, found, moved = moved_and_not(problem, every)
    assert len(moved) > 10
    for start, rungs in wanted.items():
        assert same(found[start], rungs)


def test_what_was_moved_was_in_every_state():
    """Before a rung and in it, held at bounds, beside a barrier, with shifts, pausing."""
    numbers, held = [], 0
    for problem in PROBLEMS:
        for one in moved_and_not(problem, 1)[2]:
            numbers.append(one.numbers)
            held += int(one.held.any())
    assert held
    for wanted in (
        lambda n: n["factorizations"] == 0 and n["before"] > 0,
        lambda n: n["factorizations"] > 3,
        lambda n: n["weight"] > 0,
        lambda n: n["holds"] > 0,
        lambda n: n["shift"] > 0,
        lambda n: n["bend"] == 0 and n["wait"] > 0,
        lambda n: n["pause"] > 0 and n["bend"] == 1,
    ):
        assert any(wanted(n) for n in numbers)


def test_only_what_is_there_is_moved_and_only_to_where_nothing_is():
    action, _ = action_of(*PROBLEMS[0])
    path = first_paths(action.problem, 1)[0]
    lockstep = Lockstep(action, LADDER)
    with pytest.raises(ValueError, match="lane 1 has no climb"):
        lockstep.lift(1)
    lockstep.put(1, 0, path, 0, fresh=True)
    one = lockstep.lift(1)
    assert lockstep.active == 0 and 1 in lockstep.empty
    lockstep.set_down(2, one)
    with pytest.raises(ValueError, match="lane 2 is not empty"):
        lockstep.set_down(2, one)
    while not lockstep._batch.recorded:
        lockstep.advance(1)
    with pytest.raises(ValueError, match="lane 2 has no climb that can be moved"):
        lockstep.lift(2)


@pytest.mark.parametrize("name", catalogue())
def test_the_number_of_lanes_does_not_change_a_bit(name):
    scheme = "map" if load_model(name).kind == "map" else "trapezoid"
    action, _ = action_of(name, scheme, "walk" if load_model(name).parameters else "states alone")
    paths = first_paths(action.problem, 2)
    settings = Settings(max_iterations=30)
    wanted, *others = (climb(Lockstep(action, LADDER, lanes, settings), paths) for lanes in (8, 4, 2))
    for found in others:
        for start, rungs in wanted.items():
            assert same(found[start], rungs)


@pytest.fixture
def compiler(monkeypatch):
    """A compiler that is told when it may end, and a disk that keeps what it made."""

    class Compiler:
        def __init__(self):
            self.kept, self.asked, self.may_end, self.broken = {8}, [], threading.Event(), False

        def compile(self, lanes):
            self.asked.append(lanes)
            assert self.may_end.wait(PATIENCE)
            if self.broken:
                raise CompilerError("the disk is full")
            return object()

    one = Compiler()
    monkeypatch.setattr(widths, "code_of", lambda action, lanes: lanes)
    monkeypatch.setattr(widths, "kept", lambda lanes: lanes in one.kept)
    monkeypatch.setattr(widths, "library", one.compile)
    yield one
    one.may_end.set()


def narrowed(widths, climbs, lanes):
    """Wait until so many climbs go over to so many lanes."""
    until(lambda: widths.least(climbs) == lanes, f"{lanes} lanes are compiled")


def test_widths_that_are_compiled_are_used_at_once(compiler):
    compiler.kept = {2, 8}
    here = Widths(None, 8)
    assert [here.least(climbs) for climbs in (1, 2, 3, 5, 8)] == [2, 2, 8, 8, 8]
    assert not compiler.asked
    assert Widths(None, 4).least(2) == 2 and Widths(None, 2).least(1) == 2 and Widths(None, 1).least(1) == 1


def test_a_short_ensemble_never_waits_for_the_compiler(compiler):
    here = Widths(None, 8)
    here.worked(0.9 * COMPILE_AFTER)
    assert here.least(1) == 8 and not compiler.asked
    here.close()


def test_a_long_one_has_its_widths_compiled_beside_the_work(compiler):
    compiler.kept = {4, 8}
    here = Widths(None, 8)
    for _ in range(3):
        here.worked(0.7 * COMPILE_AFTER)
        assert here.least(1) == 4, "until the compiler has ended"
    compiler.may_end.set()
    narrowed(here, 1, LEAST)
    assert compiler.asked == [2] and here.least(3) == 4


def test_what_the_compiler_refuses_is_told(compiler):
    compiler.broken = True
    here = Widths(None, 4)
    here.worked(2 * COMPILE_AFTER)
    assert here.least(1) == 4
    compiler.may_end.set()
    with pytest.raises(CompilerError, match="the disk is full"):
        narrowed(here, 1, LEAST)
