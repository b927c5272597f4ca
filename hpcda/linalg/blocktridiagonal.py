r"""Factor, determinant, solution and selected inverse of a block-tridiagonal matrix with a border.

The Hessian of the action couples each time only with its neighbors, and with the parameters that all times
share:

    A = [ T  Bᵀ ]     T: one block-tridiagonal chain a window, diagonal blocks D_i, blocks below them E_i
        [ B  C  ]     B: border of P dense rows, C: corner, (P, P)

    L_i L_iᵀ = D_i - G_i G_iᵀ,    G_i = E_i L_{i-1}⁻ᵀ,    W_i = (B_i - W_{i-1} G_iᵀ) L_i⁻ᵀ
    L_c L_cᵀ = C - Σ_i W_i W_iᵀ

Of the inverse Z only the blocks in the pattern of L are computed (K. Takahashi, J. Fagan, M.-S. Chin, Proc.
8th PICA Conf., 63, 1973; A. M. Erisman, W. F. Tinney, Comm. ACM 18, 177, 1975), from Z L = L⁻ᵀ backward in i:

    Z_{k,i} = -(Σ_{m>i} Z_{k,m} L_{m,i}) L_i⁻¹,    Z_{i,i} = L_i⁻ᵀ (L_i⁻¹ - Σ_{m>i} L_{m,i}ᵀ Z_{m,i})

with k and m over the next block and the border. Cost: that of one factorization, (N b³), b the size of a
block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, eigh
from scipy.linalg.lapack import dpotrf, dtrtrs

from hpcda.linalg.elimination import Inertia, NotPositiveDefiniteError, Pattern, pivoted

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
ROUNDING = 1e-14
"""Eigenvalues smaller than this part of the numbers that they are differences of are rounding alone."""


def _broken(chain: int | None, block: int) -> NotPositiveDefiniteError:
    return NotPositiveDefiniteError("the border" if chain is None else f"block {block} of chain {chain}")


class NotBlockTridiagonalError(Exception):
    """An entry couples blocks that are not neighbors, or two chains."""


@dataclass(frozen=True)
class Chain:
    """One chain, with its part of the border.

    Attributes:
        diagonal: The M blocks D_i, symmetric, shape (b_i, b_i).
        below: The M - 1 blocks E_i, shape (b_i, b_{i-1}), i = 1 … M - 1.
        border: The M blocks B_i, shape (P, b_i).
    """

    diagonal: tuple[Array, ...]
    below: tuple[Array, ...]
    border: tuple[Array, ...]


@dataclass(frozen=True)
class BlockTridiagonal:
    """A symmetric matrix of one or several chains and a border that joins them.

    Attributes:
        chains: The chains.
        corner: C, shape (P, P).
    """

    chains: tuple[Chain, ...]
    corner: Array

    @classmethod
    def from_csr(
        cls,
        indptr: npt.ArrayLike,
        indices: npt.ArrayLike,
        values: npt.ArrayLike,
        sizes: Sequence[Sequence[int]],
    ) -> BlockTridiagonal:
        """Cut a full symmetric matrix in compressed rows into blocks; what follows is the border.

        Args:
            indptr: Beginnings of the rows, shape (n + 1,).
            indices: Columns, shape (nnz,).
            values: Values, shape (nnz,); repeated entries add up.
            sizes: For each chain the sizes of its blocks.

        Raises:
            NotBlockTridiagonalError: The matrix does not fit these blocks.
        """
        starts, columns = np.asarray(indptr, dtype=np.int64), np.asarray(indices, dtype=np.int64)
        entries = np.asarray(values, dtype=np.float64)
        size = len(starts) - 1
        rows = np.repeat(np.arange(size), np.diff(starts))
        flat = [b for chain in sizes for b in chain]
        edges = np.concatenate([[0], np.cumsum(flat, dtype=np.int64)])
        chain_of = np.repeat(np.arange(len(sizes)), [len(chain) for chain in sizes])
        inside = int(edges[-1])
        last = int(starts[inside])
        place = (rows[last:] - inside) * size + columns[last:]
        strip = _sums(place, entries[last:], (size - inside) * size).reshape(size - inside, size)
        border, corner = strip[:, :inside], strip[:, inside:]
        at = np.flatnonzero(columns[:last] < inside)
        rows, columns, entries = rows[at], columns[at], entries[at]
        i, j = (np.searchsorted(edges, k, side="right") - 1 for k in (rows, columns))
        if ((np.abs(i - j) > 1) | (chain_of[i] != chain_of[j])).any():
            raise NotBlockTridiagonalError(f"blocks of sizes {flat[:3]} … do not hold all entries")
        width = np.array(flat, dtype=np.int64)
        known = rows, columns, entries
        diagonal = _filled(width, width, j, known, edges, i == j)
        below = _filled(width[1:], width[:-1], j, known, edges, i == j + 1)
        chains, begin = [], 0
        for blocks in sizes:
            end = begin + len(blocks)
            strips = tuple(border[:, edges[k] : edges[k + 1]] for k in range(begin, end))
            chains.append(Chain(tuple(diagonal[begin:end]), tuple(below[begin : end - 1]), strips))
            begin = end
        return cls(tuple(chains), corner)

    def reversed(self) -> BlockTridiagonal:
        """The same matrix with the blocks of every chain in reverse order; the border stays."""
        turned = (
            Chain(
                chain.diagonal[::-1],
                tuple(block.T for block in reversed(chain.below)),
                chain.border[::-1],
            )
            for chain in self.chains
        )
        return BlockTridiagonal(tuple(turned), self.corner)

    def cholesky(self) -> Factor:
        """Factor the matrix.

        Raises:
            NotPositiveDefiniteError: It is not positive definite.
        """
        factors, schur = self._eliminated(_cholesky)
        return Factor(factors, _cholesky(schur, None, 0))

    def lifted(self, least: float) -> tuple[tuple[Chain, ...], Array, tuple[Lift, ...]]:
        """Eliminate the chains; eigenvalues of a pivot below `least` are lifted to it.

        What is lifted is a diagonal block: the factor is that of a positive definite matrix which differs
        from this one by the lifts alone. Negative eigenvalues change their sign where that is more, so that
        what follows does not grow without bound. Eigenvalues that rounding hides are lifted to what it
        leaves.

        Args:
            least: Least eigenvalue of a pivot D_i - G_i G_iᵀ, above 0.

        Returns:
            The chains of the factor, the border's Schur complement C - Σ W_i W_iᵀ, shape (P, P), and the
            lifts.

        Raises:
            NotPositiveDefiniteError: An entry is not finite.
        """
        lifts: list[Lift] = []

        def pivot(block: Array, chain: int, k: int) -> Array:
            size = float(np.abs(self.chains[chain].diagonal[k]).max(initial=0.0))
            lower, lift = lifted_cholesky(block, least, size, chain, k)
            if lift is not None:
                lifts.append(lift)
            return lower

        factors, schur = self._eliminated(pivot)
        return factors, schur, tuple(lifts)

    def _eliminated(self, pivot: Callable[[Array, int, int], Array]) -> tuple[tuple[Chain, ...], Array]:
        schur = self.corner.copy()
        factors = []
        for number, chain in enumerate(self.chains):
            lower: list[Array] = []
            below: list[Array] = []
            border: list[Array] = []
            for k, block in enumerate(chain.diagonal):
                strip = chain.border[k]
                if k:
                    # G = E L⁻ᵀ, so Gᵀ solves L Gᵀ = Eᵀ
                    g = _solve(lower[-1], chain.below[k - 1].T).T
                    block = block - g @ g.T
                    strip = strip - border[-1] @ g.T
                    below.append(g)
                lower.append(pivot(block, number, k))
                border.append(_solve(lower[-1], strip.T).T)
                schur -= border[-1] @ border[-1].T
            factors.append(Chain(tuple(lower), tuple(below), tuple(border)))
        return tuple(factors), schur


@dataclass(frozen=True)
class Lift:
    """Directions of one pivot in which the matrix was too small, and was lifted.

    Attributes:
        chain: Chain of the pivot; None for the border.
        block: Block of that chain.
        directions: Orthonormal eigenvectors of the pivot, shape (b, f).
        curvatures: Their eigenvalues before, rising, shape (f,).
        raised: What they were lifted to; those below -raised changed their sign instead.
    """

    chain: int | None
    block: int
    directions: Array
    curvatures: Array
    raised: float


def lifted_cholesky(
    block: Array, least: float, size: float, chain: int | None = None, k: int = 0
) -> tuple[Array, Lift | None]:
    """Cholesky factor of a symmetric matrix whose eigenvalues below `least` are lifted to it.

    Args:
        block: Shape (b, b).
        least: Least eigenvalue, above 0.
        size: Size of the numbers that the block is a difference of: eigenvalues below its rounding error are
            lifted to that.
        chain: Where the block stands, for the record.
        k: The same.

    Returns:
        L, and what was lifted, None for nothing.

    Raises:
        NotPositiveDefiniteError: An entry is not finite.
    """
    if not len(block):
        return block, None
    try:
        lower = _cholesky(block, chain, k)
        if np.sum(_solve(lower, np.eye(len(lower))) ** 2) <= 1.0 / least:  # the trace of the inverse
            return lower, None
    except NotPositiveDefiniteError:
        if not np.isfinite(block).all():
            raise
    values, vectors = eigh(block, check_finite=False)
    raised = max(least, ROUNDING * size)
    low = values < raised
    if not low.any():
        return _cholesky(block, chain, k), None
    directions = vectors[:, low]
    whole = block + (directions * (np.maximum(raised, -values[low]) - values[low])) @ directions.T
    return _cholesky(whole, chain, k), Lift(chain, k, directions, values[low], raised)


@dataclass(frozen=True)
class SelectedInverse:
    """Blocks of the inverse.

    Attributes:
        diagonal: For each chain the M diagonal blocks, shape (b_i, b_i).
        below: For each chain the M - 1 blocks below them, shape (b_i, b_{i-1}), i = 1 … M - 1.
        border: For each chain the M blocks between border and chain, shape (P, b_i).
        corner: Block of the border, shape (P, P).
    """

    diagonal: tuple[tuple[Array, ...], ...]
    below: tuple[tuple[Array, ...], ...]
    border: tuple[tuple[Array, ...], ...]
    corner: Array

    @property
    def variances(self) -> Array:
        """Diagonal of the inverse, chain after chain, then the border, shape (n,)."""
        parts = [np.diagonal(block) for chain in self.diagonal for block in chain]
        return np.concatenate([*parts, np.diagonal(self.corner)])


@dataclass(frozen=True)
class Factor:
    """The Cholesky factor L: blocks L_i, G_i and W_i of each chain, and L_c.

    Attributes:
        chains: The blocks, `diagonal` being L_i, `below` G_i, `border` W_i.
        corner: L_c, shape (P, P).
    """

    chains: tuple[Chain, ...]
    corner: Array

    @property
    def logdet(self) -> float:
        """Log det A."""
        total = np.log(np.diagonal(self.corner)).sum()
        total += sum(np.log(np.diagonal(block)).sum() for chain in self.chains for block in chain.diagonal)
        return float(2.0 * total)

    @property
    def corner_covariance(self) -> Array:
        """Block of the inverse that belongs to the border, shape (P, P)."""
        half = _solve(self.corner, np.eye(len(self.corner)))
        covariance: Array = half.T @ half
        return covariance

    def solve(self, right: Array) -> Array:
        """X in A x = right.

        Args:
            right: Shape (n,) or (n, m).

        Returns:
            The same shape.
        """
        columns = np.asarray(right, dtype=np.float64).reshape(len(right), -1)
        parts, tail = self._cut(columns)
        at = 0
        for chain in self.chains:
            for k, lower in enumerate(chain.diagonal):
                if k:
                    parts[at] -= chain.below[k - 1] @ parts[at - 1]
                parts[at] = _solve(lower, parts[at])
                tail -= chain.border[k] @ parts[at]
                at += 1
        return self._substituted(parts, _solve(self.corner, tail)).reshape(np.shape(right))

    def sample(self, normal: Array) -> Array:
        """L⁻ᵀ z, which for standard normal z, shape (n,) or (n, m), has the covariance A⁻¹."""
        columns = np.asarray(normal, dtype=np.float64).reshape(len(normal), -1)
        return self._substituted(*self._cut(columns)).reshape(np.shape(normal))

    def _cut(self, columns: Array) -> tuple[list[Array], Array]:
        """Copies of the rows of each block, and of the border's."""
        edges = np.cumsum([0, *(len(block) for chain in self.chains for block in chain.diagonal)])
        parts = [columns[b:e].copy() for b, e in zip(edges, edges[1:], strict=False)]
        return parts, columns[edges[-1] :].copy()

    def _substituted(self, parts: list[Array], tail: Array) -> Array:
        """L⁻ᵀ of what `_cut` gives, which is overwritten."""
        at = len(parts)
        tail = _solve(self.corner, tail, transposed=True)
        for chain in reversed(self.chains):
            for k in range(len(chain.diagonal) - 1, -1, -1):
                at -= 1
                parts[at] -= chain.border[k].T @ tail
                if k + 1 < len(chain.diagonal):
                    parts[at] -= chain.below[k].T @ parts[at + 1]
                parts[at] = _solve(chain.diagonal[k], parts[at], transposed=True)
        solution: Array = np.concatenate([*parts, tail])
        return solution

    def selected_inverse(self) -> SelectedInverse:
        """Diagonal blocks of the inverse, and its border."""
        corner = self.corner_covariance
        diagonals, belows, borders = [], [], []
        for chain in self.chains:
            diagonal: list[Array] = []
            below: list[Array] = []
            border: list[Array] = []
            for k in range(len(chain.diagonal) - 1, -1, -1):
                lower, w = chain.diagonal[k], chain.border[k]
                inverse = _solve(lower, np.eye(len(lower)))
                cross = corner @ w
                rest = np.zeros_like(inverse)
                if diagonal:
                    g = chain.below[k]
                    cross += border[-1] @ g
                    next_to = -(diagonal[-1] @ g + border[-1].T @ w) @ inverse
                    rest += g.T @ next_to
                    below.append(next_to)
                strip = -cross @ inverse
                rest += w.T @ strip
                block = inverse.T @ (inverse - rest)
                diagonal.append(0.5 * (block + block.T))
                border.append(strip)
            diagonals.append(tuple(reversed(diagonal)))
            belows.append(tuple(reversed(below)))
            borders.append(tuple(reversed(border)))
        return SelectedInverse(tuple(diagonals), tuple(belows), tuple(borders), corner)


class ChainElimination:
    """Elimination block after block; see `hpcda.linalg.elimination.Elimination`.

    Args:
        pattern: The sparsity.
        sizes: For each chain the sizes of its blocks; what follows is the border.

    Raises:
        NotBlockTridiagonalError: The pattern does not fit these blocks.
    """

    def __init__(self, pattern: Pattern, sizes: Sequence[Sequence[int]]) -> None:
        self.pattern, self.sizes = pattern, sizes
        self._border = pattern.size - sum(map(sum, sizes))
        self._matrix(np.zeros(len(pattern.indices)))

    def _matrix(self, values: Array) -> BlockTridiagonal:
        return BlockTridiagonal.from_csr(self.pattern.indptr, self.pattern.indices, values, self.sizes)

    @property
    def flops(self) -> float:
        """Additions and multiplications of a factorization."""
        return self._border**3 / 3 + sum(
            b**3 / 3 + b**2 * (below + self._border) + b * (below + self._border) ** 2
            for chain in self.sizes
            for b, below in zip(chain, [*chain[1:], 0], strict=True)
        )

    @property
    def memory(self) -> float:
        """Bytes of a factor, with what the factorization needs on the way: the matrix in blocks."""
        return 16.0 * (
            self._border**2
            + sum(
                b * (b + below + self._border)
                for chain in self.sizes
                for b, below in zip(chain, [*chain[1:], 0], strict=True)
            )
        )

    def factor(self, values: Array, shift: float = 0.0) -> ChainFactor:
        """Factor a matrix, its entries in the order of the pattern, shape (nnz,).

        Raises:
            NotPositiveDefiniteError: It is not positive definite.
        """
        pattern = self.pattern
        shifted = np.asarray(values, dtype=np.float64) + shift * (pattern.rows == pattern.indices)
        return ChainFactor(self._matrix(shifted).cholesky(), pattern, self.sizes)

    def inertia(self, values: Array, shift: float = 0.0) -> Inertia:
        """Signs of the eigenvalues of any symmetric matrix of this sparsity; arguments as of `factor`."""
        pattern, border = self.pattern, self._border
        size = float(np.abs(values).max(initial=0.0))
        matrix = self._matrix(np.asarray(values) + shift * (pattern.rows == pattern.indices))
        found, corner = Inertia(0, 0, 0), matrix.corner.copy()
        for chain in matrix.chains:
            left = np.zeros((0, 0))
            for k, block in enumerate(chain.diagonal):
                b = len(block)
                strip = (
                    np.vstack([chain.below[k], chain.border[k]]) if k < len(chain.below) else chain.border[k]
                )
                if k:
                    block = block - left[:b, :b]
                    strip = strip.copy()
                    strip[len(strip) - border :] -= left[b:, :b]
                    corner -= left[b:, b:]
                signs, left = pivoted(block, strip, size)
                found += signs
            corner -= left[len(left) - border :, len(left) - border :]
        return found + pivoted(corner, np.zeros((0, border)), size)[0]


@dataclass(frozen=True)
class ChainFactor:
    """A factor in blocks; see `hpcda.linalg.elimination.EliminatedMatrix`.

    Attributes:
        blocks: The factor.
        pattern: Sparsity of the matrix.
        sizes: For each chain the sizes of its blocks.
    """

    blocks: Factor
    pattern: Pattern
    sizes: Sequence[Sequence[int]]

    @property
    def logdet(self) -> float:
        """Log det A."""
        return self.blocks.logdet

    def solve(self, right: Array) -> Array:
        """A⁻¹ right, shape (n,) or (n, m)."""
        return self.blocks.solve(right)

    def sample(self, normal: Array) -> Array:
        """L⁻ᵀ z, which for standard normal z, shape (n,) or (n, m), has the covariance A⁻¹."""
        return self.blocks.sample(normal)

    @property
    def variances(self) -> Array:
        """Diagonal of A⁻¹, shape (n,)."""
        return self.blocks.selected_inverse().variances

    def inverse_on_pattern(self) -> Array:
        """Entries of A⁻¹ in the pattern of A, in its order, shape (nnz,)."""
        selected = self.blocks.selected_inverse()
        flat = [size for chain in self.sizes for size in chain]
        edges = np.concatenate([[0], np.cumsum(flat, dtype=np.int64)])
        high = np.maximum(self.pattern.rows, self.pattern.indices)
        low = np.minimum(self.pattern.rows, self.pattern.indices)
        block, other = (np.searchsorted(edges, k, side="right") - 1 for k in (high, low))
        values = np.empty(len(high))
        number = 0
        for diagonal, below, border in zip(selected.diagonal, selected.below, selected.border, strict=True):
            for k, own in enumerate(diagonal):
                pieces = [(number, own, edges[number]), (len(flat), border[k], edges[-1])]
                if k + 1 < len(diagonal):
                    pieces.append((number + 1, below[k], edges[number + 1]))
                for which, piece, begin in pieces:
                    at = np.flatnonzero((other == number) & (block == which))
                    values[at] = piece[high[at] - begin, low[at] - edges[number]]
                number += 1
        at = np.flatnonzero(other == len(flat))
        values[at] = selected.corner[high[at] - edges[-1], low[at] - edges[-1]]
        return values


def _sums(place: Index, entries: Array, size: int) -> Array:
    """Sums of the entries of each place, in their order, shape (size,)."""
    return np.asarray(np.bincount(place, entries, size), dtype=np.float64)


def _filled(
    tall: Index, wide: Index, number: Index, matrix: tuple[Index, Index, Array], edges: Index, own: Mask
) -> list[Array]:
    """Blocks of the diagonal, or those below them, from entries, which add up in their order.

    Args:
        tall: Rows of each block.
        wide: Columns of each block.
        number: Which of the diagonal's blocks each entry has its column in.
        matrix: Row, column and value of each entry.
        edges: Where blocks of the diagonal begin.
        own: Which entries stand in these blocks.
    """
    rows, columns, entries = matrix
    ahead = len(edges) - 1 - len(tall)
    begins = np.concatenate([[0], np.cumsum(tall * wide)])
    k = number[own]
    place = begins[k] + (rows[own] - edges[k + ahead]) * wide[k] + columns[own] - edges[k]
    numbers = _sums(place, entries[own], int(begins[-1]))
    shapes = zip(begins[:-1].tolist(), begins[1:].tolist(), tall.tolist(), wide.tolist(), strict=True)
    return [numbers[begin:end].reshape(t, w) for begin, end, t, w in shapes]


def _cholesky(block: Array, chain: int | None, k: int) -> Array:
    if not len(block):
        return block
    if not np.isfinite(block).all():
        raise _broken(chain, k)
    lower, failed = dpotrf(block, lower=1, clean=1)
    if failed:
        raise _broken(chain, k)
    return np.asarray(lower)


def _solve(lower: Array, right: Array, transposed: bool = False) -> Array:
    if not len(lower) or not right.size:
        return np.array(right, dtype=np.float64)
    result, failed = dtrtrs(lower, right, lower=1, trans=int(transposed))
    if failed:
        raise LinAlgError(f"a triangular matrix of {len(lower)} rows is singular")
    return np.asarray(result)
