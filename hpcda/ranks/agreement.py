"""Collective error handling: an error on one rank is raised on all, so that no rank waits forever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from hpcda.errors import InputError, Mistake

T = TypeVar("T")


def all_or_none(comm: Any, action: Callable[[], T]) -> T | None:
    """Do `action` on rank 0 of `comm`; where it finds mistakes, every rank raises them.

    Returns:
        What `action` returned on rank 0, None elsewhere.

    Raises:
        InputError: That of rank 0.
    """
    result: T | None = None
    mistakes: tuple[Mistake, ...] = ()
    if comm.rank == 0:
        try:
            result = action()
        except InputError as error:
            mistakes = error.mistakes
    mistakes = comm.bcast(mistakes, root=0)
    if mistakes:
        raise InputError(mistakes)
    return result


def all_agree(comm: Any, action: Callable[[], T]) -> T:
    """Do `action` on every rank of `comm`; where any of them finds mistakes, every rank raises them.

    Returns:
        What `action` returned on this rank.

    Raises:
        InputError: That of the first rank that has one; it says so where the others have none.
    """
    result: T | None = None
    mistakes: tuple[Mistake, ...] = ()
    try:
        result = action()
    except InputError as error:
        mistakes = error.mistakes
    found = comm.allgather(mistakes)
    failed = [rank for rank, one in enumerate(found) if one]
    if not failed:
        return result  # type: ignore[return-value]
    if len(failed) == len(found):
        raise InputError(found[0])
    alone = f"only rank {failed[0]} of {len(found)} found this: do all nodes see the same files?"
    raise InputError(replace(one, remedy=f"{one.remedy}; {alone}") for one in found[failed[0]])
