/* Step control of every lane, and its way up the ladder. Included after lockstep.c, for chains, or graph_steps.c, for any
   factor graph.

   A shift of the Hessian, in units of the unknowns' natural sizes, keeps it positive definite and steps as long as the
   quadratic model can be trusted (Levenberg-Marquardt; Conn, Gould, Toint, Trust-Region Methods, SIAM 2000, chapter 6).
   A rung depends on the path and Rf it begins with, and on nothing else of what went before.

   At Rf = infinity, where the model errors r are to be 0, the action has y r + 1/2 penalty s r^2 in place of 1/2 Rf s r^2, and
   steps lower it as at any Rf. Close to a minimum y becomes, after every step, y + penalty s (r + J d), the multiplier that
   the linear model has (M. Hestenes, J. Optim. Theory Appl. 4, 303 (1969); R. T. Rockafellar, Math. Oper. Res. 1, 97 (1976)):
   that is a Newton step of the optimality conditions, [[H, J'], [J, -1/(penalty s)]]. The error of y falls by O(1/penalty)
   each time; the penalty is the last rung's Rf, and more where r falls slowly. */

enum Lane { EMPTY, ACTIVE, ENDED };
/* Why a rung ended, as results store it: above 0 at a minimum. What a person reads is in annealing/reasons.py. */
enum Reason {
  CONVERGED_GRADIENT = 1,
  CONVERGED_DECREMENT = 2,
  CONVERGED_ESTIMATE = 3,
  NOT_RUN = 0,
  STOPPED_ITERATIONS = -1,
  FAILED_LINE_SEARCH = -2,
  FAILED_TRUST_REGION = -3,
  FAILED_LINEAR = -4,
  FAILED_NON_FINITE = -5,
  FAILED_OTHER = -6,
  STOPPED_SECONDS = -7,
  FAILED_MODEL = -8,
  STOPPED_HOPELESS = -9
};

#define RAISE 8.0       /* of the shift, where a matrix is indefinite or a step is refused */
#define WIDEN 2.5       /* the longest step, where one of that length did what was expected */
#define LARGEST 1e30
#define HOLDS 6         /* solves in which bounds that the step crosses are added */
#define FORGET 0.5      /* a shift found too small is taken for this part of itself after a step */
#define STILL 4         /* steps of little promise, the shift falling, after which no more is expected */
#define EPSILON 2.2e-16
#define OBEYED 1e-13    /* gap up to which the model is obeyed; NEARLY: the same where rounding lets it fall no further */
#define NEARLY 1e-9
#define CLOSE 1e-3      /* part of the action that a step may promise, and y changes after it */
#define SLOW 0.25       /* part of a gap, left by a change of y, above which the penalty is raised, RAISE times */
#define STEEPEST 1e12   /* penalty, in units of the first one, above which a lane gives up */

/* Lengths and slopes of the steps, and the trials: shorter where they would leave the barrier or are too long. */
STAGE void aim(const Batch *B, const Tick *tick) {
  vd slope = v_all(0), length = v_all(0), norm = v_all(0), room = v_all(INFINITY), crossed = v_all(0);
  vd closed = v_all(0);
  for (int i = 0; i < B->size; i++) {
    const vd d = B->step[i];
    slope = v_fma(B->grad[i], d, slope);
    closed += 1.0 - B->open[i];
    length = v_fma(B->metric[i] * d, d, length);
    norm = larger(force_on(B, i), norm);
    if (tick->barrier && between(B, i)) {
      const vd low = (B->lower[i] - B->x[i]) / d, high = (B->upper[i] - B->x[i]) / d;
      const vd left = v_if(d < 0, low, v_if(d > 0, high, v_all(INFINITY)));
      room = v_if(left < room, left, room);
    }
  }
  for (int l = 0; l < W; l++) {
    B->slope[l] = slope[l], B->length[l] = sqrt(length[l]), B->norm[l] = norm[l];
    B->taken[l] = fmin(1, B->radius[l] / B->length[l]);
    if (tick->weight[l] != 0) B->taken[l] = fmin(B->taken[l], 0.99 * room[l]);
    if (!(B->taken[l] > 0)) B->taken[l] = 1;
  }
  const vd taken = load(B->taken);
  for (int i = 0; i < B->size; i++) {
    const vd x = B->x[i] + taken * B->step[i], low = v_all(B->lower[i]), high = v_all(B->upper[i]);
    const double near = 1e-10 * B->scale[i];
    B->trial[i] = v_if(x < low, low, v_if(x > high, high, x));
    crossed += v_if((x < low - near) | (x > high + near), v_all(1), v_all(0));
  }
  for (int l = 0; l < W; l++) B->crossed[l] = crossed[l], B->closed[l] = closed[l];
}

/* Where a lane's step crosses a bound, hold it there in the next solve (1); or let go of all that is held (-1). */
static void hold(const Batch *B, const int *which) {
  vl begin, end;
  for (int l = 0; l < W; l++) begin[l] = -(which[l] == 1), end[l] = -(which[l] == -1);
  if (!any(begin | end)) return;
  const vd taken = load(B->taken);
  for (int i = 0; i < B->size - B->shared; i++) {
    const vd x = B->x[i] + taken * B->step[i];
    const vd found = v_if(x < B->lower[i], v_all(-1), v_if(x > B->upper[i], v_all(1), B->hold[i]));
    B->hold[i] = v_if(end, v_all(0), v_if(begin, found, B->hold[i]));
  }
}

STAGE void take(const Batch *B, const int *accepted) {
  vl mask;
  for (int l = 0; l < W; l++) mask[l] = -(accepted[l] != 0);
  if (!any(mask)) return;
  for (int i = 0; i < B->size; i++) B->x[i] = v_if(mask, B->trial[i], B->x[i]);
  keep(B, mask);
}

/* At Rf = infinity, after a step of lane l that is close to a minimum for its y: whether it obeys the model and has come to
   the minimum, or gives up; else the penalty may be raised. within: whether the action is that of the minimum; whole: whether
   the terms of the model errors add nothing to it; undamped: whether the penalty alone tells how the gap falls. */
static int approach(const Batch *B, int l, int within, int whole, int undamped) {
  const double gap = B->gap[l], slack = B->slack[l], first = B->before[l] > 0 ? B->before[l] : B->first_penalty;
  const int stays = !(gap <= SLOW * slack);
  B->slack[l] = gap;
  if (within && undamped && ((gap <= OBEYED && whole) || (gap <= NEARLY && stays))) return CONVERGED_DECREMENT;
  if (undamped && stays && gap > NEARLY) B->penalty[l] *= RAISE;
  return B->penalty[l] > STEEPEST * first ? FAILED_MODEL : 0;
}

/* The multipliers of the path become y. */
static void change(const Batch *B, const int *adopted) {
  vl mask;
  for (int l = 0; l < W; l++) mask[l] = -(adopted[l] != 0);
  if (any(mask)) adopt(B, mask);
}

/* What lane l does with its step: whether it is taken (1), why the rung ends with it (not 0), and whether y changes (1). */
static int judge(const Batch *B, int l, double value, double moved, double work, double errors, double gap, int *accepted, int *holding,
                 int *adopted) {
  const double noise = 10 * EPSILON * fabs(value), length = B->length[l] * B->length[l], shift = B->shift[l];
  const double part = B->weight[l] != 0 ? 1e-3 : B->rung[l] == B->rungs - 1 ? B->decrement : B->loose;
  const double enough = part * fmin(fabs(value), fabs(moved));
  const int held = B->holds[l] > 0, exact = B->penalty[l] > 0 && B->weight[l] == 0;
  double bend = work - B->slope[l] - shift * length;
  const double a = B->taken[l];
  const int bounded = B->crossed[l] > 0 || B->closed[l] > 0;
  if (held || !(bend > 0)) bend = -B->slope[l];
  const double promise = -a * B->slope[l] - 0.5 * a * a * bend;
  const double ratio = isfinite(moved) ? (value - moved + noise) / (promise + noise) : -1;
  if (B->weight[l] == 0 && B->norm[l] <= 1e-2 * B->tolerance && (!exact || B->gap[l] <= OBEYED)) return CONVERGED_GRADIENT;
  if (ratio < 0.25 && B->crossed[l] > 0 && B->holds[l] < HOLDS) {
    *holding = 1;
    B->holds[l]++;
    return 0;
  }
  if (held) *holding = -1, B->holds[l] = 0;
  *accepted = ratio > 1e-3;
  B->iterations[l] += *accepted;
  if (*accepted) B->gap[l] = gap;
  if (shift > 0) B->high[l] = shift;
  /* Newton's decrement is the distance to the minimum; after a whole step without bounds, so is what it missed. */
  const int whole = *accepted && !bounded && shift * length <= enough;
  const int near = promise <= enough || (whole && fabs(value - moved - promise) <= enough);
  B->still[l] = promise <= enough && ratio > 0.75 && a == 1 && !held ? B->still[l] + 1 : 0;
  if (exact) {
    const int undamped = shift * length <= 1e-2 * promise + noise && a == 1;
    *adopted = *accepted && !held && promise <= CLOSE * fmin(fabs(value), fabs(moved)) + noise;
    const int reason = *adopted ? approach(B, l, promise <= enough + noise, fabs(errors) <= enough + noise, undamped) : 0;
    if (reason) return reason;
  } else if ((near && !held && shift * length <= 1e-2 * promise && a == 1) || B->still[l] >= STILL) {
    if (B->weight[l] == 0) return part > B->decrement ? CONVERGED_ESTIMATE : CONVERGED_DECREMENT;
    B->weight[l] = 0, B->still[l] = 0;
    return 0;
  }
  if (ratio > 0.75 && a * B->length[l] > 0.8 * B->radius[l]) B->radius[l] *= WIDEN;
  if (ratio <= 1e-3) {
    B->shift[l] = fmax(fmax(RAISE * shift, shift == 0 ? B->high[l] / 3 : 0), 0.1 * bend / length);
    if (promise <= noise && exact && !(B->gap[l] <= NEARLY)) return FAILED_MODEL;
    if (promise <= noise) return B->norm[l] <= B->tolerance * fmax(1, fabs(value)) ? CONVERGED_DECREMENT : FAILED_TRUST_REGION;
  } else if (ratio < 0.25) {
    B->shift[l] = fmax(4 * shift, 0.01 * bend / length);
  } else if (a < 0.5 && B->weight[l] == 0) {
    B->shift[l] += (bend / length + shift) * (1 / a - 1);
  } else if (ratio > 0.75) {
    B->shift[l] *= fmin(0.9, fmax(0.2, B->length[l] / B->radius[l]));
    if (B->low[l] > 0) B->shift[l] = fmax(B->shift[l], sqrt(B->low[l] * shift));
    if (B->shift[l] * length <= 1e-3 * promise) B->shift[l] = 0;
    B->low[l] *= FORGET;
    if (B->low[l] < 1e-7 * B->curvature) B->low[l] = 0;
  }
  return 0;
}

static void record(Batch *B, int l, int reason, const Terms *t) {
  Record *r = B->records + B->recorded;
  *r = (Record){.lane = l, .start = B->start[l], .rung = B->rung[l], .iterations = B->iterations[l], .reason = reason};
  r->factorizations = B->factorizations[l];
  r->measurement = t->measurement[l], r->model = B->penalty[l] > 0 && reason > 0 ? 0 : t->model[l], r->prior = t->prior[l], r->gradient_norm = B->norm[l];
  for (int i = 0; i < B->size; i++) B->paths[(size_t)B->recorded * B->size + i] = B->x[i][l];
  B->recorded++;
}

/* A rung of lane l begins: `before` is the Rf of the rung that its path is the minimum of, 0 where it is none's. */
ENTRY void begin_rung(Batch *B, int l, double before) {
  for (int i = 0; B->holds[l] && i < B->size; i++) B->hold[i][l] = 0;
  B->before[l] = before;
  B->iterations[l] = B->factorizations[l] = B->holds[l] = B->still[l] = 0;
  B->shift[l] = B->low[l] = B->high[l] = B->weight[l] = B->pause[l] = B->wait[l] = 0;
  B->bend[l] = 1;
  B->penalty[l] = isfinite(B->rf[B->rung[l]]) ? 0 : before > 0 ? before : B->first_penalty;
  B->gap[l] = B->slack[l] = INFINITY;
  B->radius[l] = B->longest * sqrt(B->size);
  if (before != 0 || B->barrier == 0) return;
  for (int i = 0; i < B->size; i++)
    if (between(B, i)) {
      const double margin = 1e-2 * (B->upper[i] - B->lower[i]);
      B->x[i][l] = fmin(fmax(B->x[i][l], B->lower[i] + margin), B->upper[i] - margin);
      B->weight[l] = B->barrier;
    }
}

/* Up to `ticks` steps of all lanes; ends early when a lane has ended or the records are nearly full. Returns the steps. */
ENTRY int climb(Batch *B, int ticks) {
  for (int done = 0; done < ticks; done++) {
    int active = 0, accepted[W] = {0}, ended[W] = {0}, holding[W] = {0}, adopted[W] = {0}, closing[W] = {0}, closes = 0;
    if (B->recorded + W > B->capacity) return done;
    Tick tick = {.shift = load(B->shift), .weight = load(B->weight), .before = load(B->before), .bend = load(B->bend)};
    for (int l = 0; l < W; l++) {
      if (B->state[l] == ENDED) return done;
      active |= B->state[l] == ACTIVE;
      tick.rf[l] = B->state[l] != ACTIVE ? B->rf[0] : B->penalty[l] > 0 ? B->penalty[l] : B->rf[B->rung[l]];
      tick.exact[l] = -(B->penalty[l] > 0);
      tick.anew[l] = -(B->factorizations[l] == 0);
      tick.barrier |= B->weight[l] != 0;
    }
    if (!active) return done;
    vl bad = (vl)v_all(0);
    const Terms at = newton(B, &tick, &bad);
    aim(B, &tick);
    const Terms to = probe(B, &tick);
    for (int l = 0; l < W; l++) {
      if (B->state[l] != ACTIVE) continue;
      const double value = at.measurement[l] + at.model[l] + at.prior[l] + at.barrier[l];
      const double moved = to.measurement[l] + to.model[l] + to.prior[l] + to.barrier[l];
      B->factorizations[l]++, B->value[l] = value;
      if (!isfinite(value) || !isfinite(B->norm[l])) {
        ended[l] = FAILED_NON_FINITE;
      } else if (bad[l] || !(B->slope[l] <= 0) || !isfinite(B->length[l])) {
        if (B->holds[l]) holding[l] = -1, B->holds[l] = 0;
        if (B->longest_pause && B->bend[l] > 0 && B->weight[l] == 0) {
          B->bend[l] = 0;
          B->wait[l] = B->pause[l] = fmin(2 * fmax(B->pause[l], 1), B->longest_pause);
          B->shift[l] = B->low[l] = B->high[l] = 0;
        } else {
          B->low[l] = fmax(B->shift[l], 1e-6 * B->curvature);
          if (B->high[l] > B->low[l])
            B->shift[l] = sqrt(B->low[l] * B->high[l]);
          else
            B->shift[l] = RAISE * fmax(B->low[l], 1e-5 * B->curvature);
          if (B->shift[l] > LARGEST) ended[l] = FAILED_LINEAR;
          if (B->high[l] < 1.05 * B->low[l]) B->high[l] = 0;
        }
      } else {
        ended[l] = judge(B, l, value, moved, at.work[l], to.model[l], to.gap[l], accepted + l, holding + l, adopted + l);
      }
      if (B->bend[l] > 0 && accepted[l]) B->pause[l] = 0;
      if (B->bend[l] == 0 && B->wait[l]-- <= 0) B->bend[l] = 1, B->shift[l] = B->low[l] = B->high[l] = 0;
      if (!ended[l] && B->factorizations[l] >= B->most)
        ended[l] = B->penalty[l] > 0 && !(B->gap[l] <= NEARLY) ? FAILED_MODEL : STOPPED_ITERATIONS;
      closing[l] = ended[l] && ended[l] != FAILED_NON_FINITE && (B->rung[l] == B->rungs - 1 || ended[l] < 0);
      closes |= closing[l];
    }
    hold(B, holding);
    take(B, accepted);
    change(B, adopted);
    if (closes) {
      tick.anew = (vl)v_all(0);
      slope_at(B, &tick);
      vd norm = v_all(0);
      for (int i = 0; i < B->size; i++) norm = larger(force_on(B, i), norm);
      for (int l = 0; l < W; l++)
        if (closing[l]) B->norm[l] = norm[l];
    }
    for (int l = 0; l < W; l++) {
      if (!ended[l]) continue;
      const int failed = ended[l] < 0 && ended[l] != STOPPED_ITERATIONS;
      const Terms *found = accepted[l] ? &to : &at;
      const int above = found->measurement[l] + found->model[l] + found->prior[l] > B->cap;
      const int over = failed || above || B->rung[l] + 1 >= B->until[l];
      record(B, l, ended[l], found);
      if (over) {
        B->state[l] = ENDED;
      } else {
        begin_rung(B, l, B->rf[B->rung[l]++]);
      }
    }
  }
  return ticks;
}
