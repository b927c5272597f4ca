/* A dense layer as a factor: h_i = x'_i - g(z_i), z = W x + b, x unknown or given, in loops.
   v = [x, W, b, x'], or [W, b, x'] and c = [x]. Room: z, g', g'', multipliers of one unit: 4 m. */

#include "kernel.h"

typedef struct {
  int inputs, outputs, given;           /* given: x are constants */
  Kernel value, slope, bend;            /* g, g' and mu g'' of one number; null where g'' is 0 */
} Layer;

typedef struct { const vd *x, *weights, *bias, *next; } LayerPieces;

static inline LayerPieces layer_pieces(const Layer *L, const vd *v, const vd *c) {
  const vd *weights = L->given ? v : v + L->inputs, *bias = weights + (size_t)L->outputs * L->inputs;
  return (LayerPieces){L->given ? c : v, weights, bias, bias + L->outputs};
}

static inline void layer_inputs(const Layer *L, const LayerPieces *p, vd *z) {
  const int d = L->inputs;
  for (int i = 0; i < L->outputs; i++) {
    const vd *row = p->weights + (size_t)i * d;
    vd sum = p->bias[i];
    for (int j = 0; j < d; j++) sum = v_fma(row[j], p->x[j], sum);
    z[i] = sum;
  }
}

static void layer_values(const Layer *L, const vd *v, const vd *c, vd *out) {
  const LayerPieces p = layer_pieces(L, v, c);
  vd *z = out + L->outputs, g;
  layer_inputs(L, &p, z);
  for (int i = 0; i < L->outputs; i++) {
    L->value(z + i, 0, 0, 0, 0, &g);
    out[i] = p.next[i] - g;
  }
}

static inline int layer_slopes(const Layer *L) { return (L->given ? 1 : 2) * L->inputs + 2; }

/* Row after row: by x, by its row of W, by its b, by its x'. */
static void layer_jacobian(const Layer *L, const vd *v, const vd *c, vd *out) {
  const LayerPieces p = layer_pieces(L, v, c);
  const int d = L->inputs;
  vd *z = out + (size_t)L->outputs * layer_slopes(L), g;
  layer_inputs(L, &p, z);
  for (int i = 0; i < L->outputs; i++) {
    const vd *row = p.weights + (size_t)i * d;
    L->slope(z + i, 0, 0, 0, 0, &g);
    g = -g;
    for (int j = 0; !L->given && j < d; j++) *out++ = g * row[j];
    for (int j = 0; j < d; j++) *out++ = g * p.x[j];
    *out++ = g;
    *out++ = v_all(1);
  }
}

/* By x_j, row after row: x_k (k >= j), x', W, b; then unit after unit x'_i by itself, W_i and b_i; then W_i, b_i. */
static void layer_curvature(const Layer *L, const vd *v, const vd *c, const vd *w, const vd *mu, vd *local) {
  const LayerPieces p = layer_pieces(L, v, c);
  const int d = L->inputs, m = L->outputs, n = L->given ? 0 : d;
  const size_t lower = (size_t)m * (d + 2) + (size_t)m * ((size_t)d * (d + 1) / 2 + d + 1);
  const size_t upper = (size_t)n * (n + 1) / 2 + (size_t)n * m * (d + 2);
  vd *z = local + upper + lower, *both = z + m, *mixed = both + m, *twist = mixed + m;
  layer_inputs(L, &p, z);
  for (int i = 0; i < m; i++) {
    vd g, bend = v_all(0);
    L->slope(z + i, 0, 0, 0, 0, &g);
    if (L->bend) L->bend(z + i, 0, 0, 0, mu + i, &bend);
    both[i] = v_fma(w[i] * g, g, -bend);
    mixed[i] = -(w[i] * g);
    twist[i] = -(mu[i] * g);
  }
  for (int j = 0; j < n; j++) {
    for (int i = 0; i < m; i++) {
      const vd *row = p.weights + (size_t)i * d, pull = both[i] * row[j];
      for (int k = j; k < d; k++) local[k - j] = v_fma(pull, row[k], local[k - j]);
    }
    local += d - j;
    for (int i = 0; i < m; i++) local[i] = v_fma(mixed[i], p.weights[(size_t)i * d + j], local[i]);
    local += m;
    for (int i = 0; i < m; i++, local += d) {
      const vd pull = both[i] * p.weights[(size_t)i * d + j];
      for (int k = 0; k < d; k++) local[k] = v_fma(pull, p.x[k], local[k]);
      local[j] += twist[i];
    }
    for (int i = 0; i < m; i++) local[i] = v_fma(both[i], p.weights[(size_t)i * d + j], local[i]);
    local += m;
  }
  for (int i = 0; i < m; i++, local += d + 2) {
    local[0] += w[i];
    for (int k = 0; k < d; k++) local[1 + k] = v_fma(mixed[i], p.x[k], local[1 + k]);
    local[1 + d] += mixed[i];
  }
  for (int i = 0; i < m; i++) {
    for (int j = 0; j < d; j++) {
      const vd pull = both[i] * p.x[j];
      for (int k = j; k < d; k++) local[k - j] = v_fma(pull, p.x[k], local[k - j]);
      local[d - j] += pull;
      local += d - j + 1;
    }
    *local++ += both[i];
  }
}
