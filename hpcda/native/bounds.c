/* What steps of all lanes have to do with bounds, the barrier between them, and the shift of the Hessian. Included by
   lockstep.c and graph_steps.c, after the structure `Batch` of their own, of which it uses x, grad, step, open, hold, lower,
   upper, scale and metric. */

/* Terms of the action of every lane; work: of the forces of bounds that a step meets; gap: the largest model error in units
   of what it is the difference of, where the model is to be obeyed exactly. */
typedef struct { vd measurement, model, prior, barrier, work, gap; } Terms;

static inline vd load(const double *values) {
  vd r;
  for (int l = 0; l < W; l++) r[l] = values[l];
  return r;
}

static inline int any(vl mask) {
  long long some = 0;
  for (int l = 0; l < W; l++) some |= mask[l];
  return some != 0;
}

static inline int between(const Batch *B, int i) {
  return B->lower[i] > -INFINITY && B->upper[i] < INFINITY && B->lower[i] < B->upper[i];
}

/* Lanes whose unknown sits at a bound that the gradient pushes against. */
static inline vl pushed(const Batch *B, int i) {
  const double near = 1e-10 * B->scale[i];
  const vd x = B->x[i], g = B->grad[i];
  return ((x <= B->lower[i] + near) & (g > 0)) | ((x >= B->upper[i] - near) & (g < 0));
}

/* Size of an entry of the gradient, 0 where a bound holds it. */
static inline vd force_on(const Batch *B, int i) {
  const vd g = B->grad[i];
  return v_if(pushed(B, i), v_all(0), v_if(g < 0, -g, g)) * B->scale[i];
}

/* The larger, or what is not a number. */
static inline vd larger(vd size, vd norm) { return v_if(size > norm, size, v_if(size == size, norm, size)); }

/* Way to the bound where an unknown is held. */
static inline vd way(const Batch *B, int i, vd held) {
  return v_if(held < 0, B->lower[i] - B->x[i], v_if(held > 0, B->upper[i] - B->x[i], v_all(0)));
}

typedef struct { vd rf, shift, weight; vl anew, exact; vd before, bend; int barrier; } Tick;
/* weight: of the barrier; exact: lanes at Rf = infinity, whose rf is that of the penalty */

static void fence_gradient(const Batch *B, int from, int end, const Tick *tick) {
  for (int i = from; tick->barrier && i < end; i++)
    if (between(B, i)) {
      const vd low = B->x[i] - B->lower[i], high = B->upper[i] - B->x[i];
      B->grad[i] += v_if(tick->weight > 0, tick->weight * (1.0 / high - 1.0 / low), v_all(0));
    }
}

/* The barrier -w sum log((x - lower)(upper - x)) (Nocedal & Wright, Numerical Optimization, 2006, section 19.6). */
static vd fence(const Batch *B, const vd *x, vd weight) {
  vd sum = v_all(0);
  for (int i = 0; i < B->size; i++)
    if (between(B, i)) {
      const vd low = x[i] - B->lower[i], high = B->upper[i] - x[i];
      const vd part = v_if((low > 0) & (high > 0), weight * v_log(low * high), v_all(-INFINITY));
      sum -= v_if(weight != 0, part, v_all(0));
    }
  return sum;
}

/* What is added to the Hessian's diagonal. */
static inline vd added(const Batch *B, int i, const Tick *tick) {
  vd sum = tick->shift * B->metric[i];
  if (tick->barrier && between(B, i)) {
    const vd low = B->x[i] - B->lower[i], high = B->upper[i] - B->x[i];
    sum += v_if(tick->weight > 0, tick->weight * (1.0 / (low * low) + 1.0 / (high * high)), v_all(0));
  }
  return sum;
}

/* Right-hand side and bounds of unknowns whose gradient is complete. */
STAGE void settle(const Batch *B, int from, int end, const Tick *tick) {
  fence_gradient(B, from, end, tick);
  for (int i = from; i < end; i++) {
    const vl closed = pushed(B, i) | (B->hold[i] != 0);
    B->open[i] = v_if(closed, v_all(0), v_all(1));
    B->step[i] = v_if(closed, way(B, i, B->hold[i]), -B->grad[i]);
  }
}
