"""The Hessian of the action in blocks of times with the shared parameters as a border; its sparsity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpcda.action.structure import Sparsity
from hpcda.linalg.blocktridiagonal import BlockTridiagonal, NotBlockTridiagonalError
from hpcda.linalg.elimination import Pattern
from hpcda.problem import Problem

Csr = tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]


def block_sizes(problem: Problem, times: int) -> list[list[int]]:
    """Sizes of the blocks of each window when `times` points share a block; the last one may be smaller."""
    sizes = []
    for window in problem.windows:
        whole, rest = divmod(window.times, times)
        sizes.append([times * problem.layout.block] * whole + ([rest * problem.layout.block] if rest else []))
    return sizes


def blocks_of(problem: Problem, csr: Csr) -> BlockTridiagonal:
    """The Hessian in blocks of as few times as hold all couplings: one, and two for Hermite-Simpson.

    Raises:
        NotBlockTridiagonalError: It couples times that are more than four apart.
    """
    for times in (1, 2, 3, 4):
        try:
            return BlockTridiagonal.from_csr(*csr, block_sizes(problem, times))
        except NotBlockTridiagonalError:
            if times == 4:
                raise
    raise AssertionError


def pattern_of(problem: Problem, sparsity: Sparsity) -> Pattern:
    """The Hessian's sparsity, its layers the times of all windows one after the other."""
    unknowns = np.arange(problem.size)
    layer = np.where(unknowns < problem.layout.tail.start, unknowns // problem.layout.block, -1)
    return Pattern(sparsity.indptr, sparsity.indices, layer)
