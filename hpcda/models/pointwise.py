"""Measured quantities along a trajectory, evaluated by the compiled kernels.

NumPy chooses the code of exp, tanh and powers by processor, and its last bits with it; the kernels do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hpcda.models.expression import Expression
from hpcda.models.graph import Graph
from hpcda.models.trace import Symbol, constant_node
from hpcda.models.traced import Traced
from hpcda.native.kernels import source
from hpcda.native.scalar import scalar_library

Array = npt.NDArray[np.float64]


def at_each_time(expressions: Sequence[Expression], names: Sequence[str], states: Array) -> Array:
    """h(x) at every time.

    Args:
        expressions: The L measured quantities.
        names: Names of the states, and of parameters that the quantities contain.
        states: Their values, shape (N, D).

    Returns:
        Shape (N, L).

    Raises:
        CompilerError: No C compiler, or no place for compiled code.
    """
    place = {name: i for i, name in enumerate(names)}
    if all(one.text in place for one in expressions):
        return states[:, [place[one.text] for one in expressions]]
    graph = Graph()
    symbols = {name: Symbol(graph, graph.input("v", i)) for name, i in place.items()}
    values = [constant_node(graph, one(symbols)) for one in expressions]
    compiled = scalar_library([source(Traced(graph, values, [], [], [], []), "observe")], "pointwise.c")
    x = np.ascontiguousarray(states, dtype=np.float64)
    out = np.empty((len(x), len(expressions)))
    compiled.at_each_time(len(x), len(place), len(expressions), x.ctypes.data, out.ctypes.data)
    return out
