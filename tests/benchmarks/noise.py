"""Noise in path space as a search: hits per core-second beside restarts and other escapes, on fresh problems.

    .venv/bin/python tests/benchmarks/noise.py --out runs/noise
    .venv/bin/python tests/benchmarks/noise.py --out runs/noise --problems 'L=4 L=3' --seeds 8 --seconds 6

A problem is one of tests/benchmarks/search_map.py, Lorenz 1996 on fresh data. Every method begins with the
lowest minimum of eight smoothed starts that is not the level of the truth: a search that is stuck. An escape
goes on from the lowest minimum that it has found itself. It may take so many core-seconds, compilation apart,
and has solved the problem when it comes to the lowest of eight climbs from the truth (+1e-6), or lower.

    uniform, quiet, noise, smoother   restarts: first paths of that way, climbing from the first of its shares
    langevin                          kicks by the stochastic Euler-Lagrange equation, annealed in temperature
    opening, neighborhood, …          the other escapes from one minimum

FOLDER gets noise.json after every run and noise.txt after every problem.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from hpcda.annealing.lockstep import Lockstep  # noqa: E402
from hpcda.search import WAYS, SearchContext  # noqa: E402
from hpcda.search.escapes import ESCAPES  # noqa: E402
from tests.benchmarks.search_map import FRESH, Ring  # noqa: E402
from tests.oracles.climbs import from_truth, polished  # noqa: E402
from tests.oracles.references import SAME  # noqa: E402

LANES, TICKS = 8, 50
METHODS = "uniform noise smoother langevin opening neighborhood"


def starts(context: SearchContext, method: str, seed: int, minimum: Any) -> Any:
    """A function (start, lowest minimum) -> first path and rung."""

    def draw(start: int, lowest: Any) -> Any:
        rng = np.random.default_rng([seed, start])
        if method in WAYS:
            way = WAYS[method]
            return way.draw(context, rng), context.rung(way.shares[start % len(way.shares)])
        return ESCAPES[method].draw(context, [lowest], rng)

    return draw


def run(
    context: SearchContext, draw: Any, seconds: float, goal: float, lowest: Any, stop: bool = False
) -> Any:
    """The ends of starts: (core-seconds, action, path), 8 at a time."""
    lockstep, ends, start = Lockstep(context.action, context.ladder, LANES), [], 0
    best = np.inf if lowest is None else lowest[0]
    path = None if lowest is None else lowest[1]
    began, drawing = time.process_time(), 0.0
    while True:
        for lane in lockstep.empty:
            now = time.process_time()
            first, rung = draw(start, path)
            drawing += time.process_time() - now
            lockstep.put(int(lane), start, first, rung, True)
            start += 1
        lockstep.advance(TICKS)
        now = time.process_time() - began
        for one in lockstep.reached():
            if one.rung.number == context.ladder.rungs - 1 and one.rung.reason.converged and now <= seconds:
                ends.append((now, one.rung.parts.total, one.rung.path))
                if lowest is not None and one.rung.parts.total < best and one.rung.parts.total > goal:
                    best, path = one.rung.parts.total, one.rung.path
        if now > seconds or (stop and len(ends) >= 8):
            return ends, drawing


def measure(text: str, seed: int, methods: list[str], seconds: float) -> list[dict[str, Any]]:
    """One problem, all methods."""
    oracle = Ring.of(text).oracle(text, seed, seconds)
    context = SearchContext(oracle.problem(), oracle.ladder)
    levels = polished(
        context.action,
        oracle.ladder,
        from_truth(context.action, oracle.ladder, oracle.true_path(context.problem)),
    )
    reference = min(one.rung.parts.total for one in levels if one.rung.reason.converged)
    goal = reference + SAME * abs(reference)
    begun, _ = run(context, starts(context, "smoother", seed, None), 1e9, goal, None, stop=True)
    stuck = sorted((action, number) for number, (_, action, _) in enumerate(begun) if action > goal + 1.0)
    if not stuck:
        return []
    minimum = (stuck[0][0], begun[stuck[0][1]][2])
    found = []
    for method in methods:
        ends, drawing = run(context, starts(context, method, seed + 1, None), seconds, goal, minimum)
        hits = [when for when, action, _ in ends if action <= goal]
        found.append(
            {
                "problem": text, "seed": seed, "method": method, "stuck": minimum[0] - reference,
                "solved": bool(hits), "first": hits[0] if hits else np.inf, "hits": len(hits),
                "starts": len(ends), "drawing": drawing,
                "lowest": min([action for _, action, _ in ends], default=np.inf) - reference,
            }
        )  # fmt: skip
    return found


def table(rows: list[dict[str, Any]], seconds: float) -> str:
    """Methods x problems: problems solved, median time to the first hit, hits per core-second."""
    problems, methods = (list(dict.fromkeys(row[key] for row in rows)) for key in ("problem", "method"))
    lines = [f"{'':24s}" + "".join(f"{name:>28s}" for name in problems)]
    for method in methods:
        cells = []
        for problem in problems:
            here = [row for row in rows if row["method"] == method and row["problem"] == problem]
            first = float(np.median([row["first"] for row in here]))
            rate = sum(row["hits"] for row in here) / (seconds * len(here))
            ends = sum(row["starts"] for row in here)
            middle = f"{first:.1f} s" if np.isfinite(first) else "–"
            solved, every = sum(row["solved"] for row in here), ends / seconds / len(here)
            cells.append(f"{solved}/{len(here)} {middle} {rate:.2f}/s of {every:.1f}/s")
        lines.append(f"{method:24s}" + "".join(f"{cell:>28s}" for cell in cells))
    return "\n".join(
        [
            *lines,
            "solved of problems, median core-seconds to the first hit, hits and ended starts per core-second",
        ]
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--problems", default="L=5 L=4 L=3")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--first", type=int, default=FRESH)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=6.0)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for text in given.problems.split():
        for seed in range(given.first, given.first + given.seeds):
            new = measure(text, seed, given.methods.split(), given.seconds)
            for row in new:
                print(
                    *(f"{value:.3g}" if isinstance(value, float) else value for value in row.values()),
                    flush=True,
                )
            rows += new
            (given.out / "noise.json").write_text(json.dumps(rows, indent=1))
        (given.out / "noise.txt").write_text(table(rows, given.seconds) + "\n")
    print(table(rows, given.seconds))


if __name__ == "__main__":
    main()
