"""How units get their canonical sign and order: by sums that the other symmetries leave unchanged.

A sign is chosen by a sum of all variables that change with it, an order by sums of what belongs to each unit
alone. Where units are tied to each other through several layers, W2[j, i] changes with the units of both its
sides: those of which something of their own is known go first, and what they fix becomes the others' own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hpcda.models.automorphisms import Ints, orbits_of
from hpcda.problem import Array
from hpcda.search.units.found import Family


@dataclass(frozen=True, eq=False)
class Turn:
    """Variables that change their sign where a sum is negative.

    Attributes:
        judged: The variables of the sum, shape (n,).
        weights: Their weights in it, shape (n,).
        signs: The sign that each variable gets, shape (variables,).
    """

    judged: Ints
    weights: Array
    signs: Array


@dataclass(frozen=True, eq=False)
class Sort:
    """Units that are put in the order of their sums.

    Attributes:
        family: The units.
        judged: The variables of each unit's sum, shape (units, n).
        weights: Their weights in it, shape (units, n).
    """

    family: Family
    judged: Ints
    weights: Array


def steps(
    families: Sequence[Family], reversals: Sequence[Array], scale: Array, count: Array
) -> Iterator[tuple[Turn, ...] | Sort]:
    """What is done one after the other; turns that stand together are judged on the same path.

    Args:
        families: Units that may be exchanged.
        reversals: Signs of the variables, shape (variables,) each.
        scale: Natural size of each variable, shape (variables,).
        count: How many numbers of a path each is, shape (variables,).
    """
    weights = np.random.default_rng(0).uniform(0.5, 1.5, len(scale))
    alike = orbits_of([swap for family in families for swap in family.swaps], len(scale))
    turned, loose = _turns(families, reversals, weights[alike] / scale, count, alike)
    yield from turned
    yield from _sorts(families, weights, scale, loose)


def _turns(
    families: Sequence[Family], reversals: Sequence[Array], weights: Array, count: Array, alike: Ints
) -> tuple[list[tuple[Turn, ...]], set[int]]:
    """Turns, and variables whose sign they do not choose."""
    size = len(weights)
    changes = [sum(1 << b for b, signs in enumerate(reversals) if signs[k] < 0.0) for k in range(size)]
    found: list[tuple[Turn, ...]] = []
    settled: list[int] = []
    while True:
        left = [_remainder(one, settled) for one in changes]
        groups: dict[int, list[int]] = {}
        for k, one in enumerate(left):
            if one:
                groups.setdefault(one, []).append(k)
        # what exchanges bring to each other's place is chosen at once
        together: dict[tuple[int, ...], list[int]] = {}
        for one, members in groups.items():
            together.setdefault(tuple(sorted({int(alike[k]) for k in members})), []).append(one)
        sizes = {one: float(count[members].sum()) for one, members in groups.items()}
        order = sorted(
            (-max(sizes[one] for one in ones), groups[ones[0]][0], ones) for ones in together.values()
        )
        chosen = next((ones for *_, ones in order if _independent(ones, settled)), None)
        if chosen is None:
            return found, {k for k, one in enumerate(left) if one}
        turns = []
        for one in chosen:
            own = _dual(one, [*settled, *(other for other in chosen if other != one)], len(reversals))
            signs = np.array([1.0 - 2.0 * ((change & own).bit_count() % 2) for change in changes])
            judged = np.array(groups[one])
            turns.append(Turn(judged, weights[judged], signs))
        found.append(tuple(turns))
        settled += chosen


def _remainder(one: int, basis: Sequence[int]) -> int:
    """What is left of a set of bits modulo others, the same for all that differ by these."""
    for other in _echelon(basis):
        one = min(one, one ^ other)
    return one


def _echelon(basis: Sequence[int]) -> list[int]:
    """Sets of bits that span the same, each with a highest bit that no other has."""
    found: list[int] = []
    for one in basis:
        for other in found:
            one = min(one, one ^ other)
        if one:
            top = one.bit_length() - 1
            found = [other ^ one if other >> top & 1 else other for other in found]
            found = sorted([*found, one], reverse=True)
    return found


def _independent(ones: Sequence[int], settled: Sequence[int]) -> bool:
    return len(_echelon([*settled, *ones])) == len(_echelon(settled)) + len(ones)


def _dual(one: int, others: Sequence[int], size: int) -> int:
    """Reversals, as bits, an odd number of which is in `one` and an even number in each of the others."""
    rows = [(one, 1), *((other, 0) for other in others)]
    pivots: list[tuple[int, int, int]] = []
    for row, value in rows:
        for bit, known, is_ in pivots:
            if row >> bit & 1:
                row, value = row ^ known, value ^ is_
        if not row:
            continue
        bit = row.bit_length() - 1
        pivots = [
            (b, known ^ row, is_ ^ value) if known >> bit & 1 else (b, known, is_) for b, known, is_ in pivots
        ]
        pivots.append((bit, row, value))
    return sum(1 << bit for bit, _, value in pivots if value)


def _sorts(families: Sequence[Family], weights: Array, scale: Array, loose: set[int]) -> Iterator[Sort]:
    """Orders, one family after the other."""
    size = len(scale)
    here = np.arange(size)
    moved = [{int(k) for swap in family.swaps for k in np.flatnonzero(swap != here)} for family in families]
    left = list(range(len(families)))
    while left:
        for number in left:
            others = set().union(*(moved[other] for other in left if other != number))
            own = [
                one for one in _slots(families[number], moved[number]) if not (set(one) & (others | loose))
            ]
            if own:
                judged = np.array(own).T
                yield Sort(families[number], judged, weights[judged[0]] / scale[judged])
                left.remove(number)
                break
        else:
            return


def _slots(family: Family, moved: set[int]) -> Iterator[list[int]]:
    """Variables that belong to one unit each: one of each unit, in the units' order."""
    here = np.arange(len(family.swaps[0]))
    changed = [set(np.flatnonzero(swap != here).tolist()) for swap in family.swaps]
    seen: set[int] = set()
    for first in sorted(moved):
        if first in seen or first not in changed[0] or any(first in one for one in changed[1:]):
            continue
        slot = [first]
        for swap in family.swaps:
            slot.append(int(swap[slot[-1]]))
        seen.update(slot)
        whole = all({k for k in slot if k in one} == {slot[a], slot[a + 1]} for a, one in enumerate(changed))
        if whole and len(set(slot)) == family.units:
            yield slot
