r"""Multifrontal Cholesky: sparse symmetric matrices eliminated in a tree of dense fronts (tree.c).

Symbolic, once for a sparsity: an order (`hpcda.linalg.order`), its elimination tree, and fronts: columns that
are eliminated together, with the rows that meet them. A column joins the front of its largest child, up to
`FRONT` columns or as long as it brings no new row: a row of a front begins at its first entry that is not 0,
so that rows which come later cost nothing. Small fronts join their parent where the zeros that this brings
cost less than a front of its own.

Numerical, for as many matrices at once as a vector has lanes: each front sums the entries of A and what its
children leave, its columns are eliminated, the rest goes to its parent. The inverse on the pattern follows
from the root down (K. Takahashi, J. Fagan, M.-S. Chin, Proc. 8th PICA Conf., 63, 1973): with pivots p and
rest r of a front,

    Z_rp = -Z_rr L_rp L_pp⁻¹,    Z_pp = L_pp⁻ᵀ (L_pp⁻¹ - L_rpᵀ Z_rp)
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from hpcda.linalg.elimination import (
    Array,
    Index,
    Inertia,
    Ints,
    NotPositiveDefiniteError,
    Pattern,
    pivoted,
)
from hpcda.linalg.order import Order, address, counted, least_work, symbolic
from hpcda.native.compile import library
from hpcda.native.declared import structures
from hpcda.native.unit import unit

FRONT = 64
"""Columns up to which a front takes in columns that bring new rows."""
EACH = 1500.0
"""Products that cost as much time as a front does by itself."""
MOVED = 3.0
"""Products that cost as much time as one number that a front leaves to its parent."""
HALO = 5
"""Rows before and after a row that can stand in one tile with it (front.c), less one."""
STEP = 4
"""Columns of a tile (front.c)."""

_ARRAYS = (
    "pivots rest begin row storage update entry child_begin child offset first place parent_row source "
    "target order"
).split()


@dataclass(frozen=True)
class Front:
    """A front.

    Attributes:
        begin: Place of its first pivot in the order.
        pivots: Number of columns that are eliminated together.
        rest: Places of the further rows, ascending, shape (r,).
        first: First column of every row in which it is not 0, pivots before the rest, shape (p + r,).
        parent: Number of its parent, or -1.
    """

    begin: int
    pivots: int
    rest: Index
    first: Index
    parent: int

    @property
    def flops(self) -> float:
        """Additions and multiplications of its elimination."""
        p, columns = self.pivots, np.arange(self.pivots)
        rows = np.sort(self.first)
        below = np.searchsorted(rows, columns, side="right") - columns - 1.0
        return float((below * (below + 2.0)).sum()) if p else 0.0


@dataclass(frozen=True)
class Tree:
    """The symbolic elimination of a sparsity.

    Attributes:
        pattern: The sparsity.
        name: The order's name.
        order: Unknown at each place of the elimination, shape (n,).
        fronts: The fronts, children before parents.
        open: Whether the last front holds the shared unknowns alone, and is put together but not eliminated.
    """

    pattern: Pattern
    name: str
    order: Ints
    fronts: tuple[Front, ...]
    open: bool

    @classmethod
    def of(cls, pattern: Pattern, chosen: Order | None = None, keep_shared: bool = False) -> Tree:
        """Plan the elimination.

        Args:
            pattern: The sparsity.
            chosen: The order; None for the one with the least work.
            keep_shared: Leave the shared unknowns in a last front that is not eliminated.

        Raises:
            ValueError: The shared unknowns are kept, but do not come last in the order.
            MemoryError: There is too little.
            CompilerError: No C compiler, or no place for compiled code.
        """
        chosen = chosen or least_work(pattern)
        size, apart = pattern.size, pattern.shared if keep_shared else 0
        if (chosen.order[size - apart :] < size - apart).any():
            raise ValueError(f"the order {chosen.name!r} does not end with the shared unknowns")
        post, scratch = np.empty(size, dtype=np.int32), np.empty((2, size), dtype=np.int32)
        symbolic().postorder(size, *map(address, (chosen.parent, post, scratch[0], scratch[1])))
        if apart:  # the shared unknowns stay last
            inside = post < size - apart
            post = np.concatenate([post[inside], np.arange(size - apart, size, dtype=np.int32)])
        chosen = counted(chosen.name, pattern, chosen.order[post])
        group, pivots = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.int32)
        arrays = map(address, (chosen.parent, chosen.below, group, pivots))
        costs = ctypes.c_double(EACH), ctypes.c_double(MOVED)
        if symbolic().merge(size, FRONT, *costs, apart, *arrays):
            raise MemoryError("too little memory to plan an elimination")
        together = np.lexsort((np.arange(size), group))
        ends = np.flatnonzero(np.diff(group[together], append=-1)) + 1
        order = chosen.order[together]
        fronts = list(_fronts(pattern, order, ends))
        if apart:
            fronts[-1] = replace(fronts[-1], first=np.zeros(apart, dtype=np.int64))
        return cls(pattern, chosen.name, order, tuple(fronts), bool(apart))

    @property
    def flops(self) -> float:
        """Additions and multiplications of a factorization."""
        return sum(front.flops for front in self.fronts[: len(self.fronts) - self.open])

    @property
    def numbers(self) -> int:
        """Numbers that a factorization of one matrix keeps, factor and what is left on the way."""
        return self.tables.factor + self.tables.left

    @cached_property
    def tables(self) -> Tables:
        """The tables of tree.c."""
        return Tables.of(self)

    def place(self, number: int) -> str:
        """A front, as messages name it."""
        front = self.fronts[number]
        unknowns = np.sort(self.order[front.begin : front.begin + front.pivots])
        shown = ", ".join(map(str, unknowns[:6])) + (" …" if len(unknowns) > 6 else "")
        return f"the front of unknowns {shown}"


def _lower(pattern: Pattern, order: Ints) -> tuple[Index, Index, Index]:
    """Places (row, column) of the permuted matrix's lower triangle, column by column, and their entries."""
    place = np.empty(pattern.size, dtype=np.int64)
    place[order] = np.arange(pattern.size)
    row, column = place[pattern.rows], place[pattern.indices]
    kept = np.flatnonzero(row >= column)
    kept = kept[np.lexsort((row[kept], column[kept]))]
    return row[kept], column[kept], kept


def _fronts(pattern: Pattern, order: Ints, ends: Index) -> tuple[Front, ...]:
    row, column, _ = _lower(pattern, order)
    begins = np.concatenate([[0], ends[:-1]])
    front_of = np.repeat(np.arange(len(ends)), ends - begins)
    cuts = np.searchsorted(column, np.append(begins, pattern.size))
    children: list[list[int]] = [[] for _ in ends]
    made: list[Front] = []
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        part = slice(cuts[number], cuts[number + 1])
        below, at = row[part], column[part] - begin
        given = [made[child].rest for child in children[number]]
        rest = np.unique(np.concatenate([below, *given]))
        rest = rest[rest >= end]
        pivots = int(end - begin)
        first = np.concatenate([np.arange(pivots), np.full(len(rest), pivots)])
        np.minimum.at(first, _local(below, begin, end, rest), at)
        for places in given:
            local = _local(places, begin, end, rest)
            np.minimum.at(first, local, local[0])
        parent = int(front_of[rest[0]]) if len(rest) else -1
        if parent >= 0:
            children[parent].append(number)
        made.append(Front(int(begin), pivots, rest, first, parent))
    return tuple(made)


def _local(places: Index, begin: int, end: int, rest: Index) -> Index:
    """Rows of a front at which places of the order stand."""
    return np.where(places < end, places - begin, end - begin + np.searchsorted(rest, places))


def stored_from(first: Index, pivots: int) -> Index:
    """Column from which each row of a front is kept: a row is read and written from where its tile begins."""
    found = []
    for part in (first[:pivots], first[pivots:]):
        if len(part):
            padded = np.pad(part, HALO, constant_values=int(np.iinfo(np.int64).max))
            part = np.lib.stride_tricks.sliding_window_view(padded, 2 * HALO + 1).min(axis=1)
        found.append(part // STEP * STEP)
    return np.concatenate(found)


@dataclass(frozen=True)
class Tables:
    """What tree.c walks.

    Attributes:
        structure: The C structure; it points into `arrays`.
        arrays: The arrays by their names in tree.c.
        factor: Numbers of a factor.
        left: Numbers that fronts leave to their parents, as many as are kept at once.
        entries: Unknowns (row, column) of every entry of the matrix that `source` names.
    """

    structure: Any
    arrays: dict[str, npt.NDArray[Any]]
    factor: int
    left: int
    entries: tuple[Ints, Ints]

    @property
    def nbytes(self) -> int:
        """Bytes of the tables themselves."""
        return sum(array.nbytes for array in (*self.arrays.values(), *self.entries))

    @property
    def room(self) -> Index:
        """New room for where the rows of a front are."""
        return np.empty(2 * self.structure.most, dtype=np.int64)

    @classmethod
    def of(cls, tree: Tree, source_of: Index | None = None) -> Tables:
        """The tables of a tree.

        Args:
            tree: The tree.
            source_of: Where the value of every entry of the pattern is found, below 0 for one that is left
                out, shape (nnz,); None for the order of the pattern.
        """
        fronts, size = tree.fronts, tree.pattern.size
        pivots = np.array([front.pivots for front in fronts])
        rest = np.array([len(front.rest) for front in fronts])
        row = np.concatenate([[0], np.cumsum(pivots + rest)])
        children = [[] for _ in fronts]  # type: list[list[int]]
        for number, front in enumerate(fronts):
            if front.parent >= 0:
                children[front.parent].append(number)
        offset, storage, parent_row = [], [0], []
        for front in fronts:
            stored = stored_from(front.first, front.pivots)
            ends = np.minimum(np.arange(1, len(stored) + 1), front.pivots)
            widths = np.maximum(ends - stored, 0)
            starts = storage[-1] + np.concatenate([[0], np.cumsum(widths)])
            offset.append(starts[:-1] - stored)
            storage.append(int(starts[-1]))
            there = np.zeros(len(front.first), dtype=np.int64)
            if front.parent >= 0:
                above = fronts[front.parent]
                there[front.pivots :] = _local(
                    front.rest, above.begin, above.begin + above.pivots, above.rest
                )
            parent_row.append(there)
        update, left = _room(rest * (rest + 1) // 2, children)
        matrix_row, matrix_column, source = _lower(tree.pattern, tree.order)
        if source_of is not None:
            source = source_of[source]
            matrix_row, matrix_column, source = (a[source >= 0] for a in (matrix_row, matrix_column, source))
        begins = np.array([front.begin for front in fronts], dtype=np.int64)
        entry = np.searchsorted(matrix_column, np.append(begins, size))
        target = []
        for number, front in enumerate(fronts):
            part = slice(entry[number], entry[number + 1])
            local = _local(matrix_row[part], front.begin, front.begin + front.pivots, front.rest)
            target.append(offset[number][local] + matrix_column[part] - front.begin)
        places = [np.append(np.arange(f.begin, f.begin + f.pivots), f.rest) for f in fronts]
        flat = [child for own in children for child in own]
        ints = {
            "pivots": pivots, "rest": rest, "begin": begins,
            "child_begin": np.concatenate([[0], np.cumsum([len(own) for own in children])]), "child": flat,
            "first": _joined([front.first for front in fronts]), "place": _joined(places),
            "parent_row": _joined(parent_row), "source": source, "order": tree.order,
        }  # fmt: skip
        longs = {
            "row": row, "storage": storage, "update": update, "entry": entry,
            "offset": _joined(offset), "target": _joined(target),
        }  # fmt: skip
        arrays = {name: np.ascontiguousarray(value, dtype=np.int32) for name, value in ints.items()}
        arrays |= {name: np.ascontiguousarray(value, dtype=np.int64) for name, value in longs.items()}
        most = int((pivots + rest).max(initial=0))
        structure = structures("tree.c")["Tree"](
            fronts=len(fronts), open=int(tree.open), size=size, most=most, factor=storage[-1], left=left,
            **{name: arrays[name].ctypes.data for name in _ARRAYS},
        )  # fmt: skip
        entries = tree.order[matrix_row], tree.order[matrix_column]
        return cls(structure, arrays, storage[-1], left, entries)


def _joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0)


def _room(sizes: Index, children: Sequence[Sequence[int]]) -> tuple[list[int], int]:
    """Where what each front leaves is kept until its parent has taken it, and how much room that needs."""
    free: list[tuple[int, int]] = []
    at, end = [], 0
    for number, size in enumerate(int(size) for size in sizes):
        fitting = [(low, high) for low, high in free if high - low >= size]
        low, high = (
            min(fitting, key=lambda room: room[1] - room[0]) if fitting and size else (end, end + size)
        )
        if fitting and size:
            free.remove((low, high))
            if high > low + size:
                free.append((low + size, high))
        else:
            end += size
        at.append(low)
        free += [(at[c], at[c] + int(sizes[c])) for c in children[number] if sizes[c]]
        joined: list[tuple[int, int]] = []
        for low, high in sorted(free):
            if joined and joined[-1][1] == low:
                joined[-1] = (joined[-1][0], high)
            else:
                joined.append((low, high))
        if joined and joined[-1][1] == end:
            end = joined.pop()[0]
        free = joined
    highest = max((begin + int(size) for begin, size in zip(at, sizes, strict=True)), default=0)
    return at, highest


@cache
def _compiled(lanes: int) -> Any:
    return library(unit(lanes, "tree_single.c"))


class TreeElimination:
    """Elimination in a tree of fronts; see `hpcda.linalg.elimination.Elimination`.

    Args:
        pattern: The sparsity.
        chosen: The order of elimination; None for the one with the least work.

    Raises:
        MemoryError: There is too little.
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(self, pattern: Pattern, chosen: Order | None = None) -> None:
        self.pattern = pattern
        self.tree = Tree.of(pattern, chosen)

    @property
    def flops(self) -> float:
        """Additions and multiplications of a factorization."""
        return self.tree.flops

    @property
    def memory(self) -> float:
        """Bytes of a factor, with what the factorization needs on the way."""
        return 8.0 * self.tree.numbers

    def factor(self, values: Array, shift: float = 0.0) -> TreeFactor:
        """Factor a matrix, its entries in the order of the pattern, shape (nnz,).

        Raises:
            NotPositiveDefiniteError: It is not positive definite.
        """
        return self.factor_all(np.asarray(values, dtype=np.float64)[:, None], shift)[0]

    def factor_all(self, values: Array, shift: float = 0.0) -> list[TreeFactor]:
        """Factor 1, 2, 4 or 8 matrices at once, shape (nnz, matrices): the same bits as one after the other.

        Raises:
            NotPositiveDefiniteError: One of them is not positive definite.
        """
        lanes, tables = values.shape[1], self.tree.tables
        factor, left = aligned(tables.factor, lanes), aligned(tables.left, lanes)
        where = factor_into(self.tree, values, shift, factor, left)
        for lane in np.flatnonzero(where >= 0):
            matrix = f" of matrix {lane}" if lanes > 1 else ""
            raise NotPositiveDefiniteError(f"{self.tree.place(where[lane])}{matrix}")
        return [TreeFactor(self.tree, np.ascontiguousarray(factor[:, lane])) for lane in range(lanes)]

    def inertia(self, values: Array, shift: float = 0.0) -> Inertia:
        """Signs of the eigenvalues of any symmetric matrix of this sparsity; arguments as of `factor`.

        Front after front, each pivot block by its eigenvalues: several times the work of a factorization.
        """
        pattern, fronts = self.pattern, self.tree.fronts
        given, size = np.asarray(values, dtype=np.float64), float(np.abs(values).max(initial=0.0))
        given = given + shift * (pattern.rows == pattern.indices)
        row, column, source = _lower(pattern, self.tree.order)
        found = Inertia(0, 0, 0)
        whole: dict[int, Array] = {}

        def of(number: int) -> Array:
            return whole.setdefault(number, np.zeros((len(fronts[number].first),) * 2))

        for number, front in enumerate(fronts):
            p, z = front.pivots, of(number)
            part = slice(*np.searchsorted(column, [front.begin, front.begin + p]))
            at, other = (
                _local(row[part], front.begin, front.begin + p, front.rest),
                column[part] - front.begin,
            )
            z[at, other] += given[source[part]]
            lower = at != other
            z[other[lower], at[lower]] += given[source[part]][lower]
            signs, taken = pivoted(z[:p, :p], z[p:, :p], size)
            found += signs
            if front.parent >= 0:
                above = fronts[front.parent]
                there = _local(front.rest, above.begin, above.begin + above.pivots, above.rest)
                of(front.parent)[np.ix_(there, there)] += z[p:, p:] - taken
            del whole[number]
        return found


def factor_into(tree: Tree, values: Array, shift: float, factor: Array, left: Array) -> Ints:
    """Factor 1, 2, 4 or 8 matrices at once; the front where each one breaks down, or -1.

    Args:
        tree: The plan.
        values: The matrices, shape (nnz, matrices).
        shift: Added to their diagonals.
        factor: Room for the factors, `aligned`, shape (tree.tables.factor, matrices).
        left: Room for what fronts leave, shape (tree.tables.left, matrices).
    """
    lanes, tables = values.shape[1], tree.tables
    entries, diagonal = aligned(len(values), lanes), aligned(tree.pattern.size, lanes)
    entries[:], diagonal[:] = values, shift
    where, rows = np.full(lanes, -1, dtype=np.int32), tables.room
    arrays = map(address, (entries, diagonal, factor, left, where, rows))
    _compiled(lanes).tree_factor(ctypes.byref(tables.structure), *arrays)
    return where


def applied(tree: Tree, numbers: Array, y: Array, forward: bool, backward: bool) -> None:
    """L⁻¹ and then L⁻ᵀ, as asked for, of a vector in the order of elimination, shape (n,), in place."""
    table, rows = ctypes.byref(tree.tables.structure), tree.tables.room
    _compiled(1).tree_solve(table, address(numbers), address(y), int(forward), int(backward), address(rows))


def aligned(count: int, lanes: int) -> Array:
    """Zeros of shape (count, lanes) that begin at a multiple of 64 bytes: vectors then never cross a line."""
    raw = np.zeros(max(count, 1) * lanes + 8)
    begin = -raw.ctypes.data % 64 // 8
    return raw[begin : begin + count * lanes].reshape(count, lanes)


@dataclass(frozen=True)
class TreeFactor:
    """A factor; see `hpcda.linalg.elimination.EliminatedMatrix`.

    Attributes:
        tree: Its plan.
        numbers: Rows of its fronts, shape (factor,).
    """

    tree: Tree
    numbers: Array

    @property
    def logdet(self) -> float:
        """Log det A."""
        arrays = self.tree.tables.arrays
        inverse = [
            self.numbers[arrays["offset"][row : row + front.pivots] + np.arange(front.pivots)]
            for row, front in zip(arrays["row"], self.tree.fronts, strict=False)
        ]
        return float(-2.0 * np.log(_joined(inverse)).sum())

    def solve(self, right: Array) -> Array:
        """A⁻¹ right, shape (n,) or (n, m)."""
        return self._applied(right, True)

    def sample(self, normal: Array) -> Array:
        """L⁻ᵀ z, which for standard normal z, shape (n,) or (n, m), has the covariance A⁻¹."""
        return self._applied(normal, False)

    def _applied(self, vectors: Array, forward: bool) -> Array:
        """L⁻ᵀ of vectors, after L⁻¹ where `forward` is set."""
        given = np.asarray(vectors, dtype=np.float64).reshape(len(vectors), -1)
        order, found = self.tree.order, np.empty_like(given)
        for column in range(given.shape[1]):
            y = np.ascontiguousarray(given[order, column] if forward else given[:, column])
            applied(self.tree, self.numbers, y, forward, True)
            found[order, column] = y
        return found.reshape(np.shape(vectors))

    def _blocks(self, number: int) -> tuple[Array, Array]:
        """L_pp and L_rp of a front, dense."""
        arrays, front = self.tree.tables.arrays, self.tree.fronts[number]
        dense = np.zeros((len(front.first), front.pivots))
        offsets = arrays["offset"][arrays["row"][number] : arrays["row"][number + 1]]
        for i, (offset, begin) in enumerate(zip(offsets, front.first, strict=True)):
            end = min(i + 1, front.pivots)
            dense[i, begin:end] = self.numbers[offset + begin : offset + end]
        diagonal = np.arange(front.pivots)
        dense[diagonal, diagonal] = 1.0 / dense[diagonal, diagonal]
        return dense[: front.pivots], dense[front.pivots :]

    @cached_property
    def _inverse(self) -> Array:
        tree = self.tree
        arrays = tree.tables.arrays
        row, column, source = _lower(tree.pattern, tree.order)
        found = np.empty(len(row))
        whole: dict[int, Array] = {}
        waiting = np.bincount([f.parent for f in tree.fronts if f.parent >= 0], minlength=len(tree.fronts))
        for number in range(len(tree.fronts) - 1, -1, -1):
            front, p = tree.fronts[number], tree.fronts[number].pivots
            z = np.empty((len(front.first),) * 2)
            if len(front.rest):
                there = arrays["parent_row"][arrays["row"][number] + p : arrays["row"][number + 1]]
                z[p:, p:] = whole[front.parent][np.ix_(there, there)]
                waiting[front.parent] -= 1
                if not waiting[front.parent]:
                    del whole[front.parent]
            pivots, rest = self._blocks(number)
            inverse = solve_triangular(pivots, np.eye(p), lower=True, check_finite=False)
            z[p:, :p] = -z[p:, p:] @ rest @ inverse
            z[:p, p:] = z[p:, :p].T
            block = inverse.T @ (inverse - rest.T @ z[p:, :p])
            z[:p, :p] = 0.5 * (block + block.T)
            part = slice(arrays["entry"][number], arrays["entry"][number + 1])
            local = _local(row[part], front.begin, front.begin + p, front.rest)
            found[part] = z[local, column[part] - front.begin]
            if waiting[number]:
                whole[number] = z
        return _both(tree, row, column, source, found)

    def inverse_on_pattern(self) -> Array:
        """Entries of A⁻¹ in the pattern of A, in its order, shape (nnz,)."""
        return self._inverse

    @property
    def variances(self) -> Array:
        """Diagonal of A⁻¹, shape (n,)."""
        pattern = self.tree.pattern
        return self._inverse[pattern.rows == pattern.indices]


def _both(tree: Tree, row: Index, column: Index, source: Index, lower: Array) -> Array:
    """Values of the whole pattern from those of its permuted lower triangle."""
    pattern, size = tree.pattern, tree.pattern.size
    values = np.empty(len(pattern.indices))
    values[source] = lower
    rows, columns = pattern.rows, pattern.indices.astype(np.int64)
    transposed = np.searchsorted(rows * size + columns, columns[source] * size + rows[source])
    values[transposed] = lower
    return values
