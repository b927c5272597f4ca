"""Any linear solver of PETSc serves the minimisers: the same minima, whatever factorizes or iterates."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("petsc4py", reason="the minimisers are PETSc's")

from hpcda.action import Action
from hpcda.annealing import Ladder, step
from hpcda.build import build_problem
from hpcda.job import load_job
from hpcda.petsc import SolverOptions, make_minimiser
from hpcda.petsc.start import PETSc
from hpcda.search import WAYS, Scene, begin
from tests.chance import number

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


@pytest.fixture(scope="module")
def action():
    return Action(build_problem(load_job(JOB)).problem)


def final_actions(action, minimizer, options, starts=3):
    found = []
    with SolverOptions(options) as given, make_minimiser(action, minimizer) as minimiser:
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


def test_options_reach_the_linear_solver_of_a_native_type(action, expected):
    options = {"ksp_type": "cg", "pc_type": "jacobi", "ksp_max_it": 5000}
    np.testing.assert_allclose(final_actions(action, "nls", options), expected, rtol=1e-9)
