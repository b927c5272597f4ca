/* The functions that equations and kernels become: of unknowns v, constants c, series s, time t, and multipliers mu. */

#pragma once

#include "lanes.h"

typedef void (*Kernel)(const vd *v, const vd *c, const vd *s, const vd *t, const vd *mu, vd *out);
/* Adds J' diag(w) J and the second derivatives of mu . h to local; behind it is room. */
typedef void (*Curvature)(const vd *v, const vd *c, const vd *w, const vd *mu, vd *local);
