"""Checks that the ranks of a shared start compute identical bits, as their decisions rely on it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
from scipy.linalg import cholesky

from hpcda.errors import InputError, Mistake

SIZE = 150


def refuse_unlike(group: Any) -> None:
    """Refuse ranks of one start whose processors, or linear algebra, give other bits; collective over them.

    Raises:
        InputError: There are some.
    """
    every = group.allgather(bits())
    other = next((rank for rank, one in enumerate(every) if one != every[0]), None)
    if other is not None:
        problem = f"ranks 0 and {other} of a start round differently: their processors or libraries differ"
        remedy = "let the ranks of a start run on nodes that are alike, or set ensemble.ranks_per_start = 1"
        raise InputError(Mistake("ensemble.ranks_per_start", problem, remedy))


def bits() -> str:
    """Digest of products and factorizations of fixed matrices."""
    matrix = np.random.default_rng(0).standard_normal((SIZE, SIZE))
    square = matrix @ matrix.T
    found = [square, matrix @ matrix, matrix[:7] @ matrix[:, :5], matrix @ matrix[0], cholesky(square)]
    found += [np.linalg.eigh(square)[0], np.linalg.inv(square), np.array([matrix[0] @ matrix[1]])]
    return sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in found)).hexdigest()
