/* Newton steps of W paths in lockstep, one a lane. Included before climb.c, the driver.

   The second derivatives are weighted by multipliers lambda that live beside the path: those that the linear model of
   the last step had, Rf s (r + J d), not Rf s r of the new path. Where Rf is large, r grows with the square of a step, and
   Rf r with it; the linear model's does not. At a minimum both are the same (the residuals as unknowns of their own,
   eliminated again: Albersmeyer & Diehl, SIAM J. Optim. 20, 1655 (2010)). */

#include "assemble.c"
#include "tree.c"
#include "front_solve.c"
#include "record.h"

#define FEW 8                         /* pivots of a front up to which looking for zeros costs more than they do */

typedef struct {                      /* a window with its share of scratch */
  const Tables *T;
  const Window *w;
  const Work *k;
  int first;                          /* index of its first unknown */
  const int *seen;                    /* [border] which of the constants its model sees; null: all of them */
  vd *slots;                          /* of its Hessian: of all intervals, or of `turn` that take turns */
  vd *fronts, *rates, *lambda;        /* factor, where intervals are eliminated in turn; rates and multipliers at the trial */
} Stretch;

typedef struct {
  int windows, size, block, shared, border, slots, span, entries, edges, rungs, most, capacity;
  /* shared: constants, the unknowns at the end of the path that belong to no time; border: those that a window sees */
  int turn;                           /* intervals whose slots are kept */
  const Stretch *stretch;
  const int *slot, *place, *place_last;   /* [entries] slots and where they stand in a front: those of the last point, with
                                         their places there; all others; the edges, where in the rows of the next point */
  const int *edge_row, *edge_column;  /* [edges] entries that couple a front's pivots with the next point */
  const int *first;                   /* [span * block + block + border + 1] columns at which the rows of a front begin */
  int entries_last;
  const double *lower, *upper, *scale, *metric;   /* [size] */
  const double *rf;                   /* [rungs] */
  const int *prior;
  const double *prior_mean, *prior_weight;        /* [shared] */
  double curvature, tolerance, decrement, loose, barrier, longest, cap;   /* cap: action above which a start ends */
  double first_penalty;               /* of a rung at Rf = infinity that no other precedes */
  int longest_pause;                  /* steps without second derivatives of the model, after they made the matrix indefinite */
  vd *x, *trial, *grad, *step, *open, *hold;      /* [size]; hold: bound that a step was found to cross, -1 or 1 */
  vd *triangle, *corner, *dense, *scratch, *coupling;   /* constants; fronts in passing */
  vd *near;                           /* of the constants that a window sees, where these are not all: see `Near` */
  vd *passing;                        /* [3 Q D + K D + D + V + border], and at least the pivots of a front */
  vd **rows;                          /* [3][all rows of a front] and [border + 1], at least [shared] or [2 most] of the tree: where they are */
  int *start, *state, *rung, *until, *iterations, *factorizations, *holds, *still;   /* [W]; until: rung before which it ends */
  double *value, *shift, *low, *high, *weight, *before, *length, *slope, *norm;           /* [W] */
  double *taken, *crossed, *closed, *radius, *bend, *wait, *pause, *penalty, *gap, *slack;   /* [W] */
  Record *records;                    /* [capacity] */
  double *paths;                      /* [capacity][size] */
  int recorded;
  const Tree *tree;                   /* in which the whole matrix is eliminated; null: interval after interval */
  const int *entry_row, *entry_column;   /* unknowns of the tree's entries, constants in the rows */
  vd *slots_of_all, *diagonal, *ordered, *factor, *left;   /* Hessian; its diagonal's rest, right-hand side; factor, and room */
} Batch;

#include "bounds.c"
#include "whole.c"

/* What a window has to do with constants: values, gradient, triangle of the Hessian; what its elimination leaves of their
   matrix and right-hand side. */
typedef struct { const vd *values; vd *grad, *triangle, *corner, *step; } Near;

/* Those of all constants, or room for those that the window sees, with nothing in it but values from x. */
static Near near_of(const Batch *B, const Stretch *s, const vd *x) {
  const int P = B->border, tail = B->size - B->shared;
  if (!s->seen) return (Near){x + tail, B->grad + tail, B->triangle, B->corner, B->step + tail};
  const size_t triangle = (size_t)P * (P + 1) / 2, square = (size_t)P * P;
  vd *grad = B->near + P, *left = grad + P + triangle;
  memset(B->near, 0, sizeof(vd) * (3 * (size_t)P + triangle + square));
  for (int k = 0; k < P; k++) B->near[k] = x[tail + s->seen[k]];
  return (Near){B->near, grad, grad + P, left, left + square};
}

/* Add what a window says of the constants that it sees to what all windows say. */
static void give_back(const Batch *B, const Stretch *s, const Near *n) {
  const int P = B->border, all = B->shared, tail = B->size - all;
  if (!s->seen) return;
  for (int r = 0; r < P; r++) {
    const int row = s->seen[r];
    B->grad[tail + row] += n->grad[r];
    B->step[tail + row] += n->step[r];
    for (int c = 0; c <= r; c++) {
      B->triangle[row * (row + 1) / 2 + s->seen[c]] += n->triangle[r * (r + 1) / 2 + c];
      B->corner[row * all + s->seen[c]] += n->corner[r * P + c];
    }
  }
}

static Pass pass_of(const Batch *B, const Stretch *s, const Near *near, const vd *x, const Tick *tick, int want) {
  Pass a = {.T = s->T, .w = s->w, .k = s->k, .path = x + s->first, .p = near->values, .rf = tick->rf};
  a.grad = B->grad + s->first, a.gradp = near->grad, a.shared = near->triangle;
  a.want = want, a.lifted = 1, a.anew = tick->anew, a.some_anew = any(tick->anew), a.rf_before = tick->before, a.bend = tick->bend;
  a.exact = tick->exact;
  return a;
}

static inline size_t front_size(const Batch *B) {
  const size_t pivots = (size_t)B->span * B->block;
  return pivots * (pivots + 1) / 2 + B->border * pivots + B->edges;
}

/* A front, the unknowns of an interval, or of the last point alone: pivots, those of the next point, the border of
   constants, and the right-hand side. */
typedef struct {
  int last, pivots, next, border, first;   /* first: index of its first unknown */
  vd *values, *edges;
} Front;

/* Pivots, the next point, the border and the right-hand side. */
static inline int rows_of_front(const Batch *B) { return B->span * B->block + B->block + B->border + 1; }

static Front front_of(const Batch *B, const Stretch *s, int i) {
  const int b = B->block, m = B->span, last = i == (s->w->N - 1) / m, pivots = last ? b : m * b;
  Front f = {.last = last, .pivots = pivots, .next = last ? 0 : b, .first = s->first + i * m * b};
  f.values = s->fronts + (size_t)i * front_size(B);
  f.border = f.pivots + f.next;
  f.edges = f.values + (size_t)pivots * (pivots + 1) / 2 + (size_t)B->border * pivots;
  return f;
}

/* Where its rows are kept. */
static void rows_at(const Batch *B, const Front *f, vd **row) {
  const int pivots = f->pivots;
  vd *at = f->values;
  for (int r = 0; r < pivots; at += ++r) row[r] = at;
  for (int r = 0; r < f->next; r++) row[pivots + r] = B->scratch + (size_t)r * pivots;
  for (int r = 0; r < B->border; r++, at += pivots) row[f->border + r] = at;
  row[f->border + B->border] = B->step + f->first;
}

static inline vd *slots_at(const Batch *B, const Stretch *s, int i) {
  return s->slots + (size_t)(i % B->turn) * B->slots;
}

/* Take unknown j of a front out of the system: it moves by what its right-hand side says. */
static void close_unknown(const Batch *B, vd *const *row, int j, int pivots, int next, int first, vd *tail) {
  const vd open = B->open[first + j], place = v_if(open == 0, B->step[first + j], v_all(0));
  for (int k = 0; k < (j < pivots ? j : pivots); k++) {
    B->step[first + k] -= B->open[first + k] * row[j][k] * place;
    row[j][k] *= open;
  }
  if (j >= pivots) return;
  for (int k = j + 1; k < pivots + next + B->border; k++) {
    if (k < pivots + next)
      B->step[first + k] -= B->open[first + k] * row[k][j] * place;
    else
      tail[k - pivots - next] -= row[k][j] * place;
    row[k][j] *= open;
  }
  row[j][j] = row[j][j] * open + (1.0 - open);
}

/* Eliminate interval i of a window (the last point alone where i is the number of intervals). What it leaves is put into
   the next front. The right-hand side is a row of the front: it is solved as the front is factorized. */
STAGE void eliminate(const Batch *B, const Stretch *s, const Near *near, int i, const Tick *tick, vl *bad) {
  const int b = B->block, P = B->border, all = rows_of_front(B);
  vd **row = B->rows + i % 2 * all, **after = B->rows + (i + 1) % 2 * all;   /* its own rows: those after the one before */
  vd **from = B->rows + 2 * all, **square = from + all, *slots = slots_at(B, s, i), *coupling = B->coupling;
  const Front f = front_of(B, s, i);
  if (i == 0) rows_at(B, &f, row);
  const int pivots = f.pivots, inner = f.last ? B->entries_last : B->entries - B->edges;
  const int *slot = B->slot, *place = f.last ? B->place_last : B->place;
  if (i == 0) memset(f.values, 0, sizeof(vd) * (f.edges - f.values));
  memcpy(from, row, sizeof(vd *) * all);
  for (int r = 0; r < f.next; r++) from[pivots + r] = coupling + (size_t)r * pivots;
  for (int k = 0; k < inner; k++) f.values[place[k]] += slots[slot[k]];
  for (int k = inner; !f.last && k < B->entries; k++) coupling[place[k]] = slots[slot[k]];
  vd shut = v_all(1);
  for (int j = 0; j < f.border; j++) shut *= B->open[f.first + j];
  if (any(shut == 0))
    for (int j = 0; j < f.border; j++)
      if (any(B->open[f.first + j] == 0)) close_unknown(B, from, j, pivots, f.next, f.first, near->step);
  for (int k = inner; !f.last && k < B->entries; k++) f.edges[k - inner] = coupling[place[k]];
  for (int j = 0; j < pivots; j++) row[j][j] += B->open[f.first + j] * added(B, f.first + j, tick);
  const int *first = f.last || pivots <= FEW ? 0 : B->first;
  front_eliminate(row, from, first, pivots, f.next + P + 1, bad);
  if (!f.last) {
    const Front g = front_of(B, s, i + 1);
    rows_at(B, &g, after);
    if (g.pivots > b) memset(after[b], 0, sizeof(vd) * (g.values + (size_t)g.pivots * (g.pivots + 1) / 2 - after[b]));
    if (P) memset(after[g.border], 0, sizeof(vd) * P * g.pivots);
    const int *next = first ? first + pivots : 0;
    front_update(row + pivots, next, b, row + pivots, next, b, pivots, 0, after);
    front_update(row + f.border, 0, P + 1, row + pivots, next, b, pivots, 1, after + g.border);
  }
  vd *tail = near->step;
  for (int r = 0; r < P; r++) square[r] = near->corner + (size_t)r * P;
  front_update(row + f.border, 0, P, row + f.border, 0, P, pivots, 1, square);
  if (P) front_update(row + f.border + P, 0, 1, row + f.border, 0, P, pivots, 1, &tail);
}

/* Steps of the unknowns of interval i, those after it and of the constants known. */
STAGE void substitute(const Batch *B, const Stretch *s, const vd *constants, int i) {
  const int P = B->border;
  vd **row = B->rows, *meet = B->passing;
  const Front f = front_of(B, s, i);
  rows_at(B, &f, row);
  vd *y = B->step + f.first;
  front_meet(row + f.border, P, f.pivots, y, constants);
  if (!f.last) {
    memset(meet, 0, sizeof(vd) * f.pivots);
    for (int e = 0; e < B->edges; e++) meet[B->edge_column[e]] += f.edges[e] * y[f.pivots + B->edge_row[e]];
    front_lower(row, f.pivots, meet);
    for (int k = 0; k < f.pivots; k++) y[k] -= meet[k];
  }
  front_upper(row, f.pivots, y);
}

/* What the tree leaves of the constants. */
STAGE void leave_constants(const Batch *B) {
  const Tree *T = B->tree;
  const int P = B->shared, tail = B->size - P;
  if (!T->open) return;
  tree_rows(T, T->fronts - 1, B->factor, B->rows);
  for (int r = 0; r < P; r++) {
    for (int c = 0; c <= r; c++) B->corner[r * P + c] += B->rows[r][c];
    B->step[tail + r] = B->ordered[tail + r];
  }
}

/* Step of the constants: minimum of the quadratic model, all other unknowns eliminated, between the bounds.
   Primal-dual active set: Hintermueller, Ito, Kunisch, SIAM J. Optim. 13, 865 (2003). Returns the work of the bounds. */
STAGE vd shared_step(const Batch *B, const Tick *tick, vl *bad) {
  const int P = B->shared, tail = B->size - P;
  vd *whole = B->dense, *packed = whole + (size_t)P * P, *held = packed + (size_t)P * (P + 1) / 2, *rhs = held + P;
  vd *step = B->step + tail, *open = B->open + tail, **row = B->rows, work = v_all(0);
  for (int r = 0; r < P; r++) row[r] = packed + (size_t)r * (r + 1) / 2;
  fence_gradient(B, tail, B->size, tick);
  for (int r = 0; r < P; r++) {
    rhs[r] = step[r] - B->grad[tail + r];
    held[r] = v_all(0);
    for (int c = 0; c <= r; c++)
      whole[r * P + c] = whole[c * P + r] = B->triangle[r * (r + 1) / 2 + c] + B->corner[r * P + c];
    whole[r * P + r] += added(B, tail + r, tick);
  }
  for (int attempt = 0; attempt < 3 * P + 3; attempt++) {
    for (int r = 0; r < P; r++) {
      open[r] = v_if(held[r] == 0, v_all(1), v_all(0));
      step[r] = v_if(held[r] == 0, rhs[r], way(B, tail + r, held[r]));
    }
    for (int r = 0; r < P; r++)
      for (int c = 0; c <= r; c++) {
        const vd h = whole[r * P + c];
        row[r][c] = open[r] * open[c] * h + (r == c ? 1.0 - open[r] : v_all(0));
        if (r == c) continue;
        step[r] -= open[r] * h * way(B, tail + c, held[c]);
        step[c] -= open[c] * h * way(B, tail + r, held[r]);
      }
    vl wrong = (vl)v_all(0), changed = (vl)v_all(0);
    front_eliminate(row, row, 0, P, 0, &wrong);
    front_lower(row, P, step);
    front_upper(row, P, step);
    if (attempt == 0) *bad |= wrong;
    work = v_all(0);
    for (int r = 0; r < P; r++) {
      const int at = tail + r;
      const vd moved = B->x[at] + step[r];
      vd force = -rhs[r];
      for (int c = 0; c < P; c++) force = v_fma(whole[r * P + c], step[c], force);
      work += v_if(open[r] == 0, force * step[r], v_all(0));
      const vd free = v_if(moved < B->lower[at], v_all(-1), v_if(moved > B->upper[at], v_all(1), v_all(0)));
      const vd kept = attempt > P + 2 ? held[r] : v_if(held[r] * force < 0, held[r], v_all(0));
      const vd now = v_if(held[r] == 0, free, kept);
      changed |= (now != held[r]) & ~*bad;
      held[r] = now;
    }
    if (!any(changed)) break;
  }
  return work;
}

static vd shared_priors(const Batch *B, const vd *x, int want) {
  const int tail = B->size - B->shared;
  vd sum = v_all(0);
  for (int k = 0; k < B->shared; k++) {
    if (!B->prior[k]) continue;
    const vd deviation = x[tail + k] - B->prior_mean[k];
    sum += 0.5 * B->prior_weight[k] * deviation * deviation;
    if (want > 0) B->grad[tail + k] += B->prior_weight[k] * deviation;
    if (want > 1) B->triangle[k * (k + 1) / 2 + k] += B->prior_weight[k];
  }
  return sum;
}

/* Action, gradient, factor and Newton step of all lanes at x; `bad`: lanes whose matrix is not positive definite. */
STAGE Terms newton(const Batch *B, const Tick *tick, vl *bad) {
  const int b = B->block, m = B->span, P = B->shared;
  Terms sum = {v_all(0), v_all(0), v_all(0), v_all(0), v_all(0), v_all(0)};
  memset(B->grad, 0, sizeof(vd) * B->size);
  memset(B->triangle, 0, sizeof(vd) * P * (P + 1) / 2);
  memset(B->corner, 0, sizeof(vd) * P * P);
  memset(B->step + B->size - P, 0, sizeof(vd) * P);
  for (int n = 0; n < B->windows; n++) {
    const Stretch *s = B->stretch + n;
    const int intervals = (s->w->N - 1) / m;
    const Near near = near_of(B, s, B->x);
    Pass a = pass_of(B, s, &near, B->x, tick, 2);
    begin(&a);
    memset(s->slots, 0, sizeof(vd) * B->slots);
    for (int i = 0; i <= intervals; i++) {
      a.own = slots_at(B, s, i), a.next = slots_at(B, s, i + 1);
      if (i < intervals) {
#ifndef GENERATED
        memset(a.next, 0, sizeof(vd) * B->slots);
#endif
        advance(&a, i, s->k->rates);
      } else {
        finish(&a);
      }
      settle(B, s->first + (i ? ((i - 1) * m + 1) * b : 0), s->first + (i * m + 1) * b, tick);
      if (i > 0 && !B->tree) eliminate(B, s, &near, i - 1, tick, bad);
    }
    if (!B->tree) eliminate(B, s, &near, intervals, tick, bad);
    give_back(B, s, &near);
    sum.measurement += a.measurement, sum.model += a.model, sum.prior += a.walk + a.prior;
  }
  sum.prior += shared_priors(B, B->x, 2);
  if (B->tree) eliminate_all(B, tick, bad), leave_constants(B);
  if (P) sum.work = shared_step(B, tick, bad);
  if (B->tree) substitute_all(B);
  for (int n = 0; n < B->windows && !B->tree; n++) {
    const Near near = near_of(B, B->stretch + n, B->step);
    for (int i = (B->stretch[n].w->N - 1) / m; i >= 0; i--) substitute(B, B->stretch + n, near.values, i);
  }
  if (tick->barrier) sum.barrier = fence(B, B->x, tick->weight);
  return sum;
}

/* Gradient at x. */
STAGE void slope_at(const Batch *B, const Tick *tick) {
  memset(B->grad, 0, sizeof(vd) * B->size);
  for (int n = 0; n < B->windows; n++) {
    const Stretch *s = B->stretch + n;
    const Near near = near_of(B, s, B->x);
    Pass a = pass_of(B, s, &near, B->x, tick, 1);
    begin(&a);
    for (int i = 0; i < (s->w->N - 1) / B->span; i++) advance(&a, i, s->k->rates);
    finish(&a);
    give_back(B, s, &near);
  }
  shared_priors(B, B->x, 1);
}

/* Directional derivative of the rates of stage q of an interval, along the way to the trial. */
static void tangent(const Batch *B, const Stretch *s, int i, int q, vd *dz, vd *rates) {
  const Tables *T = s->T;
  const int D = T->D, b = B->block, tail = B->size - B->shared;
  const size_t at = s->first + (size_t)i * T->m * b;
  const vd *to = B->trial + at, *x = B->x + at;
  const double *mix = T->state + q * (T->m + 1), *aux = T->known + q * (T->m + 1);
  for (int k = 0; k < b; k++) {
    dz[k] = v_all(0);
    for (int j = 0; j <= T->m; j++)
      if ((k < D ? mix : aux)[j] != 0) dz[k] = v_fma(v_all((k < D ? mix : aux)[j]), to[j * b + k] - x[j * b + k], dz[k]);
  }
  for (int k = 0; k < T->P; k++) {
    const int place = tail + (s->seen ? s->seen[k] : k);
    dz[b + k] = B->trial[place] - B->x[place];
  }
  for (int r = 0; r < q; r++) {
    const double inner = T->inner[q * T->Q + r] * s->w->dt[i];
    if (inner != 0)
      for (int k = 0; k < D; k++) dz[k] = v_fma(v_all(inner), rates[r * D + k], dz[k]);
  }
  vd *out = rates + q * D;
  const vd *slopes = s->k->slopes + evaluation(T, i, q) * T->nj;
#ifdef GENERATED
  along(slopes, dz, out);
#else
  memset(out, 0, sizeof(vd) * D);
  for (int e = 0; e < T->nj; e++) out[T->jrow[e]] = v_fma(slopes[e], dz[T->jvar[e]], out[T->jrow[e]]);
#endif
}

/* Adds y to the multipliers of interval i at the trial; the largest of its model errors there, in units of the state. */
static vd gap_at(const Batch *B, const Stretch *s, const Pass *a, int i, vd gap) {
  const Tables *T = s->T;
  const int D = T->D, rows = T->K * D, first = s->first + i * T->m * (D + T->V);
  for (int row = 0; row < rows; row++) {
    const vd x = B->trial[first + row % D], size = v_if(x < 0, -x, x) + B->scale[first + row % D];
    s->lambda[(size_t)i * rows + row] += s->k->dual[(size_t)i * rows + row];
    gap = larger(v_if(a->r[row] < 0, -a->r[row], a->r[row]) / size, gap);
  }
  return gap;
}

/* Action at the trial, and the multipliers y + Rf s (r + J d) that the linear model has there. */
STAGE Terms probe(const Batch *B, const Tick *tick) {
  Terms sum = {v_all(0), v_all(0), v_all(0), v_all(0), v_all(0), v_all(0)};
  for (int n = 0; n < B->windows; n++) {
    const Stretch *s = B->stretch + n;
    const Tables *T = s->T;
    const int D = T->D, rows = T->K * D, shared = T->nodal;
    vd *moved[2] = {B->passing, B->passing + (size_t)T->Q * D}, *linear = moved[1] + (size_t)T->Q * D;
    vd *r = linear + (size_t)T->Q * D, *z = r + rows;
    const Near near = near_of(B, s, B->trial);
    Pass a = pass_of(B, s, &near, B->trial, tick, 0);
    begin(&a);
    for (int i = 0; i < (s->w->N - 1) / T->m; i++) {
      vd *here = moved[i % 2], *earlier = moved[(i + 1) % 2], *lambda = s->lambda + (size_t)i * rows;
      advance(&a, i, s->rates);
      for (int q = 0; q < T->Q; q++) {
        int left = 0;   /* the stage that the interval before has evaluated */
        for (int p = 0; p < T->Q; p++) left |= shared && i > 0 && T->node[q] == 0 && T->node[p] == T->m;
        if (left)
          for (int p = 0; p < T->Q; p++)
            if (T->node[p] == T->m) memcpy(here + q * D, earlier + p * D, sizeof(vd) * D);
        if (!left) tangent(B, s, i, q, z, here);
      }
      const vd *stages[MOST_STAGES];
      for (int q = 0; q < T->Q; q++) {
        const vd *before = s->k->rates + evaluation(T, i, q) * D;
        for (int k = 0; k < D; k++) linear[q * D + k] = before[k] + here[q * D + k];
        stages[q] = linear + q * D;
      }
      model_errors(&a, i, stages, r);
      for (int row = 0; row < rows; row++) lambda[row] = tick->rf * a.w->weight[(size_t)i * D + row % D] * r[row];
      if (s->k->dual) sum.gap = gap_at(B, s, &a, i, sum.gap);
    }
    finish(&a);
    sum.measurement += a.measurement, sum.model += a.model, sum.prior += a.walk + a.prior;
  }
  sum.prior += shared_priors(B, B->trial, 0);
  if (tick->barrier) sum.barrier = fence(B, B->trial, tick->weight);
  return sum;
}

/* The multipliers of the trial become those of the path, in some lanes. */
static void keep(const Batch *B, vl mask) {
  for (int n = 0; n < B->windows; n++) {
    const Stretch *s = B->stretch + n;
    const size_t count = (size_t)((s->w->N - 1) / s->T->m) * s->T->K * s->T->D;
    for (size_t i = 0; i < count; i++) s->k->lambda[i] = v_if(mask, s->lambda[i], s->k->lambda[i]);
  }
}

/* The multipliers of the path become y, in some lanes. */
static void adopt(const Batch *B, vl mask) {
  for (int n = 0; n < B->windows; n++) {
    const Stretch *s = B->stretch + n;
    const size_t count = (size_t)((s->w->N - 1) / s->T->m) * s->T->K * s->T->D;
    for (size_t i = 0; s->k->dual && i < count; i++) s->k->dual[i] = v_if(mask, s->k->lambda[i], s->k->dual[i]);
  }
}
