"""A ladder in the number of steps: against SciPy's fit, closed forms and the order of each discretization."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from hpcda.action import SCHEMES, Action
from hpcda.errors import InputError
from hpcda.models.catalogue import load_model
from hpcda.search.finer import minimum_at
from hpcda.search.refinement import ACTION, limit_of, refinable, refine
from tests.unit import epidemic

RF = 1e6


@cache
def ladder(scheme, model_error, rf=RF):
    problem = replace(epidemic.make_problem(scheme), model_error=model_error)
    action = Action(problem)
    states = epidemic.followed([762.0, 1.0, 0.0], [1.6, 0.45], problem.windows[0].t)
    path = minimum_at(action, problem.join([states], np.array([1.6, 0.45])), rf)
    return refine(action, path, rf, 5)


@pytest.mark.parametrize("scheme", ["trapezoid", "implicit-midpoint"])
def test_the_limit_is_the_least_squares_fit_and_the_order_that_of_the_discretization(scheme):
    values, stds, lowest = epidemic.fitted()
    found = ladder(scheme, "per time")
    assert found.asymptotic and found.order == SCHEMES[scheme].order
    for name, right, std in zip(("beta", "gamma"), values, stds, strict=True):
        limit = found.limits[name]
        assert limit.order == pytest.approx(2.0, abs=0.1)
        assert abs(limit.value - right) < 0.002 * std
        assert abs(limit.value - right) < 0.1 * abs(found.levels[-1].parameters[name] - right)
    assert found.limits[ACTION].value == pytest.approx(lowest, abs=0.01)
    assert found.path_orders[-1] == pytest.approx(2.0, abs=0.1)


def test_per_step_and_per_time_are_the_same_ladder_from_the_same_minimum():
    """At one step a day Rf per step and per time are the same number."""
    step, time = ladder("trapezoid", "per step", 1e2), ladder("trapezoid", "per time", 1e2)
    assert [one.rf for one in step.levels] == [1e2 * 2.0**k for k in range(5)]
    assert {one.rf for one in time.levels} == {1e2}
    for a, b in zip(step.levels, time.levels, strict=True):
        assert a.action == pytest.approx(b.action, rel=1e-9)
        assert a.parameters == pytest.approx(b.parameters, rel=1e-6)


def test_one_sentence_says_whether_the_step_is_fine_enough():
    found = ladder("trapezoid", "per time")
    values, stds, _ = epidemic.fitted()
    deviations = dict(zip(("beta", "gamma"), stds, strict=True))
    enough = found.fine_enough(deviations)
    right = dict(zip(("beta", "gamma"), values, strict=True))
    by_hand = [
        one.steps
        for one in found.levels
        if all(abs(one.parameters[name] - right[name]) <= 0.2 * deviations[name] for name in right)
    ]
    assert enough == by_hand[0] > 1
    told = found.sentence(deviations)
    assert told.startswith("The time step is too coarse: ") and f"steps_per_sample = {enough} is" in told
    assert "fine enough: " in found.sentence({name: 1e3 for name in deviations})
    assert "more than 16 steps" in found.sentence({name: 1e-9 for name in deviations})


def test_the_limit_of_a_power_of_the_step_is_exact():
    h = 0.5 ** np.arange(4)
    for order in (2, 4):
        found = limit_of(3.0 + 0.7 * h**order, order)
        assert found.value == pytest.approx(3.0, abs=1e-12) and found.order == pytest.approx(order)
    reduced = limit_of(3.0 + 0.7 * h, 4)
    assert reduced.value == pytest.approx(3.0, abs=1e-12) and reduced.order == pytest.approx(1.0)
    assert reduced.error == pytest.approx(0.7 * h[-1])
    faster = limit_of(3.0 + 0.7 * h**4, 1)
    assert faster.value == pytest.approx(3.0, abs=1e-12)
    assert faster.error == pytest.approx(0.7 * 15.0 * h[-1] ** 4)  # the last change, as if of order 1
    both = limit_of(3.0 + 0.7 * h**2 + 0.2 * h**3, 2)
    assert abs(both.value - 3.0) < both.error < 0.05


@pytest.mark.parametrize(
    ("values", "why"), [((1.0, 2.0, 1.5), "back and forth"), ((1.0, 2.0, 3.5), "without shrinking")]
)
def test_levels_outside_the_asymptotic_range_show_no_limit(values, why):
    found = limit_of(np.array(values), 2)
    assert found.value is None and found.error is None and why in found.why


def test_what_has_no_steps_is_refused():
    problem = replace(epidemic.make_problem(), model=load_model("henon", {}))
    with pytest.raises(InputError, match="henon is a map"):
        refinable(problem, 4)
    for levels in (2, 11, 3.5, True):
        with pytest.raises(InputError, match=r"(?s)^refine: .*levels do not fit.*from 3 to 10"):
            refinable(epidemic.make_problem(), levels)
