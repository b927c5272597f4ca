"""A job may grow; any other change of it is named, with both values."""

from __future__ import annotations

import copy

import pytest

from hpcda.errors import InputError
from hpcda.job import load_job, refuse_changed, settled

JOB = {
    "model": {"name": "lorenz63", "parameters": {"rho": {"estimate": True, "start": [20.0, 40.0]}}},
    "twin": {"dt": 0.02, "samples": 41, "observed": ["x"], "noise_std": 0.5},
    "ladder": {"rf0": 1e-2, "alpha": 8.0, "rungs": 7},
    "ensemble": {"starts": 24},
    "solver": {"petsc": {"tao_gatol": 1e-8}},
}


def job(**tables):
    changed = copy.deepcopy(JOB)
    for table, values in tables.items():
        changed.setdefault(table, {}).update(values)
        changed[table] = {key: value for key, value in changed[table].items() if value is not None}
    return load_job(changed)


@pytest.mark.parametrize(
    "new",
    [
        {},
        {"ensemble": {"starts": 25}},
        {"ensemble": {"budget": "core-seconds", "core_seconds": 5.0}},
        {"ladder": {"rungs": 9}},
        {"ladder": {"rungs": None, "rf_max": 1e-2 * 8.0**6}},
        {"ladder": {"end": "infinity"}},
        {"ladder": {"end": "infinity", "rungs": 8}},
        {"output": {"directory": "elsewhere"}},
        {"solver": {"max_seconds": 3.0}},
        {"solver": {"petsc": {"tao_gatol": "1e-08"}}},
    ],
)
def test_what_may_change(new):
    refuse_changed(job(), job(**new))


@pytest.mark.parametrize(
    ("new", "place", "problem"),
    [
        ({"ensemble": {"starts": 23}}, "ensemble.starts", "has 23 starts, but this run has 24"),
        ({"ladder": {"rungs": 6}}, "ladder.rungs", "has 6 rungs, but this run has 7"),
        ({"ladder": {"rungs": None, "rf_max": 1.0}}, "ladder.rf_max", "has 3 rungs, but this run has 7"),
        ({"ladder": {"rf0": 0.1}}, "ladder.rf0", "is 0.1, but was 0.01 when this run began"),
        ({"ensemble": {"merge": False}}, "ensemble.merge", "is false, but was true when this run began"),
        ({"solver": {"petsc": {}}}, "solver.petsc.tao_gatol", "is not given, but was 1e-08 when"),
        ({"twin": {"observed": ["x", "z"]}}, "twin.observed.z", 'is "z", but was not given when'),
        ({"output": {"keep_paths": "all"}}, "output.keep_paths", 'is "all", but was "final" when'),
    ],
)
def test_what_may_not(new, place, problem):
    with pytest.raises(InputError) as caught:
        refuse_changed(job(), job(**new))
    (mistake,) = caught.value.mistakes
    assert mistake.place == place and mistake.problem.startswith(problem)


def test_all_that_differs_is_named_at_once():
    with pytest.raises(InputError) as caught:
        refuse_changed(job(), job(ensemble={"seed": 2, "starts": 1}, action={"steps_per_sample": 2}))
    assert {mistake.place for mistake in caught.value.mistakes} == {
        "ensemble.seed",
        "ensemble.starts",
        "action.steps_per_sample",
    }


def test_options_of_the_line_belong_to_the_job():
    whole = settled(job(), {"tao_gatol": "1e-6", "ksp_type": "cg", "tao_monitor": "", "log_view": ""})
    assert whole.solver.petsc == {"tao_gatol": "1e-6", "ksp_type": "cg"}
    with pytest.raises(InputError, match="ksp_type"):
        refuse_changed(job(), whole)
    assert settled(job(), {"tao_monitor": ""}) == job()


@pytest.mark.parametrize(
    ("new", "place", "problem"),
    [
        ({}, "ladder.end", "is 'finite', but was 'infinity' when this run began"),
        (
            {"end": "infinity", "rungs": 8},
            "ladder.rungs",
            "8 rungs below the one at infinity",
        ),
        (
            {"end": "infinity", "rungs": 6},
            "ladder.rungs",
            "6 rungs below the one at infinity",
        ),
    ],
)
def test_a_ladder_that_ends_at_infinity_does_not_grow(new, place, problem):
    refuse_changed(job(ladder={"end": "infinity"}), job(ladder={"end": "infinity"}))
    with pytest.raises(InputError) as caught:
        refuse_changed(job(ladder={"end": "infinity"}), job(ladder=new))
    (mistake,) = caught.value.mistakes
    assert mistake.place == place and problem in mistake.problem
