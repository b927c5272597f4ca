"""The Cholesky factorization of many matrices at once, one a lane, against NumPy."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
import pytest

from hpcda.native.compile import library
from hpcda.native.unit import unit
from tests.chance import generator

DRIVER = """
static void rows_of(vd **row, vd *front, int pivots, int rest) {
  for (int r = 0; r < pivots; front += ++r) row[r] = front;
  for (int r = 0; r < rest; r++, front += pivots) row[pivots + r] = front;
}
void factor(vd *front, int pivots, int rest, long long *flag) {
  vd *row[pivots + rest + 1];
  vl bad = (vl)v_all(0);
  rows_of(row, front, pivots, rest);
  front_eliminate(row, row, 0, pivots, rest, &bad);
  for (int l = 0; l < W; l++) flag[l] = bad[l];
}
void schur_of(vd *front, int pivots, int high, int wide, vd *out, vd *own) {
  vd *row[pivots + high + wide + 1];
  rows_of(row, front, pivots, high + wide);
  vd *target[high + 1], *square[high + wide + 1];
  for (int r = 0; r < high; r++) target[r] = out + r * (wide + 2);
  for (int r = 0; r < high + wide; r++) square[r] = own + r * (high + wide);
  front_update(row + pivots, 0, high, row + pivots + high, 0, wide, pivots, 1, target);
  front_update(row + pivots, 0, high + wide, row + pivots, 0, high + wide, pivots, 1, square);
}
void forward(vd *front, int pivots, int rest, vd *y) {
  vd *row[pivots + rest + 1];
  rows_of(row, front, pivots, rest);
  front_lower(row, pivots, y);
  vd *below = y + pivots, *solved = y;
  front_update(&solved, 0, 1, row + pivots, 0, rest, pivots, 1, &below);
}
void backward(vd *front, int pivots, int rest, vd *y) {
  vd *row[pivots + rest + 1];
  rows_of(row, front, pivots, rest);
  front_meet(row + pivots, rest, pivots, y, y + pivots);
  front_upper(row, pivots, y);
}
"""


@cache
def compiled(lanes):
    return library(unit(lanes, "front_solve.c") + DRIVER)


class Fronts:
    """One matrix a lane, its first `pivots` unknowns eliminated."""

    def __init__(self, matrices, pivots):
        self.matrices, self.pivots = matrices, pivots
        self.lanes, self.size = matrices.shape[:2]
        self.rest = self.size - pivots
        rows = [matrices[:, r, : r + 1] for r in range(pivots)]
        rows += [matrices[:, r, :pivots] for r in range(pivots, self.size)]
        self.front = np.ascontiguousarray(np.concatenate(rows, axis=1).T)
        flag = np.zeros(self.lanes, dtype=np.int64)
        self.code = compiled(self.lanes)
        self.code.factor(pointer(self.front), pivots, self.rest, pointer(flag))
        self.bad = flag != 0

    def factors(self):
        """Rows of the factor, shape (lanes, size, pivots), the diagonal as it is kept: inverse."""
        found = np.zeros((self.lanes, self.size, self.pivots))
        at = 0
        for r in range(self.size):
            width = min(r + 1, self.pivots)
            found[:, r, :width] = self.front[at : at + width].T
            at += width
        assert at == len(self.front)
        return found

    def solve(self, right):
        """Elimination and substitution, the rest solved by NumPy in between."""
        y = np.ascontiguousarray(right.T)
        self.code.forward(pointer(self.front), self.pivots, self.rest, pointer(y))
        for lane in range(self.lanes):
            below = self.factors()[lane, self.pivots :]
            left = self.matrices[lane, self.pivots :, self.pivots :] - below @ below.T
            y[self.pivots :, lane] = np.linalg.solve(left, y[self.pivots :, lane])
        self.code.backward(pointer(self.front), self.pivots, self.rest, pointer(y))
        return y.T


def pointer(array):
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def positive(lanes, size, seed):
    """Random positive definite matrices, of conditions up to 100."""
    rng = generator(seed, lanes, size)
    turn = np.linalg.qr(rng.standard_normal((lanes, size, size)))[0]
    return turn * rng.uniform(0.1, 10.0, (lanes, 1, size)) @ turn.transpose(0, 2, 1)


SIZES = [(pivots, rest) for pivots in range(1, 24) for rest in range(12)]


@pytest.mark.parametrize("lanes", [4, 8])
def test_factors_and_solutions_are_those_of_numpy(lanes):
    for pivots, rest in SIZES:
        matrices = positive(lanes, pivots + rest, 1)
        fronts = Fronts(matrices, pivots)
        assert not fronts.bad.any()
        wanted = np.linalg.cholesky(matrices)[:, :, :pivots]
        diagonal = np.arange(pivots)
        wanted[:, diagonal, diagonal] = 1.0 / wanted[:, diagonal, diagonal]
        np.testing.assert_allclose(fronts.factors(), wanted, rtol=1e-10, atol=1e-12)
        right = generator(pivots).standard_normal((lanes, pivots + rest))
        known = np.linalg.solve(matrices, right[:, :, None])[:, :, 0]
        np.testing.assert_allclose(fronts.solve(right), known, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("lanes", [4, 8])
def test_what_is_left_of_further_rows(lanes):
    """Of two groups of rows, in a wider place; and of one with itself, the lower part."""
    rng = generator(2)
    for pivots, high, wide in [(p, h, w) for p in (1, 2, 5, 8, 19) for h in range(1, 8) for w in range(1, 8)]:
        fronts = Fronts(positive(lanes, pivots + high + wide, 2), pivots)
        out = rng.standard_normal((high, wide + 2, lanes))
        own = rng.standard_normal((high + wide, high + wide, lanes))
        before, own_before = out.copy(), own.copy()
        fronts.code.schur_of(pointer(fronts.front), pivots, high, wide, pointer(out), pointer(own))
        rows = fronts.factors()[:, pivots:]
        product = np.einsum("lrk,lck->rcl", rows, rows)
        np.testing.assert_allclose(
            out[:, :wide], before[:, :wide] - product[:high, high:], rtol=1e-11, atol=1e-12
        )
        np.testing.assert_array_equal(out[:, wide:], before[:, wide:])
        lower = np.tril_indices(high + wide)
        np.testing.assert_allclose(own[lower], (own_before - product)[lower], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("lanes", [4, 8])
def test_matrices_that_are_not_positive_definite_are_told_and_leave_the_others_alone(lanes):
    rng = generator(4)
    for pivots, rest in SIZES[::5]:
        good = positive(lanes, pivots + rest, 3)
        whole = Fronts(good, pivots).factors()
        wrong = rng.permutation(lanes)[: rng.integers(1, lanes)]
        mixed = good.copy()
        for lane in wrong:
            vector = np.zeros(pivots + rest)
            vector[:pivots] = np.linalg.qr(rng.standard_normal((pivots, pivots)))[0][0]
            mixed[lane] -= 11.0 * np.outer(vector, vector)
        fronts = Fronts(mixed, pivots)
        kept = np.setdiff1d(np.arange(lanes), wrong)
        assert fronts.bad[wrong].all() and not fronts.bad[kept].any()
        np.testing.assert_array_equal(fronts.factors()[kept], whole[kept])


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_each_pivot_is_looked_at(value):
    """A matrix is told wherever its pivot is 0 or no number at all."""
    for pivots in range(1, 10):
        for at in range(pivots):
            matrices = np.tile(2.0 * np.eye(pivots + 2), (4, 1, 1))
            matrices[1, at, at] = value
            assert Fronts(matrices, pivots).bad.tolist() == [False, True, False, False]
