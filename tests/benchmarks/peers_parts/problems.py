"""The problems of the comparison and their ladders: jobs of hpcda, whose twins follow from them."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpcda.annealing import Ladder
from hpcda.build import build_problem
from hpcda.job import load_job
from hpcda.problem import Problem, Window

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("HPCDA_SHARED", ROOT.parent / "shared"))
FACTORS = (1.5, 2.0, 4.0, 10.0)
"""About the factors from rung to rung among which every solver may choose, beside the common ladder."""
SITES = {20: (0, 2, 4, 6, 8, 10, 14, 16)}


@dataclass(frozen=True)
class Case:
    """One problem of the comparison.

    Attributes:
        name: As --problems names it.
        job: Writes the job, as the tables of its file.
        rf0: Rf of the first rung, for all ladders.
        last: Rf of the last rung, for all ladders.
        rungs: Rungs of the ladder that all solvers have in common.
    """

    name: str
    job: Callable[[], dict]
    rf0: float
    last: float
    rungs: int

    def problem(self, folder: Path) -> Problem:
        """The problem; the data of a twin are made once and kept in `folder`."""
        job = self.job()
        if "twin" not in job:
            return build_problem(load_job(job)).problem
        key = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:12]
        file = folder / f"{self.name}-{key}.npz"
        if not file.is_file():
            problem = build_problem(load_job(job)).problem
            folder.mkdir(parents=True, exist_ok=True)
            np.savez(file, **vars(problem.windows[0]))
        kept = Window(**np.load(file))
        short = {**job["twin"], "spin_up": 0.0, "samples": 3, "hold_back": 0}
        problem = build_problem(load_job({**job, "twin": short})).problem
        return replace(problem, windows=(kept,))

    def shortened(self) -> Case:
        """The same problem, the common ladder cut down to 8 rungs for a smoke test."""
        return replace(self, last=self.rf0 * 1e4, rungs=8)

    def ladder(self, rungs: int) -> Ladder:
        """The ladder of so many rungs from rf0 to last."""
        return Ladder(self.rf0, (self.last / self.rf0) ** (1 / (rungs - 1)), rungs)

    def choices(self, factors: tuple[float, ...] = FACTORS) -> list[int]:
        """Numbers of rungs of all ladders, the common one first."""
        ratio = np.log(self.last / self.rf0)
        return list(dict.fromkeys([self.rungs, *(round(ratio / np.log(f)) + 1 for f in factors)]))


def lorenz96(dimension: int, scheme: str) -> dict:
    """About 0.4 of the sites measured, the forcing estimated."""
    measured = dimension * 2 // 5
    sites = SITES.get(dimension, tuple(k * dimension // measured for k in range(measured)))
    return {
        "model": {
            "name": "lorenz96",
            "options": {"dimension": dimension},
            "parameters": {"F": {"estimate": True, "start": [4.0, 14.0]}},
        },
        "twin": {
            "parameters": {"F": 8.17}, "dt": 0.025, "samples": 161, "spin_up": 20.0,
            "observed": [f"x{site}" for site in sites], "noise_std": 0.5, "seed": 1,
        },
        "action": {"discretization": scheme},
        "ladder": {"rf0": 1e-2, "alpha": 1.5, "rungs": 40},
        "ensemble": {"starts": 1, "range": [-10.0, 15.0], "way": "uniform"},
    }  # fmt: skip


def minaone() -> dict:
    """Set 1 of yejingxin/minAone with its settings, from $HPCDA_SHARED or ../shared beside the checkout."""
    sites = range(4)
    return {
        "model": {
            "name": "lorenz96",
            "options": {"dimension": 10},
            "parameters": {"F": {"estimate": True, "start": [0.0, 20.0], "bounds": [0.0, 20.0]}},
            "states": {f"x{site}": {"bounds": [-15.0, 15.0]} for site in range(10)},
        },
        "data": {
            "file": str(SHARED / "data" / "lorenz96-minaone" / "set1.csv"),
            "time": 0,
            "observed": {f"x{site}": site + 1 for site in sites},
            "noise_std": 1.0,
        },
        "action": {"discretization": "hermite-simpson"},
        "ladder": {"rf0": 1e-2, "alpha": 2.0, "rungs": 30},
        "ensemble": {"starts": 1, "range": [-15.0, 15.0], "way": "uniform"},
    }


def kuramoto_sivashinsky() -> dict:
    """64 sites on a ring of length 22, every fourth measured, nu estimated."""
    return {
        "model": {
            "name": "kuramoto_sivashinsky",
            "options": {"dimension": 64},
            "parameters": {"nu": {"estimate": True, "start": [0.5, 2.0]}},
        },
        "twin": {
            "dt": 0.25, "samples": 161, "spin_up": 100.0,
            "observed": [f"u{site}" for site in range(0, 64, 4)], "noise_std": 0.2, "seed": 1,
        },
        "action": {"discretization": "trapezoid"},
        "ladder": {"rf0": 1e-2, "alpha": 1.5, "rungs": 40},
        "ensemble": {"starts": 1, "way": "uniform"},
    }  # fmt: skip


def experiment(name: str) -> dict:
    """The experiment jobs/NAME/job.toml, its data where they are."""
    folder = ROOT / "jobs" / name
    job = tomllib.loads((folder / "job.toml").read_text())
    del job["data"]["truth"]
    return {**job, "data": {**job["data"], "file": str(folder / job["data"]["file"])}}


def _cases() -> dict[str, Case]:
    found = [
        Case(
            f"lorenz96-{dimension}-{short}",
            lambda dimension=dimension, scheme=scheme: lorenz96(dimension, scheme),
            1e-2,
            1e-2 * 1.5**39,
            40,
        )
        for short, scheme in (("trap", "trapezoid"), ("hs", "hermite-simpson"))
        for dimension in (5, 10, 20, 40, 100)
    ]
    found += [
        Case("lorenz96-400-trap", lambda: lorenz96(400, "trapezoid"), 1e-2, 1e-2 * 1.5**39, 40),
        Case("minaone-1", minaone, 1e-2, 1e-2 * 2.0**29, 30),
        Case("nakl", lambda: experiment("nakl"), 1e-4, 1e-4 * 2.0**33, 24),
        Case("colpitts", lambda: experiment("colpitts"), 1e-2, 1e-2 * 4.0**18, 19),
        Case("lorenz63", lambda: experiment("lorenz63"), 1e-2, 1e-2 * 2.0**29, 30),
        Case("kuramoto-64", kuramoto_sivashinsky, 1e-2, 1e-2 * 1.5**39, 40),
    ]
    return {case.name: case for case in found}


CASES = _cases()
