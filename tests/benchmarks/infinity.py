"""What the rung at infinity costs, and how exact it is, beside the finite rungs of the same climbs.

    .venv/bin/python tests/benchmarks/infinity.py [JOB …]

Of every job (by default some of jobs/) eight starts climb its ladder to the end, twice: with finite rungs
alone, and with one more at infinity. Told are the Newton steps of the last rung of each, the largest relative
difference of A(∞) from the limit A + M that the last finite rung tells, the largest model error in units of
the largest state, and how many starts came to a minimum.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from hpcda.action import Action
from hpcda.annealing.climbs import Settings
from hpcda.annealing.climbs import climb as climbed
from hpcda.annealing.lockstep import climbs_of
from hpcda.build import build_problem
from hpcda.job import load_job
from hpcda.search import WAYS, SearchContext, begin

ROOT = Path(__file__).parents[2]
JOBS = ["lorenz63/job.toml", "lorenz63/short.toml", "lorenz96/job.toml", "colpitts/job.toml", "nakl/job.toml"]
STARTS = 8


def tell(file: Path) -> None:
    """One job, one line."""
    job = load_job(file)
    if job.action.steps_per_sample == "auto":
        job = job.with_steps(1)
    problem = build_problem(job).problem
    action = Action(problem)
    ladder = job.ladder.ladder.finite
    context = SearchContext(problem, ladder, action)
    way = WAYS["noise" if job.ensemble.way == "auto" else job.ensemble.way]
    paths = [begin(context, way, 1, start).path for start in range(STARTS)]
    settings = Settings(rung_tolerance=job.solver.rung_tolerance)
    finite = climbed(climbs_of(action, ladder, settings=settings), paths)
    exact = climbed(
        climbs_of(action, replace(ladder, rungs=ladder.rungs + 1, infinity=True), settings=settings), paths
    )
    ends = [(one[-1], other[-1]) for one, other in zip(finite, exact, strict=True)]
    done = [(one, other) for one, other in ends if other.reason.converged]
    steps = [np.mean([pair[k].factorizations for pair in ends]) for k in (0, 1)]
    away = [
        abs(one.parts.total + one.parts.model - other.parts.total) / other.parts.total for one, other in done
    ]
    error = max((_error(action, other.path) for _, other in done), default=np.nan)
    reasons = {other.reason.name for _, other in ends if not other.reason.converged}
    print(
        f"{file.parent.name}/{file.name} Rf to {ladder.largest:.1e}: {steps[0]:.1f} steps at the last finite "
        f"rung, {steps[1]:.1f} at infinity; limit off by {max(away, default=np.nan):.1e} at most, "
        f"model error {error:.0e}; {len(done)} of {STARTS} {' '.join(sorted(reasons))}",
        flush=True,
    )


def _error(action: Action, path: np.ndarray) -> float:
    windows = range(len(action.problem.windows))
    errors = max(float(np.abs(action.model_errors(number, path)[0]).max()) for number in windows)
    return errors / float(np.abs(path[: action.problem.layout.tail.start]).max())


if __name__ == "__main__":
    for name in sys.argv[1:] or [str(ROOT / "jobs" / job) for job in JOBS]:
        tell(Path(name))
