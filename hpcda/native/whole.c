/* Elimination of the whole Newton system in a tree of fronts. Included after bounds.c; of `Batch` it uses the tree, and
   `shared`, the number of unknowns at the end that are not eliminated. */

/* Take the unknowns that are closed out of the whole system: they move by what their right-hand side says. */
STAGE void close_unknowns(const Batch *B) {
  const Tree *T = B->tree;
  const int tail = B->size - B->shared;
  vd shut = v_all(1);
  for (int i = 0; i < tail; i++) shut *= B->open[i];
  if (!any(shut == 0)) return;
  for (long long e = 0; e < T->entry[T->fronts]; e++) {
    const int i = B->entry_row[e], j = B->entry_column[e];
    vd *value = B->slots_of_all + T->source[e];
    const vd a = *value, open = B->open[j], place = v_if(open == 0, B->step[j], v_all(0));
    if (i == j) {
      *value = a * open;
    } else if (i >= tail) {
      B->step[i] -= a * place;
      *value = a * open;
    } else {
      const vd other = B->open[i], there = v_if(other == 0, B->step[i], v_all(0));
      B->step[i] -= other * a * place;
      B->step[j] -= open * a * there;
      *value = a * open * other;
    }
  }
}

/* Eliminate all unknowns but the constants in the tree; the right-hand side is solved as the matrix is factorized. */
STAGE void eliminate_all(const Batch *B, const Tick *tick, vl *bad) {
  const Tree *T = B->tree;
  const int tail = B->size - B->shared;
  close_unknowns(B);
  for (int i = 0; i < B->size; i++)
    B->diagonal[i] = i < tail ? B->open[i] * added(B, i, tick) + (1.0 - B->open[i]) : v_all(0);
  for (int k = 0; k < B->size; k++) B->ordered[k] = B->step[T->order[k]];
  tree_factorize(T, B->slots_of_all, B->diagonal, B->factor, B->left, B->ordered, bad, 0, B->rows);
}

/* Steps of all unknowns, those of the constants known. */
STAGE void substitute_all(const Batch *B) {
  const Tree *T = B->tree;
  const int tail = B->size - B->shared;
  for (int k = tail; k < B->size; k++) B->ordered[k] = B->step[k];
  for (int f = T->fronts - 1 - T->open; f >= 0; f--) tree_backward(T, f, B->factor, B->ordered, B->rows);
  for (int k = 0; k < tail; k++) B->step[T->order[k]] = B->ordered[k];
}
