"""One path over several ranks: the same value, gradient, Hessian and minimum as on one."""

from __future__ import annotations

import numpy as np
import pytest

from hpcda.errors import InputError

MPI = pytest.importorskip("mpi4py.MPI")
pytest.importorskip("petsc4py")

from hpcda.action import SCHEMES, Action  # noqa: E402
from hpcda.annealing import Ladder  # noqa: E402
from hpcda.annealing.minimizers import MINIMIZERS  # noqa: E402
from hpcda.annealing.scale import scales  # noqa: E402
from hpcda.petsc import SolverOptions, make_minimizer  # noqa: E402
from hpcda.petsc.distributed import DistributedSystem  # noqa: E402
from hpcda.search import WAYS, SearchContext, begin  # noqa: E402
from tests.chance import generator, number  # noqa: E402
from tests.petsc.lorenz import lorenz_problem  # noqa: E402
from tests.unit.problems import dense, example, linear_problem  # noqa: E402

pytestmark = pytest.mark.mpi(min_size=1)
COMM = MPI.COMM_WORLD
RF = 3.0
FLOWS = [name for name, scheme in SCHEMES.items() if scheme.kind == "flow"]
VARIANTS = ("states alone", "nonlinear and gaps", "walk", "independent and series", "priors and sparse data")


def gathered(vector):
    """A distributed vector on every rank."""
    return np.concatenate(COMM.allgather(np.array(vector.array_r)))


def gathered_matrix(matrix):
    """A distributed matrix as a dense array on every rank."""
    size = matrix.getSize()[0]
    begin, end = matrix.getOwnershipRange()
    rows = np.zeros((end - begin, size))
    for row in range(begin, end):
        columns, values = matrix.getRow(row)
        rows[row - begin, columns] = values
    return np.concatenate(COMM.allgather(rows))


def check(problem, path):
    action = Action(problem)
    system = DistributedSystem(action, COMM)
    try:
        system.rf = RF
        system.load(path)
        np.testing.assert_array_equal(system.path(), path)
        wanted, gradient = action.gradient(path, RF)
        parts = system.parts(system.x)
        for name in ("measurement", "model", "prior"):
            assert getattr(parts, name) == pytest.approx(getattr(wanted, name), rel=1e-12, abs=1e-300)
        assert system.objective_gradient(None, system.x, system.gradient) == pytest.approx(
            wanted.total, rel=1e-12
        )
        size = np.abs(gradient).max()
        np.testing.assert_allclose(gathered(system.gradient), gradient, rtol=1e-12, atol=1e-12 * size)
        matrix = dense(action, path, RF)
        for _ in range(2):  # the second time into the same structure
            system.assemble(None, system.x, None, None)
            found = gathered_matrix(system.hessian)
            np.testing.assert_allclose(found, matrix, rtol=1e-12, atol=1e-12 * np.abs(matrix).max())
        np.testing.assert_array_equal(gathered(system.scale), scales(problem))
        low, high = problem.bounds
        bounded = np.isfinite(low)
        np.testing.assert_array_equal(gathered(system.lower)[bounded], low[bounded])
        np.testing.assert_array_equal(gathered(system.upper)[np.isfinite(high)], high[np.isfinite(high)])
    finally:
        system.destroy()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scheme", FLOWS)
def test_the_action_over_ranks_is_the_action(scheme, variant):
    check(*example("lorenz63", scheme, variant))


@pytest.mark.parametrize("variant", ["walk", "priors and sparse data"])
def test_a_model_with_stimuli(variant):
    check(*example("nakl", "rk4", variant))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_map(variant):
    check(*example("henon", "map", variant))


@pytest.mark.parametrize("times", [5, 6, 7])
def test_as_many_intervals_as_ranks_and_few_more(times):
    problem = linear_problem(times=times, state_bounds=np.array([[-1.0, 1.0], [-np.inf, 2.0], [0.0, np.inf]]))
    check(problem, generator(1).normal(size=problem.size))


@pytest.mark.worlds(least=2)
def test_more_ranks_than_intervals_are_refused_on_all_ranks():
    problem = linear_problem(times=COMM.size, observed={"x": "x + 0*y", "xz": "x + z"})
    with pytest.raises(InputError, match=f"{COMM.size} ranks share {COMM.size - 1} interval") as caught:
        DistributedSystem(Action(problem), COMM)
    assert caught.value.mistakes[0].place == "ensemble.ranks_per_start"
    COMM.Barrier()


def climb(action, rungs, comm, name="auto", **options):
    """Minima along a ladder from the same first path."""
    path, found = (
        begin(SearchContext(action.problem, Ladder(1.0, 2.0, 1)), WAYS["quiet"], number(1), 0).path,
        [],
    )
    with make_minimizer(action, name, comm=comm, **options) as minimizer:
        for rung, rf in enumerate(rungs):
            outcome = minimizer.minimize(path, rf, fresh=rung == 0)
            path = outcome.path
            found.append(outcome)
    return found


@pytest.mark.parametrize("scheme", FLOWS)
@pytest.mark.parametrize("bounded", [False, True])
def test_the_minimum_over_ranks_is_that_of_one_rank(scheme, bounded):
    bounds = (20.0, 27.0) if bounded else (-np.inf, np.inf)
    action = Action(lorenz_problem(times=21, discretization=scheme, bounded=bounded, rho_bounds=bounds))
    rungs = (1e-1, 1.0, 10.0, 1e3)
    alone, together = climb(action, rungs, None), climb(action, rungs, COMM)
    for one, many in zip(alone, together, strict=True):
        assert one.reason.converged and many.reason.converged
        assert many.parts.total == pytest.approx(one.parts.total, rel=1e-9)
    np.testing.assert_allclose(together[-1].path, alone[-1].path, atol=1e-4)
    paths = COMM.allgather(together[-1].path)
    assert all(np.array_equal(path, paths[0]) for path in paths)
    assert len(set(COMM.allgather((together[-1].iterations, together[-1].reason.code)))) == 1


@pytest.mark.parametrize("name", ["nls", "bnls", "bntr", "lmvm", "snes-newtonls"])
def test_native_minimizers_over_ranks(name):
    action = Action(lorenz_problem(times=21))
    near = climb(action, (1e-1, 1.0, 10.0), None)[-1]
    with make_minimizer(action, name, comm=COMM, max_iterations=3000) as minimizer:
        found = minimizer.minimize(near.path + 0.01, 10.0)
    tolerance = 1e-8 if MINIMIZERS[name].linear else 1e-4
    assert found.parts.total == pytest.approx(near.parts.total, rel=tolerance)


def test_gauss_newton_works_on_one_rank_alone():
    action = Action(linear_problem())
    if COMM.size == 1:
        make_minimizer(action, "brgn", comm=COMM).destroy()
        return
    with pytest.raises(InputError, match="one rank per start"):
        make_minimizer(action, "brgn", comm=COMM)
    COMM.Barrier()


def test_without_a_parallel_factorization_the_system_is_solved_redundantly():
    action = Action(lorenz_problem(times=21))
    alone = climb(action, (1e-1, 1.0, 10.0), None)
    with SolverOptions({"pc_type": "redundant"} if COMM.size > 1 else {}):
        together = climb(action, (1e-1, 1.0, 10.0), COMM)
    assert together[-1].parts.total == pytest.approx(alone[-1].parts.total, rel=1e-9)


def test_a_path_that_is_not_finite_is_a_failed_outcome_on_all_ranks():
    action = Action(lorenz_problem(times=21))
    path = np.zeros(action.size)
    path[4] = np.nan
    with make_minimizer(action, comm=COMM) as minimizer:
        found = minimizer.minimize(path, 1.0)
        assert found.reason.name == "FAILED_NON_FINITE"
        again = minimizer.minimize(np.ones(action.size), 1e-1)
    assert again.reason.converged
