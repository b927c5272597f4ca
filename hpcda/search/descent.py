"""Ancestry of the starts at a level: which found it independently, and which fell back to their parent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache

from hpcda.search.escapes import settling


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


def probes(starts: Collection[int], parents: Mapping[int, Sequence[int]], ways: Mapping[int, str]) -> int:
    """How many starts are escapes from a minimum, wherever they ended; such as only ask of it do not count.

    Args:
        starts: Numbers of the minimum's starts.
        parents: Start -> those from whose minima it began.
        ways: Start -> its way or escape.
    """
    away = (start for start, elders in parents.items() if any(elder in starts for elder in elders))
    return sum(ways[start] != settling().name for start in away)
