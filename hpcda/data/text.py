"""Text files: cells separated by commas, semicolons, tabs or blanks; optional header row; # starts a comment.

Whether the first row holds names is decided by what stands in it: names where none of its cells is a
number, data where all are. A row with both is names where the job calls columns by names that stand in it;
and data where no cell can be a name (``***``, ``<0.1``), where a column goes on from it evenly, as times do,
or where a text of it is repeated below. Where it could be either it is refused, and ``header = true`` or
``false`` in the job tells.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from hpcda.data.cells import empty, is_name, is_number, is_two_numbers, is_whole, number
from hpcda.data.table import SHOWN, Column, Table, more
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.names import shortened

_ERROR = re.compile(r"#(N/A|DIV/0!|REF!|VALUE!|NUM!|NAME\?|NULL!)")
"""Cells of spreadsheets that begin as a comment does."""
EVEN = 1e-3
"""Relative difference of two steps that are even."""
_TELL = "write header = true for names, header = false for data"


def read_text(path: Path, place: str, wanted: Sequence[str | int], header: bool | None) -> Table:
    """Read a text file.

    Args:
        path: The file.
        place: The key of the job that names it, for messages.
        wanted: The columns that the job names.
        header: Whether the first row holds names; None to tell it from the file.

    Raises:
        InputError: It is not UTF-8, empty, not a table, or it is not known whether its first row holds names.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"{path.name} cannot be read: {error.reason} at byte {error.start} of UTF-8"
        raise InputError(Mistake(place, problem, "save it as text in UTF-8")) from None
    kept = [(n, line) for n, line in enumerate(text.splitlines(), 1) if not _skipped(line)]
    if not kept:
        raise InputError(
            Mistake(place, f"{path.name} is empty", "give a file with a row of names and rows of numbers")
        )
    delimiter = next((mark for mark in (",", ";", "\t") if mark in kept[0][1]), None)
    lines = [n for n, _ in kept]
    rows = [_cells(line, delimiter) for _, line in kept]
    for number_of, row in zip(lines[:2], rows[:2], strict=True):
        _refuse_two_numbers(row, delimiter, f"{path.name}, line {number_of}")
    width = len(rows[0])
    wrong = [k for k, row in enumerate(rows) if len(row) != width]
    if wrong:
        mistakes = [
            Mistake(
                f"{path.name}, line {lines[k]}",
                f"has {counted(len(rows[k]), 'cell')} for {counted(width, 'column')}",
                "fill every cell; an empty cell is a gap",
            )
            for k in wrong[:SHOWN]
        ]
        raise InputError(more(mistakes, len(wrong)))
    at = f"{path.name}, line {lines[0]}"
    named, first_row = (header, "") if header is not None else _holds_names(rows[0], rows[1:], wanted, at)
    names = [cell.strip() for cell in rows[0]] if named else [str(k) for k in range(width)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        problem = f"two columns are named {shortened(repeated[0])!r}"
        raise InputError(Mistake(at, problem, "give every column its own name"))
    body, lines = (rows[1:], lines[1:]) if named else (rows, lines)
    cells = zip(*body, strict=True) if body else [()] * len(names)
    columns = {name: Column(list(column)) for name, column in zip(names, cells, strict=True)}
    return Table(path.name, columns, tuple(lines), named, first_row=first_row)


def _skipped(line: str) -> bool:
    """Whether a line is blank or a comment."""
    text = line.lstrip()
    return not text or (text.startswith("#") and not _ERROR.match(text))


def _cells(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None and '"' not in line:
        return line.split()
    row = line.strip() if delimiter is None else line
    return next(csv.reader([row], delimiter=delimiter or " ", skipinitialspace=True, strict=True))


def _refuse_two_numbers(row: list[str], delimiter: str | None, at: str) -> None:
    """A decimal comma that is taken for the mark between cells leaves cells with two numbers."""
    for cell in row:
        if delimiter is not None and is_two_numbers(cell):
            problem = f"the cell {cell.strip()[:40]!r} holds two numbers, where {delimiter!r} divides cells"
            raise InputError(
                Mistake(at, problem, "write decimal points, and the same mark between all cells")
            )


def _holds_names(
    first: list[str], body: list[list[str]], wanted: Sequence[str | int], at: str
) -> tuple[bool, str]:
    """Whether the first row holds names, and, where it does not but might, what tells that it does.

    Raises:
        InputError: It could be either.
    """
    texts = [name for name in wanted if isinstance(name, str)]
    odd = [cell for cell in first if not is_number(cell) and not empty(cell)]
    if texts and {cell.strip() for cell in first} >= set(texts):
        return True, ""
    if not odd:
        _refuse_numbered(first, body, at)
        return False, ""
    numbers = [cell for cell in first if is_number(cell)]
    names = [cell for cell in odd if is_name(cell)]
    if names and not numbers:
        return True, ""
    if not names or _goes_on(first, body) or _repeats(first, body):
        return False, "or header = true if the row holds names"
    problem = (
        f"{', '.join(map(str.strip, first))[:60]!r} may be names, or data with {names[0].strip()[:40]!r}"
    )
    raise InputError(Mistake(at, f"the first row is ambiguous: {problem}", _TELL))


def _goes_on(first: list[str], body: list[list[str]]) -> bool:
    """Whether the first row and the next two are evenly spaced in a column, as times are."""
    if len(body) < 2:
        return False
    for cells in zip(first, body[0], body[1], strict=True):
        if all(map(is_number, cells)):
            a, b, c = map(number, cells)
            if b != a and abs((b - a) - (c - b)) <= EVEN * abs(b - a):
                return True
    return False


def _repeats(first: list[str], body: list[list[str]]) -> bool:
    """Whether a text of the first row stands below itself again, as a label does and a name does not."""
    return any(is_name(cell) and any(row[k] == cell for row in body) for k, cell in enumerate(first))


def _refuse_numbered(first: list[str], body: list[list[str]], at: str) -> None:
    """Names such as 0, 1, 2: whole numbers in turn, which no column goes on from evenly.

    Raises:
        InputError: The first row may hold them.
    """
    if len(first) < 2 or not all(is_whole(cell) for cell in first) or len(body) < 2:
        return
    values = [int(cell) for cell in first]
    turn = [list(range(begin, begin + len(first))) for begin in (0, 1)]
    if values not in turn:
        return
    below = list(zip(*body, strict=True))
    written_alike = all(any(is_whole(cell) for cell in column) for column in below)
    if not written_alike and not _goes_on(first, body):
        problem = f"the first row is ambiguous: {', '.join(first)[:60]!r} may be names or data"
        raise InputError(Mistake(at, problem, _TELL))
