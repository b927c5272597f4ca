"""The lockstep beside PETSc: the same minima as its minimizers, TAO's options, and how it is chosen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("petsc4py", reason="the minimizers are PETSc's")

from petsc4py import PETSc
from scipy.optimize import minimize

from hpcda import cli, runner
from hpcda.action import Action
from hpcda.annealing import Climb, Ladder, Reason, Task, choice, step
from hpcda.annealing import lockstep as lockstep_module
from hpcda.annealing.lockstep import FEWEST, Lockstep, memory
from hpcda.annealing.minimizers import minimizer
from hpcda.annealing.scale import scales
from hpcda.errors import InputError
from hpcda.petsc import SolverOptions, TaoLockstepTeam, make_minimizer, make_team
from hpcda.petsc.teams import options_given
from hpcda.search import WAYS, SearchContext, begin
from hpcda.store import RunFile
from tests.chance import generator, number
from tests.petsc.lorenz import FREE, lorenz_problem
from tests.unit.climbing import action_of, climb, first_paths, scaled_gradient
from tests.unit.problems import cases
from tests.waiting import PATIENCE

pytestmark = pytest.mark.petsc
ROOT = Path(__file__).parents[3]
SHORT = ROOT / "jobs" / "lorenz96" / "short.toml"
LADDER = Ladder(0.01, 4.0, 4)


@pytest.fixture
def alone(monkeypatch):
    for name in cli.RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("bounded", [False, True], ids=["free", "bounded"])
@pytest.mark.parametrize(("name", "scheme"), cases())
def test_no_native_minimizer_goes_lower_from_where_a_climb_ends(name, scheme, bounded):
    """Every model of the catalogue: one minimum for the lockstep, for our Newton, and for TAO's."""
    action, _ = action_of(name, scheme, "walk", bounded)
    rf = float(LADDER.rf[-1])
    found = climb(Lockstep(action, LADDER), first_paths(action.problem, 3))
    agreed = 0
    for rungs in found.values():
        outcome = rungs[-1].rung
        if name == "nakl" and not bounded and outcome.reason is Reason.STOPPED_ITERATIONS:
            agreed += 1  # gates outside of [0, 1] make flat valleys of thousands of steps
            continue
        assert outcome.reason in (Reason.CONVERGED_DECREMENT, Reason.CONVERGED_GRADIENT)
        value = outcome.parts.total
        assert scaled_gradient(action, outcome.path, rf) < 1e-3 * max(value, 1.0)
        for kind in ("newton", "bnls") if bounded else ("newton", "nls", "bnls"):
            with make_minimizer(action, kind, max_iterations=200) as minimizer:
                native = minimizer.minimize(outcome.path, rf)
            assert native.parts.total >= value * (1 - 1e-9), kind
            if native.reason.converged:
                agreed += 1
                assert native.parts.total == pytest.approx(value, rel=1e-9), kind
    assert agreed >= 3


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson", "implicit-midpoint", "rk4"])
def test_minima_in_a_box_are_those_of_newton_and_scipy(scheme):
    problem = lorenz_problem(
        discretization=scheme, rho_bounds=(20.0, 27.0), state_bounds=np.array([FREE, FREE, (0.0, 30.0)])
    )
    action, ladder = Action(problem), Ladder(1e-2, 4.0, 6)
    paths = [
        begin(SearchContext(problem, ladder), WAYS["quiet"], number(1), start).path for start in range(3)
    ]
    low, high = problem.bounds
    rf = float(ladder.rf[-1])
    for start, rungs in climb(Lockstep(action, ladder), paths).items():
        path, value = rungs[-1].rung.path, rungs[-1].rung.parts.total
        assert rungs[-1].rung.reason.converged
        assert ((path == low) | (path == high)).sum() > 1
        state = begin(SearchContext(problem, ladder), WAYS["quiet"], number(1), start)
        with make_minimizer(action, "newton") as minimizer:
            while not state.ended(ladder):
                state, rung = step(state, ladder, minimizer)
        assert value == pytest.approx(rung.parts.total, rel=1e-8)
        known = minimize(
            lambda x: (action.value(x, rf).total, action.gradient(x, rf)[1]),
            path + 1e-3 * scales(problem) * generator(start).standard_normal(action.size),
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(low, high, strict=True)),
            options={"ftol": 1e-16, "gtol": 1e-9, "maxiter": 20_000, "maxfun": 40_000},
        )
        assert value == pytest.approx(known.fun, rel=1e-7)
        assert value <= known.fun * (1 + 1e-10)


def all_rungs(team, problem, ladder, starts):
    """Every climb through a team: start -> its rungs."""
    waiting, found = list(range(starts)), {}
    while waiting or team.busy:
        while waiting and team.free:
            team.take(begin(SearchContext(problem, ladder), WAYS["uniform"], number(3), waiting.pop(0)))
        for one in team.work():
            found.setdefault(one.climb.start, []).append(one)
    return found


@pytest.fixture
def lorenz():
    return Action(lorenz_problem(times=21))


def test_a_team_hands_over_every_rung_of_every_climb(lorenz):
    ladder = Ladder(1e-2, 4.0, 4, (0, 2))
    team = TaoLockstepTeam(lorenz, ladder)
    assert team.free == team.lanes and not team.busy
    found = all_rungs(team, lorenz.problem, ladder, 19)
    assert team.free == team.lanes and not team.busy
    paths = [
        begin(SearchContext(lorenz.problem, ladder), WAYS["uniform"], number(3), start).path
        for start in range(19)
    ]
    wanted = climb(Lockstep(lorenz, ladder), paths)
    for start, rungs in found.items():
        assert [one.rung.number for one in rungs] == [one.rung.number for one in wanted[start]]
        assert [one.ended for one in rungs] == [one.ended for one in wanted[start]]
        for one, other in zip(rungs, wanted[start], strict=True):
            assert np.array_equal(one.climb.path, other.rung.path)
            assert one.climb.next == other.rung.number + 1 and one.climb.failed is None
            assert one.rung.parts == other.rung.parts
            assert one.rung.seconds >= 0
    assert sorted(found) == list(range(19))
    team.destroy()
    team.destroy()


def test_a_stored_climb_is_taken_up_with_the_same_bits(lorenz):
    ladder = Ladder(1e-2, 4.0, 4)
    team = TaoLockstepTeam(lorenz, ladder)
    (whole,) = all_rungs(team, lorenz.problem, ladder, 1).values()
    stored = whole[1].climb
    assert stored.next == 2
    team.take(Climb(stored.task, stored.next, stored.path.copy()))
    later = []
    while team.busy:
        later += team.work()
    assert [one.rung.number for one in later] == [2, 3]
    for one, other in zip(later, whole[2:], strict=True):
        assert np.array_equal(one.climb.path, other.climb.path)
    team.destroy()


def test_a_climb_that_fails_ends_and_says_why(lorenz):
    team = TaoLockstepTeam(lorenz, LADDER)
    climb_of = begin(SearchContext(lorenz.problem, LADDER), WAYS["uniform"], number(3), 0)
    climb_of.path[4] = np.nan
    team.take(climb_of)
    (one,) = team.work()
    assert one.ended and one.climb.failed is Reason.FAILED_NON_FINITE
    assert not team.busy
    team.destroy()


def test_the_limit_and_the_tolerance_of_tao_reach_the_climbs(lorenz):
    with SolverOptions({"tao_max_it": 2}) as options:
        team = TaoLockstepTeam(lorenz, LADDER, max_iterations=500)
        (rungs,) = all_rungs(team, lorenz.problem, LADDER, 1).values()
        options.check()
    team.destroy()
    assert len(rungs) == LADDER.rungs
    assert rungs[0].rung.reason is Reason.STOPPED_ITERATIONS
    assert max(one.rung.factorizations for one in rungs) == 2
    path = rungs[-1].climb.path
    with SolverOptions(None, ["-tao_gatol", "1e12"]) as options:
        team = TaoLockstepTeam(lorenz, LADDER)
        team.take(Climb(Task(0, "uniform"), 1, path))
        (one, *_) = team.work()
        options.check()
    team.destroy()
    assert one.rung.reason is Reason.CONVERGED_GRADIENT
    assert one.rung.iterations == 0


def test_monitors_print_every_step(lorenz, capfd):
    with SolverOptions(None, ["-tao_monitor"]) as options:
        team = TaoLockstepTeam(lorenz, LADDER)
        (rungs,) = all_rungs(team, lorenz.problem, LADDER, 1).values()
        options.check()
    team.destroy()
    lines = [line for line in capfd.readouterr().out.splitlines() if "TAO" in line and "Residual" in line]
    assert len(lines) == sum(one.rung.factorizations for one in rungs)
    values = [float(line.split("Function value:")[1].split(",")[0]) for line in lines]
    assert values[-1] == pytest.approx(rungs[-1].rung.parts.total, rel=1e-3)


def test_watch_hears_of_the_work(lorenz):
    heard = []
    team = TaoLockstepTeam(lorenz, LADDER, watch=lambda iteration, value: heard.append((iteration, value)))
    all_rungs(team, lorenz.problem, LADDER, 3)
    team.destroy()
    assert heard and all(np.isfinite(value) for _, value in heard)
    assert heard[-1][0] > 0


@pytest.mark.parametrize("option", ["-ksp_type", "-pc_type", "-tao_gattol"])
def test_options_that_the_lockstep_has_no_use_for_are_refused(option, tmp_path, alone, capsys):
    job = tmp_path / "job.toml"
    job.write_text(SHORT.read_text() + '\n[solver]\nminimizer = "lockstep"\n')
    line = ["run", str(job), "--quiet", "--output", str(tmp_path / "run"), "--", option, "1"]
    assert cli.main(line) == 2
    error = capsys.readouterr().err
    assert error.count("no solver uses the PETSc option") == 1 and option in error
    assert not (tmp_path / "run").exists()


def chosen(action, name, ranks):
    return choice.chosen(action, name, "auto", ranks, options_given())


def test_auto_is_the_lockstep_unless_asked_for_something_else(lorenz, monkeypatch):
    for option in [name for name in PETSc.Options().getAll() if "mat_mumps" in name]:
        PETSc.Options().delValue(option)  # left behind by tests before
    assert chosen(lorenz, "auto", 1) == "lockstep"
    assert chosen(lorenz, "auto", 2) == "newton"
    for name in ("lockstep", "newton", "nls", "brgn"):
        assert chosen(lorenz, name, 1) == name
    for option in ("tao_type", "ksp_type", "pc_type", "mat_type", "snes_monitor"):
        with SolverOptions({option: "x"}):
            assert chosen(lorenz, "auto", 1) == "newton"
            if option == "tao_type":
                with pytest.raises(InputError, match="solver.minimizer: 'lockstep' .* 'tao_type'"):
                    chosen(lorenz, "lockstep", 1)
            else:
                assert chosen(lorenz, "lockstep", 1) == "lockstep"
    for option in ("tao_gatol", "tao_max_it", "tao_monitor", "log_view"):
        with SolverOptions({option: "1"}):
            assert chosen(lorenz, "auto", 1) == "lockstep"
    for most, wanted in ((memory(lorenz, FEWEST), "lockstep"), (0.99 * memory(lorenz, FEWEST), "newton")):
        monkeypatch.setattr(lockstep_module, "MOST_MEMORY", most)
        assert chosen(lorenz, "auto", 1) == wanted
        team = make_team(lorenz, LADDER)
        assert isinstance(team, TaoLockstepTeam) == (wanted == "lockstep")
        team.destroy()


def test_a_minimizer_used_before_does_not_change_what_auto_is(lorenz):
    """What our Newton tells its own linear solver is nothing that was asked for."""
    with make_minimizer(lorenz, "newton", max_iterations=2) as minimizer:
        minimizer.minimize(np.zeros(lorenz.size), 1.0)
    assert chosen(lorenz, "auto", 1) == "lockstep"


def test_the_lockstep_refuses_several_ranks_a_start(lorenz):
    with pytest.raises(InputError, match="set ensemble.ranks_per_start = 1") as caught:
        minimizer("lockstep", lorenz.problem.bounded, 2)
    (mistake,) = caught.value.mistakes
    assert mistake.place == "solver.minimizer" and "2" in mistake.problem


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="there is no mpirun")
def test_under_mpirun_several_ranks_a_start_are_one_mistake(tmp_path, alone):
    job = tmp_path / "job.toml"
    text = SHORT.read_text().replace("[ensemble]", "[ensemble]\nranks_per_start = 2")
    job.write_text(text + '\n[solver]\nminimizer = "lockstep"\n')
    environment = {name: value for name, value in os.environ.items() if name not in cli.RANK_VARIABLES}
    environment |= {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        ["mpirun", "-n", "2", sys.executable, "-m", "hpcda", "run", str(job), "--output", "run"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("'lockstep' works on one rank per start") == 1
    assert "Traceback" not in done.stderr


def test_a_run_finds_the_levels_that_newton_finds(tmp_path, alone):
    levels = {}
    for name in ("lockstep", "newton"):
        job = tmp_path / f"{name}.toml"
        job.write_text(SHORT.read_text() + f'\n[solver]\nminimizer = "{name}"\n')
        found = RunFile(runner.run(job, output=tmp_path / name, quiet=True)).tables()
        action, reason = np.asarray(found["action"]), np.asarray(found["reason"])
        assert action.shape[0] == 8 and np.isfinite(action).all()
        assert (reason[:, -1] > 0).all()
        levels[name] = action[:, -1]
    np.testing.assert_allclose(levels["lockstep"], levels["newton"], rtol=1e-8)
    assert levels["lockstep"] == pytest.approx(113.04, abs=0.006)
