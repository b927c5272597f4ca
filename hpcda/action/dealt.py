"""Distribution of a network's pairs over ranks; sums over pairs follow one fixed binary tree.

Pairs are cut into blocks, 2^L of them, L given by the number of pairs alone. A rank computes whole blocks,
with products whose shapes are those of a block, and the sums of blocks are added two by two,

    s(l+1, k) = s(l, 2k) + s(l, 2k+1),    s(0, k) the sum of block k,

so that a sum has the same bits on any number of ranks. What a rank can of the tree it adds by itself; of the
rest of large arrays each rank adds a piece (R. Thakur, R. Rabenseifner, W. Gropp, Int. J. High Perform.
Comput. Appl. 19, 49 (2005)). Weights, and vectors of all unknowns, are on every rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from typing import Protocol

import numpy as np

from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.problem import Array

MOST = 64
"""Most blocks."""
NUMBERS = 1 << 17
"""Numbers of sums of blocks that are computed at once."""
LARGE = 1 << 12
"""Numbers from which on each rank adds a piece."""

KEPT = 3 << 20
"""Numbers of an array that is freed at once, untouched: glibc then keeps freed memory, up to twice its size,
for the arrays of the next pass, where it would have the system clear new pages for each."""

Factor = tuple[Array, Array | None]
Node = tuple[int, int]
"""Level and number of a sum of the tree."""


class Ranks(Protocol):
    """The ranks that share the pairs of a network: all of them make the same calls, in the same order."""

    @property
    def rank(self) -> int:
        """Number of this one."""
        ...

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def gather(self, own: Array, counts: Sequence[int], room: Array | None = None) -> Array:
        """The numbers of all ranks, one rank's after another's.

        Args:
            own: Those of this rank, flat.
            counts: How many each has.
            room: Where to write them; by default a new array. Of one rank it is `own`.
        """
        ...

    def exchange(self, own: Array, counts: Sequence[int], theirs: Sequence[int], room: Array) -> None:
        """Bring what all ranks send to this one, one rank's after another's.

        Args:
            own: What this rank sends, flat, to one rank after another.
            counts: How many numbers it sends to each.
            theirs: How many it receives from each.
            room: Where to write them.
        """
        ...


class Alone:
    """One rank that has all pairs; see `Ranks`."""

    rank, size = 0, 1

    def gather(self, own: Array, counts: Sequence[int], room: Array | None = None) -> Array:
        """See `Ranks`."""
        return own

    def exchange(self, own: Array, counts: Sequence[int], theirs: Sequence[int], room: Array) -> None:
        """See `Ranks`."""
        room[:] = own


ALONE = Alone()


def blocks_of(pairs: int) -> int:
    """Number of blocks of so many pairs: the largest power of two up to half the root of it, and `MOST`."""
    found = 1
    while found < MOST and 16 * found**2 <= pairs:
        found *= 2
    return found


def refuse_ranks(pairs: int, ranks: int) -> None:
    """Refuse more ranks than there are blocks.

    Raises:
        InputError: There are.
    """
    blocks = blocks_of(pairs)
    if ranks > blocks:
        problem = f"{ranks} ranks share {counted(pairs, 'pair')}, which split into "
        problem += counted(blocks, "block")
        remedy = (
            f"use at most {blocks}" if blocks > 1 else "set ensemble.ranks_per_start = 1, or leave it out"
        )
        raise InputError(Mistake("ensemble.ranks_per_start", problem, remedy))


@dataclass(frozen=True)
class Blocks:
    """Blocks of pairs that follow one another; arrays have a pair a row.

    Attributes:
        sizes: Pairs of each.
    """

    sizes: tuple[int, ...]

    @cached_property
    def slices(self) -> list[slice]:
        """The pairs of each."""
        ends = np.cumsum([0, *self.sizes]).tolist()
        return [slice(a, b) for a, b in pairwise(ends)]

    @cached_property
    def runs(self) -> list[tuple[slice, int]]:
        """Pairs, and number, of blocks of one size that follow one another."""
        found, first = [], 0
        for size, own in groupby(self.sizes):
            count = len(list(own))
            found.append((slice(first, first + count * size), count))
            first += count * size
        return found

    def product(self, rows: Array, matrix: Array) -> Array:
        """Rows, shape (pairs, …, n), times a matrix of shape (n, m): a product for each block."""
        matrix = np.ascontiguousarray(matrix)  # a transposed one takes three times as long
        if len(self.sizes) == 1:
            return (rows.reshape(-1, rows.shape[-1]) @ matrix).reshape(*rows.shape[:-1], -1)
        found = np.empty((*rows.shape[:-1], matrix.shape[1]))
        for some, count in self.runs:
            own, target = rows[some], found[some]
            np.matmul(
                own.reshape(count, -1, own.shape[-1]), matrix, out=target.reshape(count, -1, target.shape[-1])
            )
        return found

    def sums(self, factors: Sequence[Factor]) -> Iterator[Array]:
        """Of each block the sums of left ⊗ right over pairs, one after another, flat.

        Args:
            factors: Left and right, shapes (pairs, …, n) and (pairs, …, m); without a right one, left alone
                is added.
        """
        widths = [left.shape[-1] * (1 if right is None else right.shape[-1]) for left, right in factors]
        ends = np.cumsum([0, *widths]).tolist()
        for some, count in self._batches(ends[-1]):
            found = np.empty((count, ends[-1]))
            for (left, right), first, last in zip(factors, ends[:-1], ends[1:], strict=True):
                own = left[some].reshape(count, -1, left.shape[-1])
                if right is None:
                    found[:, first:last] = own.sum(axis=1)
                else:
                    other = right[some].reshape(count, -1, right.shape[-1])
                    found[:, first:last] = (own.transpose(0, 2, 1) @ other).reshape(count, -1)
            yield from found

    def _batches(self, size: int) -> Iterator[tuple[slice, int]]:
        """Runs of blocks, no longer than there is room for sums of this size."""
        most = max(1, NUMBERS // max(size, 1))
        for run, count in self.runs:
            pairs = (run.stop - run.start) // count
            for first in range(0, count, most):
                number = min(most, count - first)
                begin = run.start + first * pairs
                yield slice(begin, begin + number * pairs), number


class Deal:
    """Which pairs each rank has, and what is done with them together.

    Args:
        pairs: How many there are.
        ranks: The ranks.

    Attributes:
        ranks: The ranks.
        pairs: How many pairs there are.
        slices: The pairs of all blocks.
        shares: Numbers of the blocks of each rank.
        blocks: This rank's.
        own: Its pairs, among all.

    Raises:
        InputError: There are more ranks than blocks.
    """

    def __init__(self, pairs: int, ranks: Ranks = ALONE) -> None:
        refuse_ranks(pairs, ranks.size)
        np.empty(KEPT)
        self.ranks, self.pairs = ranks, pairs
        count = blocks_of(pairs)
        every = Blocks(tuple(pairs // count + (k < pairs % count) for k in range(count)))
        cuts = [count * rank // ranks.size for rank in range(ranks.size + 1)]
        self.slices = every.slices
        self.shares = [range(a, b) for a, b in pairwise(cuts)]
        self._nodes = [_nodes(share) for share in self.shares]
        rows = [slice(self.slices[share[0]].start, self.slices[share[-1]].stop) for share in self.shares]
        self._rows = [some.stop - some.start for some in rows]
        mine = self.shares[ranks.rank]
        self.blocks, self.own = Blocks(every.sizes[mine.start : mine.stop]), rows[ranks.rank]
        self._spare: dict[int, list[Array]] = {}

    def room(self, size: int) -> Array:
        """An array for the sum of a block: one that is `spared`, as the system hands out new ones slowly."""
        known = self._spare.get(size)
        return known.pop() if known else np.empty(size)

    def spare(self, rooms: Iterable[Array]) -> None:
        """Take arrays back."""
        for room in rooms:
            self._spare.setdefault(len(room), []).append(room)

    def total(self, sums: Iterable[Array], rooms: bool = False) -> Array:
        """The sum over all blocks.

        Args:
            sums: One of each of this rank's blocks, in order, all flat and of one length; they are changed.
            rooms: Whether they are of `room`; the total is then one of them too.
        """
        tree = _Tree()
        for number, own in zip(self.shares[self.ranks.rank], sums, strict=True):
            left = tree.add((0, number), own)
            if rooms:
                self.spare(left)
        ranks = self.ranks
        if ranks.size == 1:
            return tree.arrays[0]
        nodes, size = self._nodes, len(tree.arrays[0])
        counts, every = [len(own) for own in nodes], [node for own in nodes for node in own]
        if size < LARGE:
            flat = np.concatenate(tree.arrays)
            return _folded(every, ranks.gather(flat, [count * size for count in counts]).reshape(-1, size))
        cuts = [size * rank // ranks.size for rank in range(ranks.size + 1)]
        widths, mine = [b - a for a, b in pairwise(cuts)], cuts[ranks.rank + 1] - cuts[ranks.rank]
        sent, count = tree.arrays[0], len(tree.arrays)
        if count > 1:
            sent = np.concatenate([own[a:b] for a, b in pairwise(cuts) for own in tree.arrays])
        room = self.room(sum(counts) * mine)
        ranks.exchange(sent, [count * width for width in widths], [own * mine for own in counts], room)
        if rooms:
            self.spare(tree.arrays)
        found = ranks.gather(
            _folded(every, room.reshape(-1, mine)), widths, self.room(size) if rooms else None
        )
        self.spare([room])
        return found

    def added(self, values: Array) -> float:
        """The sum of numbers of each of this rank's pairs, shape (pairs, n), over all."""
        return float(self.total(self.blocks.sums([(values, None)])).sum())

    def gathered(self, rows: Array) -> Array:
        """Rows of all pairs, of those of this rank's."""
        width = int(np.prod(rows.shape[1:]))
        found = self.ranks.gather(rows.ravel(), [count * width for count in self._rows])
        return found.reshape(self.pairs, *rows.shape[1:])

    def largest(self, value: float) -> float:
        """The largest of a number of each rank."""
        return float(self.ranks.gather(np.array([value]), [1] * self.ranks.size).max())


class _Tree:
    """Sums that come in order, two that belong together added at once, into the first of them."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.arrays: list[Array] = []

    def add(self, node: Node, own: Array) -> list[Array]:
        """Add one, and return the arrays that are needed no more."""
        self.nodes.append(node)
        self.arrays.append(own)
        left = []
        while len(self.nodes) > 1:
            (level, first), (other, second) = self.nodes[-2:]
            if level != other or first % 2 or second != first + 1:
                break
            left.append(self.arrays.pop())
            self.arrays[-1] += left[-1]
            self.nodes[-2:] = [(level + 1, first // 2)]
        return left


def _nodes(blocks: range) -> list[Node]:
    """The sums to which those of some blocks can be added up."""
    tree = _Tree()
    for number in blocks:
        tree.add((0, number), np.zeros(0))
    return tree.nodes


def _folded(nodes: Sequence[Node], rows: Array) -> Array:
    """The root of the tree, of the sums of all ranks, a row each."""
    tree = _Tree()
    for node, own in zip(nodes, rows, strict=True):
        tree.add(node, own)
    return tree.arrays[0]
