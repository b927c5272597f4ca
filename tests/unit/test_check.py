"""What a check estimates, by counted draws, and what it leaves out where that would take too long."""

from __future__ import annotations

import pytest

from hpcda import check as module
from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.stretch import spread_cost
from hpcda.build import build_problem
from hpcda.check import check, report
from hpcda.job import load_job
from hpcda.patience import Patience
from hpcda.search import WAYS, SearchContext, expected

JOB = {
    "model": {"name": "lorenz63", "parameters": {"rho": {"estimate": True, "start": [20.0, 40.0]}}},
    "twin": {"dt": 0.02, "samples": 31, "observed": {"x": "x"}, "noise_std": 0.5, "seed": 1},
    "ladder": {"rf0": 1e-2, "alpha": 8.0, "rungs": 7},
}
TRIAL = module._Trial(rung=0.25, steps=5.0, draw=2.0)
"""Seconds that no machine takes, so that sums are exact."""


def job(folder, **ensemble):
    """The job with a table [ensemble]."""
    return load_job({**JOB, "ensemble": ensemble, "output": {"directory": str(folder / "run")}})


@pytest.fixture
def paths_take(monkeypatch):
    """Every path of passes takes 64 s, every smoothed one 1 s."""
    seconds = {"passes": 64.0, "smoother": 1.0}
    monkeypatch.setattr(module, "_timed_draw", lambda context, way, seed: seconds.get(way.name, 0.0))


def drawing(one):
    """Seconds of all first paths."""
    context = SearchContext(
        build_problem(one).problem, Ladder(one.ladder.rf0, one.ladder.alpha, one.ladder.count)
    )
    return module._drawing(one, context, TRIAL), context


def test_a_search_is_told_what_its_paths_take(tmp_path, paths_take):
    seconds, context = drawing(job(tmp_path, starts=50))
    draws = expected(context, 50, 5.0 * 7)
    wanted = 64.0 * draws["passes"] + WAYS["grown"].steps * 0.25 / 5.0 * draws["grown"]
    assert seconds == pytest.approx(wanted + 50 - draws["passes"] - draws["grown"])
    assert draws["passes"] >= 2 and draws["grown"] > 0


def test_starts_of_one_way_are_all_drawn_in_it(tmp_path, paths_take):
    assert drawing(job(tmp_path, starts=50, way="passes"))[0] == 50 * 2.0


def test_the_estimate_is_that_of_climbs_and_paths_and_no_more_than_the_budget(
    tmp_path, monkeypatch, paths_take
):
    monkeypatch.setattr(module, "_trial", lambda job, context: TRIAL)
    plain, auto, short = (
        module.check(job(tmp_path, starts=20, **more)).cost
        for more in ({"way": "quiet"}, {}, {"budget": "verdict", "core_seconds": 60.0})
    )
    climbs = 20 * 7 * 0.25
    assert plain.total == climbs + 20 * 2.0 and plain.start == plain.total / 20
    assert auto.total > climbs + 2 * 64.0
    assert short.total == 60.0 < auto.total and short.start == auto.start


def test_a_trial_counts_the_steps_of_a_rung(tmp_path):
    one = job(tmp_path, starts=8, way="quiet")
    ladder = Ladder(one.ladder.rf0, one.ladder.alpha, one.ladder.count)
    trial = module._trial(one, SearchContext(build_problem(one).problem, ladder))
    assert 1.0 <= trial.steps <= one.solver.max_iterations
    assert trial.rung > 0.0 and trial.draw > 0.0


def sized(tmp_path, dimension=5):
    return load_job(
        {
            "model": {
                "name": "lorenz96",
                "options": {"dimension": dimension},
                "parameters": {"F": {"estimate": True}},
            },
            "twin": {"dt": 0.025, "samples": 21, "observed": ["x0", "x2"], "noise_std": 0.5},
            "ladder": {"alpha": 10.0, "rf_max": 1e4},
            "output": {"directory": str(tmp_path / "run")},
        }
    )


def test_nothing_is_left_out_where_there_is_time(tmp_path):
    checked = check(sized(tmp_path))
    assert len(checked.verifications) == 2 and checked.ok and not checked.notes


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_tree_over_ranks_is_told_with_its_cost(tmp_path, ranks):
    one = sized(tmp_path)
    solver = one.solver.model_copy(update={"minimizer": "newton", "elimination": "tree"})
    ensemble = one.ensemble.model_copy(update={"ranks_per_start": ranks})
    checked = check(one.model_copy(update={"solver": solver, "ensemble": ensemble}))
    operations, memory = spread_cost(Action(build_problem(one).problem), ranks)
    assert f"on {ranks} rank" in checked.cost.elimination
    assert f"{operations:.2g} operations a step" in checked.cost.elimination and memory > 0
    assert checked.cost.memory > memory


def test_what_would_take_too_long_is_left_out_with_a_word(tmp_path, monkeypatch):
    usual = check(sized(tmp_path))
    monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(module, "verify", pytest.fail)
    monkeypatch.setattr(module, "_trial", pytest.fail)
    monkeypatch.setattr(module, "cholesky_banded", pytest.fail)
    checked = check(sized(tmp_path))
    assert checked.verifications == () and 0.0 < checked.cost.total < 1e3 * usual.cost.total + 1.0
    said = report(sized(tmp_path), checked)
    assert said.count("derivatives at Rf = ") == 2 and "each of its steps" in said


def test_code_that_takes_long_to_compile_is_not_compiled(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "kept", lambda code: False)
    monkeypatch.setattr(module, "COMPILED", 1e4)
    assert not check(sized(tmp_path)).notes
    assert capsys.readouterr().err.startswith("hpcda: compiling the code of the run, about ")
    monkeypatch.setattr(module, "COMPILED", 1.0)
    monkeypatch.setattr(module, "_trial", pytest.fail)
    (note,) = check(sized(tmp_path)).notes
    assert "compiling its code takes about " in note and "a check takes at most 60 s" in note


def test_a_way_that_draws_too_long_is_checked_by_another(tmp_path, monkeypatch):
    """Drawing says now and then that it still goes on; from the first time on there is no time left."""
    monkeypatch.setattr(Patience, "left", property(lambda self: 25.0))
    monkeypatch.setattr(module, "SECONDS", 60.0)
    checked = check(job(tmp_path, way="grown"))
    assert checked.ok and len(checked.verifications) == 2
    assert any(note.startswith("grown takes more than ") and "quiet" in note for note in checked.notes)
    assert not any("quiet" in note for note in check(job(tmp_path, way="noise")).notes)


def test_the_ladder_is_told_with_its_end(tmp_path):
    for ladder, words in [
        ({"end": "infinity"}, "7 rungs, Rf from 0.01 to 2.62e+03, and one at infinity"),
        ({"rf0": 5.0, "rungs": 0, "end": "infinity"}, "1 rung, at infinity: the model is obeyed exactly"),
    ]:
        one = load_job(
            {**JOB, "ladder": {**JOB["ladder"], **ladder}, "output": {"directory": str(tmp_path / "run")}}
        )
        assert words in report(one, check(one))
