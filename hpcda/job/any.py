"""A job of any kind: data assimilation or network."""

from hpcda.job.networks import NetworkJob
from hpcda.job.schema import Job

AnyJob = Job | NetworkJob
