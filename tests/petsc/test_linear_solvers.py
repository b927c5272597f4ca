"""Any linear solver of PETSc serves the minimisers: the same minima, whatever factorizes or iterates."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("petsc4py", reason="the minimisers are PETSc's")

import hpcda
from hpcda import cli
from hpcda.action import Action
from hpcda.action.factors import Factors
from hpcda.action.graph import GraphAction
from hpcda.action.kernel import traced_kernel
from hpcda.annealing import Ladder, step
from hpcda.annealing.eliminations import ELIMINATIONS, of_petsc
from hpcda.annealing.lockstep import chosen
from hpcda.build import build_problem
from hpcda.errors import InputError
from hpcda.job import load_job
from hpcda.petsc import SolverOptions, make_minimiser
from hpcda.petsc.start import PETSc
from hpcda.problem import Variable, Variables
from hpcda.search import WAYS, Scene, begin
from tests import extending
from tests.chance import number
from tests.extending import ELIMINATION, TREE
from tests.unit.test_extensions import written

pytestmark = pytest.mark.petsc
JOB = Path(__file__).parents[2] / "jobs" / "lorenz96" / "short.toml"
LADDER = Ladder(1e-2, 10.0, 9)
CHOICES = {
    "lu": {"pc_type": "lu"},
    "nested dissection": {"pc_factor_mat_ordering_type": "nd"},
    "conjugate gradients": {"ksp_type": "cg", "pc_type": "icc", "ksp_rtol": 1e-10},
    "gmres": {"ksp_type": "gmres", "pc_type": "ilu", "ksp_rtol": 1e-10},
    "minres": {"ksp_type": "minres", "pc_type": "jacobi", "ksp_rtol": 1e-10},
    "mumps": {"pc_factor_mat_solver_type": "mumps"},
}


PACKAGES = {"mumps": "mumps", "cholmod": "suitesparse"}


def wells(size):
    """Half the square of x² - 1, at places coupled along a line: curved downward between the wells."""
    variables = Variables((Variable("x", (), per_time=True, per_window=True, start=(-1.0, 1.0)),), (size,))
    kernel = traced_kernel(
        lambda x, after: [x * x - 1.0, 0.1 * (after - x), after * after - 1.0], {"x": (), "after": ()}
    )
    index = variables.index([[("x", 0, n), ("x", 0, n + 1)] for n in range(size - 1)])
    return GraphAction(variables, [Factors("wells", "model", kernel, index)])


@pytest.fixture(scope="module")
def action():
    return Action(build_problem(load_job(JOB)).problem)


def final_actions(action, minimizer, options, starts=3, elimination="auto"):
    found = []
    with (
        SolverOptions(options) as given,
        make_minimiser(action, minimizer, elimination=elimination) as minimiser,
    ):
        for start in range(starts):
            climb = begin(Scene(action.problem, LADDER), WAYS["uniform"], number(1), start)
            while not climb.ended(LADDER):
                climb, rung = step(climb, LADDER, minimiser)
                assert rung.outcome.reason.converged, (start, rung.number, rung.outcome.reason)
            found.append(rung.outcome.parts.total)
        given.check()
    return np.array(found)


@pytest.fixture(scope="module")
def expected(action):
    """The minima with the linear solver that is chosen where nobody chooses."""
    return final_actions(action, "newton", {})


@pytest.mark.parametrize("name", CHOICES)
def test_newton_finds_the_same_minimum_with_any_linear_solver(action, expected, name):
    if name == "mumps" and not PETSc.Sys.hasExternalPackage("mumps"):
        pytest.skip("this PETSc was built without MUMPS")
    starts = 1 if name == "minres" else len(expected)  # thousands of its iterations a step
    found = final_actions(action, "newton", CHOICES[name], starts)
    np.testing.assert_allclose(found, expected[:starts], rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in ELIMINATIONS if of_petsc(name)])
def test_newton_finds_the_same_minimum_with_any_elimination_of_petsc(action, expected, name):
    if not PETSc.Sys.hasExternalPackage(PACKAGES.get(name, "mpi")):
        pytest.skip(f"this PETSc was built without {name}")
    np.testing.assert_allclose(final_actions(action, "newton", {}, elimination=name), expected, rtol=1e-9)


@pytest.mark.parametrize("size", [3, 300])
def test_cholmod_refuses_what_is_not_positive_definite_and_goes_on(size):
    """Left alone, PETSc lets it factorize small or narrow ones in another way, whatever their inertia."""
    if not PETSc.Sys.hasExternalPackage(PACKAGES["cholmod"]):
        pytest.skip("this PETSc was built without CHOLMOD")
    between = 0.1 + 0.05 * np.sin(np.arange(size))
    ends = []
    for elimination in ("cholmod", "auto"):
        with make_minimiser(wells(size), "newton", elimination=elimination) as minimiser:
            assert ("cholmod" in minimiser.linear) == (elimination == "cholmod")
            ends.append(minimiser.minimise(between, 1.0))
    assert all(end.reason.converged for end in ends)
    assert ends[0].factorizations == ends[1].factorizations > ends[0].iterations
    np.testing.assert_allclose(ends[0].path, ends[1].path, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("minimizer", "elimination", "ranks", "words"),
    [
        ("lockstep", "mumps", 1, "'mumps' is a way of 'newton', but the minimizer is 'lockstep'"),
        ("newton", "tree", 1, "'tree' is a way of 'lockstep', but the minimizer is 'newton'"),
        ("bnls", "krylov", 1, "'krylov' is a way of 'newton', but the minimizer is 'bnls'"),
        ("auto", "chain", 2, "'chain' is a way of 'lockstep', but the minimizer is 'newton'"),
        ("auto", "cholmod", 2, "'cholmod' works on one rank a start, and 2 are asked for"),
    ],
)
def test_an_elimination_of_another_minimizer_is_refused(action, minimizer, elimination, ranks, words):
    with pytest.raises(InputError, match=f"solver.elimination: {words}"):
        chosen(action, minimizer, elimination, ranks, asked=False)


def test_what_petsc_was_built_without_is_refused(tmp_path):
    absent = ELIMINATION.replace("order=", 'package="nobody", order=')
    with extending.forgotten():
        job = load_job(written(tmp_path, elimination="profile", mine=absent))
        with pytest.raises(InputError, match=r"'profile': this PETSc has no Cholesky .* of 'nobody'"):
            hpcda.run(job, output=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", [ELIMINATION, TREE], ids=["petsc", "lockstep"])
def test_an_elimination_of_a_file(tmp_path, text, capsys):
    """The levels of the run are those of the package's own eliminations."""
    name = "profile" if text == ELIMINATION else "banded"
    with extending.forgotten():
        job = written(tmp_path, elimination=name, mine=text, way="quiet")
        assert cli.main(["list", str(job)]) == 0
        assert name in capsys.readouterr().out
        found = hpcda.open_run(hpcda.run(load_job(job), output=tmp_path / "run", quiet=True))
        usual = hpcda.run(load_job(written(tmp_path, way="quiet")), output=tmp_path / "usual", quiet=True)
        wanted = hpcda.open_run(usual)
        np.testing.assert_allclose(found.actions[:, -1], wanted.actions[:, -1], rtol=1e-8)


def test_options_reach_the_linear_solver_of_a_native_type(action, expected):
    options = {"ksp_type": "cg", "pc_type": "jacobi", "ksp_max_it": 5000}
    np.testing.assert_allclose(final_actions(action, "nls", options), expected, rtol=1e-9)
