/* Newton steps of W paths over any factor graph in lockstep, one a lane; all unknowns are eliminated in a tree of fronts.
   What climb.c asks for: `newton`, `probe`, `slope_at`, `keep`. The multipliers of model errors are those of lockstep.c. */

#include "factors.c"
#include "tree.c"
#include "record.h"

typedef struct {
  int size, shared, rungs, most, capacity;   /* shared: 0, no unknowns are left to the end */
  const double *lower, *upper, *scale, *metric;   /* [size] */
  const double *rf;                   /* [rungs] */
  double curvature, tolerance, decrement, loose, barrier, longest, cap;   /* cap: action above which a start ends */
  double first_penalty;               /* of a rung at Rf = infinity that no other precedes */
  int longest_pause;                  /* steps without second derivatives of the model, after they made the matrix indefinite */
  vd *x, *trial, *grad, *step, *open, *hold;      /* [size]; hold: bound that a step was found to cross, -1 or 1 */
  int *start, *state, *rung, *until, *iterations, *factorizations, *holds, *still;   /* [W]; until: rung before which it ends */
  double *value, *shift, *low, *high, *weight, *before, *length, *slope, *norm;           /* [W] */
  double *taken, *crossed, *closed, *radius, *bend, *wait, *pause, *penalty, *gap, *slack;   /* [W] */
  Record *records;                    /* [capacity] */
  double *paths;                      /* [capacity][size] */
  int recorded;
  const Tree *tree;
  const int *entry_row, *entry_column;   /* unknowns of the tree's entries */
  vd *slots_of_all, *diagonal, *ordered, *factor, *left;   /* Hessian's upper triangle; its diagonal's rest, right-hand side; factor, and room */
  vd **rows;                          /* [2 most] of the tree */
  const Factors *factors;
  const Desk *desk;
  const int *part;                    /* [groups] term of each group: 0 measurement, 1 model, 2 prior */
  vd *groups, *multipliers, *ahead;   /* [groups]; of the path, and of the linear model at the trial */
  vd *dual;                           /* y of a model that is to be obeyed exactly, or null */
} Batch;

#include "bounds.c"
#include "whole.c"

/* Adds up all factors at x; what is wanted besides goes to grad and slots_of_all. */
static Terms graph_terms(const Batch *B, const vd *x, const Tick *tick, int want) {
  View view = {.rf = tick->rf, .want = want, .lifted = 1, .anew = tick->anew, .rf_before = tick->before, .bend = tick->bend};
  view.exact = tick->exact;
  const Sums sums = {B->groups, B->grad, B->slots_of_all, B->multipliers, B->dual};
  vd terms[3] = {v_all(0), v_all(0), v_all(0)};
  memset(B->groups, 0, sizeof(vd) * B->factors->groups);
  if (want > 0) memset(B->grad, 0, sizeof(vd) * B->size);
  if (want > 1) memset(B->slots_of_all, 0, sizeof(vd) * B->factors->triangle);
  factors_at(B->factors, B->desk, x, &view, &sums);
  for (int g = 0; g < B->factors->groups; g++) terms[B->part[g]] += B->groups[g];
  return (Terms){terms[0], terms[1], terms[2], v_all(0), v_all(0), v_all(0)};
}

/* Action, gradient, factor and Newton step of all lanes at x; `bad`: lanes whose matrix is not positive definite. */
STAGE Terms newton(const Batch *B, const Tick *tick, vl *bad) {
  Terms sum = graph_terms(B, B->x, tick, 2);
  settle(B, 0, B->size, tick);
  eliminate_all(B, tick, bad);
  substitute_all(B);
  if (tick->barrier) sum.barrier = fence(B, B->x, tick->weight);
  return sum;
}

/* Gradient at x. */
STAGE void slope_at(const Batch *B, const Tick *tick) { graph_terms(B, B->x, tick, 1); }

/* The largest error of lifted families at x, each in units of what it is the difference of: scale: [size] of unknowns. */
STAGE vd factors_gap(const Factors *F, const Desk *d, const vd *x, const double *scale) {
  vd gap = v_all(0);
  for (int n = 0; n < F->families; n++) {
    const Family *f = F->family + n;
    for (int i = 0; f->lifted && i < f->instances; i++) {
      const int *index = f->index + (size_t)i * f->unknowns;
      const double *weight = f->weight + (size_t)i * f->rows, *datum = f->datum + (size_t)i * f->rows;
      factor_gather(f, d, x, i);
      kernel_values[f->kernel](d->unknowns, d->constants, 0, 0, 0, d->values);
      kernel_jacobian[f->kernel](d->unknowns, d->constants, 0, 0, 0, d->slopes);
      memset(d->force, 0, sizeof(vd) * f->rows);
      for (int e = 0; e < f->slopes; e++) {
        const int at = index[f->unknown[e]];
        const vd part = d->slopes[e] * (v_if(x[at] < 0, -x[at], x[at]) + scale[at]);
        d->force[f->row[e]] += v_if(part < 0, -part, part);
      }
      for (int r = 0; r < f->rows; r++) {
        const vd miss = weight[r] != 0 ? d->values[r] - datum[r] : v_all(0);
        gap = larger(v_if(miss == 0, v_all(0), v_if(miss < 0, -miss, miss) / d->force[r]), gap);
      }
    }
  }
  return gap;
}

/* Action at the trial, and the multipliers y + Rf w (r + J d) that the linear model has there. */
STAGE Terms probe(const Batch *B, const Tick *tick) {
  Terms sum = graph_terms(B, B->trial, tick, 0);
  factors_linear(B->factors, B->desk, B->x, B->trial, tick->rf, B->ahead);
  for (long long i = 0; B->dual && i < B->factors->multipliers; i++) B->ahead[i] += B->dual[i];
  if (B->dual) sum.gap = factors_gap(B->factors, B->desk, B->trial, B->scale);
  if (tick->barrier) sum.barrier = fence(B, B->trial, tick->weight);
  return sum;
}

/* The multipliers of the trial become those of the path, in some lanes. */
static void keep(const Batch *B, vl mask) {
  for (long long i = 0; i < B->factors->multipliers; i++) B->multipliers[i] = v_if(mask, B->ahead[i], B->multipliers[i]);
}

/* The multipliers of the path become y, in some lanes. */
static void adopt(const Batch *B, vl mask) {
  for (long long i = 0; B->dual && i < B->factors->multipliers; i++) B->dual[i] = v_if(mask, B->multipliers[i], B->dual[i]);
}
