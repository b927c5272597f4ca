"""The data-assimilation problem, and the layout of its unknowns in a flat path."""

from hpcda.problem.layout import Array, Constant, Layout
from hpcda.problem.problem import Beyond, Estimated, Noise, Numbers, Problem, Window
from hpcda.problem.variables import Variable, Variables

__all__ = [
    "Array", "Beyond", "Constant", "Estimated", "Layout", "Noise", "Numbers", "Problem",
    "Variable", "Variables", "Window",
]  # fmt: skip
