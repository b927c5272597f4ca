"""Time limits as sbatch reads them: ``90``, ``90:00``, ``1:30:00``, ``1-12``, ``1-12:30:00`` (man sbatch)."""

from __future__ import annotations

import re

ACCEPTED = 'minutes, "h:mm:ss" or "d-hh:mm:ss", such as "12:00:00"'
_WITHIN_A_DAY = re.compile(r"(\d+)(?::(\d{1,2}))?(?::(\d{1,2}))?")
_WITH_DAYS = re.compile(r"(\d+)-(\d{1,2})(?::(\d{1,2}))?(?::(\d{1,2}))?")


def seconds(text: str) -> int | None:
    """The time limit `text` in seconds; None where sbatch would not read it, or read none."""
    if match := _WITH_DAYS.fullmatch(text):
        days, hours, minutes, rest = (int(part or 0) for part in match.groups())
        return (((days * 24 + hours) * 60 + minutes) * 60 + rest) or None
    if match := _WITHIN_A_DAY.fullmatch(text):
        first, second, third = match.groups()
        if third is not None:
            return ((int(first) * 60 + int(second)) * 60 + int(third)) or None
        return (int(first) * 60 + int(second or 0)) or None
    return None
