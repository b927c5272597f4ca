/* The action of W paths at once as a sum of factors: values by group, gradient, upper triangle of the Hessian. Included
   after the kernels, which are tabled as kernel_values[] and so on. Tables: action/graph.py.

   A factor gathers its unknowns v, evaluates its kernel h(v; c), and adds

     squares   1/2 w |h - y|²,  w times Rf where it is a model error
     plain     w Σ h
     loss      w φ(h; y, s), φ a traced function

   so that with p = ∂φ/∂h and B = ∂²φ/∂h² its Hessian is Jᵀ B J + ∂²(p·h). Sums run over families, instances and
   entries in the order of the tables, whatever W is. In lifted families second derivatives are weighted by multipliers that
   live beside the path (head of lockstep.c). */

#include "kernel.h"

enum Form { SQUARES, PLAIN, LOSS };

typedef struct {                      /* factors of one kernel and one loss */
  int instances, unknowns, constants, rows, data;    /* of an instance */
  int kernel, form, loss, group;
  int scaled, lifted, direct;         /* by Rf; with multipliers of their own; whether the kernel adds its curvature by itself */
  int slopes, bends, seconds, slots, runs;   /* entries: of the Jacobian, of B, of the kernel's Hessian, of the instance's Hessian */
  const int *index;                   /* [instances][unknowns] */
  const double *constant;             /* [instances][constants] */
  const double *weight;               /* [instances][rows] of squares, else [instances] */
  const double *datum;                /* [instances][data]: y of squares; constants of a loss */
  const int *row, *unknown;           /* [slopes], row after row */
  const int *product, *left, *right, *slot;   /* [bends + 1], [products]: B_kl J_ka J_lb of every entry of B */
  const int *second;                  /* [seconds] slot */
  const int *run, *target;            /* [runs + 1] first slot, [instances][runs] where it stands in the triangle */
  long long multiplier;               /* first multiplier of a lifted family */
} Family;

typedef struct {
  int size, families, groups;
  long long triangle, multipliers;    /* numbers of the Hessian's upper triangle, and of all multipliers */
  const Family *family;
} Factors;

typedef struct {                      /* scratch of an instance, as much as the largest needs; kernels use room behind results */
  vd *unknowns, *constants, *values, *slopes, *seconds, *local;
  vd *data, *force, *bend, *loss;     /* of a loss: its constants, first and second derivatives */
} Desk;

typedef struct {                      /* how the path is seen: model-error precision, and multipliers of lifted families */
  vd rf;
  int want, lifted;                   /* 0 value, 1 gradient, 2 Hessian; whether the multipliers are given */
  vl anew, exact;                     /* lanes whose multipliers become rf_before w r; those at Rf = infinity, whose y do too */
  vd rf_before, bend;                 /* bend: factor of second derivatives of lifted families */
} View;

/* dual: y of the terms y r of model errors that are to be exactly 0, in the order of multipliers, or null. */
typedef struct { vd *groups, *grad, *triangle, *multipliers, *dual; } Sums;

static void factor_gather(const Family *f, const Desk *d, const vd *x, int i) {
  const int *index = f->index + (size_t)i * f->unknowns;
  const double *constant = f->constant + (size_t)i * f->constants;
  for (int k = 0; k < f->unknowns; k++) d->unknowns[k] = x[index[k]];
  for (int k = 0; k < f->constants; k++) d->constants[k] = v_all(constant[k]);
}

/* The terms y r of an instance of a lifted family; new y where there are none yet. */
static vd factor_bind(const Family *f, const Desk *d, int i, const View *view, vd *dual) {
  const double *weight = f->weight + (size_t)i * f->rows, *datum = f->datum + (size_t)i * f->rows;
  vd share = v_all(0);
  for (int r = 0; r < f->rows; r++) {
    const vd miss = weight[r] != 0 ? d->values[r] - datum[r] : v_all(0);
    const vd first = v_if(view->exact, view->rf_before * weight[r] * miss, v_all(0));
    if (view->want > 0) dual[r] = v_if(view->anew, first, dual[r]);
    d->force[r] += dual[r];
    share = v_fma(dual[r], miss, share);
  }
  return share;
}

/* Share of an instance; force: derivatives by h; bend: second derivatives by h. */
static vd factor_share(const Family *f, const Desk *d, int i, const View *view) {
  const vd scale = f->scaled ? view->rf : v_all(1), *h = d->values;
  vd share = v_all(0);
  if (f->form == SQUARES) {
    const double *weight = f->weight + (size_t)i * f->rows, *datum = f->datum + (size_t)i * f->rows;
    for (int r = 0; r < f->rows; r++) {
      const vd miss = weight[r] != 0 ? h[r] - datum[r] : v_all(0);
      d->bend[r] = scale * weight[r];
      d->force[r] = d->bend[r] * miss;
      share = v_fma(0.5 * d->force[r], miss, share);
    }
    return share;
  }
  const vd weight = scale * f->weight[i];
  if (f->form == PLAIN) {
    for (int r = 0; r < f->rows; r++) d->force[r] = weight, share += h[r];
    return weight * share;
  }
  const double *datum = f->datum + (size_t)i * f->data;
  for (int k = 0; k < f->data; k++) d->data[k] = v_all(datum[k]);
  loss_values[f->loss](h, d->data, 0, 0, 0, &share);
  if (view->want > 0) {
    memset(d->force, 0, sizeof(vd) * f->rows);
    loss_jacobian[f->loss](h, d->data, 0, 0, 0, d->loss);
    for (int k = 0; k < loss_slopes[f->loss]; k++) d->force[loss_slope[f->loss][k]] = weight * d->loss[k];
  }
  if (view->want > 1) {
    loss_hessian[f->loss](h, d->data, 0, 0, &weight, d->loss);
    memcpy(d->bend, d->loss, sizeof(vd) * f->bends);
  }
  return weight * share;
}

static void factor_gradient(const Family *f, const Desk *d, const int *index, vd *grad) {
  for (int e = 0; e < f->slopes; e++) {
    vd *to = grad + index[f->unknown[e]];
    *to = v_fma(d->force[f->row[e]], d->slopes[e], *to);
  }
}

/* Weights of the second derivatives of h: the force, or the multipliers beside the path. */
static const vd *factor_multipliers(const Family *f, const Desk *d, int i, const View *view, vd *lambda) {
  const double *weight = f->weight + (size_t)i * f->rows, *datum = f->datum + (size_t)i * f->rows;
  if (!f->lifted || !lambda) return d->force;
  for (int r = 0; r < f->rows; r++) {
    const vd anew = weight[r] != 0 ? view->rf_before * weight[r] * (d->values[r] - datum[r]) : v_all(0);
    lambda[r] = view->lifted ? v_if(view->anew, anew, lambda[r]) : d->force[r];
    d->force[r] = lambda[r] * view->bend;
  }
  return d->force;
}

STAGE void factor_curvature(const Family *f, const Desk *d, const vd *mu) {
  memset(d->local, 0, sizeof(vd) * f->slots);
  if (f->direct) {
    kernel_curvature[f->kernel](d->unknowns, d->constants, d->bend, mu, d->local);
    return;
  }
  for (int b = 0; b < f->bends; b++) {
    const vd bend = d->bend[b];
    for (int p = f->product[b]; p < f->product[b + 1]; p++)
      d->local[f->slot[p]] = v_fma(bend * d->slopes[f->left[p]], d->slopes[f->right[p]], d->local[f->slot[p]]);
  }
  if (!f->seconds) return;
  kernel_hessian[f->kernel](d->unknowns, d->constants, 0, 0, mu, d->seconds);
  for (int k = 0; k < f->seconds; k++) d->local[f->second[k]] += d->seconds[k];
}

static void factor_scatter(const Family *f, const vd *local, int i, vd *triangle) {
  const int *target = f->target + (size_t)i * f->runs;
  for (int r = 0; r < f->runs; r++) {
    vd *to = triangle + target[r] - f->run[r];
    for (int s = f->run[r]; s < f->run[r + 1]; s++) to[s] += local[s];
  }
}

/* All factors at x; adds to grad and triangle. */
STAGE void factors_at(const Factors *F, const Desk *d, const vd *x, const View *view, const Sums *to) {
  for (int n = 0; n < F->families; n++) {
    const Family *f = F->family + n;
    vd sum = v_all(0);
    for (int i = 0; i < f->instances; i++) {
      factor_gather(f, d, x, i);
      kernel_values[f->kernel](d->unknowns, d->constants, 0, 0, 0, d->values);
      sum += factor_share(f, d, i, view);
      if (to->dual && f->lifted) sum += factor_bind(f, d, i, view, to->dual + f->multiplier + (size_t)i * f->rows);
      if (view->want < 1) continue;
      kernel_jacobian[f->kernel](d->unknowns, d->constants, 0, 0, 0, d->slopes);
      factor_gradient(f, d, f->index + (size_t)i * f->unknowns, to->grad);
      if (view->want < 2) continue;
      vd *lambda = to->multipliers ? to->multipliers + f->multiplier + (size_t)i * f->rows : 0;
      factor_curvature(f, d, factor_multipliers(f, d, i, view, lambda));
      factor_scatter(f, d->local, i, to->triangle);
    }
    to->groups[f->group] += sum;
  }
}

/* Multipliers Rf w (r + J (to - x)) that the linear model has at `to`. */
STAGE void factors_linear(const Factors *F, const Desk *d, const vd *x, const vd *to, vd rf, vd *multipliers) {
  for (int n = 0; n < F->families; n++) {
    const Family *f = F->family + n;
    for (int i = 0; f->lifted && i < f->instances; i++) {
      const int *index = f->index + (size_t)i * f->unknowns;
      const double *weight = f->weight + (size_t)i * f->rows, *datum = f->datum + (size_t)i * f->rows;
      vd *lambda = multipliers + f->multiplier + (size_t)i * f->rows;
      factor_gather(f, d, x, i);
      kernel_values[f->kernel](d->unknowns, d->constants, 0, 0, 0, d->values);
      kernel_jacobian[f->kernel](d->unknowns, d->constants, 0, 0, 0, d->slopes);
      for (int e = 0; e < f->slopes; e++) {
        const int at = index[f->unknown[e]];
        d->values[f->row[e]] = v_fma(d->slopes[e], to[at] - x[at], d->values[f->row[e]]);
      }
      for (int r = 0; r < f->rows; r++)
        lambda[r] = weight[r] != 0 ? rf * weight[r] * (d->values[r] - datum[r]) : v_all(0);
    }
  }
}
