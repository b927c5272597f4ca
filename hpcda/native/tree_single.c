/* What Python calls of tree.c. */

#include "tree.c"

ENTRY void tree_factor(const Tree *T, const vd *values, const vd *diagonal, vd *factor, vd *left, int *where, vd **room) {
  vl bad = (vl)v_all(0);
  tree_factorize(T, values, diagonal, factor, left, 0, &bad, where, room);
}

/* Steps of a solution in place: backward, and forward before where that is asked for. */
ENTRY void tree_solve(const Tree *T, vd *factor, vd *y, int forward, vd **room) {
  for (int f = 0; forward && f < T->fronts; f++) tree_forward(T, f, factor, y, room);
  for (int f = T->fronts - 1; f >= 0; f--) tree_backward(T, f, factor, y, room);
}
