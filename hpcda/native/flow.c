/* One trajectory of a model, a lane wide: a flow from time to time by steps of adaptive size, a map by iteration.
   Included after the kernel model_values that the equations were turned into. Every sum has one order, and step sizes
   come from + - * / and sqrt alone, so that the same numbers come out on every processor. */

#include "lanes.h"

enum Ended { REACHED, PAUSED, UNBOUND, STUCK, FAST, STIFF };

#define WINDOW 1000   /* steps after which the pace is judged */
#define FEW 20000     /* steps that are taken explicitly even where the flow is stiff */
#define MANY 10000000 /* steps that a run may be on its way to */
#define WINDOWS 10    /* windows in a row at a slower pace, and none of them much faster than the one before, that end it */
#define FORGETS 0.9   /* what is left after a step of how large a state was */
#define FASTEST 6.1   /* step size times fastest rate up to which the explicit pair is stable */

typedef struct {
  int D, U, map;
  double tolerance;                   /* relative error of a step */
  const double *constant;             /* [C] */
  const double *least, *most;         /* [D]: smaller states count as so large; larger ones end the run */
  const double *a, *b, *c, *e3, *e5;  /* the explicit pair: [12][12], [12], [12], [13], [13] */
  int entries, *row, *column;         /* of the derivative by the states, for implicit steps */
  int switches;                       /* of the equations: which branch, which sign */
} Flow;

typedef struct {
  int N;
  const double *t, *series;           /* [N]; [N][U], linear between the times */
  void (*known)(double, double *);    /* the series as functions of time instead, or null */
  const double *path;                 /* [N][D], where each time begins anew, or null */
} Course;

typedef struct {
  int at, within;                     /* the last time that was reached; whether the next one is under way */
  int begun, rejected, implicit, target;
  int steps, stiff, slow;             /* in this window; windows in a row that were too slow */
  double t, h, mark, advance;         /* now; next step; time at which this window began; time that the last one took */
  long long evaluations, all_steps;
  double *room, *more;                /* [ROOM D + U]; [room_of(flow)] for implicit steps */
} Run;

#define ROOM 18
typedef struct { double *x, *most, *u, *y, *z, *sum, *k; } Room;

STAGE Room room(const Flow *f, const Run *r) {
  const int D = f->D;
  double *p = r->room;
  return (Room){p, p + D, p + ROOM * (size_t)D, p + 2 * D, p + 3 * D, p + 4 * D, p + 5 * D};
}

/* The series at a time of the step to point at + 1. A function is continuous from the right: at the end of its stretch
   it has the value just before it. */
STAGE void inputs(const Flow *f, const Course *c, const Run *r, double t, double *u) {
  const double begin = c->t[r->at], end = c->t[r->at + 1];
  if (!f->U) return;
  if (c->known) {
    c->known(!f->map && t >= end ? nextafter(end, begin) : t, u);
    return;
  }
  const double *a = c->series + (size_t)r->at * f->U, *b = a + f->U, share = (t - begin) / (end - begin);
  for (int i = 0; i < f->U; i++) u[i] = a[i] + share * (b[i] - a[i]);
}

STAGE void rates(const Flow *f, const Course *c, Run *r, double t, const double *x, double *out) {
  double *u = room(f, r).u;
  inputs(f, c, r, t, u);
  model_values((const vd *)x, (const vd *)f->constant, (const vd *)u, (const vd *)&t, 0, (vd *)out);
  r->evaluations++;
}

static inline double larger(double a, double b) { return a > b ? a : b; }

/* Root of the mean square of v over the allowed errors at y. */
STAGE double norm(const Flow *f, const double *v, const double *most, const double *y) {
  double sum = 0;
  for (int i = 0; i < f->D; i++) {
    const double part = v[i] / (f->tolerance * larger(most[i], fabs(y[i])));
    sum += part * part;
  }
  return sqrt(sum / f->D);
}

STAGE int within_bounds(const Flow *f, const double *x) {
  for (int i = 0; i < f->D; i++)
    if (!(fabs(x[i]) < f->most[i])) return 0;
  return 1;
}

/* sum = Σ weight[j] k[j] */
STAGE void weigh(int D, int stages, const double *weight, const double *k, double *sum) {
  for (int i = 0; i < D; i++) sum[i] = 0;
  for (int j = 0; j < stages; j++)
    if (weight[j] != 0)
      for (int i = 0; i < D; i++) sum[i] += weight[j] * k[(size_t)j * D + i];
}

/* Tries a step of size h to time `to`; y becomes the state there. Returns whether it is accepted. */
STAGE int explicit_step(const Flow *f, const Course *c, Run *r, double h, double to, double *next) {
  const int D = f->D;
  const Room m = room(f, r);
  double *k = m.k, *last = m.k + 12 * (size_t)D;
  for (int s = 1; s < 12; s++) {
    weigh(D, s, f->a + 12 * s, k, m.sum);
    for (int i = 0; i < D; i++) m.z[i] = m.x[i] + h * m.sum[i];
    rates(f, c, r, f->c[s] == 1 ? to : r->t + f->c[s] * h, m.z, k + (size_t)s * D);
  }
  weigh(D, 12, f->b, k, m.sum);
  for (int i = 0; i < D; i++) m.y[i] = m.x[i] + h * m.sum[i];
  rates(f, c, r, to, m.y, last);
  double change = 0, rate = 0;
  for (int i = 0; i < D; i++) {
    const double p = (last[i] - k[11 * (size_t)D + i]) / m.most[i], q = (m.y[i] - m.z[i]) / m.most[i];
    change += p * p;
    rate += q * q;
  }
  if (h * h * change > FASTEST * FASTEST * rate && rate > 0) r->stiff++;
  weigh(D, 13, f->e5, k, m.sum);
  const double fifth = norm(f, m.sum, m.most, m.y);
  weigh(D, 13, f->e3, k, m.sum);
  const double third = norm(f, m.sum, m.most, m.y);
  const double error = fifth == 0 ? 0 : h * fifth * (fifth / sqrt(fifth * fifth + 0.01 * third * third));
  if (!isfinite(error)) {
    *next = 0.1 * h;
    return 0;
  }
  const double factor = error == 0 ? 6 : 0.9 / sqrt(sqrt(sqrt(error)));
  *next = h * (factor > 6 ? 6 : factor < 0.2 ? 0.2 : factor);
  return error <= 1;
}

#ifdef IMPLICIT
STAGE int implicit_step(const Flow *f, const Course *c, Run *r, double h, double to, double *next);
#else
#define implicit_step(...) 0
#endif

/* The first step size: a hundredth of the time in which the states move by their own size. */
STAGE double first_step(const Flow *f, const double *x, const double *rate, const double *most, double longest) {
  double size = 0, speed = 0;
  for (int i = 0; i < f->D; i++) {
    size += (x[i] / most[i]) * (x[i] / most[i]);
    speed += (rate[i] / most[i]) * (rate[i] / most[i]);
  }
  const double h = speed > 0 ? 0.01 * sqrt(size / speed) : longest;
  return h > longest ? longest : larger(h, 1e-12 * longest);
}

/* After each step: is this pace enough? */
STAGE int pace(const Course *c, Run *r) {
  r->all_steps++;
  if (++r->steps < WINDOW) return REACHED;
  const double advance = r->t - r->mark, left = (c->t[c->N - 1] - r->t) / advance * WINDOW;
  const int stiff = 2 * r->stiff > WINDOW;
  r->slow = left > MANY && advance < 1.1 * r->advance ? r->slow + 1 : 0;
  r->steps = r->stiff = 0;
  r->mark = r->t;
  r->advance = advance;
  if (r->slow < WINDOWS && !(stiff && left > FEW)) return REACHED;
  return r->implicit ? (r->slow < WINDOWS ? REACHED : FAST) : STIFF;
}

STAGE int iterate(const Flow *f, const Course *c, Run *r, double *out, long long until) {
  const Room m = room(f, r);
  for (; r->at + 1 < c->N; r->at++) {
    if (r->evaluations >= until) return PAUSED;
    if (c->path) memcpy(m.x, c->path + (size_t)r->at * f->D, f->D * sizeof(double));
    r->t = c->t[r->at];
    rates(f, c, r, r->t, m.x, m.y);
    memcpy(m.x, m.y, f->D * sizeof(double));
    if (!c->path && !within_bounds(f, m.x)) return UNBOUND;
    memcpy(out + (size_t)(r->at + 1) * f->D, m.x, f->D * sizeof(double));
  }
  return REACHED;
}

/* Goes on with a run, for about `budget` evaluations: out[n] are the states at time n. How often it pauses changes nothing. */
ENTRY int follow(const Flow *f, const Course *c, Run *r, double *out, long long budget) {
  const int D = f->D;
  const Room m = room(f, r);
  const long long until = r->evaluations + budget;
  if (f->map) return iterate(f, c, r, out, until);
  while (r->at + 1 < c->N) {
    const double begin = c->t[r->at], end = c->t[r->at + 1];
    if (!r->within) {
      if (c->path) memcpy(m.x, c->path + (size_t)r->at * D, D * sizeof(double));
      if (c->path || !r->at) memcpy(m.most, f->least, D * sizeof(double));
      for (int i = 0; i < D; i++) m.most[i] = larger(m.most[i], fabs(m.x[i]));
      r->t = begin;
      rates(f, c, r, begin, m.x, m.k);
      if (!(r->h > 0)) r->h = first_step(f, m.x, m.k, m.most, end - begin);
      if (!r->begun) r->mark = begin;
      r->within = r->begun = 1;
      r->rejected = 0;
    }
    while (r->t < end) {
      if (r->evaluations >= until) return PAUSED;
      const int lands = r->t + 1.01 * r->h >= end;
      const double h = lands ? end - r->t : r->h, to = lands ? end : r->t + h;
      double next;
      if (!lands && h <= 4e-16 * larger(fabs(r->t), end - begin)) return STUCK;
      const int accepted = r->implicit ? implicit_step(f, c, r, h, to, &next) : explicit_step(f, c, r, h, to, &next);
      if (accepted) {
        memcpy(m.x, m.y, D * sizeof(double));
        memcpy(m.k, m.k + 12 * (size_t)D, D * sizeof(double));
        for (int i = 0; i < D; i++) m.most[i] = larger(larger(FORGETS * m.most[i], f->least[i]), fabs(m.x[i]));
        r->t = to;
        if (r->rejected && next > h) next = h;
        r->h = h < r->h ? larger(r->h, next) : next;
        r->rejected = 0;
        if (!within_bounds(f, m.x)) return UNBOUND;
      } else {
        r->h = next < h ? next : 0.5 * h;
        r->rejected = 1;
      }
      const int judged = pace(c, r);
      if (judged == STIFF || (judged == FAST && r->t < end)) return judged;
    }
    r->within = 0;
    r->at++;
    memcpy(out + (size_t)r->at * D, m.x, D * sizeof(double));
  }
  return REACHED;
}
