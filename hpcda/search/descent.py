"""Which starts came to a level by themselves, and which fell back to where they came from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache


def fell_back(starts: Collection[int], parents: Mapping[int, Sequence[int]]) -> set[int]:
    """Those of a minimum's starts that are escapes from another of its starts, at whatever remove.

    Args:
        starts: Numbers of the minimum's starts.
        parents: Start -> those from whose minima it began.
    """

    @cache
    def descends(start: int) -> bool:
        return any(elder in starts or descends(elder) for elder in parents.get(start, ()))

    return {start for start in starts if descends(start)}
