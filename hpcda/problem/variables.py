"""Named arrays of unknowns, and their positions in a flat vector.

A variable belongs to one time or to all, and to one window or to all. The vector holds

    [ x(0), q(0), x(1), q(1), … of window 0, … of window 1, … ;   of one time and one window
      W(0), b(0), W(1), b(1), … ;                                 of one time, shared by all windows
      c of window 0, c of window 1, … ;                           of one window, at all its times
      p ]                                                         shared by all

so that a layered network whose pairs are windows and whose layers are times has its weights W(n) behind the
states of all pairs, and the layout of a chain (`hpcda.problem.layout`) is the special case without the second
part. Windows may have different numbers of times, and a variable another shape at every time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpcda.errors import InputError, Mistake
from hpcda.problem.layout import Array, Ints, Layout

if TYPE_CHECKING:
    from collections.abc import Callable

Shape = tuple[int, ...]
Place = tuple[str, int | None, int | None]
"""Name, window and time of a piece; None where it belongs to all."""


@dataclass(frozen=True, eq=False)
class Variable:
    """An array of unknowns, with one value in all, or one per window or per time.

    Attributes:
        name: Its name.
        shape: Its shape; () for a number.
        shapes: Its shapes at successive times of a window, if they differ; absent at later times.
        per_time: Whether each time has its own values.
        per_window: Whether each window has its own values.
        bounds: Lowest and highest value allowed, numbers or arrays of the shape.
        start: Range of the initial guess, numbers or arrays of the shape.
        scale: Natural scale, a number or an array of the shape; None for the width of `start`.
        unit: Physical unit.
    """

    name: str
    shape: Shape = ()
    shapes: tuple[Shape, ...] | None = None
    per_time: bool = False
    per_window: bool = False
    bounds: tuple[npt.ArrayLike, npt.ArrayLike] = (-np.inf, np.inf)
    start: tuple[npt.ArrayLike, npt.ArrayLike] = (-1.0, 1.0)
    scale: npt.ArrayLike | None = None
    unit: str = "1"

    def at(self, time: int | None) -> Shape | None:
        """Its shape at a time, None where it has no piece there."""
        if self.shapes is None:
            return self.shape
        return self.shapes[time] if time is not None and time < len(self.shapes) else None

    @property
    def scales(self) -> Array:
        """Natural size, which broadcasts to its shape."""
        if self.scale is not None:
            return np.asarray(self.scale, dtype=np.float64)
        low, high = (np.asarray(end, dtype=np.float64) for end in self.start)
        width, size = high - low, np.maximum(abs(low), abs(high))
        return np.where(width > 1e-12 * size, width, np.where(size > 0, size, 1.0))


@dataclass(frozen=True)
class Part:
    """A part of the flat vector: a variable in one window (or shared) at one time (or constant).

    Attributes:
        variable: The variable.
        window: Number of its window; None if all windows share it.
        time: Number of its time; None if it is constant.
        first: Index of its first unknown.
        shape: Its shape; entries stand in C order.
    """

    variable: Variable
    window: int | None
    time: int | None
    first: int
    shape: Shape

    @property
    def key(self) -> Place:
        """Name, window, time."""
        return self.variable.name, self.window, self.time

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def places(self) -> Ints:
        """Index of every unknown, of the piece's shape."""
        return np.arange(self.first, self.first + self.size).reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Variables:
    """All variables of a problem, and their positions in the flat vector.

    Attributes:
        variables: The variables.
        times: Number of times of each window.

    Raises:
        InputError: A name is repeated, or bounds or sizes are invalid.
    """

    variables: tuple[Variable, ...]
    times: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        mistakes = [found for one in self.variables for found in _mistakes(one)]
        names = [one.name for one in self.variables]
        for name in sorted({name for name in names if names.count(name) > 1}):
            mistakes.append(Mistake(f"variable {name!r}", "the name is used twice", "rename one"))
        if mistakes:
            raise InputError(mistakes)

    @classmethod
    def of_chain(
        cls, layout: Layout, starts: Array, bounds: tuple[Array, Array], shared: Collection[str] = ()
    ) -> Variables:
        """The variables of a chain in time, a number each, which stand where its layout says.

        Args:
            layout: The layout.
            starts: Range in which every unknown starts, shape (size, 2).
            bounds: Lower and upper bound of every unknown, each of shape (size,).
            shared: Names of parameters of one time that all windows share; where there are any, all that
                stands behind the first window stands elsewhere.
        """
        tail = layout.tail.start
        scoped = [(name, k, True, name not in shared) for k, name in enumerate(layout.names)]
        scoped += [(name, tail + k, False, True) for k, name in enumerate(layout.own)]
        first_shared = layout.size - len(layout.shared)
        scoped += [(name, first_shared + k, False, False) for k, name in enumerate(layout.shared)]
        return cls(
            tuple(
                Variable(
                    name,
                    per_time=per_time,
                    per_window=per_window,
                    bounds=(bounds[0][at], bounds[1][at]),
                    start=(starts[at, 0], starts[at, 1]),
                )
                for name, at, per_time, per_window in scoped
            ),
            layout.times,
        )

    @cached_property
    def parts(self) -> Mapping[Place, Part]:
        """Every piece by name, window and time, in the order of the vector."""
        found: dict[Place, Part] = {}
        first = 0
        for variable, window, time in self._scopes():
            shape = variable.at(time)
            if shape is None:
                continue
            part = Part(variable, window, time, first, shape)
            found[part.key] = part
            first += part.size
        return found

    def _scopes(self) -> Iterator[tuple[Variable, int | None, int | None]]:
        def of(per_time: bool, per_window: bool) -> list[Variable]:
            return [v for v in self.variables if (v.per_time, v.per_window) == (per_time, per_window)]

        windows = range(len(self.times))
        for window in windows:
            yield from ((v, window, n) for n in range(self.times[window]) for v in of(True, True))
        yield from ((v, None, n) for n in range(max(self.times, default=0)) for v in of(True, False))
        yield from ((v, window, None) for window in windows for v in of(False, True))
        yield from ((v, None, None) for v in of(False, False))

    @cached_property
    def size(self) -> int:
        """Number of unknowns."""
        return sum(part.size for part in self.parts.values())

    def part(self, name: str, window: int | None = None, time: int | None = None) -> Part:
        """The piece that a window sees of a variable at a time; what all share is found for any.

        Raises:
            KeyError: There is none.
        """
        for key in ((name, window, time), (name, None, time), (name, window, None), (name, None, None)):
            if key in self.parts:
                return self.parts[key]
        raise KeyError(f"no variable {name!r} of window {window} and time {time}")

    def places(self, name: str, window: int | None = None, time: int | None = None) -> Ints:
        """Indices of a piece in the flat vector, of its shape."""
        return self.part(name, window, time).places

    def index(self, instances: Sequence[Sequence[Place]]) -> Ints:
        """Index table of factors: of each instance the unknowns of its pieces, one after the other."""
        rows = [np.concatenate([self.places(*place).ravel() for place in row]) for row in instances]
        return np.array(rows, dtype=np.int64).reshape(len(rows), -1)

    def _spread(self, values: Callable[[Variable], npt.ArrayLike]) -> Array:
        filled = np.empty(self.size)
        for part in self.parts.values():
            given = np.broadcast_to(np.asarray(values(part.variable), dtype=np.float64), part.shape)
            filled[part.first : part.first + part.size] = given.ravel()
        return filled

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bound of every unknown, each of shape (size,)."""
        return self._spread(lambda v: v.bounds[0]), self._spread(lambda v: v.bounds[1])

    @cached_property
    def starts(self) -> Array:
        """Range in which every unknown starts, shape (size, 2)."""
        return np.stack([self._spread(lambda v: v.start[0]), self._spread(lambda v: v.start[1])], axis=1)

    @cached_property
    def scales(self) -> Array:
        """Natural size of every unknown, shape (size,)."""
        return self._spread(lambda v: v.scales)

    @cached_property
    def layers(self) -> Ints:
        """Number of the time of every unknown, ascending, -1 of constants; empty where windows share some."""
        found = np.full(self.size, -1, dtype=np.int64)
        begins = np.cumsum([0, *self.times])
        for part in self.parts.values():
            if part.time is not None and part.window is None:
                return np.empty(0, dtype=np.int64)
            if part.time is not None and part.window is not None:
                found[part.first : part.first + part.size] = begins[part.window] + part.time
        return found

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """A name of every unknown, as "W[3,4] (time 2)"."""
        found = []
        for part in self.parts.values():
            where = [f"window {part.window}"] if part.window is not None and len(self.times) > 1 else []
            where += [f"time {part.time}"] if part.time is not None else []
            tail = f" ({', '.join(where)})" if where else ""
            for entry in np.ndindex(part.shape):
                inner = f"[{','.join(map(str, entry))}]" if entry else ""
                found.append(f"{part.variable.name}{inner}{tail}")
        return tuple(found)

    def split(self, vector: Array) -> dict[Place, Array]:
        """Views of all pieces of a flat vector, by name, window and time."""
        return {
            key: vector[part.first : part.first + part.size].reshape(part.shape)
            for key, part in self.parts.items()
        }

    def join(self, pieces: Mapping[Place, Any]) -> Array:
        """The flat vector, shape (size,), of all pieces.

        Raises:
            KeyError: One is missing.
            ValueError: One has another shape.
        """
        vector = np.empty(self.size)
        for key, part in self.parts.items():
            given = np.asarray(pieces[key], dtype=np.float64)
            if given.shape != part.shape:
                raise ValueError(f"{key} has shape {given.shape}, expected {part.shape}")
            vector[part.first : part.first + part.size] = given.ravel()
        return vector


def _mistakes(variable: Variable) -> list[Mistake]:
    place = f"variable {variable.name!r}"
    found = []
    for what, (low, high) in (("bounds", variable.bounds), ("start", variable.start)):
        if not bool(np.all(np.asarray(low, dtype=np.float64) <= np.asarray(high, dtype=np.float64))):
            problem = f"its {what} are {low!r} and {high!r}"
            found.append(Mistake(place, problem, "give two numbers, the lower one first"))
    scales = variable.scales
    if not bool(np.all(np.isfinite(scales) & (scales > 0.0))):
        found.append(Mistake(place, f"its scale is {variable.scale!r}", "give a finite number above 0"))
    if variable.shapes is not None and not variable.per_time:
        found.append(Mistake(place, "it has a shape by time and no times", "make it per_time"))
    return found
