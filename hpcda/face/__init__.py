"""What is asked of hpcda in a notebook, with arrays and objects in place of files: one process, no MPI."""

from hpcda.face.options import Data, Estimate, Ladder, Prior, Solver
from hpcda.face.problem import Problem

__all__ = ["Data", "Estimate", "Ladder", "Prior", "Problem", "Solver"]
