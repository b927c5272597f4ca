/* Loops of functions with products of arrays; their tables are those of steps.py. */

#pragma once

#include "lanes.h"

/* Sums of products. */
FUNCTION void product_rows(vd *room, const int (*of)[7], int count) {
  for (int i = 0; i < count; i++) {
    const int *n = of[i];
    const vd *w = room + n[1], *a = room + n[3];
    int k = n[6];
    vd sum = k ? w[0] * a[0] : room[n[0]];
    for (; k < n[5]; k++) sum = v_fma(w[k * n[2]], a[k * n[4]], sum);
    room[n[0]] = sum;
  }
}

/* y[k] += c x[k]. */
FUNCTION void product_added(const vd *room, vd *to, const int (*of)[4], int count) {
  for (int i = 0; i < count; i++) {
    const vd c = room[of[i][0]], *x = room + of[i][1];
    vd *y = to + of[i][2];
    for (int k = 0; k < of[i][3]; k++) y[k] = v_fma(c, x[k], y[k]);
  }
}

/* y[k] = c x[k]. */
FUNCTION void product_scaled(const vd *room, vd *to, const int (*of)[4], int count) {
  for (int i = 0; i < count; i++) {
    const vd c = room[of[i][0]], *x = room + of[i][1];
    vd *y = to + of[i][2];
    for (int k = 0; k < of[i][3]; k++) y[k] = c * x[k];
  }
}
