"""The data-assimilation problem, and the layout of its unknowns in a flat path."""

from hpcda.problem.layout import Array, Constant, Layout, Piece
from hpcda.problem.problem import Beyond, Estimated, Noise, Numbers, Problem, Window

__all__ = [
    "Array", "Beyond", "Constant", "Estimated", "Layout", "Noise", "Numbers", "Piece", "Problem", "Window",
]  # fmt: skip
