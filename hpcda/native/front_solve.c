/* Solutions with the factor of a front whose rows are kept whole (front.c). */

#include "front.c"

/* y := L^-1 y. */
STAGE void front_lower(vd *const *row, int pivots, vd *y) {
  for (int i = 0; i < pivots; i++) y[i] = front_dot(y[i], row[i], y, i) * row[i][i];
}

/* y := y - A' x. */
STAGE void front_meet(vd *const *row, int rows, int pivots, vd *y, const vd *x) {
  int i = 0;
  for (; i + 3 < rows; i += 4) {
    const vd *a = row[i], *b = row[i + 1], *c = row[i + 2], *d = row[i + 3];
    const vd p = x[i], q = x[i + 1], r = x[i + 2], s = x[i + 3];
    for (int k = 0; k < pivots; k++) y[k] -= v_fma(a[k], p, b[k] * q) + v_fma(c[k], r, d[k] * s);
  }
  for (; i < rows; i++)
    for (int k = 0; k < pivots; k++) y[k] = v_fnma(row[i][k], x[i], y[k]);
}

/* y := L^-T y. */
STAGE void front_upper(vd *const *row, int pivots, vd *y) {
  for (int i = pivots - 1; i >= 0; i--) {
    const vd *a = row[i], x = y[i] *= a[i];
    for (int k = 0; k < i; k++) y[k] = v_fnma(a[k], x, y[k]);
  }
}
