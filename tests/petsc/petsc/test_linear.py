"""Any linear solver of PETSc serves the minimizers: the same minima, whatever factorizes or iterates."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

pytest.importorskip("petsc4py", reason="the minimizers are PETSc's")

import hpcda
from hpcda import cli, runner
from hpcda.action import Action
from hpcda.annealing import Ladder, step
from hpcda.annealing.choice import chosen
from hpcda.annealing.eliminations import ELIMINATIONS
from hpcda.build import build_problem
from hpcda.errors import InputError
from hpcda.job import load_job
from hpcda.petsc import SolverOptions, make_minimizer
from hpcda.petsc.newton import TrustNewton
from hpcda.petsc.start import PETSc
from hpcda.search import WAYS, SearchContext, begin
from tests import extending
from tests.chance import number
from tests.extending import ELIMINATION, TREE
from tests.unit.test_extensions import written

pytestmark = pytest.mark.petsc
JOB = Path(__file__).parents[3] / "jobs" / "lorenz96" / "short.toml"
SMALL = {
    "model": {
        "name": "lorenz96",
        "options": {"dimension": 5},
        "parameters": {"F": {"estimate": True, "start": [4, 14]}},
    },
    "twin": {"dt": 0.05, "samples": 21, "observed": ["x0", "x2"], "noise_std": 0.5},
    "action": {"discretization": "trapezoid"},
    "ladder": {"rf0": 1e-2, "alpha": 10.0, "rungs": 9},
}
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


@pytest.fixture(scope="module")
def action():
    return Action(build_problem(load_job(JOB)).problem)


def final_actions(action, minimizer, options, starts=3, elimination="auto"):
    found = []
    with (
        SolverOptions(options) as given,
        make_minimizer(action, minimizer, elimination=elimination) as minimizer,
    ):
        for start in range(starts):
            climb = begin(SearchContext(action.problem, LADDER), WAYS["uniform"], number(1), start)
            while not climb.ended(LADDER):
                climb, rung = step(climb, LADDER, minimizer)
                assert rung.reason.converged, (start, rung.number, rung.reason)
            found.append(rung.parts.total)
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


@pytest.mark.parametrize("name", [name for name in ELIMINATIONS if ELIMINATIONS[name].linear])
def test_newton_finds_the_same_minimum_with_any_elimination_of_its_own(action, expected, name):
    if not PETSc.Sys.hasExternalPackage(PACKAGES.get(name, "mpi")):
        pytest.skip(f"this PETSc was built without {name}")
    np.testing.assert_allclose(final_actions(action, "newton", {}, elimination=name), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["auto", "tree", *PACKAGES])
def test_a_matrix_is_called_definite_where_all_its_eigenvalues_are_positive(action, name, monkeypatch):
    """PETSc lets CHOLMOD factorize narrow matrices whatever their inertia, unless it is told otherwise."""
    if not PETSc.Sys.hasExternalPackage(PACKAGES.get(name, "mpi")):
        pytest.skip(f"this PETSc was built without {name}")
    verdicts, solve = [], TrustNewton._solve_shifted

    def compared(newton, shift, rhs, step):
        said = solve(newton, shift, rhs, step)
        indptr, indices, values = newton.system.hessian.getValuesCSR()
        unit = newton.system.scale.array_r
        matrix = unit[:, None] * csr_array((values, indices, indptr)).toarray() * unit
        lowest = np.linalg.eigvalsh(matrix)[0]
        if abs(lowest) > 1e-9 * np.abs(matrix).max():
            verdicts.append((said, bool(lowest > 0.0)))
        return said

    monkeypatch.setattr(TrustNewton, "_solve_shifted", compared)
    small = Action(build_problem(load_job(SMALL)).problem)
    with make_minimizer(small, "newton", elimination=name) as minimizer:
        climb = begin(SearchContext(small.problem, LADDER), WAYS["uniform"], number(1), 0)
        for _ in range(3):
            climb, _ = step(climb, LADDER, minimizer)
    assert (True, True) in verdicts and (False, False) in verdicts
    assert all(said == true for said, true in verdicts)


@pytest.mark.parametrize(
    ("minimizer", "elimination", "ranks", "options", "words"),
    [
        (
            "lockstep",
            "mumps",
            1,
            (),
            "solver.elimination: 'mumps' works with 'newton', but the minimizer is",
        ),
        (
            "newton",
            "chain",
            1,
            (),
            "solver.elimination: 'chain' works with 'lockstep', but the minimizer is",
        ),
        ("bnls", "tree", 2, (), "solver.elimination: 'tree' works with 'lockstep' and 'newton', but the"),
        ("bnls", "krylov", 1, (), "solver.elimination: 'krylov' works with 'newton', but the minimizer is"),
        (
            "auto",
            "chain",
            2,
            (),
            "solver.elimination: 'chain' works on one rank per start, but 2 are requested",
        ),
        ("auto", "cholmod", 2, (), "solver.elimination: 'cholmod' works on one rank per start, but 2 are"),
        ("auto", "chain", 1, ("ksp_type",), "solver.elimination: 'chain' .* 'ksp_type' selects another"),
        ("auto", "mumps", 1, ("pc_factor_levels",), "solver.elimination: 'mumps' .* 'pc_factor_levels'"),
        ("newton", "krylov", 1, ("tao_type",), "solver.elimination: 'krylov' .* 'tao_type' selects another"),
        ("lockstep", "auto", 1, ("tao_type",), "solver.minimizer: 'lockstep' .* 'tao_type' selects another"),
        ("lockstep", "auto", 2, (), "solver.minimizer: 'lockstep' works on one rank per start"),
    ],
)
def test_what_does_not_go_together_is_refused(action, minimizer, elimination, ranks, options, words):
    with pytest.raises(InputError, match=words):
        chosen(action, minimizer, elimination, ranks, options)


def test_options_that_say_how_a_package_works_go_with_it(action):
    assert chosen(action, "auto", "mumps", 2, ("mat_mumps_icntl_14", "tao_gatol")) == "newton"
    assert chosen(action, "auto", "tree", 2, ("tao_gatol",)) == "newton"
    assert chosen(action, "auto", "tree", 1) == "lockstep"
    assert chosen(action, "auto", "chain", 1, ("tao_gatol", "log_view")) == "lockstep"
    assert chosen(action, "auto", "auto", 1, ("tao_gatol",)) == "lockstep"
    assert chosen(action, "auto", "auto", 1, ("ksp_type",)) == "newton"


def test_a_linear_solver_that_solves_nothing_is_refused(tmp_path):
    options = {"pc_factor_mat_solver_type": "nobody"}
    job = load_job(written(tmp_path, way="quiet", minimizer="newton"))
    job = job.model_copy(update={"solver": job.solver.model_copy(update={"petsc": options})})
    with pytest.raises(InputError, match="solver: .*linear system"):
        runner.run(job, output=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "shards").exists()


@pytest.mark.parametrize("levels", ["(0,)", "(0, 1, 2, 3)"])
def test_incomplete_factors_of_any_levels(tmp_path, levels):
    """Level 0 is none of a direct solver; as many may follow one another as are named."""
    text = ELIMINATION.replace('order="rcm"', f"levels={levels}")
    with extending.forgotten():
        job = load_job(written(tmp_path, elimination="profile", mine=text, way="quiet"))
        limits = {"ksp_max_it": 1} if levels != "(0,)" else {}
        job = job.model_copy(update={"solver": job.solver.model_copy(update={"petsc": limits})})
        found = hpcda.open_run(runner.run(job, output=tmp_path / "run", quiet=True))
    assert np.isfinite(found.actions[:, -1]).all()


def test_what_petsc_was_built_without_is_refused(tmp_path):
    absent = ELIMINATION.replace('order="rcm"', 'package="nobody"')
    with extending.forgotten():
        job = load_job(written(tmp_path, elimination="profile", mine=absent))
        with pytest.raises(InputError, match=r"'profile': this PETSc has no Cholesky .* of 'nobody'"):
            runner.run(job, output=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", [ELIMINATION, TREE], ids=["petsc", "lockstep"])
def test_an_elimination_of_a_file(tmp_path, text, capsys):
    """The levels of the run are those of the package's own eliminations."""
    name = "profile" if text == ELIMINATION else "banded"
    with extending.forgotten():
        job = written(tmp_path, elimination=name, mine=text, way="quiet")
        assert cli.main(["list", str(job)]) == 0
        assert name in capsys.readouterr().out
        found = hpcda.open_run(runner.run(load_job(job), output=tmp_path / "run", quiet=True))
        usual = runner.run(load_job(written(tmp_path, way="quiet")), output=tmp_path / "usual", quiet=True)
        wanted = hpcda.open_run(usual)
        np.testing.assert_allclose(found.actions[:, -1], wanted.actions[:, -1], rtol=1e-8)


def test_options_reach_the_linear_solver_of_a_native_type(action, expected):
    options = {"ksp_type": "cg", "pc_type": "jacobi", "ksp_max_it": 5000}
    np.testing.assert_allclose(final_actions(action, "nls", options), expected, rtol=1e-9)
