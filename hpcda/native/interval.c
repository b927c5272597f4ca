/* The model errors of one interval of a discretization as a kernel; the formulas are in action/scheme.py, the tables in
   action/interval.py. v = [points of the interval; constants that the model sees], c = [dt, times of the points, known
   series of the points, constants of the model]. Room, behind what is returned: see `interval_room`. */

#include "kernel.h"

typedef struct {
  int D, V, P, U, m, Q, K, nj, nh, na;     /* as in assemble.c; na: columns that chained stages depend on, 0: no chain */
  const double *state, *known, *inner, *position, *rate;
  const int *jrow, *jvar, *hk, *hl;        /* entries of the model's derivatives */
  int entries;
  const double *fixed;                     /* [entries] of the Jacobian: part that does not depend on v */
  const int *term, *stage, *slope;         /* [entries + 1], [terms]: and sums over slopes of stages, in units of dt */
  const double *weight;
  int seconds;
  const int *spread, *spread_h, *spread_to;   /* [Q + 1], where second derivatives of each stage go */
  const double *spread_weight;
  Kernel values, jacobian, hessian;        /* of the model */
} Interval;

typedef struct { vd *z, *s, *t, *rates, *slopes, *mu, *second, *dense; } IntervalRoom;

static IntervalRoom interval_room(const Interval *I, vd *at) {
  IntervalRoom r;
  const size_t n = I->D + I->V + I->P, Q = I->Q;
  r.z = at, at += n;
  r.s = at, at += I->U;
  r.t = at, at += 1;
  r.rates = at, at += Q * I->D;
  r.slopes = at, at += Q * I->nj;
  r.mu = at, at += (Q + 1) * I->D;
  r.second = at, at += I->nh;
  r.dense = at;                            /* [Q][n + D][na], M [na][na], HZ [n][na] */
  return r;
}

static const vd *interval_constants(const Interval *I, const vd *c) {
  return c + 1 + (size_t)(I->m + 1) * (1 + I->U);
}

static void interval_stage(const Interval *I, const vd *v, const vd *c, int q, const IntervalRoom *r) {
  const int D = I->D, b = D + I->V, m = I->m;
  const double *mix = I->state + q * (m + 1), *aux = I->known + q * (m + 1);
  const vd *series = c + 2 + m;
  for (int i = 0; i < b + I->U + 1; i++) {
    const double *weight = i < D ? mix : aux;
    vd sum = v_all(0);
    for (int j = 0; j <= m; j++) {
      const vd *from = i < b ? v + (size_t)j * b + i : i < b + I->U ? series + (size_t)j * I->U + i - b : c + 1 + j;
      if (weight[j] != 0) sum = v_fma(v_all(weight[j]), *from, sum);
    }
    *(i < b ? r->z + i : i < b + I->U ? r->s + i - b : r->t) = sum;
  }
  for (int i = 0; i < I->P; i++) r->z[b + i] = v[(size_t)(m + 1) * b + i];
  for (int p = 0; I->na && p < q; p++)
    if (I->inner[q * I->Q + p] != 0)
      for (int i = 0; i < D; i++) r->z[i] = v_fma(c[0] * I->inner[q * I->Q + p], r->rates[p * D + i], r->z[i]);
}

static void interval_rates(const Interval *I, const vd *v, const vd *c, const IntervalRoom *r, int slopes) {
  for (int q = 0; q < I->Q; q++) {
    interval_stage(I, v, c, q, r);
    if (I->na || !slopes) I->values(r->z, interval_constants(I, c), r->s, r->t, 0, r->rates + (size_t)q * I->D);
    if (slopes) I->jacobian(r->z, interval_constants(I, c), r->s, r->t, 0, r->slopes + (size_t)q * I->nj);
  }
}

static void interval_values(const Interval *I, const vd *v, const vd *c, vd *out) {
  const int D = I->D, b = D + I->V;
  const IntervalRoom r = interval_room(I, out + I->K * D);
  interval_rates(I, v, c, &r, 0);
  for (int row = 0; row < I->K * D; row++) {
    const int e = row / D, i = row % D;
    vd change = v_all(0), rate = v_all(0);
    for (int j = 0; j <= I->m; j++) change = v_fma(v_all(I->position[e * (I->m + 1) + j]), v[j * b + i], change);
    for (int q = 0; q < I->Q; q++) rate = v_fma(v_all(I->rate[e * I->Q + q]), r.rates[q * D + i], rate);
    out[row] = v_fnma(c[0], rate, change);
  }
}

/* Derivatives of the rates of chained stages, and of the variables they are evaluated at, by the active columns. */
static void interval_chain(const Interval *I, const vd *c, const IntervalRoom *r) {
  const int D = I->D, V = I->V, n = D + V + I->P, na = I->na;
  for (int q = 0; q < I->Q; q++) {
    const vd *slopes = r->slopes + (size_t)q * I->nj;
    vd *Z = r->dense + (size_t)q * (n + D) * na, *dF = Z + (size_t)n * na;
    memset(Z, 0, sizeof(vd) * (n + D) * na);
    for (int i = 0; i < D; i++) Z[i * na + i] = v_all(I->state[q * (I->m + 1)]);
    for (int i = 0; i < V; i++) {
      Z[(D + i) * na + D + i] = v_all(I->known[q * (I->m + 1)]);
      Z[(D + i) * na + D + V + i] = v_all(I->known[q * (I->m + 1) + 1]);
    }
    for (int i = 0; i < I->P; i++) Z[(D + V + i) * na + D + 2 * V + i] = v_all(1);
    for (int p = 0; p < q; p++) {
      const vd inner = c[0] * I->inner[q * I->Q + p], *earlier = r->dense + ((size_t)p * (n + D) + n) * na;
      if (I->inner[q * I->Q + p] != 0)
        for (int i = 0; i < D * na; i++) Z[i] = v_fma(inner, earlier[i], Z[i]);
    }
    for (int e = 0; e < I->nj; e++) {
      const vd *from = Z + (size_t)I->jvar[e] * na;
      vd *to = dF + (size_t)I->jrow[e] * na;
      for (int i = 0; i < na; i++) to[i] = v_fma(slopes[e], from[i], to[i]);
    }
  }
}

static void interval_jacobian(const Interval *I, const vd *v, const vd *c, vd *out) {
  const int D = I->D, n = D + I->V + I->P, na = I->na, each = I->entries / (I->K * D);
  const IntervalRoom r = interval_room(I, out + I->entries);
  interval_rates(I, v, c, &r, 1);
  if (na) interval_chain(I, c, &r);
  for (int e = 0; e < I->entries; e++) {
    vd sum = v_all(0);
    if (na && e % each < na)
      for (int q = 0; q < I->Q; q++)
        sum = v_fma(v_all(-I->rate[e / each / D * I->Q + q]),
                    r.dense[((size_t)q * (n + D) + n + e / each % D) * na + e % each], sum);
    for (int k = I->term[e]; k < I->term[e + 1]; k++)
      sum = v_fma(v_all(I->weight[k]), r.slopes[(size_t)I->stage[k] * I->nj + I->slope[k]], sum);
    out[e] = v_fma(c[0], sum, v_all(I->fixed[e]));
  }
}

/* Multipliers of the rates of stage q, and, of chained stages, of those before it through it. */
static void interval_multipliers(const Interval *I, const vd *c, const vd *mu, const IntervalRoom *r) {
  const int D = I->D, Q = I->Q;
  vd *force = r->mu + (size_t)Q * D;
  memset(r->mu, 0, sizeof(vd) * Q * D);
  for (int q = Q - 1; q >= 0; q--) {
    vd *own = r->mu + q * D;
    for (int e = 0; e < I->K; e++)
      for (int i = 0; i < D; i++) own[i] = v_fnma(c[0] * I->rate[e * Q + q], mu[e * D + i], own[i]);
    if (!I->na || q == 0) continue;
    memset(force, 0, sizeof(vd) * D);
    for (int e = 0; e < I->nj; e++)
      if (I->jvar[e] < D) force[I->jvar[e]] = v_fma(r->slopes[(size_t)q * I->nj + e], own[I->jrow[e]], force[I->jvar[e]]);
    for (int p = 0; p < q; p++)
      for (int i = 0; i < D; i++) r->mu[p * D + i] = v_fma(c[0] * I->inner[q * Q + p], force[i], r->mu[p * D + i]);
  }
}

/* Z' H Z of stage q, added to the packed upper triangle of the active columns. */
static void interval_congruence(const Interval *I, int q, const IntervalRoom *r, vd *out) {
  const int D = I->D, n = D + I->V + I->P, na = I->na;
  const vd *Z = r->dense + (size_t)q * (n + D) * na;
  vd *HZ = r->dense + (size_t)I->Q * (n + D) * na;
  memset(HZ, 0, sizeof(vd) * n * na);
  for (int h = 0; h < I->nh; h++) {
    const int row = I->hk[h], column = I->hl[h];
    for (int k = 0; k < na; k++) HZ[row * na + k] = v_fma(r->second[h], Z[column * na + k], HZ[row * na + k]);
    for (int k = 0; row != column && k < na; k++)
      HZ[column * na + k] = v_fma(r->second[h], Z[row * na + k], HZ[column * na + k]);
  }
  for (int i = 0; i < n; i++) {
    vd *to = out;
    for (int k = 0; k < na; k++)
      for (int l = k; l < na; l++, to++) *to = v_fma(Z[i * na + k], HZ[i * na + l], *to);
  }
}

static void interval_hessian(const Interval *I, const vd *v, const vd *c, const vd *mu, vd *out) {
  const IntervalRoom r = interval_room(I, out + I->seconds);
  memset(out, 0, sizeof(vd) * I->seconds);
  if (!I->nh) return;
  if (I->na) {
    interval_rates(I, v, c, &r, 1);
    interval_chain(I, c, &r);
  }
  interval_multipliers(I, c, mu, &r);
  for (int q = 0; q < I->Q; q++) {
    interval_stage(I, v, c, q, &r);
    I->hessian(r.z, interval_constants(I, c), r.s, r.t, r.mu + q * I->D, r.second);
    if (I->na) interval_congruence(I, q, &r, out);
    for (int h = I->spread[q]; h < I->spread[q + 1]; h++)
      out[I->spread_to[h]] = v_fma(v_all(I->spread_weight[h]), r.second[I->spread_h[h]], out[I->spread_to[h]]);
  }
}
