"""The lowest minimum that is known of each oracle, as references.json keeps it.

`python -m tests.oracles.make --references` finds it again: climbs from the truth and, where there is none,
from quiet paths; IPOPT from the truth at the last rung alone. A search that found something lower is written
down as "search", with the way it took.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("references.json")
SAME = 1e-6
"""Relative difference up to which two actions belong to the same minimum."""


@dataclass(frozen=True)
class Reference:
    """The lowest minimum that is known of a problem.

    Attributes:
        action: Its action at the last rung.
        measurement: The measurement part of it.
        parameters: The estimated parameters there.
        values: Number of data values; noise alone gives a measurement part of about half of it.
        error: Root mean square of the unmeasured states' errors; NaN where the truth is not known.
        how: How it was found.
        ipopt: The action that IPOPT reaches from the truth at the last rung; NaN where it was not asked.
        checksum: Three sums over the data, see `checksum`; empty for data of others.
    """

    action: float
    measurement: float
    parameters: dict[str, float]
    values: int
    error: float
    how: str
    ipopt: float
    checksum: tuple[float, ...]

    @property
    def reduced(self) -> float:
        """The reduced level: 1 where path and data agree."""
        return 2.0 * self.measurement / self.values

    @property
    def consistent(self) -> bool:
        """Whether noise alone explains the action: half of χ² and three standard deviations."""
        return bool(self.action <= 0.5 * self.values + 3.0 * np.sqrt(0.5 * self.values))


@cache
def references() -> dict[str, Reference]:
    """All of them, by the names of their oracles."""
    read = json.loads(FILE.read_text())
    return {
        name: Reference(
            **{
                **one,
                "error": float("nan") if one["error"] is None else one["error"],
                "ipopt": float("nan") if one["ipopt"] is None else one["ipopt"],
                "checksum": tuple(one["checksum"]),
            }
        )
        for name, one in read.items()
    }


def reference_of(name: str) -> Reference:
    """The reference of an oracle."""
    return references()[name]


def write(found: dict[str, Reference]) -> None:
    """Write references.json, one line a reference."""

    def text(one: Reference) -> str:
        known = {key: None if value != value else value for key, value in vars(one).items()}
        return json.dumps(known)

    lines = ",\n".join(f' "{name}": {text(one)}' for name, one in found.items())
    FILE.write_text(f"{{\n{lines}\n}}\n")
    references.cache_clear()


def checksum(values: np.ndarray) -> tuple[float, ...]:
    """Mean, root mean square and a sum with alternating weights of data, shape (N, L).

    Machines differ by 1e-9 in chaotic data, so that no digest of their bits would do.
    """
    flat = values.ravel()
    weights = np.cos(1.7 * np.arange(len(flat)))
    sums = flat.mean(), np.sqrt(np.mean(flat**2)), float(weights @ flat) / np.sqrt(len(flat))
    return tuple(round(float(one), 8) for one in sums)
