"""A table of columns: the stored values of each, and the numbers they encode."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.data.cells import begins_as_number, number
from hpcda.data.marks import marks_in
from hpcda.data.packing import (
    PACKING,
    PackingError,
    resolution,
    scaled,
    stored_numbers,
    text_of,
    unapplied,
    unit_of,
    unpack,
)
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.names import nearest, shortened
from hpcda.source import place_of

Array = npt.NDArray[np.float64]
Mark = float | int | str

SHOWN = 3
LOST_DIGITS = 1e-6
"""What may be lost of whole numbers that float64 does not hold exactly, of the span of their column."""
_SLICE = re.compile(r"(.*)\[\s*(?::\s*,\s*(\d+)|(\d+)\s*,\s*:)\s*\]")


@dataclass(frozen=True)
class Column:
    """A column as stored in the file.

    Attributes:
        stored: The stored numbers, shape (n,), or the cells as text.
        attributes: Attributes in the file: scale factor, fill value, unit, and others.
        fill: Fill value of the file for cells never written; None if unknown.
        doubt: Why the meaning of the column is ambiguous; "" if it is clear.
        remedy: How the job can resolve the ambiguity.
    """

    stored: npt.NDArray[Any] | Sequence[str]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    fill: float | None = None
    doubt: str = ""
    remedy: str = ""

    @property
    def unit(self) -> str:
        """The unit that the file names, "" where it names none."""
        return unit_of(self.attributes)


@dataclass(frozen=True)
class Values:
    """The values of a column, decoded.

    Attributes:
        numbers: Shape (n,), NaN for missing values.
        meant: Whether each value is declared missing by the file's attributes or the job, shape (n,).
        marks: Rows whose number looks like an undeclared fill value.
        resolution: Smallest difference of two values, 0 if unknown.
        notes: Conversions that were applied, one clause each.
    """

    numbers: Array
    meant: npt.NDArray[np.bool_]
    marks: npt.NDArray[np.int64]
    resolution: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """The columns of a file.

    Attributes:
        shown: The file's name for messages.
        columns: The columns by name.
        lines: Line number of each row; empty for binary files.
        named: Whether the columns have names; if not, they are addressed by position.
        aliases: Alternative names of columns.
        matrices: Two-dimensional arrays by name, whose columns can be written ``y[:,0]`` and ``y[0,:]``.
        left_out: Contents of the file that are not columns, by name, with a description.
        unplaced: Why columns cannot be addressed by position; "" if they can.
        first_row: Why the first row was read as data, if it could be a header.
        turned: Shapes of the two-dimensional arrays that were transposed because their rows run over time.
    """

    shown: str
    columns: dict[str, Column]
    lines: tuple[int, ...] = ()
    named: bool = True
    aliases: Mapping[str, str] = field(default_factory=dict)
    matrices: Mapping[str, Column] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    unplaced: str = ""
    first_row: str = ""
    turned: Mapping[str, str] = field(default_factory=dict)

    def key(self, column: str | int, place: str) -> str:
        """The name of a column in messages.

        Raises:
            InputError: There is no such column.
        """
        names = list(self.columns)
        if isinstance(column, int):
            if self.unplaced:
                raise InputError(
                    Mistake(place, f"{column} is a position, but {self.unplaced}", "give a name")
                )
            if column < len(names):
                return names[column]
            raise InputError(
                Mistake(
                    place, f"{self.shown} has no column {column}", f"its columns are 0 … {len(names) - 1}"
                )
            )
        name = self.aliases.get(column, column)
        if (name in self.columns and self.named) or self._slice(name) is not None:
            return name
        if column in self.left_out:
            problem = f"{shortened(column)!r} of {self.shown} {self.left_out[column]}"
            raise InputError(Mistake(place, problem, "store real numbers in arrays of one or two dimensions"))
        remedy = (
            nearest(column, names)
            if self.named
            else f"it has no names: give a position, 0 … {len(names) - 1}"
        )
        raise InputError(Mistake(place, f"{self.shown} has no column {column!r}", remedy))

    def column(self, name: str) -> Column:
        """The column of a name that `key` has returned."""
        found = self.columns.get(name) if self.named or name in self.columns else None
        found = found or self._slice(name)
        assert found is not None
        return found

    def _slice(self, name: str) -> Column | None:
        """The column that ``y[:,k]`` or ``y[k,:]`` names, or None."""
        match = _SLICE.fullmatch(name)
        matrix = self.matrices.get(match[1]) if match else None
        if match is None or matrix is None:
            return None
        stored = np.asarray(matrix.stored)
        along, k = (1, match[2]) if match[2] is not None else (0, match[3])
        if int(k) >= stored.shape[along]:
            return None
        return Column(stored.take(int(k), axis=along), matrix.attributes, matrix.fill)

    def where(self, row: int, name: str) -> str:
        """The place of one value, for messages."""
        number = self.lines[row] if self.lines else row
        return place_of(self.shown, self.counted_by, number, name)

    @property
    def counted_by(self) -> str:
        """What messages count: lines of a text, rows of arrays."""
        return "line" if self.lines else "row"

    def numbers(self, column: str | int, place: str) -> Array:
        """The values of a column, shape (rows,), NaN where a cell is empty.

        Raises:
            InputError: There is no such column, or it holds what is not a finite number.
        """
        return self.values(column, place).numbers

    def values(
        self, column: str | int, place: str, missing: Iterable[Mark] = (), needed: bool = False
    ) -> Values:
        """The numbers of a column.

        Args:
            column: Its name or position.
            place: The key of the job that names it, for messages.
            missing: What stands for a missing value: cells as they are written, numbers as they are stored.
            needed: Whether it may have no empty cell, which the remedies then do not propose.

        Raises:
            InputError: There is no such column, it is not known what it is, what the file says of it cannot
                be applied, or it holds what is not a finite number.
        """
        name = self.key(column, place)
        one = self.column(name)
        if one.doubt:
            raise InputError(Mistake(place, one.doubt, one.remedy))
        if not isinstance(one.stored, np.ndarray):
            return self._written(name, one.stored, list(missing), needed)
        marks = [mark for mark in missing if not isinstance(mark, str)]
        try:
            stored = stored_numbers(one.stored, one.attributes)
            plain, why = unpack(stored, one.attributes)
        except PackingError as error:
            shown = {key: text_of(one.attributes[key])[:40] for key in PACKING if key in one.attributes}
            problem = f"the attribute {error.attribute} of {shortened(name)!r} {error.problem} ({shown})"
            raise InputError(
                Mistake(
                    place, f"{self.shown}: {problem}", "correct the attribute, or store the values unpacked"
                )
            ) from None
        marked = np.isin(stored.astype(np.float64), np.array(marks, dtype=np.float64))
        self._refuse_lost_digits(stored[why < 0], name, place)
        plain[marked] = np.nan
        self._refuse_infinite(np.flatnonzero(np.isinf(plain)), stored, name, needed)
        notes = self._turned(name) + _applied(one.attributes, why)
        meant = marked | (why >= 0)
        return Values(
            plain, meant, marks_in(stored, meant, one.fill), resolution(one.attributes, stored), notes
        )

    def _turned(self, name: str) -> tuple[str, ...]:
        shape = self.turned.get(name.rpartition("[")[0]) if name in self.columns else None
        return () if shape is None else (f"a row of an array of {shape}, whose second side is time",)

    def _written(self, name: str, cells: Sequence[str], missing: list[Mark], needed: bool) -> Values:
        words = {mark.strip() for mark in missing if isinstance(mark, str)}
        marks = [float(mark) for mark in missing if not isinstance(mark, str)]
        stored = np.array([number(cell) for cell in cells], dtype=np.float64)
        marked = np.isin(stored, marks)
        if words:
            marked |= np.array([cell.strip() in words for cell in cells], dtype=bool)
        stored[marked] = np.nan
        self._refuse_infinite(np.flatnonzero(np.isinf(stored)), cells, name, needed)
        return Values(stored, marked, marks_in(stored, marked, None))

    def _refuse_infinite(
        self, rows: npt.NDArray[np.int64], cells: Sequence[str] | npt.NDArray[Any], name: str, needed: bool
    ) -> None:
        if not len(rows):
            return
        mistakes = []
        for row in map(int, rows[:SHOWN]):
            text = str(cells[row]).strip()[:40]
            remedy = "write a number"
            if not needed and not begins_as_number(text):
                remedy += f", leave it empty, or declare it a missing-value mark: missing = [{text!r}]"
            if row == 0 and self.first_row:
                remedy += f" ({self.first_row})"
            mistakes.append(Mistake(self.where(row, name), f"{text!r} is not a finite number", remedy))
        raise InputError(more(mistakes, len(rows)))

    def _refuse_lost_digits(self, stored: npt.NDArray[Any], name: str, place: str) -> None:
        if stored.dtype.kind not in "iu" or stored.dtype.itemsize < 8 or not len(stored):
            return
        lost = max(abs(int(x) - int(float(x))) for x in (stored.min(), stored.max()))
        span = int(stored.max()) - int(stored.min())
        if lost > LOST_DIGITS * span and lost > 0:
            problem = f"{shortened(name)!r} of {self.shown} holds whole numbers up to {stored.max()}"
            problem += f", which float64 holds to {lost} only"
            raise InputError(Mistake(place, problem, "subtract their least before they are stored"))


def _applied(attributes: Mapping[str, Any], why: npt.NDArray[np.int8]) -> tuple[str, ...]:
    """What was applied of the attributes, one clause each."""
    notes = []
    if scaled(attributes):
        used = [key for key in ("scale_factor", "add_offset") if key in attributes]
        notes.append("unpacked with " + " and ".join(f"{key} = {text_of(attributes[key])}" for key in used))
    if others := unapplied(attributes):
        notes.append(f"has {', '.join(others)}, which is not part of the CF conventions and is not applied")
    for code, key in enumerate(PACKING):
        count = int((why == code).sum())
        if count:
            mark = ", ".join(text_of(one) for one in np.asarray(attributes[key]).reshape(-1)[:3])
            notes.append(f"{count} of {counted(len(why), 'value')} missing by {key} = {mark}")
    return tuple(notes)


def more(mistakes: list[Mistake], count: int) -> list[Mistake]:
    """The first few mistakes of a kind; the last one states their total number."""
    if count > len(mistakes):
        last = mistakes[-1]
        mistakes[-1] = Mistake(
            last.place, f"{last.problem} (and {count - len(mistakes)} more like it)", last.remedy
        )
    return mistakes
