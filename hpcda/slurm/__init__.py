"""Slurm: site profiles, batch scripts, submission."""

from hpcda.slurm.profile import Profile, load_profile
from hpcda.slurm.script import Batch, analysis_script, job_script
from hpcda.slurm.submit import Submitted, refuse_now, refuse_other_parts, submit

__all__ = [
    "Batch",
    "Profile",
    "Submitted",
    "analysis_script",
    "job_script",
    "load_profile",
    "refuse_now",
    "refuse_other_parts",
    "submit",
]
