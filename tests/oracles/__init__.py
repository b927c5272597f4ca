"""Oracles of the search: problems whose lowest minimum is known, and how that is known.

    from tests.oracles import ORACLES

    oracle = ORACLES["lorenz96-20-L6-1"]
    job = oracle.job(folder)            # writes the data, gives the tables of a job: runner.run(job)
    problem = oracle.problem()          # or the problem itself
    path = oracle.true_path(problem)    # the truth as a flat path
    oracle.reference.action             # the lowest action known
    oracle.solved(action)               # whether a search that ends there has found it

`python -m tests.oracles.make FOLDER` writes all of them as job files.
"""

from .oracle import Oracle
from .problems import ORACLES, families
from .references import Reference

__all__ = ["ORACLES", "Oracle", "Reference", "families"]
