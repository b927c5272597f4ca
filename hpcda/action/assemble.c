/* The action of one window: value, gradient and upper triangle of the Hessian in one pass over its intervals.
   Included after the kernels model_* and observe_* that the equations were turned into. Tables: structure.py. */

typedef struct {
  int D, V, P, L, U, C;               /* states, parameters of one time, shared parameters, data, series, constants */
  int m, Q, K, nodal;                 /* span, stages, errors of an interval; whether stages are path points */
  const double *state, *known, *inner, *position, *rate;
  const int *node;                    /* [Q] */
  int nj, nh, onj, onh;
  const int *jrow, *jvar, *hk, *hl;   /* entries of the model's derivatives */
  const int *ojrow, *ojvar, *ohk, *ohl;
  const int *entry, *column;          /* [K*D+1], [entries]: columns of each model error, local to the interval */
  const double *fixed;                /* [entries] part of the derivative that does not depend on the path */
  const int *term, *term_stage, *term_jac;
  const double *term_weight;          /* [terms], in units of dt */
  const int *pair, *left, *right, *dest;   /* [K*D+1], [pairs]: products of two entries and where they go */
  const int *spread, *spread_h, *spread_dest;
  const double *spread_weight;        /* by phase (nodal) or stage: where second derivatives go */
  const int *diagonal;                /* [m][b][b] slot of a time's own block, or -1 */
  const int *beside;                  /* [m][V] slot of (q(n), q(n+1)) */
  const int *active;                  /* staged: [na] local columns that the stages depend on */
  const int *active_dest;             /* staged: [na][na] */
  int na, slots, staged;              /* slots: Hessian values an interval */
  const double *weight;               /* [D] s_a */
  const double *walk;                 /* [V] 1 / walk variance a unit of time, or 0 */
  const double *constant;             /* [C] */
} Tables;

typedef struct {
  int N;
  double dt, t0, step;                /* spacing of the rule (1 for a map), first time, spacing of time */
  const double *data, *precision;     /* [N][L] */
  const double *series;               /* [N][U] */
} Window;

typedef struct {                      /* scratch, each aligned by its maker */
  double *rates, *slopes, *mu, *second, *pack, *lambda, *entries, *dense, *errors;
} Work;

#define LANE(a, width, e, i) ((a)[((size_t)((e) / W) * (width) + (i)) * W + (e) % W])

static inline double *slot(double *hess, double *shared, size_t base, int dest) {
  return dest >= 0 ? hess + base + dest : shared - dest - 1;
}

/* State, parameters, constants, series and time of W evaluations, one a lane. point: first path point of each lane. */
static void pack(const Tables *T, const Window *w, const double *path, const double *p, vd *v, const int *point, int q,
                 const double *rates, int block, double **out_c, double **out_s, double **out_t) {
  const int D = T->D, V = T->V, P = T->P, b = D + V, n = D + V + P;
  vd *c = v + n, *s = c + T->C, *t = s + T->U;
  for (int k = 0; k < P; k++) v[b + k] = v_all(p[k]);
  for (int k = 0; k < T->C; k++) c[k] = v_all(T->constant[k]);
  for (int l = 0; l < W; l++) {
    const double *x = path + (size_t)point[l] * b, *u = w->series + (size_t)point[l] * T->U;
    if (q < 0) {
      for (int i = 0; i < b; i++) v[i][l] = x[i];
      for (int i = 0; i < T->U; i++) s[i][l] = u[i];
      t[0][l] = w->t0 + point[l] * w->step;
    } else {
      const double *mix = T->state + q * (T->m + 1), *aux = T->known + q * (T->m + 1);
      double time = 0;
      for (int i = 0; i < b; i++) {
        double sum = 0;
        for (int j = 0; j <= T->m; j++) sum += (i < D ? mix : aux)[j] * x[j * b + i];
        v[i][l] = sum;
      }
      for (int i = 0; i < T->U; i++) {
        double sum = 0;
        for (int j = 0; j <= T->m; j++) sum += aux[j] * u[j * T->U + i];
        s[i][l] = sum;
      }
      for (int j = 0; j <= T->m; j++) time += aux[j] * (w->t0 + (point[l] + j) * w->step);
      t[0][l] = time;
    }
  }
  if (q > 0 && T->staged)
    for (int r = 0; r < q; r++) {
      const double a = T->inner[q * T->Q + r] * w->dt;
      if (a != 0)
        for (int i = 0; i < D; i++)
          for (int l = 0; l < W; l++) v[i][l] += a * rates[((size_t)(block * T->Q + r) * D + i) * W + l];
    }
  *out_c = (double *)c, *out_s = (double *)s, *out_t = (double *)t;
}

/* Model errors of one interval and, where wanted, their derivatives; returns the interval's part of the sum. */
static double interval(const Tables *T, const Window *w, const double *path, int i, int want, double rf, const Work *k,
                       const int *evaluation, double *grad, double *gradp, double *hess, double *shared,
                       const double *given) {
  const int D = T->D, b = D + T->V, local = (T->m + 1) * b;
  const double *x = path + (size_t)i * T->m * b;
  const size_t base = (size_t)i * T->slots;
  double sum = 0;
  for (int row = 0; row < T->K * D; row++) {
    const int e = row / D, a = row % D;
    double r = 0, rate = 0;
    for (int j = 0; j <= T->m; j++) r += T->position[e * (T->m + 1) + j] * x[j * b + a];
    for (int q = 0; q < T->Q; q++) rate += T->rate[e * T->Q + q] * LANE(k->rates, D, evaluation[q], a);
    r -= w->dt * rate;
    const double weight = rf * T->weight[a], force = weight * r;
    sum += 0.5 * weight * r * r;
    k->lambda[(size_t)i * T->K * D + row] = force;
    if (k->errors) k->errors[(size_t)i * T->K * D + row] = r;
    if (want < 1) continue;
    const int first = T->entry[row], count = T->entry[row + 1] - first;
    double *g = k->entries + (k->errors ? (size_t)i * T->entry[T->K * D] + first : 0);
    for (int c = 0; c < count; c++) {
      double slope = T->fixed[first + c];
      if (given)
        slope += given[row * T->na + c] * (c < T->na);
      else
        for (int s = T->term[first + c]; s < T->term[first + c + 1]; s++)
          slope += w->dt * T->term_weight[s] * LANE(k->slopes, T->nj, evaluation[T->term_stage[s]], T->term_jac[s]);
      g[c] = slope;
      const int column = T->column[first + c];
      if (column < local)
        grad[(size_t)i * T->m * b + column] += force * slope;
      else
        gradp[column - local] += force * slope;
    }
    if (want < 2) continue;
    for (int s = T->pair[row]; s < T->pair[row + 1]; s++)
      *slot(hess, shared, base, T->dest[s]) += weight * g[T->left[s]] * g[T->right[s]];
  }
  return sum;
}

/* Rates, and where wanted slopes, of W evaluations. */
static void evaluate(const Tables *T, const Window *w, const double *path, const double *p, const Work *k, int want,
                     const int *point, int q, int block, size_t at) {
  double *c, *s, *t;
  vd *v = (vd *)k->pack;
  pack(T, w, path, p, v, point, q, k->rates, block, &c, &s, &t);
  model_values(v, (vd *)c, (vd *)s, (vd *)t, 0, (vd *)k->rates + at * T->D);
  if (want > 0) model_jacobian(v, (vd *)c, (vd *)s, (vd *)t, 0, (vd *)k->slopes + at * T->nj);
}

/* Evaluations at path points, shared by neighbouring intervals. */
static double model_nodal(const Tables *T, const Window *w, const double *path, const double *p, double rf, int want,
                          double *grad, double *gradp, double *hess, double *shared, const Work *k) {
  const int D = T->D, N = w->N, intervals = (N - 1) / T->m;
  int point[W], evaluation[8];
  double sum = 0, *c, *s, *t;
  for (int n = 0; n < N; n += W) {
    for (int l = 0; l < W; l++) point[l] = n + l < N ? n + l : N - 1;
    evaluate(T, w, path, p, k, want, point, -1, 0, n / W);
  }
  for (int i = 0; i < intervals; i++) {
    for (int q = 0; q < T->Q; q++) evaluation[q] = i * T->m + T->node[q];
    sum += interval(T, w, path, i, want, rf, k, evaluation, grad, gradp, hess, shared, 0);
  }
  if (want < 2) return sum;
  memset(k->mu, 0, sizeof(vd) * D * ((N + W - 1) / W));
  for (int i = 0; i < intervals; i++)
    for (int e = 0; e < T->K; e++)
      for (int q = 0; q < T->Q; q++) {
        const double rate = -w->dt * T->rate[e * T->Q + q];
        if (rate != 0)
          for (int a = 0; a < D; a++)
            LANE(k->mu, D, i * T->m + T->node[q], a) += rate * k->lambda[((size_t)i * T->K + e) * D + a];
      }
  for (int n = 0; n < N; n += W) {
    for (int l = 0; l < W; l++) point[l] = n + l < N ? n + l : N - 1;
    pack(T, w, path, p, (vd *)k->pack, point, -1, k->rates, 0, &c, &s, &t);
    model_hessian((vd *)k->pack, (vd *)c, (vd *)s, (vd *)t, (vd *)k->mu + (size_t)(n / W) * D, (vd *)k->second);
    for (int l = 0; l < W && n + l < N; l++) {
      const int phase = (n + l) % T->m;
      const size_t base = (size_t)((n + l) / T->m) * T->slots;
      for (int h = T->spread[phase]; h < T->spread[phase + 1]; h++)
        *slot(hess, shared, base, T->spread_dest[h]) += T->spread_weight[h] * k->second[(size_t)T->spread_h[h] * W + l];
    }
  }
  return sum;
}

/* Derivatives of the rates of all stages by the active columns; k->dense: Z and dF of each stage, then M and H Z. */
static void chain(const Tables *T, const Window *w, const Work *k, const int *evaluation, double *given) {
  const int D = T->D, V = T->V, n = D + V + T->P, na = T->na;
  for (int q = 0; q < T->Q; q++) {
    double *Z = k->dense + (size_t)q * (n + D) * na, *dF = Z + (size_t)n * na;
    memset(Z, 0, sizeof(double) * (n + D) * na);
    for (int a = 0; a < D; a++) Z[a * na + a] = T->state[q * (T->m + 1)];
    for (int i = 0; i < V; i++) {
      Z[(D + i) * na + D + i] = T->known[q * (T->m + 1)];
      Z[(D + i) * na + D + V + i] = T->known[q * (T->m + 1) + 1];
    }
    for (int i = 0; i < T->P; i++) Z[(D + V + i) * na + D + 2 * V + i] = 1;
    for (int r = 0; r < q; r++) {
      const double inner = w->dt * T->inner[q * T->Q + r];
      const double *earlier = k->dense + (size_t)r * (n + D) * na + (size_t)n * na;
      if (inner != 0)
        for (int i = 0; i < D * na; i++) Z[i] += inner * earlier[i];
    }
    for (int e = 0; e < T->nj; e++) {
      const double slope = LANE(k->slopes, T->nj, evaluation[q], e);
      const double *from = Z + (size_t)T->jvar[e] * na;
      double *to = dF + (size_t)T->jrow[e] * na;
      for (int i = 0; i < na; i++) to[i] += slope * from[i];
    }
  }
  for (int row = 0; row < T->K * D; row++)
    for (int i = 0; i < na; i++) {
      double sum = 0;
      for (int q = 0; q < T->Q; q++)
        sum += T->rate[(row / D) * T->Q + q] * k->dense[(size_t)q * (n + D) * na + (size_t)(n + row % D) * na + i];
      given[row * na + i] = -w->dt * sum;
    }
}

/* Evaluations inside the intervals; with staged rules the derivatives go through all stages. */
static double model_inner(const Tables *T, const Window *w, const double *path, const double *p, double rf, int want,
                          double *grad, double *gradp, double *hess, double *shared, const Work *k) {
  const int D = T->D, Q = T->Q, n = D + T->V + T->P, na = T->na, intervals = (w->N - 1) / T->m;
  double sum = 0, *c, *s, *t;
  int point[W], evaluation[8];
  double *M = k->dense + (size_t)Q * (n + D) * na, *HZ = M + (size_t)na * na, *given = HZ + (size_t)n * na;
  double *force = given + (size_t)T->K * D * na;
  for (int first = 0, block = 0; first < intervals; first += W, block++) {
    const int lanes = intervals - first < W ? intervals - first : W;
    for (int l = 0; l < W; l++) point[l] = (first + (l < lanes ? l : lanes - 1)) * T->m;
    for (int q = 0; q < Q; q++) evaluate(T, w, path, p, k, want, point, q, block, (size_t)block * Q + q);
    memset(k->mu, 0, sizeof(vd) * Q * D);
    for (int l = 0; l < lanes; l++) {
      for (int q = 0; q < Q; q++) evaluation[q] = (block * Q + q) * W + l;
      if (T->staged && want > 0) chain(T, w, k, evaluation, given);
      sum += interval(T, w, path, first + l, want, rf, k, evaluation, grad, gradp, hess, shared,
                      T->staged ? given : 0);
      if (want < 2) continue;
      for (int q = Q - 1; q >= 0; q--) {
        for (int a = 0; a < D; a++)
          for (int e = 0; e < T->K; e++)
            k->mu[((size_t)q * D + a) * W + l] -=
                w->dt * T->rate[e * Q + q] * k->lambda[((size_t)(first + l) * T->K + e) * D + a];
        if (!T->staged || q == 0) continue;
        memset(force, 0, sizeof(double) * D);
        for (int e = 0; e < T->nj; e++)
          if (T->jvar[e] < D)
            force[T->jvar[e]] += LANE(k->slopes, T->nj, evaluation[q], e) * k->mu[((size_t)q * D + T->jrow[e]) * W + l];
        for (int r = 0; r < q; r++)
          for (int a = 0; a < D; a++) k->mu[((size_t)r * D + a) * W + l] += w->dt * T->inner[q * Q + r] * force[a];
      }
    }
    if (want < 2) continue;
    for (int q = 0; q < Q; q++) {
      pack(T, w, path, p, (vd *)k->pack, point, q, k->rates, block, &c, &s, &t);
      model_hessian((vd *)k->pack, (vd *)c, (vd *)s, (vd *)t, (vd *)k->mu + (size_t)q * D,
                    (vd *)k->second + (size_t)q * T->nh);
    }
    for (int l = 0; l < lanes; l++) {
      const size_t base = (size_t)(first + l) * T->slots;
      if (!T->staged) {
        for (int q = 0; q < Q; q++)
          for (int h = T->spread[q]; h < T->spread[q + 1]; h++)
            *slot(hess, shared, base, T->spread_dest[h]) +=
                T->spread_weight[h] * k->second[((size_t)q * T->nh + T->spread_h[h]) * W + l];
        continue;
      }
      for (int q = 0; q < Q; q++) evaluation[q] = (block * Q + q) * W + l;
      chain(T, w, k, evaluation, given);
      memset(M, 0, sizeof(double) * na * na);
      for (int q = 0; q < Q; q++) {
        const double *Z = k->dense + (size_t)q * (n + D) * na;
        memset(HZ, 0, sizeof(double) * n * na);
        for (int h = 0; h < T->nh; h++) {
          const double value = k->second[((size_t)q * T->nh + h) * W + l];
          const int row = T->hk[h], column = T->hl[h];
          for (int i = 0; i < na; i++) HZ[row * na + i] += value * Z[column * na + i];
          if (row != column)
            for (int i = 0; i < na; i++) HZ[column * na + i] += value * Z[row * na + i];
        }
        for (int r = 0; r < n; r++)
          for (int i = 0; i < na; i++) {
            const double z = Z[r * na + i];
            if (z != 0)
              for (int j = i; j < na; j++) M[i * na + j] += z * HZ[r * na + j];
          }
      }
      for (int i = 0; i < na; i++)
        for (int j = i; j < na; j++) *slot(hess, shared, base, T->active_dest[i * na + j]) += M[i * na + j];
    }
  }
  return sum;
}

static double measurement(const Tables *T, const Window *w, const double *path, const double *p, int want, double *grad,
                          double *hess, const Work *k, double *misfit, double *slopes) {
  const int b = T->D + T->V, L = T->L, N = w->N;
  int point[W];
  double sum = 0, *c, *s, *t;
  vd *value = (vd *)k->second, *slope = value + L, *mu = slope + T->onj, *second = mu + L;
  for (int n = 0; n < N; n += W) {
    int any = 0;
    for (int i = n * L; i < (n + W < N ? n + W : N) * L; i++) any |= w->precision[i] != 0;
    if (!any) continue;
    for (int l = 0; l < W; l++) point[l] = n + l < N ? n + l : N - 1;
    pack(T, w, path, p, (vd *)k->pack, point, -1, 0, 0, &c, &s, &t);
    observe_values((vd *)k->pack, (vd *)c, (vd *)s, (vd *)t, 0, value);
    if (want > 0) observe_jacobian((vd *)k->pack, (vd *)c, (vd *)s, (vd *)t, 0, slope);
    for (int l = 0; l < W; l++)
      for (int i = 0; i < L; i++) {
        const double precision = n + l < N ? w->precision[(size_t)(n + l) * L + i] : 0;
        const double r = precision != 0 ? value[i][l] - w->data[(size_t)(n + l) * L + i] : 0;
        sum += 0.5 * precision * r * r;
        mu[i][l] = precision * r;
        if (misfit && n + l < N) misfit[(size_t)(n + l) * L + i] = sqrt(precision) * r;
      }
    if (want > 1) observe_hessian((vd *)k->pack, (vd *)c, (vd *)s, (vd *)t, mu, second);
    if (want > 0)
      for (int l = 0; l < W && n + l < N; l++) {
        const int phase = (n + l) % T->m;
        const int *diagonal = T->diagonal + (size_t)phase * b * b;
        double *own = hess + (size_t)((n + l) / T->m) * T->slots;
        for (int e = 0; e < T->onj; e++) {
          const int row = T->ojrow[e], column = T->ojvar[e];
          const double precision = w->precision[(size_t)(n + l) * L + row];
          if (slopes) slopes[(size_t)(n + l) * T->onj + e] = sqrt(precision) * slope[e][l];
          if (precision == 0) continue;
          grad[(size_t)(n + l) * b + column] += mu[row][l] * slope[e][l];
          if (want > 1)
            for (int f = e; f < T->onj && T->ojrow[f] == row; f++)
              own[diagonal[column * b + T->ojvar[f]]] += precision * slope[e][l] * slope[f][l];
        }
        if (want > 1)
          for (int h = 0; h < T->onh; h++) own[diagonal[T->ohk[h] * b + T->ohl[h]]] += second[h][l];
      }
  }
  return sum;
}

static double walk(const Tables *T, const Window *w, const double *path, int want, double *grad, double *hess) {
  const int D = T->D, b = D + T->V;
  double sum = 0;
  for (int v = 0; v < T->V; v++) {
    const double weight = T->walk[v] / w->step;
    if (weight == 0) continue;
    for (int n = 0; n + 1 < w->N; n++) {
      const size_t at = (size_t)n * b + D + v;
      const double change = path[at + b] - path[at];
      sum += 0.5 * weight * change * change;
      if (want < 1) continue;
      grad[at] -= weight * change;
      grad[at + b] += weight * change;
      if (want < 2) continue;
      const int phase = n % T->m, next = (n + 1) % T->m;
      double *own = hess + (size_t)(n / T->m) * T->slots, *after = hess + (size_t)((n + 1) / T->m) * T->slots;
      own[T->diagonal[((size_t)phase * b + D + v) * b + D + v]] += weight;
      after[T->diagonal[((size_t)next * b + D + v) * b + D + v]] += weight;
      own[T->beside[phase * T->V + v]] -= weight;
    }
  }
  return sum;
}

/* parts: measurement, model (with rf), random walks of parameters. Adds to gradp and shared; sets the rest. */
void action(const Tables *T, const Window *w, const double *path, const double *p, double rf, int want, double *parts,
            double *grad, double *gradp, double *hess, double *shared, const Work *k, double *misfit, double *slopes) {
  const size_t b = T->D + T->V, intervals = (w->N - 1) / T->m;
  if (want > 0) memset(grad, 0, sizeof(double) * w->N * b);
  if (want > 1) memset(hess, 0, sizeof(double) * (intervals + 1) * T->slots);
  parts[0] = measurement(T, w, path, p, want, grad, hess, k, misfit, slopes);
  parts[1] = (T->nodal ? model_nodal : model_inner)(T, w, path, p, rf, want, grad, gradp, hess, shared, k);
  parts[2] = walk(T, w, path, want, grad, hess);
}
