"""The numbers that are random in the tests: all of them from one seed, HPCDA_TEST_SEED (default 0).

What a test says of any problem, any path, any order of events is tried on other ones with each seed; what
defines an oracle or a regression value has a seed of its own and does not come here. HPCDA_FUZZ says how many
times as many cases hypothesis draws.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np

SEED = int(os.environ.get("HPCDA_TEST_SEED") or 0)
FACTOR = int(os.environ.get("HPCDA_FUZZ") or 1)
if SEED < 0 or FACTOR < 1:
    raise ValueError(f"HPCDA_TEST_SEED={SEED} is to be 0 or more, HPCDA_FUZZ={FACTOR} 1 or more")


def generator(*key: int) -> np.random.Generator:
    """NumPy's generator for this key, at most three numbers, and the seed."""
    assert len(key) <= 3, "up to four numbers NumPy takes as if followed by zeros: seed 0 is the key alone"
    return np.random.default_rng([*key, SEED])  # noqa: TID251


def number(own: int) -> int:
    """A seed of a job: `own` at seed 0, and never the same for two seeds while `own` is below 1000."""
    return own + 1000 * SEED


def events(name: str) -> random.Random:
    """Python's generator, for when a run is killed and the like."""
    return random.Random(f"{name} {SEED}" if SEED else name)


def hypothetical(test: Callable[..., Any]) -> None:
    """Let hypothesis draw a test's cases from the seed; at seed 0 it draws them from the test's own text."""
    if SEED:
        hypothesis.seed(f"{SEED} {test.__module__}.{test.__qualname__}")(test)
