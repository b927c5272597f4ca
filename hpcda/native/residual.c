/* A residual layer as a factor: h_i = x'_i - x_i - g(z_i), z = W x + b, as many units before as after: the
   dense layer of layer.c, which stands before this file, with a slope by x_i that is less by 1. */

static void residual_values(const Layer *L, const vd *v, const vd *c, vd *out) {
  const LayerPieces p = layer_pieces(L, v, c);
  layer_values(L, v, c, out);
  for (int i = 0; i < L->outputs; i++) out[i] = out[i] - p.x[i];
}

static void residual_jacobian(const Layer *L, const vd *v, const vd *c, vd *out) {
  layer_jacobian(L, v, c, out);
  for (int i = 0; !L->given && i < L->outputs; i++, out += layer_slopes(L)) out[i] = out[i] - v_all(1);
}

/* In the order of layer_curvature, which leaves -w g' in its room. */
static void residual_curvature(const Layer *L, const vd *v, const vd *c, const vd *w, const vd *mu, vd *local) {
  const LayerPieces p = layer_pieces(L, v, c);
  const int d = L->inputs;
  const size_t lower = (size_t)d * (d + 2) + (size_t)d * ((size_t)d * (d + 1) / 2 + d + 1);
  const size_t upper = (size_t)d * (d + 1) / 2 + (size_t)d * d * (d + 2);
  layer_curvature(L, v, c, w, mu, local);
  if (L->given) return;
  const vd *mixed = local + upper + lower + 2 * d;
  for (int j = 0; j < d; j++) {
    local[0] += w[j];
    for (int k = j; k < d; k++)
      local[k - j] -= mixed[j] * p.weights[(size_t)j * d + k] + mixed[k] * p.weights[(size_t)k * d + j];
    local += d - j;
    local[j] -= w[j];
    local += d;
    for (int k = 0; k < d; k++) local[(size_t)j * d + k] -= mixed[j] * p.x[k];
    local += (size_t)d * d;
    local[j] -= mixed[j];
    local += d;
  }
}
