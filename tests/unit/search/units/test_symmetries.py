"""Units of arrays of parameters: what may be exchanged and reversed, and one form of all such paths."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

from hpcda.annealing import Ladder
from hpcda.models.catalogue import load_model
from hpcda.models.model import Model, Parameter, State
from hpcda.problem import Estimated, Problem
from hpcda.search.context import SearchContext
from hpcda.search.merge import Sketch, alike
from tests.chance import generator
from tests.unit.problems import windows

UNITS, RF = 4, 7.0


def recurrent(x, p):
    h = np.tanh(p.W @ x + p.b)
    return [p.a * x[0] + p.v @ h, *h]


def even(x, p):
    """Units whose sums may be reversed, which nothing behind them sees."""
    h = np.cos(p.W @ x + p.b)
    return [p.v @ x[1:], *h]


def gated(x, p):
    """A gate of each unit (K. Cho et al., 2014), which is not odd, but may read states with another sign."""
    gate = 0.5 + 0.5 * np.tanh(p.G @ x)
    h = x[1:]
    h = (1.0 - gate) * h + gate * np.tanh(p.W @ x + p.b)
    return [p.a * x[0] + p.v @ h, *h]


def hidden_states(units=UNITS):
    return (State("y", range=(-2.0, 2.0)), *(State(f"h{k}", range=(-0.5, 0.5)) for k in range(units)))


def array(name, *shape):
    return Parameter(name, 0.0, range=(-1.0, 1.0), shape=shape)


def map_model(equations, units=UNITS, **more):
    shapes = {"W": (units, units + 1), "b": (units,), "v": (units,)} | more
    arrays = tuple(array(name, *shape) for name, shape in shapes.items())
    return Model(
        name="net", states=hidden_states(units), parameters=(*arrays, Parameter("a", 0.5)),
        equations=equations, kind="map",
    )  # fmt: skip


def field(activation, *layers):
    """x' = W_n g(W_n-1 … g(W_1 x)), two states, all weights without biases but where told."""

    def equations(x, p):
        for k in range(len(layers) + 1):
            x = p[f"W{k}"] @ (activation(x) if k else x)
            x = x + p.b0 if not k else x
        return list(x)

    widths = (2, *layers, 2)
    arrays = [array(f"W{k}", widths[k + 1], widths[k]) for k in range(len(widths) - 1)]
    return Model(
        name="field", states=(State("p"), State("q")), parameters=(*arrays, array("b0", widths[1])),
        equations=equations,
    )  # fmt: skip


def problem_of(model, observed=None, lengths=(9,), change=None, **more):
    """A problem with all parameters estimated; `change` makes others of them, None of one that is fixed."""
    observed = observed or {"y": model.state_names[0]}
    own = []
    for one in model.parameters:
        made = Estimated(one.name, one.start, prior=(0.0, 1.0))
        own.append(made if change is None else change(made))
    kept = tuple(one for one in own if one is not None)
    fixed = {one.name: 0.37 for one, made in zip(model.parameters, own, strict=True) if made is None}
    size = model.dimension
    return Problem(
        model, "map" if model.kind == "map" else "trapezoid",
        windows(model, len(observed), lengths, 0.1, generator(5)), observed, kept, fixed=fixed,
        state_start=np.array([state.range for state in model.states]),
        state_bounds=np.tile([-np.inf, np.inf], (size, 1)), model_error_weight=np.ones(size), **more,
    )  # fmt: skip


def context_of(*arguments, **more):
    return SearchContext(problem_of(*arguments, **more), Ladder(1.0, 2.0, 3))


def families(context):
    return sorted(one.units for one in context.symmetries.families)


def disguised(context, path, rng):
    """The same path after many exchanges and reversals, one after the other."""
    known = context.symmetries
    for _ in range(rng.integers(20, 60)):
        if known.families:
            family = known.families[rng.integers(len(known.families))]
            path = known.moved(path, family.swaps[rng.integers(len(family.swaps))])
        if known.reversals:
            signs = known.reversals[rng.integers(len(known.reversals))]
            path = known.moved(path, np.arange(len(signs)), signs)
    return path


# Name -> model, units of each family, number of reversals.
FOUND = {
    "recurrent": (map_model(recurrent), [UNITS], UNITS),
    "gated": (map_model(gated, G=(UNITS, UNITS + 1)), [UNITS], UNITS),
    "even": (map_model(even), [UNITS], UNITS),
    "tanh": (field(np.tanh, 5), [5], 5),
    "two layers": (field(np.tanh, 3, 4), [3, 4], 7),
    "three layers": (field(np.tanh, 3, 4, 2), [2, 3, 4], 9),
    "softplus": (field(lambda z: np.log1p(np.exp(z)), 5), [5], 0),
    "pair": (field(np.sin, 2), [2], 2),
    "one": (field(np.tanh, 1), [], 1),
}


@pytest.mark.parametrize("name", FOUND)
def test_all_paths_of_one_model_have_one_form(name):
    model, units, reversals = FOUND[name]
    observed = {"p": "p", "q": "q"} if model.kind == "flow" else None
    context = context_of(model, observed, lengths=(9, 6))
    assert families(context) == units
    assert len(context.symmetries.reversals) == reversals
    rng, action, sketch = generator(17), context.action, Sketch(context.problem)
    moved = 0
    for _ in range(4):
        path = rng.uniform(*context.problem.starts.T)
        form = context.representative(path)
        value = action.value(path, RF).total
        assert action.value(form, RF).total == pytest.approx(value, rel=1e-12)
        np.testing.assert_array_equal(context.representative(form), form)
        for _ in range(6):
            other = disguised(context, path, rng)
            moved += np.abs(other - path).max() > 1e-3
            assert action.value(other, RF).total == pytest.approx(value, rel=1e-12)
            np.testing.assert_array_equal(context.representative(other), form)
        near = disguised(context, path * (1.0 + 1e-7 * rng.normal(size=len(path))), rng)
        known = np.array([value]), sketch(form)[None]
        assert alike(value, sketch(context.representative(near)), *known)[0]
        assert not alike(value, sketch(context.representative(path + 0.1)), *known)[0]
    assert moved > 6


def by_hand(path, order, signs, units, times):
    """A path of `recurrent` whose units stand in another order, each with a sign: written out by hand."""
    states, tail = path[: times * (units + 1)].reshape(times, -1).copy(), path[times * (units + 1) :]
    weights, rest = tail[: units * (units + 1)].reshape(units, units + 1).copy(), tail[units * (units + 1) :]
    states[:, 1:] = states[:, 1:][:, order] * signs
    weights = weights[order] * signs[:, None]
    weights[:, 1:] = weights[:, 1:][:, order] * signs
    b, v, a = rest[:units][order] * signs, rest[units : 2 * units][order] * signs, rest[2 * units :]
    return np.concatenate([states.ravel(), weights.ravel(), b, v, a])


def test_all_orders_and_signs_of_a_recurrent_network_are_found():
    context = context_of(map_model(recurrent, 3))
    path = generator(3).uniform(*context.problem.starts.T)
    forms, values = set(), set()
    for order, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3)):
        other = by_hand(path, list(order), np.array(signs), 3, 9)
        values.add(round(context.action.value(other, RF).total, 9))
        forms.add(context.representative(other).tobytes())
    assert len(values) == len(forms) == 1


def _with(names, **changes):
    return lambda one: replace(one, **changes) if one.name in names else one


BROKEN = {
    "prior": (_with({"b[1]"}, prior=(0.0, 2.0)), {}, [3], 4),
    "prior's mean": (_with({"b[1]"}, prior=(0.2, 1.0)), {}, [3], 3),
    "bounds": (_with({"W[2,0]"}, bounds=(-1.0, 1.0)), {}, [3], 4),
    "one bound": (_with({"W[2,0]"}, bounds=(0.0, np.inf)), {}, [3], 3),
    "first guess": (_with({"v[0]"}, start=(0.0, 1.0)), {}, [3], 3),
    "fixed": (lambda one: None if one.name == "W[3,1]" else one, {}, [2], 3),
    "measured": (None, {"observed": {"y": "y", "z": "h1"}}, [3], 3),
    "measured alike": (None, {"observed": {"y": "y", "z": "h1 + h2"}}, [2, 2], 2),
    "measured even": (None, {"observed": {"y": "y", "z": "h1*h1"}}, [3], 4),
    "first state": (None, {"initial_prior": {"h1": (0.0, 0.1)}}, [3], 4),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_tells_units_apart_breaks_the_symmetry(name):
    change, more, units, reversals = BROKEN[name]
    context = context_of(map_model(recurrent), change=change, **more)
    assert families(context) == units
    assert len(context.symmetries.reversals) == reversals
    path = generator(8).uniform(*context.problem.starts.T)
    value = context.action.value(path, RF).total
    other = disguised(context, path, generator(9))
    assert context.action.value(other, RF).total == pytest.approx(value, rel=1e-12)
    np.testing.assert_array_equal(context.representative(other), context.representative(path))


def test_weights_of_the_model_error_tell_units_apart():
    problem = problem_of(map_model(recurrent))
    weights = np.ones(UNITS + 1)
    weights[2] = 3.0
    context = SearchContext(replace(problem, model_error_weight=weights), Ladder(1.0, 2.0, 3))
    assert families(context) == [3]
    assert len(context.symmetries.reversals) == UNITS


def test_measured_units_stay_where_they_are():
    everything = {name: name for name in ("y", *(f"h{k}" for k in range(UNITS)))}
    context = context_of(map_model(recurrent), observed=everything)
    path = generator(8).uniform(*context.problem.starts.T)
    assert not context.symmetries
    assert context.representative(path) is path


@pytest.mark.parametrize("name", ["lorenz63", "lorenz96", "colpitts"])
def test_models_without_arrays_have_none(name):
    model = load_model(name)
    context = context_of(model, observed={"z": model.state_names[-1]})
    path = generator(8).uniform(*context.problem.starts.T)
    assert context.representative(path) is path
    assert "action" not in vars(context)
    assert not context.symmetries


def test_what_is_no_unit_keeps_its_sign():
    """(x, y) of Lorenz 1963 may be reversed where z is measured: two paths, not one."""

    def equations(x, p):
        rates = [10.0 * (x.y - x.x), x.x * (28.0 - x.z) - x.y, x.x * x.y - 8.0 / 3.0 * x.z]
        return [*rates[:2], rates[2] + p.v @ np.tanh(p.w * x.z)]

    model = Model(
        name="lorenz", states=(State("x"), State("y"), State("z")), equations=equations,
        parameters=(array("v", 3), array("w", 3)),
    )  # fmt: skip
    context = context_of(model, observed={"z": "z"})
    assert families(context) == [3]
    states = np.array(context.symmetries.reversals)[:, :3]
    assert len(states) == 3
    assert (states == 1.0).all()


def test_each_experiment_may_have_weights_of_its_own():
    context = context_of(
        map_model(recurrent), lengths=(9, 6), change=lambda one: replace(one, per_window=True)
    )
    assert families(context) == [UNITS]
    path = generator(8).uniform(*context.problem.starts.T)
    other = disguised(context, path, generator(9))
    value = context.action.value(path, RF).total
    assert context.action.value(other, RF).total == pytest.approx(value, rel=1e-12)
    np.testing.assert_array_equal(context.representative(other), context.representative(path))


def test_paths_that_are_not_finite_stay_as_they_are():
    context = context_of(map_model(recurrent))
    path = np.full(context.size, np.nan)
    assert context.representative(path) is path
