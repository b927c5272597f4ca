/* Multifrontal Cholesky of W sparse symmetric matrices of one pattern, one a lane (I. S. Duff, J. K. Reid, ACM Trans. Math.
   Software 9, 302, 1983; J. W. H. Liu, SIAM Review 34, 82, 1992). A front is a dense lower trapezoid of unknowns that are
   eliminated together, `pivots`, and of `rest` rows that meet them; what elimination leaves of the rest is added to the
   parent's front. Rows begin at their first entry that is not 0. All sums run in the order of the tables of tree.py. */

#include "front.c"

typedef struct {
  int fronts, open, size, most;         /* open: the last front is not eliminated; size: unknowns; most: rows of a front */
  const int *pivots, *rest, *begin;     /* [fronts] begin: place of the first pivot in the order */
  const long long *row, *storage, *update, *entry;   /* [fronts + 1] first row, first number, place of what is left, first entry */
  const int *child_begin, *child;       /* [fronts + 1], children of a front, in the order they are added */
  const long long *offset;              /* [rows] where column 0 of a row would stand in the factor */
  const int *first, *place, *parent_row;   /* [rows] first column; place in the order; of the rest, row in the parent */
  const int *source;                    /* [entries] of the matrix's lower triangle, front after front */
  const long long *target;
  const int *order;                     /* [size] unknown at each place */
  long long factor, left;               /* numbers a lane of the factor, and of what is left on the way */
} Tree;

static void tree_rows(const Tree *T, int f, vd *factor, vd **row) {
  const long long from = T->row[f];
  for (int i = 0; i < T->pivots[f] + T->rest[f]; i++) row[i] = factor + T->offset[from + i];
}

static void update_rows(const Tree *T, int f, vd *left, vd **row) {
  vd *at = left + T->update[f];
  for (int i = 0; i < T->rest[f]; at += ++i) row[i] = at;
}

/* Put a front together: entries of the matrix, what is added to its diagonal, and what its children leave. */
STAGE void tree_assemble(const Tree *T, int f, const vd *values, const vd *diagonal, vd *factor, vd *left, vd **room) {
  const int pivots = T->pivots[f], rest = T->rest[f];
  vd **row = room, **own = room + T->most;
  memset(factor + T->storage[f], 0, sizeof(vd) * (T->storage[f + 1] - T->storage[f]));
  if (T->child_begin[f] < T->child_begin[f + 1]) memset(left + T->update[f], 0, sizeof(vd) * rest * (rest + 1) / 2);
  for (long long e = T->entry[f]; e < T->entry[f + 1]; e++) factor[T->target[e]] += values[T->source[e]];
  for (int j = 0; diagonal && j < pivots; j++) row[j][j] += diagonal[T->order[T->begin[f] + j]];
  for (int c = T->child_begin[f]; c < T->child_begin[f + 1]; c++) {
    const int child = T->child[c], count = T->rest[child];
    const int *to = T->parent_row + T->row[child] + T->pivots[child];
    int inside = 0;
    while (inside < count && to[inside] < pivots) inside++;
    const vd *from = left + T->update[child];
    for (int i = 0; i < count; from += ++i) {
      vd *target = row[to[i]];
      for (int j = 0; j <= i && j < inside; j++) target[to[j]] += from[j];
      if (i < inside) continue;
      target = own[to[i] - pivots] - pivots;
      for (int j = inside; j <= i; j++) target[to[j]] += from[j];
    }
  }
}

/* y := L^-1 y of one front, and what that takes from the right-hand side of the rest. */
STAGE void tree_forward(const Tree *T, int f, vd *factor, vd *y, vd **row) {
  const int pivots = T->pivots[f], rest = T->rest[f];
  const int *first = T->first + T->row[f], *place = T->place + T->row[f];
  vd *own = y + T->begin[f];
  tree_rows(T, f, factor, row);
  for (int i = 0; i < pivots; i++) own[i] = front_dot(own[i], row[i] + first[i], own + first[i], i - first[i]) * row[i][i];
  for (int i = pivots; i < pivots + rest; i++)
    y[place[i]] = front_dot(y[place[i]], row[i] + first[i], own + first[i], pivots - first[i]);
}

/* y := L^-T (y - what the rest gives). */
STAGE void tree_backward(const Tree *T, int f, vd *factor, vd *y, vd **row) {
  const int pivots = T->pivots[f], rest = T->rest[f];
  const int *first = T->first + T->row[f], *place = T->place + T->row[f];
  vd *own = y + T->begin[f];
  tree_rows(T, f, factor, row);
  for (int i = pivots; i < pivots + rest; i++) {
    const vd *a = row[i], x = y[place[i]];
    if (i + 1 < pivots + rest && first[i] == first[i + 1]) {
      const vd *b = row[i + 1], z = y[place[i + 1]];
      for (int k = first[i]; k < pivots; k++) own[k] = v_fnma(a[k], x, v_fnma(b[k], z, own[k]));
      i++;
      continue;
    }
    for (int k = first[i]; k < pivots; k++) own[k] = v_fnma(a[k], x, own[k]);
  }
  for (int i = pivots - 1; i >= 0; i--) {
    const vd *a = row[i], x = own[i] *= a[i];
    for (int k = first[i]; k < i; k++) own[k] = v_fnma(a[k], x, own[k]);
  }
}

/* Factorize; `room`: [2 most] for rows; `right`: right-hand sides in the order of elimination, solved forward on the way, or null. Where the last
   front stays open it is put together alone. bad: lanes whose matrix is not positive definite; where: [W] the front in
   which that was found, or null. */
STAGE void tree_factorize(const Tree *T, const vd *values, const vd *diagonal, vd *factor, vd *left, vd *right, vl *bad,
                          int *where, vd **room) {
  vd **row = room, **own = room + T->most;
  for (int f = 0; f < T->fronts; f++) {
    const int pivots = T->pivots[f], rest = T->rest[f];
    const int *first = T->first + T->row[f];
    tree_rows(T, f, factor, row);
    update_rows(T, f, left, own);
    tree_assemble(T, f, values, diagonal, factor, left, room);
    if (T->open && f == T->fronts - 1) break;
    const vl before = *bad;
    front_eliminate(row, row, first, pivots, rest, bad);
    for (int l = 0; where && l < W; l++)
      if ((*bad)[l] && !before[l]) where[l] = f;
    front_update(row + pivots, first + pivots, rest, row + pivots, first + pivots, rest, pivots,
                 T->child_begin[f] < T->child_begin[f + 1], own);
    if (right) tree_forward(T, f, factor, right, row);
  }
}
