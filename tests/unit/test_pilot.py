"""`steps_per_sample = "auto"`: what a pilot chooses, and where it refuses to."""

from __future__ import annotations

import numpy as np
import pytest

from hpcda import pilot
from hpcda.build import build_problem
from hpcda.check import check, report
from hpcda.errors import InputError
from hpcda.job import load_job, refuse_changed
from hpcda.pilot import ACCEPTED, PilotTimeError, choose, with_steps
from tests.unit import epidemic

OSCILLATOR = {
    "model": {"name": "lorenz63", "parameters": {"rho": {"estimate": True}}},
    "twin": {
        "dt": 0.02,
        "samples": 41,
        "initial": {"x": -6.0, "y": -8.0, "z": 20.0},
        "observed": ["x", "z"],
        "noise_std": 0.5,
        "seed": 1,
    },
    "action": {"steps_per_sample": "auto"},
    "ladder": {"alpha": 4.0, "rf_max": 1e7},
    "ensemble": {"starts": 8},
}


def auto(folder, **action):
    return load_job(epidemic.write_job(folder, steps_per_sample="auto", **action))


def wrong(job, **keywords):
    with pytest.raises(InputError) as caught:
        choose(job, **keywords)
    (mistake,) = caught.value.mistakes
    assert mistake.place == "action.steps_per_sample" and mistake.remedy
    return mistake.problem


def test_it_finds_the_number_that_is_enough(tmp_path):
    """One step a day moves beta by nearly two of its standard deviations, five by a tenth."""
    chosen = choose(auto(tmp_path))
    assert chosen.steps == 5 and [one.steps for one in chosen.tried] == [1, 5]
    before, after = (one.shift.largest[1] for one in chosen.tried)
    assert before > 1.5 and after <= ACCEPTED
    assert "1: 1.9 standard deviations of beta" in str(chosen)
    values, stds, _ = epidemic.fitted()
    assert np.abs(np.array([*chosen.tried[-1].shift.estimates.values()]) - values).max() < 0.02 * stds.min()


@pytest.mark.parametrize(("scheme", "steps"), [("hermite-simpson", 4), ("rk4", 2), ("implicit-midpoint", 6)])
def test_the_discretization_matters(tmp_path, scheme, steps):
    assert choose(auto(tmp_path, discretization=scheme)).steps == steps


def test_an_even_number_where_hermite_simpson_needs_it():
    twin = OSCILLATOR["twin"] | {"samples": 42}
    raw = OSCILLATOR | {
        "twin": twin,
        "action": {"discretization": "hermite-simpson", "steps_per_sample": "auto"},
    }
    chosen = choose(load_job(raw))
    assert chosen.steps == 2
    assert choose(load_job(raw | {"twin": twin | {"samples": 41}})).steps == 1


def test_the_choice_depends_on_the_job_alone(tmp_path):
    job = auto(tmp_path)
    first, second = choose(job), choose(job)
    assert str(first) == str(second)
    for seed in (2, 3):
        assert (
            choose(job.model_copy(update={"ensemble": job.ensemble.model_copy(update={"seed": seed})})).steps
            == 5
        )


def test_a_fine_step_stays():
    twin = OSCILLATOR["twin"] | {"dt": 0.001}
    chosen = choose(load_job(OSCILLATOR | {"twin": twin}))
    assert chosen.steps == 1 and len(chosen.tried) == 1


def test_from_far_too_coarse_a_step():
    """At dt = 0.4 the first minima are far from any path of the flow."""
    twin = OSCILLATOR["twin"] | {"dt": 0.4, "samples": 11}
    chosen = choose(load_job(OSCILLATOR | {"twin": twin}))
    assert len(chosen.tried) > 2 and chosen.tried[-1].shift.largest[1] <= ACCEPTED


def written(folder, text, **tables):
    """A job whose model is written beside it."""
    (folder / "m.py").write_text(text)
    twin = {"dt": 0.2, "samples": 21, "observed": ["x"], "noise_std": 0.03, "seed": 1}
    raw = {
        "model": {"name": f"{folder / 'm.py'}:build"},
        "twin": twin,
        "action": {"steps_per_sample": "auto"},
        "ladder": {"alpha": 4.0, "rf_max": 1e7},
    }
    for name, table in tables.items():
        raw[name] = raw[name] | table
    return load_job(raw)


OPEN = """from hpcda import Model, Parameter, State

def build():
    return Model(
        name="decay",
        states=(State("x", range=(0, 3), initial=2.0),),
        parameters=(Parameter("k", 1.0, range=(0.1, 2)), Parameter("q", 0.5, range=(0.1, 2))),
        equations=lambda x, p: [-p.k * p.q * x.x],
    )
"""
STIFF = """from hpcda import Model, State

def build():
    return Model(
        name="follower",
        states=(State("x", range=(0, 2), initial=1.0), State("y", range=(0, 2), initial=1.0)),
        parameters=(),
        equations=lambda x, p: [-1e6 * (x.x - x.y), -0.1 * x.y],
    )
"""


def test_parameters_that_the_data_leave_open_do_not_stop_it(tmp_path):
    """Of a rate k q only the product is determined; at dt = 0.2 one step is enough for that."""
    estimated = {"parameters": {name: {"estimate": True} for name in "kq"}}
    chosen = choose(written(tmp_path, OPEN, model=estimated))
    assert chosen.steps == 1 and chosen.tried[0].shift.largest[1] <= ACCEPTED


def test_a_stiff_model_is_refused_with_its_cause(tmp_path):
    job = written(tmp_path, STIFF, twin={"dt": 1.0, "observed": ["x", "y"]})
    with pytest.raises(InputError) as caught:
        choose(job)
    (mistake,) = caught.value.mistakes
    assert "the model is stiff" in mistake.remedy and "auto" not in mistake.remedy
    assert mistake.problem.count("how much is not known") <= 1


def test_a_map_has_no_step():
    job = {
        "model": {"name": "henon"},
        "twin": {"samples": 20, "observed": ["x"], "noise_std": 0.1, "seed": 1},
        "action": {"steps_per_sample": "auto"},
        "ladder": {"rungs": 3},
    }
    assert "a map has no time step" in wrong(load_job(job))


def test_no_number_up_to_the_last_one(tmp_path, monkeypatch):
    monkeypatch.setattr(pilot, "MOST_STEPS", 3)
    assert "found no sufficient number of steps; shifts by the time step at 1: 1.9" in wrong(auto(tmp_path))


def test_too_large_a_problem_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pilot, "MOST_MEMORY", 10.0)
    assert "47 unknowns are too many" in wrong(auto(tmp_path))


def test_mistakes_of_the_job_come_first(tmp_path):
    (tmp_path / "d.csv").unlink(missing_ok=True)
    job = auto(tmp_path)
    (tmp_path / "d.csv").unlink()
    with pytest.raises(InputError, match=r"data\.file"):
        choose(job)


def test_a_limit_of_time(tmp_path):
    with pytest.raises(PilotTimeError):
        choose(auto(tmp_path), seconds=-1.0)


def test_check_tells_what_was_chosen(tmp_path, monkeypatch):
    job = auto(tmp_path)
    checked = check(job)
    assert checked.built.problem.windows[0].dt == pytest.approx(0.2)
    assert "steps        5, chosen by a pilot" in report(job, checked)
    monkeypatch.setattr("hpcda.check.PILOT_SECONDS", -1.0)
    assert "steps        chosen when the run begins" in report(job, check(job))


def test_a_job_without_a_choice_is_not_built(tmp_path):
    job = auto(tmp_path)
    with pytest.raises(InputError, match="not been resolved"):
        build_problem(job)
    problem = build_problem(with_steps(job)).problem
    assert problem.steps_per_sample == 5 and problem.windows[0].times == 71
    assert with_steps(job.with_steps(3)).steps == 3


def test_what_the_job_accepts(tmp_path):
    for value, problem in (
        ("some", "'some' is not accepted"),
        (0, "0 is below 1"),
        (1.5, "not a whole number"),
    ):
        with pytest.raises(InputError) as caught:
            load_job(epidemic.write_job(tmp_path, steps_per_sample=value))
        (mistake,) = caught.value.mistakes
        assert mistake.place == "action.steps_per_sample" and problem in mistake.problem
    assert 'steps_per_sample = "auto"' in auto(tmp_path).resolved_toml()


def test_auto_goes_on_with_whatever_the_run_has_chosen(tmp_path):
    job = auto(tmp_path)
    refuse_changed(job.with_steps(5), job)
    with pytest.raises(InputError, match="steps_per_sample"):
        refuse_changed(job.with_steps(5), job.with_steps(4))
