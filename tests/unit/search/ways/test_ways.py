"""What every way to begin has in common: any model, its bounds, its random numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcda.action import Action
from hpcda.models.catalogue import catalogue, load_model
from hpcda.search import WAYS
from hpcda.search.ways import grown, passes
from tests.unit.drawing import draw
from tests.unit.problems import SMALL, example

CASES = [(name, "nonlinear and gaps") for name in catalogue()]
CASES += [("lorenz63", "walk"), ("nakl", "independent and series"), ("lorenz63", "priors and sparse data")]


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """These data are noise, which nothing explains: what tries again and again ends soon."""
    monkeypatch.setattr(grown, "TRIES", 1)
    monkeypatch.setattr(passes, "WORK", 1e5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_every_model_gets_a_finite_path(way, name, variant):
    kind = load_model(name, SMALL.get(name)).kind
    problem, _ = example(name, "map" if kind == "map" else "trapezoid", variant)
    assert np.isfinite(draw(problem, way)).all()


@pytest.mark.parametrize("way", WAYS)
def test_a_path_comes_from_the_generator_alone(way):
    problem, _ = example("lorenz63", "trapezoid", "walk")
    assert np.array_equal(draw(problem, way, 3), draw(problem, way, 3))
    assert not np.array_equal(draw(problem, way, 3), draw(problem, way, 4))


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson"])
@pytest.mark.parametrize("way", WAYS)
def test_a_path_stays_within_bounds(way, scheme):
    problem, _ = example("lorenz63", scheme, "nonlinear and gaps")
    bounded = replace(
        problem,
        parameters=tuple(replace(p, bounds=p.start) for p in problem.parameters),
        state_bounds=0.5 * problem.state_start,
    )
    path = draw(bounded, way)
    low, high = bounded.bounds
    assert (path >= low).all() and (path <= high).all()


def test_a_free_run_obeys_the_model():
    problem, _ = example("lorenz96", "rk4", "nonlinear and gaps")
    action = Action(problem)
    free, noise = (draw(problem, name, 3) for name in ("free", "noise"))
    assert action.value(free, 1.0).model < 1e-3 * action.value(noise, 1.0).model
