/* Cholesky of a banded matrix with a border, and its triangular solves.
   band [n][w]: column j of the lower triangle, from its diagonal down; border [p][n], corner [p][p] row by row. Every entry
   is the sum of its terms in the order of the columns, so that the bits do not depend on the processor. */

#include "lanes.h"

/* y[i] -= a x[i]. */
static inline void less(double *restrict y, double a, const double *restrict x, int count) {
  for (int i = 0; i < count; i++) y[i] = FUSED(-a, x[i], y[i]);
}

static inline int reach(int n, int w, int j) { return n - j < w ? n - j : w; }

/* The factor takes the matrix's place. Returns 0, or one more than the unknown whose pivot is not positive. */
ENTRY int factor(int n, int w, int p, double *band, double *border, double *corner) {
  for (int j = 0; j < n; j++) {
    double *column = band + (size_t)j * w;
    const int rows = reach(n, w, j);
    if (!(column[0] > 0) || column[0] == INFINITY) return j + 1;
    const double pivot = column[0] = __builtin_sqrt(column[0]);
    for (int i = 1; i < rows; i++) column[i] /= pivot;
    for (int k = 1; k < rows; k++) less(band + (size_t)(j + k) * w, column[k], column + k, rows - k);
    for (int r = 0; r < p; r++) {
      double *row = border + (size_t)r * n + j;
      row[0] /= pivot;
      less(row + 1, row[0], column + 1, rows - 1);
    }
  }
  for (int r = 0; r < p; r++)
    for (int c = 0; c <= r; c++) {
      const double *a = border + (size_t)r * n, *b = border + (size_t)c * n;
      double sum = corner[r * p + c];
      for (int j = 0; j < n; j++) sum = FUSED(-a[j], b[j], sum);
      for (int k = 0; k < c; k++) sum = FUSED(-corner[r * p + k], corner[c * p + k], sum);
      if (c == r && (!(sum > 0) || sum == INFINITY)) return n + r + 1;
      corner[r * p + c] = c == r ? __builtin_sqrt(sum) : sum / corner[c * p + c];
    }
  return 0;
}

/* x := L^-1 x, x [n + p]. */
ENTRY void down(int n, int w, int p, const double *band, const double *border, const double *corner, double *x) {
  for (int j = 0; j < n; j++) {
    const double *column = band + (size_t)j * w;
    x[j] /= column[0];
    less(x + j + 1, x[j], column + 1, reach(n, w, j) - 1);
  }
  for (int r = 0; r < p; r++) {
    double sum = x[n + r];
    for (int j = 0; j < n; j++) sum = FUSED(-border[(size_t)r * n + j], x[j], sum);
    for (int k = 0; k < r; k++) sum = FUSED(-corner[r * p + k], x[n + k], sum);
    x[n + r] = sum / corner[r * p + r];
  }
}

/* x := L^-T x. */
ENTRY void up(int n, int w, int p, const double *band, const double *border, const double *corner, double *x) {
  for (int r = p - 1; r >= 0; r--) {
    x[n + r] /= corner[r * p + r];
    less(x + n, x[n + r], corner + r * p, r);
    less(x, x[n + r], border + (size_t)r * n, n);
  }
  for (int j = n - 1; j >= 0; j--) {
    const double *column = band + (size_t)j * w;
    double sum = x[j];
    for (int i = 1; i < reach(n, w, j); i++) sum = FUSED(-column[i], x[j + i], sum);
    x[j] = sum / column[0];
  }
}
