/* A traced function of many instances, W of them at once, one a lane: `given_values` and its derivatives.
   Arrays have a row for each number of an instance, and `count` columns, one an instance. */

#include "kernel.h"

enum Wanted { VALUES, SLOPES, CURVATURE, WITH_SLOPES };

static void lanes_in(vd *room, const double *rows, int numbers, size_t count, size_t begin, int wide) {
  for (int k = 0; k < numbers; k++) {
    const double *from = rows + k * count + begin;
    if (wide == W) memcpy(room + k, from, sizeof(vd));
    else
      for (int l = 0; l < W; l++) room[k][l] = from[l < wide ? l : wide - 1];
  }
}

/* room: [variables + constants + weights + outputs], on a boundary of its vectors: those that lie across two lines of
   the cache are read back late. Functions of one number read it, and write one, where it is. */
ENTRY void instances(int wanted, int count, int variables, int constants, int weights, int outputs, const double *variable,
                     const double *constant, const double *weight, double *out, vd *room) {
  const Kernel kernels[] = {given_values, given_jacobian, given_hessian, given_with_slopes};
  const Kernel kernel = kernels[wanted];
  vd *c = room + variables, *mu = c + constants, *found = mu + weights;
  const size_t columns = (size_t)count;
  for (int begin = 0; begin < count; begin += W) {
    const int wide = count - begin < W ? count - begin : W;
    const size_t first = (size_t)begin;
    if (wide == W && variables <= 1 && weights <= 1 && !constants) {
      const vd *v = (const vd *)(variable + first), *pull = (const vd *)(weight + first);
      if (outputs == 1) {
        kernel(v, c, 0, 0, pull, (vd *)(out + first));
        continue;
      }
      kernel(v, c, 0, 0, pull, found);
    } else {
      lanes_in(room, variable, variables, columns, first, wide);
      lanes_in(c, constant, constants, columns, first, wide);
      lanes_in(mu, weight, weights, columns, first, wide);
      kernel(room, c, 0, 0, mu, found);
    }
    for (int k = 0; k < outputs; k++) {
      double *to = out + k * columns + first;
      if (wide == W) memcpy(to, found + k, sizeof(vd));
      else memcpy(to, found + k, sizeof(double) * (size_t)wide);
    }
  }
}
