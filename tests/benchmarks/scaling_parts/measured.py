"""What starts cost on this machine: steps of every rung of many starts, and seconds of a step by lanes.

Kept in starts.json, so that the replay needs no measurement:
{problem: {"seconds": {lanes: s}, "steps": […]}}, where steps are one text a start, a number a rung.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Lockstep
from hpcda.build import build_problem
from hpcda.job import Job, load_job
from hpcda.problem import Problem
from hpcda.search import WAYS, SearchContext, begin

from .simulator import Starts

ROOT = Path(__file__).parents[3]
FILE = Path(__file__).with_name("starts.json")
TEN_SITES = {
    "parameters": {"F": 8.17}, "dt": 0.025, "samples": 101, "spin_up": 20.0, "noise_std": 0.5, "seed": 1,
    "observed": ["x0", "x2", "x4", "x6", "x8"],
}  # fmt: skip
PROBLEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "colpitts": ("colpitts", {}),
    "lorenz96-10-hs": ("lorenz96", {"model": {"options": {"dimension": 10}}, "twin": TEN_SITES}),
    "lorenz96-20-trap": ("lorenz96", {"action": {"discretization": "trapezoid"}}),
}


def job_of(name: str) -> Job:
    """The job of a problem."""
    folder, changes = PROBLEMS[name]
    tables = load_job(ROOT / "jobs" / folder / "job.toml").model_dump(by_alias=True)
    for table, values in changes.items():
        tables[table] = values if table == "twin" else {**tables[table], **values}
    return Job.model_validate(tables)


def parts_of(job: Job) -> tuple[Problem, Ladder, Action]:
    """What a job's starts are made of."""
    problem = build_problem(job).problem
    ladder = Ladder(job.ladder.rf0, job.ladder.alpha, job.ladder.count, tuple(job.ladder.first_rungs))
    return problem, ladder, Action(problem)


def steps_of(name: str, starts: int) -> list[list[int]]:
    """Steps of every rung of `starts` starts."""
    job = job_of(name)
    problem, ladder, action = parts_of(job)
    lockstep = Lockstep(action, ladder)
    steps: list[list[int]] = []
    while True:
        for lane in lockstep.empty:
            if len(steps) < starts:
                climb = begin(SearchContext(problem, ladder), WAYS[job.ensemble.way], 1, len(steps))
                lockstep.put(int(lane), climb.start, climb.path, climb.next, True)
                steps.append([])
        if not lockstep.active:
            return steps
        lockstep.advance(1000)
        for one in lockstep.reached():
            steps[one.start].append(one.rung.factorizations)


def seconds_of(name: str, rounds: int = 40) -> dict[int, float]:
    """Processor seconds of a step of 2, 4 and 8 full lanes: tenth percentile of `rounds`, taken in turn."""
    job = job_of(name)
    problem, ladder, action = parts_of(job)
    batches = {lanes: Lockstep(action, ladder, lanes) for lanes in (2, 4, 8)}
    spent: dict[int, list[float]] = {lanes: [] for lanes in batches}
    for _ in range(rounds):
        for lanes, batch in batches.items():
            if len(batch.empty):
                for lane in range(lanes):
                    climb = begin(SearchContext(problem, ladder), WAYS[job.ensemble.way], 1, lane)
                    batch.put(lane, lane, climb.path, climb.next, True)
            began = time.process_time()
            if done := batch.advance(4):
                spent[lanes].append((time.process_time() - began) / done)
            batch.reached()
    return {lanes: float(np.quantile(values, 0.1)) for lanes, values in spent.items()}


def measure(starts: int) -> None:
    """Measure all problems anew and keep what is found."""
    found = {}
    for name in PROBLEMS:
        steps = [" ".join(map(str, one)) for one in steps_of(name, starts)]
        seconds = {str(lanes): round(value, 7) for lanes, value in seconds_of(name).items()}
        found[name] = {"seconds": seconds, "steps": steps}
    FILE.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")


def kept() -> list[Starts]:
    """What was measured."""
    found = json.loads(FILE.read_text(encoding="utf-8"))
    return [
        Starts(
            name,
            tuple(tuple(int(n) for n in one.split()) for one in entry["steps"]),
            {int(lanes): value for lanes, value in entry["seconds"].items()},
        )
        for name, entry in found.items()
    ]
