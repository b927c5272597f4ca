"""What PETSc's packages eliminate is what dense linear algebra gives; what they do not give is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

PETSc = pytest.importorskip("petsc4py.PETSc", reason="the packages are PETSc's")

from hpcda.action import Action  # noqa: E402
from hpcda.annealing.elimination import FRONTS, Linear  # noqa: E402
from hpcda.linalg.elimination import (  # noqa: E402
    Inertia,
    NotOfferedError,
    NotPositiveDefiniteError,
    Pattern,
)
from hpcda.linalg.root import inverse_root  # noqa: E402
from hpcda.petsc.elimination import PetscElimination  # noqa: E402
from tests.chance import generator  # noqa: E402
from tests.unit.problems import example  # noqa: E402

pytestmark = pytest.mark.petsc
LINEAR = {
    "own": Linear(),
    "natural": Linear(order="natural"),
    "dissection": Linear(order="nd"),
    "mumps": Linear("mumps", spread=True),
    "cholmod": Linear("cholmod"),
    "krylov": Linear(levels=(3, 12), spread=True),
}
PACKAGES = {"mumps": "mumps", "cholmod": "suitesparse"}


@pytest.fixture(params=LINEAR)
def name(request):
    if not PETSc.Sys.hasExternalPackage(PACKAGES.get(request.param, "mpi")):
        pytest.skip(f"this PETSc was built without {request.param}")
    return request.param


def matrices():
    """Positive definite matrices with their patterns: a random one, a Hessian, one of a single unknown."""
    rng = generator(1)
    dense = np.triu(rng.standard_normal((70, 70)) * (rng.random((70, 70)) < 0.06), 1)
    dense += dense.T
    dense += np.diag(np.abs(dense).sum(axis=1) + rng.uniform(0.1, 1.0, 70))
    yield "random", dense
    problem, path = example("lorenz63", "trapezoid", "independent and series")
    action = Action(problem)
    indptr, indices, values = action.hessian(path, 10.0)
    dense = csr_array((values, indices, indptr), shape=(problem.size,) * 2).toarray()
    unit = np.sqrt(np.abs(np.diagonal(dense)) + 1e-3)
    dense /= np.outer(unit, unit)
    yield "Hessian", dense + (max(0.0, -np.linalg.eigvalsh(dense)[0]) + 0.1) * np.eye(len(dense))
    yield "number", np.array([[4.0]])


def sparse(dense):
    matrix = csr_array(dense)
    matrix.sort_indices()
    return Pattern(matrix.indptr, matrix.indices), matrix.data


@pytest.mark.parametrize("shift", [0.0, 0.7])
@pytest.mark.parametrize("kind", ["random", "Hessian", "number"])
def test_what_is_given_is_that_of_dense_linear_algebra(name, kind, shift):
    dense = dict(matrices())[kind]
    pattern, values = sparse(dense)
    whole = dense + shift * np.eye(len(dense))
    inverse = np.linalg.inv(whole)
    close = {"rtol": 1e-10, "atol": 1e-10 * np.abs(inverse).max()}
    right = generator(2).standard_normal((len(dense), 3))
    with PetscElimination(pattern, LINEAR[name]) as elimination:
        for _ in range(2):
            factor = elimination.factor(values, shift)
            np.testing.assert_allclose(factor.solve(right), inverse @ right, **close)
            np.testing.assert_allclose(factor.solve(right[:, 0]), inverse @ right[:, 0], **close)
            np.testing.assert_allclose(
                factor.inverse_on_pattern(), inverse[pattern.rows, pattern.indices], **close
            )
            np.testing.assert_allclose(factor.variances, np.diagonal(inverse), **close)
            if name == "krylov":
                for refused in (lambda: factor.logdet, lambda: factor.sample(right)):  # noqa: B023
                    with pytest.raises(NotOfferedError, match="conjugate gradients .* does not tell"):
                        refused()
                continue
            half = factor.sample(np.eye(len(dense)))
            np.testing.assert_allclose(half @ half.T, inverse, **close)
            np.testing.assert_allclose(factor.solve(right), inverse @ right, **close)  # it lives on
            if name == "cholmod":
                with pytest.raises(NotOfferedError, match=r"CHOLMOD does not tell the determinant: a tree"):
                    _ = factor.logdet
            else:
                assert factor.logdet == pytest.approx(np.linalg.slogdet(whole)[1], rel=1e-10, abs=1e-12)
        other = elimination.factor(values, shift + 1.0)
        with pytest.raises(RuntimeError, match="another by now"):
            factor.solve(right)
        more = np.linalg.solve(whole + np.eye(len(dense)), right)
        np.testing.assert_allclose(other.solve(right), more, rtol=1e-9, atol=1e-10)


def test_what_is_not_positive_definite_is_refused_and_counted(name):
    for kind, dense in matrices():
        pattern, values = sparse(dense)
        eigenvalues = np.linalg.eigvalsh(dense)
        at = int(np.argmax(np.diff(eigenvalues))) if len(dense) > 1 else 0
        with PetscElimination(pattern, LINEAR[name]) as elimination:
            for shift in (-float(eigenvalues[at : at + 2].mean()) - 1e-3, -2.0 * float(eigenvalues[-1])):
                below = int((eigenvalues + shift < 0).sum())
                with pytest.raises(NotPositiveDefiniteError):
                    elimination.factor(values, shift).solve(generator(1).standard_normal(len(dense)))
                if name in ("cholmod", "krylov"):
                    with pytest.raises(NotOfferedError, match="the inertia: a tree of fronts"):
                        elimination.inertia(values, shift)
                else:
                    assert elimination.inertia(values, shift) == Inertia(len(dense) - below, below, 0), kind
            good = elimination.factor(values).solve(np.ones(len(dense)))  # a failure leaves nothing behind
            np.testing.assert_allclose(good, np.linalg.solve(dense, np.ones(len(dense))), rtol=1e-8)
            with pytest.raises(NotPositiveDefiniteError):
                elimination.factor(np.full_like(values, np.nan))


def test_costs(name):
    pattern, _ = sparse(dict(matrices())["Hessian"])
    with PetscElimination(pattern, LINEAR[name]) as elimination:
        if name in ("mumps", "natural"):
            assert 1e2 < elimination.flops < 1e6
        else:
            with pytest.raises(NotOfferedError, match="number of operations"):
                _ = elimination.flops
        if name in ("cholmod", "krylov"):
            with pytest.raises(NotOfferedError, match="memory"):
                _ = elimination.memory
        else:
            assert elimination.memory > 8 * len(pattern.indices) / 2


def test_trees_of_fronts_are_not_petscs():
    with pytest.raises(ValueError, match="TreeElimination"):
        PetscElimination(sparse(np.eye(2))[0], Linear(FRONTS))


@pytest.mark.parametrize("condition", [1.0, 10.0, 1e4, 1e8])
def test_an_inverse_root_by_shifted_systems(condition):
    """Also where the bounds of the spectrum are loose."""
    turn = np.linalg.qr(generator(3).standard_normal((12, 12)))[0]
    eigenvalues = np.geomspace(0.3, 0.3 * condition, 12)
    dense = (turn * eigenvalues) @ turn.T
    right = generator(4).standard_normal((12, 2))
    wanted = (turn * eigenvalues**-0.5) @ turn.T @ right
    for loose in (1.0, 5.0):
        found = inverse_root(
            lambda shift, b: np.linalg.solve(dense + shift * np.eye(12), b),
            right,
            eigenvalues[0] / loose,
            eigenvalues[-1] * loose,
        )
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-16 * condition + 1e-12)
