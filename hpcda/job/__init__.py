"""The job file: strict tables, every mistake at once, each with its place."""

from hpcda.job.any import AnyJob
from hpcda.job.changes import refuse_changed, settled
from hpcda.job.load import load_job
from hpcda.job.networks import NetworkJob
from hpcda.job.schema import Job

__all__ = ["AnyJob", "Job", "NetworkJob", "load_job", "refuse_changed", "settled"]
