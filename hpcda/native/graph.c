/* What Python calls of factors.c. */

#include "factors.c"

INLINE vd graph_load(const double *values) {
  vd r;
  for (int l = 0; l < W; l++) r[l] = values[l];
  return r;
}

/* want: 0 value, 1 gradient, 2 Hessian. multipliers: null, or where they go; given: whether they stand there already. */
ENTRY void graph_action(const Factors *F, const Desk *desk, const vd *x, const double *rf, int want, int given, vd *groups,
                        vd *grad, vd *triangle, vd *multipliers) {
  const View view = {.rf = graph_load(rf), .want = want, .lifted = given, .rf_before = graph_load(rf), .bend = v_all(1)};
  const Sums sums = {groups, grad, triangle, multipliers, 0};
  memset(groups, 0, sizeof(vd) * F->groups);
  if (want > 0) memset(grad, 0, sizeof(vd) * F->size);
  if (want > 1) memset(triangle, 0, sizeof(vd) * F->triangle);
  factors_at(F, desk, x, &view, &sums);
}

ENTRY void graph_linear(const Factors *F, const Desk *desk, const vd *x, const vd *to, const double *rf, vd *multipliers) {
  factors_linear(F, desk, x, to, graph_load(rf), multipliers);
}

/* h of all instances of a family. */
ENTRY void graph_rows(const Factors *F, const Desk *desk, int family, const vd *x, vd *rows) {
  const Family *f = F->family + family;
  for (int i = 0; i < f->instances; i++) {
    factor_gather(f, desk, x, i);
    kernel_values[f->kernel](desk->unknowns, desk->constants, 0, 0, 0, desk->values);
    memcpy(rows + (size_t)i * f->rows, desk->values, sizeof(vd) * f->rows);
  }
}
