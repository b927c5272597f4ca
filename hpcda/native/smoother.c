/* The ensemble Kalman filter and what its backward pass needs.
   Arrays [rows][G] of vectors hold members, G = members / W; K = D + V + P rows are a member. Sums over members are made
   in EIGHT strands, member m in strand m mod EIGHT, whatever W is. */

#include "forecast.c"
#include <stdint.h>

typedef struct {
  int members, substeps;              /* members: a multiple of EIGHT */
  const double *data, *std;           /* [N][L] NaN where nothing is measured */
  const double *lower, *upper;        /* [K] bounds */
  const double *center, *reach;       /* [D] a member further than `reach` away is lost */
  const double *walk;                 /* [V] standard deviation of the random walk over a unit of time */
  const double *near, *together;      /* [K][L], [L][L] shares of the covariances with data, and among them; or none */
  double *now;                        /* [K][members] */
  double *analyzed, *predicted;       /* [N][K] means after the data of a point, and before */
  double *cross, *factor;             /* [N][K][K] covariance with the next point, Cholesky factor of its own; or none */
  double *begun;                      /* [K][members] the first point as all data so far see it; or none */
  double *misfit;                     /* [N] Σ ((y - mean of h) / std)², before the data of the point */
} Ensemble;

static vd *room(size_t vectors) { return aligned_alloc(64, (vectors * sizeof(vd) + 63) / 64 * 64); }

#define EIGHT 8
#define STRIDE (EIGHT / W)   /* vectors that hold all strands */
_Static_assert(EIGHT % W == 0, "a vector holds a part of the strands");

static double total(const vd *strands) {
  double sum = 0;
  for (int i = 0; i < EIGHT; i++) sum += strands[i / W][i % W];
  return sum;
}

/* out[i][j] = scale · Σ a[i] b[j] over members: a covariance if b are anomalies; only j ≤ i where `lower`. */
STAGE void products(const vd *a, int rows, const vd *b, int columns, int G, double scale, int lower, double *out) {
  for (int i = 0; i < rows; i += 4)
    for (int j = 0; j < columns && (!lower || j < i + 4); j += 4) {
      const vd *x[4], *y[4];
      vd sum[4][4][STRIDE];
      for (int k = 0; k < 4; k++) {
        x[k] = a + (size_t)(i + k < rows ? i + k : i) * G;
        y[k] = b + (size_t)(j + k < columns ? j + k : j) * G;
      }
      for (int part = 0; part < STRIDE; part++) {
        vd tile[4][4];
        memset(tile, 0, sizeof tile);
        for (int g = part; g < G; g += STRIDE)
          for (int k = 0; k < 4; k++)
            for (int l = 0; l < 4; l++) tile[k][l] = v_fma(x[k][g], y[l][g], tile[k][l]);
        for (int k = 0; k < 4; k++)
          for (int l = 0; l < 4; l++) sum[k][l][part] = tile[k][l];
      }
      for (int k = 0; k < 4 && i + k < rows; k++)
        for (int l = 0; l < 4 && j + l < columns; l++) out[(size_t)(i + k) * columns + j + l] = scale * total(sum[k][l]);
    }
}

STAGE void means(const vd *a, int rows, int G, double *mean) {
  for (int i = 0; i < rows; i++) {
    vd sum[STRIDE];
    memset(sum, 0, sizeof sum);
    for (int g = 0; g < G; g++) sum[g % STRIDE] += a[(size_t)i * G + g];
    mean[i] = total(sum) / (G * W);
  }
}

/* Means of the rows, and their anomalies, which may take the members' place. */
STAGE void anomalies(const vd *a, int rows, int G, double *mean, vd *out) {
  means(a, rows, G, mean);
  for (int i = 0; i < rows; i++)
    for (int g = 0; g < G; g++) out[(size_t)i * G + g] = a[(size_t)i * G + g] - mean[i];
}

/* Cholesky factor in the lower triangle; a direction without variance gets an endless one: it tells nothing. */
STAGE void cholesky(double *a, int n, const double *mean) {
  for (int j = 0; j < n; j++) {
    double *aj = a + (size_t)j * n, own = aj[j], pivot = own * (1 + 1e-10);
    for (int k = 0; k < j; k++) pivot -= aj[k] * aj[k];
    const int empty = !(pivot > 1e-12 * own && (!mean || own > 1e-24 * mean[j] * mean[j]));
    aj[j] = empty ? 1e150 : sqrt(pivot);
    for (int i = j + 1; i < n; i++) {
      double *ai = a + (size_t)i * n, sum = ai[j];
      for (int k = 0; k < j; k++) sum -= ai[k] * aj[k];
      ai[j] = empty ? 0 : sum / aj[j];
    }
  }
}

/* Members that grew without bound become copies of others, with their past. Returns how many are left. */
STAGE int replace(const Sizes *z, const Ensemble *e, vd *now, vd *before, vd *begun, char *lost) {
  const int K = z->D + z->V + z->P, M = e->members, G = M / W;
  double *rows[] = {(double *)now, (double *)before, (double *)begun};
  const int kept = begun ? 3 : 2;
  vl within = now[0] == now[0];
  for (int i = 0; i < z->D; i++) {
    const vd low = v_all(e->center[i] - e->reach[i]), high = v_all(e->center[i] + e->reach[i]);
    for (int g = 0; g < G; g++) within &= (now[(size_t)i * G + g] >= low) & (now[(size_t)i * G + g] <= high);
  }
  int all = 1;
  for (int i = 0; i < W; i++) all &= within[i] != 0;
  if (all) return M;
  int left = 0, from = -1;
  memset(lost, 0, M);
  for (int m = 0; m < M; m++) {
    for (int i = 0; i < z->D; i++)
      if (!(fabs(rows[0][(size_t)i * M + m] - e->center[i]) <= e->reach[i])) lost[m] = 1;
    left += !lost[m];
  }
  if (left && left < M)
    for (int m = 0; m < M; m++) {
      if (!lost[m]) continue;
      do from = (from + 1) % M;
      while (lost[from]);
      for (int k = 0; k < kept; k++)
        for (int i = 0; i < K; i++) rows[k][(size_t)i * M + m] = rows[k][(size_t)i * M + from];
    }
  return left;
}

/* Values at which a measured quantity is not finite become the mean of the others; 0 where there are none. */
STAGE int mend(double *h, int M) {
  double sum = 0;
  int count = 0;
  for (int m = 0; m < M; m++)
    if (isfinite(h[m])) sum += h[m], count++;
  if (count && count < M)
    for (int m = 0; m < M; m++)
      if (!isfinite(h[m])) h[m] = sum / count;
  return count;
}

/* a[rows] += gain · z, gain [rows][L]. */
STAGE void update(vd *a, int rows, const double *gain, const vd *z, int L, int G) {
  for (int i = 0; i < rows; i += 4)
    for (int g = 0; g < G; g++) {
      vd sum[4];
      for (int k = 0; k < 4; k++) sum[k] = v_all(0);
      for (int l = 0; l < L; l++)
        for (int k = 0; k < 4; k++)
          sum[k] = v_fma(v_all(gain[(size_t)(i + k < rows ? i + k : i) * L + l]), z[(size_t)l * G + g], sum[k]);
      for (int k = 0; k < 4 && i + k < rows; k++) a[(size_t)(i + k) * G + g] += sum[k];
    }
}

/* A number of mean 0 and variance 1 from 64 random bits: the sum of four even ones, nearly normal within 3.4. */
static inline double normal(uint64_t bits) {
  const int sum = (int)(bits & 65535) + (int)(bits >> 16 & 65535) + (int)(bits >> 32 & 65535) + (int)(bits >> 48);
  return (sum - 2 * 65535) * (1.7320508075688772 / 65536);
}

/* Values beyond a bound are mirrored at it. */
STAGE void confine(vd *a, int rows, int G, const double *lower, const double *upper) {
  for (int i = 0; i < rows; i++) {
    const double low = lower[i], high = upper[i];
    if (low == -INFINITY && high == INFINITY) continue;
    double *x = (double *)(a + (size_t)i * G);
    for (int m = 0; m < G * W; m++) {
      double value = x[m] < low ? 2 * low - x[m] : x[m] > high ? 2 * high - x[m] : x[m];
      x[m] = value < low ? low : value > high ? high : value;
    }
  }
}

/* Points `begin` to `end` - 1 of a window. `noise` holds [members] random bits for every measured value,
   `walks` [V][members] for every step, or is null. Returns the number of points done, below `end` where all members were
   lost, below 0 where there is no memory. */
ENTRY int filter(const Sizes *z, const Grid *g, const Ensemble *e, int begin, int end, const uint64_t *noise,
           const float *walks) {
  const int D = z->D, V = z->V, K = D + V + z->P, L = z->L, M = e->members, G = M / W;
  const double scale = 1.0 / (M - 1);
  vd *c = NULL, *s = NULL, *v = begin_members(z, 3 * (size_t)D + L, &c, &s);
  vd *all = room((size_t)G * (5 * (size_t)K + 2 * (size_t)L));
  double *matrix = malloc(sizeof(double) * (2 * (size_t)K * L + (size_t)L * L + L));
  int *known = malloc(sizeof(int) * L);
  char *lost = malloc(M);
  int n = v && all && matrix && known && lost ? begin : -1;
  if (n < 0) goto done;
  vd *now = all, *next = now + (size_t)K * G, *own = next + (size_t)K * G, *old = own + (size_t)K * G;
  vd *h = old + (size_t)K * G, *innovation = h + (size_t)L * G;
  vd *begun = e->begun ? innovation + (size_t)L * G : NULL;
  double *gain = matrix, *S = gain + (size_t)K * L, *mean = S + (size_t)L * L, *past = mean + L;
  vd *t = s + z->U;
  memcpy(now, e->now, sizeof(double) * K * M);
  if (begun) memcpy(begun, e->begun, sizeof(double) * K * M);
  for (; n < end; n++) {
    if (n) {
      for (int m = 0; m < G; m++) {
        for (int i = 0; i < K; i++) v[i] = now[(size_t)i * G + m];
        advance(z, g, n - 1, e->substeps, v, c, s, t, t + 1);
        for (int i = 0; i < K; i++) next[(size_t)i * G + m] = v[i];
      }
      for (int i = 0; walks && i < V; i++) {
        double *q = (double *)(next + (size_t)(D + i) * G);
        const double std = e->walk[i] * __builtin_sqrt(g->step[n - 1]);
        for (int m = 0; std > 0 && m < M; m++) q[m] += std * walks[(size_t)i * M + m];
      }
      if (walks) walks += (size_t)V * M;
      confine(next + (size_t)D * G, K - D, G, e->lower + D, e->upper + D);
      if (!replace(z, e, next, now, begun, lost)) break;
      if (e->cross) {
        double *C = e->factor + (size_t)n * K * K, *predicted = e->predicted + (size_t)n * K;
        anomalies(now, K, G, e->analyzed + (size_t)(n - 1) * K, old);
        anomalies(next, K, G, predicted, own);
        products(old, K, own, K, G, scale, 0, e->cross + (size_t)n * K * K);
        products(own, K, own, K, G, scale, 1, C);
        cholesky(C, K, predicted);
      }
      vd *swap = now;
      now = next, next = swap;
    }
    int seen = 0;
    for (int l = 0; l < L; l++)
      if (isfinite(e->data[(size_t)n * L + l])) known[seen++] = l;
    if (seen) {
      inputs(z, g, n, 0, s, t);
      for (int m = 0; m < G; m++) {
        for (int i = 0; i < K; i++) v[i] = now[(size_t)i * G + m];
        observe_values(v, c, s, t, 0, t + 1);
        for (int l = 0; l < seen; l++) h[(size_t)l * G + m] = t[1 + known[l]];
      }
      for (int l = 0; l < seen; l++) {
        double *values = (double *)(h + (size_t)l * G);
        if (!mend(values, M))
          for (int m = 0; m < M; m++) values[m] = e->data[(size_t)n * L + known[l]];
      }
      anomalies(h, seen, G, mean, h);
      for (int l = 0; l < seen; l++) {
        const size_t at = (size_t)n * L + known[l];
        const double off = e->data[at] - mean[l], std = e->std[at], d = off / std;
        double *away = (double *)(innovation + (size_t)l * G), *values = (double *)(h + (size_t)l * G);
        for (int m = 0; m < M; m++) away[m] = off - values[m] + std * normal(noise[m]);
        noise += M;
        e->misfit[n] += d * d;
      }
      products(now, K, h, seen, G, scale, 0, gain);
      products(h, seen, h, seen, G, scale, 1, S);
      for (int l = 0; l < seen; l++) S[l * seen + l] += e->std[(size_t)n * L + known[l]] * e->std[(size_t)n * L + known[l]];
      if (begun) products(begun, K, h, seen, G, scale, 0, past);
      if (e->near) {
        for (int i = 0; i < K; i++)
          for (int l = 0; l < seen; l++) {
            const double share = e->near[(size_t)i * L + known[l]];
            gain[(size_t)i * seen + l] *= share;
            if (begun) past[(size_t)i * seen + l] *= share;
          }
        for (int l = 0; l < seen; l++)
          for (int k = 0; k < l; k++) S[(size_t)l * seen + k] *= e->together[(size_t)known[l] * L + known[k]];
      }
      cholesky(S, seen, 0);
      for (int m = 0; m < G; m++) {
        for (int l = 0; l < seen; l++) {
          vd sum = innovation[(size_t)l * G + m];
          for (int k = 0; k < l; k++) sum -= S[l * seen + k] * innovation[(size_t)k * G + m];
          innovation[(size_t)l * G + m] = sum / S[l * seen + l];
        }
        for (int l = seen - 1; l >= 0; l--) {
          vd sum = innovation[(size_t)l * G + m];
          for (int k = l + 1; k < seen; k++) sum -= S[k * seen + l] * innovation[(size_t)k * G + m];
          innovation[(size_t)l * G + m] = sum / S[l * seen + l];
        }
      }
      update(now, K, gain, innovation, seen, G);
      if (begun) {
        update(begun, K, past, innovation, seen, G);
        confine(begun, K, G, e->lower, e->upper);
      }
      confine(now, K, G, e->lower, e->upper);
    }
    means(now, K, G, e->analyzed + (size_t)n * K);
  }
  memcpy(e->now, now, sizeof(double) * K * M);
  if (begun) memcpy(e->begun, begun, sizeof(double) * K * M);
done:
  free(v), free(all), free(matrix), free(known), free(lost);
  return n;
}

/* Rauch-Tung-Striebel means of `times` points, from the last one's, which stands in path[times - 1]; [times][K]. */
ENTRY int smooth(const Sizes *z, const Ensemble *e, int times, double *path) {
  const int K = z->D + z->V + z->P;
  double *y = malloc(sizeof(double) * K);
  if (!y) return 1;
  for (int n = times - 1; n > 0; n--) {
    const double *F = e->factor + (size_t)n * K * K, *C = e->cross + (size_t)n * K * K;
    for (int i = 0; i < K; i++) {
      double sum = path[(size_t)n * K + i] - e->predicted[(size_t)n * K + i];
      for (int k = 0; k < i; k++) sum -= F[i * K + k] * y[k];
      y[i] = sum / F[i * K + i];
    }
    for (int i = K - 1; i >= 0; i--) {
      double sum = y[i];
      for (int k = i + 1; k < K; k++) sum -= F[k * K + i] * y[k];
      y[i] = sum / F[i * K + i];
    }
    for (int i = 0; i < K; i++) {
      double sum = e->analyzed[(size_t)(n - 1) * K + i];
      for (int k = 0; k < K; k++) sum += C[i * K + k] * y[k];
      path[(size_t)(n - 1) * K + i] = sum;
    }
  }
  free(y);
  return 0;
}

/* Means of members [K][members] whose last P rows, parameters, are told: mean + cov(x, p) cov(p, p)^-1 (told - mean). */
ENTRY int informed(const Sizes *z, int P, int members, const double *now, const double *told, double *mean) {
  const int K = z->D + z->V + z->P, first = K - P, G = members / W;
  vd *off = room((size_t)K * G);
  double *cross = malloc(sizeof(double) * ((size_t)K * P + (size_t)P * P + P + 1));
  if (off && cross) {
    double *own = cross + (size_t)K * P, *y = own + (size_t)P * P;
    memcpy(off, now, sizeof(double) * K * members);
    anomalies(off, K, G, mean, off);
    products(off, K, off + (size_t)first * G, P, G, 1.0 / (members - 1), 0, cross);
    products(off + (size_t)first * G, P, off + (size_t)first * G, P, G, 1.0 / (members - 1), 1, own);
    cholesky(own, P, mean + first);
    for (int i = 0; i < P; i++) {
      y[i] = told[i] - mean[first + i];
      for (int k = 0; k < i; k++) y[i] -= own[i * P + k] * y[k];
      y[i] /= own[i * P + i];
    }
    for (int i = P - 1; i >= 0; i--) {
      for (int k = i + 1; k < P; k++) y[i] -= own[k * P + i] * y[k];
      y[i] /= own[i * P + i];
    }
    for (int i = 0; i < K; i++)
      for (int k = 0; k < P; k++) mean[i] += cross[(size_t)i * P + k] * y[k];
  }
  const int failed = !(off && cross);
  free(off), free(cross);
  return failed;
}
