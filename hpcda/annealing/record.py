"""The records of a rung and of a start: their fields are defined here, for computing, storing and reading.

From the tables follow the columns of the files of a run, their types and attributes, their checksums, and
the variables of xarray. What compiled code leaves of a rung (record.h) is compared with them as it is loaded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.action import Parts
from hpcda.annealing.reasons import Reason
from hpcda.problem import Array

SINCE = "seconds since 1970-01-01 00:00:00"
"""Units of moments, in UTC, as CF writes them."""


@dataclass(frozen=True)
class Column:
    """One number that is stored of each rung, or of each start.

    Attributes:
        dtype: Its type.
        units: Its units, as CF writes them; "1" where it has none, "" for text.
        long_name: What it is.
        value: Of a rung: where `Rung` has it.
        fill: What stands where nothing was written.
        checks: Of a start: the checksums that it goes into.
    """

    dtype: str
    units: str
    long_name: str
    value: str = ""
    fill: float | bytes = 0
    checks: tuple[str, ...] = ()


BEGIN, END = "begin_check", "end_check"

PER_RUNG: Mapping[str, Column] = {
    "iterations": Column("i4", "1", "iterations of the minimizer", "iterations"),
    "factorizations": Column("i4", "1", "linear systems that it factorized", "factorizations"),
    "reason": Column(
        "i2", "1", "why the minimizer stopped, a code of /reasons", "reason.code", Reason.NOT_RUN.code
    ),
    "action": Column("f8", "1", "A, the negative log posterior, not normalized", "parts.total", np.nan),
    "measurement": Column("f8", "1", "measurement error, its part of A", "parts.measurement", np.nan),
    "model": Column("f8", "1", "model error times Rf / 2, its part of A", "parts.model", np.nan),
    "prior": Column("f8", "1", "priors, their part of A", "parts.prior", np.nan),
    "gradient_norm": Column(
        "f8",
        "1",
        "largest entry of the projected gradient of A, in 1 / scale; in lockstep a step earlier",
        "gradient_norm",
        np.nan,
    ),
    "seconds": Column("f8", "s", "time spent on the rung by the ranks of the start", "seconds", np.nan),
}
"""Of every rung, in the order of its checksum: stored as arrays of shape (start, rung)."""

PER_START: Mapping[str, Column] = {
    "start": Column(
        "i8",
        "1",
        "number of the start; with the seed it fixes every random number",
        fill=-1,
        checks=(BEGIN, END),
    ),
    "way": Column(
        "S32", "", "name of the way, or of the escape, by which the path began", fill=b"", checks=(BEGIN,)
    ),
    "first_rung": Column("i4", "1", "first rung of this start", fill=-1, checks=(BEGIN,)),
    "parent": Column(
        "i8", "1", "start whose minimum this one began from, -1 where it began anew", fill=-1, checks=(BEGIN,)
    ),
    "partner": Column("i8", "1", "the second such start, or -1", fill=-1, checks=(BEGIN,)),
    "began": Column("f8", SINCE, "when it began", fill=np.nan, checks=(BEGIN,)),
    "same_as": Column(
        "i8",
        "1",
        "start whose path this one has become: the further rungs are that one's; or -1",
        fill=-1,
        checks=(END,),
    ),
    "committed": Column("i4", "1", "number of rungs whose data are complete", checks=(END,)),
    "ended": Column("f8", SINCE, "time of the last commit", fill=np.nan, checks=(END,)),
    "finished": Column("i1", "1", "1 once the start has ended, in whatever way"),
    BEGIN: Column("u4", "1", "checksum of what is known when a start begins"),
    END: Column("u4", "1", "checksum of what is known when it has ended"),
}
"""Of every start, in the order of its checksums: stored as arrays of shape (start,)."""

RUNG = np.dtype([(name, f"<{column.dtype}") for name, column in PER_RUNG.items()])
"""A rung as it is stored."""
_VALUES = attrgetter(*(column.value for column in PER_RUNG.values()))
_WHERE = {"lane", "start", "rung"}
"""What compiled code says beside: whose rung it is."""


@dataclass(frozen=True)
class Task:
    """A start, and how it begins.

    Attributes:
        start: Its number.
        way: Name of the way, or of the escape, by which it begins.
        first: Its first rung; an escape chooses its own.
        parents: Numbers of the starts from whose minima it begins.
    """

    start: int
    way: str
    first: int = 0
    parents: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rung:
    """Where the minimization at one rung ended.

    Attributes:
        path: Flat path, shape (size,).
        parts: The action by its terms.
        gradient_norm: Largest entry of the (projected) gradient, each multiplied by the scale of its unknown;
            where lockstep goes on to a further rung, that of the point from which its last step was taken.
        iterations: Steps taken.
        factorizations: Linear systems factorized; 0 where the minimizer uses none.
        reason: Why it ended.
        number: Position of the rung on the ladder.
        seconds: Time that it took, in s.
    """

    path: Array
    parts: Parts
    gradient_norm: float
    iterations: int
    factorizations: int
    reason: Reason
    number: int = -1
    seconds: float = 0.0

    @property
    def action(self) -> float:
        """A at its path."""
        return self.parts.total

    @property
    def values(self) -> tuple[Any, ...]:
        """What is stored of it, in the order of `PER_RUNG`."""
        values: tuple[Any, ...] = _VALUES(self)
        return values

    @property
    def goes_on(self) -> bool:
        """Whether its start climbs on from it: it is a minimum, or what the limit of iterations allowed."""
        return self.reason.converged or self.reason is Reason.STOPPED_ITERATIONS

    def at(self, number: int, seconds: float) -> Rung:
        """The same as a rung of a ladder, which took so long."""
        return replace(self, number=number, seconds=seconds)

    @property
    def bare(self) -> Rung:
        """The same without its path."""
        return replace(self, path=np.zeros(0))

    @classmethod
    def stored(cls, number: int, values: np.void) -> Rung:
        """A rung without its path, from what is stored of it, of type `RUNG`."""
        one = dict(zip(PER_RUNG, values.item(), strict=True))
        return cls(
            np.zeros(0),
            Parts(one["measurement"], one["model"], one["prior"]),
            one["gradient_norm"],
            one["iterations"],
            one["factorizations"],
            Reason.from_code(one["reason"]),
            number,
            one["seconds"],
        )

    @classmethod
    def computed(cls, one: Any, path: Array) -> Rung:
        """A rung as compiled code tells it, a `Record` of record.h."""
        parts = Parts(one.measurement, one.model, one.prior)
        reason = Reason.from_code(one.reason)
        return cls(path, parts, one.gradient_norm, one.iterations, one.factorizations, reason, one.rung)


def refuse_unlike(record: Any) -> None:
    """Refuse a `Record` of compiled code that does not have the fields of `PER_RUNG`.

    Raises:
        TypeError: It has others, or of other types.
    """
    kinds = {name: np.dtype(kind).kind for name, kind in record.kinds.items() if name not in _WHERE}
    computed = set(PER_RUNG) - {"action", "seconds"}  # the sum of the parts; measured outside
    wanted = {name: RUNG[name].kind for name in computed}
    if kinds != wanted or not all(record.kinds[name] is ctypes.c_int for name in _WHERE):
        raise TypeError(f"record.h has the fields {kinds}, a rung {wanted}")


def table_of(columns: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Rungs of type `RUNG` from their columns, each of shape (n,)."""
    table = np.empty(len(columns["action"]), dtype=RUNG)
    for name in PER_RUNG:
        table[name] = columns[name]
    return table
