"""What to write instead of a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """The remedy for a name that is not known: the likely one, then all that exist."""
    names = list(known)
    lower = {one.lower(): one for one in reversed(names)}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    listed = ", ".join(names[:20]) + (f", … ({len(names)} in all)" if len(names) > 20 else "")
    if close:
        return f"did you mean {lower[close[0]]!r}?" + (f" (there are: {listed})" if len(names) > 1 else "")
    return f"use one of: {listed}" if names else "remove it: there are none"
