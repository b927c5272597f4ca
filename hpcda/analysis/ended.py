"""What summary.json holds of runs of any kind: how the starts ended, what they cost, the minima."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hpcda.analysis.levels import Minimum
from hpcda.analysis.outcome import Outcome
from hpcda.results.table import RunTable

VERSION = 1
GIVEN_UP = "too far above the lowest level"
"""Why a search ends a start whose path is a minimum."""


class Ended(Protocol):
    """A run of any kind that has ended."""

    @property
    def file(self) -> RunTable:
        """Its files."""
        ...

    @property
    def outcome(self) -> Outcome:
        """How every start ended."""
        ...

    @property
    def levels(self) -> tuple[Minimum, ...]:
        """Distinct minima, lowest first."""
        ...

    @property
    def candidate(self) -> Minimum | None:
        """The lowest of them."""
        ...


def ended_record(run: Ended) -> dict[str, Any]:
    """How many starts there are, how they ended, and why."""
    header, outcome = run.file.header, run.outcome
    names = {code: name for code, (name, _) in header.reasons.items()}
    stopped = ~outcome.failed & ~outcome.complete
    given_up = stopped & run.file.finished & (outcome.reason > 0)

    def reasons(which: npt.NDArray[np.bool_]) -> dict[str, int]:
        return dict(
            Counter(names.get(int(code), f"code {code}") for code in outcome.reason[which]).most_common()
        )

    return {
        "starts": len(outcome.start),
        "asked": max(header.starts, len(outcome.start)),
        "complete": int(outcome.complete.sum()),
        "stopped": int(stopped.sum()),
        "failed": int(outcome.failed.sum()),
        "failed_reasons": reasons(outcome.failed),
        "stopped_reasons": ({GIVEN_UP: int(given_up.sum())} if given_up.any() else {})
        | reasons(stopped & ~given_up),
    }


def as_record(minimum: Minimum) -> dict[str, Any]:
    """One minimum as plain values."""
    record = asdict(minimum)
    record["starts"] = list(minimum.starts)
    record["limit"] = minimum.limit
    return record


def timing(run: Ended) -> dict[str, Any]:
    """What the ensemble cost."""
    outcome, header = run.outcome, run.file.header
    ranks_per_start = int(header.provenance.get("ranks_per_start", "1") or 1)
    seconds = outcome.seconds * ranks_per_start
    opened, closed = header.clock[:, 0], header.clock[:, 1]
    order = np.argsort(opened)
    wall, until = 0.0, -np.inf
    for begin, end in zip(opened[order], closed[order], strict=True):
        if np.isfinite(end):
            wall += max(0.0, end - max(begin, until))
            until = max(until, end)
    hits = run.candidate.count if run.candidate else 0
    return {
        "core_seconds": float(seconds.sum()),
        "median_start_seconds": float(np.median(seconds)),
        "longest_start_seconds": float(seconds.max()),
        "core_seconds_per_hit": float(seconds.sum() / hits) if hits else None,
        "iterations": int(outcome.iterations.sum()),
        "rungs": int(run.file.visited.sum()),
        "merged": int((run.file.same_as != run.file.start).sum()),
        "rungs_saved": int(run.file.taken_over.sum()),
        "ranks": int(header.provenance.get("ranks", header.ranks)),
        "ranks_per_start": ranks_per_start,
        "wall_seconds": wall,
    }


def ways(run: Ended) -> list[dict[str, Any]]:
    """Starts, failures and hits of the candidate by way the start began and first rung.

    How often a level was hit says nothing about what other ways would have found: coverage is stated for
    each.
    """
    outcome, header = run.outcome, run.file.header
    hits = np.isin(outcome.start, run.candidate.starts if run.candidate else ())
    table = []
    for way, first in sorted(set(zip(outcome.way.tolist(), outcome.first_rung.tolist(), strict=True))):
        which = (outcome.way == way) & (outcome.first_rung == first)
        found = sum(bool(set(minimum.starts) & set(outcome.start[which].tolist())) for minimum in run.levels)
        table.append(
            {
                "way": header.ways[way],
                "first_rung": first,
                "first_beta": int(header.beta[first]) if 0 <= first < len(header.beta) else None,
                "starts": int(which.sum()),
                "failed": int((which & outcome.failed).sum()),
                "stopped": int((which & ~outcome.failed & ~outcome.complete).sum()),
                "minima": found,
                "hits": int((which & hits).sum()),
                "core_seconds": float(outcome.seconds[which].sum()),
            }
        )
    return table


def plain(value: Any) -> Any:
    """JSON's own types: no NumPy, no NaN, no infinity."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
