"""The data-assimilation problem, and the layout of its unknowns in a flat path."""

from hpcda.problem.layout import Array, Constant, Layout
from hpcda.problem.problem import Beyond, Estimated, Noise, Numbers, Problem, Walk, Window
from hpcda.problem.ties import Ties
from hpcda.problem.variables import Variable, Variables

__all__ = [
    "Array", "Beyond", "Constant", "Estimated", "Layout", "Noise", "Numbers", "Problem", "Ties",
    "Variable", "Variables", "Walk", "Window",
]  # fmt: skip
