"""Every minimizer on every catalogue model: converged starts, iterations, seconds, lowest final action.

    .venv/bin/python tests/benchmarks/minimizers.py [--minimizers auto,nls] [--models lorenz63,nakl]
        [--starts 4] [--bounds] [--out FOLDER]

Starts are uniform (the papers'), on the full ladder; a start counts as converged where every rung of it is.
Writes minimizers.json beside the table, which is printed.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from hpcda.action import Action
from hpcda.annealing import Ladder, step
from hpcda.annealing.minimizers import MINIMIZERS
from hpcda.build import build_problem
from hpcda.job import load_job
from hpcda.petsc import make_minimizer
from hpcda.problem import Problem
from hpcda.search import WAYS, SearchContext, begin

TRAPEZOID = {"discretization": "trapezoid"}
CURRENT = {"I": {"kind": "chaotic", "scale": 16.0, "offset": 10.0, "timescale": 15.0, "seed": 4}}
ESTIMATE = {"estimate": True}
MODELS: dict[str, dict] = {
    "lorenz63": {
        "model": {"name": "lorenz63", "parameters": {"rho": ESTIMATE}},
        "twin": {"dt": 0.02, "samples": 101, "spin_up": 20.0, "observed": ["x"], "noise_std": 0.5},
    },
    "lorenz96": {
        "model": {"name": "lorenz96", "options": {"dimension": 10}, "parameters": {"F": ESTIMATE}},
        "twin": {
            "dt": 0.025, "samples": 101, "spin_up": 20.0, "noise_std": 0.5,
            "observed": ["x0", "x2", "x4", "x6", "x8"],
        },
    },
    "colpitts": {
        "model": {"name": "colpitts", "parameters": {"gamma": ESTIMATE, "eta": ESTIMATE}},
        "twin": {"dt": 0.05, "samples": 201, "spin_up": 100.0, "observed": ["x1", "x3"], "noise_std": 0.2},
    },
    "rossler": {
        "model": {"name": "rossler", "parameters": {"c": ESTIMATE}},
        "twin": {"dt": 0.1, "samples": 151, "spin_up": 50.0, "observed": ["x"], "noise_std": 0.5},
    },
    "morris_lecar": {
        "model": {"name": "morris_lecar", "parameters": {"gCa": ESTIMATE, "gK": ESTIMATE, "phi": ESTIMATE}},
        "twin": {
            "dt": 1.0, "samples": 201, "spin_up": 50.0, "observed": ["V"], "noise_std": 1.0,
            "stimulus": {"I": {"kind": "constant", "value": 90.0}},
        },
    },
    "nakl": {
        "model": {"name": "nakl", "parameters": {name: ESTIMATE for name in ("gNa", "gK", "gL", "EL")}},
        "twin": {
            "dt": 0.02, "samples": 401, "spin_up": 20.0, "observed": ["V"], "noise_std": 1.0,
            "stimulus": CURRENT,
        },
    },
    "kuramoto_sivashinsky": {
        "model": {
            "name": "kuramoto_sivashinsky", "options": {"dimension": 16}, "parameters": {"nu": ESTIMATE},
        },
        "twin": {
            "dt": 0.25, "samples": 81, "spin_up": 100.0, "noise_std": 0.2,
            "observed": [f"u{i}" for i in range(0, 16, 2)],
        },
    },
    "henon": {
        "model": {"name": "henon", "parameters": {"a": ESTIMATE, "b": ESTIMATE}},
        "twin": {"dt": 1.0, "samples": 41, "spin_up": 50.0, "observed": ["x"], "noise_std": 0.02},
    },
}  # fmt: skip
LADDER = {"rf0": 1e-2, "alpha": 4.0, "rf_max": 1e7}


def problem_of(name: str, bounds: bool) -> Problem:
    """The benchmark problem of a model; with bounds at the edge of the starting ranges, a little wider."""
    job = {**MODELS[name], "ladder": LADDER, "ensemble": {"starts": 1, "way": "uniform"}}
    problem = build_problem(load_job(job)).problem
    if name in ("nakl", "morris_lecar"):
        weight = [1.0 if state.range[1] > 1.5 else 1e4 for state in problem.model.states]
        problem = replace(problem, model_error_weight=np.array(weight))
    if name == "nakl" and not bounds:
        # Conductances without bounds or priors run away to infinity: the action has no minimum there.
        priors = tuple(replace(p, prior=(np.mean(p.start), np.ptp(p.start) / 2)) for p in problem.parameters)
        problem = replace(problem, parameters=priors)
    if not bounds:
        return problem
    low, high = problem.state_start.T
    margin = 0.25 * (high - low)
    parameters = tuple(
        replace(p, bounds=(p.start[0] - 0.1 * abs(p.start[0]), p.start[1] + 0.1 * abs(p.start[1])))
        for p in problem.parameters
    )
    return replace(
        problem, state_bounds=np.stack([low - margin, high + margin], axis=1), parameters=parameters
    )


def measure(problem: Problem, minimizer: str, starts: int) -> dict:
    """Anneal `starts` starts and count."""
    ladder = Ladder(LADDER["rf0"], LADDER["alpha"], 15)
    action = Action(problem)
    converged, iterations, final, reasons = 0, 0, [], []
    began = time.perf_counter()
    with make_minimizer(action, minimizer) as minimizer:
        for start in range(starts):
            climb, good = begin(SearchContext(problem, ladder), WAYS["uniform"], 1, start), True
            while not climb.ended(ladder):
                climb, rung = step(climb, ladder, minimizer)
                iterations += rung.iterations
                if not rung.reason.converged:
                    good = False
                    reasons.append((start, rung.number, rung.reason.name))
            final.append(rung.parts.total if good else float("nan"))
            converged += good
    seconds = time.perf_counter() - began
    known = [value for value in final if np.isfinite(value)]
    return {
        "converged": converged,
        "starts": starts,
        "iterations": iterations / starts,
        "seconds": seconds / starts,
        "lowest": min(known) if known else None,
        "hits": int(np.sum(np.array(known) < min(known) * (1 + 1e-6))) if known else 0,
        "not_converged": reasons,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minimizers", default=",".join(name for name in MINIMIZERS if name != "lockstep"))
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--starts", type=int, default=4)
    parser.add_argument("--bounds", action="store_true", help="with bounds on all states and parameters")
    parser.add_argument("--out", type=Path, default=Path())
    arguments = parser.parse_args()
    rows = []
    print(f"{'model':22s} {'minimizer':14s} converged iterations  seconds    lowest action hits")
    for model in arguments.models.split(","):
        problem = problem_of(model, arguments.bounds)
        for minimizer in arguments.minimizers.split(","):
            if arguments.bounds and not MINIMIZERS[minimizer].bounds:
                continue
            row = {"model": model, "minimizer": minimizer, **measure(problem, minimizer, arguments.starts)}
            rows.append(row)
            lowest = "-" if row["lowest"] is None else f"{row['lowest']:.8g}"
            print(
                f"{model:22s} {minimizer:14s} {row['converged']:5d}/{row['starts']:<3d} "
                f"{row['iterations']:10.0f} "
                f"{row['seconds']:8.2f} {lowest:>16s} {row['hits']:4d}",
                *sorted({reason for *_, reason in row["not_converged"]}),
                flush=True,
            )
    name = "minimizers-bounds.json" if arguments.bounds else "minimizers.json"
    (arguments.out / name).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
