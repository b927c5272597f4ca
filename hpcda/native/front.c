/* Cholesky of symmetric matrices of W paths at once: one path a lane.
   A front holds unknowns that are eliminated together, `pivots`, and `rest` rows that are not; row[i] is where row i is
   kept, the pivots' own rows up to their diagonal, which becomes the inverse of Cholesky's. Where `first` is given,
   row i is 0 before column first[i] (an envelope: A. George, J. W. H. Liu, Computer Solution of Large Sparse Positive
   Definite Systems, Prentice-Hall 1981, chapter 4). A tile begins where the first of its rows does, so that a row is
   kept from where any of the HALO rows before and after it begins, in steps of 4 columns.
   Left-looking, in panels of PANEL columns and pieces of DEPTH earlier columns, which the caches hold; the sums of a
   tile of rows and columns stay in registers. Whatever the tiles, every entry is its start minus the products of earlier
   columns, one after the other, each by one rounding: they do not change the bits.
   Golub & Van Loan, Matrix Computations, 4th ed., Johns Hopkins 2013, section 4.2. */

#pragma once

#include "lanes.h"

#define FRONT_TINY 1e-14
#define UNROLL _Pragma("GCC unroll 8")
#if (defined(__AVX512F__) && W == 8) || (defined(__AVX2__) && W == 4)
#define ONE_LOAD(x) __asm__("" : "+v"(x));   /* compilers else load it again for every product */
#else
#define ONE_LOAD(x)
#endif
#define PANEL 64
#define WIDE_PIVOTS 4                 /* columns from which one path alone has them in vectors (front_wide.c) */
#define DEPTH 64
#define WIDTH 64                      /* rows of the other side in a piece of a Schur complement */
#if defined(__AVX512F__)
#define HIGH_TILE 6                   /* 32 registers */
#else
#define HIGH_TILE 4
#endif

/* s[r][c] -= a[r][k] b[c][k], k from `begin` to `end`: what there is less of, of rows and columns, stays in registers. */
#define SUMS(R, C)                                                                     \
  for (int k = begin; k < end; k++) {                                                  \
    vd l[R < C ? R : C];                                                               \
    if (R < C) {                                                                       \
      UNROLL for (int r = 0; r < R; r++) l[r] = a[r][k];                               \
      UNROLL for (int c = 0; c < C; c++) {                                             \
        vd x = b[c][k];                                                                \
        ONE_LOAD(x)                                                                    \
        UNROLL for (int r = 0; r < R; r++) s[r][c] = v_fnma(l[r], x, s[r][c]);         \
      }                                                                                \
    } else {                                                                           \
      UNROLL for (int c = 0; c < C; c++) l[c] = b[c][k];                               \
      UNROLL for (int r = 0; r < R; r++) {                                             \
        vd x = a[r][k];                                                                \
        ONE_LOAD(x)                                                                    \
        UNROLL for (int c = 0; c < C; c++) s[r][c] = v_fnma(x, l[c], s[r][c]);         \
      }                                                                                \
    }                                                                                  \
  }

#define OPERANDS(R, C)                                                                 \
  vd s[R][C], *a[R], *b[C];                                                            \
  UNROLL for (int r = 0; r < R; r++) a[r] = rows[r];                                   \
  UNROLL for (int c = 0; c < C; c++) b[c] = columns[c];

/* out[r][j + c] = start - a[r] . b[c]; start: what `from` holds there, or 0. Of a tile that reaches over the diagonal, the
   entries with c <= r + edge alone. */
#define LESS(R, C)                                                                     \
  static void less_##R##_##C(vd *const *rows, vd *const *columns, int begin, int end, vd *const *from, vd *const *out, \
                             int j, int edge) {                                        \
    OPERANDS(R, C)                                                                     \
    if (edge >= C - 1) {                                                               \
      UNROLL for (int r = 0; r < R; r++)                                               \
        UNROLL for (int c = 0; c < C; c++) s[r][c] = from ? from[r][j + c] : v_all(0); \
    } else {                                                                           \
      UNROLL for (int r = 0; r < R; r++)                                               \
        UNROLL for (int c = 0; c < C; c++) s[r][c] = from && c <= r + edge ? from[r][j + c] : v_all(0); \
    }                                                                                  \
    SUMS(R, C)                                                                         \
    if (edge >= C - 1) {                                                               \
      UNROLL for (int r = 0; r < R; r++)                                               \
        UNROLL for (int c = 0; c < C; c++) out[r][j + c] = s[r][c];                    \
    } else {                                                                           \
      UNROLL for (int r = 0; r < R; r++)                                               \
        UNROLL for (int c = 0; c < C; c++)                                             \
          if (c <= r + edge) out[r][j + c] = s[r][c];                                  \
    }                                                                                  \
  }

/* R rows below the diagonal tile at column `end`, C wide, which is factorized. */
#define BELOW(R, C)                                                                    \
  static void below_##R##_##C(vd *const *rows, vd *const *columns, int begin, int end, vd *const *from) { \
    OPERANDS(R, C)                                                                     \
    UNROLL for (int r = 0; r < R; r++)                                                 \
      UNROLL for (int c = 0; c < C; c++) s[r][c] = from[r][end + c];                   \
    SUMS(R, C)                                                                         \
    UNROLL for (int c = 0; c < C; c++)                                                 \
      UNROLL for (int r = 0; r < R; r++) {                                             \
        UNROLL for (int d = 0; d < c; d++) s[r][c] = v_fnma(s[r][d], b[c][end + d], s[r][c]); \
        s[r][c] *= b[c][end + c];                                                      \
        a[r][end + c] = s[r][c];                                                       \
      }                                                                                \
  }

/* The diagonal tile itself; `bad`: lanes in which a pivot was not positive. */
#define CORNER(C)                                                                      \
  static void corner_##C(vd *const *rows, int begin, int end, vl *bad) {               \
    vd *const *columns = rows, whole[C];                                               \
    OPERANDS(C, C)                                                                     \
    UNROLL for (int r = 0; r < C; r++)                                                 \
      UNROLL for (int c = 0; c < C; c++) s[r][c] = c <= r ? a[r][end + c] : v_all(0);  \
    UNROLL for (int c = 0; c < C; c++) whole[c] = s[c][c];                             \
    SUMS(C, C)                                                                         \
    UNROLL for (int c = 0; c < C; c++) {                                               \
      UNROLL for (int d = 0; d < c; d++) s[c][c] = v_fnma(s[c][d], s[c][d], s[c][c]);  \
      const vl good = s[c][c] > FRONT_TINY * whole[c];                                 \
      *bad |= ~good;                                                                   \
      const vd inverse = 1.0 / v_sqrt(v_if(good, s[c][c], v_all(1)));                  \
      a[c][end + c] = inverse;                                                         \
      UNROLL for (int r = c + 1; r < C; r++) {                                         \
        UNROLL for (int d = 0; d < c; d++) s[r][c] = v_fnma(s[r][d], s[c][d], s[r][c]); \
        s[r][c] *= inverse;                                                            \
        a[r][end + c] = s[r][c];                                                       \
      }                                                                                \
    }                                                                                  \
  }

#define WIDE_TILES(F, R) F(R, 1) F(R, 2) F(R, 3) F(R, 4)
#define EACH_TILE(F) WIDE_TILES(F, 1) WIDE_TILES(F, 2) WIDE_TILES(F, 3) WIDE_TILES(F, 4)
EACH_TILE(LESS)
EACH_TILE(BELOW)
#define ROW_OF_TILES(name, R) {name##_##R##_1, name##_##R##_2, name##_##R##_3, name##_##R##_4}
#define SMALL_TILES(name) {}, ROW_OF_TILES(name, 1), ROW_OF_TILES(name, 2), ROW_OF_TILES(name, 3), ROW_OF_TILES(name, 4)
#if HIGH_TILE == 6
WIDE_TILES(LESS, 6)
WIDE_TILES(BELOW, 6)
#define ALL_TILES(name) SMALL_TILES(name), {}, ROW_OF_TILES(name, 6)
#else
#define ALL_TILES(name) SMALL_TILES(name)
#endif
CORNER(1) CORNER(2) CORNER(3) CORNER(4)

static void (*const less[HIGH_TILE + 1][4])(vd *const *, vd *const *, int, int, vd *const *, vd *const *, int, int) = {
  ALL_TILES(less)};
static void (*const below[HIGH_TILE + 1][4])(vd *const *, vd *const *, int, int, vd *const *) = {ALL_TILES(below)};
static void (*const corner[4])(vd *const *, int, int, vl *) = {corner_1, corner_2, corner_3, corner_4};

static inline int smaller(int a, int b) { return a < b ? a : b; }
static inline int larger_of(int a, int b) { return a > b ? a : b; }

/* How many of `left` rows the next tile takes. */
static inline int tile_rows(int left) {
#if HIGH_TILE == 6
  return left <= 4 ? left : left == 5 || left == 7 || left == 8 ? 4 : 6;
#else
  return left <= 4 ? left : left == 5 || left == 8 ? 4 : 3;   /* 3 x 4 sums, 3 kept and 1 that passes: 16 registers */
#endif
}

/* The first column in which any of `count` rows is not 0. */
static inline int start_of(const int *first, int row, int count) {
  if (!first) return 0;
  int start = first[row];
  for (int i = 1; i < count; i++) start = smaller(start, first[row + i]);
  return start;
}

#if W == 1
#include "front_wide.c"
#endif

/* Take the columns before `panel` out of rows `begin` to `end`, columns panel to panel + wide. */
static void front_earlier(vd *const *row, vd *const *from, const int *first, int begin, int end, int panel, int wide) {
  for (int piece = 0; piece < panel; piece += DEPTH) {
    const int stop = smaller(piece + DEPTH, panel);
    for (int i = begin, R; i < end; i += R) {
      R = tile_rows(end - i);
      const int start = start_of(first, i, R), some = larger_of(start, piece);
      if (some >= stop) continue;
      for (int j = panel; j < panel + wide && j < i + R; j += 4) {
        const int C = smaller(4, panel + wide - j), k = larger_of(start_of(first, j, C), some);
        if (k >= stop && from == row) continue;
        less[R][C - 1](row + i, row + j, k, stop, (start >= piece ? from : row) + i, row + i, j, i - j);
      }
    }
  }
}

/* The same as below, of a front of one panel whose rows all begin at column 0: without looking for where they begin. */
static inline void eliminate_full(vd *const *row, vd *const *from, int pivots, int all, vl *bad) {
  for (int j = 0, C; j < pivots; j += C) {
    C = smaller(4, pivots - j);
    corner[C - 1](row + j, 0, j, bad);
    for (int i = j + C, R; i < all; i += R) {
      R = tile_rows((i < pivots ? pivots : all) - i);
      below[R][C - 1](row + i, row + j, 0, j, (i < pivots ? row : from) + i);
    }
  }
}

/* Eliminate the pivots of a front with `rest` further rows; `bad`: lanes in which it is not positive definite. What the
   rest rows hold before is in `from`, which may be `row`. */
STAGE void front_eliminate(vd *const *row, vd *const *from, const int *first, int pivots, int rest, vl *bad) {
  const int all = pivots + rest;
#if W == 1
  if (from == row && pivots >= WIDE_PIVOTS) {
    wide_eliminate(row, first, pivots, rest, bad);
    return;
  }
#endif
  if (!first && pivots <= PANEL) {
    eliminate_full(row, from, pivots, all, bad);
    return;
  }
  for (int panel = 0; panel < pivots; panel += PANEL) {
    const int wide = smaller(PANEL, pivots - panel), under = panel + wide;
    front_earlier(row, row, first, panel, pivots, panel, wide);
    front_earlier(row, from, first, pivots, all, panel, wide);
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
    for (int i = under, R; i < all; i += R) {
      R = tile_rows((i < pivots ? pivots : all) - i);
      const int start = start_of(first, i, R);
      for (int j = panel, C; j < under; j += C) {
        C = smaller(4, under - j);
        if (start >= j + C) continue;
        const int most = larger_of(larger_of(start, start_of(first, j, C)), panel);
        below[R][C - 1](row + i, row + j, smaller(most, j), j, (i < pivots || start < panel ? row : from) + i);
      }
    }
  }
}

/* The same as below, of few rows that all begin at column 0. */
static inline void update_full(vd *const *a, int high, vd *const *b, int wide, int pivots, int add, vd *const *out) {
  const int own = a == b;
  for (int i = 0, R; i < high; i += R) {
    R = tile_rows(high - i);
    for (int j = 0, C; j < wide && (!own || j < i + R); j += C) {
      C = smaller(4, wide - j);
      less[R][C - 1](a + i, b + j, 0, pivots, add ? out + i : 0, out + i, j, own ? i - j : 4);
    }
  }
}

/* Rows out = -A B', or, with `add`, out - A B': A the rows from `a`, B those from `b`; where they are the same, the lower
   part. `first_a`, `first_b`: the columns where these rows begin, or null. */
STAGE void front_update(vd *const *a, const int *first_a, int high, vd *const *b, const int *first_b, int wide, int pivots,
                        int add, vd *const *out) {
#if W == 1
  if (wide >= WIDE_PIVOTS) {
    wide_update(a, first_a, high, b, first_b, wide, pivots, add, out);
    return;
  }
#endif
  const int own = a == b;
  if (!first_a && !first_b && pivots <= DEPTH && wide <= WIDTH) {
    update_full(a, high, b, wide, pivots, add, out);
    return;
  }
  for (int block = 0; block < wide; block += WIDTH)
    for (int piece = 0; piece < (pivots ? pivots : 1); piece += DEPTH) {
      const int stop = smaller(piece + DEPTH, pivots), end = smaller(block + WIDTH, wide);
      for (int i = own ? block : 0, R; i < high; i += R) {
        R = tile_rows(high - i);
        const int start = start_of(first_a, i, R);
        for (int j = block, C; j < end && (!own || j < i + R); j += C) {
          C = smaller(4, end - j);
          const int k = larger_of(larger_of(start, start_of(first_b, j, C)), piece);
          if (k >= stop && (add || piece)) continue;
          less[R][C - 1](a + i, b + j, smaller(k, stop), stop, add || piece ? out + i : 0, out + i, j, own ? i - j : 4);
        }
      }
    }
}

static inline vd front_dot(vd sum, const vd *a, const vd *y, int count) {
  vd odd = v_all(0);
  int k = 0;
  for (; k + 1 < count; k += 2) sum = v_fnma(a[k], y[k], sum), odd = v_fnma(a[k + 1], y[k + 1], odd);
  return k < count ? v_fnma(a[k], y[k], sum + odd) : sum + odd;
}
