"""From a job to a run: the problem, the ensemble over all ranks, the store."""

from hpcda.run.life import resume, run

__all__ = ["resume", "run"]
