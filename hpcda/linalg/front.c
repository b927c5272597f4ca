/* Cholesky of symmetric matrices, block-tridiagonal in time with a border, of W paths at once: one path a lane.
   A front holds the unknowns of one interval: `pivots` that are eliminated, and `rest` rows that are not. Its columns
   are kept as rows: the lower triangle of the pivots row by row, then the rest rows in full. The diagonal holds the
   inverse of Cholesky's. Left-looking in panels of 4 columns; the sums of a 4 x 4 tile stay in registers.
   Golub & Van Loan, Matrix Computations, 4th ed., Johns Hopkins 2013, section 4.2. */

#define FRONT_TINY 1e-14
#define UNROLL _Pragma("GCC unroll 8")

static inline size_t front_size(int pivots, int rest) { return (size_t)pivots * (pivots + 1) / 2 + (size_t)rest * pivots; }

static inline vd *front_row(vd *front, int pivots, int i) {
  return front + (i < pivots ? (size_t)i * (i + 1) / 2 : (size_t)pivots * (pivots + 1) / 2 + (size_t)(i - pivots) * pivots);
}

typedef long long vl __attribute__((vector_size(8 * W), aligned(8)));
static inline vd v_if(vl condition, vd a, vd b) { return (vd)((condition & (vl)a) | (~condition & (vl)b)); }
static inline vd v_root(vd a) { vd r; for (int i = 0; i < W; i++) r[i] = __builtin_sqrt(a[i]); return r; }

/* Rows against earlier rows: s[r][c] = start - sum over k of a[r][k] b[c][k]. */
#define SUMS(R, C, K)                                                                  \
  for (int k = 0; k < (K); k++) {                                                      \
    vd l[C];                                                                           \
    UNROLL for (int c = 0; c < C; c++) l[c] = b[c][k];                                 \
    UNROLL for (int r = 0; r < R; r++) {                                               \
      const vd x = a[r][k];                                                            \
      UNROLL for (int c = 0; c < C; c++) s[r][c] -= x * l[c];                          \
    }                                                                                  \
  }

/* R rows below the diagonal tile of a panel of C columns that begins at column j. */
#define BELOW(R, C)                                                                    \
  static void below_##R##_##C(vd *const *rows, vd *const *panel, int j) {              \
    vd s[R][C], *a[R], *b[C];                                                          \
    UNROLL for (int r = 0; r < R; r++) a[r] = rows[r];                                 \
    UNROLL for (int c = 0; c < C; c++) b[c] = panel[c];                                \
    UNROLL for (int r = 0; r < R; r++)                                                 \
      UNROLL for (int c = 0; c < C; c++) s[r][c] = a[r][j + c];                        \
    SUMS(R, C, j)                                                                      \
    UNROLL for (int c = 0; c < C; c++)                                                 \
      UNROLL for (int r = 0; r < R; r++) {                                             \
        UNROLL for (int d = 0; d < c; d++) s[r][c] -= s[r][d] * b[c][j + d];           \
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
      UNROLL for (int d = 0; d < c; d++) s[c][c] -= s[c][d] * s[c][d];                 \
      const vl good = s[c][c] > FRONT_TINY * whole[c];                                 \
      *bad |= ~good;                                                                   \
      const vd inverse = 1.0 / v_root(v_if(good, s[c][c], v_all(1)));                  \
      a[c][j + c] = inverse;                                                           \
      UNROLL for (int r = c + 1; r < C; r++) {                                         \
        UNROLL for (int d = 0; d < c; d++) s[r][c] -= s[r][d] * s[c][d];               \
        s[r][c] *= inverse;                                                            \
        a[r][j + c] = s[r][c];                                                         \
      }                                                                                \
    }                                                                                  \
  }

/* out[r][c] -= a[r] . b[c] over all pivots. */
#define SCHUR(R, C)                                                                    \
  static void schur_##R##_##C(vd *const *rows, vd *const *columns, int pivots, vd *out, size_t width) { \
    vd s[R][C], *a[R], *b[C];                                                          \
    UNROLL for (int r = 0; r < R; r++) a[r] = rows[r];                                 \
    UNROLL for (int c = 0; c < C; c++) b[c] = columns[c];                              \
    UNROLL for (int r = 0; r < R; r++)                                                 \
      UNROLL for (int c = 0; c < C; c++) s[r][c] = out[r * width + c];                 \
    SUMS(R, C, pivots)                                                                 \
    UNROLL for (int r = 0; r < R; r++)                                                 \
      UNROLL for (int c = 0; c < C; c++) out[r * width + c] = s[r][c];                 \
  }

#define EACH_TILE(F) F(1, 1) F(1, 2) F(1, 3) F(1, 4) F(2, 1) F(2, 2) F(2, 3) F(2, 4) \
                     F(3, 1) F(3, 2) F(3, 3) F(3, 4) F(4, 1) F(4, 2) F(4, 3) F(4, 4)
EACH_TILE(BELOW)
EACH_TILE(SCHUR)
CORNER(1) CORNER(2) CORNER(3) CORNER(4)

#define ROW_OF_TILES(name, R) {name##_##R##_1, name##_##R##_2, name##_##R##_3, name##_##R##_4}
static void (*const below[4][4])(vd *const *, vd *const *, int) = {
  ROW_OF_TILES(below, 1), ROW_OF_TILES(below, 2), ROW_OF_TILES(below, 3), ROW_OF_TILES(below, 4)};
static void (*const schur[4][4])(vd *const *, vd *const *, int, vd *, size_t) = {
  ROW_OF_TILES(schur, 1), ROW_OF_TILES(schur, 2), ROW_OF_TILES(schur, 3), ROW_OF_TILES(schur, 4)};
static void (*const corner[4])(vd *const *, int, vl *) = {corner_1, corner_2, corner_3, corner_4};

static inline int part(int from, int end) { return end - from < 4 ? end - from : 4; }

/* Eliminate the pivots of a front with `rest` further rows. */
static void front_factor(vd *front, int pivots, int rest, vl *bad) {
  vd *panel[4], *rows[4];
  for (int j = 0; j < pivots; j += 4) {
    const int C = part(j, pivots);
    for (int c = 0; c < C; c++) panel[c] = front_row(front, pivots, j + c);
    corner[C - 1](panel, j, bad);
    for (int end = pivots, i = j + C; i < pivots + rest; end = pivots + rest)
      for (; i < end;) {
        const int R = part(i, end);
        for (int r = 0; r < R; r++) rows[r] = front_row(front, pivots, i + r);
        below[R - 1][C - 1](rows, panel, j);
        i += R;
      }
  }
}

/* out -= A B', of `high` rest rows from `row` and `wide` rest rows from `column`; where they are the same, the lower part. */
static void front_schur(vd *front, int pivots, int row, int high, int column, int wide, vd *out, size_t width) {
  vd *rows[4], *columns[4];
  for (int i = 0; i < high; i += 4) {
    const int R = part(i, high);
    for (int r = 0; r < R; r++) rows[r] = front_row(front, pivots, pivots + row + i + r);
    for (int j = 0; j < (row == column ? i + R : wide); j += 4) {
      const int C = part(j, wide);
      for (int c = 0; c < C; c++) columns[c] = front_row(front, pivots, pivots + column + j + c);
      schur[R - 1][C - 1](rows, columns, pivots, out + i * width + j, width);
    }
  }
}

/* Forward substitution: y of the pivots in place; `rest` right-hand sides get what the pivots leave. */
static void front_forward(vd *front, int pivots, vd *y, int rest, vd *const *out) {
  for (int i = 0; i < pivots; i++) {
    const vd *row = front_row(front, pivots, i);
    vd even = y[i], odd = v_all(0);
    int k = 0;
    for (; k + 1 < i; k += 2) even -= row[k] * y[k], odd -= row[k + 1] * y[k + 1];
    if (k < i) even -= row[k] * y[k];
    y[i] = (even + odd) * row[i];
  }
  for (int i = 0; i < rest; i++) {
    const vd *row = front_row(front, pivots, pivots + i);
    vd even = *out[i], odd = v_all(0);
    int k = 0;
    for (; k + 1 < pivots; k += 2) even -= row[k] * y[k], odd -= row[k + 1] * y[k + 1];
    if (k < pivots) even -= row[k] * y[k];
    *out[i] = even + odd;
  }
}

/* Backward substitution, the unknowns of the rest known. */
static void front_backward(vd *front, int pivots, vd *y, int rest, const vd *const *known) {
  for (int i = 0; i < rest; i++) {
    const vd *row = front_row(front, pivots, pivots + i), x = *known[i];
    for (int k = 0; k < pivots; k++) y[k] -= row[k] * x;
  }
  for (int i = pivots - 1; i >= 0; i--) {
    const vd *row = front_row(front, pivots, i);
    const vd x = y[i] *= row[i];
    for (int k = 0; k < i; k++) y[k] -= row[k] * x;
  }
}
