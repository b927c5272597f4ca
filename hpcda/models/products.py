"""Derivatives of functions with matrix products, such as ``p.W2 @ np.tanh(p.W1 @ x + p.b)``, in few steps.

A row z = Σ_j w_j a_j of a product stays whole. Between products stand expressions: the operands φ(u), and the
values f(u) at the end, of base quantities u, which are variables v and rows z. With the row R(u) = ∂u/∂v, all
of which are sparse, and R(v_k) the unit vector,

    R(φ) = Σ_u φ_u R(u),    R(z) = Σ_j a_j R(w_j) + w_j R(a_j),    ∂f/∂v = Σ_u f_u R(u).

With the adjoints α of operands and λ of rows, the derivatives by the base quantities of T = μ·f + Σ α φ,

    λ(z) = ∂T/∂z,    α(w_j) = Σ_z λ(z) a_j,    α(a_j) = Σ_z λ(z) w_j,

the second derivatives of μ·f are

    Σ_{u,u'} T_{uu'} R(u) ⊗ R(u') + Σ_z λ(z) Σ_j [R(w_j) ⊗ R(a_j) + R(a_j) ⊗ R(w_j)]

(the edge-pushing form of second-order adjoints: Griewank, Walther, Evaluating Derivatives, SIAM 2008, ch. 5).
φ, f and their derivatives by u are straight-line code; all else is loops over stretches of numbers that
stand beside each other, y[k] += c x[k], whose places are found here once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hpcda.models.graph import Graph
from hpcda.native.steps import ONE, Expressions, Rows, Run, Runs, Segment, Step, Zeros

Ints = npt.NDArray[np.int64]
Pair = tuple[int, int]


@dataclass(frozen=True)
class _Row:
    """R of a quantity: its columns, ascending, and the place of the first value."""

    columns: Ints
    at: int


class Products:
    """The steps that compute f, and where wanted its first and second derivatives.

    Args:
        graph: A graph that holds rows of products.
        values: Nodes of f.
        order: Derivatives that are wanted, 0, 1 or 2.

    Attributes:
        room: Numbers of scratch; the first is 1, then follow `variables` v and `constants` c.
        variables: How many v are used, from the first on.
        constants: How many c are used, from the first on.
        of_values: Steps of f.
        of_jacobian: Steps of the entries of ∂f/∂v.
        of_hessian: Steps of the entries of ∂²(μ·f)/∂v².
        jacobian: (row, variable) of the former, row after row.
        hessian: (variable k, variable l ≤ k) of the latter.
    """

    def __init__(self, graph: Graph, values: Sequence[int], order: int) -> None:
        self._graph = graph
        reached = graph.reach(values)
        self._rows = [node for node in reached if graph.keys[node][0] == "dot"]
        self._given = frozenset(self._rows)
        inputs = [graph.keys[node] for node in reached if graph.keys[node][0] == "input"]
        self.variables, self.constants = (
            1 + max((key[2] for key in inputs if key[1] == kind), default=-1) for kind in ("v", "c")
        )
        self.room = 1 + self.variables + self.constants
        self._place: dict[int, int] = {}
        self._operands: dict[int, None] = {}
        forward = self._forward()
        self.of_values: list[Step] = [*forward, Expressions(values, None, self._known())]
        self.of_jacobian: list[Step] = []
        self.of_hessian: list[Step] = []
        self.jacobian: list[Pair] = []
        self.hessian: list[Pair] = []
        if not order:
            return
        common = [*forward, *self._slopes(values)]
        self.jacobian, returned = self._jacobian(values)
        self.of_jacobian = [*common, *returned]
        if order > 1:
            self.hessian, steps = self._hessian(values)
            self.of_hessian = [*common, *steps]

    def _known(self) -> dict[int, int]:
        return dict(self._place)

    def _take(self, count: int) -> int:
        self.room += count
        return self.room - count

    def _at(self, node: int) -> int:
        """Place of a node in the room."""
        key = self._graph.keys[node]
        if key[:2] == ("input", "v"):
            return 1 + int(key[2])
        if key[:2] == ("input", "c"):
            return 1 + self.variables + int(key[2])
        return ONE if key == ("const", 1.0) else self._place[node]

    def _placed(self, nodes: Iterable[int]) -> Iterator[Step]:
        """The step that computes those of some nodes that have no place yet, in their order."""
        fresh = []
        for node in dict.fromkeys(nodes):
            try:
                self._at(node)
            except KeyError:
                fresh.append(node)
        if fresh:
            known, at = self._known(), self._take(len(fresh))
            self._place.update({node: at + k for k, node in enumerate(fresh)})
            yield Expressions(fresh, at, known)

    def _forward(self) -> list[Step]:
        """Operands and rows, those of products inside of products first."""
        keys, steps = self._graph.keys, list[Step]()
        depth: dict[int, int] = {}
        for node in self._graph.reach(self._rows):
            inside = max((depth[one] for one in self._graph.arguments(node)), default=0)
            depth[node] = inside + (node in self._given)
        self._levels = [
            [node for node in self._rows if depth[node] == level]
            for level in range(1, 1 + max((depth[node] for node in self._rows), default=0))
        ]
        for level in self._levels:
            operands = [one for side in (2, 1) for node in level for one in keys[node][side]]
            self._operands.update(dict.fromkeys(operands))
            steps += self._placed(operands)
            at = self._take(len(level))
            self._place.update({node: at + k for k, node in enumerate(level)})
            steps.append(Rows([segment for node in level for segment in self._segments(node)]))
        return steps

    def _segments(self, node: int) -> Iterator[Segment]:
        """A row in stretches of equal steps through both its operands."""
        places = [np.array([self._at(one) for one in side]) for side in self._graph.keys[node][1:]]
        at, first, count = self._place[node], 0, len(places[0])
        while first < count:
            last = min(first + 1, count - 1)
            steps = [int(side[last] - side[first]) for side in places]
            while last + 1 < count and all(
                side[last + 1] - side[last] == step for side, step in zip(places, steps, strict=True)
            ):
                last += 1
            (w, a), (w_step, a_step) = (int(side[first]) for side in places), steps
            yield at, w, w_step, a, a_step, last + 1 - first, int(first == 0)
            first = last + 1

    def _by_base(self, node: int) -> dict[int, int]:
        """Base quantity -> derivative of a node by it."""
        keys = self._graph.keys
        slopes = self._graph.gradient(node, self._given)
        return {u: slope for u, slope in slopes.items() if u in self._given or keys[u][1] == "v"}

    def _slopes(self, values: Sequence[int]) -> list[Step]:
        """Derivatives by base quantities, and the rows R of operands and of rows of products."""
        keys = self._graph.keys
        self._row: dict[int, _Row] = {}
        composed = [one for one in self._operands if one not in self._given and not self._is_variable(one)]
        self._inner = {one: slopes for one in composed if (slopes := self._by_base(one))}
        self._outer = [self._by_base(node) for node in values]
        every = [slope for slopes in (*self._inner.values(), *self._outer) for slope in slopes.values()]
        steps = list(self._placed(every))
        begin, runs = self.room, list[Run]()
        for level in self._levels:
            for one in (one for node in level for side in keys[node][1:] for one in side):
                if one in self._inner and one not in self._row:
                    self._row[one], added = self._combined(
                        [(self._at(slope), u) for u, slope in self._inner[one].items()]
                    )
                    runs += added
            for node in level:
                left, right = keys[node][1:]
                terms = [(self._at(a), w) for w, a in zip(left, right, strict=True)]
                terms += [(self._at(w), a) for w, a in zip(left, right, strict=True)]
                self._row[node], added = self._combined(terms)
                runs += added
        return [*steps, Zeros(begin, self.room - begin), Runs(runs)]

    def _is_variable(self, node: int) -> bool:
        return self._graph.keys[node][:2] == ("input", "v")

    def _of(self, node: int) -> _Row | None:
        """R of a quantity, or None where it does not depend on v."""
        if self._is_variable(node):
            return _Row(np.array([self._graph.keys[node][2]]), ONE)
        return self._row.get(node)

    def _combined(self, terms: Sequence[tuple[int, int]], at: int | None = None) -> tuple[_Row, list[Run]]:
        """Σ c R(u) of terms (place of c, u), and how it is computed."""
        rows = [(c, row) for c, u in terms if (row := self._of(u)) is not None]
        columns = np.unique(np.concatenate([row.columns for _, row in rows])) if rows else np.zeros(0, int)
        begin = self._take(len(columns)) if at is None else at
        single, runs = list[Run](), list[Run]()
        for c, row in rows:
            places = begin + np.searchsorted(columns, row.columns)
            if row.at == ONE:
                single.append((ONE, c, int(places[0]), 1))
            else:
                runs += _runs(c, row.at, places)
        return _Row(columns, begin), [*_merged(single), *runs]

    def _jacobian(self, values: Sequence[int]) -> tuple[list[Pair], list[Step]]:
        """Entries of ∂f/∂v, and the steps that return them."""
        entries, runs = list[Pair](), list[Run]()
        for number, slopes in enumerate(self._outer):
            terms = [(self._at(slope), u) for u, slope in slopes.items()]
            row, added = self._combined(terms, at=len(entries))
            runs += added
            entries += [(number, int(column)) for column in row.columns]
        return entries, [Zeros(0, len(entries), returned=True), Runs(runs, returned=True)]

    def _hessian(self, values: Sequence[int]) -> tuple[list[Pair], list[Step]]:
        """Entries of ∂²(μ·f)/∂v², and the steps that return them."""
        graph, keys = self._graph, self._graph.keys
        adjoint = [one for one in self._operands if one in self._inner or one in self._given]
        first = self._take(len(adjoint))
        alpha = {one: graph.input("adjoint", k) for k, one in enumerate(adjoint)}
        total = graph.constant(0.0)
        for number, value in enumerate(values):
            total = graph.add(total, graph.multiply(graph.input("mu", number), value))
        for one, weight in alpha.items():
            total = graph.add(total, graph.multiply(weight, one))
            self._place[weight] = first + keys[weight][2]
        slopes = self._by_base(total)
        force = {node: slopes.get(node, graph.constant(0.0)) for node in self._rows}
        steps: list[Step] = [Zeros(first, len(adjoint))]
        for level in reversed(self._levels):
            steps += self._placed(force[node] for node in level)
            runs: list[Run] = []
            for node in level:
                for side, other in (keys[node][1:], keys[node][:0:-1]):
                    taken = [(w, self._at(alpha[a])) for w, a in zip(side, other, strict=True) if a in alpha]
                    runs += _merged([(self._at(force[node]), self._at(w), to, 1) for w, to in taken])
            steps.append(Runs(runs))
        found = [
            (u, other, bend)
            for u, slope in slopes.items()
            for other, bend in self._by_base(slope).items()
            if other <= u
        ]
        steps += self._placed(bend for *_, bend in found)
        pairs = [(u, other, self._at(bend), u == other) for u, other, bend in found]
        for node in self._rows:
            if graph.value(force[node]) != 0.0:
                pairs += [(w, a, self._at(force[node]), False) for w, a in zip(*keys[node][1:], strict=True)]
        entries, scaled, runs = self._outer_products(pairs)
        return entries, [
            *steps,
            Runs(scaled, fresh=True),
            Zeros(0, len(entries), returned=True),
            Runs(runs, returned=True),
        ]

    def _outer_products(
        self, pairs: Sequence[tuple[int, int, int, bool]]
    ) -> tuple[list[Pair], list[Run], list[Run]]:
        """Σ c R(u) ⊗ R(u'), and the transpose where u and u' are not the same, of (u, u', place of c, same).

        Returns:
            Entries; rows times c; and what they are times.
        """
        scaled: list[Run] = []
        triangles: list[
            tuple[int, int, int, Ints]
        ] = []  # place of a factor, column, first of a row, its columns
        for u, other, c, same in pairs:
            rows = self._of(u), self._of(other)
            for left, right in (rows,) if same else (rows, rows[::-1]):
                if left is None or right is None:
                    continue
                ends = np.searchsorted(right.columns, left.columns, side="right")
                if not ends.any():
                    continue
                at = c if left.at == ONE else self._take(len(left.columns))
                if left.at != ONE:
                    scaled.append((c, left.at, at, len(left.columns)))
                for k, (column, end) in enumerate(zip(left.columns, ends, strict=True)):
                    if end:
                        triangles.append((at + k, int(column), right.at, right.columns[:end]))
        width = max(self.variables, 1)
        codes = [column * width + columns for _, column, _, columns in triangles]
        entries = np.unique(np.concatenate(codes)) if codes else np.zeros(0, dtype=np.int64)
        runs: list[Run] = []
        for (factor, _, first, _), code in zip(triangles, codes, strict=True):
            runs += _runs(factor, first, np.searchsorted(entries, code))
        return [(int(e // width), int(e % width)) for e in entries], scaled, runs


def _runs(coefficient: int, first: int, places: Ints) -> list[Run]:
    """A coefficient times numbers, in stretches of places beside each other."""
    ends = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
    return [(coefficient, first + a, int(places[a]), b - a) for a, b in pairwise(ends)]


def _merged(single: Sequence[Run]) -> list[Run]:
    """The same, those beside each other with one coefficient in one."""
    found: list[Run] = []
    for run in single:
        if found:
            c, x, y, n = found[-1]
            if run[:3] == (c, x + n, y + n):
                found[-1] = (c, x, y, n + run[3])
                continue
        found.append(run)
    return found
