"""The search as a whole, on problems whose lowest minimum is known: what it finds, and what it says of it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("petsc4py", reason="the minimisers are PETSc's")

import hpcda
from tests.oracles import ORACLES

pytestmark = pytest.mark.petsc


def run(folder, name, **ensemble):
    """A run of an oracle with some keys of [ensemble], opened."""
    oracle = ORACLES[name]
    if oracle.missing:
        pytest.skip(oracle.missing)
    job = oracle.job(folder, ensemble=ensemble)
    return hpcda.open_run(hpcda.run(job, output=folder / f"run-{len(list(folder.iterdir()))}", quiet=True))


@pytest.mark.parametrize("name", ["minaone-set1", "minaone-set5", "varanneal"])
@pytest.mark.parametrize("seed", range(1, 21))
def test_sixteen_starts_find_what_others_measured(tmp_path, name, seed):
    found = run(tmp_path, name, starts=16, seed=seed)
    assert ORACLES[name].solved(found.minima[0].action)
    assert found.verdict.code == "consistent_and_stable"


@pytest.mark.parametrize("name", ["lorenz96-20-L8-1", "lorenz96-20-L6-1", "lorenz96-20-L5-1"])
def test_rings_with_fewer_and_fewer_sites_measured_are_found(tmp_path, name):
    found = run(tmp_path, name, starts=100)
    assert ORACLES[name].solved(found.minima[0].action)
    assert found.verdict.code == "consistent_and_stable"
    assert len(found.outcome.start) < 100, "the verdict has ended it"


@pytest.mark.parametrize("starts", [16, 32])
def test_uniform_starts_alone_miss_the_lowest_level_and_it_is_said(tmp_path, starts):
    """The level that they find lies 9.2 deviations above what noise allows."""
    found = run(tmp_path, "minaone-set5", way="uniform", starts=starts)
    assert not ORACLES["minaone-set5"].solved(found.minima[0].action)
    assert found.verdict.code == "inconsistent"
    assert found.evidence.z == pytest.approx(9.23, abs=0.01)


def test_merged_starts_are_counted_in_the_levels_where_they_would_have_ended(tmp_path):
    """Three levels, and a third of the Newton iterations."""
    merged, alone = (run(tmp_path, "minaone-set1", way="uniform", starts=100, merge=m) for m in (True, False))
    ends, wanted = (one.file.table("action")[:, -1] for one in (merged, alone))
    np.testing.assert_allclose(ends, wanted, rtol=1e-9)
    levels = [[(level.action, level.starts) for level in one.minima] for one in (merged, alone)]
    assert [starts for _, starts in levels[0]] == [starts for _, starts in levels[1]]
    actions = [[action for action, _ in one] for one in levels]
    assert actions[0] == pytest.approx(actions[1], rel=1e-12)
    assert actions[0] == pytest.approx([335.056, 797.805, 933.260], abs=1e-3)
    assert [len(starts) for _, starts in levels[0]] == [56, 42, 2]
    assert merged.outcome.iterations.sum() < 0.5 * alone.outcome.iterations.sum()
