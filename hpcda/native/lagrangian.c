/* Model errors of many intervals, one after the other, with their derivatives. W = 1. Included after kernel0_*, the kernel
   of interval.c. */

#include "kernel.h"

/* v [count][unknowns], c [count][constants], mu [count][rows] or null -> errors [count][rows], jacobian [count][slopes],
   hessian [count][seconds] of mu . errors, each where it is not null; room: vectors behind what a kernel returns. */
ENTRY int intervals(int count, int unknowns, int constants, int rows, int slopes, int seconds, int room, const double *v,
                    const double *c, const double *mu, double *errors, double *jacobian, double *hessian) {
  const size_t most = (size_t)rows + slopes + seconds + room + unknowns + constants;
  vd *out = aligned_alloc(64, 64 * (most / 8 + 1)), *at, *constant;
  if (!out) return 1;
  at = out + rows + slopes + seconds + room, constant = at + unknowns;
  for (int i = 0; i < count; i++) {
    const vd *weight = (const vd *)(mu ? mu + (size_t)i * rows : 0);
    memcpy(at, v + (size_t)i * unknowns, sizeof(double) * unknowns);
    memcpy(constant, c + (size_t)i * constants, sizeof(double) * constants);
    if (errors) {
      kernel0_values(at, constant, 0, 0, 0, out);
      memcpy(errors + (size_t)i * rows, out, sizeof(double) * rows);
    }
    if (jacobian) {
      kernel0_jacobian(at, constant, 0, 0, 0, out);
      memcpy(jacobian + (size_t)i * slopes, out, sizeof(double) * slopes);
    }
    if (hessian) {
      kernel0_hessian(at, constant, 0, 0, weight, out);
      memcpy(hessian + (size_t)i * seconds, out, sizeof(double) * seconds);
    }
  }
  free(out);
  return 0;
}
