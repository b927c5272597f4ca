/* Implicit steps of a stiff flow: the linearly implicit Euler method, (1 - h J)(y' - y) = h f(t', y), with n = 2, 3, 4, …
   substeps, extrapolated to h = 0; order and step size are those of least work (E. Hairer, G. Wanner, Solving Ordinary
   Differential Equations II, 2nd ed., Springer 1996, section IV.9, and I, section II.9). Where a step comes to another
   branch of equations that jump (np.where, abs, sign, floor) than it began on, the rates of both must agree to within the
   allowed error: the method never sees the rates at its end, and between jumps extrapolations agree by chance.
   With flow.c, which it includes; needs the kernels model_jacobian and switch_values too. */

#define IMPLICIT
#include "flow.c"

#define COLUMNS 12
#define SUBSTEPS(j) ((j) + 2)

typedef struct { double *jacobian, *matrix, *table, *entry, *before, *after, *rate; int *pivot; } More;

STAGE More more(const Flow *f, const Run *r) {
  const size_t D = f->D;
  double *matrix = r->more + D * D, *table = matrix + D * D, *entry = table + COLUMNS * D, *before = entry + f->entries;
  double *after = before + f->switches, *rate = after + f->switches;
  return (More){r->more, matrix, table, entry, before, after, rate, (int *)(rate + D)};
}

ENTRY long long room_of(const Flow *f) {
  const long long D = f->D;
  return 2 * D * D + (COLUMNS + 2) * D + f->entries + 2 * f->switches;
}

/* The n-th root of a positive number to about six digits, by Newton's method from a power of two. */
STAGE double root(double value, int n) {
  int exponent;
  frexp(value, &exponent);
  double guess = ldexp(1.0, exponent / n);
  for (int step = 0; step < 30; step++) {
    double power = 1;
    for (int i = 1; i < n; i++) power *= guess;
    const double better = guess - (guess - value / power) / n;
    if (fabs(better - guess) <= 1e-6 * guess) return better;
    guess = better;
  }
  return guess;
}

/* LU of a matrix [D][D] with partial pivoting; zeros are passed over. Returns whether it is regular. */
STAGE int factor(int D, double *a, int *pivot) {
  for (int k = 0; k < D; k++) {
    int best = k;
    for (int i = k + 1; i < D; i++)
      if (fabs(a[(size_t)i * D + k]) > fabs(a[(size_t)best * D + k])) best = i;
    pivot[k] = best;
    double *top = a + (size_t)k * D;
    if (best != k)
      for (int j = 0; j < D; j++) {
        const double kept = top[j];
        top[j] = a[(size_t)best * D + j];
        a[(size_t)best * D + j] = kept;
      }
    if (!(fabs(top[k]) > 0) || !isfinite(top[k])) return 0;
    for (int i = k + 1; i < D; i++) {
      double *row = a + (size_t)i * D;
      if (row[k] == 0) continue;
      const double share = row[k] /= top[k];
      for (int j = k + 1; j < D; j++) row[j] -= share * top[j];
    }
  }
  return 1;
}

STAGE void solve(int D, const double *a, const int *pivot, double *v) {
  for (int k = 0; k < D; k++) {
    const double kept = v[pivot[k]];
    v[pivot[k]] = v[k];
    v[k] = kept;
  }
  for (int i = 0; i < D; i++) {
    double sum = v[i];
    for (int j = 0; j < i; j++) sum -= a[(size_t)i * D + j] * v[j];
    v[i] = sum;
  }
  for (int i = D - 1; i >= 0; i--) {
    double sum = v[i];
    for (int j = i + 1; j < D; j++) sum -= a[(size_t)i * D + j] * v[j];
    v[i] = sum / a[(size_t)i * D + i];
  }
}

/* The derivative of the rates by the states at the beginning of a step. */
STAGE void derivative(const Flow *f, const Course *c, Run *r, const More *w) {
  const Room m = room(f, r);
  inputs(f, c, r, r->t, m.u);
  model_jacobian((const vd *)m.x, (const vd *)f->constant, (const vd *)m.u, (const vd *)&r->t, 0, (vd *)w->entry);
  memset(w->jacobian, 0, (size_t)f->D * f->D * sizeof(double));
  for (int i = 0; i < f->entries; i++) w->jacobian[(size_t)f->row[i] * f->D + f->column[i]] = w->entry[i];
}

STAGE void switches(const Flow *f, const Course *c, Run *r, double t, const double *x, double *out) {
  double *u = room(f, r).u;
  inputs(f, c, r, t, u);
  switch_values((const vd *)x, (const vd *)f->constant, (const vd *)u, (const vd *)&t, 0, (vd *)out);
}

/* Size over the allowed error of what a step of size h may miss, where a state y at a time of it lies on another branch than
   the beginning: the difference of the rates there. */
STAGE double missed(const Flow *f, const Course *c, Run *r, const More *w, double h, double t, const double *y) {
  const int D = f->D;
  const Room m = room(f, r);
  int same = 1;
  switches(f, c, r, t, y, w->after);
  for (int i = 0; i < f->switches; i++) same &= w->before[i] == w->after[i];
  if (same) return 0;
  rates(f, c, r, t, y, w->rate);
  for (int i = 0; i < D; i++) w->rate[i] = h * (w->rate[i] - m.k[i]);
  solve(D, w->matrix, w->pivot, w->rate);
  return norm(f, w->rate, m.most, y);
}

/* y at the end of a step in `substeps`; returns whether it could be computed. */
STAGE int euler(
    const Flow *f, const Course *c, Run *r, const More *w, double h, double to, int substeps, double *y, double *jump) {
  const int D = f->D;
  const Room m = room(f, r);
  const double part = h / substeps;
  for (int i = 0; i < D; i++)
    for (int j = 0; j < D; j++)
      w->matrix[(size_t)i * D + j] = (i == j) - part * w->jacobian[(size_t)i * D + j];
  if (!factor(D, w->matrix, w->pivot)) return 0;
  memcpy(y, m.x, D * sizeof(double));
  for (int n = 1; n <= substeps; n++) {
    const double t = n == substeps ? to : r->t + n * part;
    if (f->switches && n > 1) *jump = larger(*jump, missed(f, c, r, w, h, t, y));
    rates(f, c, r, t, y, m.sum);
    for (int i = 0; i < D; i++) m.sum[i] *= part;
    solve(D, w->matrix, w->pivot, m.sum);
    for (int i = 0; i < D; i++) y[i] += m.sum[i];
  }
  for (int i = 0; i < D; i++)
    if (!isfinite(y[i])) return 0;
  return 1;
}

STAGE int implicit_step(const Flow *f, const Course *c, Run *r, double h, double to, double *next) {
  const int D = f->D;
  const Room m = room(f, r);
  const More w = more(f, r);
  const double size = D, each = 20 * size + 2 * size * size, once = 2 * size * size * size / 3;
  double best[COLUMNS], cost[COLUMNS], work = 20 * size, *T = w.table;
  const int target = r->target;
  double jump = 0;
  derivative(f, c, r, &w);
  if (f->switches) {
    switches(f, c, r, r->t, m.x, w.before);
    rates(f, c, r, r->t, m.x, m.k);
  }
  for (int j = 0; j < COLUMNS; j++) {
    if (!euler(f, c, r, &w, h, to, SUBSTEPS(j), T + (size_t)j * D, &jump)) {
      r->target = target > 2 ? target - 1 : 2;
      *next = 0.25 * h;
      return 0;
    }
    for (int l = j; l > 0; l--) {
      const double share = 1 / ((double)SUBSTEPS(j) / SUBSTEPS(l - 1) - 1);
      double *left = T + (size_t)(l - 1) * D, *right = T + (size_t)l * D;
      for (int i = 0; i < D; i++) left[i] = right[i] + (right[i] - left[i]) * share;
    }
    work += once + SUBSTEPS(j) * each;
    if (!j) {
      cost[0] = INFINITY;
      continue;
    }
    for (int i = 0; i < D; i++) m.sum[i] = T[i] - T[D + i];
    const double error = norm(f, m.sum, m.most, T);
    if (!isfinite(error)) {
      *next = 0.25 * h;
      return 0;
    }
    const double factor = error > 0 ? 0.9 / root(error / 0.6, j + 1) : 8;
    best[j] = h * (factor > 8 ? 8 : factor < 0.05 ? 0.05 : factor);
    cost[j] = work / best[j];
    if (j < target - 1) continue;
    if (error <= 1) {
      if (f->switches) jump = larger(jump, missed(f, c, r, &w, h, to, T));
      if (jump > 1) {
        *next = 0.3 * h;
        return 0;
      }
      int chosen = j;
      if (j > 2 && cost[j - 1] < 0.8 * cost[j]) chosen = j - 1;
      else if (cost[j] < 0.9 * cost[j - 1] && j + 1 < COLUMNS - 1) chosen = j + 1;
      r->target = chosen < 2 ? 2 : chosen;
      *next = chosen <= j ? best[chosen] : best[j] * (work + once + SUBSTEPS(j + 1) * each) / work;
      memcpy(m.y, T, D * sizeof(double));
      return 1;
    }
    if (j > target || j == COLUMNS - 1 || (j == target && error > (double)SUBSTEPS(j + 1) / SUBSTEPS(0)) ||
        (j == target - 1 && error > (double)SUBSTEPS(j + 1) * SUBSTEPS(j + 2) / (SUBSTEPS(0) * SUBSTEPS(0)) * 10)) {
      int chosen = j < target ? j : target;
      if (chosen > 2 && cost[chosen - 1] < 0.8 * cost[chosen]) chosen--;
      r->target = chosen < 2 ? 2 : chosen;
      *next = best[chosen] < 0.9 * h ? best[chosen] : 0.9 * h;
      return 0;
    }
  }
  return 0;
}
