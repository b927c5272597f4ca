"""One task in a process of its own, on one core: check a twin, climb with a solver, or polish its ends.

    python -m peers_parts.cell '{"task": "climb", "problem": "lorenz63", …}'

A climb writes its folder as it goes, so that nothing is lost when it is stopped: `at` (the start and the
rung it is in), `starts.jsonl` (a line for every finished start), `path-K.npy`, `setup.json` when it is set
up, `end.json` (memory and counts so far).
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

SOLVERS = {"hpcda": "ours", "ipopt": "ipopt", "lbfgs": "lbfgs"}
AGREE = 1e-10
"""The two actions must agree to this part of their largest value, gradient entry and Hessian entry."""


def status(key: str) -> float:
    """Memory of this process in MB: VmRSS, or VmHWM, the peak; unlike ru_maxrss it knows no parent."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


def forget_peak() -> None:
    """Give freed memory back and start the peak anew."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def case_of(task: dict[str, Any]) -> Any:
    """The task's problem and ladders."""
    from .problems import CASES

    case = CASES[task["problem"]]
    return case.shortened() if task["quick"] else case


def climb(task: dict[str, Any], folder: Path, shared: Path) -> None:
    """All starts of a cell."""
    solver = importlib.import_module(f".{SOLVERS[task['solver']]}", __package__)

    baseline = status("VmHWM")
    case = case_of(task)
    problem, ladder = case.problem(shared / "windows"), case.ladder(task["rungs"])
    began = time.perf_counter()
    prepared = solver.prepare(problem, ladder, shared / "compiled")
    setup = time.perf_counter() - began
    peak_setup = status("VmHWM")
    forget_peak()
    _write(folder / "setup.json", {"seconds": setup, "baseline_mb": baseline, "setup_peak_mb": peak_setup})
    wall = cpu = 0.0
    at = os.open(folder / "at", os.O_CREAT | os.O_WRONLY)
    for first in range(0, task["starts"], solver.TOGETHER):
        starts = list(range(first, min(first + solver.TOGETHER, task["starts"])))
        began, used = time.perf_counter(), time.process_time()
        results = solver.climb(
            problem, prepared, ladder, starts, task["seed"],
            lambda start, rung: os.pwrite(at, b"%8d%8d" % (start, rung), 0),
        )  # fmt: skip
        wall, cpu = wall + time.perf_counter() - began, cpu + time.process_time() - used
        with (folder / "starts.jsonl").open("a") as lines:
            for start, (action, path, factorizations, seconds) in zip(starts, results, strict=True):
                np.save(folder / f"path-{start}.npy", path)
                row = {"start": start, "action": action, "factorizations": factorizations, "seconds": seconds}
                lines.write(json.dumps(row) + "\n")
        end = {
            "peak_mb": max(status("VmHWM"), peak_setup),
            "climbing_peak_mb": status("VmHWM"),
            "core_share": cpu / wall,
            "notes": getattr(prepared, "notes", {}),
        }
        _write(folder / "end.json", end)


def polish(task: dict[str, Any], folder: Path, shared: Path) -> None:
    """Minimize once more from every final path, at the last Rf, by the same minimizer whoever found it."""
    from hpcda.action import Action
    from hpcda.annealing.scale import scales
    from hpcda.petsc import make_minimizer

    case = case_of(task)
    problem = case.problem(shared / "windows")
    rf = float(case.ladder(case.rungs).rf[-1])
    with make_minimizer(Action(problem)) as minimizer:
        for file in sorted(folder.glob("path-*.npy")):
            path = np.load(file)
            if not np.isfinite(path).all():
                continue
            outcome = minimizer.minimize(path, rf)
            total = outcome.parts.total if outcome.reason.converged else float("nan")
            np.save(
                folder / file.name.replace("path", "polished"), [total, *(outcome.path / scales(problem))]
            )


def check(task: dict[str, Any], folder: Path, shared: Path) -> None:
    """Value, gradient, Hessian of hpcda's action and of the twin: two paths, both ends of the ladder."""
    from scipy.sparse import csr_array, triu

    from hpcda.action import Action
    from hpcda.search import WAYS, SearchContext, begin

    from .twin import make_twin

    case = case_of(task)
    problem, ladder = case.problem(shared / "windows"), case.ladder(case.rungs)
    action, twin, worst = Action(problem), make_twin(problem), 0.0
    for way in ("uniform", "quiet"):
        path = begin(SearchContext(problem, ladder), WAYS[way], task["seed"], 0).path
        for rf in (case.rf0, case.last):
            parts, gradient = action.gradient(path, rf)
            value, theirs = twin.value(path, rf)
            indptr, indices, values = action.hessian(path, rf)
            hessian = triu(csr_array((values, indices, indptr), shape=(action.size, action.size)))
            worst = max(
                worst,
                abs(value / parts.total - 1.0),
                float(np.abs(gradient - theirs).max() / np.abs(theirs).max()),
                float(abs(hessian - twin.curvature(path, rf)).max() / abs(hessian).max()),
            )
    _write(
        folder / "check.json",
        {
            "worst": worst,
            "agree": bool(worst <= AGREE),
            "unknowns": problem.size,
            "measured": problem.measured,
        },
    )


def _write(file: Path, content: dict[str, Any]) -> None:
    """Write a file whole or not at all."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(content))
    new.replace(file)


def main() -> None:
    """Do the task that the command line holds."""
    task = json.loads(sys.argv[1])
    os.sched_setaffinity(0, {task["core"]})
    tasks = {"climb": climb, "polish": polish, "check": check}
    tasks[task["task"]](task, Path(task["folder"]), Path(task["shared"]))


if __name__ == "__main__":
    main()
