/* Vectors of W numbers, one lane a path. All arithmetic is that of IEEE 754, number by number, so that every width and
   every processor gives the same bits: the compiler must not contract a * b + c (-ffp-contract=off); where one rounding
   pays, v_fma says so. Processors without fused multiply-add (x86-64-v2) round twice there. */

#pragma once

#include <math.h>
#include <string.h>
#include <stdlib.h>

#define ENTRY __attribute__((visibility("default")))   /* called from Python, which reads its declaration */
#define STAGE static __attribute__((noinline))
#define FUNCTION static __attribute__((noinline, unused))   /* of a library: not every unit uses it */
#define INLINE static inline __attribute__((always_inline))
#define LANES(value) vd r; for (int i = 0; i < W; i++) r[i] = value; return r;
typedef double vd __attribute__((vector_size(8 * W), aligned(8)));
typedef long long vl __attribute__((vector_size(8 * W), aligned(8)));
_Static_assert(W == 1 || W == 2 || W == 4 || W == 8, "lanes");
_Static_assert(sizeof(int) == 4 && sizeof(long long) == 8 && sizeof(double) == 8, "numbers");
_Static_assert(sizeof(vd) == 8 * W && sizeof(vl) == sizeof(vd), "a vector is its lanes, one after the other");

INLINE vd v_all(double x) { LANES(x) }
INLINE vd v_if(vl c, vd a, vd b) { return (vd)((c & (vl)a) | (~c & (vl)b)); }
INLINE vd v_pick(vd c, vd a, vd b) { return v_if(c != 0.0, a, b); }
INLINE vd v_sqrt(vd a) { LANES(__builtin_sqrt(a[i])) }
INLINE vd v_floor(vd a) { LANES(__builtin_floor(a[i])) }
INLINE vd v_fabs(vd a) { LANES(__builtin_fabs(a[i])) }
INLINE vd v_sign(vd a) { LANES((double)((a[i] > 0) - (a[i] < 0))) }

#if defined(__FP_FAST_FMA) || defined(__FMA__) || defined(__aarch64__)
#define FUSED(a, b, c) __builtin_fma(a, b, c)
#else
#define FUSED(a, b, c) ((a) * (b) + (c))
#endif

/* a b + c. Eight lanes are two halves where registers hold four: compilers give up on the whole. */
#if W == 8 && defined(__AVX2__) && !defined(__AVX512F__) && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HALVES
#endif
#endif
#ifdef HALVES
typedef double vh __attribute__((vector_size(32), aligned(8)));
INLINE vh h_fma(vh a, vh b, vh c) { vh r; for (int i = 0; i < 4; i++) r[i] = FUSED(a[i], b[i], c[i]); return r; }
#define LOW(a) __builtin_shufflevector(a, a, 0, 1, 2, 3)
#define HIGH(a) __builtin_shufflevector(a, a, 4, 5, 6, 7)
INLINE vd v_fma(vd a, vd b, vd c) {
  return __builtin_shufflevector(h_fma(LOW(a), LOW(b), LOW(c)), h_fma(HIGH(a), HIGH(b), HIGH(c)), 0, 1, 2, 3, 4, 5, 6, 7);
}
#else
INLINE vd v_fma(vd a, vd b, vd c) { LANES(FUSED(a[i], b[i], c[i])) }
#endif
INLINE vd v_fnma(vd a, vd b, vd c) { return v_fma(-a, b, c); }
