"""The experiments of jobs/: all can be built, and reach the levels that their headers promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("petsc4py", reason="the minimizers are PETSc's")

import hpcda
from hpcda import runner
from hpcda.action import Action
from hpcda.analysis.summary import summarize
from hpcda.annealing import Ladder, step
from hpcda.build import build_network, build_problem
from hpcda.job import NetworkJob, load_job
from hpcda.petsc import PetscMinimizer
from hpcda.search import WAYS, SearchContext, begin
from hpcda.search.conclusion import Conclusion

pytestmark = pytest.mark.petsc
JOBS = Path(__file__).parents[3] / "jobs"
FILES = sorted(JOBS.glob("*/*.toml"))
LEVEL = re.compile(r"^# Expected .*?level,? (\d+\.\d+)", re.MULTILINE)
TRUE = {
    "lorenz96": {"F": 8.17},
    "lorenz63": {"rho": 28.0},
    "colpitts": {"gamma": 0.0797, "eta": 6.2723},
    "nakl": {"gNa": 120.0, "gK": 20.0},
}


def test_every_experiment_has_a_job_and_a_short_one():
    assert {file.parent.name for file in FILES} >= set(TRUE)
    for name in TRUE:
        assert {file.name for file in FILES if file.parent.name == name} >= {"job.toml", "short.toml"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_an_experiment_can_be_built_and_says_what_to_expect(file):
    text = file.read_text()
    for word in ("# Run  ", "# Expected  ", "# Cost  ", f"hpcda run jobs/{file.parent.name}/{file.name}"):
        assert word in text
    job = load_job(file)
    if isinstance(job, NetworkJob):
        network = build_network(job).network
        assert network.measured.any() and network.weights > 0
        return
    problem = build_problem(job).problem
    assert problem.measured > 0 and len(problem.constants) > 0


@pytest.mark.parametrize("name", TRUE)
def test_a_short_experiment_reaches_its_level(name):
    file = JOBS / name / "short.toml"
    job = load_job(file)
    problem = build_problem(job).problem
    ladder = Ladder(job.ladder.rf0, job.ladder.alpha, job.ladder.count, job.ladder.first_rungs)
    found = LEVEL.search(file.read_text())
    assert found, "the header promises a level"
    with PetscMinimizer(Action(problem), job.solver.minimizer) as minimizer:
        for start in range(2):
            climb = begin(SearchContext(problem, ladder), WAYS[job.ensemble.way], job.ensemble.seed, start)
            while not climb.ended(ladder):
                climb, rung = step(climb, ladder, minimizer)
            assert climb.failed is None
            assert rung.parts.total == pytest.approx(float(found[1]), abs=0.006)
    _, values = problem.split(climb.path)
    for estimated, value in zip(problem.parameters, values, strict=True):
        assert value == pytest.approx(TRUE[name][estimated.name], rel=0.03)


@pytest.mark.parametrize("name", ["lorenz96", "lorenz63", "colpitts"])
def test_an_experiment_ends_as_its_header_says(name, tmp_path):
    """With the data that it ships: on any processor."""
    file = JOBS / name / "job.toml"
    job, text = load_job(file), file.read_text()
    found = hpcda.open_run(runner.run(job, output=tmp_path / "run", quiet=True))
    assert found.candidate is not None and found.verdict is Conclusion.CONSISTENT_AND_STABLE
    level, reached = LEVEL.search(text), re.search(r"reached by (\d+) of (\d+)", text)
    assert level and reached
    assert found.candidate.action == pytest.approx(float(level[1]), abs=0.006)
    assert (found.candidate.count, job.ensemble.starts) == tuple(map(int, reached.groups()))
    summary = summarize(found)
    assert summary["candidate"]["rmse_truth_unobserved"] < 0.2
