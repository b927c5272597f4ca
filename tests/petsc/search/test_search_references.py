"""The oracles of the search: their data, and that their references are minima which hpcda and IPOPT reach."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("petsc4py", reason="hpcda.run needs it")

import hpcda
from hpcda import runner
from hpcda.action import Action
from hpcda.job import load_job
from tests.chance import generator
from tests.oracles import ORACLES, families
from tests.oracles.climbs import climbs, from_truth
from tests.oracles.climbs import ipopt as climb_with_ipopt
from tests.oracles.oracle import Generated
from tests.oracles.references import SAME, checksum
from tests.oracles.truth import SOURCES

pytestmark = pytest.mark.petsc
GENERATED = [name for name, oracle in ORACLES.items() if isinstance(oracle.data, Generated)]
SHARED = [name for name in ORACLES if name not in GENERATED]
FAST = ("lorenz96-10-L4-2", "lorenz96-10-L2-1", "lorenz96-20-L6-3", "lorenz96-20-L2-1", "colpitts-1")


def test_every_family_is_there_with_its_references():
    assert [f"lorenz96-20-L{count}" in families() for count in range(2, 9)] == [True] * 7
    assert [f"lorenz96-10-L{count}" in families() for count in range(2, 5)] == [True] * 3
    assert {"colpitts", "nakl", "minaone-set1", "minaone-set5", "varanneal"} <= set(families())
    for oracle in ORACLES.values():
        assert oracle.reference.measurement <= oracle.reference.action


@pytest.mark.parametrize("name", GENERATED)
def test_data_come_out_again(name):
    values = ORACLES[name].data.values()
    assert checksum(values) == pytest.approx(ORACLES[name].reference.checksum, abs=1e-7)
    assert values.size == ORACLES[name].reference.values


@pytest.mark.parametrize("source", SOURCES)
def test_true_runs_obey_the_equations_of_the_catalogue(source):
    made = SOURCES[source]()
    oracle = next(one for name, one in ORACLES.items() if name.startswith(source))
    model, rng = oracle.problem().model, generator(3)
    scale = made.first(rng)
    for _ in range(5):
        x = scale * rng.uniform(0.5, 1.5, len(scale))
        inputs = {name: float(function(x)) for name, function in made.stimuli.items()}
        rates = np.array(model(x[: model.dimension], made.parameters, inputs, 0.0), dtype=float)
        np.testing.assert_allclose(made.rates(0.0, x)[: model.dimension], rates, rtol=1e-12, atol=1e-12)
        assert made.names == model.state_names


@pytest.mark.parametrize("name", FAST)
def test_the_reference_is_reached_from_the_truth(name):
    oracle = ORACLES[name]
    problem = oracle.problem()
    path, ladder = oracle.true_path(problem), oracle.ladder
    action = Action(problem)
    start = action.value(path, float(ladder.rf[-1]))
    noise = np.sqrt(problem.measured / 2)
    assert start.measurement == pytest.approx(problem.measured / 2, abs=4 * noise)
    (end,) = from_truth(action, ladder, path, (0.4,))
    parts = end.rung.parts
    assert end.rung.reason.converged
    assert parts.total == pytest.approx(oracle.reference.action, rel=SAME)
    assert parts.measurement == pytest.approx(oracle.reference.measurement, rel=10 * SAME)
    assert parts.model < 0.01 * parts.total and parts.total < start.total
    for estimated, value in zip(problem.parameters, problem.split(end.rung.path)[1], strict=True):
        assert value == pytest.approx(oracle.reference.parameters[estimated.name], rel=1e-5)


def test_the_true_path_hardly_violates_the_discretization():
    """Hermite-Simpson at spacing 0.025: the scaled error of a step is far below the noise of a value."""
    for name in ("lorenz96-10-L4-1", "lorenz96-20-L8-1"):
        oracle = ORACLES[name]
        problem = oracle.problem()
        error = Action(problem).value(oracle.true_path(problem), 1.0).model
        steps = problem.dimension * (problem.windows[0].times - 1)
        assert np.sqrt(2 * error / steps) < 2e-3


@pytest.mark.parametrize("name", GENERATED)
def test_references_are_what_noise_explains_and_ipopt_confirms(name):
    reference = ORACLES[name].reference
    assert reference.consistent
    assert np.isnan(reference.ipopt) or reference.action <= reference.ipopt * (1 + SAME)


@pytest.mark.parametrize("name", ["lorenz96-10-L3-1", "colpitts-1"])
def test_ipopt_reaches_the_reference_from_the_truth(name):
    pytest.importorskip("casadi", reason="the oracle is CasADi")
    oracle = ORACLES[name]
    problem = oracle.problem()
    found, _ = climb_with_ipopt(problem, float(oracle.ladder.rf[-1]), oracle.true_path(problem))
    assert found == pytest.approx(oracle.reference.action, rel=SAME)


@pytest.mark.parametrize(
    ("name", "level", "forcing"),
    [
        ("minaone-set1", 4.162183 * 161 / 2, 8.36997),
        ("minaone-set5", 4.077979 * 161 / 2, 8.0372),
        ("varanneal", 628.78215, 8.17103),
    ],
)
def test_references_of_others_are_known_and_found_by_quiet_paths(name, level, forcing):
    oracle = ORACLES[name]
    assert oracle.reference.action == pytest.approx(level, rel=2e-7)
    assert oracle.reference.parameters["F"] == pytest.approx(forcing, abs=1e-4)
    if oracle.missing:
        pytest.skip(oracle.missing)
    from hpcda.search import WAYS, SearchContext

    problem = oracle.problem()
    context = SearchContext(problem, oracle.ladder)
    path = WAYS["quiet"].draw(context, generator(1, 0))
    (end,) = climbs(context.action, oracle.ladder, [path], [context.rung(0.25)])
    assert oracle.solved(end.rung.parts.total)


def test_a_job_of_an_oracle_runs(tmp_path):
    oracle = ORACLES["colpitts-1"]
    job = oracle.job(tmp_path, ensemble={"starts": 4, "way": "quiet"})
    directory = runner.run(load_job(job), quiet=True)
    assert oracle.solved(float(hpcda.open_run(directory).actions.min()))
