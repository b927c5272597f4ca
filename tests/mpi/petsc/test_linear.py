"""One path of wide times over ranks: every linear solver of the choice finds the minimum of the others."""

from __future__ import annotations

import numpy as np
import pytest

MPI = pytest.importorskip("mpi4py.MPI")
pytest.importorskip("petsc4py")

from hpcda.action import Action  # noqa: E402
from hpcda.annealing import Ladder  # noqa: E402
from hpcda.models.lorenz96 import build  # noqa: E402
from hpcda.models.twin import noise, simulate, spin_up  # noqa: E402
from hpcda.petsc import SolverOptions, linear, make_minimizer  # noqa: E402
from hpcda.problem import Estimated, Problem, Window  # noqa: E402
from hpcda.search import WAYS, SearchContext, begin  # noqa: E402
from tests.chance import number  # noqa: E402

pytestmark = pytest.mark.mpi(min_size=1)
COMM = MPI.COMM_WORLD
SITES, TIMES = 40, 41
RUNGS = (1e-2, 1.0, 1e2)


@pytest.fixture(scope="module")
def action():
    """Lorenz 1996, every other site measured, the forcing estimated, one site with bounds."""
    model = build(dimension=SITES)
    t = 0.025 * np.arange(TIMES)
    first = spin_up(model, None, np.r_[8.2, np.full(SITES - 1, 8.17)], 5.0)
    truth = simulate(model, None, first, t)[:, ::2]
    bounds = np.tile([-np.inf, np.inf], (SITES, 1))
    bounds[3] = -1.0, 3.0
    return Action(
        Problem(
            model=model,
            discretization="trapezoid",
            windows=(
                Window(
                    t, truth + noise(truth.shape, 0.5, 1), np.full(truth.shape, 0.5), np.zeros((TIMES, 0))
                ),
            ),
            observed={f"x{site}": f"x{site}" for site in range(0, SITES, 2)},
            parameters=(Estimated("F", (4.0, 14.0)),),
            state_start=np.tile([-10.0, 15.0], (SITES, 1)),
            state_bounds=bounds,
            model_error_weight=np.ones(SITES),
        )
    )


def climb(action, comm, options=None):
    """Minima along a short ladder, all from the same first path, and what solved the linear systems."""
    path, found = (
        begin(SearchContext(action.problem, Ladder(1.0, 2.0, 1)), WAYS["quiet"], number(1), 0).path,
        [],
    )
    with SolverOptions(options or {}) as given, make_minimizer(action, comm=comm) as minimizer:
        for rf in RUNGS:
            found.append(minimizer.minimize(path, rf))
            path = found[-1].path
        sentence = minimizer.linear
        given.check()
    return found, sentence


@pytest.fixture(scope="module")
def expected(action):
    """The minima that one rank finds with Cholesky in the order of time."""
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(linear, "NARROW", SITES + 1)
        found, sentence = climb(action, None)
    assert sentence == "Cholesky in the order of time"
    return found


def agree(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.reason.converged
        assert one.parts.total == pytest.approx(other.parts.total, rel=1e-9)
    np.testing.assert_allclose(found[-1].path, expected[-1].path, atol=1e-4)
    paths = COMM.allgather(found[-1].path)
    assert all(np.array_equal(path, paths[0]) for path in paths)


def test_narrow_times_are_factorized(action, expected):
    found, sentence = climb(action, COMM)
    assert sentence.startswith("Cholesky in a tree of fronts")
    agree(found, expected)


def test_wide_times_take_conjugate_gradients(action, expected, monkeypatch):
    monkeypatch.setattr(linear, "WIDE", SITES)
    monkeypatch.setattr(linear, "SPARSE", 1.0)
    found, sentence = climb(action, COMM)
    assert sentence.startswith("conjugate gradients, ICC with 3 levels")
    assert ("Schwarz" in sentence) == (COMM.size > 1)
    agree(found, expected)


def test_where_conjugate_gradients_give_up_a_factorization_takes_over(action, expected, monkeypatch):
    monkeypatch.setattr(linear, "WIDE", SITES)
    monkeypatch.setattr(linear, "SPARSE", 1.0)
    monkeypatch.setattr(linear, "REORDERED", SITES)
    monkeypatch.setattr(linear, "MOST", 2)
    found, sentence = climb(action, COMM)
    assert len(sentence.split("; else ")) == 3
    agree(found, expected)


@pytest.mark.parametrize("mumps", [True, False])
def test_a_direct_factorization_of_wide_times(action, expected, monkeypatch, mumps):
    monkeypatch.setattr(linear, "NARROW", SITES + 1)  # of one rank; several take a tree
    monkeypatch.setattr(linear, "REORDERED", SITES)
    monkeypatch.setattr(linear, "SPARSE", 1.0)
    if not mumps:
        monkeypatch.setattr(linear, "has_mumps", lambda: False)
    found, _ = climb(action, COMM)
    agree(found, expected)


def test_rows_that_are_not_sparse_are_factorized(action, expected, monkeypatch):
    monkeypatch.setattr(linear, "WIDE", SITES)
    monkeypatch.setattr(linear, "SPARSE", 0.1)
    found, sentence = climb(action, COMM)
    assert "gradients" not in sentence
    agree(found, expected)


def test_options_overrule_the_choice(action, expected, monkeypatch):
    monkeypatch.setattr(linear, "WIDE", SITES)
    monkeypatch.setattr(linear, "SPARSE", 1.0)
    found, sentence = climb(action, COMM, {"pc_type": "redundant"})
    assert sentence == "as the PETSc options say"
    agree(found, expected)
