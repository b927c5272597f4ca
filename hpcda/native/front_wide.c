/* The steps of front.c for one path alone, W = 1: what vectors hold is not one path a lane but one column.
   A tile is R rows by BAND columns; the other side's rows are copied to where BAND of them lie side by side, 0 before they
   begin. Every entry is still its start minus the products of earlier columns, one after the other, each by one rounding:
   the same bits as in lanes. (Packing and register tiles: K. Goto, R. van de Geijn, ACM Trans. Math. Softw. 34, 12, 2008.) */

#pragma once

#if defined(__AVX512F__)
#define NUMBERS 8
#else
#define NUMBERS 4
#endif
#define BAND (2 * NUMBERS)
#define LONG_DEPTH 256
typedef double vw __attribute__((vector_size(8 * NUMBERS), aligned(8), may_alias));

/* c - a b. Compilers do not see vectors in a loop over them amid all these sums. */
#if defined(__AVX512F__)
#include <immintrin.h>
INLINE vw w_fnma(double a, vw b, vw c) { return (vw)_mm512_fnmadd_pd(_mm512_set1_pd(a), (__m512d)b, (__m512d)c); }
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
INLINE vw w_fnma(double a, vw b, vw c) { return (vw)_mm256_fnmadd_pd(_mm256_set1_pd(a), (__m256d)b, (__m256d)c); }
#else
INLINE vw w_fnma(double a, vw b, vw c) {
  vw r;
  for (int i = 0; i < NUMBERS; i++) r[i] = FUSED(-a, b[i], c[i]);
  return r;
}
#endif

/* packed[k][c]: column begin + k of row c of `count` rows, 0 before it begins and for further rows. */
static void wide_pack(vd *const *rows, const int *first, int count, int begin, int end, double *packed) {
  for (int c = 0; c < BAND; c++) {
    const int from = c < count ? larger_of(first ? first[c] : 0, begin) : end;
    for (int k = begin; k < smaller(from, end); k++) packed[(k - begin) * BAND + c] = 0;
    for (int k = from; k < end; k++) packed[(k - begin) * BAND + c] = rows[c][k][0];
  }
}

/* What one band of columns of a front does to a tile. */
struct band {
  int begin, end;                /* columns whose products are taken */
  const double *packed;          /* [end - begin][BAND] */
  int column, low, wide, edge;   /* first column; entries of row r with low <= c < wide and c < edge + r alone */
  int fresh;                     /* start at 0 */
  const double *lower, *inverse; /* [BAND][BAND], [BAND] the band's own factor, below its diagonal, or null */
};

INLINE void wide_rows(const int R, vd *const *rows, vd *const *out, const struct band *B) {
  vw s[HIGH_TILE][2];   /* of a size that is known, else it is no matter of registers */
  double some[BAND];
  const int low = B->low, whole = !low && B->wide == BAND && B->edge >= BAND;
  UNROLL for (int r = 0; r < R; r++) {
    const double *at = (const double *)(out[r] + B->column);
    if (!B->fresh && !whole) {
      memset(some, 0, sizeof some);
      memcpy(some + low, at + low, sizeof(double) * (size_t)(smaller(B->wide, B->edge + r) - low));
      at = some;
    }
    UNROLL for (int h = 0; h < 2; h++) {
      if (B->fresh) s[r][h] = (vw){0};
      else s[r][h] = *(const vw *)(at + h * NUMBERS);
    }
  }
  const double *packed = B->packed;
  const double *a[HIGH_TILE];
  UNROLL for (int r = 0; r < R; r++) a[r] = (const double *)rows[r];
  for (int k = B->begin; k < B->end; k++, packed += BAND) {
    const vw b[2] = {*(const vw *)packed, *(const vw *)(packed + NUMBERS)};
    UNROLL for (int r = 0; r < R; r++)
      UNROLL for (int h = 0; h < 2; h++) s[r][h] = w_fnma(a[r][k], b[h], s[r][h]);
  }
  if (B->lower) {
    _Pragma("GCC unroll 16") for (int k = 0; k < BAND; k++) {   /* constant places: all stays in registers */
      const vw *b = (const vw *)(B->lower + k * BAND);
      UNROLL for (int r = 0; r < R; r++) {
        const double x = s[r][k / NUMBERS][k % NUMBERS] * B->inverse[k];
        s[r][k / NUMBERS][k % NUMBERS] = x;
        UNROLL for (int h = k / NUMBERS; h < 2; h++) s[r][h] = w_fnma(x, b[h], s[r][h]);
      }
    }
  }
  UNROLL for (int r = 0; r < R; r++) {
    double *to = (double *)(out[r] + B->column);
    if (whole) {
      UNROLL for (int h = 0; h < 2; h++) *(vw *)(to + h * NUMBERS) = s[r][h];
    } else {
      UNROLL for (int h = 0; h < 2; h++) *(vw *)(some + h * NUMBERS) = s[r][h];
      memcpy(to + low, some + low, sizeof(double) * (size_t)(smaller(B->wide, B->edge + r) - low));
    }
  }
}

static void wide_tile(int R, vd *const *rows, vd *const *out, const struct band *B) {
  switch (R) {
    case 1: wide_rows(1, rows, out, B); break;
    case 2: wide_rows(2, rows, out, B); break;
    case 3: wide_rows(3, rows, out, B); break;
    case 4: wide_rows(4, rows, out, B); break;
#if HIGH_TILE == 6
    case 6: wide_rows(6, rows, out, B); break;
#endif
    default: break;
  }
}

/* Rows `begin` to `end` less the products of columns before the band; those below the band by its own factor too. */
static void wide_band(vd *const *row, const int *first, int pivots, int begin, int end, int panel, int wide,
                      const double *lower, const double *inverse) {
  double packed[LONG_DEPTH * BAND];
  const int own = start_of(first, panel, wide);
  int piece = own / LONG_DEPTH * LONG_DEPTH;
  do {
    const int stop = smaller(piece + LONG_DEPTH, panel), last = stop == panel;
    const int from = smaller(larger_of(own, piece), stop);
    wide_pack(row + panel, first ? first + panel : 0, wide, from, stop, packed);
    for (int i = begin, R; i < end; i += R) {
      R = tile_rows((i < pivots ? smaller(pivots, end) : end) - i);
      const int start = start_of(first, i, R), k = larger_of(start, from);
      if (start >= panel + wide || (k >= stop && !(last && lower))) continue;
      const struct band B = {.begin = smaller(k, stop), .end = stop, .packed = packed + (smaller(k, stop) - from) * BAND,
                      .column = panel, .low = larger_of(start / 4 * 4 - panel, 0), .wide = wide, .edge = i - panel + 1, .lower = last ? lower : 0, .inverse = inverse};
      wide_tile(R, row + i, row + i, &B);
    }
    piece += LONG_DEPTH;
  } while (piece < panel);
}

/* front_eliminate. */
static void wide_eliminate(vd *const *row, const int *first, int pivots, int rest, vl *bad) {
  const int all = pivots + rest;
  for (int panel = 0; panel < pivots; panel += BAND) {
    const int wide = smaller(BAND, pivots - panel), under = panel + wide;
    if (panel) wide_band(row, first, pivots, panel, under, panel, wide, 0, 0);
    for (int j = panel, C; j < under; j += C) {
      C = smaller(4, under - j);
      const int own = larger_of(start_of(first, j, C), panel);
      corner[C - 1](row + j, smaller(own, j), j, bad);
      for (int i = j + C, R; i < under; i += R) {
        R = tile_rows(under - i);
        const int start = start_of(first, i, R);
        if (start < j + C) below[R][C - 1](row + i, row + j, smaller(larger_of(start, own), j), j, row + i);
      }
    }
    double lower[BAND * BAND], inverse[BAND];
    memset(lower, 0, sizeof lower);
    memset(inverse, 0, sizeof inverse);
    for (int c = 0; c < wide; c++) {
      const int begin = larger_of(first ? first[panel + c] : 0, panel);
      for (int k = begin; k < panel + c; k++) lower[(k - panel) * BAND + c] = row[panel + c][k][0];
      inverse[c] = row[panel + c][panel + c][0];
    }
    wide_band(row, first, pivots, under, all, panel, wide, lower, inverse);
  }
}

/* front_update. */
static void wide_update(vd *const *a, const int *first_a, int high, vd *const *b, const int *first_b, int wide, int pivots,
                        int add, vd *const *out) {
  double packed[LONG_DEPTH * BAND];
  const int own = a == b;
  for (int j = 0; j < wide; j += BAND) {
    const int count = smaller(BAND, wide - j), most = start_of(first_b, j, count);
    for (int piece = 0; piece < (pivots ? pivots : 1); piece += LONG_DEPTH) {
      const int stop = smaller(piece + LONG_DEPTH, pivots), from = smaller(larger_of(most, piece), stop);
      wide_pack(b + j, first_b ? first_b + j : 0, count, from, stop, packed);
      for (int i = own ? j : 0, R; i < high; i += R) {
        R = tile_rows(high - i);
        const int k = smaller(larger_of(start_of(first_a, i, R), from), stop);
        if (k >= stop && (add || piece)) continue;
        const struct band B = {.begin = k, .end = stop, .packed = packed + (k - from) * BAND, .column = j, .wide = count,
                        .edge = own ? i - j + 1 : BAND, .fresh = !(add || piece)};
        wide_tile(R, a + i, out + i, &B);
      }
    }
  }
}
