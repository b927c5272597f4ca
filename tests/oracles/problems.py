"""The oracles: Lorenz 1996 with fewer and fewer sites measured, an oscillator, a neuron, data of others.

lorenz96-10-L4 … L2    10 sites, 4, 3 or 2 of them measured, evenly spaced; seeds 1 … 4
lorenz96-20-L8 … L2    20 sites, 8 … 2 of them measured; seeds 1 … 4
colpitts, nakl         the experiments of jobs/ on other data; seeds 1 … 4, and 6, 2 (three spikes)
minaone-set1, -set5    yejingxin/minAone, shipped data sets 1 and 5, its settings
varanneal              paulrozdeba/varanneal, its example
"""

from __future__ import annotations

import tomllib
from functools import partial
from typing import Any

from hpcda.job import load_job

from .oracle import ROOT, Generated, Oracle, Shared
from .truth import SEEDS, true_run


def families() -> list[str]:
    """The families, in order."""
    return list(dict.fromkeys(oracle.family for oracle in ORACLES.values()))


def sites(dimension: int, measured: int) -> list[int]:
    """Evenly spaced sites of a ring."""
    return [k * dimension // measured for k in range(measured)]


def _forced(dimension: int, ladder: dict[str, Any], states: list[float], bounded: bool) -> dict[str, Any]:
    """Lorenz 1996 with an unknown forcing in [0, 20]."""
    forcing: dict[str, Any] = {"estimate": True, "start": [0.0, 20.0]}
    model: dict[str, Any] = {"name": "lorenz96", "options": {"dimension": dimension}}
    return {
        "model": model | {"parameters": {"F": forcing | ({"bounds": [0.0, 20.0]} if bounded else {})}},
        "action": {"discretization": "hermite-simpson"},
        "ladder": ladder,
        "ensemble": {"starts": 8, "seed": 1, "range": states},
    }


def _lorenz96(dimension: int, measured: int, seed: int) -> Oracle:
    family = f"lorenz96-{dimension}-L{measured}"
    tables = _forced(dimension, {"rf0": 1e-2, "alpha": 1.5, "rungs": 40}, [-10.0, 15.0], True)
    truth = partial(true_run, f"lorenz96-{dimension}", seed)
    names = tuple(f"x{site}" for site in sites(dimension, measured))
    return Oracle(f"{family}-{seed}", family, measured, tables, Generated(truth, names, 0.5, seed))


def _experiment(name: str, measured: str, noise_std: float, seed: int) -> Oracle:
    """The model, action and ladder of jobs/NAME/job.toml, whose ladder is given by its number of rungs."""
    read = tomllib.loads((ROOT / "jobs" / name / "job.toml").read_text())
    ladder = load_job(read).ladder
    tables = {key: read[key] for key in ("model", "action")} | {
        "ladder": {"rf0": ladder.rf0, "alpha": ladder.alpha, "rungs": ladder.count},
        "ensemble": {"starts": 8, "seed": 1},
    }
    data = Generated(partial(true_run, name, seed), (measured,), noise_std, seed)
    return Oracle(f"{name}-{seed}", name, 1, tables, data)


PEERS_LADDER = {"rf0": 1e-2, "alpha": 2.0, "rungs": 30}


def _minaone(number: int) -> Oracle:
    """Sites 0 … 3 of 10 measured, states in [-15, 15] with bounds."""
    tables = _forced(10, PEERS_LADDER, [-15.0, 15.0], True)
    tables["model"]["states"] = {f"x{site}": {"bounds": [-15.0, 15.0]} for site in range(10)}
    data = Shared(f"lorenz96-minaone/set{number}.csv", {f"x{site}": site + 1 for site in range(4)}, 1.0)
    return Oracle(f"minaone-set{number}", f"minaone-set{number}", 4, tables, data)


def _varanneal() -> Oracle:
    """8 of 20 sites measured."""
    tables = _forced(20, PEERS_LADDER, [-10.0, 10.0], False)
    measured = {f"x{site}": site + 1 for site in (0, 2, 4, 6, 8, 10, 14, 16)}
    data = Shared("lorenz96-varanneal/lorenz96_d20_n161_dt0.025_sigma0.5.npy", measured, 0.5)
    return Oracle("varanneal", "varanneal", 8, tables, data)


def _all() -> list[Oracle]:
    rings = {10: (4, 3, 2), 20: (8, 7, 6, 5, 4, 3, 2)}
    return [
        *(
            _lorenz96(dimension, measured, seed)
            for dimension, counts in rings.items()
            for measured in counts
            for seed in SEEDS[f"lorenz96-{dimension}"]
        ),
        *(_experiment("colpitts", "x1", 0.2, seed) for seed in SEEDS["colpitts"]),
        *(_experiment("nakl", "V", 1.0, seed) for seed in SEEDS["nakl"]),
        *(_minaone(number) for number in (1, 5)),
        _varanneal(),
    ]


ORACLES: dict[str, Oracle] = {oracle.name: oracle for oracle in _all()}
