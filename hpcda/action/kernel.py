"""Kernels: functions h(v; c) of a few unknowns v and constants c, from which factors are built.

A kernel is either traced, plain Python that becomes straight-line code (`traced_kernel`), or native, loops in
C around traced functions, for what straight-line code would be too long for (`hpcda.action.interval`,
`hpcda.action.layer`). Both give their values, the entries of their Jacobian and those of the Hessian of μ·h
that are not zero by their form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.models.trace import Symbol
from hpcda.models.traced import Traced, trace
from hpcda.native.kernels import source

Pair = tuple[int, int]
Shape = tuple[int, ...]

ARGUMENTS = "const vd *v, const vd *c, const vd *s, const vd *t, const vd *mu, vd *out"
_TIMED = """static void {name}_{what}({arguments}) {{
  (void)s; (void)t;
  {name}_timed_{what}(v, c, c + {series}, c + {time}, mu, out);
}}
"""


@dataclass(frozen=True, eq=False)
class Kernel:
    """A vector function of unknowns and constants.

    Attributes:
        rows: Length of h.
        unknowns: Length of v.
        constants: Length of c.
        jacobian: (row, unknown) of the entries of ∂h/∂v, row after row.
        hessian: (unknown, unknown) of the entries of ∂²(μ·h)/∂v², each pair once.
        curvature: Where a C function `curvature` adds Jᵀ diag(w) J + ∂²(μ·h)/∂v² by itself: its entries, each
            pair once; the kernel then is for squares alone, and `hessian` is empty.
        code: Name -> C code of the functions name_values, name_jacobian, name_hessian, name_curvature.
        files: C files that this code needs.
        room: Vectors of scratch that the functions need behind what they return.
    """

    rows: int
    unknowns: int
    constants: int
    jacobian: Sequence[Pair]
    hessian: Sequence[Pair]
    code: Callable[[str], str]
    curvature: Sequence[Pair] = ()
    files: tuple[str, ...] = ()
    room: int = 0


def traced_kernel(
    function: Callable[..., Any],
    unknowns: Mapping[str, Shape],
    constants: Mapping[str, Shape] | None = None,
) -> Kernel:
    """Trace ``function(**pieces)``, which takes arrays by name and returns the rows of h in any shape.

    Args:
        function: Plain Python with operators and NumPy functions, `W @ x` too.
        unknowns: Name -> shape of the pieces of v, which stand one after the other; () is a number.
        constants: Name -> shape of the pieces of c.

    Raises:
        InputError: The function does what cannot be differentiated, or returns what is not a number.
    """
    constants = constants or {}

    def rows(given: Callable[[str, int], Symbol]) -> list[Any]:
        pieces = _pieces("v", unknowns, given) | _pieces("c", constants, given)
        return list(np.ravel(np.array(function(**pieces), dtype=object)))

    return kernel_of(trace(rows), _length(unknowns), _length(constants))


def kernel_of(traced: Traced, unknowns: int, constants: int, series: int | None = None) -> Kernel:
    """The kernel of a traced function of `unknowns` variables ("v") and `constants` ("c").

    Args:
        traced: The function.
        unknowns: Number of its variables.
        constants: Number of its constants.
        series: Number of known series ("s"); with them and the time ("t") the kernel's constants go on.
    """
    if series is None:
        return Kernel(
            traced.rows,
            unknowns,
            constants,
            traced.jacobian,
            traced.hessian,
            lambda name: source(traced, name),
        )

    def code(name: str) -> str:
        return source(traced, f"{name}_timed") + "".join(
            _TIMED.format(
                arguments=ARGUMENTS, name=name, what=what, series=constants, time=constants + series
            )
            for what in ("values", "jacobian", "hessian")
        )

    return Kernel(
        traced.rows, unknowns, constants + series + 1, traced.jacobian, traced.hessian, code
    )  # fmt: skip


def _length(shapes: Mapping[str, Shape]) -> int:
    return sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes.values())


def _pieces(kind: str, shapes: Mapping[str, Shape], given: Callable[[str, int], Symbol]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    first = 0
    for name, shape in shapes.items():
        size = int(np.prod(shape, dtype=np.int64))
        array = np.empty(size, dtype=object)
        for k in range(size):
            array[k] = given(kind, first + k)
        found[name] = array.reshape(shape) if shape else array[0]
        first += size
    return found


def c_array(kind: str, name: str, values: npt.ArrayLike) -> str:
    """C text of a constant array; of one zero where there are no values."""
    numbers = np.ravel(np.asarray(values)).tolist() or [0]
    convert = float if kind == "double" else int
    return f"static const {kind} {name}[] = {{{', '.join(repr(convert(number)) for number in numbers)}}};"
