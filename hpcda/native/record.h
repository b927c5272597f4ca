/* A rung that a lane has finished, as Python reads it. */

#pragma once

typedef struct {
  int lane, start, rung, iterations, factorizations, reason;
  double measurement, model, prior, gradient_norm;
} Record;
