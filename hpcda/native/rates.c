/* Rates of the model at many points, W at a time. Included after the kernels model_*. */

#include "lanes.h"

/* v[variables][count], s[U][count], t[count] -> to[D][count]; lanes beyond the last point hold the last. */
ENTRY int rates(int D, int variables, int C, int U, const double *constant, int count, const double *v, const double *s,
          const double *t, double *to) {
  vd *room = aligned_alloc(64, 64 * (size_t)(variables + C + U + 1 + D));
  if (!room) return 1;
  vd *c = room + variables, *series = c + C, *time = series + U, *rate = time + 1;
  for (int i = 0; i < C; i++) c[i] = v_all(constant[i]);
  for (int at = 0; at < count; at += W) {
    for (int lane = 0; lane < W; lane++) {
      const int point = at + lane < count ? at + lane : count - 1;
      for (int i = 0; i < variables; i++) room[i][lane] = v[(size_t)i * count + point];
      for (int i = 0; i < U; i++) series[i][lane] = s[(size_t)i * count + point];
      time[0][lane] = t[point];
    }
    model_values(room, c, series, time, 0, rate);
    for (int i = 0; i < D; i++)
      for (int lane = 0; lane < W && at + lane < count; lane++) to[(size_t)i * count + at + lane] = rate[i][lane];
  }
  free(room);
  return 0;
}
