"""Suggests known names for a name that is misspelled."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 100


def shortened(name: str) -> str:
    """The name as messages show it: its beginning, where it is longer than any name that a person writes."""
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def nearest(name: str, known: Iterable[str]) -> str:
    """The remedy for a name that is not known: the likely one, then all that exist."""
    names = list(known)
    lower = {one.lower(): one for one in reversed(names)}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    listed = ", ".join(map(shortened, names[:20])) + (f", … ({len(names)} in all)" if len(names) > 20 else "")
    if close:
        return f"did you mean {shortened(lower[close[0]])!r}?" + (
            f" (there are: {listed})" if len(names) > 1 else ""
        )
    return f"use one of: {listed}" if names else "remove it: there are none"
