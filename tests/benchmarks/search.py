"""Who finds the lowest minimum, how often, in how many core-seconds: ways, the plan over them, IPOPT.

    .venv/bin/python tests/benchmarks/search.py --out runs/search
    .venv/bin/python tests/benchmarks/search.py --out runs/search --problems 'lorenz96-20-*' --seeds 2
    .venv/bin/python tests/benchmarks/search.py --out runs/hits --table --seconds 5 --methods 'quiet*'

The problems are the oracles of tests/oracles. A method has solved one when a start of it ends at most 1e-6
(relative) above the oracle's reference, or lower. It runs, on one core, until then or until its time is
over. Compiling, and choosing IPOPT's ordering, are set-up and do not count.

The methods: "ladder", uniform paths up the whole ladder as the papers have it; "WAY@SHARE", paths of one way
whose ladder begins above this share of the rungs; "auto", the plan of ensemble.way = "auto"; "ipopt" and
"ipopt-quiet", CasADi's IPOPT from one start after another on the same action, from uniform and from quiet
paths, on a ladder of fewer rungs that suits it. All but IPOPT run 8 starts at a time.

With --table nobody stops early, and the table shows hits per core-second.

FOLDER gets search.json, written after every run, search.txt and search.png, after every problem. --reuse goes
on with what is there of the same limit, but for the methods named with --anew.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from tests.benchmarks.search_parts.case import Case, Method  # noqa: E402
from tests.benchmarks.search_parts.methods import all_methods  # noqa: E402
from tests.benchmarks.search_parts.table import Run, hits_table, picture, solved_table  # noqa: E402
from tests.oracles import ORACLES, families  # noqa: E402


def measure(case: Case, method: Method, seed: int, seconds: float) -> Run:
    """One run of a method on a problem."""
    oracle = case.oracle
    ends = method.run(case, seed, seconds)
    actions = np.array([end.action for end in ends])
    hits = [k for k, end in enumerate(ends) if oracle.solved(end.action)]
    lowest = float(np.nanmin(actions)) if len(actions) and np.isfinite(actions).any() else float("inf")
    time_to = ends[hits[0]].seconds if hits else seconds
    return {
        "problem": oracle.name, "family": oracle.family, "measured": oracle.measured,
        "method": method.name, "seed": seed, "limit": seconds,
        "solved": bool(hits), "seconds": time_to,
        "lowest": lowest, "excess": lowest / oracle.reference.action - 1.0,
        "starts": len(ends), "hits": len(hits),
        "spent": time_to if np.isfinite(case.target) else seconds,
    }  # fmt: skip


def chosen(patterns: str, seeds: int) -> list[str]:
    """The oracles of these families, the first seeds of each, that can be made here."""
    wanted = patterns.split(",")
    names = []
    for family in families():
        members = [name for name, oracle in ORACLES.items() if oracle.family == family]
        if any(fnmatch(family, pattern) for pattern in wanted):
            names += members[:seeds]
        else:
            names += [name for name in members if any(fnmatch(name, pattern) for pattern in wanted)]
    for name in names:
        if ORACLES[name].missing:
            print(f"{name}: left out, {ORACLES[name].missing}")
    return [name for name in names if not ORACLES[name].missing]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    known = ", ".join(families())
    add("--problems", default="*", help=f"families, oracles or patterns, with commas; all of {known}")
    add("--methods", default="", help="which, with commas, patterns allowed (all)")
    add("--seconds", type=float, default=20.0, help="core-seconds a method may take for a problem (20)")
    add("--seeds", type=int, default=4, help="data sets of each family (4)")
    add("--repeats", type=int, default=1, help="seeds of each method on each data set (1)")
    add("--table", action="store_true", help="hits per core-second; nobody stops early")
    add("--out", type=Path, required=True, help="folder of the results, made if it is not there")
    add("--reuse", action="store_true", help="keep runs that the folder holds")
    add("--anew", default="", help="methods that are measured anew with --reuse, with commas")
    return parser.parse_args()


def kept(file: Path, arguments: argparse.Namespace) -> list[Run]:
    """Runs measured before with the same settings."""
    if not (arguments.reuse and file.is_file()):
        return []
    read: dict[str, Any] = json.loads(file.read_text())
    if read["table"] != arguments.table:
        return []
    anew = arguments.anew.split(",")
    return [run for run in read["runs"] if run["limit"] == arguments.seconds and run["method"] not in anew]


def store(runs: list[Run], out: Path, table: bool) -> None:
    """Write search.json."""
    new = out / "search.json.new"
    new.write_text(json.dumps({"table": table, "runs": runs}, indent=1))
    new.replace(out / "search.json")


def write(runs: list[Run], out: Path, table: bool) -> str:
    """Write the table, and the picture; the table."""
    text = (hits_table if table else solved_table)(runs)
    (out / "search.txt").write_text(text + "\n")
    picture(runs, out / "search.png")
    return text


def main() -> None:
    """Problem after problem, method after method."""
    arguments = parse()
    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    methods = all_methods(out / "compiled")
    patterns = arguments.methods.split(",") if arguments.methods else ["*"]
    unknown = [one for one in patterns if not any(fnmatch(name, one) for name in methods)]
    names = chosen(arguments.problems, arguments.seeds)
    if unknown or not names:
        sys.exit(f"{', '.join(unknown) or arguments.problems}: unknown; there are {', '.join(methods)}")
    wanted = [name for name in methods if any(fnmatch(name, one) for one in patterns)]
    before = {
        (run["problem"], run["method"], run["seed"]): run for run in kept(out / "search.json", arguments)
    }
    done: list[Run] = []
    made: set[tuple[str, str, int]] = set()
    text = ""
    for name in names:
        case = Case.of(name, stops=not arguments.table)
        for method in wanted:
            for seed in range(1, arguments.repeats + 1):
                made.add((name, method, seed))
                run = before.get((name, method, seed))
                if run is None:
                    began = time.perf_counter()
                    run = measure(case, methods[method], seed, arguments.seconds)
                    word = f"solved in {run['seconds']:.3g} s" if run["solved"] else "not solved"
                    print(
                        f"{name:18s} {method:14s} {word}, {run['hits']}/{run['starts']} starts, "
                        f"excess {run['excess']:.1e} ({time.perf_counter() - began:.1f} s)",
                        flush=True,
                    )
                done.append(run)
                store([*done, *(one for key, one in before.items() if key not in made)], out, arguments.table)
        text = write(done, out, arguments.table)
    print(text)
    print(f"{out}/search.txt, search.json, search.png")


if __name__ == "__main__":
    main()
