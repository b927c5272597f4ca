"""hpcda beside CasADi + IPOPT and SciPy's L-BFGS-B: the same action, starts and last Rf, one core each.

    .venv/bin/python tests/benchmarks/peers.py --out runs/peers [--problems nakl,lorenz63] [--starts 20]
    .venv/bin/python tests/benchmarks/peers.py --out runs/peers --reuse    # hpcda anew, the peers kept
    .venv/bin/python tests/benchmarks/peers.py --out runs/quick --quick     # does it all work?

A cell is a problem, a solver and a ladder, in a process of its own, pinned to one core, with one thread.
Before the cells of a problem hpcda's action is compared with CasADi's, written independently, by value,
gradient and Hessian; where they differ by 1e-10 the problem is refused. First paths are hpcda's uniform ones
of the seed. Every solver climbs the ladder that all have in common, and others with other factors from rung
to rung, the same first and the same last Rf; the table shows the common one and, for each solver, its best.
Compiling is set-up and not part of a start's time.

The columns: median CPU seconds of a start, quartiles; factorizations (evaluations for L-BFGS-B); hits, the
starts that end within 1e-3 of the lowest action that any solver found (* where these are several minima);
+pol, the hits if all ends were polished for nothing; TTS99 = t ln 0.01 / ln(1 - p), t the median, p the
share of hits; its ratio to hpcda's; memory while climbing beyond that of the process with its imports, and
the peak in all; excess, the largest relative amount by which hpcda's final action is above the peer's where
both found the same minimum from the same start on the common ladder.

FOLDER gets peers.txt, peers.json (all ladders under "tried", all starts under "cells"), peers.png, and
cells/, one folder a cell, written as it goes: an interrupted comparison goes on with --reuse
hpcda,ipopt,lbfgs. The table holds the problems and solvers of the command, and the lowest minimum is that of
these solvers: name them all when only hpcda is measured anew. A cell that --limit stops counts with the
starts that it finished, and says where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from peers_parts import ipopt, lbfgs
from peers_parts.cell import SOLVERS
from peers_parts.problems import CASES, ROOT, Case
from peers_parts.table import HEAD, picture, rows_of, text

HERE = Path(__file__).parent
QUICK = ("lorenz96-5-trap", "lorenz96-5-hs", "colpitts")


def child(task: dict[str, Any], limit: float) -> str:
    """Do a task in a process of its own; "" or what went wrong."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    search = os.pathsep.join([str(HERE), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, **one_thread, "PYTHONPATH": search}
    folder = Path(task["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "peers_parts.cell", json.dumps(task)]
    with (folder / f"{task['task']}.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            return f"stopped after {limit:g} s"
        finally:
            process.kill()
            process.wait()
    if code == 0:
        return ""
    said = (folder / f"{task['task']}.log").read_text().strip().splitlines()
    return f"failed with code {code}: {said[-1] if said else 'no message'}"


def run_cell(task: dict[str, Any], limit: float, alpha: float) -> dict[str, Any]:
    """Climb, polish, and collect what there is, however far the climb got."""
    folder = Path(task["folder"])
    shutil.rmtree(folder, ignore_errors=True)
    wrong = child({**task, "task": "climb"}, limit)
    rows = [json.loads(line) for line in _read(folder / "starts.jsonl").splitlines()]
    setup = json.loads(_read(folder / "setup.json") or "{}")
    end = json.loads(_read(folder / "end.json") or "{}")
    polishing = child({**task, "task": "polish"}, max(limit, 600.0)) if rows else ""
    if wrong:
        at = _read(folder / "at").split()
        place = f", in start {at[0]} at rung {at[1]} of {task['rungs']}" if at else ", during set-up"
        wrong += f": {len(rows)} of {task['starts']} starts done{place}"
    nan = float("nan")
    climbing = end.get("climbing_peak_mb", nan) - setup.get("baseline_mb", nan)
    polished = [_polished(folder, k) for k in range(len(rows))]
    cell = {
        "problem": task["problem"], "solver": task["solver"], "rungs": task["rungs"], "alpha": alpha,
        "wanted": task["starts"], "limit": limit, "key": task["key"],
        "ended": "complete" if not wrong else "limit" if wrong.startswith("stopped") else "failed",
        "message": "; ".join(filter(None, [wrong, polishing and f"polishing {polishing}"])),
        "actions": [one["action"] for one in rows], "seconds": [one["seconds"] for one in rows],
        "factorizations": [one["factorizations"] for one in rows],
        "polished": [nan if one is None else float(one[0]) for one in polished],
        "setup_seconds": setup.get("seconds", nan), "core_share": end.get("core_share", nan),
        "memory": {
            "climbing_mb": climbing, "peak_mb": end.get("peak_mb", nan),
            "baseline_mb": setup.get("baseline_mb", nan), "setup_peak_mb": setup.get("setup_peak_mb", nan),
        },
        "notes": end.get("notes", {}), "folder": str(folder),
    }  # fmt: skip
    (folder / "cell.json").write_text(json.dumps(cell))
    return cell


def kept_cell(task: dict[str, Any], limit: float) -> dict[str, Any] | None:
    """A cell measured before on the same problem with the same settings, if another run could not do more."""
    try:
        cell = json.loads((Path(task["folder"]) / "cell.json").read_text())
    except (OSError, ValueError):
        return None
    done = cell["ended"] == "complete" and len(cell["actions"]) >= task["starts"]
    full = cell["ended"] == "limit" and cell["limit"] >= limit and cell["wanted"] >= task["starts"]
    return {**cell, "folder": task["folder"]} if cell["key"] == task["key"] and (done or full) else None


def _read(file: Path) -> str:
    return file.read_text() if file.is_file() else ""


@cache
def _file(name: str, changed: float) -> np.ndarray:
    return np.load(name)


def _polished(folder: Path, start: int) -> np.ndarray | None:
    file = folder / f"polished-{start}.npy"
    return _file(str(file), file.stat().st_mtime) if file.is_file() else None


def key_of(case: Case, solver: str, rungs: int, seed: int) -> str:
    """What a cell depends on."""
    options = {"ipopt": [ipopt.OPTIONS, ipopt.WARM, ipopt.ORDERINGS, ipopt.FLAGS], "lbfgs": [lbfgs.OPTIONS]}
    parts = [case.job(), case.ladder(rungs).rf.tolist(), seed, options.get(solver)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def report(cells: list[dict[str, Any]], common: dict[str, int], out: Path, settings: dict[str, Any]) -> str:
    """Write what is known so far; the table."""
    measured = settings["measured"]
    rows = rows_of(cells, common, measured, lambda cell, start: _polished(Path(cell["folder"]), start))
    table = text(rows)
    (out / "peers.txt").write_text(table + "\n")
    new = out / "peers.json.new"
    new.write_text(json.dumps({"settings": settings, "rows": rows, "cells": cells}, indent=1))
    new.replace(out / "peers.json")
    picture(rows, out / "peers.png")
    return table


def cells_of(case: Case, arguments: argparse.Namespace) -> list[tuple[str, int]]:
    """Solver and number of rungs of all cells of a problem, the common ladder first."""
    ladders = case.choices(tuple(float(factor) for factor in arguments.ladders.split(",") if factor))
    return [(solver, rungs) for solver in arguments.solvers.split(",") for rungs in ladders]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--problems", help=f"which, with commas; by default all: {', '.join(CASES)}")
    add("--solvers", default=",".join(SOLVERS), help="which, with commas: hpcda, ipopt, lbfgs")
    add("--starts", type=int, default=20, help="first paths a cell (20)")
    add("--slow-starts", type=int, default=4, help="the same for lbfgs (4)")
    add(
        "--ladders",
        default="1.5,2,4,10",
        help="factors to try beside the common ladder (1.5,2,4,10); '' for none",
    )
    add("--limit", type=float, default=600.0, help="seconds a cell may take, set-up included (600)")
    add("--seed", type=int, default=1, help="seed of the first paths (1)")
    add(
        "--core",
        type=int,
        default=max(os.sched_getaffinity(0)),
        help="number of the core to run on (the last)",
    )
    add("--out", type=Path, required=True, help="folder of the results, made if it is not there")
    add(
        "--reuse", nargs="?", const="ipopt,lbfgs", default="", metavar="SOLVERS",
        help="take finished cells of these solvers from the folder if nothing has changed (ipopt,lbfgs)",
    )  # fmt: skip
    add("--quick", action="store_true", help=f"a smoke test: 2 starts, 8 and 5 rungs, {', '.join(QUICK)}")
    arguments = parser.parse_args()
    names = (arguments.problems or ",".join(QUICK if arguments.quick else CASES)).split(",")
    for given, known in ((names, CASES), (arguments.solvers.split(","), SOLVERS)):
        unknown = [name for name in given if name not in known]
        if unknown:
            parser.error(f"{', '.join(unknown)}: unknown; there are {', '.join(known)}")
    arguments.problems = names
    # hpcda first: the others are compared with it.
    arguments.solvers = ",".join(name for name in SOLVERS if name in arguments.solvers.split(","))
    if arguments.quick:
        arguments.starts, arguments.slow_starts = min(arguments.starts, 2), min(arguments.slow_starts, 2)
        arguments.ladders = "10"
    return arguments


def main() -> None:
    """Measure cell after cell; write everything after each."""
    arguments = parse()
    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    cases = {name: CASES[name].shortened() if arguments.quick else CASES[name] for name in arguments.problems}
    common = {name: case.rungs for name, case in cases.items()}
    settings = {
        "began": time.strftime("%Y-%m-%d %H:%M"), "python": platform.python_version(), "core": arguments.core,
        "starts": arguments.starts, "slow_starts": arguments.slow_starts, "seed": arguments.seed,
        "limit": arguments.limit, "refused": {}, "unknowns": {}, "measured": {}, "agreement": {},
    }  # fmt: skip
    cells: list[dict[str, Any]] = []
    table = HEAD
    for name, case in cases.items():
        base = {
            "problem": name, "quick": arguments.quick, "seed": arguments.seed, "core": arguments.core,
            "shared": str(out),
        }  # fmt: skip
        place = out / "cells" / name
        wrong = child({**base, "task": "check", "folder": str(place)}, max(arguments.limit, 600.0))
        checked = json.loads(_read(place / "check.json") or "{}") if not wrong else {}
        if not checked.get("agree"):
            settings["refused"][name] = wrong or f"the two actions differ by {checked['worst']:.1e}"
            print(f"{name}: refused, {settings['refused'][name]}", flush=True)
            continue
        settings["unknowns"][name], settings["agreement"][name] = checked["unknowns"], checked["worst"]
        settings["measured"][name] = checked["measured"]
        unknowns, worst = checked["unknowns"], checked["worst"]
        print(f"{name}: {unknowns} unknowns, the two actions agree to {worst:.0e}", flush=True)
        for solver, rungs in cells_of(case, arguments):
            starts = arguments.slow_starts if solver == "lbfgs" else arguments.starts
            task = {
                **base, "solver": solver, "rungs": rungs, "starts": starts,
                "key": key_of(case, solver, rungs, arguments.seed),
                "folder": str(place / f"{solver}-{rungs}"),
            }  # fmt: skip
            began = time.perf_counter()
            kept = kept_cell(task, arguments.limit) if solver in arguments.reuse.split(",") else None
            cell = kept or run_cell(task, arguments.limit, case.ladder(rungs).alpha)
            cells.append(cell)
            table = report(cells, common, out, settings)
            took = "kept" if kept else f"{time.perf_counter() - began:.0f} s"
            print(
                f"  {solver:6s} {rungs:3d} rungs: {len(cell['actions'])}/{cell['wanted']} starts, "
                f"median {np.median(cell['seconds'] or [np.nan]):.3g} s, "
                f"lowest {min(cell['actions'], default=np.nan):.8g} "
                f"({took}) {cell['message']}",
                flush=True,
            )
    print(table)
    for name, why in settings["refused"].items():
        print(f"{name}: refused, {why}")
    shares = [cell["core_share"] for cell in cells if cell["core_share"] < 0.95]
    if shares:
        print(f"The core was shared in {len(shares)} cells, {min(shares):.0%} at worst: measure again.")
    print(f"{out}/peers.txt, peers.json, peers.png")


if __name__ == "__main__":
    main()
