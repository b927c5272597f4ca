"""Jobs whose runs tests interrupt: seconds long, each with something that must survive."""

from __future__ import annotations

import copy
from typing import Any

from tests.chance import number

PLAIN: dict[str, Any] = {
    "model": {"name": "lorenz63", "parameters": {"rho": {"estimate": True, "start": [20.0, 40.0]}}},
    "twin": {
        "dt": 0.02,
        "samples": 41,
        "spin_up": 1.0,
        "observed": ["x", "z"],
        "noise_std": 0.5,
        "seed": number(1),
    },
    "action": {"discretization": "trapezoid"},
    "ladder": {"rf0": 1e-2, "alpha": 8.0, "rungs": 7},
    "ensemble": {"starts": 24, "seed": number(3), "way": "uniform", "merge": False},
}


def job(*changes: dict[str, dict[str, Any]], **tables: dict[str, Any]) -> dict[str, Any]:
    """The plain job with some keys changed, as job(ensemble={"starts": 3})."""
    changed = copy.deepcopy(PLAIN)
    for one in (*changes, tables):
        for table, values in one.items():
            changed.setdefault(table, {}).update(copy.deepcopy(values))
    return changed


WRONG: dict[str, dict[str, Any]] = {
    "model": {"parameters": {**PLAIN["model"]["parameters"], "sigma": {"value": 14.0}}},
    "twin": {"parameters": {"sigma": 10.0}, "samples": 81, "observed": ["x"], "noise_std": 0.1},
    "ensemble": {"way": "auto", "starts": 64, "budget": "starts"},
}
"""A model that is wrong, so that no level agrees with the data and a search tries escapes."""
