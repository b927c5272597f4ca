/* What elimination in an order leads to, from the pattern alone: the elimination tree and the entries of each column
   (J. W. H. Liu, SIAM J. Matrix Anal. Appl. 11, 134, 1990), and an order of approximate minimum degree (P. R. Amestoy,
   T. A. Davis, I. S. Duff, SIAM J. Matrix Anal. Appl. 17, 886, 1996). A pattern is symmetric and full: begins of the rows,
   columns. All loops run in a fixed order: the same pattern gives the same result everywhere. */

#include <stdlib.h>
#include <string.h>

/* Parent of every column of the factor, or -1, and its entries below the diagonal; order[k]: the unknown eliminated as
   k-th, place: its inverse. Returns 0, or 1 where memory is short. */
ENTRY int columns(int n, const int *begin, const int *column, const int *order, const int *place, int *parent, int *below) {
  int *ancestor = malloc(sizeof(int) * n), *mark = malloc(sizeof(int) * n);
  if (!ancestor || !mark) return free(ancestor), free(mark), 1;
  for (int k = 0; k < n; k++) {
    const int i = order[k];
    parent[k] = ancestor[k] = -1, below[k] = 0;
    for (int e = begin[i]; e < begin[i + 1]; e++)
      for (int j = place[column[e]], next; j < k && j != -1; j = next) {
        next = ancestor[j], ancestor[j] = k;
        if (next == -1) parent[j] = k;
        if (next == k) break;
      }
  }
  for (int k = 0; k < n; k++) mark[k] = -1;
  for (int k = 0; k < n; k++) {
    const int i = order[k];
    mark[k] = k;
    for (int e = begin[i]; e < begin[i + 1]; e++)
      for (int j = place[column[e]]; j < k && mark[j] != k; j = parent[j]) below[j]++, mark[j] = k;
  }
  return free(ancestor), free(mark), 0;
}

typedef struct {                   /* variables by degree, and the members of each */
  int *degree, *head, *next, *before;
} Degrees;

static void enter(Degrees *Q, int i, int degree) {
  Q->degree[i] = degree;
  Q->before[i] = -1, Q->next[i] = Q->head[degree];
  if (Q->next[i] >= 0) Q->before[Q->next[i]] = i;
  Q->head[degree] = i;
}

static void leave(Degrees *Q, int i) {
  if (Q->next[i] >= 0) Q->before[Q->next[i]] = Q->before[i];
  if (Q->before[i] >= 0) Q->next[Q->before[i]] = Q->next[i];
  else Q->head[Q->degree[i]] = Q->next[i];
}

/* An order of small degree. Unknowns with `late` are not eliminated but stand for the rest of the matrix: they follow in
   their natural order. Returns 0, or 1 where memory is short. */
ENTRY int minimum_degree(int n, const int *begin, const int *column, const char *late, int *order) {
  const size_t row = sizeof(int) * (n + 1);
  int *room = calloc(18 * (size_t)(n + 1) + (size_t)begin[n], sizeof(int));
  int **inside = calloc(n + 1, sizeof(int *));
  if (!room || !inside) return free(room), free(inside), 1;
  int *p = room;
#define ROOM(name) int *name = p; p += n + 1;
  ROOM(at) ROOM(elements) ROOM(variables) ROOM(size) ROOM(count) ROOM(weight) ROOM(member) ROOM(last) ROOM(degree)
  ROOM(head) ROOM(next) ROOM(before) ROOM(stamp) ROOM(outside) ROOM(bucket) ROOM(chain) ROOM(hash) ROOM(found)
  int *list = p, done = 0, total = 0, stamps = 0, failed = 0;
  Degrees Q = {.degree = degree, .head = head, .next = next, .before = before};
  memset(head, -1, row), memset(bucket, -1, row);
  for (int i = 0; i < n; i++) {
    at[i] = begin[i], weight[i] = 1, member[i] = -1, last[i] = i;
    for (int e = begin[i]; e < begin[i + 1]; e++)
      if (column[e] != i) list[at[i] + variables[i]++] = column[e];
    total += !late[i];
  }
  for (int i = n - 1; i >= 0; i--)
    if (!late[i]) enter(&Q, i, variables[i]);
  int least = 0, placed = 0;
  while (done < total) {
    while (head[least] < 0) least++;
    const int pivot = head[least];
    leave(&Q, pivot);
    /* The element that the pivot becomes: all variables that it meets. */
    int met = 0, sum = 0, most = variables[pivot];
    for (int k = 0; k < elements[pivot]; k++) most += count[list[at[pivot] + k]];
    int *own = malloc(sizeof(int) * (most + 1));
    if (!own) { failed = 1; break; }
    const int seen = ++stamps;
    stamp[pivot] = seen;
    for (int k = -1; k < elements[pivot]; k++) {
      const int e = k < 0 ? -1 : list[at[pivot] + k];
      const int *from = k < 0 ? list + at[pivot] + elements[pivot] : inside[e];
      const int many = k < 0 ? variables[pivot] : count[e];
      for (int m = 0; m < many; m++) {
        const int i = from[m];
        if (!weight[i] || stamp[i] == seen) continue;
        stamp[i] = seen, own[met++] = i, sum += weight[i];
      }
      if (k >= 0) free(inside[e]), inside[e] = 0, count[e] = 0;
    }
    placed = weight[pivot], weight[pivot] = 0;
    /* How much of every other element lies outside of it. */
    const int fresh = ++stamps;
    for (int m = 0; m < met; m++)
      for (int k = 0, i = own[m]; k < elements[i]; k++) {
        const int e = list[at[i] + k];
        if (!inside[e]) continue;
        if (found[e] != fresh) found[e] = fresh, outside[e] = size[e];
        outside[e] -= weight[i];
      }
    inside[pivot] = own, size[pivot] = sum;
    for (int m = 0; m < met; m++) {
      const int i = own[m];
      int kept = 0, others = 0, far = 0;
      unsigned key = (unsigned)pivot;
      for (int k = 0; k < elements[i]; k++) {
        const int e = list[at[i] + k];
        if (!inside[e] || outside[e] == 0) continue;   /* gone, or all of it is in the new one */
        far += outside[e], key += (unsigned)e, list[at[i] + kept++] = e;
      }
      int *to = list + at[i] + kept;
      const int *variable = list + at[i] + elements[i];
      for (int k = 0; k < variables[i]; k++) {
        const int j = variable[k];
        if (!weight[j] || stamp[j] == seen) continue;
        far += weight[j], key += (unsigned)j, to[others++] = j;
      }
      /* The pivot takes the first place; there is room, as what tied the row to it is gone. */
      memmove(list + at[i] + 1, list + at[i], sizeof(int) * (kept + others));
      list[at[i]] = pivot;
      elements[i] = kept + 1, variables[i] = others, hash[i] = (int)(key % (unsigned)n);
      if (!late[i]) {
        leave(&Q, i);
        int limit = n - done - placed - 1, bound = degree[i] + sum - weight[i];
        far += sum - weight[i];
        if (far < bound) bound = far;
        if (limit < bound) bound = limit;
        degree[i] = bound > 0 ? bound : 0;
      }
    }
    /* Eliminated with it: variables that meet nothing else. */
    for (int m = 0; m < met; m++) {
      const int i = own[m];
      if (late[i] || elements[i] != 1 || variables[i]) continue;
      placed += weight[i], sum -= weight[i], weight[i] = 0;
      member[last[pivot]] = i, last[pivot] = last[i];
    }
    /* Variables that meet the same become one. */
    for (int m = 0; m < met; m++) {
      const int i = own[m];
      if (!weight[i]) continue;
      for (int j = bucket[hash[i]]; j >= 0; j = chain[j]) {
        if (late[i] != late[j] || elements[i] != elements[j] || variables[i] != variables[j]) continue;
        const int many = elements[i] + variables[i], same = ++stamps;
        int k = 0;
        for (k = 0; k < many; k++) {
          const int x = list[at[i] + k];
          if (k < elements[i]) found[x] = same; else outside[x] = -same;
        }
        for (k = 0; k < many; k++) {
          const int x = list[at[j] + k];
          if (k < elements[j] ? found[x] != same : outside[x] != -same) break;
        }
        if (k < many) continue;
        degree[j] -= weight[i];
        weight[j] += weight[i], weight[i] = 0;
        member[last[j]] = i, last[j] = last[i];
        break;
      }
      if (weight[i]) chain[i] = bucket[hash[i]], bucket[hash[i]] = i;
    }
    int left = 0;
    for (int m = 0; m < met; m++) {
      const int i = own[m];
      bucket[hash[i]] = -1;
      if (!weight[i]) continue;
      own[left++] = i;
      if (late[i]) continue;
      if (degree[i] < 0) degree[i] = 0;
      enter(&Q, i, degree[i]);
      if (degree[i] < least) least = degree[i];
    }
    count[pivot] = left, size[pivot] = sum;
    for (int i = pivot; i >= 0; i = member[i]) order[done++] = i;
  }
  for (int i = 0; i < n; i++) free(inside[i]);
  for (int i = 0; i < n && !failed; i++)
    if (late[i]) order[done++] = i;
  return free(room), free(inside), failed;
}

/* Columns in an order in which every subtree stands together; children before, in their order. */
ENTRY void postorder(int n, const int *parent, int *order, int *child, int *sibling) {
  for (int k = 0; k < n; k++) child[k] = -1;
  int root = -1, done = 0;
  for (int k = n - 1; k >= 0; k--) {
    int *list = parent[k] < 0 ? &root : child + parent[k];
    sibling[k] = *list, *list = k;
  }
  for (int top = root; top >= 0;) {
    while (child[top] >= 0) top = child[top];
    for (;;) {
      order[done++] = top;
      if (sibling[top] >= 0) { top = sibling[top]; break; }
      top = parent[top];
      if (top < 0) return;
    }
  }
}

/* Columns that make a front together: group[k], named by its last column. A column joins its largest child's group where
   it has all rows of that child, or the group is not larger than `most`: rows that begin later cost nothing. Smaller
   children follow where zeros that they bring cost less than a front of their own: `each` operations, and `moved` for
   each number that is left. The last `apart` columns are a group by themselves. */
ENTRY int merge(int n, int most, double each, double moved, int apart, const int *parent, const int *below, int *group,
          int *pivots) {
  const int inside = n - apart;
  int *largest = malloc(sizeof(int) * (n + 1));
  if (!largest) return 1;
  for (int k = 0; k < n; k++) group[k] = k < inside ? k : n - 1, pivots[k] = 1, largest[k] = -1;
  for (int k = 0; k < inside; k++) {
    const int up = parent[k];
    if (up >= 0 && (largest[up] < 0 || below[k] >= below[largest[up]])) largest[up] = k;
  }
  for (int k = 0; k < inside; k++) {
    const int up = parent[k];
    if (up < 0 || up >= inside || largest[up] != k) continue;
    if (below[k] == below[up] + 1 || pivots[k] < most) group[k] = up, pivots[up] += pivots[k];
  }
  for (int k = 0; k < inside; k++) {
    const int up = parent[k];
    if (up < 0 || up >= inside || largest[up] == k || pivots[k] + pivots[up] > 2 * most) continue;
    const double main = pivots[up] - 1, rows = below[k], all = main + below[up] + 1;
    if (rows * main * (main / 2 + all) < each + moved * rows * rows / 2) group[k] = up, pivots[up] += pivots[k];
  }
  for (int k = inside - 1; k >= 0; k--) group[k] = group[k] == k ? k : group[group[k]];
  return free(largest), 0;
}
