r"""A sparse symmetric matrix distributed over ranks: each eliminates a subtree of the tree of fronts.

The matrix is a sum of parts, one a rank. A rank eliminates the unknowns that it alone holds in a tree of
fronts (`hpcda.linalg.tree`) whose root stays open; what is left is its Schur complement in the unknowns that
others hold too, and in the shared ones. These are added up in pairs of neighbors: rank r + h gives its own
to rank r, h = 1, 2, 4, …, which then eliminates what ranks r to r + 2 h - 1 alone hold,

    [ A_pp  · ]      L_pp L_ppᵀ = A_pp,    L_rp = A_rp L_pp⁻ᵀ,    A_rr - L_rp L_rpᵀ is passed on
    [ A_rp  A_rr ]

in dense blocks (subtree-to-subcube mapping: A. George, J. W. H. Liu, E. Ng, Parallel Comput. 10, 287, 1989).
For a path that is cut in time these are the times where stretches meet, b unknowns each: a rank adds log2
(ranks) fronts of at most 3 b rows and the parameters to its own work, and no rank repeats another's. Who adds
what in which order depends on the number of ranks alone: the same bits each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack
from scipy.sparse import csr_array

from hpcda.linalg.elimination import Array, Index, Ints, Pattern
from hpcda.linalg.order import Order, counted, least_work
from hpcda.linalg.tree import Tree, aligned, applied, factor_into

TAG = 7141
FULL = 0.25
"""Part of a rank's unknowns from which on a shared one that meets so many is eliminated after all others."""


@dataclass(frozen=True)
class Part:
    """What one rank holds of a matrix.

    Attributes:
        pattern: Sparsity of its unknowns, with the layer of each; those that many layers share, -1, need not
            come last here. A rank's sparsity has every entry of the whole matrix between two of its unknowns.
        numbers: Number of each of its unknowns in the whole matrix, ascending, shape (n,).
        low: First rank that holds each of them, shape (n,).
        high: Last rank that does; all ranks between hold it too. Shape (n,).
    """

    pattern: Pattern
    numbers: Index
    low: Index
    high: Index

    @property
    def kept(self) -> Index:
        """Unknowns that the rank does not eliminate in its own tree: others hold them, or they meet most."""
        met = np.diff(self.pattern.indptr)
        full = (self.pattern.layer < 0) & (met >= FULL * self.pattern.size)
        return np.flatnonzero((self.low < self.high) | full)


@dataclass(frozen=True)
class Meeting:
    """A dense front over the unknowns that two neighboring groups of ranks leave.

    Attributes:
        other: Rank that gives the second group's, or -1 where there is one group alone.
        mine: Rows of the front that are the first group's, in its order.
        theirs: Rows that are the second's.
        pivots: Rows, the first ones, that are eliminated.
        rest: Numbers of the other rows in the whole matrix.
    """

    other: int
    mine: Index
    theirs: Index
    pivots: int
    rest: Index

    @property
    def size(self) -> int:
        """Rows."""
        return self.pivots + len(self.rest)

    @property
    def flops(self) -> float:
        """Additions and multiplications of its elimination."""
        below = self.size - 1.0 - np.arange(self.pivots)
        return float((below * (below + 2.0)).sum())


def meetings(part: Part, comm: Any) -> tuple[list[Meeting], int]:
    """The fronts above a rank's tree, in order, and the rank that takes what they leave; collective.

    That is -1 for none.

    Args:
        part: What the rank holds.
        comm: The ranks: `rank`, `size`, and mpi4py's `send` and `recv`; None for one rank alone.
    """
    rank, ranks = (0, 1) if comm is None else (comm.rank, comm.size)
    kept = part.kept
    numbers, low, high = part.numbers[kept], part.low[kept], part.high[kept]
    found, step = [], 1
    last, other, theirs = rank, -1, (numbers[:0], low[:0], high[:0])
    while True:
        union, where = np.unique(np.concatenate([numbers, theirs[0]]), return_index=True)
        low, high = np.concatenate([low, theirs[1]])[where], np.concatenate([high, theirs[2]])[where]
        own = (low >= rank) & (high <= last)
        order = np.argsort(~own, kind="stable")
        row = np.empty(len(union), dtype=np.int64)
        row[order] = np.arange(len(union))
        mine, given = (row[np.searchsorted(union, each)] for each in (numbers, theirs[0]))
        numbers, low, high = union[~own], low[~own], high[~own]
        if other >= 0 or own.any():
            found.append(Meeting(other, mine, given, int(own.sum()), numbers))
        while rank % (2 * step) == 0 and step < ranks and rank + step >= ranks:
            step *= 2
        if step >= ranks:
            return found, -1
        if rank % (2 * step):
            comm.send((numbers, low, high), rank - step, TAG)
            return found, rank - step
        other, last = rank + step, min(rank + 2 * step, ranks) - 1
        theirs = comm.recv(None, other, TAG)
        step *= 2


@dataclass(frozen=True)
class Planner:
    """In the place of a communicator: plans what ranks do, one after the other, those behind first.

    Attributes:
        rank: Whose turn it is.
        size: Number of ranks.
        sent: What has been sent, by (rank, to whom).
    """

    rank: int
    size: int
    sent: dict[tuple[int, int], Any]

    def send(self, what: Any, to: int, tag: int) -> None:
        """Keep it."""
        self.sent[self.rank, to] = what

    def recv(self, room: None, other: int, tag: int) -> Any:
        """What has been kept."""
        return self.sent.pop((other, self.rank))


class SpreadElimination:
    """Elimination of a matrix whose parts several ranks hold; every call is collective.

    Args:
        part: What this rank holds.
        comm: The ranks (an mpi4py communicator); None for one alone.

    Attributes:
        tree: The rank's own tree.
        meetings: The fronts above it that this rank eliminates.

    Raises:
        MemoryError: There is too little.
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(self, part: Part, comm: Any = None) -> None:
        self._comm = comm
        rank = 0 if comm is None else comm.rank
        kept = part.kept
        inside = np.setdiff1d(np.arange(part.pattern.size), kept)
        self._order = np.concatenate([inside, kept])
        pattern, self._source = permuted(part.pattern, self._order, len(kept))
        low = part.low[self._order]
        self._mine = np.maximum(low[pattern.rows], low[pattern.indices]) == rank
        self._right = low == rank
        parameters = int((part.pattern.layer[kept] < 0).sum())
        self.tree = Tree.of(pattern, _order(pattern, parameters), keep_shared=True)
        self.meetings, self._above = meetings(part, comm)
        tables = self.tree.tables
        self._factor, self._left = aligned(tables.factor, 1), aligned(tables.left, 1)
        self._blocks: list[tuple[Array, Array]] = []
        self._kept = len(kept)

    @property
    def flops(self) -> float:
        """Additions and multiplications of a factorization that this rank does."""
        return self.tree.flops + sum(one.flops for one in self.meetings)

    @property
    def memory(self) -> float:
        """Bytes that this rank keeps."""
        return 8.0 * (self.tree.numbers + sum(one.size**2 for one in self.meetings))

    def factor(self, values: Array) -> bool:
        """Factor a matrix; False where it is not positive definite, on all ranks.

        Args:
            values: Entries of the whole matrix in the order of this rank's sparsity, shape (nnz,): what
                several ranks hold is each time the whole, and counts once.
        """
        given = np.where(self._mine, values[self._source], 0.0)
        where = factor_into(self.tree, given[:, None], 0.0, self._factor, self._left)
        good = where[0] < 0
        left = self._own_rest()
        self._blocks = []
        for meeting in self.meetings:
            whole = np.zeros((meeting.size, meeting.size))
            whole[np.ix_(meeting.mine, meeting.mine)] = left
            if meeting.other >= 0:
                theirs = np.empty((len(meeting.theirs),) * 2)
                self._comm.Recv(theirs, meeting.other, TAG)
                whole[np.ix_(meeting.theirs, meeting.theirs)] += theirs
            p = meeting.pivots
            pivots, failed = lapack.dpotrf(whole[:p, :p], lower=1) if p else (whole[:0, :0], 0)
            good = good and failed == 0 and bool(np.isfinite(np.diagonal(pivots)).all())
            rest = _triangular(pivots, whole[:p, p:], 0).T
            left = whole[p:, p:] - rest @ rest.T
            self._blocks.append((pivots, rest))
        if self._above >= 0:
            if not good:
                left = np.full_like(left, np.nan)
            self._comm.Send(np.ascontiguousarray(left), self._above, TAG)
        return bool(good) if self._comm is None else bool(self._comm.bcast(good))

    def _own_rest(self) -> Array:
        """What this rank's own tree leaves of the unknowns that it keeps, shape (kept, kept)."""
        left = np.zeros((self._kept, self._kept))
        if self.tree.open:
            arrays = self.tree.tables.arrays
            for row, start in enumerate(arrays["offset"][arrays["row"][len(self.tree.fronts) - 1] :]):
                left[row, : row + 1] = self._factor[start : start + row + 1, 0]
        return left + np.tril(left, -1).T

    def solve(self, right: Array) -> Array:
        """A⁻¹ right of the last matrix that was factored.

        Args:
            right: Rows of this rank's unknowns, shape (n,) or (n, m).

        Returns:
            The same rows of the solution.
        """
        y = np.array(right, dtype=np.float64).reshape(len(right), -1)[self._order]
        y[~self._right] = 0.0
        order, kept = self.tree.order, len(y) - self._kept
        inner = [np.ascontiguousarray(column) for column in y[order].T]
        for column in inner:
            applied(self.tree, self._factor, column, True, False)
        above = np.array([column[kept:] for column in inner]).T
        parts = []
        for meeting, (pivots, rest) in zip(self.meetings, self._blocks, strict=True):
            whole = np.zeros((meeting.size, y.shape[1]), order="F")
            whole[meeting.mine] = above
            if meeting.other >= 0:
                theirs = np.empty((len(meeting.theirs), y.shape[1]))
                self._comm.Recv(theirs, meeting.other, TAG)
                whole[meeting.theirs] += theirs
            p = meeting.pivots
            own = _triangular(pivots, whole[:p], 0)
            above = whole[p:] - rest @ own
            parts.append(own)
        if self._above >= 0:
            self._comm.Send(np.ascontiguousarray(above), self._above, TAG)
            above = np.empty_like(np.ascontiguousarray(above))
            self._comm.Recv(above, self._above, TAG)
        for meeting, (pivots, rest), own in reversed(
            list(zip(self.meetings, self._blocks, parts, strict=True))
        ):
            own = _triangular(pivots, own - rest.T @ above, 1)
            whole = np.concatenate([own, above])
            if meeting.other >= 0:
                self._comm.Send(np.ascontiguousarray(whole[meeting.theirs]), meeting.other, TAG)
            above = whole[meeting.mine]
        found = np.empty_like(y)
        for number, column in enumerate(inner):
            column[kept:] = above[:, number]
            applied(self.tree, self._factor, column, False, True)
            found[self._order[order], number] = column
        return found.reshape(np.shape(right))


def _triangular(lower: Array, right: Array, transposed: int) -> Array:
    return blas.dtrsm(1.0, lower, right, lower=1, trans_a=transposed) if right.size else right


def _order(pattern: Pattern, parameters: int) -> Order:
    """The order with the least work, found without the last unknowns: their rows are full whatever it is."""
    size = pattern.size - parameters
    csr = np.ones(len(pattern.indices)), pattern.indices, pattern.indptr
    matrix = csr_array(csr, shape=(pattern.size,) * 2)[:size, :size]
    found = least_work(Pattern(matrix.indptr, matrix.indices, pattern.layer[:size]))
    order = np.concatenate([found.order, np.arange(size, pattern.size, dtype=np.int32)])
    return counted(found.name, pattern, order)


def permuted(pattern: Pattern, order: Index, shared: int) -> tuple[Pattern, Index]:
    """A sparsity with its unknowns in another order, and the entry of the first that each of its own is.

    Args:
        pattern: The sparsity.
        order: Unknown at each place, shape (n,).
        shared: How many of the last count as shared: their layers become -1, those of others that were -1 a
            last layer.
    """
    entries = np.arange(1, len(pattern.indices) + 1)
    matrix = csr_array((entries, pattern.indices, pattern.indptr), shape=(pattern.size,) * 2)[order][:, order]
    matrix.sort_indices()
    layer = np.where(pattern.layer < 0, pattern.layer.max(initial=0) + 1, pattern.layer)[order]
    layer[pattern.size - shared :] = -1
    indptr: Ints = matrix.indptr.astype(np.int32)
    return Pattern(indptr, matrix.indices.astype(np.int32), layer), np.asarray(matrix.data - 1)
