"""A job of any kind."""

from hpcda.job.networks import NetworkJob
from hpcda.job.schema import Job

AnyJob = Job | NetworkJob
