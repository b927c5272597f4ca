"""How far the search goes: Lorenz 1996 on fresh data, fewer sensors, more noise, longer windows, more sites.

    .venv/bin/python tests/benchmarks/search_map.py --out runs/map
    .venv/bin/python tests/benchmarks/search_map.py --out runs/map --problems 'L=8 L=5' --seeds 100 --limit 60
    .venv/bin/python tests/benchmarks/search_map.py --out runs/map --problems 'D=40,L=10 L=4,noise=2'

A problem is a list of what differs from D=20 sites, L=8 of them measured, noise=0.5, times=161, one unknown
forcing ("sites": one for each site). Every seed has a spin-up, a true run from SciPy's DOP853 and noise of
its own, none of them those of the oracles. The job is the default one, on one core, with a limit of
core-seconds. It has solved a problem when it ends at most 1e-6 (relative) above the lowest of eight climbs
from the truth, or lower.

FOLDER gets map.json after every run, map.txt after every problem; --reuse goes on with what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

import hpcda  # noqa: E402
from hpcda import runner  # noqa: E402
from hpcda.action import Action  # noqa: E402
from tests.oracles.climbs import from_truth, polished  # noqa: E402
from tests.oracles.oracle import Generated, Oracle  # noqa: E402
from tests.oracles.problems import sites  # noqa: E402
from tests.oracles.references import SAME  # noqa: E402
from tests.oracles.truth import Source, Truth  # noqa: E402

PROBLEMS = (
    "L=8 L=7 L=6 L=5 L=4 L=3 L=2 L=1 L=8,noise=1 L=8,noise=2 L=5,noise=1 L=5,times=321 L=5,times=641 "
    "D=40,L=10 D=40,L=6 D=100,L=25 D=100,L=15 L=8,sites L=5,sites"
)
FRESH, STARTS = 1000, 1000
"""Seeds from here on are those of no oracle; most starts of a run."""
FORCING, SPREAD = 8.17, 1.0


@dataclass(frozen=True)
class Ring:
    """Lorenz 1996: sites, how many are measured, noise, times; whether each site has a forcing of its own."""

    D: int = 20
    L: int = 8
    noise: float = 0.5
    times: int = 161
    sites: bool = False

    @classmethod
    def of(cls, text: str) -> Ring:
        """From D=40,L=10,noise=1,sites."""
        kinds = {"D": int, "L": int, "times": int, "noise": float}
        given: dict[str, Any] = {}
        for word in text.split(","):
            name, _, value = word.partition("=")
            if name not in {one.name for one in fields(cls)}:
                raise SystemExit(f"{text!r}: {name!r} is none of D, L, noise, times, sites")
            given[name] = kinds[name](value) if name in kinds else True
        return cls(**given)

    def oracle(self, name: str, seed: int, limit: float) -> Oracle:
        """The problem of a seed."""
        forcing: dict[str, Any] = {"estimate": True, "start": [0.0, 20.0], "bounds": [0.0, 20.0]}
        names = [f"F{site}" for site in range(self.D)] if self.sites else ["F"]
        options = {"dimension": self.D, **({"site_forcing": True} if self.sites else {})}
        tables = {
            "model": {"name": "lorenz96", "options": options, "parameters": dict.fromkeys(names, forcing)},
            "action": {"discretization": "hermite-simpson"},
            "ladder": {"rf0": 1e-2, "alpha": 1.5, "rungs": 40},
            "ensemble": {
                "starts": STARTS, "seed": seed, "range": [-10.0, 15.0],
                "budget": "verdict", "core_seconds": limit,
            },
        }  # fmt: skip
        measured = tuple(f"x{site}" for site in sites(self.D, self.L))
        return Oracle(
            name, name, self.L, tables, Generated(cache(lambda: self.truth(seed)), measured, self.noise, seed)
        )

    def truth(self, seed: int) -> Truth:
        """The true run of a seed."""
        back, back_two, ahead = (np.roll(np.arange(self.D), shift) for shift in (1, 2, -1))
        rng = np.random.default_rng([seed, 2])
        forcing = FORCING + (SPREAD * rng.standard_normal(self.D) if self.sites else np.zeros(self.D))
        names = [f"F{site}" for site in range(self.D)] if self.sites else ["F"]
        source = Source(
            rates=lambda t, x: (x[ahead] - x[back_two]) * x[back] - x + forcing,
            names=tuple(f"x{site}" for site in range(self.D)),
            parameters=dict(zip(names, forcing.tolist(), strict=False)),
            first=lambda rng: FORCING + rng.standard_normal(self.D),
            spin_up=20.0,
            dt=0.025,
            times=self.times,
            stimuli={},
        )
        return source.truth(source.begin(seed))


def measure(text: str, seed: int, limit: float) -> dict[str, Any]:
    """One problem, one run."""
    oracle = Ring.of(text).oracle(text, seed, limit)
    with tempfile.TemporaryDirectory() as folder:
        run = hpcda.open_run(runner.run(oracle.job(folder), output=Path(folder) / "run", quiet=True))
        problem, ladder = oracle.problem(), oracle.ladder
        action = Action(problem)
        ends = polished(action, ladder, from_truth(action, ladder, oracle.true_path(problem)))
        reference = min(one.rung.parts.total for one in ends if one.rung.reason.converged)
        lowest = run.levels[0].action if run.levels else np.inf
        return {
            "problem": text, "seed": seed, "limit": limit,
            "solved": bool(lowest <= reference * (1.0 + SAME)),
            "lower": bool(lowest < reference * (1.0 - SAME)),
            "stable": run.verdict.stable, "verdict": run.verdict.code,
            "seconds": float(run.outcome.seconds.sum()), "starts": len(run.outcome.start),
            "reference": reference, "lowest": lowest,
            "ways": dict(run.levels[0].ways) if run.levels else {},
        }  # fmt: skip


def table(runs: list[dict[str, Any]]) -> str:
    """A line a problem."""
    lines = [
        f"{'problem':24s} {'solved':>9s} {'stable if solved':>17s} {'if missed':>10s} "
        f"{'core-s median':>14s} {'90 %':>7s} {'starts':>7s}"
    ]
    for problem in dict.fromkeys(run["problem"] for run in runs):
        mine = [run for run in runs if run["problem"] == problem]
        hits, misses = ([run for run in mine if run["solved"] is value] for value in (True, False))
        seconds = [run["seconds"] for run in mine]
        lines.append(
            f"{problem:24s} {len(hits):4d}/{len(mine):<4d} "
            f"{sum(run['stable'] for run in hits):8d}/{len(hits):<8d} "
            f"{sum(run['stable'] for run in misses):5d}/{len(misses):<4d} "
            f"{np.median(seconds):14.3f} {np.quantile(seconds, 0.9):7.2f} "
            f"{np.median([run['starts'] for run in mine]):7.0f}"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="where the results go")
    parser.add_argument("--problems", default=PROBLEMS, help="what differs, separated by spaces")
    parser.add_argument("--seeds", type=int, default=8, help="data sets a problem")
    parser.add_argument("--first", type=int, default=FRESH, help="first seed")
    parser.add_argument("--limit", type=float, default=60.0, help="core-seconds a run")
    parser.add_argument("--reuse", action="store_true", help="go on with what is in FOLDER")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "map.json"
    runs: list[dict[str, Any]] = json.loads(file.read_text()) if arguments.reuse and file.exists() else []
    known = {(run["problem"], run["seed"]) for run in runs}
    for text in arguments.problems.split():
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            if (text, seed) not in known:
                runs.append(measure(text, seed, arguments.limit))
                file.write_text(json.dumps(runs, indent=1))
        (arguments.out / "map.txt").write_text(table(runs))
        print(table(runs).splitlines()[-1], flush=True)
    print(table(runs))


if __name__ == "__main__":
    main()
