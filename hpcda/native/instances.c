/* A traced function of many instances, W of them at once, one a lane: `given_values` and its derivatives.
   Arrays have a row for each number of an instance, and `count` columns, one an instance. */

#include "kernel.h"

enum Wanted { VALUES, SLOPES, CURVATURE };

static void lanes_in(vd *room, const double *rows, int numbers, size_t count, size_t begin, int wide) {
  for (int k = 0; k < numbers; k++)
    for (int l = 0; l < W; l++) room[k][l] = rows[k * count + begin + (size_t)(l < wide ? l : wide - 1)];
}

/* room: [variables + constants + weights + outputs] */
ENTRY void instances(int wanted, int count, int variables, int constants, int weights, int outputs, const double *variable,
                     const double *constant, const double *weight, double *out, vd *room) {
  const Kernel kernel = wanted == VALUES ? given_values : wanted == SLOPES ? given_jacobian : given_hessian;
  vd *c = room + variables, *mu = c + constants, *found = mu + weights;
  const size_t columns = (size_t)count;
  for (int begin = 0; begin < count; begin += W) {
    const int wide = count - begin < W ? count - begin : W;
    lanes_in(room, variable, variables, columns, (size_t)begin, wide);
    lanes_in(c, constant, constants, columns, (size_t)begin, wide);
    lanes_in(mu, weight, weights, columns, (size_t)begin, wide);
    kernel(room, c, 0, 0, mu, found);
    for (int k = 0; k < outputs; k++)
      for (int l = 0; l < wide; l++) out[k * columns + (size_t)(begin + l)] = found[k][l];
  }
}
