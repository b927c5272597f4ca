"""Permutations and sign changes of variables that leave a set of traced equations unchanged.

An exchange is found on the graph of the equations: sums and products without an order of their terms, every
variable with a color for what else is known of it. Colors are refined by those of a node's arguments and of
what uses it, until no more nodes are told apart (B. Weisfeiler, A. Leman, Nauchno-Tekh. Inform. 2(9), 12
(1968)). Two units are given colors of their own; where exchanging these two gives the same picture, the
picture tells which variable has become which (B. McKay, Congr. Numer. 30, 45 (1981)).

A reversal is a set of variables whose change of sign all equations bear: every node of the graph is even or
odd in them, which makes linear equations over the field of two elements.

What is found are candidates: who uses them evaluates the equations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcda.models.graph import Graph

Ints = npt.NDArray[np.int64]
Colors = npt.NDArray[np.uint64]
_ODD = frozenset({"neg", "sin", "tan", "sinh", "tanh", "arcsin", "arctan", "sign", "held"})
_EVEN = frozenset({"cos", "cosh", "abs"})
_SUMS, _PRODUCT = frozenset({"add", "sub", "neg", "dot"}), "mul"
_LABEL = 1 << 40
"""Colors of units that are told apart begin here; all others are less."""


@dataclass(frozen=True, eq=False)
class Rules:
    """Traced equations.

    Attributes:
        graph: Their graph; its inputs "v" are the variables.
        values: A node each.
        rows: The variable whose rule each is, which an exchange moves with it; None of one that stays.
        known: What is known of another input, by kind and number; those of which the same is are alike.
    """

    graph: Graph
    values: Sequence[int]
    rows: Sequence[int | None]
    known: Callable[[str, int], Hashable] = lambda kind, number: (kind, number)


class Relations:
    """What stands in which equation.

    Args:
        colors: What is known of each variable beside the equations; those of which the same is known may be
            exchanged.
        rules: The equations.
    """

    def __init__(self, colors: Sequence[Hashable], rules: Iterable[Rules]) -> None:
        self.variables = len(colors)
        self._rules = tuple(rules)
        self._nodes: list[Hashable] = [("variable", color) for color in colors]
        self._edges: list[tuple[int, int, Hashable]] = []
        for number, one in enumerate(self._rules):
            made = _Taken(one, self._nodes, self._edges)
            for k, (value, row) in enumerate(zip(one.values, one.rows, strict=True)):
                node = made.of(value)
                self._edges.append((made.fresh(("value", number, k)) if row is None else row, node, "rule"))
        numbers: dict[Hashable, int] = {}
        first = [numbers.setdefault(node, len(numbers)) for node in self._nodes]
        kinds = [numbers.setdefault(("edge", kind), len(numbers)) for *_, kind in self._edges]
        self._first = _mixed(np.array(first, dtype=np.uint64))
        self._from, self._to = np.array(
            [(user, used) for user, used, _ in self._edges], dtype=np.int64
        ).reshape(-1, 2).T  # fmt: skip
        self._kinds = _mixed(np.array(kinds, dtype=np.uint64))
        self._back = _mixed(self._kinds)

    def alike(self) -> Colors:
        """The color of every variable, shape (variables,): what differs cannot be exchanged."""
        return self._refined({})[: self.variables]

    def look(self, variable: int) -> int:
        """A number, the same for two variables where an exchange may bring one to the other's place."""
        colors = np.sort(self._refined({variable: 0}))
        return hash(tuple(colors.tolist()))

    def exchange(self, units: Sequence[int], first: int, second: int) -> Ints | None:
        """The exchange of two variables that leaves some others as they are, and what goes with it.

        Args:
            units: Variables that are told apart, the two among them.
            first: One of the two.
            second: The other.

        Returns:
            The variable that comes to the place of each, shape (variables,); None where there is none.
        """
        ones = {unit: k for k, unit in enumerate(units)}
        others = ones | {first: ones[second], second: ones[first]}
        while True:
            one, other = (self._refined(labels)[: self.variables] for labels in (ones, others))
            left, right = np.argsort(one, kind="stable"), np.argsort(other, kind="stable")
            if not np.array_equal(one[left], other[right]):
                return None
            found = np.empty(self.variables, dtype=np.int64)
            found[left] = right
            _, group, sizes = np.unique(one, return_inverse=True, return_counts=True)
            if (sizes == 1).all():
                return found if np.array_equal(found[found], np.arange(self.variables)) else None
            still = [np.flatnonzero(group == k) for k in np.flatnonzero(sizes > 1)]
            # what may stay itself does
            same = [own for own in still if (one[own] == other[own]).all()]
            for own in same or [still[0][:1]]:
                begin = len(ones)
                ones |= {int(k): begin + n for n, k in enumerate(own)}
                others |= {int(k if same else found[k]): begin + n for n, k in enumerate(own)}

    def _refined(self, labels: dict[int, int]) -> Colors:
        colors = self._first.copy()
        for variable, label in labels.items():
            colors[variable] = _mixed(np.array([_LABEL + label], dtype=np.uint64))[0]
        count = len(np.unique(colors))
        while True:
            near = np.zeros_like(colors)
            np.add.at(near, self._from, _mixed(colors[self._to] + self._kinds))
            np.add.at(near, self._to, _mixed(colors[self._from] + self._back))
            colors = _mixed(colors * np.uint64(3) + near)
            before, count = count, len(np.unique(colors))
            if count == before:
                return colors

    def reversals(self, may: Sequence[bool], wanted: Iterable[int]) -> list[Ints]:
        """Sets of variables whose change of sign changes no equation, and the sign of the rules of its own.

        Args:
            may: Which variables may change their sign.
            wanted: Each set has one of these that no other has; what changes without them is left alone.

        Returns:
            The variables of each set, ascending. All others are made of these, one after the other.
        """
        bound = [1 << k for k, one in enumerate(may) if not one]
        for rules in self._rules:
            bound += _parities(rules)
        wanted = list(wanted)
        order = [*wanted, *sorted(set(range(self.variables)) - set(wanted))]
        rows = _reduced(bound, reversed(order))
        free = [k for k in order if k not in rows]
        found = []
        for k in free:
            if k in wanted:
                found.append(np.array(sorted([k, *(p for p, row in rows.items() if row >> k & 1)])))
        return found


class _Taken:
    """Nodes of a graph as they are taken up: sums and products without an order of their terms."""

    def __init__(self, rules: Rules, nodes: list[Hashable], edges: list[tuple[int, int, Hashable]]) -> None:
        self._graph, self._known, self._all, self._edges = rules.graph, rules.known, nodes, edges
        reached = self._graph.reach(rules.values)
        self._uses = Counter(a for node in reached for a in self._graph.arguments(node))
        self._uses.update(rules.values)
        self._place: dict[int, int] = {}
        self._products: dict[tuple[int, ...], int] = {}
        inside = {a for node in reached for a in self._graph.arguments(node) if self._is_part(a, node)}
        for node in reached:  # arguments come first: nothing is entered deeply
            if node not in inside:
                self.of(node)

    def _is_part(self, one: int, node: int) -> bool:
        """Whether a node is a part of the sum or product that uses it, as nothing else does."""
        (op, *_), (user, *_) = self._graph.keys[one], self._graph.keys[node]
        alike = user in _SUMS - {"dot"} and op in _SUMS or op == user == _PRODUCT
        return alike and self._uses[one] == 1

    def fresh(self, color: Hashable) -> int:
        """One more node."""
        self._all.append(color)
        return len(self._all) - 1

    def of(self, node: int) -> int:
        """Number of a graph's node."""
        if node not in self._place:
            self._place[node] = self._made(node)
        return self._place[node]

    def _made(self, node: int) -> int:
        op, *rest = self._graph.keys[node]
        if op == "input":
            return rest[1] if rest[0] == "v" else self.fresh(("input", self._known(*rest)))
        if op == "const":
            return self.fresh(("number", rest[0]))
        if op in _SUMS:
            made = self.fresh("sum")
            self._edges += [(made, term, sign) for sign, term in self._terms(node)]
            return made
        if op == _PRODUCT:
            return self._product(sorted(self._factors(node)))
        made = self.fresh((op, *rest[1:]) if op == "pow" else op)
        self._edges += [(made, self.of(a), k) for k, a in enumerate(self._graph.arguments(node))]
        return made

    def _product(self, factors: list[int]) -> int:
        key = tuple(factors)
        if key not in self._products:
            self._products[key] = made = self.fresh("product")
            self._edges += [(made, factor, "factor") for factor in factors]
        return self._products[key]

    def _terms(self, node: int) -> list[tuple[str, int]]:
        """Terms of a sum with their signs; sums that nothing else uses are a part of it."""
        found, left = [], [(node, 1)]
        while left:
            one, sign = left.pop()
            op, *rest = self._graph.keys[one]
            if op not in _SUMS or (one != node and self._uses[one] > 1):
                found.append((f"{sign:+d}", self.of(one)))
            elif op == "dot":
                pairs = zip(*rest, strict=True)
                found += [(f"{sign:+d}", self._product(sorted(map(self.of, pair)))) for pair in pairs]
            else:
                left.append((rest[-1], -sign if op in ("sub", "neg") else sign))
                left += [(rest[0], sign)] if len(rest) == 2 else []
        return found

    def _factors(self, node: int) -> list[int]:
        found, left = [], [node]
        while left:
            one = left.pop()
            if self._graph.keys[one][0] == _PRODUCT and (one == node or self._uses[one] == 1):
                left += self._graph.keys[one][1:]
            else:
                found.append(self.of(one))
        return found


def orbits_of(exchanges: Sequence[Ints], size: int) -> Ints:
    """Of each of some variables the first that exchanges bring to its place, shape (size,)."""
    first = np.arange(size)
    while True:
        before = first
        for comes in exchanges:
            least = np.minimum(first, first[comes])
            first = np.minimum(least, least[comes])
        if np.array_equal(first, before):
            return first


def _parities(rules: Rules) -> list[int]:
    """Sets of variables, as bits, of which an even number must change sign that all equations bear it."""
    graph, bound = rules.graph, list[int]()
    parity: dict[int, int | None] = {}  # the variables whose change of sign changes a node's; None of a 0

    def same(nodes: Iterable[int | None]) -> int | None:
        known = [one for one in nodes if one is not None]
        bound.extend(one ^ known[0] for one in known[1:])
        return known[0] if known else None

    for node in graph.reach(rules.values):
        op, *rest = graph.keys[node]
        inner = [parity[a] for a in graph.arguments(node)]
        if op == "input":
            parity[node] = 1 << rest[1] if rest[0] == "v" else 0
        elif op == "const":
            parity[node] = None if rest[0] == 0.0 else 0
        elif op in ("add", "sub") or op in _ODD:
            parity[node] = same(inner)
        elif op in (_PRODUCT, "div"):
            parity[node] = (inner[0] or 0) ^ (inner[1] or 0)
        elif op == "dot":
            half = len(inner) // 2
            parity[node] = same((a or 0) ^ (b or 0) for a, b in zip(inner[:half], inner[half:], strict=True))
        elif op in _EVEN or (op == "pow" and rest[1] % 2 == 0.0):
            parity[node] = 0
        elif op == "pow" and rest[1] % 2 == 1.0:
            parity[node] = inner[0]
        elif op == "select":
            bound.append(inner[0] or 0)
            parity[node] = same(inner[1:])
        else:  # neither even nor odd
            bound.extend(one for one in inner if one)
            parity[node] = 0
    for value, row in zip(rules.values, rules.rows, strict=True):
        own = parity[value]
        if own is not None:
            bound.append(own if row is None else own ^ 1 << row)
    return bound


def _reduced(rows: Iterable[int], order: Iterable[int]) -> dict[int, int]:
    """Linear equations over two elements in reduced form: pivot -> the other variables it is the sum of.

    Args:
        rows: The variables of each equation, as bits.
        order: Variables, those that become pivots first.
    """
    left = [row for row in set(rows) if row]
    found: dict[int, int] = {}
    for pivot in order:
        bit = 1 << pivot
        with_it = [row for row in left if row & bit]
        if not with_it:
            continue
        row = min(with_it, key=lambda one: (one.bit_count(), one))
        left = [new for one in left if (new := one ^ row if one & bit else one)]
        found = {p: one ^ row if one & bit else one for p, one in found.items()} | {pivot: row}
    return {pivot: row & ~(1 << pivot) for pivot, row in found.items()}


def _mixed(numbers: Colors) -> Colors:
    """Numbers of 64 bits that look like random ones (splitmix64: G. Steele et al., OOPSLA, 453 (2014))."""
    x = numbers + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
