"""The Lanczos method: finds directions of negative curvature of a matrix known only by its products.

The lowest eigenvalue of H on the space of v, Hv, H²v, … is never below that of H, and comes close to it
early (C. Paige, J. Inst. Math. Appl. 10, 373 (1972)). All vectors are kept, and made orthogonal twice.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hpcda.problem import Array


def lowest(product: Callable[[Array], Array], first: Array, steps: int) -> tuple[float, Array]:
    """The lowest eigenvalue on a Krylov space, and its eigenvector of length 1.

    Args:
        product: The product with the matrix.
        first: A vector that has a part along every eigenvector, shape (size,).
        steps: Largest dimension of the space.
    """
    steps = min(steps, len(first))
    vectors = np.empty((steps, len(first)))
    projected = np.zeros((steps, steps))
    vector = first / np.linalg.norm(first)
    used = 0
    while used < steps:
        vectors[used] = vector
        moved = product(vector)
        known = vectors[: used + 1]
        projected[used, : used + 1] = projected[: used + 1, used] = known @ moved
        length = float(np.linalg.norm(moved))
        for _ in range(2):
            moved = moved - (known @ moved) @ known
        used += 1
        left = float(np.linalg.norm(moved))
        if left <= 1e-12 * length:
            break
        vector = moved / left
    values, combined = np.linalg.eigh(projected[:used, :used])
    return float(values[0]), combined[:, 0] @ vectors[:used]
