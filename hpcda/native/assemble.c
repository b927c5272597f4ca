/* The action of W paths at once, one a lane: value, gradient and upper triangle of the Hessian, interval by interval.
   Included by single.c and lockstep.c, after the kernels model_* and observe_* that the equations were turned into.
   Tables: structure.py. */

#include "lanes.h"

/* Limits; products of two widths, and of an index of an unknown with the number of stages, are whole numbers of 32 bits. */
#define MOST_STAGES 8
#define MOST_WIDTH 46340          /* unknowns that an interval touches */
#define MOST_UNKNOWNS 268435455   /* of a path */

typedef struct {
  int D, V, P, L, U, C;               /* states, parameters of one time, shared parameters, data, series, constants */
  int m, Q, K, nodal, staged;         /* span, stages, errors of an interval; whether stages are path points, or chained */
  const double *state, *known, *inner, *position, *rate;
  const int *node;                    /* [Q] */
  int nj, nh, onj, onh;
  const int *jrow, *jvar, *hk, *hl;   /* entries of the model's derivatives */
  const int *ojrow, *ojvar, *ohk, *ohl;
  const int *entry, *column;          /* [K*D+1], [entries]: columns of each model error, local to the interval */
  const double *fixed;                /* [entries] part of the derivative that does not depend on the path */
  const int *term, *term_stage, *term_jac;
  const double *term_weight;          /* [terms], in units of dt */
  int groups;                         /* slots that are sums of equally many products */
  const int *group, *members;         /* [groups] products of a slot, [groups] slots */
  const int *target, *left, *right;   /* [slots], [pairs]: slot, and the entries whose products it sums */
  int stretches;                      /* instead of them, where rows are wide: an entry times entries beside each other */
  const int *stretch;                 /* [stretches][4] entry, first of the others, first slot, how many */
  const int *spread, *spread_h, *spread_dest;
  const double *spread_weight;        /* by phase (nodal) or stage: where second derivatives go */
  const int *diagonal;                /* [m][b][b] slot of a time's own block, or -1 */
  const int *beside;                  /* [m][V] slot of (q(n), q(n+1)) */
  const int *seen_products, *seen_second;   /* [m][...] where products and second derivatives of what is measured go */
  int seen_products_each, widest;     /* of a phase; slopes of all that is measured at a point */
  int costs;                          /* measured quantities whose data have a loss of their own */
  const int *cost_row, *cost_slope, *cost_var, *cost_second, *cost_dest, *misfit_slope;   /* see costs.py */
  const int *active;                  /* staged: [na] local columns that the stages depend on */
  const int *active_dest;             /* staged: [na][na] */
  int na, slots;                      /* slots: Hessian values an interval */
  const double *walk;                 /* [V] 1 / walk variance a unit of time, or 0 */
  const double *constant;             /* [C] */
} Tables;

typedef struct {
  int N;
  const double *dt, *t, *step;        /* [intervals] steps of the rule (1 for a map); [N] times; [N - 1] their steps */
  const double *data, *precision;     /* [N][L]; precision: 0 where nothing is measured, or by a cost */
  const double *scale;                /* [N][L] of the noise, for costs */
  const double *series;               /* [N][U] */
  const double *weight;               /* [intervals][D] of the model errors: s_a, over their time where Rf is per time */
  int priors;                         /* Gaussian priors on unknowns of the window, in their order */
  const int *prior;                   /* [priors] index in the window */
  const double *prior_mean, *prior_weight;
} Window;

typedef struct {                      /* scratch of one window, each aligned by its maker */
  vd *rates, *slopes;                 /* [evaluations][D], [evaluations][nj] */
  vd *lambda;                         /* [intervals][K*D] Rf s r, or the multipliers that the maker put there */
  vd *dual;                           /* [intervals][K*D] y of the terms y r of a model that is to be obeyed exactly, or null */
  vd *errors, *entries;               /* [intervals][K*D], [intervals][entries]: kept where errors is not null */
  vd *local;                          /* see `scratch` */
} Work;

typedef struct {                      /* one evaluation on its way through a window */
  const Tables *T;
  const Window *w;
  const Work *k;
  const vd *path, *p;
  vd rf;
  int want, lifted;                   /* lifted: second derivatives are weighted by the multipliers given in k->lambda */
  vd *grad, *gradp;
  vd *own, *next, *shared;            /* Hessian slots of this interval and the next, triangle of the parameters */
  vd measurement, model, walk, prior;
  double *misfit, *slopes;            /* scaled residuals of data and their derivatives, or null; lane 0 */
  vl anew;                            /* lifted: lanes whose multipliers are Rf s r at rf_before */
  vd rf_before, bend;                 /* bend: factor of the model's second derivatives */
  vl exact;                           /* lanes at Rf = infinity: new multipliers are duals too */
  vd *v, *s, *t, *c, *mu, *second, *weight, *force, *r, *g, *gw, *dense;
  int cursor, some_anew;              /* next prior; whether `anew` holds in any lane */
} Pass;

static inline vd *slot(const Pass *a, int dest) {
  if ((unsigned)dest < (unsigned)a->T->slots) return a->own + dest;
  return dest < 0 ? a->shared - dest - 1 : a->next + dest - a->T->slots;
}

/* Numbers that kernels of one point or interval give at once. */
static size_t kernel_room(const Tables *T) {
  const size_t seen = T->L + T->onj + T->onh + T->cost_slope[T->costs] + T->cost_second[T->costs];
  return (size_t)T->Q * T->nh + seen + T->misfit_slope[T->costs];
}

/* Vectors of local scratch that a pass needs. */
ENTRY size_t scratch(const Tables *T) {
  const size_t D = T->D, Q = T->Q, K = T->K, na = T->na, entries = T->entry[K * D];
  const size_t n = D + T->V + T->P, wide = Q * D + T->L, second = kernel_room(T);
  return n + T->C + T->U + 2 + 1 + wide + second + 2 * entries + 3 * K * D +
         (T->staged ? (Q * (n + D) + na + n + K * D) * na + D : 0);
}

static void begin(Pass *a) {
  const Tables *T = a->T;
  const int n = T->D + T->V + T->P, entries = T->entry[T->K * T->D];
  vd *at = a->k->local;
  a->v = at, at += n;
  a->c = at, at += T->C;
  a->s = at, at += T->U + 2;           /* after the series a datum and its scale, for costs */
  a->t = at, at += 1;
  a->mu = at, at += T->Q * T->D + T->L;
  a->second = at, at += kernel_room(T);
  a->weight = at, at += T->K * T->D;
  a->force = at, at += T->K * T->D;
  a->r = at, at += T->K * T->D;
  a->g = at, at += entries;
  a->gw = at, at += entries;
  a->dense = at;
  for (int k = 0; k < T->C; k++) a->c[k] = v_all(T->constant[k]);
  for (int k = 0; k < T->P; k++) a->v[T->D + T->V + k] = a->p[k];
  a->measurement = a->model = a->walk = a->prior = v_all(0);
  a->cursor = 0;
}

static void at_point(const Pass *a, int n) {
  const Tables *T = a->T;
  const int b = T->D + T->V;
  const vd *x = a->path + (size_t)n * b;
  for (int i = 0; i < b; i++) a->v[i] = x[i];
  for (int i = 0; i < T->U; i++) a->s[i] = v_all(a->w->series[(size_t)n * T->U + i]);
  a->t[0] = v_all(a->w->t[n]);
}

static void at_stage(const Pass *a, int interval, int q, const vd *rates) {
  const Tables *T = a->T;
  const int D = T->D, b = D + T->V, first = interval * T->m;
  const vd *x = a->path + (size_t)first * b;
  const double *mix = T->state + q * (T->m + 1), *aux = T->known + q * (T->m + 1);
  double time = 0;
  for (int i = 0; i < b; i++) {
    vd sum = v_all(0);
    for (int j = 0; j <= T->m; j++) sum = v_fma(v_all((i < D ? mix : aux)[j]), x[j * b + i], sum);
    a->v[i] = sum;
  }
  for (int i = 0; i < T->U; i++) {
    double sum = 0;
    for (int j = 0; j <= T->m; j++) sum += aux[j] * a->w->series[(size_t)(first + j) * T->U + i];
    a->s[i] = v_all(sum);
  }
  for (int j = 0; j <= T->m; j++) time += aux[j] * a->w->t[first + j];
  a->t[0] = v_all(time);
  if (T->staged)
    for (int r = 0; r < q; r++) {
      const double inner = T->inner[q * T->Q + r] * a->w->dt[interval];
      if (inner != 0)
        for (int i = 0; i < D; i++) a->v[i] = v_fma(v_all(inner), rates[((size_t)interval * T->Q + r) * D + i], a->v[i]);
    }
}

static inline size_t evaluation(const Tables *T, int interval, int q) {
  return T->nodal ? (size_t)interval * T->m + T->node[q] : (size_t)interval * T->Q + q;
}

/* Rates, and where wanted slopes, that an interval needs and the one before has not left. */
STAGE void evaluate(const Pass *a, int interval, vd *rates, int want) {
  const Tables *T = a->T;
  const int first = T->nodal ? interval * T->m + (interval > 0) : interval * T->Q;
  const int last = T->nodal ? (interval + 1) * T->m : interval * T->Q + T->Q - 1;
  for (int e = first; e <= last; e++) {
    if (T->nodal)
      at_point(a, e);
    else
      at_stage(a, interval, e - first, rates);
    model_values(a->v, a->c, a->s, a->t, 0, rates + (size_t)e * T->D);
    if (want > 0) model_jacobian(a->v, a->c, a->s, a->t, 0, a->k->slopes + (size_t)e * T->nj);
  }
}

#ifndef GENERATED
/* Model errors of an interval that begins at x, given the rates of its stages. */
STAGE void table_errors(const Tables *T, const vd *x, const vd *const *rates, double dt, vd *r) {
  const int D = T->D, b = D + T->V;
  for (int row = 0; row < T->K * D; row++) {
    const int e = row / D, i = row % D;
    vd change = v_all(0), rate = v_all(0);
    for (int j = 0; j <= T->m; j++) change = v_fma(v_all(T->position[e * (T->m + 1) + j]), x[j * b + i], change);
    for (int q = 0; q < T->Q; q++) rate = v_fma(v_all(T->rate[e * T->Q + q] * dt), rates[q][i], rate);
    r[row] = change - rate;
  }
}
#endif

static void model_errors(const Pass *a, int interval, const vd *const *rates, vd *r) {
  const vd *x = a->path + (size_t)interval * a->T->m * (a->T->D + a->T->V);
#ifdef GENERATED
  errors(x, rates, a->w->dt[interval], r);
#else
  table_errors(a->T, x, rates, a->w->dt[interval], r);
#endif
}

/* Derivatives of the rates of all stages by the active columns; dense: Z and dF of each stage. */
STAGE void chain(const Pass *a, int interval, vd *given) {
  const Tables *T = a->T;
  const int D = T->D, V = T->V, n = D + V + T->P, na = T->na;
  for (int q = 0; q < T->Q; q++) {
    const vd *slopes = a->k->slopes + evaluation(T, interval, q) * T->nj;
    vd *Z = a->dense + (size_t)q * (n + D) * na, *dF = Z + (size_t)n * na;
    memset(Z, 0, sizeof(vd) * (n + D) * na);
    for (int i = 0; i < D; i++) Z[i * na + i] = v_all(T->state[q * (T->m + 1)]);
    for (int i = 0; i < V; i++) {
      Z[(D + i) * na + D + i] = v_all(T->known[q * (T->m + 1)]);
      Z[(D + i) * na + D + V + i] = v_all(T->known[q * (T->m + 1) + 1]);
    }
    for (int i = 0; i < T->P; i++) Z[(D + V + i) * na + D + 2 * V + i] = v_all(1);
    for (int r = 0; r < q; r++) {
      const double inner = a->w->dt[interval] * T->inner[q * T->Q + r];
      const vd *earlier = a->dense + (size_t)r * (n + D) * na + (size_t)n * na;
      if (inner != 0)
        for (int i = 0; i < D * na; i++) Z[i] = v_fma(v_all(inner), earlier[i], Z[i]);
    }
    for (int e = 0; e < T->nj; e++) {
      const vd *from = Z + (size_t)T->jvar[e] * na;
      vd *to = dF + (size_t)T->jrow[e] * na;
      for (int i = 0; i < na; i++) to[i] = v_fma(slopes[e], from[i], to[i]);
    }
  }
  for (int row = 0; row < T->K * D; row++)
    for (int i = 0; i < na; i++) {
      vd sum = v_all(0);
      for (int q = 0; q < T->Q; q++)
        sum = v_fma(v_all(T->rate[(row / D) * T->Q + q]),
                    a->dense[(size_t)q * (n + D) * na + (size_t)(n + row % D) * na + i], sum);
      given[row * na + i] = -a->w->dt[interval] * sum;
    }
}

#ifndef GENERATED
#define SUM_OF(n)                                                                      \
  for (int d = 0; d < count; d++, left += n, right += n) {                             \
    vd sum = gw[left[0]] * g[right[0]];                                                \
    for (int s = 1; s < n; s++) sum = v_fma(gw[left[s]], g[right[s]], sum);            \
    *slot(a, *target++) += sum;                                                        \
  }

/* Gauss-Newton part of the Hessian of an interval. */
STAGE void table_products(const Pass *a, const vd *g) {
  const Tables *T = a->T;
  const vd *gw = a->gw;
  const int *target = T->target, *left = T->left, *right = T->right;
  for (int k = 0; k < T->groups; k++) {
    const int n = T->group[k], count = T->members[k];
    if (n == 1) {
      SUM_OF(1)
    } else if (n == 2) {
      SUM_OF(2)
    } else if (n == 3) {
      SUM_OF(3)
    } else if (n == 4) {
      SUM_OF(4)
    } else {
      SUM_OF(n)
    }
  }
  for (const int *n = T->stretch, *end = n + 4 * (size_t)T->stretches; n < end; n += 4) {
    const vd one = gw[n[0]], *other = g + n[1];
    vd *to = slot(a, n[2]);
    for (int k = 0; k < n[3]; k++) to[k] = v_fma(one, other[k], to[k]);
  }
}

/* Derivatives of the model errors of an interval by its local columns, and its gradient. */
STAGE void table_entries(const Pass *a, double dt, const vd *const *slopes, const vd *given, vd *g, vd *grad) {
  const Tables *T = a->T;
  const int local = (T->m + 1) * (T->D + T->V), *column = T->column;
  vd *gradp = a->gradp, *gw = a->gw;
  for (int row = 0; row < T->K * T->D; row++) {
    const vd weight = a->weight[row], force = a->force[row];
    for (int first = T->entry[row], c = first; c < T->entry[row + 1]; c++) {
      vd slope = v_all(T->fixed[c]);
      if (given) {
        if (c - first < T->na) slope += given[row * T->na + c - first];
      } else {
        for (int s = T->term[c]; s < T->term[c + 1]; s++)
          slope = v_fma(v_all(T->term_weight[s] * dt), slopes[T->term_stage[s]][T->term_jac[s]], slope);
      }
      g[c] = slope;
      gw[c] = weight * slope;
      vd *pull = column[c] < local ? grad + column[c] : gradp + column[c] - local;
      *pull = v_fma(force, slope, *pull);
    }
  }
}
#endif

/* The terms y r of the model errors of an interval, and new y where there are none yet. */
static void bind(Pass *a, int i) {
  const int rows = a->T->K * a->T->D;
  vd *dual = a->k->dual + (size_t)i * rows, sum = v_all(0);
  for (int row = 0; row < rows; row++) {
    const vd first = v_if(a->exact, a->rf_before * a->w->weight[(size_t)i * a->T->D + row % a->T->D] * a->r[row], v_all(0));
    if (a->want > 0 && a->some_anew) dual[row] = v_if(a->anew, first, dual[row]);
    a->force[row] += dual[row];
    sum = v_fma(dual[row], a->r[row], sum);
  }
  a->model += sum;
}

/* Model errors of one interval and, where wanted, what they add to gradient and Hessian by first derivatives. */
STAGE void interval(Pass *a, int i, const vd *rates, const vd *given) {
  const Tables *T = a->T;
  const int D = T->D, rows = T->K * D;
  vd *grad = a->grad + (size_t)i * T->m * (D + T->V), *g = a->g, *lambda = a->k->lambda + (size_t)i * rows;
  vd sum = v_all(0), *r = a->r;
  const vd *slopes[MOST_STAGES], *stages[MOST_STAGES];
  for (int q = 0; q < T->Q; q++) {
    stages[q] = rates + evaluation(T, i, q) * D;
    slopes[q] = a->k->slopes + evaluation(T, i, q) * T->nj;
  }
  model_errors(a, i, stages, r);
  const double *scale = a->w->weight + (size_t)i * D;
  for (int row = 0; row < rows; row++) {
    a->weight[row] = a->rf * scale[row % D];
    a->force[row] = a->weight[row] * r[row];
    sum = v_fma(a->force[row], r[row], sum);
  }
  a->model += 0.5 * sum;
  if (a->k->dual) bind(a, i);
  if (a->want < 1) return;
  if (a->k->errors) {
    g = a->k->entries + (size_t)i * T->entry[rows];
    memcpy(a->k->errors + (size_t)i * rows, r, sizeof(vd) * rows);
  }
  if (!a->lifted) memcpy(lambda, a->force, sizeof(vd) * rows);
  if (a->lifted && a->some_anew)
    for (int row = 0; row < rows; row++)
      lambda[row] = v_if(a->anew, a->rf_before * scale[row % D] * r[row], lambda[row]);
#ifdef GENERATED
  (void)given;
  entries(slopes, a->w->dt[i], a->weight, a->force, g, a->gw, grad, a->gradp);
  if (a->want > 1) products(g, a->gw, a->own, a->next, a->shared);
#else
  table_entries(a, a->w->dt[i], slopes, given, g, grad);
  if (a->want > 1) table_products(a, g);
#endif
}

/* Second derivatives of the model at a path point, weighted by the multipliers of the intervals that meet there. */
STAGE void nodal_second(const Pass *a, int n) {
  const Tables *T = a->T;
  const int D = T->D, intervals = (a->w->N - 1) / T->m, phase = n % T->m, own = n / T->m;
  if (!T->nh) return;
  memset(a->mu, 0, sizeof(vd) * D);
  for (int i = own - (phase == 0); i <= own; i++) {
    if (i < 0 || i >= intervals) continue;
    for (int q = 0; q < T->Q; q++) {
      if (i * T->m + T->node[q] != n) continue;
      for (int e = 0; e < T->K; e++) {
        const double rate = -a->w->dt[i] * T->rate[e * T->Q + q];
        const vd *lambda = a->k->lambda + ((size_t)i * T->K + e) * D;
        if (rate != 0)
          for (int k = 0; k < D; k++) a->mu[k] = v_fma(v_all(rate), lambda[k], a->mu[k]);
      }
    }
  }
  if (a->lifted)
    for (int k = 0; k < D; k++) a->mu[k] *= a->bend;
  at_point(a, n);
  model_hessian(a->v, a->c, a->s, a->t, a->mu, a->second);
  for (int h = T->spread[phase]; h < T->spread[phase + 1]; h++) {
    vd *to = slot(a, T->spread_dest[h]);
    *to = v_fma(v_all(T->spread_weight[h]), a->second[T->spread_h[h]], *to);
  }
}

/* The same for stages inside an interval. */
STAGE void inner_second(const Pass *a, int i, const vd *rates) {
  const Tables *T = a->T;
  const int D = T->D, Q = T->Q, n = D + T->V + T->P, na = T->na;
  if (!T->nh) return;
  vd *M = a->dense + (size_t)Q * (n + D) * na, *HZ = M + (size_t)na * na;
  vd *force = HZ + (size_t)n * na + (size_t)T->K * D * na;
  memset(a->mu, 0, sizeof(vd) * Q * D);
  for (int q = Q - 1; q >= 0; q--) {
    vd *mu = a->mu + q * D;
    for (int e = 0; e < T->K; e++)
      for (int k = 0; k < D; k++)
        mu[k] -= a->w->dt[i] * T->rate[e * Q + q] * a->k->lambda[((size_t)i * T->K + e) * D + k];
    if (!T->staged || q == 0) continue;
    const vd *slopes = a->k->slopes + evaluation(T, i, q) * T->nj;
    memset(force, 0, sizeof(vd) * D);
    for (int e = 0; e < T->nj; e++)
      if (T->jvar[e] < D) force[T->jvar[e]] = v_fma(slopes[e], mu[T->jrow[e]], force[T->jvar[e]]);
    for (int r = 0; r < q; r++) {
      const double inner = a->w->dt[i] * T->inner[q * Q + r];
      for (int k = 0; k < D; k++) a->mu[r * D + k] += inner * force[k];
    }
  }
  if (a->lifted)
    for (int k = 0; k < Q * D; k++) a->mu[k] *= a->bend;
  if (T->staged) memset(M, 0, sizeof(vd) * na * na);
  for (int q = 0; q < Q; q++) {
    at_stage(a, i, q, rates);
    model_hessian(a->v, a->c, a->s, a->t, a->mu + q * D, a->second);
    if (!T->staged) {
      for (int h = T->spread[q]; h < T->spread[q + 1]; h++)
        *slot(a, T->spread_dest[h]) += T->spread_weight[h] * a->second[T->spread_h[h]];
      continue;
    }
    const vd *Z = a->dense + (size_t)q * (n + D) * na;
    memset(HZ, 0, sizeof(vd) * n * na);
    for (int h = 0; h < T->nh; h++) {
      const int row = T->hk[h], column = T->hl[h];
      for (int k = 0; k < na; k++) HZ[row * na + k] = v_fma(a->second[h], Z[column * na + k], HZ[row * na + k]);
      if (row != column)
        for (int k = 0; k < na; k++) HZ[column * na + k] = v_fma(a->second[h], Z[row * na + k], HZ[column * na + k]);
    }
    for (int r = 0; r < n; r++)
      for (int k = 0; k < na; k++) {
        const vd z = Z[r * na + k];
        for (int l = k; l < na; l++) M[k * na + l] = v_fma(z, HZ[r * na + l], M[k * na + l]);
      }
  }
  if (T->staged)
    for (int k = 0; k < na; k++)
      for (int l = k; l < na; l++) *slot(a, T->active_dest[k * na + l]) += M[k * na + l];
}

/* Where the gradient by variable k of a point's kernels goes. */
static inline vd *pull_on(const Pass *a, int n, int k) {
  const int b = a->T->D + a->T->V;
  return k < b ? a->grad + (size_t)n * b + k : a->gradp + k - b;
}

/* Data of Gaussian noise at point n. */
static void squares(Pass *a, int n) {
  const Tables *T = a->T;
  const int L = T->L, phase = n % T->m;
  const double *precision = a->w->precision + (size_t)n * L, *data = a->w->data + (size_t)n * L;
  vd *value = a->second, *slope = value + L, *second = slope + T->onj, *mu = a->mu;
  observe_values(a->v, a->c, a->s, a->t, 0, value);
  for (int i = 0; i < L; i++) {
    const vd r = precision[i] != 0 ? value[i] - data[i] : v_all(0);
    mu[i] = precision[i] * r;
    a->measurement += 0.5 * mu[i] * r;
    if (a->misfit) a->misfit[(size_t)n * L + i] = sqrt(precision[i]) * r[0];
  }
  if (a->want < 1) return;
  observe_jacobian(a->v, a->c, a->s, a->t, 0, slope);
  int product = 0;
  const int products = T->seen_products_each;
  const int *to = T->seen_products + (size_t)phase * products;
  for (int e = 0; e < T->onj; e++) {
    const int row = T->ojrow[e];
    if (a->slopes) a->slopes[(size_t)n * T->widest + e] = sqrt(precision[row]) * slope[e][0];
    if (precision[row] != 0) *pull_on(a, n, T->ojvar[e]) += mu[row] * slope[e];
    for (int f = e; f < T->onj && T->ojrow[f] == row; f++, product++)
      if (a->want > 1 && precision[row] != 0) *slot(a, to[product]) += precision[row] * slope[e] * slope[f];
  }
  if (a->want < 2) return;
  observe_hessian(a->v, a->c, a->s, a->t, mu, second);
  for (int h = 0; h < T->onh; h++) *slot(a, T->seen_second[(size_t)phase * T->onh + h]) += second[h];
}

/* A datum with a loss of its own at point n. */
static void cost(Pass *a, int n, int which) {
  const Tables *T = a->T;
  const int row = T->cost_row[which], phase = n % T->m;
  const int first = T->cost_slope[which], slopes = T->cost_slope[which + 1] - first;
  const int begin = T->cost_second[which], seconds = T->cost_second[which + 1] - begin;
  const vd one = v_all(1);
  vd *out = a->second, value;
  a->s[T->U] = v_all(a->w->data[(size_t)n * T->L + row]);
  a->s[T->U + 1] = v_all(a->w->scale[(size_t)n * T->L + row]);
  cost_values[which](a->v, a->c, a->s, a->t, 0, &value);
  a->measurement += value;
  if (a->misfit) {
    misfit_values[which](a->v, a->c, a->s, a->t, 0, &value);
    a->misfit[(size_t)n * T->L + row] = value[0];
  }
  if (a->slopes) {
    misfit_jacobian[which](a->v, a->c, a->s, a->t, 0, out);
    for (int e = T->misfit_slope[which]; e < T->misfit_slope[which + 1]; e++)
      a->slopes[(size_t)n * T->widest + T->onj + e] = out[e - T->misfit_slope[which]][0];
  }
  if (a->want < 1) return;
  cost_jacobian[which](a->v, a->c, a->s, a->t, 0, out);
  for (int e = 0; e < slopes; e++) *pull_on(a, n, T->cost_var[first + e]) += out[e];
  if (a->want < 2) return;
  cost_hessian[which](a->v, a->c, a->s, a->t, &one, out);
  const int *to = T->cost_dest + (size_t)phase * T->cost_second[T->costs] + begin;
  for (int h = 0; h < seconds; h++) *slot(a, to[h]) += out[h];
}

STAGE void measurement(Pass *a, int n) {
  const Tables *T = a->T;
  const double *precision = a->w->precision + (size_t)n * T->L, *data = a->w->data + (size_t)n * T->L;
  int some = 0, one = 0;
  for (int i = 0; i < T->L; i++) some |= precision[i] != 0;
  for (int i = 0; i < T->costs; i++) one |= isfinite(data[T->cost_row[i]]);
  if (!some && !one) return;
  at_point(a, n);
  if (some) squares(a, n);
  for (int i = 0; i < T->costs; i++)
    if (isfinite(data[T->cost_row[i]])) cost(a, n, i);
}

/* Random walks of the parameters of one time, from point n to the next; `after`: the slots of the next point. */
static void walk(Pass *a, int n, vd *after) {
  const Tables *T = a->T;
  const int D = T->D, b = D + T->V, phase = n % T->m, next = (n + 1) % T->m;
  for (int v = 0; v < T->V; v++) {
    const double weight = T->walk[v] / a->w->step[n];
    if (weight == 0) continue;
    const size_t at = (size_t)n * b + D + v;
    const vd change = a->path[at + b] - a->path[at];
    a->walk += 0.5 * weight * change * change;
    if (a->want < 1) continue;
    a->grad[at] -= weight * change;
    a->grad[at + b] += weight * change;
    if (a->want < 2) continue;
    a->own[T->diagonal[((size_t)phase * b + D + v) * b + D + v]] += weight;
    after[T->diagonal[((size_t)next * b + D + v) * b + D + v]] += weight;
    a->own[T->beside[phase * T->V + v]] -= weight;
  }
}

static void priors(Pass *a, int n) {
  const Tables *T = a->T;
  const int b = T->D + T->V;
  for (; a->cursor < a->w->priors && a->w->prior[a->cursor] < (n + 1) * b; a->cursor++) {
    const int at = a->w->prior[a->cursor], i = at - n * b;
    const double weight = a->w->prior_weight[a->cursor];
    const vd deviation = a->path[at] - a->w->prior_mean[a->cursor];
    a->prior += 0.5 * weight * deviation * deviation;
    if (a->want > 0) a->grad[at] += weight * deviation;
    if (a->want > 1) a->own[T->diagonal[((size_t)(n % T->m) * b + i) * b + i]] += weight;
  }
}

/* Interval i, with all terms of its points but the last; rates may be a place of its own. */
static void advance(Pass *a, int i, vd *rates) {
  const Tables *T = a->T;
  const int n = T->D + T->V + T->P;
  vd *given = 0;
  evaluate(a, i, rates, a->want);
  if (T->staged && a->want > 0) {
    given = a->dense + ((size_t)T->Q * (n + T->D) + T->na + n) * T->na;
    chain(a, i, given);
  }
  interval(a, i, rates, given);
  if (a->want > 1 && !T->nodal) inner_second(a, i, rates);
  for (int j = 0; j < T->m; j++) {
    const int point = i * T->m + j;
    if (a->want > 1 && T->nodal) nodal_second(a, point);
    measurement(a, point);
    walk(a, point, j + 1 < T->m ? a->own : a->next);
    priors(a, point);
  }
}

/* The last point of the window, whose slots are `own`. */
static void finish(Pass *a) {
  if (a->want > 1 && a->T->nodal) nodal_second(a, a->w->N - 1);
  measurement(a, a->w->N - 1);
  priors(a, a->w->N - 1);
}
