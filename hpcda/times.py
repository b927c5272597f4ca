"""Parses time limits: the forms of sbatch (man sbatch), and a number with a unit.

A text means the same length wherever it is read. A plain number is minutes, as it is to sbatch.
"""

from __future__ import annotations

import math
import re

ACCEPTED = 'a number with its unit ("90 s", "90 min", "12 h", "2 d"), "h:mm:ss" or "d-hh:mm:ss"'
"""What messages say is accepted wherever a length of time is read."""
_PLAIN = re.compile(r"\d{1,9}(?:\.\d*)?", re.ASCII)
_WITH_UNIT = re.compile(r"(\d{1,9}(?:\.\d*)?) ?(s|min|h|d)", re.ASCII)
_WITHIN_A_DAY = re.compile(r"(\d{1,9}):(\d{1,2})(?::(\d{1,2}))?", re.ASCII)
_WITH_DAYS = re.compile(r"(\d{1,9})-(\d{1,2})(?::(\d{1,2}))?(?::(\d{1,2}))?", re.ASCII)
_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def is_plain(text: str) -> bool:
    """Whether a text is a number without a unit, which is minutes."""
    return _PLAIN.fullmatch(text.strip()) is not None


def seconds(text: str) -> float | None:
    """A length of time in seconds; None where `text` is none, or none above 0.

    Args:
        text: ``90`` (minutes), ``90 s``, ``1.5 h``; ``m:ss``, ``h:mm:ss``; ``d-hh``, ``d-hh:mm``,
            ``d-hh:mm:ss``.
    """
    text = text.strip()
    found = 0.0
    if is_plain(text):
        found = 60.0 * float(text)
    elif match := _WITH_UNIT.fullmatch(text):
        found = float(match[1]) * _UNITS[match[2]]
    elif match := _WITH_DAYS.fullmatch(text):
        days, hours, minutes, rest = (int(part or 0) for part in match.groups())
        found = float(((days * 24 + hours) * 60 + minutes) * 60 + rest)
    elif match := _WITHIN_A_DAY.fullmatch(text):
        first, second, third = match.groups()
        whole = int(first) * 60 + int(second)
        found = float(whole if third is None else whole * 60 + int(third))
    return found or None


def for_sbatch(text: str) -> str:
    """A length of time as sbatch reads it: as it is where sbatch does, else ``d-hh:mm:ss``, rounded up.

    Args:
        text: What `seconds` reads.
    """
    text = text.strip()
    if text.isdigit() or not (is_plain(text) or _WITH_UNIT.fullmatch(text)):
        return text
    minutes, rest = divmod(math.ceil(seconds(text) or 0.0), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:{rest:02}"
