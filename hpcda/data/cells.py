"""Parses a cell of a text file: a number, a missing value, or neither."""

from __future__ import annotations

import re

import numpy as np

EMPTY = frozenset({"", "nan", "na", "n/a", "null", "none"})
"""Cells, in small letters, where nothing was measured."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"\d+")
_TWO = re.compile(r"[+-]?\d+(\.\d*)?[;\s]+[+-]?\d+(\.\d*)?")


def number(cell: str) -> float:
    """The number in a cell, NaN where it is empty, infinite where it holds something else."""
    text = cell.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    return np.nan if empty(text) else np.inf


def empty(cell: str) -> bool:
    """Whether nothing was measured."""
    return cell.strip().lower() in EMPTY


def is_number(cell: str) -> bool:
    """Whether a cell is written as a number."""
    return _NUMBER.fullmatch(cell.strip()) is not None


def is_whole(cell: str) -> bool:
    """Whether a cell is written as a whole number without a sign, as a name of a column may be."""
    return _WHOLE.fullmatch(cell.strip()) is not None


def begins_as_number(cell: str) -> bool:
    """Whether a cell that is no number begins as one does: a value, written in another way."""
    return re.match(r"[+-]?\.?\d", cell.strip()) is not None


def is_two_numbers(cell: str) -> bool:
    """Whether a cell holds two numbers: what a decimal comma leaves where it divides cells."""
    return _TWO.fullmatch(cell.strip()) is not None


def is_name(cell: str) -> bool:
    """Whether a cell may be the name of a column: it has a letter and is no number, limit or infinity."""
    text = cell.strip()
    if not any(letter.isalpha() for letter in text) or is_number(text) or empty(text):
        return False
    return text[0] not in "<>" and text.lower().lstrip("+-") not in ("inf", "infinity", "nan")
