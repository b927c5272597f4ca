/* Elementary functions of W numbers at once, from IEEE operations alone: the same bits on every processor with fused
   multiply-add, at every width. Right to less than three units in the last place. 

   Arguments are reduced as in W. J. Cody, W. Waite, Software Manual for the Elementary Functions, Prentice-Hall 1980;
   log follows P. T. P. Tang, ACM Trans. Math. Softw. 16, 378 (1990), in the form log(1 + f) = f - (f²/2 - s (f²/2 + R)),
   s = f / (2 + f). The polynomials interpolate at Chebyshev's points, to less than 2⁻⁵⁹ of the value. */

#pragma once

#include "lanes.h"

#define WHOLE 0x1.8p52   /* added to a number below 2^51 it leaves the nearest whole one, as the lowest bits */
#define ONE_BITS 0x3ff0000000000000ULL
#define SIGN_BIT ((vl)v_all(-0.0))

typedef unsigned long long vu __attribute__((vector_size(8 * W), aligned(8)));   /* bits, which may overflow */

INLINE vd v_nearest(vd a) { return (a + WHOLE) - WHOLE; }
INLINE vd v_abs(vd a) { return (vd)((vl)a & ~SIGN_BIT); }
INLINE vd v_signed_as(vd a, vd sign) { return (vd)((vl)a | ((vl)sign & SIGN_BIT)); }

/* 2^n of a whole n, -1022 <= n <= 1023. */
INLINE vd v_two_to(vd n) { return (vd)(((vu)(n + WHOLE) << 52) + ONE_BITS); }

/* c[0] + c[1] x + ... + c[2 n - 1] x^(2 n - 1), n <= 8: even and odd powers by themselves. Written out: of a loop
   GCC 12 makes one lane after the other. */
#define POWERS(k)                                    \
  if (k < n - 1) {                                   \
    even = v_fma(even, square, v_all(c[2 * (k)]));   \
    odd = v_fma(odd, square, v_all(c[2 * (k) + 1])); \
  }
INLINE vd v_polynomial(vd x, int n, const double *c) {
  const vd square = x * x;
  vd even = v_all(c[2 * n - 2]), odd = v_all(c[2 * n - 1]);
  POWERS(6) POWERS(5) POWERS(4) POWERS(3) POWERS(2) POWERS(1) POWERS(0)
  return v_fma(odd, x, even);
}
#undef POWERS

#define LN2_HIGH 0x1.62e42fee00000p-1   /* 32 bits of ln 2, and what is left of it */
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LOG2_E 0x1.71547652b82fep+0

/* e^x - 1 of x - n ln 2, n whole. */
INLINE vd v_reduced_expm1(vd x, vd *n) {
  static const double c[] = {0x1.5555555555556p-3, 0x1.5555555555555p-5, 0x1.11111111109b3p-7, 0x1.6c16c16c167e1p-10,
                             0x1.a01a01a7c41d5p-13, 0x1.a01a01a47b054p-16, 0x1.71de0dae63bb3p-19, 0x1.27e4e1f48534fp-22,
                             0x1.af38a9b0ec855p-26, 0x1.1f66df7fca49fp-29};
  *n = v_nearest(x * LOG2_E);
  const vd r = v_fnma(*n, v_all(LN2_LOW), v_fnma(*n, v_all(LN2_HIGH), x));
  return v_fma(r * r, v_fma(r, v_polynomial(r, 5, c), v_all(0.5)), r);
}

FUNCTION vd v_exp(vd x) {
  vd n;
  x = v_if(x > 710, v_all(710), v_if(x < -746, v_all(-746), x));
  const vd p = v_reduced_expm1(x, &n), half = v_nearest(0.5 * n);
  return (1.0 + p) * v_two_to(half) * v_two_to(n - half);
}

FUNCTION vd v_expm1(vd x) {
  vd n;
  const vd within = v_if(x > 710, v_all(710), v_if(x < -40, v_all(-40), x));
  const vd p = v_reduced_expm1(within, &n), half = v_two_to(n - 1.0);
  return v_if(x == 0, x, 2.0 * v_fma(half, p, half - 0.5));
}

/* x = 2^k (1 + f), 1 + f between the roots of 1/2 and 2. */
INLINE vd v_split(vd x, vd *k) {
  const vl small = x < 0x1p-1022;
  const vu bits = (vu)v_if(small, x * 0x1p54, x);
  const vl e = (vl)(bits - 0x3fe6a09e667f3bcdULL) >> 52;
  *k = ((vd)(e + (vl)v_all(WHOLE)) - WHOLE) - v_if(small, v_all(54), v_all(0));
  return (vd)(bits - ((vu)e << 52)) - 1.0;
}

/* (artanh(s) / s - 1) / s² of s². */
INLINE vd v_artanh_rest(vd square) {
  static const double c[] = {0x1.5555555555555p-2, 0x1.9999999999a38p-3, 0x1.2492492476cccp-3, 0x1.c71c720159177p-4,
                             0x1.745cf9048dd95p-4, 0x1.3b1c355a8f7a2p-4, 0x1.0fbe95d716020p-4, 0x1.0c039c49989c6p-4};
  return v_polynomial(square, 4, c);
}

INLINE vd v_log_ends(vd x, vd inside) {
  const vd at_zero = v_if(x == 0, v_all(-INFINITY), v_all(NAN));
  return v_if(x > 0, v_if(x == INFINITY, x, inside), at_zero);
}

FUNCTION vd v_log(vd x) {
  vd k;
  const vd f = v_split(x, &k), s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
  const vd rest = v_fma(s, v_fma(2.0 * z, v_artanh_rest(z), half), k * LN2_LOW);
  return v_log_ends(x, v_fma(k, v_all(LN2_HIGH), f - (half - rest)));
}

FUNCTION vd v_log1p(vd x) {
  const vd u = 1.0 + x, inside = v_log(u) + (x - (u - 1.0)) / u;
  return v_if((u > 0) & (u < INFINITY), inside, v_log(u));
}

/* a^y. The logarithm has about 60 bits, which y multiplies. */
FUNCTION vd v_pow(vd a, double y) {
  vd k;
  const int whole = y == __builtin_floor(y), odd = whole && __builtin_fabs(y) < 0x1p53 && y - 2 * __builtin_floor(0.5 * y) == 1;
  const vd x = whole ? v_abs(a) : a, f = v_split(x, &k), d = 2.0 + f, s = f / d, z = s * s;
  const vd missed = (v_fnma(s, d, f) - s * (f - (d - 2.0))) / d;
  const vd scaled = k * LN2_HIGH, sum = scaled + 2.0 * s;
  const vd low = ((scaled - sum) + 2.0 * s) + v_fma(2.0 * s * z, v_artanh_rest(z), v_fma(k, v_all(LN2_LOW), 2.0 * missed));
  const vd high = v_log_ends(x, sum + low), left = (sum - high) + low;
  const vd product = y * high, rest = v_fma(v_all(y), high, -product) + y * left;
  const vd power = v_exp(product), right = v_fma(power, rest, power);
  const vd result = v_if((power > 0) & (power < INFINITY) & (rest == rest), right, power);
  return odd ? v_signed_as(result, a) : result;
}

#define QUARTER_1 0x1.921fb54400000p+0    /* 33 bits of pi/2, the next 33, and what is left */
#define QUARTER_2 0x1.0b4611a600000p-34
#define QUARTER_3 0x1.3198a2e037073p-69
#define TURNED 0x1p20                     /* quarters of a turn beyond which the C library reduces */

/* x - n pi/2 as high + low; the lowest bits of n. */
INLINE vl v_quarters(vd x, vd *high, vd *low) {
  const vd t = x * 0x1.45f306dc9c883p-1 + WHOLE, n = t - WHOLE;
  const vd a = x - n * QUARTER_1, b = n * QUARTER_2, c = a - b, d = v_fnma(n, v_all(QUARTER_3), (a - c) - b);
  *high = c + d, *low = (c - *high) + d;
  return (vl)t;
}

INLINE vd v_small_sin(vd x, vd low) {
  static const double c[] = {-0x1.5555555555555p-3, 0x1.1111111111110p-7, -0x1.a01a01a019936p-13, 0x1.71de3a54605eep-19,
                             -0x1.ae64541266378p-26, 0x1.61217ec01749dp-33, -0x1.ab17a79237a19p-41, 0};
  const vd z = x * x;
  return x + v_fma(x * z, v_polynomial(z, 4, c), low * (1.0 - 0.5 * z));
}

INLINE vd v_small_cos(vd x, vd low) {
  static const double c[] = {0x1.5555555555555p-5, -0x1.6c16c16c16c16p-10, 0x1.a01a01a019d0ap-16, -0x1.27e4fb7712bdfp-22,
                             0x1.1eed8deb6d561p-29, -0x1.9394b9c9c20a4p-37, 0x1.ab783376962cfp-45, 0};
  const vd z = x * x, half = 0.5 * z, near = 1.0 - half;
  return near + (((1.0 - near) - half) + v_fma(z * z, v_polynomial(z, 4, c), -(x * low)));
}

INLINE int v_turned(vd x) {
  int far = 0;
  for (int i = 0; i < W; i++) far |= !(__builtin_fabs(x[i]) < TURNED);
  return far;
}
#define BY_LIBRARY(name, x, result) \
  if (v_turned(x)) \
    for (int i = 0; i < W; i++) result[i] = __builtin_fabs(x[i]) < TURNED ? result[i] : name(x[i]);

/* The sine after `ahead` quarters of a turn. */
INLINE vd v_wave(vd x, int ahead) {
  vd high, low;
  const vu n = (vu)v_quarters(x, &high, &low) + (unsigned long long)ahead;
  const vl odd = -(vl)(n & 1ULL);
  const vd value = v_if(odd, v_small_cos(high, low), v_small_sin(high, low));
  return (vd)((vu)value ^ ((n & 2ULL) << 62));
}

FUNCTION vd v_sin(vd x) {
  vd r = v_wave(x, 0);
  BY_LIBRARY(sin, x, r)
  return r;
}

FUNCTION vd v_cos(vd x) {
  vd r = v_wave(x, 1);
  BY_LIBRARY(cos, x, r)
  return r;
}

FUNCTION vd v_tan(vd x) {
  vd high, low;
  const vl odd = -(v_quarters(x, &high, &low) & 1);
  const vd sine = v_small_sin(high, low), cosine = v_small_cos(high, low);
  vd r = v_if(odd, -cosine, sine) / v_if(odd, sine, cosine);
  BY_LIBRARY(tan, x, r)
  return r;
}

FUNCTION vd v_sinh(vd x) {
  const vd a = v_abs(x), t = v_expm1(a), e = v_exp(0.5 * a);
  return v_signed_as(v_if(a > 700, 0.5 * e * e, 0.5 * (t + t / (t + 1.0))), x);
}

FUNCTION vd v_cosh(vd x) {
  const vd a = v_abs(x), e = v_exp(v_if(a > 700, 0.5 * a, a));
  return v_if(a > 700, 0.5 * e * e, 0.5 * e + 0.5 / e);
}

FUNCTION vd v_tanh(vd x) {
  const vd a = v_abs(x), t = v_expm1(2.0 * v_if(a > 20, v_all(20), a));
  return v_signed_as(t / (t + 2.0), x);
}

FUNCTION vd v_atan(vd x) {
  static const double c[] = {-0x1.5555555555555p-2, 0x1.9999999999997p-3, -0x1.24924924920adp-3, 0x1.c71c71c6ddbfcp-4,
                             -0x1.745d173565149p-4, 0x1.3b13aea9e84b6p-4, -0x1.1110cee80b516p-4, 0x1.e1d8e9bffe59dp-5,
                             -0x1.aebd1fa559894p-5, 0x1.829ce3237ab26p-5, -0x1.503c4469943acp-5, 0x1.f5ef74d05428dp-6,
                             -0x1.c81291cfc455fp-7, 0};
  const vd a = v_abs(x);
  const vl steep = a > 0x1.3504f333f9de6p+1, middle = (a > 0x1.a827999fcef32p-2) & ~steep;   /* tan of 3/8 pi, of 1/8 pi */
  const vd y = v_if(steep, -1.0 / a, v_if(middle, (a - 1.0) / (a + 1.0), a)), z = y * y;
  const vd high = v_if(steep, v_all(0x1.921fb54442d18p+0), v_if(middle, v_all(0x1.921fb54442d18p-1), v_all(0)));
  const vd low = v_if(steep, v_all(0x1.1a62633145c07p-54), v_if(middle, v_all(0x1.1a62633145c07p-55), v_all(0)));
  return v_signed_as(high + (v_fma(y * z, v_polynomial(z, 7, c), y) + low), x);
}

FUNCTION vd v_asin(vd x) { return v_atan(x / v_sqrt((1.0 - x) * (1.0 + x))); }
FUNCTION vd v_acos(vd x) { return 2.0 * v_atan(v_sqrt((1.0 - x) / (1.0 + x))); }
