"""Formats counts, times and sizes for people."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby


def counted(count: float, one: str, several: str = "") -> str:
    """A count and what it counts: ``1 start``, ``2 starts``, ``0 starts``.

    Args:
        count: The count; a float is shown with up to four digits.
        one: What one of them is called.
        several: What several are called, where an s does not do: "minima", "starts are".
    """
    text = f"{count:.4g}" if isinstance(count, float) else str(count)
    return f"{text} {one if text == '1' else several or one + 's'}"


def either(names: Iterable[str]) -> str:
    """Names of which one is to be written, quoted: ``"a", "b" or "c"``."""
    quoted = [f'"{name}"' for name in names]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def short_time(seconds: float) -> str:
    """A time for people: "3.2 ms", "41 s"."""
    return f"{seconds * 1e3:.3g} ms" if seconds < 1.0 else f"{seconds:.3g} s"


def run_lengths(words: Iterable[object], mark: str) -> str:
    """Words with a mark between them; the same one four times or more in a row as "4×10"."""
    found = []
    for word, own in groupby(map(str, words)):
        count = len(list(own))
        found += [f"{count}×{word}"] if count > 3 else [word] * count
    return mark.join(found)


def size_of(count: float) -> str:
    """A number of bytes for people: "3.2 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000.0:
            return f"{count:.3g} {unit}"
        count /= 1000.0
    return f"{count:.3g} TB"
