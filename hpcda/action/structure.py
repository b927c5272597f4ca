"""Index tables and sparsity: where each derivative of the action stands in the gradient and the Hessian.

One interval of the path is enough: all intervals look alike. The Hessian's upper triangle is kept as `slots`
numbers an interval, each an entry that couples a point of the interval with a later one or with a shared
parameter, plus one dense triangle for the shared parameters. `Sparsity` says where each of them stands in the
matrix.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.action.costs import Cost
from hpcda.action.scheme import Scheme
from hpcda.models.traced import Traced
from hpcda.problem import Numbers, Problem

Ints = npt.NDArray[np.int32]
Where = tuple[int, int, int, int]


@dataclass(frozen=True)
class Entry:
    """One derivative of a model error by a local column: fixed + dt Σ weight · jacobian[stage, index]."""

    column: int
    fixed: float
    terms: tuple[tuple[int, int, float], ...]


class Structure:
    """The tables of one problem's intervals.

    A local column of an interval is j · block + k for unknown k of its point j, and (m + 1) · block + k for
    constant k of those that its window sees. A slot is (phase, lag, row, column): unknown `row` of the point
    at `phase` in its interval with unknown `column` of the point `lag` later (lag 0: row ≤ column), or, lag
    -1, with constant `column`.
    """

    def __init__(
        self, problem: Problem, scheme: Scheme, model: Traced, observed: Traced, costs: Sequence[Cost] = ()
    ) -> None:
        self.scheme = scheme
        self.states = problem.dimension
        self.varying = len(problem.varying)
        self.block = problem.layout.block
        self.border = len(problem.seen)
        self.model = model
        self.local = (scheme.span + 1) * self.block
        self.rows = [self._row(k, a) for k in range(scheme.errors) for a in range(self.states)]
        self._slots: dict[Where, int] = {}
        self._observed = _observed_pairs(observed)
        self._second = observed.hessian, [pair for cost in costs for pair in cost.share.hessian]
        self._collect()
        self.where = sorted(self._slots)
        self._slots = {where: number for number, where in enumerate(self.where)}

    @property
    def slots(self) -> int:
        """Number of Hessian values an interval."""
        return len(self.where)

    def _coefficient(self, stage: int, point: int, variable: int) -> float:
        table = self.scheme.state if variable < self.states else self.scheme.known
        return float(table[stage, point])

    def columns(self, stage: int, variable: int) -> Iterator[tuple[int, float]]:
        """Local columns that a variable of a stage is mixed from, with their coefficients."""
        if variable >= self.block:
            yield self.local + variable - self.block, 1.0
            return
        for point in range(self.scheme.span + 1):
            coefficient = self._coefficient(stage, point, variable)
            if coefficient:
                yield point * self.block + variable, coefficient

    @property
    def active(self) -> list[int]:
        """Local columns that the stages of a staged rule depend on."""
        own = range(self.block)
        following = range(self.block + self.states, 2 * self.block)
        return [*own, *following, *range(self.local, self.local + self.border)]

    def _row(self, error: int, state: int) -> list[Entry]:
        scheme = self.scheme
        fixed: dict[int, float] = defaultdict(float)
        terms: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
        for point in range(scheme.span + 1):
            if scheme.position[error, point]:
                fixed[point * self.block + state] += float(scheme.position[error, point])
        if scheme.staged:
            active = self.active
            rest = sorted(set(fixed) - set(active))
            return [Entry(column, fixed.get(column, 0.0), ()) for column in [*active, *rest]]
        for stage in range(scheme.stages):
            rate = float(scheme.rate[error, stage])
            for index, (row, variable) in enumerate(self.model.jacobian):
                if rate and row == state:
                    for column, coefficient in self.columns(stage, variable):
                        terms[column].append((stage, index, -rate * coefficient))
        columns = sorted(set(fixed) | set(terms))
        return [Entry(column, fixed.get(column, 0.0), tuple(terms.get(column, ()))) for column in columns]

    def _where(self, a: int, b: int) -> Where:
        a, b = sorted((a, b))
        if a >= self.local:
            return (-1, -1, a - self.local, b - self.local)
        first, row = divmod(a, self.block)
        phase = first % self.scheme.span
        if b >= self.local:
            return (phase, -1, row, b - self.local)
        second, column = divmod(b, self.block)
        return (phase, second - first, row, column)

    def _need(self, a: int, b: int) -> None:
        where = self._where(a, b)
        if where[0] >= 0:
            self._slots[where] = 0

    def places(self, problem: Problem, window: int, begins: Any, columns: Numbers) -> Numbers:
        """Indices in a flat path of the local columns of intervals that begin at `begins`."""
        tail = problem.layout.tail.start + problem.layout.seen(window)
        inner = columns < self.local
        constant = tail[np.where(inner, 0, columns - self.local)] if len(tail) else 0
        return np.where(inner, begins + columns, constant)

    def destination(self, a: int, b: int) -> int:
        """Offset from the interval's first value; or -1 - index in the shared parameters' triangle."""
        phase, lag, row, column = self._where(a, b)
        if phase < 0:
            return -1 - (column * (column + 1) // 2 + row)
        a, b = sorted((a, b))
        later = self.slots if a // self.block == self.scheme.span else 0
        return later + self._slots[phase, lag, row, column]

    def _collect(self) -> None:
        span = self.scheme.span
        for row in self.rows:
            for i, left in enumerate(row):
                for right in row[i:]:
                    self._need(left.column, right.column)
        for group in self._spread_pairs():
            for _, _, a, b in group:
                self._need(a, b)
        for phase in range(span):
            base = phase * self.block
            for k in range(self.block):
                self._need(base + k, base + k)
            for k in range(self.states, self.block):
                self._need(base + k, base + self.block + k)
            for k, l in (*self._observed, *self._second[0], *self._second[1]):  # noqa: E741
                self._need(self._seen_at(phase, k), self._seen_at(phase, l))

    def _seen_at(self, phase: int, variable: int) -> int:
        """Local column of a variable of what is measured at the point `phase` of an interval."""
        if variable >= self.block:
            return self.local + variable - self.block
        return phase * self.block + variable

    def _spread_pairs(self) -> list[list[tuple[int, float, int, int]]]:
        """For each phase (stages that are points) or stage: (Hessian entry, coefficient, column, column)."""
        groups: list[list[tuple[int, float, int, int]]] = []
        if self.scheme.staged:
            active = self.active
            return [[(0, 0.0, a, b) for i, a in enumerate(active) for b in active[i:]]]
        nodal = self.scheme.nodes is not None
        for index in range(self.scheme.span if nodal else self.scheme.stages):
            group: list[tuple[int, float, int, int]] = []
            for entry, (k, l) in enumerate(self.model.hessian):  # noqa: E741
                if nodal:
                    columns = [
                        (variable - self.block + self.local)
                        if variable >= self.block
                        else index * self.block + variable
                        for variable in (k, l)
                    ]
                    group.append((entry, 1.0, columns[0], columns[1]))
                    continue
                for a, left in self.columns(index, k):
                    for b, right in self.columns(index, l):
                        if k != l or a <= b:
                            group.append((entry, left * right, a, b))
            groups.append(group)
        return groups

    @cached_property
    def products(self) -> dict[int, list[tuple[int, int]]]:
        """Gauss–Newton Hessian of an interval: destination -> pairs of entries whose products it sums."""
        products: dict[int, list[tuple[int, int]]] = defaultdict(list)
        first = 0
        for row in self.rows:
            for i in range(len(row)):
                for j in range(i, len(row)):
                    products[self.destination(row[i].column, row[j].column)].append((first + i, first + j))
            first += len(row)
        return products

    @property
    def wide(self) -> bool:
        """Whether model errors depend on so many unknowns that sums of their products go by stretches."""
        return self.model.products is not None

    @cached_property
    def stretches(self) -> list[tuple[int, int, int, int]]:
        """The same products in stretches: (entry, first of the entries it is times, destination, how many).

        Entries of a stretch, and where their products go, stand beside each other.
        """
        found: list[tuple[int, int, int, int]] = []
        first = 0
        for row in self.rows:
            inner = sum(entry.column < self.local for entry in row)
            for i, entry in enumerate(row):
                times = range(i, len(row)) if i < inner else range(inner, i + 1)
                places = [self.destination(entry.column, row[j].column) for j in times]
                begin = 0
                for k in range(1, len(places) + 1):
                    step = 1 if places[begin] >= 0 else -1
                    if k == len(places) or places[k] != places[begin] + step * (k - begin):
                        found.append((first + i, first + times[begin], places[begin], k - begin))
                        begin = k
            first += len(row)
        return found

    @cached_property
    def tables(self) -> dict[str, Numbers]:
        """Every index table of assemble.c by its name there."""
        entries = [entry for row in self.rows for entry in row]
        terms = [term for entry in entries for term in entry.terms]
        products = {} if self.wide else self.products
        targets = sorted(products, key=lambda target: (len(products[target]), target))
        sizes = [len(products[target]) for target in targets]
        counts = sorted(set(sizes))
        pairs = [pair for target in targets for pair in products[target]]
        groups = [] if self.scheme.staged else self._spread_pairs()
        spread = [(h, weight, self.destination(a, b)) for group in groups for h, weight, a, b in group]
        active = self.active if self.scheme.staged else []
        staged = [self.destination(a, b) for a in active for b in active]
        return {
            "entry": _starts(len(row) for row in self.rows),
            "column": _ints(entry.column for entry in entries),
            "fixed": np.array([entry.fixed for entry in entries], dtype=float),
            "term": _starts(len(entry.terms) for entry in entries),
            "term_stage": _ints(term[0] for term in terms),
            "term_jac": _ints(term[1] for term in terms),
            "term_weight": np.array([term[2] for term in terms], dtype=float),
            "target": _ints(targets),
            "group": _ints(counts),
            "members": _ints(sizes.count(size) for size in counts),
            "left": _ints(pair[0] for pair in pairs),
            "right": _ints(pair[1] for pair in pairs),
            "stretch": _ints(
                number for stretch in (self.stretches if self.wide else ()) for number in stretch
            ),
            "spread": _starts(len(group) for group in groups),
            "spread_h": _ints(item[0] for item in spread),
            "spread_weight": np.array([item[1] for item in spread], dtype=float),
            "spread_dest": _ints(item[2] for item in spread),
            "diagonal": self._diagonal(),
            "seen_products": self._seen_places(self._observed),
            "seen_second": self._seen_places(self._second[0]),
            "cost_dest": self._seen_places(self._second[1]),
            "beside": _ints(
                self._slots[phase, 1, k, k]
                for phase in range(self.scheme.span)
                for k in range(self.states, self.block)
            ),
            "active": _ints(active),
            "active_dest": _ints(staged),
        }

    def _seen_places(self, pairs: Sequence[tuple[int, int]]) -> Ints:
        """For each phase where second derivatives of what is measured go."""
        return _ints(
            self.destination(self._seen_at(phase, k), self._seen_at(phase, l))
            for phase in range(self.scheme.span)
            for k, l in pairs  # noqa: E741
        )

    def _diagonal(self) -> Ints:
        table = np.full((self.scheme.span, self.block, self.block), -1, dtype=np.int32)
        for number, (phase, lag, row, column) in enumerate(self.where):
            if lag == 0:
                table[phase, row, column] = table[phase, column, row] = number
        return table.ravel()


def _observed_pairs(observed: Traced) -> list[tuple[int, int]]:
    """Variables of every product of two slopes of one measured quantity, as assemble.c goes through them."""
    entries = observed.jacobian
    return [
        (variable, other)
        for e, (row, variable) in enumerate(entries)
        for other_row, other in entries[e:]
        if other_row == row
    ]


def _ints(values: object) -> Ints:
    return np.array(list(values), dtype=np.int32)  # type: ignore[call-overload, no-any-return]


def _starts(counts: object) -> Ints:
    return np.concatenate([[0], np.cumsum(list(counts))]).astype(np.int32)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class Sparsity:
    """The full symmetric Hessian in compressed rows, and where its values come from.

    Attributes:
        indptr: Shape (size + 1,).
        indices: Column of every value, sorted in each row.
        gather: For every value its place in [shared triangle, Hessian values of window 0, of window 1, …].
    """

    indptr: Ints
    indices: Ints
    gather: npt.NDArray[np.int64]

    @staticmethod
    def of(problem: Problem, structure: Structure) -> Sparsity:
        """The sparsity of a problem's Hessian."""
        layout, block, span = problem.layout, structure.block, structure.scheme.span
        constants = layout.constants
        triangle = len(constants) * (len(constants) + 1) // 2
        where = np.array(structure.where, dtype=np.int64).reshape(-1, 4)
        last = layout.tail.start
        found: list[npt.NDArray[np.int64]] = []
        start = triangle
        for window_number, window in enumerate(problem.windows):
            offset, seen = layout.begins[window_number], layout.seen(window_number)
            points = np.arange(window.times)
            for number, (phase, lag, row, column) in enumerate(where):
                at = points[phase::span]
                at = at[at + max(lag, 0) < window.times]
                if lag < 0:
                    columns = np.full(len(at), last + seen[column])
                else:
                    columns = offset + (at + lag) * block + column
                value = start + (at // span) * structure.slots + number
                found.append(np.stack([offset + at * block + row, columns, value]))
            start += ((window.times - 1) // span + 1) * structure.slots
        for column, one in enumerate(constants):
            for row, other in enumerate(constants[: column + 1]):
                if None not in (one.window, other.window) and one.window != other.window:
                    continue
                found.append(np.array([[last + row], [last + column], [column * (column + 1) // 2 + row]]))
        rows, columns, values = np.concatenate(found, axis=1)
        off = rows != columns
        rows, columns = np.concatenate([rows, columns[off]]), np.concatenate([columns, rows[off]])
        values = np.concatenate([values, values[off]])
        order = np.lexsort((columns, rows))
        indptr = np.searchsorted(rows[order], np.arange(problem.size + 1))
        return Sparsity(indptr.astype(np.int32), columns[order].astype(np.int32), values[order])
