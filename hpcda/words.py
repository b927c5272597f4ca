"""Numbers with the words that they count, for people."""

from __future__ import annotations

from collections.abc import Iterable


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
