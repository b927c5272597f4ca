/* Cholesky of symmetric matrices, block-tridiagonal in time with a border, of W paths at once: one path a lane.
   A front holds the unknowns of one interval: `pivots` that are eliminated, and `rest` rows that are not; row[i] is
   where row i is kept, the pivots' own rows up to their diagonal, which becomes the inverse of Cholesky's.
   Left-looking in panels of 4 columns; the sums of a 4 x 4 tile stay in registers.
   Golub & Van Loan, Matrix Computations, 4th ed., Johns Hopkins 2013, section 4.2. */

#include "lanes.h"

#define FRONT_TINY 1e-14
#define UNROLL _Pragma("GCC unroll 8")

/* Rows against earlier rows: s[r][c] = start - sum over k of a[r][k] b[c][k]. */
#define SUMS(R, C, K)                                                                  \
  for (int k = 0; k < (K); k++) {                                                      \
    vd l[C];                                                                           \
    UNROLL for (int c = 0; c < C; c++) l[c] = b[c][k];                                 \
    UNROLL for (int r = 0; r < R; r++) {                                               \
      const vd x = a[r][k];                                                            \
      UNROLL for (int c = 0; c < C; c++) s[r][c] = v_fnma(x, l[c], s[r][c]);           \
    }                                                                                  \
  }

/* R rows below the diagonal tile of a panel of C columns that begins at column j. */
#define BELOW(R, C)                                                                    \
  static void below_##R##_##C(vd *const *rows, vd *const *from, vd *const *panel, int j) { \
    vd s[R][C], *a[R], *b[C];                                                          \
    UNROLL for (int r = 0; r < R; r++) a[r] = rows[r];                                 \
    UNROLL for (int c = 0; c < C; c++) b[c] = panel[c];                                \
    UNROLL for (int r = 0; r < R; r++)                                                 \
      UNROLL for (int c = 0; c < C; c++) s[r][c] = from[r][j + c];                     \
    SUMS(R, C, j)                                                                      \
    UNROLL for (int c = 0; c < C; c++)                                                 \
      UNROLL for (int r = 0; r < R; r++) {                                             \
        UNROLL for (int d = 0; d < c; d++) s[r][c] = v_fnma(s[r][d], b[c][j + d], s[r][c]); \
        s[r][c] *= b[c][j + c];                                                        \
        a[r][j + c] = s[r][c];                                                         \
      }                                                                                \
  }

/* The diagonal tile itself; `bad`: lanes in which a pivot was not positive. */
#define CORNER(C)                                                                      \
  static void corner_##C(vd *const *panel, int j, vl *bad) {                           \
    vd s[C][C], *a[C], *b[C], whole[C];                                                \
    UNROLL for (int c = 0; c < C; c++) a[c] = b[c] = panel[c];                         \
    UNROLL for (int r = 0; r < C; r++)                                                 \
      UNROLL for (int c = 0; c < C; c++) s[r][c] = c <= r ? a[r][j + c] : v_all(0);    \
    UNROLL for (int c = 0; c < C; c++) whole[c] = s[c][c];                             \
    SUMS(C, C, j)                                                                      \
    UNROLL for (int c = 0; c < C; c++) {                                               \
      UNROLL for (int d = 0; d < c; d++) s[c][c] = v_fnma(s[c][d], s[c][d], s[c][c]);  \
      const vl good = s[c][c] > FRONT_TINY * whole[c];                                 \
      *bad |= ~good;                                                                   \
      const vd inverse = 1.0 / v_sqrt(v_if(good, s[c][c], v_all(1)));                  \
      a[c][j + c] = inverse;                                                           \
      UNROLL for (int r = c + 1; r < C; r++) {                                         \
        UNROLL for (int d = 0; d < c; d++) s[r][c] = v_fnma(s[r][d], s[c][d], s[r][c]); \
        s[r][c] *= inverse;                                                            \
        a[r][j + c] = s[r][c];                                                         \
      }                                                                                \
    }                                                                                  \
  }

/* out[r][c] = start - a[r] . b[c] over all pivots; start: what is there, or 0; of a tile on the diagonal, the lower part. */
#define SCHUR(R, C)                                                                    \
  static void schur_##R##_##C(vd *const *rows, vd *const *columns, int pivots, int add, vd *const *out, int j, \
                              int diagonal) {                                          \
    vd s[R][C], *a[R], *b[C];                                                          \
    UNROLL for (int r = 0; r < R; r++) a[r] = rows[r];                                 \
    UNROLL for (int c = 0; c < C; c++) b[c] = columns[c];                              \
    UNROLL for (int r = 0; r < R; r++)                                                 \
      UNROLL for (int c = 0; c < C; c++) s[r][c] = add && (c <= r || !diagonal) ? out[r][j + c] : v_all(0); \
    SUMS(R, C, pivots)                                                                 \
    UNROLL for (int r = 0; r < R; r++)                                                 \
      UNROLL for (int c = 0; c < C; c++)                                               \
        if (c <= r || !diagonal) out[r][j + c] = s[r][c];                              \
  }

#define EACH_TILE(F) F(1, 1) F(1, 2) F(1, 3) F(1, 4) F(2, 1) F(2, 2) F(2, 3) F(2, 4) \
                     F(3, 1) F(3, 2) F(3, 3) F(3, 4) F(4, 1) F(4, 2) F(4, 3) F(4, 4)
EACH_TILE(BELOW)
EACH_TILE(SCHUR)
CORNER(1) CORNER(2) CORNER(3) CORNER(4)

#define ROW_OF_TILES(name, R) {name##_##R##_1, name##_##R##_2, name##_##R##_3, name##_##R##_4}
static void (*const below[4][4])(vd *const *, vd *const *, vd *const *, int) = {
  ROW_OF_TILES(below, 1), ROW_OF_TILES(below, 2), ROW_OF_TILES(below, 3), ROW_OF_TILES(below, 4)};
static void (*const schur[4][4])(vd *const *, vd *const *, int, int, vd *const *, int, int) = {
  ROW_OF_TILES(schur, 1), ROW_OF_TILES(schur, 2), ROW_OF_TILES(schur, 3), ROW_OF_TILES(schur, 4)};
static void (*const corner[4])(vd *const *, int, vl *) = {corner_1, corner_2, corner_3, corner_4};

static inline int part(int from, int end) { return end - from < 4 ? end - from : 4; }

/* Eliminate the pivots of a front with `rest` further rows; `bad`: lanes in which it is not positive definite. What the
   rest rows hold before is in `from`, which may be `row`. */
STAGE void front_factor(vd *const *row, vd *const *from, int pivots, int rest, vl *bad) {
  for (int j = 0; j < pivots; j += 4) {
    const int C = part(j, pivots);
    corner[C - 1](row + j, j, bad);
    for (int i = j + C, end = pivots; i < pivots + rest; end = pivots + rest)
      for (; i < end;) {
        const int R = part(i, end);
        below[R - 1][C - 1](row + i, (end > pivots ? from : row) + i, row + j, j);
        i += R;
      }
  }
}

/* Rows out = -A B', or, with `add`, out - A B': A the rows from `a`, B those from `b`; where they are the same, the lower
   part. */
STAGE void front_schur(vd *const *a, int high, vd *const *b, int wide, int pivots, int add, vd *const *out) {
  for (int i = 0; i < high; i += 4) {
    const int R = part(i, high);
    for (int j = 0; j < (a == b ? i + R : wide); j += 4)
      schur[R - 1][part(j, wide) - 1](a + i, b + j, pivots, add, out + i, j, a == b && i == j);
  }
}

static inline vd front_dot(vd sum, const vd *a, const vd *y, int count) {
  vd odd = v_all(0);
  int k = 0;
  for (; k + 1 < count; k += 2) sum = v_fnma(a[k], y[k], sum), odd = v_fnma(a[k + 1], y[k + 1], odd);
  return k < count ? v_fnma(a[k], y[k], sum + odd) : sum + odd;
}

/* y := L^-1 y. */
STAGE void front_lower(vd *const *row, int pivots, vd *y) {
  for (int i = 0; i < pivots; i++) y[i] = front_dot(y[i], row[i], y, i) * row[i][i];
}

/* y := y - A' x. */
STAGE void front_meet(vd *const *row, int rows, int pivots, vd *y, const vd *x) {
  int i = 0;
  for (; i + 3 < rows; i += 4) {
    const vd *a = row[i], *b = row[i + 1], *c = row[i + 2], *d = row[i + 3];
    const vd p = x[i], q = x[i + 1], r = x[i + 2], s = x[i + 3];
    for (int k = 0; k < pivots; k++) y[k] -= v_fma(a[k], p, b[k] * q) + v_fma(c[k], r, d[k] * s);
  }
  for (; i < rows; i++)
    for (int k = 0; k < pivots; k++) y[k] = v_fnma(row[i][k], x[i], y[k]);
}

/* y := L^-T y. */
STAGE void front_upper(vd *const *row, int pivots, vd *y) {
  for (int i = pivots - 1; i >= 0; i--) {
    const vd *a = row[i], x = y[i] *= a[i];
    for (int k = 0; k < i; k++) y[k] = v_fnma(a[k], x, y[k]);
  }
}
