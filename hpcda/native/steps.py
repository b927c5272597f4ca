"""Steps of a function that is no straight-line code: what they do in an array `room`, and their C text.

The room begins with the number 1, the variables v and the constants c; loops go over stretches of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Run = tuple[int, int, int, int]
"""Places of c, of the first x and of the first y, and how many: y[k] += c x[k]."""
Segment = tuple[int, int, int, int, int, int, int]
"""Of z = Σ w a: places of z, the first w, its step, the first a, its step; how many; whether it begins z."""
ONE = 0
"""Place of the number 1 in the room."""


@dataclass(frozen=True)
class Expressions:
    """Straight-line code.

    Attributes:
        nodes: What is computed.
        at: Where the first of them goes to in the room; None: to what the function returns.
        known: Node -> place in the room of what is computed already.
    """

    nodes: Sequence[int]
    at: int | None
    known: Mapping[int, int]


@dataclass(frozen=True)
class Rows:
    """Sums of products in segments, each begun by one, the next of the same sum right after it."""

    table: Sequence[Segment]

    def call(self, name: str) -> tuple[str, str]:
        """A table and a call of products.h."""
        return _table(name, self.table, 7), f"product_rows(room, {name}, {len(self.table)});"


@dataclass(frozen=True)
class Runs:
    """y[k] += c x[k], or, of `fresh` ones, y[k] = c x[k]; y in the room, or in what the function returns."""

    table: Sequence[Run]
    returned: bool = False
    fresh: bool = False

    def call(self, name: str) -> tuple[str, str]:
        """A table and a call of products.h."""
        function, to = "product_scaled" if self.fresh else "product_added", "out" if self.returned else "room"
        return _table(name, self.table, 4), f"{function}(room, {to}, {name}, {len(self.table)});"


@dataclass(frozen=True)
class Zeros:
    """Numbers of the room, or of what the function returns, that begin at 0."""

    at: int
    count: int
    returned: bool = False

    def call(self, name: str) -> tuple[str, str]:
        """Nothing, and a call."""
        to = "out" if self.returned else "room"
        return "", f"memset({to} + {self.at}, 0, sizeof(vd) * {self.count});"


Step = Expressions | Rows | Runs | Zeros


def _table(name: str, rows: Sequence[Sequence[int]], width: int) -> str:
    text = ", ".join(f"{{{', '.join(map(str, row))}}}" for row in rows or [[0] * width])
    return f"static const int {name}[][{width}] = {{{text}}};\n"
