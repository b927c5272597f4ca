"""The rung at infinity beside IPOPT, to which the model is equality constraints."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

pytest.importorskip("petsc4py", reason="the folder's tests are PETSc's")
pytest.importorskip("casadi", reason="the oracle is CasADi")

import hpcda
from hpcda import runner
from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.climbs import climb
from hpcda.annealing.lockstep import climbs_of
from hpcda.errors import InputError
from hpcda.models.catalogue import load_model
from hpcda.models.twin import simulate, spin_up
from hpcda.problem import Estimated, Problem, Window
from tests.chance import generator, number
from tests.petsc import casadi_action as oracle

pytestmark = pytest.mark.petsc
TIMES, SEEN, STD = 41, [0, 2, 3], 0.5
LADDER = Ladder(1e-2, 4.0, 14, infinity=True)


def twin(scheme, bounds):
    """Lorenz 1996 with six sites and an unknown forcing, and a path near the truth that obeys nothing."""
    model = load_model("lorenz96", {"dimension": 6})
    rng = generator(4)
    t = 0.025 * np.arange(TIMES)
    truth = simulate(model, None, spin_up(model, None, rng.normal(2.0, 3.0, 6), 5.0), t)
    data = truth[:, SEEN] + STD * rng.standard_normal((TIMES, len(SEEN)))
    names = [model.state_names[k] for k in SEEN]
    problem = Problem(
        model=model, discretization=scheme,
        windows=(Window(t, data, np.full(data.shape, STD), np.zeros((TIMES, 0))),),
        observed={name: name for name in names}, parameters=(Estimated("F", (4.0, 14.0), bounds),),
        state_start=np.tile([-10.0, 15.0], (6, 1)), state_bounds=np.tile([-np.inf, np.inf], (6, 1)),
        model_error_weight=np.ones(6),
    )  # fmt: skip
    path = problem.join([truth + rng.standard_normal(truth.shape)], np.array([np.clip(8.17, *bounds)]))
    return problem, path


@pytest.mark.parametrize("scheme", ["trapezoid", "hermite-simpson", "rk4"])
@pytest.mark.parametrize("bounds", [(4.0, 14.0), (4.0, 7.5)], ids=["free", "held"])
def test_the_level_is_that_of_ipopt_with_equality_constraints(scheme, bounds):
    problem, path = twin(scheme, bounds)
    (outcomes,) = climb(climbs_of(Action(problem), LADDER), [path])
    last = outcomes[-1]
    assert last.reason.converged and last.parts.model == 0.0
    known = oracle.Oracle.of(
        oracle.lorenz96, scheme, 0.025, problem.windows[0].data, STD, SEEN, 6, estimated=[0]
    )
    low, high = problem.bounds
    found = known.strong()(x0=path, lbx=low, ubx=high)
    assert last.parts.total == pytest.approx(float(found["f"]), rel=1e-8)
    np.testing.assert_allclose(last.path, np.array(found["x"])[:, 0], rtol=1e-5, atol=1e-5)
    assert (last.path[-1] == pytest.approx(bounds[1], abs=1e-7)) == (bounds[1] == 7.5)


JOB = {
    "model": {"name": "lorenz63", "parameters": {"rho": {"estimate": True, "start": [20.0, 40.0]}}},
    "twin": {
        "dt": 0.02, "samples": 81, "spin_up": 10.0, "hold_back": 20, "observed": {"x": "x", "z": "z"},
        "noise_std": 0.5, "seed": number(1),
    },
    "action": {"discretization": "hermite-simpson"},
    "ladder": {"rf0": 1e-2, "alpha": 4.0, "rungs": 12, "end": "infinity"},
    "ensemble": {"starts": 6, "seed": number(3), "way": "uniform"},
}  # fmt: skip


def ran(folder, name="run", **tables):
    """A run of the job with some keys changed, opened."""
    job = copy.deepcopy(JOB)
    for table, values in tables.items():
        job.setdefault(table, {}).update(values)
    return hpcda.open_run(runner.run(job, output=folder / name, quiet=True))


def test_a_run_is_judged_at_infinity(tmp_path):
    """Its level is the limit that finite rungs tell; bars, distribution, verdict are those of a large Rf."""
    found, large = ran(tmp_path), ran(tmp_path, "large", ladder={"rungs": 17, "end": "finite"})
    assert np.isinf(found.actions["rf"].values[-1]) and found.candidate.model == 0.0
    assert found.candidate.action == pytest.approx(large.candidate.limit, rel=1e-8)
    assert found.plateau.exact and found.plateau.reached and found.obedience is None
    assert found.verdict == large.verdict and found.verdict.code.startswith("consistent")
    step, other = found.evidence.step.shift, large.evidence.step.shift
    assert step.largest[1] == pytest.approx(other.largest[1], rel=1e-2)
    ours, theirs = found.error_bars(), large.error_bars()
    for name in ("std", "parameter_std"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-3)
    np.testing.assert_array_equal(ours["estimate"], found.window(0)["path"].sel(start=0).values[-81:])
    np.testing.assert_allclose(found.distribution["std"], large.distribution["std"], rtol=1e-3)


def test_what_a_run_to_infinity_says_of_itself(tmp_path):
    from hpcda.analysis import analyze

    ran(tmp_path)
    folder = tmp_path / "run"
    analyze(folder)
    summary = json.loads((folder / "analysis" / "summary.json").read_text())
    assert summary["candidate"]["plateau"]["exact"] and summary["verdict"]["evidence"]["plateau"]
    assert (folder / "analysis" / "action_levels.png").is_file()
    assert "none: the model is obeyed exactly" in (folder / "analysis" / "report.html").read_text()


@pytest.mark.parametrize("ladder", [{}, {"rf0": 100.0, "rungs": 0}], ids=["after finite rungs", "alone"])
def test_a_search_ends_at_infinity(tmp_path, ladder):
    found = ran(tmp_path, ensemble={"way": "auto", "starts": 40}, ladder=ladder)
    assert found.candidate.model == 0.0
    assert found.verdict.code in ("consistent_and_stable", "consistent_not_confirmed")


def test_a_run_goes_on_to_infinity(tmp_path):
    """A run of finite rungs grows by the one at infinity."""
    whole = ran(tmp_path)
    job = copy.deepcopy(JOB)
    job["ladder"]["end"] = "finite"
    folder = runner.run(job, output=tmp_path / "grown", quiet=True)
    runner.run(JOB, output=folder, resume=True, quiet=True)
    grown = hpcda.open_run(folder)
    assert grown.candidate.action == pytest.approx(whole.candidate.action, rel=1e-10)
    assert grown.candidate.count == whole.candidate.count and grown.candidate.model == 0.0


@pytest.mark.parametrize(
    "solver", [{"minimizer": "nls"}, {"minimizer": "newton"}, {"elimination": "mumps"}], ids=str
)
def test_other_minimizers_do_not_come_to_infinity(tmp_path, solver):
    with pytest.raises(InputError, match="ladder.end"):
        ran(tmp_path, solver=solver)


PRODUCT = """from hpcda import Model, Parameter, State


def build():
    return Model(
        name="product", states=(State("x", range=(0.0, 3.0), initial=2.0),),
        parameters=(Parameter("p", 1.0, range=(0.2, 3.0)), Parameter("q", 0.5, range=(0.2, 3.0))),
        equations=lambda x, p: [-p.p * p.q * x[0]],
    )
"""


@pytest.fixture
def valley(tmp_path):
    """A run to infinity whose minima lie in the flat valley p q = const., opened."""
    (tmp_path / "product.py").write_text(PRODUCT)
    job = {
        "model": {
            "name": f"{tmp_path / 'product.py'}:build",
            "parameters": {name: {"estimate": True, "bounds": [0.1, 5.0]} for name in "pq"},
        },
        "twin": {
            "dt": 0.1, "samples": 31, "observed": {"x": "x"}, "noise_std": 0.05, "spin_up": 0.0,
            "seed": number(1),
        },
        "ladder": {"rf0": 1.0, "alpha": 10.0, "rungs": 6, "end": "infinity"},
        "ensemble": {"starts": 5, "seed": number(3), "way": "uniform"},
    }  # fmt: skip
    return hpcda.open_run(runner.run(job, output=tmp_path / "run", quiet=True))


def test_the_points_of_a_flat_valley_at_infinity_are_one_minimum(valley):
    """Its points are joined at a large Rf, where the action has a Hessian."""
    (lowest,) = valley.levels
    assert lowest.count == 5 and lowest.model == 0.0
    low, high = lowest.valley["p"]
    assert high > 1.5 * low
    products = [float(np.prod(valley.file.path(start)[1])) for start in lowest.starts]
    np.testing.assert_allclose(products, products[0], rtol=1e-6)
    assert np.isfinite(valley._about.rf) and valley._about.rf > 1e5


def test_a_minimum_without_one_near_it_at_finite_rf_does_not_end_an_analysis(valley, monkeypatch):
    """It is counted apart, and told."""
    from hpcda.analysis import analyze, neighborhood
    from hpcda.search.local_errors import StepUnknownError

    usual, last = neighborhood.relaxed, valley.file.path(4)[1]

    def relaxed(action, path, rf):
        if np.array_equal(path[-2:], last):
            raise StepUnknownError("no minimum is near")
        return usual(action, path, rf)

    monkeypatch.setattr(neighborhood, "relaxed", relaxed)
    apart = hpcda.open_run(valley.file.run_dir)
    assert sum(one.count for one in apart.levels) == 5 and len(apart.levels) > 1
    assert any("counted separately" in note and "no minimum is near" in note for note in apart.notes)
    folder = valley.file.run_dir
    analyze(folder)
    summary = json.loads((folder / "analysis" / "summary.json").read_text())
    assert summary["candidate"]["action"] == pytest.approx(apart.candidate.action, rel=1e-12)
    assert any("no minimum is near" in note for note in summary["notes"])
