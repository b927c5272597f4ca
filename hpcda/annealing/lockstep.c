/* Newton's method on W paths in lockstep, each on its own rung. Included after assemble.c and front.c. */

enum { EMPTY, ACTIVE, ENDED };
enum { GRADIENT = 1, DECREMENT = 2, ITERATIONS = -1, REGION = -3, LINEAR = -4, NON_FINITE = -5 };   /* reasons.py */

typedef struct {                      /* a window with its share of scratch */
  const Tables *T;
  const Window *w;
  const Work *k;
  int first;                          /* index of its first unknown */
  vd *fronts, *rates, *lambda;        /* factor; rates and multipliers at the trial */
} Stretch;

typedef struct {
  int lane, start, rung, iterations, factorizations, reason, last, slot;
  double measurement, model, prior, norm, ticks;
} Record;

typedef struct {
  int windows, size, block, shared, slots, span, rungs, most, keep, capacity;
  const Stretch *stretch;
  const int *scatter, *scatter_last;  /* place in its front of every slot, in an inner interval and in the last */
  const double *lower, *upper, *scale, *metric;   /* [size] */
  const double *rf;                   /* [rungs] */
  const int *prior;
  const double *prior_mean, *prior_weight;        /* [shared] */
  double curvature, tolerance, decrement, loose, barrier, longest;
  vd *x, *trial, *grad, *step, *open, *hold;      /* [size]; hold: bound that a step was found to cross, -1 or 1 */
  vd *ring, *triangle, *carry, *corner, *side;    /* slots of 3 intervals; parameters; fronts in passing */
  int *start, *state, *rung, *iterations, *factorizations, *fresh;   /* [W] */
  double *shift, *last_shift, *weight, *length, *slope, *norm, *taken, *crossed;   /* [W]; weight: of the barrier */
  int *refused, *rejected, *holds;
  Record *records;                    /* [capacity] */
  double *paths;                      /* [capacity][size], or null */
  int recorded;
  long ticks, calls;
} Batch;

#define RAISE 8.0

typedef struct { vd measurement, model, prior, barrier, work; } Terms;   /* work: forces of bounds that a step meets */

static inline int any(const double *values) {
  for (int l = 0; l < W; l++)
    if (values[l] != 0) return 1;
  return 0;
}

static inline vd load(const double *values) {
  vd r;
  for (int l = 0; l < W; l++) r[l] = values[l];
  return r;
}

static inline int between(const Batch *B, int i) { return B->lower[i] > -1e300 && B->upper[i] < 1e300 && B->lower[i] < B->upper[i]; }

static Pass pass_of(const Batch *B, const Stretch *s, const vd *x, vd rf, int want) {
  Pass a = {.T = s->T, .w = s->w, .k = s->k, .path = x + s->first, .p = x + B->size - B->shared, .rf = rf, .want = want};
  a.grad = B->grad + s->first, a.gradp = B->grad + B->size - B->shared, a.shared = B->triangle;
  a.lifted = 1;
  return a;
}

static inline vd place_of(const Batch *B, const vd *held, int r) {
  const int at = B->size - B->shared + r;
  return v_if(held[r] < 0, B->lower[at] - B->x[at], v_if(held[r] > 0, B->upper[at] - B->x[at], v_all(0)));
}

static void settle_barrier(const Batch *B, int from, int end, int barrier, vd weight) {
  for (int i = from; barrier && i < end; i++)
    if (between(B, i))
      B->grad[i] += v_if(weight > 0, weight * (1.0 / (B->upper[i] - B->x[i]) - 1.0 / (B->x[i] - B->lower[i])), v_all(0));
}

/* Barrier and bounds at unknowns from..end of a path whose gradient is complete. */
static void settle(const Batch *B, int from, int end, int barrier, vd weight) {
  settle_barrier(B, from, end, barrier, weight);
  for (int i = from; i < end; i++) {
    const vd x = B->x[i];
    const double near = 1e-10 * B->scale[i];
    const vl held = ((x <= B->lower[i] + near) & (B->grad[i] > 0)) | ((x >= B->upper[i] - near) & (B->grad[i] < 0));
    const vd place = v_if(B->hold[i] < 0, B->lower[i] - x, v_if(B->hold[i] > 0, B->upper[i] - x, v_all(0)));
    const vl closed = held | (B->hold[i] != 0);
    B->open[i] = v_if(closed, v_all(0), v_all(1));
    B->step[i] = v_if(closed, place, -B->grad[i]);
  }
}

static inline vd added(const Batch *B, int i, vd shift, int barrier, vd weight) {
  vd sum = shift * B->metric[i];
  if (barrier && between(B, i)) {
    const vd low = B->x[i] - B->lower[i], high = B->upper[i] - B->x[i];
    sum += v_if(weight > 0, weight * (1.0 / (low * low) + 1.0 / (high * high)), v_all(0));
  }
  return sum;
}

static inline int shut(vd open) {
  for (int l = 0; l < W; l++)
    if (open[l] == 0) return 1;
  return 0;
}

/* Eliminate interval i of a window (the last point alone where i is the number of intervals). */
static void eliminate(const Batch *B, const Stretch *s, int i, vd shift, int barrier, vd weight, vl *bad) {
  const int b = B->block, m = B->span, P = B->shared, last = i == (s->w->N - 1) / m;
  const int pivots = last ? b : m * b, rest = (last ? 0 : b) + P, first = s->first + i * m * b;
  const size_t inner = front_size(m * b, b + P);
  vd *front = s->fronts + (size_t)i * inner, *slots = B->ring + (size_t)(i % 3) * B->slots;
  const int *scatter = last ? B->scatter_last : B->scatter;
  memset(front, 0, sizeof(vd) * front_size(pivots, rest));
  for (int k = 0; k < B->slots; k++)
    if (scatter[k] >= 0) front[scatter[k]] = slots[k];
  for (int j = 0; j < pivots + (last ? 0 : b); j++) {
    if (!shut(B->open[first + j])) continue;
    const vd open = B->open[first + j];
    const vd place = v_if(open == 0, B->step[first + j], v_all(0));
    vd *row = front_row(front, pivots, j);
    for (int k = 0; k < (j < pivots ? j : pivots); k++) {
      B->step[first + k] -= B->open[first + k] * row[k] * place;
      row[k] *= open;
    }
    if (j >= pivots) continue;
    for (int k = j + 1; k < pivots + rest; k++) {
      vd *entry = front_row(front, pivots, k) + j;
      if (k < pivots + rest - P)
        B->step[first + k] -= B->open[first + k] * *entry * place;
      else
        B->step[B->size - pivots - rest + k] -= *entry * place;
      *entry *= open;
    }
    row[j] = row[j] * open + (1.0 - open);
  }
  for (int j = 0; j < pivots; j++)
    front_row(front, pivots, j)[j] += B->open[first + j] * added(B, first + j, shift, barrier, weight);
  if (i > 0) {
    for (int r = 0; r < b; r++) {
      vd *row = front_row(front, pivots, r);
      for (int c = 0; c <= r; c++) row[c] += B->carry[r * b + c];
    }
    for (int r = 0; r < P; r++) {
      vd *row = front_row(front, pivots, pivots + rest - P + r);
      for (int c = 0; c < b; c++) row[c] += B->side[r * b + c];
    }
  }
  front_factor(front, pivots, rest, bad);
  vd *out[rest + 1];
  for (int r = 0; r < rest - P; r++) out[r] = B->step + first + pivots + r;
  for (int r = 0; r < P; r++) out[rest - P + r] = B->step + B->size - P + r;
  front_forward(front, pivots, B->step + first, rest, out);
  if (!last) {
    memset(B->carry, 0, sizeof(vd) * b * b);
    memset(B->side, 0, sizeof(vd) * P * b);
    front_schur(front, pivots, 0, b, 0, b, B->carry, b);
    front_schur(front, pivots, b, P, 0, b, B->side, b);
  }
  front_schur(front, pivots, rest - P, P, rest - P, P, B->corner, P);
}

/* Step of the shared parameters: minimum of the quadratic model, all other unknowns eliminated, between the bounds.
   Primal-dual active set: Hintermueller, Ito, Kunisch, SIAM J. Optim. 13, 865 (2003). */
static vd shared_step(const Batch *B, vd shift, int barrier, vd weight, vl *bad) {
  const int P = B->shared, tail = B->size - P;
  vd *packed = B->side, *whole = B->carry, *held = whole + P * P, *rhs = held + P;
  vd *step = B->step + tail, *open = B->open + tail;
  settle_barrier(B, tail, B->size, barrier, weight);
  for (int r = 0; r < P; r++) {
    rhs[r] = step[r] - B->grad[tail + r];
    held[r] = v_all(0);
    for (int c = 0; c <= r; c++)
      whole[r * P + c] = whole[c * P + r] = B->triangle[r * (r + 1) / 2 + c] + B->corner[r * P + c];
    whole[r * P + r] += added(B, tail + r, shift, barrier, weight);
  }
  vd work = v_all(0);
  for (int attempt = 0; attempt < 3 * P + 3; attempt++) {
    for (int r = 0; r < P; r++) {
      const vd x = B->x[tail + r];
      open[r] = v_if(held[r] == 0, v_all(1), v_all(0));
      const vd place = v_if(held[r] < 0, B->lower[tail + r] - x, B->upper[tail + r] - x);
      step[r] = v_if(held[r] == 0, rhs[r], place);
    }
    for (int r = 0; r < P; r++)
      for (int c = 0; c <= r; c++) {
        const vd h = whole[r * P + c];
        packed[r * (r + 1) / 2 + c] = open[r] * open[c] * h + (r == c ? 1.0 - open[r] : v_all(0));
        if (r == c) continue;
        step[r] -= v_if((open[r] != 0) & (open[c] == 0), h * v_if(open[c] == 0, place_of(B, held, c), v_all(0)), v_all(0));
        step[c] -= v_if((open[c] != 0) & (open[r] == 0), h * v_if(open[r] == 0, place_of(B, held, r), v_all(0)), v_all(0));
      }
    vl wrong = (vl)v_all(0);
    front_factor(packed, P, 0, &wrong);
    front_forward(packed, P, step, 0, 0);
    front_backward(packed, P, step, 0, 0);
    if (attempt == 0) *bad |= wrong;
    vl changed = (vl)v_all(0);
    for (int r = 0; r < P; r++) {
      const int at = tail + r;
      const vd x = B->x[at];
      vd force = -rhs[r];
      for (int c = 0; c < P; c++) force += whole[r * P + c] * step[c];
      const vd low = v_all(B->lower[at]), high = v_all(B->upper[at]);
      const vd now = v_if(held[r] == 0, v_if(x + step[r] < low, v_all(-1), v_if(x + step[r] > high, v_all(1), v_all(0))),
                          v_if(held[r] < 0, v_if(force > 0, v_all(-1), v_all(0)), v_if(force < 0, v_all(1), v_all(0))));
      changed |= (now != held[r]) & ~*bad;
      held[r] = now;
    }
    int some = 0;
    for (int l = 0; l < W; l++) some |= changed[l] != 0;
    work = v_all(0);
    for (int r = 0; r < P; r++) {
      vd force = -rhs[r];
      for (int c = 0; c < P; c++) force += whole[r * P + c] * step[c];
      work += v_if(open[r] == 0, force * step[r], v_all(0));
    }
    if (!some) break;
  }
  return work;
}

/* Action, gradient, factor and Newton step of all lanes at x. */
static Terms newton(const Batch *B, vd rf, vd shift, int barrier, vd weight, vl *bad) {
  const int b = B->block, m = B->span, P = B->shared, tail = B->size - P;
  Terms sum = {v_all(0), v_all(0), v_all(0), v_all(0), v_all(0)};
  memset(B->grad, 0, sizeof(vd) * B->size);
  memset(B->triangle, 0, sizeof(vd) * P * (P + 1) / 2);
  memset(B->corner, 0, sizeof(vd) * P * P);
  memset(B->step + tail, 0, sizeof(vd) * P);
  for (int n = 0; n < B->windows; n++) {
    const Stretch *s = B->stretch + n;
    Pass a = pass_of(B, s, B->x, rf, 2);
    const int intervals = (s->w->N - 1) / m;
    begin(&a);
    memset(B->ring, 0, sizeof(vd) * B->slots);
    for (int i = 0; i <= intervals; i++) {
      a.own = B->ring + (size_t)(i % 3) * B->slots, a.next = B->ring + (size_t)((i + 1) % 3) * B->slots;
      if (i < intervals) {
        memset(a.next, 0, sizeof(vd) * B->slots);
        advance(&a, i, s->k->rates);
      } else {
        finish(&a);
      }
      settle(B, s->first + (i ? ((i - 1) * m + 1) * b : 0), s->first + (i * m + 1) * b, barrier, weight);
      if (i > 0) eliminate(B, s, i - 1, shift, barrier, weight, bad);
    }
    eliminate(B, s, intervals, shift, barrier, weight, bad);
    sum.measurement += a.measurement, sum.model += a.model, sum.prior += a.walk + a.prior;
  }
  for (int k = 0; k < P; k++)
    if (B->prior[k]) {
      const vd deviation = B->x[tail + k] - B->prior_mean[k];
      sum.prior += 0.5 * B->prior_weight[k] * deviation * deviation;
      B->grad[tail + k] += B->prior_weight[k] * deviation;
      B->triangle[k * (k + 1) / 2 + k] += B->prior_weight[k];
    }
  if (P) sum.work = shared_step(B, shift, barrier, weight, bad);
  for (int n = 0; n < B->windows; n++) {
    const Stretch *s = B->stretch + n;
    const int intervals = (s->w->N - 1) / m;
    const size_t inner = front_size(m * b, b + P);
    for (int i = intervals; i >= 0; i--) {
      const int pivots = i < intervals ? m * b : b, rest = (i < intervals ? b : 0) + P, first = s->first + i * m * b;
      const vd *known[rest + 1];
      for (int r = 0; r < rest - P; r++) known[r] = B->step + first + pivots + r;
      for (int r = 0; r < P; r++) known[rest - P + r] = B->step + tail + r;
      front_backward(s->fronts + (size_t)i * inner, pivots, B->step + first, rest, known);
    }
  }
  return sum;
}

/* Directional derivative of the rates of stage q of an interval. */
static void tangent(const Batch *B, const Stretch *s, int i, int q, vd *dz, vd *rates) {
  const Tables *T = s->T;
  const int D = T->D, b = B->block, tail = B->size - B->shared;
  const vd *d = B->trial + s->first + (size_t)i * T->m * b, *x = B->x + s->first + (size_t)i * T->m * b;
  const double *mix = T->state + q * (T->m + 1), *aux = T->known + q * (T->m + 1);
  for (int k = 0; k < b; k++) {
    vd sum = v_all(0);
    for (int j = 0; j <= T->m; j++)
      if ((k < D ? mix : aux)[j] != 0) sum += (k < D ? mix : aux)[j] * (d[j * b + k] - x[j * b + k]);
    dz[k] = sum;
  }
  for (int k = 0; k < T->P; k++) dz[b + k] = B->trial[tail + k] - B->x[tail + k];
  for (int r = 0; r < q; r++) {
    const double inner = T->inner[q * T->Q + r] * s->w->dt;
    if (inner != 0)
      for (int k = 0; k < D; k++) dz[k] += inner * rates[r * D + k];
  }
  vd *out = rates + q * D;
  const vd *slopes = s->k->slopes + evaluation(T, i, q) * T->nj;
  memset(out, 0, sizeof(vd) * D);
  for (int e = 0; e < T->nj; e++) out[T->jrow[e]] += slopes[e] * dz[T->jvar[e]];
}

/* The barrier -w sum log((x - lower)(upper - x)). */
static vd fence(const Batch *B, const vd *x, vd weight) {
  vd sum = v_all(0);
  for (int i = 0; i < B->size; i++)
    if (between(B, i))
      for (int l = 0; l < W; l++)
        if (weight[l] != 0) {
          const double low = x[i][l] - B->lower[i], high = B->upper[i] - x[i][l];
          sum[l] -= low > 0 && high > 0 ? weight[l] * log(low * high) : -INFINITY;
        }
  return sum;
}

/* Action at the trial, and the multipliers Rf s (r + J d) that the linear model has there. */
static Terms probe(const Batch *B, vd rf, int barrier, vd weight) {
  const int tail = B->size - B->shared;
  Terms sum = {v_all(0), v_all(0), v_all(0), v_all(0), v_all(0)};
  for (int n = 0; n < B->windows; n++) {
    const Stretch *s = B->stretch + n;
    const Tables *T = s->T;
    const int D = T->D, rows = T->K * D, intervals = (s->w->N - 1) / T->m;
    Pass a = pass_of(B, s, B->trial, rf, 0);
    begin(&a);
    vd moved[T->Q * D], z[T->D + T->V + T->P];
    for (int i = 0; i < intervals; i++) {
      advance(&a, i, s->rates);
      for (int q = 0; q < T->Q; q++) tangent(B, s, i, q, z, moved);
      for (int row = 0; row < rows; row++) {
        const int e = row / D;
        vd r = error(&a, i, row, B->trial + s->first, s->k->rates), rate = v_all(0);
        for (int q = 0; q < T->Q; q++) rate += T->rate[e * T->Q + q] * moved[q * D + row % D];
        s->lambda[(size_t)i * rows + row] = rf * T->weight[row % D] * (r - s->w->dt * rate);
      }
    }
    finish(&a);
    sum.measurement += a.measurement, sum.model += a.model, sum.prior += a.walk + a.prior;
  }
  for (int k = 0; k < B->shared; k++)
    if (B->prior[k]) {
      const vd deviation = B->trial[tail + k] - B->prior_mean[k];
      sum.prior += 0.5 * B->prior_weight[k] * deviation * deviation;
    }
  if (barrier) sum.barrier = fence(B, B->trial, weight);
  return sum;
}

/* Step length of every lane: shorter where the step would leave the barrier or is longer than the unknowns' own sizes. */
static void stretch_of(Batch *B, int barrier, const double *weight) {
  vd longest = v_all(0), slope = v_all(0), length = v_all(0), norm = v_all(0), room = v_all(INFINITY);
  for (int i = 0; i < B->size; i++) {
    const vd d = B->step[i], x = B->x[i], g = B->grad[i];
    const double near = 1e-10 * B->scale[i];
    const vl held = ((x <= B->lower[i] + near) & (g > 0)) | ((x >= B->upper[i] - near) & (g < 0));
    const vd size = v_if(held, v_all(0), v_if(g < 0, -g, g)) * B->scale[i];
    slope += g * d;
    length += B->metric[i] * d * d;
    norm = v_if(size > norm, size, v_if(size == size, norm, size));
    if (barrier && between(B, i)) {
      const vd left = v_if(d < 0, (B->lower[i] - B->x[i]) / d, v_if(d > 0, (B->upper[i] - B->x[i]) / d, v_all(INFINITY)));
      room = v_if(left < room, left, room);
    }
  }
  (void)longest;
  for (int l = 0; l < W; l++) {
    const double size = sqrt(length[l]);
    B->slope[l] = slope[l], B->length[l] = size, B->norm[l] = norm[l];
    B->taken[l] = fmin(1, B->longest * sqrt(B->size) / size);
    if (weight[l] != 0) B->taken[l] = fmin(B->taken[l], 0.99 * room[l]);
    if (!(B->taken[l] > 0)) B->taken[l] = 1;
  }
  const vd taken = load(B->taken);
  vd crossed = v_all(0);
  for (int i = 0; i < B->size; i++) {
    vd x = B->x[i] + taken * B->step[i];
    const vd near = v_all(1e-10 * B->scale[i]);
    const vl low = x < B->lower[i], high = x > B->upper[i];
    B->trial[i] = v_if(low, v_all(B->lower[i]), v_if(high, v_all(B->upper[i]), x));
    crossed += v_if((x < B->lower[i] - near) | (x > B->upper[i] + near), v_all(1), v_all(0));
  }
  for (int l = 0; l < W; l++) B->crossed[l] = crossed[l];
}

/* Where a lane's step crosses a bound, hold it there in the next solve; or let go of all that is held. */
static void hold(Batch *B, const int *which) {
  int some = 0;
  for (int l = 0; l < W; l++) some |= which[l];
  if (!some) return;
  const vd taken = load(B->taken);
  vl begin, end;
  for (int l = 0; l < W; l++) begin[l] = -(which[l] == 1), end[l] = -(which[l] == -1);
  for (int i = 0; i < B->size - B->shared; i++) {
    const vd x = B->x[i] + taken * B->step[i];
    B->hold[i] = v_if(end, v_all(0), v_if(begin & (x < B->lower[i]), v_all(-1), v_if(begin & (x > B->upper[i]), v_all(1), B->hold[i])));
  }
}

static void take(Batch *B, const int *accepted) {
  vl mask;
  int some = 0, all = 1;
  for (int l = 0; l < W; l++) mask[l] = -(accepted[l] != 0), some |= accepted[l], all &= accepted[l] != 0;
  if (!some) return;
  for (int i = 0; i < B->size; i++) B->x[i] = v_if(mask, B->trial[i], B->x[i]);
  for (int n = 0; n < B->windows; n++) {
    const Stretch *s = B->stretch + n;
    const size_t count = (size_t)(s->w->N - 1) / s->T->m * s->T->K * s->T->D;
    for (size_t i = 0; i < count; i++) s->k->lambda[i] = v_if(mask, s->lambda[i], s->k->lambda[i]);
  }
}

static void record(Batch *B, int l, int reason, double measurement, double model, double prior) {
  Record *r = B->records + B->recorded;
  *r = (Record){.lane = l, .start = B->start[l], .rung = B->rung[l], .iterations = B->iterations[l],
                .factorizations = B->factorizations[l], .reason = reason, .measurement = measurement, .model = model,
                .prior = prior, .norm = B->norm[l], .ticks = B->factorizations[l]};
  B->recorded++;
}

static void next_rung(Batch *B, int l, int reason) {
  const int failed = reason < 0 && reason != ITERATIONS;
  B->iterations[l] = B->factorizations[l] = 0;
  if (failed || ++B->rung[l] >= B->rungs) B->state[l] = ENDED;
}

/* Up to `ticks` steps of all lanes; ends early when a lane has ended or the records are nearly full. Returns the steps. */
int climb(Batch *B, int ticks) {
  for (int tick = 0; tick < ticks; tick++) {
    int active = 0, full = B->recorded + 2 * W > B->capacity;
    for (int l = 0; l < W; l++) {
      if (B->state[l] == ENDED) return tick;
      active |= B->state[l] == ACTIVE;
    }
    if (!active || full) return tick;
    double rfs[W];
    for (int l = 0; l < W; l++) rfs[l] = B->state[l] == ACTIVE ? B->rf[B->rung[l]] : B->rf[0];
    const vd rf = load(rfs), shift = load(B->shift), weight = load(B->weight);
    const int barrier = any(B->weight);
    vl bad = (vl)v_all(0);
    Terms at = newton(B, rf, shift, barrier, weight, &bad);
    if (barrier) at.barrier = fence(B, B->x, weight);
    stretch_of(B, barrier, B->weight);
    Terms to = probe(B, rf, barrier, weight);
    B->ticks++;
    int accepted[W] = {0};
    int ended[W] = {0}, holding[W] = {0};
    for (int l = 0; l < W; l++) {
      if (B->state[l] != ACTIVE) continue;
      B->factorizations[l]++;
      const double value = at.measurement[l] + at.model[l] + at.prior[l] + at.barrier[l];
      const double moved = to.measurement[l] + to.model[l] + to.prior[l] + to.barrier[l];
      const double noise = 10 * 2.2e-16 * fabs(value), floor = fabs(value);
      if (!isfinite(value) || !isfinite(B->norm[l])) { ended[l] = NON_FINITE; continue; }
      const int last = B->rung[l] == B->rungs - 1;
      if (bad[l] || !isfinite(B->slope[l]) || B->slope[l] > 0) {
        B->shift[l] = B->shift[l] > 0 ? RAISE * B->shift[l] : fmax(B->last_shift[l] / 3, 1e-4 * B->curvature);
        if (B->shift[l] > 1e30) ended[l] = LINEAR;
        B->refused[l]++;
        continue;
      }
      const double a = B->taken[l], bend = at.work[l] - B->slope[l] - B->shift[l] * B->length[l] * B->length[l];
      const double promise = -a * B->slope[l] - 0.5 * a * a * bend;
      const double ratio = isfinite(moved) ? (value - moved + noise) / (promise + noise) : -1;
      if (ratio < 0.25 && B->crossed[l] > 0 && B->holds[l] < 6) {
        holding[l] = 1;
        B->holds[l]++;
        continue;
      }
      if (ratio > 1e-3) accepted[l] = 1;
      if (B->holds[l]) holding[l] = -1, B->holds[l] = 0;
      B->iterations[l]++;
      if (B->shift[l] > 0) B->last_shift[l] = B->shift[l];
      const double enough = B->weight[l] != 0 ? 1e-3 : last ? B->decrement : B->loose;
      const double miss = fabs(value - moved - promise);
      if ((promise <= enough * floor || (accepted[l] && miss <= enough * floor)) && B->shift[l] * B->length[l] * B->length[l] <= promise && a == 1) {
        if (B->weight[l] != 0) {
          B->weight[l] = 0;
        } else {
          ended[l] = DECREMENT;
        }
      } else if (ratio <= 1e-3) {
        B->shift[l] = fmax(RAISE * B->shift[l], 0.1 * bend / (B->length[l] * B->length[l]));
        B->rejected[l]++;
        if (promise <= noise) ended[l] = REGION;
      } else if (ratio < 0.25) {
        B->shift[l] = fmax(4 * B->shift[l], 0.01 * bend / (B->length[l] * B->length[l]));
      } else if (a < 0.5 && B->weight[l] == 0) {
        const double size = B->length[l];
        B->shift[l] += (fmax(bend, 0) / (size * size) + B->shift[l]) * (1 / a - 1);
      } else if (ratio > 0.75) {
        B->shift[l] *= fmin(0.9, fmax(0.2, B->length[l] / (B->longest * sqrt(B->size))));
        if (B->shift[l] < 1e-5 * B->curvature) B->shift[l] = 0;
      }
      if (!ended[l] && B->iterations[l] >= B->most) ended[l] = ITERATIONS;
    }
    hold(B, holding);
    take(B, accepted);
    for (int l = 0; l < W; l++)
      if (ended[l]) {
        const Terms *t = accepted[l] ? &to : &at;
        record(B, l, ended[l], t->measurement[l], t->model[l], t->prior[l]);
        if (B->paths)
          for (int i = 0; i < B->size; i++) B->paths[(size_t)(B->recorded - 1) * B->size + i] = B->x[i][l];
        next_rung(B, l, ended[l]);
      }
  }
  return ticks;
}
