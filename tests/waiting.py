"""Waiting for what has to happen: tests wait for conditions, not for a time that is thought to be enough."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 120.0
"""Seconds after which what has not happened is said never to: far beyond what the slowest machine takes."""


def until(happened: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until something has happened.

    Args:
        happened: Whether it has.
        what: What it is, for the one who reads that it has not.
        patience: Seconds after which it never will.

    Raises:
        AssertionError: It has not happened.
    """
    end = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < end, f"{what}: not within {patience:g} s"
        time.sleep(0.005)
