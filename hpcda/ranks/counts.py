"""Counters of an ensemble's progress."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """How far the ensemble is: starts ended and failed, rungs done, lowest final action."""

    done: int
    failed: int
    rungs: int
    lowest: float
