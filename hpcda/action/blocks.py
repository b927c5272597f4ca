"""The Hessian of the action as block-tridiagonal blocks in time, bordered by the shared parameters."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from hpcda.action.structure import Sparsity
from hpcda.linalg.banded import Banded
from hpcda.linalg.blocktridiagonal import BlockTridiagonal, Factor, NotBlockTridiagonalError
from hpcda.linalg.elimination import Pattern
from hpcda.problem import Problem

Csr = tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]
Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Blocks:
    """The Hessian in blocks of times.

    Attributes:
        matrix: A chain a window; one chain where windows share unknowns of their times.
        order: Place in the flat path of each row of the matrix, shape (size,).
    """

    matrix: BlockTridiagonal
    order: Index

    def reversed(self) -> Blocks:
        """The same with the blocks of every chain in reverse order; the border stays."""
        order, at = [], 0
        for chain in self.matrix.chains:
            ends = at + np.cumsum([0, *(len(block) for block in chain.diagonal)])
            order += [self.order[low:high] for low, high in reversed(list(pairwise(ends)))]
            at = ends[-1]
        return Blocks(self.matrix.reversed(), np.concatenate([*order, self.order[at:]]))


@dataclass(frozen=True)
class InTime:
    """A factor in the order of time (`in_time`) for vectors in the order of the flat path.

    Attributes:
        factor: The factor.
        order: See `Blocks`.
    """

    factor: Factor | Banded
    order: Index

    def solve(self, right: npt.ArrayLike) -> Array:
        """A⁻¹ right, shape (size,) or (size, m)."""
        given = np.asarray(right, dtype=np.float64)
        found = np.empty(given.shape)
        found[self.order] = self.factor.solve(given[self.order])
        return found

    def sample(self, normal: npt.ArrayLike) -> Array:
        """L⁻ᵀ z, which for standard normal z, shape (size,) or (size, m), has the covariance A⁻¹."""
        found = np.empty(np.shape(normal))
        found[self.order] = self.factor.sample(np.asarray(normal, dtype=np.float64))
        return found

    @property
    def variances(self) -> Array:
        """Diagonal of the inverse, shape (size,); of a factor in blocks."""
        assert isinstance(self.factor, Factor)
        found = np.empty(len(self.order))
        found[self.order] = self.factor.selected_inverse().variances
        return found


def blocks_of(problem: Problem, csr: Csr) -> Blocks:
    """The Hessian in blocks of as few times as hold all couplings: one, and two for Hermite-Simpson.

    Raises:
        NotBlockTridiagonalError: It couples times that are more than four apart.
    """
    order, lengths = in_time(problem)
    if problem.ties.some:
        matrix = csr_array((csr[2], csr[1], csr[0]), shape=(problem.size,) * 2)[order][:, order]
        csr = matrix.indptr, matrix.indices, matrix.data
    for times in (1, 2, 3, 4):
        sizes = [[sum(own[k : k + times]) for k in range(0, len(own), times)] for own in lengths]
        try:
            return Blocks(BlockTridiagonal.from_csr(*csr, sizes), order)
        except NotBlockTridiagonalError:
            if times == 4:
                raise
    raise AssertionError


def in_time(problem: Problem) -> tuple[Index, list[list[int]]]:
    """Places of the unknowns, chain after chain and time after time, and each chain's number at each time."""
    layout = problem.layout
    points = [layout.points(number) for number in range(len(problem.windows))]
    if not problem.ties.some:
        return np.arange(problem.size), [[layout.block] * len(own) for own in points]
    times = range(max(map(len, points)))
    together = [np.concatenate([own[n] for own in points if n < len(own)]) for n in times]
    tail = np.arange(layout.tail.start, layout.tail.stop)
    return np.concatenate([*together, tail]), [[len(one) for one in together]]


def pattern_of(problem: Problem, sparsity: Sparsity) -> Pattern:
    """The Hessian's sparsity, its layers the times of all windows one after the other."""
    unknowns = np.arange(problem.size)
    layer = np.where(unknowns < problem.layout.tail.start, unknowns // problem.layout.block, -1)
    return Pattern(sparsity.indptr, sparsity.indices, layer)
