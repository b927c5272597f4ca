/* What Python calls of tree.c. */

#include "tree.c"

ENTRY void tree_factor(const Tree *T, const vd *values, const vd *diagonal, vd *factor, vd *left, int *where, vd **room) {
  vl bad = (vl)v_all(0);
  tree_factorize(T, values, diagonal, factor, left, 0, &bad, where, room);
}

/* Steps of a solution in place, forward and backward as asked for; a last front that is open is passed over. */
ENTRY void tree_solve(const Tree *T, vd *factor, vd *y, int forward, int backward, vd **room) {
  const int closed = T->fronts - T->open;
  for (int f = 0; forward && f < closed; f++) tree_forward(T, f, factor, y, room);
  for (int f = closed - 1; backward && f >= 0; f--) tree_backward(T, f, factor, y, room);
}
