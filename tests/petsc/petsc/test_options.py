"""PETSc options: one prefix, the command line before the job, unused ones reported, none left behind."""

from __future__ import annotations

import pytest

pytest.importorskip("petsc4py", reason="the minimizers are PETSc's")

from petsc4py import PETSc

from hpcda.action import Action
from hpcda.errors import InputError
from hpcda.petsc import SolverOptions, make_minimizer
from tests.unit.problems import linear_problem

pytestmark = pytest.mark.petsc


def database():
    return dict(PETSc.Options().getAll())


@pytest.fixture(scope="module")
def action():
    return Action(linear_problem())


def minimize_once(action, name="auto"):
    with make_minimizer(action, name, max_iterations=2) as minimizer:
        return minimizer.minimize([0.0] * action.size, 1.0)


def test_solver_options_get_the_prefix_and_others_none():
    given = {
        "tao_gatol": 1e-9,
        "ksp_type": "preonly",
        "-pc_type": "lu",
        "hpcda_tao_max_it": 7,
        "log_view": True,
    }
    before = database()
    with SolverOptions(given):
        assert database() == before | {
            "hpcda_tao_gatol": "1e-09",
            "hpcda_ksp_type": "preonly",
            "hpcda_pc_type": "lu",
            "hpcda_tao_max_it": "7",
            "log_view": "true",
        }
    assert database() == before


def test_the_command_line_wins_over_the_job():
    with SolverOptions({"tao_gatol": 1e-3, "tao_max_it": 5}, ["-tao_gatol", "1e-9", "-tao_monitor"]):
        found = database()
    assert found["hpcda_tao_gatol"] == "1e-9"
    assert found["hpcda_tao_max_it"] == "5"
    assert found["hpcda_tao_monitor"] in ("", None)


def test_options_with_and_without_prefix_are_the_same_option():
    with SolverOptions({"hpcda_tao_gatol": 1e-3}, ["-hpcda_tao_gatol", "1e-7"]):
        assert database()["hpcda_tao_gatol"] == "1e-7"
    with SolverOptions({"hpcda_tao_gatol": 1e-3}, ["-tao_gatol", "1e-8"]):
        assert database()["hpcda_tao_gatol"] == "1e-8"


def test_negative_numbers_are_values():
    with SolverOptions(None, ["-tao_fmin", "-1e10", "-tao_gatol", "1e-9"]):
        found = database()
    assert (found["hpcda_tao_fmin"], found["hpcda_tao_gatol"]) == ("-1e10", "1e-9")


@pytest.mark.parametrize(
    "line", [["1e-9"], ["tao_gatol", "1e-9"], ["-tao_gatol", "1e-9", "1e-8"]], ids=lambda line: " ".join(line)
)
def test_a_command_line_that_is_no_list_of_options_is_refused(line):
    with pytest.raises(InputError, match="where an option's name is expected") as caught:
        SolverOptions(None, line)
    assert "-tao_gatol 1e-9" in caught.value.mistakes[0].remedy


def test_options_that_a_solver_uses_are_not_reported(action):
    used = {"tao_gatol": 1e-9, "ksp_type": "preonly", "pc_type": "cholesky"}
    with SolverOptions(used, ["-pc_factor_mat_ordering_type", "natural"]) as options:
        minimize_once(action)
        assert options.unused() == []
        options.check()


def test_unused_options_are_reported_with_their_place(action):
    with SolverOptions({"tao_gattol": 1e-9, "tao_gatol": 1e-9}, ["-pc_typ", "lu"]) as options:
        minimize_once(action)
        with pytest.raises(InputError) as caught:
            options.check()
    places = {mistake.place: mistake for mistake in caught.value.mistakes}
    assert set(places) == {"solver.petsc.tao_gattol", "-pc_typ"}
    assert "'tao_gattol'" in places["solver.petsc.tao_gattol"].problem
    assert "'pc_typ'" in places["-pc_typ"].problem
    assert "spelling" in places["-pc_typ"].remedy


def test_options_of_another_minimizer_are_unused(action):
    with SolverOptions({"tao_lmm_vectors": 5}) as options:
        minimize_once(action, "nls")
        assert [mistake.place for mistake in options.unused()] == ["solver.petsc.tao_lmm_vectors"]


def test_options_act(action):
    """A limit of iterations given as an option holds."""
    with SolverOptions({"tao_max_it": 1}), make_minimizer(action, "cg") as minimizer:
        assert minimizer.minimize([2.0] * action.size, 1.0).iterations <= 1


def test_options_are_gone_after_the_block_even_after_an_error():
    before = database()
    with pytest.raises(RuntimeError, match="stop"), SolverOptions({"tao_gatol": 1e-9}, ["-tao_monitor"]):
        raise RuntimeError("stop")
    assert database() == before


def test_one_object_can_be_used_again():
    options = SolverOptions({"tao_gatol": 1e-9})
    for _ in range(2):
        with options:
            assert database()["hpcda_tao_gatol"] == "1e-09"
        assert "hpcda_tao_gatol" not in database()


@pytest.mark.parametrize(
    ("line", "place", "text"),
    [
        (["-tao_gatol"], "-tao_gatol", "it has no value"),
        (["-tao_gatol", "-tao_monitor"], "-tao_gatol", "it has no value"),
        (["-hpcda_tao_max_it", "many"], "-hpcda_tao_max_it", "'many' is not a whole number"),
        (["-ksp_rtol", "small"], "-ksp_rtol", "'small' is not a number"),
        (["-tao_type"], "-tao_type", "it has no value"),
    ],
)
def test_an_option_without_its_value(line, place, text):
    with pytest.raises(InputError) as caught:
        SolverOptions({}, line)
    (mistake,) = caught.value.mistakes
    assert (mistake.place, mistake.problem) == (place, text) and mistake.remedy


@pytest.mark.parametrize("value", ["1e-9", "-3", ".5", "1.", "inf", "default", "PETSC_DEFAULT"])
def test_a_value_that_petsc_reads(value):
    SolverOptions({"tao_gatol": value}, ["-ksp_rtol", value, "-tao_monitor"])
    SolverOptions({"tao_gatol": 1e-8, "tao_max_it": 3})
