"""Which starts came to a level by themselves, and which fell back to where they came from."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def fell_back(starts: Collection[int], parents: Mapping[int, int]) -> set[int]:
    """Those of a minimum's starts that are escapes from another of its starts, at whatever remove.

    Args:
        starts: Numbers of the minimum's starts.
        parents: Start -> the one whose minimum it began from, -1 for none.
    """
    found = set()
    for start in starts:
        elder = parents.get(start, -1)
        while elder >= 0 and elder not in starts:
            elder = parents.get(elder, -1)
        if elder >= 0:
            found.add(start)
    return found
