"""What is asked of hpcda from Python: problems of arrays and objects in memory, and jobs in files."""

from hpcda.face.in_memory import anneal
from hpcda.face.network_problem import NetworkProblem
from hpcda.face.options import Data, Estimate, Ladder, Prior, Solver
from hpcda.face.problem import Problem
from hpcda.face.stored import resume, run

__all__ = [
    "Data",
    "Estimate",
    "Ladder",
    "NetworkProblem",
    "Prior",
    "Problem",
    "Solver",
    "anneal",
    "resume",
    "run",
]
