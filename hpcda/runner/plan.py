"""The starts of a run, and the share of them that one part of it computes."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpcda.job import Job
from hpcda.search import Auto, Budget, Plain, Plan, SearchContext, Share

ROUND, GROUP_ROUND = 4096, 16
"""Starts of the plain ensemble that are run side by side: at least so many, and so many a group of ranks."""
HELD = 5e8
"""Bytes of paths that a group of ranks may hold for them, where that leaves it `GROUP_ROUND` starts."""


def plan_of(job: Job, context: SearchContext, world: Any, share: Share) -> Plan:
    """Which starts are run."""
    ensemble = job.ensemble
    if ensemble.way == "auto":
        seconds = (ensemble.core_seconds or np.inf) / share.parts
        budget = Budget(share.count(ensemble.starts), seconds, ensemble.ends == "verdict")
        files = [one.sha256 for one in job.extension_files]
        return Auto(context, ensemble.seed, budget, share, files)
    held = int(HELD / (8 * context.problem.size))
    round_of_all = max(GROUP_ROUND, min(ROUND // world.groups, held)) * world.groups
    return Plain(ensemble.way, context.ladder, share.count(ensemble.starts), round_of_all, share)
