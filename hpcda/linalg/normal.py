"""Jᵀ J + diagonal of a sparse J whose pattern stays, summed straight into a band with a border.

Which products of entries of J fall on which entry of the sum is found once; after that a matrix costs one
product and one addition each. Every entry is summed in the order of the rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpcda.linalg.banded import Banded

Array = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


class NormalMatrices:
    """Factors of the matrices Jᵀ J + diagonal.

    Args:
        indptr: Row starts of J, shape (m + 1,).
        indices: Column of every entry, shape (nnz,); one may come twice in a row.
        order: The column that stands at every place of the band, then of the border, shape (n,).
        border: How many of the last places are the border.
    """

    def __init__(
        self, indptr: npt.NDArray[np.int32], indices: npt.NDArray[np.int32], order: Numbers, border: int
    ) -> None:
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        self._order, self._inside, self._border = order, len(order) - border, border
        first, second = _pairs(np.asarray(indptr, dtype=np.int64))
        one, other = place[indices[first]], place[indices[second]]
        high, low = np.maximum(one, other), np.minimum(one, other)
        in_band, in_corner = high < self._inside, low >= self._inside
        self._width = int((high - low)[in_band].max(initial=0)) + 1
        ends = np.cumsum([self._inside * self._width, border * self._inside, border**2])
        rest = high - self._inside
        target = np.where(in_band, low * self._width + high - low, ends[0] + rest * self._inside + low)
        target = np.where(in_corner, ends[1] + rest * border + low - self._inside, target)
        self._first, self._second, self._target, self._ends = first, second, target, ends
        self._twice = (first != second) & (one == other)

    def factor(self, values: Array, diagonal: Array) -> Banded:
        """Factor one of them, in the order of places.

        Args:
            values: Entries of J, shape (nnz,).
            diagonal: In the order of columns, shape (n,).

        Raises:
            NotPositiveDefiniteError: It is not positive definite, or not finite.
        """
        products = values[self._first] * values[self._second]
        products[self._twice] *= 2.0
        count = int(self._ends[-1])
        sums = np.asarray(np.bincount(self._target, weights=products, minlength=count), dtype=np.float64)
        band, below, corner = np.split(sums, self._ends[:-1])
        shape, own = (self._border, self._inside), diagonal[self._order]
        band = band.reshape(self._inside, self._width).copy()
        band[:, 0] += own[: self._inside]
        corner = corner.reshape(self._border, self._border) + np.diag(own[self._inside :])
        return Banded.of(band, below.reshape(shape).copy(), corner)


def _pairs(indptr: Numbers) -> tuple[Numbers, Numbers]:
    """Numbers of the entries of all pairs in a row, each with itself too, row after row."""
    lengths = np.diff(indptr)
    rows, first, second = [], [], []
    for length in np.unique(lengths):
        here = np.flatnonzero(lengths == length)
        one, other = np.triu_indices(int(length))
        rows.append(np.repeat(here, len(one)))
        first.append((indptr[here][:, None] + one).ravel())
        second.append((indptr[here][:, None] + other).ravel())
    order = np.argsort(np.concatenate(rows), kind="stable")
    return np.concatenate(first)[order], np.concatenate(second)[order]
