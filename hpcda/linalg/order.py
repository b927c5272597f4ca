"""Fill-reducing elimination orders of a sparse symmetric matrix, chosen by operation count.

Counted are additions and multiplications, Σ c² + 2 c over the columns of the factor, c their entries below
the diagonal, and `ENTRY` of them for every entry, which has to be moved through memory. Tried are

- the natural order, layer (time) after layer;
- minimum degree (symbolic.c);
- dissection: every h-th layer is kept for the end, what lies between is eliminated by minimum degree, then
  the kept layers one after the other (one-way dissection: A. George, SIAM J. Numer. Anal. 17, 740, 1980).

Unknowns that many layers share come last. Lorenz 1996, trapezoid, 161 times (operations a factorization):

    sites   dense blocks   natural   minimum degree   best dissection
       20        3.0e6      2.2e6        3.2e6          3.4e6 (h = 2)
       40        2.4e7      1.4e7        1.8e7          1.9e7 (h = 2)
      100        3.8e8      1.8e8        2.3e8          1.5e8 (h = 6)
      400        2.4e10     1.1e10       4.1e9          2.5e9 (h = 24)
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from hpcda.linalg.elimination import Ints, Pattern
from hpcda.native.compile import library
from hpcda.native.unit import unit

ENTRY = 10.0
"""Operations that cost as much time as an entry of the factor costs on its way through memory."""
SPACINGS = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Layers from one that is kept for the end to the next."""


@dataclass(frozen=True)
class Order:
    """An order of elimination and what it costs.

    Attributes:
        name: What it is.
        order: Unknown eliminated as k-th, shape (n,).
        parent: Parent of column k in the elimination tree, or -1, shape (n,).
        below: Entries of column k below the diagonal, shape (n,).
    """

    name: str
    order: Ints
    parent: Ints
    below: Ints

    @property
    def flops(self) -> float:
        """Additions and multiplications."""
        below = self.below.astype(np.float64)
        return float((below * (below + 2.0)).sum())

    @property
    def entries(self) -> int:
        """Entries of the factor."""
        return int(self.below.sum(dtype=np.int64)) + len(self.below)

    @property
    def work(self) -> float:
        """Operations, and what the entries cost."""
        return self.flops + ENTRY * self.entries


@cache
def symbolic() -> Any:
    """symbolic.c, compiled."""
    return library(unit(1, "symbolic.c"))


def address(array: Any) -> ctypes.c_void_p:
    """Address of an array's numbers."""
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def counted(name: str, pattern: Pattern, order: Ints) -> Order:
    """An order with its elimination tree and columns.

    Args:
        name: What it is called.
        pattern: The sparsity.
        order: Unknown at each place, shape (n,).

    Raises:
        ValueError: It does not name each unknown once.
        MemoryError: There is too little.
        CompilerError: No C compiler, or no place for compiled code.
    """
    order = np.ascontiguousarray(order, dtype=np.int32)
    if not np.array_equal(np.sort(order), np.arange(pattern.size)):
        raise ValueError(f"an order names each of the {pattern.size} unknowns once")
    parent, below = np.empty(pattern.size, dtype=np.int32), np.empty(pattern.size, dtype=np.int32)
    place = np.empty(pattern.size, dtype=np.int32)
    place[order] = np.arange(pattern.size, dtype=np.int32)
    arrays = map(address, (pattern.indptr, pattern.indices, order, place, parent, below))
    if symbolic().columns(pattern.size, *arrays):
        raise MemoryError("too little memory to count the entries of a factor")
    return Order(name, order, parent, below)


def minimum_degree(pattern: Pattern, late: Any) -> Ints:
    """An order of approximate minimum degree; unknowns that are `late`, shape (n,), follow as they stand.

    Raises:
        MemoryError: There is too little.
        CompilerError: No C compiler, or no place for compiled code.
    """
    order = np.empty(pattern.size, dtype=np.int32)
    kept = np.ascontiguousarray(late, dtype=np.int8)
    if symbolic().minimum_degree(pattern.size, *map(address, (pattern.indptr, pattern.indices, kept, order))):
        raise MemoryError("too little memory to order a matrix")
    return order


def orders(pattern: Pattern) -> Iterator[Order]:
    """The orders that are tried."""
    size, shared = pattern.size, pattern.shared
    ends = np.arange(size) >= size - shared
    yield counted("natural", pattern, np.arange(size, dtype=np.int32))
    yield counted("minimum degree", pattern, minimum_degree(pattern, ends))
    layers = int(pattern.layer.max(initial=-1)) + 1
    for spacing in SPACINGS:
        if 2 * spacing <= layers:
            kept = ends | (pattern.layer % spacing == spacing - 1)
            yield counted(f"dissection, {spacing} layers", pattern, minimum_degree(pattern, kept))


def least_work(pattern: Pattern) -> Order:
    """The order with the least work; the first of equals."""
    return min(orders(pattern), key=lambda order: order.work)
