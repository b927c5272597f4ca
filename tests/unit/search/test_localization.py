"""Covariances are believed less the further away they are, in hops over the model's graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcda.action.native import Equations
from hpcda.search.forecast import Forecast
from hpcda.search.localization import Hops, gaspari_cohn
from hpcda.search.smoother import Smoother
from tests.chance import generator
from tests.oracles import ORACLES

RING = ORACLES["lorenz96-20-L5-1"]


def test_the_share_is_that_of_the_paper():
    """Its values and slopes at 0, 1 and 2, and that it is a correlation function along a line."""
    at = np.array([0.0, 1.0, 2.0, 5.0, np.inf])
    assert gaspari_cohn(at) == pytest.approx([1.0, 5 / 24, 0.0, 0.0, 0.0], abs=1e-15)
    small = 1e-6
    before, after = gaspari_cohn(at[:3] - small), gaspari_cohn(at[:3] + small)
    assert before[1:] - gaspari_cohn(at[1:3]) == pytest.approx(gaspari_cohn(at[1:3]) - after[1:], abs=1e-10)
    assert (np.diff(gaspari_cohn(np.linspace(0.0, 2.0, 100))) < 0.0).all()
    line = np.arange(60.0) / 7
    assert np.linalg.eigvalsh(gaspari_cohn(np.abs(line[:, None] - line))).min() > -1e-12


def test_hops_are_counted_over_the_equations_either_way():
    """A site of Lorenz 1996 has two neighbors before it and one after it; the ring closes."""
    problem = RING.problem()
    hops = Hops.of(Equations(problem))
    measured = [problem.model.state_names.index(name) for name in problem.observed.values()]
    for at, site in enumerate(measured):
        ring = np.abs(np.arange(20) - site)
        assert hops.near[:20, at].tolist() == np.ceil(np.minimum(ring, 20 - ring) / 2).tolist()
    assert (hops.near[20:] == 0.0).all(), "the forcing is near to everything"
    assert (hops.together == hops.near[measured]).all()


def test_states_apart_are_out_of_reach_and_nothing_measured_is_near():
    problem = replace(RING.problem(), observed={"sum": "x0 + x5", "none": "0*x3"})
    hops = Hops.of(Equations(problem))
    assert hops.near[[0, 5, 2, 7, 12], 0].tolist() == [0.0, 0.0, 1.0, 1.0, 4.0]
    assert (hops.near[:, 1] == 0.0).all() and hops.together.tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("hops", [2.0, None])
def test_data_move_what_is_near_alone(hops):
    problem = RING.problem()
    window = problem.windows[0]
    data = np.full_like(window.data, np.nan)
    data[0, 0] = 3.0
    site = problem.model.state_names.index(next(iter(problem.observed.values())))
    rng = generator(1)
    members = np.ascontiguousarray(rng.standard_normal((21, 200)) + 2.0)
    begun = members.copy()
    far = (np.zeros(20), np.full(20, 1e6))
    smoother, window = Smoother(Forecast(problem)), replace(window, data=data)
    smoother.filter(window, members.copy(), rng, far, begun=begun, backward=False, hops=hops)
    moved = np.abs(begun - members).max(axis=1) > 0.0
    near = Hops.of(Equations(problem)).near[:, 0]
    assert moved[site] and moved[20]
    assert moved.all() if hops is None else (moved == (near < 4.0)).all()
