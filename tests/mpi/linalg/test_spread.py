"""One path eliminated in a tree of fronts whose subtrees go to the ranks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

MPI = pytest.importorskip("mpi4py.MPI")
pytest.importorskip("petsc4py")

from hpcda.action import SCHEMES, Action  # noqa: E402
from hpcda.annealing import Ladder  # noqa: E402
from hpcda.annealing.stretch import spread_cost  # noqa: E402
from hpcda.linalg.elimination import Pattern  # noqa: E402
from hpcda.linalg.spread import Part, SpreadElimination  # noqa: E402
from hpcda.petsc import make_minimizer  # noqa: E402
from hpcda.petsc.distributed import DistributedSystem  # noqa: E402
from hpcda.petsc.linear import chain, configure, positive_definite  # noqa: E402
from hpcda.petsc.newton import hold  # noqa: E402
from hpcda.petsc.start import PETSc  # noqa: E402
from hpcda.problem import Estimated, Window  # noqa: E402
from hpcda.search import WAYS, SearchContext, begin  # noqa: E402
from tests.chance import generator, number  # noqa: E402
from tests.petsc.lorenz import lorenz_problem  # noqa: E402
from tests.unit.problems import example  # noqa: E402

pytestmark = pytest.mark.mpi(min_size=1)
COMM = MPI.COMM_WORLD
FREE = (-np.inf, np.inf)
FLOWS = [name for name, scheme in SCHEMES.items() if scheme.kind == "flow"]
VARIANTS = ("states alone", "nonlinear and gaps", "walk", "independent and series", "priors and sparse data")


def spread_matrix(sizes, ranks, shared, seed):
    """A random matrix of blocks in time, each coupled with the next, and what each rank holds of it.

    Blocks of `sizes` unknowns are dealt out; neighbors share the block where they meet. Parameters follow,
    one that each rank has alone, then `shared` of all.
    """
    rng = generator(seed, ranks)
    edges = np.concatenate([[0], np.cumsum(sizes)])
    cuts = [(len(sizes) - 1) * rank // ranks for rank in range(ranks + 1)]
    inside, size = int(edges[-1]), int(edges[-1]) + ranks + shared
    dense = np.zeros((size, size))
    holds = np.zeros((ranks, size), dtype=bool)
    for rank in range(ranks):
        for block in range(cuts[rank], cuts[rank + 1]):
            own = np.arange(edges[block], edges[block + 2])
            own = np.concatenate([own, [inside + rank], np.arange(inside + ranks, size)])
            half = rng.standard_normal((len(own), len(own)))
            dense[np.ix_(own, own)] += half @ half.T
            holds[rank, own] = True
    dense += 0.1 * np.eye(size)
    places = np.flatnonzero(holds[COMM.rank])
    low = np.argmax(holds, axis=0)[places]
    high = ranks - 1 - np.argmax(holds[::-1], axis=0)[places]
    mine = dense[np.ix_(places, places)]
    row, column = np.nonzero(mine)
    layer = np.where(places < inside, np.searchsorted(edges, places, side="right"), -1)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(places)))])
    return dense, Part(Pattern(indptr, column, layer), places, low, high), mine[row, column]


@pytest.mark.parametrize("shared", [0, 2])
@pytest.mark.parametrize("blocks", [5, 6, 23])
def test_solutions_are_those_of_dense_linear_algebra(blocks, shared):
    sizes = 1 + generator(blocks).integers(0, 4, blocks)
    dense, part, values = spread_matrix(sizes, COMM.size, shared, blocks)
    elimination = SpreadElimination(part, COMM)
    right = generator(3).standard_normal((len(dense), 3))
    wanted = np.linalg.solve(dense, right)[part.numbers]
    for _ in range(2):  # the same room is used again
        assert elimination.factor(values)
        found = elimination.solve(right[part.numbers])
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(elimination.solve(right[part.numbers, 0]), found[:, 0], rtol=1e-10)
    again = SpreadElimination(part, COMM)
    assert again.factor(values)
    np.testing.assert_array_equal(again.solve(right[part.numbers]), found)


def test_every_rank_knows_that_a_matrix_is_not_positive_definite():
    """Wherever the negative curvature stands: alone with one rank, where two meet, or shared by all."""
    dense, part, values = spread_matrix(np.full(9, 3), COMM.size, 2, 1)
    elimination = SpreadElimination(part, COMM)
    lowest = np.linalg.eigvalsh(dense)[0]
    pattern = part.pattern
    for shift, wanted in ((-0.99 * lowest, True), (-1.01 * lowest, False), (-50.0, False), (0.0, True)):
        assert elimination.factor(values + shift * (pattern.rows == pattern.indices)) == wanted
    for place in range(0, len(dense), 2):
        moved = values.copy()
        at = part.numbers[pattern.rows] == place
        moved[at & (part.numbers[pattern.indices] == place)] = -1.0
        assert not elimination.factor(moved)
    assert not elimination.factor(np.full_like(values, np.nan))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scheme", FLOWS)
def test_linear_systems_of_paths(scheme, variant):
    """Windows, parameters of their own and of all; shifted, with held unknowns, several right-hand sides."""
    problem, path = example("lorenz63", scheme, variant)
    action = Action(problem)
    system = DistributedSystem(action, COMM)
    ksp = PETSc.KSP().create(comm=system.x.comm)
    vectors = [system.x.duplicate() for _ in range(3)]
    right, step, work = vectors
    try:
        system.rf = 10.0
        system.load(path)
        system.assemble(None, system.x, None, None)
        begin, end = system.x.getOwnershipRange()
        held = np.arange(0, action.size, 7)
        hold(system, held[(held >= begin) & (held < end)] - begin)
        indptr, indices, values = action.hessian(path, 10.0)
        dense = np.zeros((action.size,) * 2)
        dense[np.repeat(np.arange(action.size), np.diff(indptr)), indices] = values
        dense[held], dense[:, held] = 0.0, 0.0
        dense[held, held] = 1.0
        unit = np.sqrt(np.abs(np.diagonal(dense)) + 1e-3)
        lowest = np.linalg.eigvalsh(dense / np.outer(unit, unit))[0]
        configure(ksp, chain(system, "tree")[0], system)
        system.hessian.getDiagonal(work)
        diagonal = np.array(work.array_r)
        for shift in (max(0.0, -lowest) + 0.1, -lowest - 0.2, abs(lowest) + 1.0):
            whole = dense + shift * np.diag(unit**2)
            definite = np.linalg.eigvalsh(whole)[0] > 0
            work.array[:] = diagonal + shift * unit[begin:end] ** 2
            system.hessian.setDiagonal(work)
            ksp.setOperators(system.hessian, system.hessian)
            for seed in range(2):
                b = generator(seed).standard_normal(action.size)
                right.array[:] = b[begin:end]
                ksp.solve(right, step)
                assert positive_definite(ksp, system.hessian, step, work) == definite
                if definite:
                    wanted = np.linalg.solve(whole, b)[begin:end]
                    close = {"rtol": 1e-7, "atol": 1e-9 * np.abs(wanted).max(initial=1e-3)}
                    np.testing.assert_allclose(step.array_r, wanted, **close)
    finally:
        for thing in (ksp, *vectors, system):
            thing.destroy()


def climb(action, rungs, comm, elimination):
    path, found = (
        begin(SearchContext(action.problem, Ladder(1.0, 2.0, 1)), WAYS["quiet"], number(1), 0).path,
        [],
    )
    with make_minimizer(action, "newton", comm=comm, elimination=elimination) as minimizer:
        for rung, rf in enumerate(rungs):
            found.append(minimizer.minimize(path, rf, fresh=rung == 0))
            path = found[-1].path
        sentence = minimizer.linear
    return found, sentence


def agree(action, rungs, scale=1e-4):
    """Minima over ranks are those of one rank, the same path on each."""
    alone, _ = climb(action, rungs, None, "auto")
    together, sentence = climb(action, rungs, COMM, "tree")
    assert sentence.startswith("Cholesky in a tree of fronts") and ("ranks" in sentence) == (COMM.size > 1)
    for one, many in zip(alone, together, strict=True):
        assert one.reason.converged and many.reason.converged
        assert many.parts.total == pytest.approx(one.parts.total, rel=1e-9)
    np.testing.assert_allclose(together[-1].path, alone[-1].path, atol=scale)
    paths = COMM.allgather(together[-1].path)
    assert all(np.array_equal(path, paths[0]) for path in paths)


@pytest.mark.parametrize("scheme", FLOWS)
@pytest.mark.parametrize("bounded", [False, True])
def test_the_minimum_is_that_of_one_rank(scheme, bounded):
    """From an indefinite start; with a parameter that ends at its bound."""
    bounds = (20.0, 27.0) if bounded else (-np.inf, np.inf)
    action = Action(lorenz_problem(times=21, discretization=scheme, bounded=bounded, rho_bounds=bounds))
    agree(action, (1e-1, 1.0, 10.0, 1e3))


def windows(bounded):
    """Three experiments with a parameter each and one of all; rho may end at a bound."""
    whole = lorenz_problem(times=34, bounded=bounded, rho_bounds=(20.0, 27.0) if bounded else FREE)
    (one,) = whole.windows
    parts = [slice(0, 12), slice(12, 20), slice(20, 34)]
    return replace(
        whole,
        windows=tuple(Window(one.t[p], one.data[p], one.noise_std[p], one.series[p]) for p in parts),
        parameters=(*whole.parameters, Estimated("sigma", (5.0, 15.0), prior=(10.0, 1.0), per_window=True)),
        fixed={"beta": 8.0 / 3.0},
    )


@pytest.mark.parametrize("bounded", [False, True])
def test_windows_with_parameters_of_their_own_and_of_all(bounded):
    agree(Action(windows(bounded)), (1e-1, 1.0, 10.0))


def test_the_matrix_at_a_first_path_is_indefinite_and_shifted():
    """More factorizations than iterations: some shifts were too small, on whichever rank that was seen."""
    problem, path = example("lorenz63", "trapezoid", "nonlinear and gaps")
    with make_minimizer(Action(problem), "newton", comm=COMM, elimination="tree") as minimizer:
        found = minimizer.minimize(path, 10.0)
    assert found.reason.converged and found.factorizations > found.iterations
    assert len(set(COMM.allgather(found.factorizations))) == 1


def test_the_choice_of_several_ranks_is_a_tree():
    action = Action(lorenz_problem(times=21))
    with make_minimizer(action, "newton", comm=COMM) as minimizer:
        assert ("tree of fronts" in minimizer.linear) == (COMM.size > 1)


@pytest.mark.parametrize("problem", [windows(False), lorenz_problem(times=21)])
def test_the_cost_is_known_without_the_ranks(problem):
    action = Action(problem)
    system = DistributedSystem(action, COMM)
    ksp, step = PETSc.KSP().create(comm=system.x.comm), system.x.duplicate()
    try:
        system.load(np.ones(action.size))
        system.assemble(None, system.x, None, None)
        configure(ksp, chain(system, "tree")[0], system)
        ksp.setOperators(system.hessian, system.hessian)
        ksp.setUp()
        elimination = ksp.getPC().getPythonContext().elimination
        most = COMM.allreduce(elimination.flops, MPI.MAX), COMM.allreduce(elimination.memory, MPI.MAX)
        assert spread_cost(action, COMM.size) == most
    finally:
        for thing in (ksp, step, system):
            thing.destroy()
