/* Many members of a model from path point to path point, W at a time, one a lane.
   Included after the kernels model_* and observe_* that the equations were turned into. */

#include "lanes.h"

typedef struct {
  int D, V, P, L, U, C, map, slopes;  /* states, parameters of one time, shared, data, series, constants */
  const double *constant;             /* [C] */
} Sizes;

typedef struct {
  const double *step, *t, *series;    /* [N - 1] steps of time, [N] times, [N][U] */
} Grid;

/* W members of [rows][members] from column `at`; lanes beyond the last hold the last. */
STAGE void load(const double *from, int rows, int members, int at, vd *to) {
  const int count = members - at < W ? members - at : W;
  for (int i = 0; i < rows; i++)
    for (int lane = 0; lane < W; lane++) to[i][lane] = from[(size_t)i * members + at + (lane < count ? lane : count - 1)];
}

STAGE void save(const vd *from, int rows, int members, int at, double *to) {
  const int count = members - at < W ? members - at : W;
  for (int i = 0; i < rows; i++) memcpy(to + (size_t)i * members + at, from + i, count * sizeof(double));
}

/* Series and time at path point n plus a share of the step. */
STAGE void inputs(const Sizes *z, const Grid *g, int n, double share, vd *s, vd *t) {
  const double *a = g->series + (size_t)n * z->U, *b = share > 0 ? a + z->U : a;
  for (int i = 0; i < z->U; i++) s[i] = v_all((1 - share) * a[i] + share * b[i]);
  t[0] = v_all(share > 0 ? g->t[n] + share * g->step[n] : g->t[n]);
}

/* v becomes the states of point n + 1; v also holds the parameters, which stay as they are. */
STAGE void advance(const Sizes *z, const Grid *g, int n, int substeps, vd *v, const vd *c, vd *s, vd *t, vd *room) {
  const int D = z->D;
  vd *k = room, *x = room + D, *sum = room + 2 * D;
  if (z->map) {
    inputs(z, g, n, 0, s, t);
    model_values(v, c, s, t, 0, k);
    for (int i = 0; i < D; i++) v[i] = k[i];
    return;
  }
  const double h = g->step[n] / substeps, part[4] = {0, 0.5, 0.5, 1}, weight[4] = {h / 6, h / 3, h / 3, h / 6};
  for (int step = 0; step < substeps; step++) {
    for (int i = 0; i < D; i++) x[i] = sum[i] = v[i];
    for (int stage = 0; stage < 4; stage++) {
      if (stage != 2) inputs(z, g, n, (step + part[stage]) / substeps, s, t);
      if (stage)
        for (int i = 0; i < D; i++) v[i] = v_fma(v_all(part[stage] * h), k[i], x[i]);
      model_values(v, c, s, t, 0, k);
      for (int i = 0; i < D; i++) sum[i] = v_fma(v_all(weight[stage]), k[i], sum[i]);
    }
    for (int i = 0; i < D; i++) v[i] = sum[i];
  }
}

/* Room for a member, the constants, series, time and `more` numbers; null where there is no memory. */
STAGE vd *begin_members(const Sizes *z, size_t more, vd **c, vd **s) {
  const size_t K = (size_t)z->D + z->V + z->P;
  vd *room = aligned_alloc(64, 64 * (K + z->C + z->U + 1 + more));
  if (!room) return NULL;
  *c = room + K, *s = *c + z->C;
  for (int i = 0; i < z->C; i++) (*c)[i] = v_all(z->constant[i]);
  return room;
}

/* Members [rows][members] from path point `first` to `last`; `to` is [last - first][rows][members]. */
ENTRY int forecast(const Sizes *z, const Grid *g, int first, int last, int substeps, int members, const double *from, double *to) {
  const int rows = z->D + z->V + z->P;
  vd *c, *s, *v = begin_members(z, 3 * (size_t)z->D, &c, &s);
  if (!v) return 1;
  vd *t = s + z->U;
  for (int at = 0; at < members; at += W) {
    load(from, rows, members, at, v);
    for (int n = first; n < last; n++) {
      advance(z, g, n, substeps, v, c, s, t, t + 1);
      save(v, rows, members, at, to + (size_t)(n - first) * rows * members);
    }
  }
  free(v);
  return 0;
}

/* Measured quantities of members [rows][members] at point n: to [L][members]. */
ENTRY int observe(const Sizes *z, const Grid *g, int n, int members, const double *from, double *to) {
  vd *c, *s, *v = begin_members(z, z->L, &c, &s);
  if (!v) return 1;
  vd *t = s + z->U;
  inputs(z, g, n, 0, s, t);
  for (int at = 0; at < members; at += W) {
    load(from, z->D + z->V + z->P, members, at, v);
    observe_values(v, c, s, t, 0, t + 1);
    save(t + 1, z->L, members, at, to);
  }
  free(v);
  return 0;
}

/* Entries of the model's derivative, at point n: to [slopes][members]. */
ENTRY int slopes(const Sizes *z, const Grid *g, int n, int members, const double *from, double *to) {
  vd *c, *s, *v = begin_members(z, z->slopes, &c, &s);
  if (!v) return 1;
  vd *t = s + z->U;
  inputs(z, g, n, 0, s, t);
  for (int at = 0; at < members; at += W) {
    load(from, z->D + z->V + z->P, members, at, v);
    model_jacobian(v, c, s, t, 0, t + 1);
    save(t + 1, z->slopes, members, at, to);
  }
  free(v);
  return 0;
}
