"""Builds the problem from the job: model, data, unknowns; reports all mistakes at once."""

from hpcda.build.job import Built, build_problem
from hpcda.build.network import BuiltNetwork, build_network
from hpcda.build.output import refuse_used
from hpcda.build.truth import Truth

__all__ = ["Built", "BuiltNetwork", "Truth", "build_network", "build_problem", "refuse_used"]
