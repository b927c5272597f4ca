"""The Hessian of a layered network in weights and inputs, as matrix products over the pairs (Khatri-Rao).

With x̃ = (x, 1) and w(n) the weights and biases of layer n, z(n) = w(n) x̃(n). Two layers k ≤ n meet in

    Σ over pairs ∂²A/∂z(k)∂z(n) ⊗ x̃(k) x̃(n)ᵀ,

one matrix product (Khatri-Rao). Gauss-Newton: with U(n) = Rᵀ ∂x(N)/∂z(n), R Rᵀ the second derivatives of
the loss, that is U(k)ᵀ U(n) (C. Bishop, Neural Computation 4, 494 (1992)). Exactly: from the second
derivatives G(n) of a pair's loss by x(n), which go back through the layers,

    S(n) = D G(n+1) D + diag(λ(n+1) g''),    T(n) = S(n) W(n) + r D G(n+1),
    G(n) = W(n)ᵀ T(n) + r G(n+1) (1 + D W(n)),    G(N) = φ'',

it is S(n) for k = n and (∂x(n)/∂z(k))ᵀ T(n)ᵀ for k < n, where W(n) x(n) itself adds
Σ q(n) ⊗ ∂x(n)/∂z(k) ⊗ x̃(k). Inputs that are unknown are what stands before z(0), without x̃. Past a layer that
adds to x(n-1) the loss depends on x(n) and x(n-1): G has blocks by both, and T a second one (`_Later`).
Layers that share W and b have their blocks added.
(Symbols: `hpcda.action.passes`.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from hpcda.action.bordered import Bordered
from hpcda.action.dealt import Deal
from hpcda.action.end_loss import PairMatrices
from hpcda.action.passes import Passed
from hpcda.problem import Array, Numbers

NUMBERS = 1 << 19
"""Numbers of the largest stack of matrices that is worked on at once."""


def gauss_newton(passed: Passed, root: PairMatrices, inputs: bool, deal: Deal) -> Bordered:
    """JᵀR RᵀJ.

    Args:
        passed: The pass forward of this rank's pairs.
        root: R of its pairs.
        inputs: Whether the inputs are unknown.
        deal: Which rank has which pairs.
    """

    def add(found: _Sums, some: slice) -> None:
        ends = np.ascontiguousarray(root.part(some).transposed().full())
        slopes = np.concatenate(passed.part(some).sensitivities(ends, inputs), axis=2)
        back = slopes.transpose(0, 2, 1)
        if inputs:
            found.corner[some] = back[:, : found.free] @ slopes[:, :, : found.free]
        for n, own in enumerate(found.columns):
            found.add(some, n, back[:, : own.stop] @ slopes[:, :, own])

    return _summed(passed, inputs, deal, add)


def exact(
    passed: Passed,
    curvature: PairMatrices,
    bent: Sequence[Array],
    forces: Sequence[Array],
    inputs: bool,
    deal: Deal,
) -> Bordered:
    """The second derivatives.

    Args:
        passed: The pass forward of this rank's pairs.
        curvature: φ'' of its pairs.
        bent: λ(n+1) g''(z(n)) of the layers, each of shape (pairs, width).
        forces: q(n), likewise.
        inputs: Whether the inputs are unknown.
        deal: Which rank has which pairs.
    """

    def add(found: _Sums, some: slice) -> None:
        own = passed.part(some)
        direct, through, corner = _curved(
            own, curvature.part(some).full(), [one[some] for one in bent], inputs
        )
        if inputs:
            found.corner[some] = corner
        pairs, width = own.x[0].shape
        reach = before = np.broadcast_to(np.eye(found.free, width), (pairs, found.free, width))
        for n, columns in enumerate(found.columns):
            between = np.empty((pairs, columns.stop, columns.stop - columns.start))
            if columns.start:
                by_last, by_one_before = through[n - len(found.columns)]
                np.matmul(reach, by_last.transpose(0, 2, 1), out=between[:, : columns.start])
                if by_one_before is not None:
                    known = before.shape[1]
                    between[:, :known] += before @ by_one_before.transpose(0, 2, 1)
            between[:, columns.start :] = direct[n]
            found.add(some, n, between, forces[n][some], reach)
            if n + 1 < len(found.columns):
                reach, before = _further(own, n, reach, before), reach

    return _summed(passed, inputs, deal, add)


Through = tuple[Array, Array | None]
"""T(n): by z(n) and x(n), and by z(n) and x(n-1) where layer n adds to that."""


@dataclass(frozen=True)
class _Later:
    """G: second derivatives of a pair's loss by x(n), and, where x(n-1) goes past x(n), by both.

    Attributes:
        last: By x(n) twice, shape (pairs, width, width).
        mixed: By x(n) and x(n-1); None where it does not go past.
        before: By x(n-1) twice, likewise.
    """

    last: Array
    mixed: Array | None = None
    before: Array | None = None


def _curved(
    passed: Passed, later: Array, bent: Sequence[Array], inputs: bool
) -> tuple[list[Array], list[Through], Array]:
    """S(n) of all layers; T(n), and G(0), of those whose x(n) depend on what is unknown."""
    direct, through, known = list[Array](), list[Through](), _Later(later)
    for n in reversed(range(len(passed.weights))):
        slope = passed.slope[n][:, :, None]
        half = slope * known.last
        own = half * passed.slope[n][:, None, :]
        diagonal = np.arange(own.shape[1])
        own[:, diagonal, diagonal] += bent[n]
        direct.append(own)
        if n == 0 and not inputs:
            break
        known, moved = _earlier(known, passed.weights[n][0], passed.skips[n], slope, half, own)
        through.append(moved)
    return direct[::-1], through[::-1], known.last


def _earlier(
    known: _Later, matrix: Array, skip: int, slope: Array, half: Array, own: Array
) -> tuple[_Later, Through]:
    """G by x(n), and by x(n-1) that goes past it, from that by x(n+1); and T(n).

    Args:
        known: G by x(n+1), and by x(n) that goes past it.
        matrix: W(n).
        skip: How many layers back lies what layer n adds to; 0 for none.
        slope: D, shape (pairs, width, 1).
        half: D G(n+1).
        own: S(n).
    """
    moved = (own.reshape(-1, own.shape[2]) @ matrix).reshape(*own.shape[:2], -1)
    across = half if skip == 1 else None  # D times what is by x(n+1) and by x(n) other than through z(n)
    if known.mixed is not None:
        past = slope * known.mixed
        across = past if across is None else across + past
    if across is not None:
        moved += across
    found = matrix.T @ moved
    if across is not None:
        found += across.transpose(0, 2, 1) @ matrix
    if skip == 1:
        found += known.last
        if known.mixed is not None:
            found += known.mixed + known.mixed.transpose(0, 2, 1)
    if known.before is not None:
        found += known.before
    if skip != 2:
        return _Later(found), (moved, None)
    mixed = matrix.T @ half
    if known.mixed is not None:
        mixed += known.mixed.transpose(0, 2, 1)
    return _Later(found, mixed, known.last), (moved, half)


def _further(passed: Passed, n: int, reach: Array, one_before: Array) -> Array:
    """∂x(n+1) from ∂x(n) by all that stands before, shape (pairs, columns, width), and by z(n).

    Args:
        passed: The pass forward.
        n: The layer.
        reach: ∂x(n).
        one_before: ∂x(n-1), by fewer.
    """
    pairs, columns, before = reach.shape
    slope = passed.slope[n]
    width = slope.shape[1]
    found = np.empty((pairs, columns + width, width))
    moved = (reach.reshape(pairs * columns, before) @ passed.weights[n][0].T).reshape(pairs, columns, width)
    np.multiply(moved, slope[:, None, :], out=found[:, :columns])
    if passed.skips[n] == 1:
        found[:, :columns] += reach
    elif passed.skips[n] == 2:
        found[:, : one_before.shape[1]] += one_before
    found[:, columns:] = slope[:, :, None] * np.eye(width)
    return found


def _summed(passed: Passed, inputs: bool, deal: Deal, add: Callable[[_Sums, slice], None]) -> Bordered:
    found = _Sums(passed, inputs)

    def sums() -> Iterator[Array]:
        for block in deal.blocks.slices:
            found.begin(deal.room(found.size))
            pairs = block.stop - block.start
            parts = -(-pairs // found.step)
            cuts = [block.start + pairs * k // parts for k in range(parts + 1)]
            for first, last in pairwise(cuts):
                add(found, slice(first, last))
            yield found.sum

    total = deal.total(sums(), rooms=True)
    matrix = found.matrix(total)
    deal.spare([total])
    return Bordered(found.corner, found.border, matrix, deal)


class _Sums:
    """Sums over a block of pairs: of each two layers k ≤ n a matrix of shape (z(k) z(n), x̃(k) x̃(n)).

    Attributes:
        sum: All of them, flat.
        size: Their length.
        columns: Where z(n) stands among all that second derivatives are by.
        free: How many inputs stand before.
        step: Most pairs that are added at once.
    """

    def __init__(self, passed: Passed, inputs: bool) -> None:
        pairs, first = passed.x[0].shape
        self.shapes = [(matrix.shape[0], matrix.shape[1] + 1) for matrix, _ in passed.weights]
        self.owners = passed.owners
        sizes = dict(zip(self.owners, (rows * columns for rows, columns in self.shapes), strict=True))
        self._begins = np.cumsum([0, *(sizes[owner] for owner in range(len(sizes)))]).tolist()
        self.weights = self._begins[-1]
        self.free = first if inputs else 0
        ends = np.cumsum([self.free, *(rows for rows, _ in self.shapes)]).tolist()
        self.columns = [slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        self.corner = np.zeros((pairs, self.free, self.free))
        self.border = np.zeros((pairs, self.free, self.weights))
        largest = max(max(ends[-1] * rows, columns**2) for rows, columns in self.shapes)
        self.step = max(16, NUMBERS // largest)
        ones = np.ones((pairs, 1))
        self._wide = [np.concatenate([x, ones], axis=1) for x in passed.x[:-1]]
        self._halves = [[_upper(count) for count in shape] for shape in self.shapes]
        self._places, length = dict[tuple[int, int], tuple[int, int, int]](), 0
        for n, after in enumerate(self.shapes):
            for k, before in enumerate(self.shapes[: n + 1]):
                rows, columns = (
                    a * b if k < n else a * (a + 1) // 2 for a, b in zip(before, after, strict=True)
                )
                self._places[k, n] = length, rows, columns
                length += rows * columns
        self.size = length

    def begin(self, room: Array) -> None:
        """Begin a block, of shape (size,)."""
        self.sum, self._empty = room, set(self._places)

    def add(
        self, some: slice, n: int, between: Array, force: Array | None = None, reach: Array | None = None
    ) -> None:
        """Add the blocks of layer n with all before.

        Args:
            some: The pairs.
            n: The layer.
            between: Second derivatives by all up to z(n), and by z(n), shape (pairs, columns, width).
            force: q(n), for exact ones.
            reach: ∂x(n) by all that stands before, shape (pairs, columns, width before), for exact ones.
        """
        pairs, _, width = between.shape
        wide = [x[some] for x in self._wide[: n + 1]]
        upper, lower = self._halves[n]
        if self.free:
            self._add_border(some, n, between[:, : self.free], wide[n], force, reach)
        for k, own in enumerate(self.columns[:n]):
            outer = (wide[k][:, :, None] * wide[n][:, None, :]).reshape(pairs, -1)
            block = self._add(k, n, between[:, own].reshape(pairs, -1), outer)
            if force is not None and reach is not None:
                rows, before = own.stop - own.start, reach.shape[2]
                moved = (wide[k][:, :, None] * force[:, None, :]).reshape(pairs, -1)
                mixed = (reach[:, own].reshape(pairs, -1).T @ moved).reshape(rows, before, -1, width)
                whole = block.reshape(rows, width, -1, before + 1)
                whole[:, :, :, :-1] += mixed.transpose(0, 3, 2, 1)
        outer = wide[n][:, lower[0]] * wide[n][:, lower[1]]
        self._add(n, n, between[:, self.columns[n]][:, upper[0], upper[1]], outer)

    def _add(self, k: int, n: int, left: Array, right: Array) -> Array:
        """Add leftᵀ right to a matrix, and return that."""
        found = self._matrix(self.sum, k, n)
        if (k, n) in self._empty:
            self._empty.discard((k, n))
            return np.matmul(left.T, right, out=found)
        found += left.T @ right
        return found

    def _matrix(self, sums: Array, k: int, n: int) -> Array:
        first, rows, columns = self._places[k, n]
        return sums[first : first + rows * columns].reshape(rows, columns)

    def _add_border(
        self, some: slice, n: int, between: Array, wide: Array, force: Array | None, reach: Array | None
    ) -> None:
        pairs, free, width = between.shape
        first = self._begins[self.owners[n]]
        middle, last = first + width * (wide.shape[1] - 1), first + width * wide.shape[1]
        own = self.border[some]
        matrix = own[:, :, first:middle].reshape(pairs, free, width, -1)
        matrix += between[:, :, :, None] * wide[:, None, None, :-1]
        if force is not None and reach is not None:
            matrix += force[:, None, :, None] * reach[:, :free, None, :]
        own[:, :, middle:last] += between

    def matrix(self, total: Array) -> Array:
        """Of all sums, flat, the matrix by W(0), b(0), W(1), b(1), …, flat: its upper triangle, at least."""
        found = np.zeros((self.weights, self.weights))
        shared = len(self._begins) <= len(self.owners)
        for n, (rows, columns) in enumerate(self.shapes):
            for k in range(n + 1):
                block = self._matrix(total, k, n)
                before = self.shapes[k]
                whole = (
                    block.reshape(before[0], rows, before[1], columns)
                    if k < n
                    else _whole(block, rows, columns)
                )
                one, other = self.owners[k], self.owners[n]
                across = tuple(slice(self._begins[own], self._begins[own + 1]) for own in (one, other))
                if not shared:
                    _place(found[across], whole, before, (rows, columns))
                    continue
                part = np.empty((before[0] * before[1], rows * columns))
                _place(part, whole, before, (rows, columns))
                found[across] += part
                if one == other and k < n:
                    found[across] += part.T
        return found


@lru_cache
def _upper(size: int) -> tuple[Numbers, Numbers]:
    """Rows and columns of the upper triangle of a matrix."""
    i, j = np.triu_indices(size)
    return i, j


def _whole(block: Array, rows: int, columns: int) -> Array:
    """All of a block of a layer with itself, of which one half of each pair of indices is given."""
    (i, j), (a, b) = _upper(rows), _upper(columns)
    half = np.empty((len(i), columns, columns))
    half[:, a, b] = half[:, b, a] = block
    found = np.empty((rows, rows, columns, columns))
    found[i, j] = found[j, i] = half
    return found


def _place(target: Array, block: Array, left: tuple[int, int], right: tuple[int, int]) -> None:
    """Write a block of indices (i, j, a, b) to where [W | b], row i after row i, stands as W, then b."""
    (rows, wide), (columns, long) = left, right
    first, last = rows * (wide - 1), columns * (long - 1)
    own = block.transpose(0, 2, 1, 3)
    target[:first, :last].reshape(rows, wide - 1, columns, long - 1)[...] = own[:, :-1, :, :-1]
    target[:first, last:].reshape(rows, wide - 1, columns)[...] = own[:, :-1, :, -1]
    target[first:, :last].reshape(rows, columns, long - 1)[...] = own[:, -1, :, :-1]
    target[first:, last:] = own[:, -1, :, -1]
