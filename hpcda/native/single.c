/* The action of one path, all Hessian values kept. W = 1. */

#include "assemble.c"

/* parts: measurement, model (with rf), walks and priors. Adds to gradp and shared; sets the rest. */
ENTRY void action(const Tables *T, const Window *w, const vd *path, const vd *p, double rf, int want, double *parts, vd *grad,
            vd *gradp, vd *hess, vd *shared, const Work *k, double *misfit, double *slopes) {
  const int intervals = (w->N - 1) / T->m;
  Pass a = {.T = T, .w = w, .k = k, .path = path, .p = p, .rf = v_all(rf), .want = want, .grad = grad, .gradp = gradp};
  a.shared = shared, a.misfit = misfit, a.slopes = slopes;
  if (want > 0) memset(grad, 0, sizeof(vd) * w->N * (T->D + T->V));
  if (want > 1) memset(hess, 0, sizeof(vd) * (intervals + 1) * T->slots);
  begin(&a);
  for (int i = 0; i < intervals; i++) {
    a.own = hess + (size_t)i * T->slots, a.next = a.own + T->slots;
    advance(&a, i, k->rates);
  }
  a.own = hess + (size_t)intervals * T->slots;
  finish(&a);
  parts[0] = a.measurement[0], parts[1] = a.model[0], parts[2] = a.walk[0] + a.prior[0];
}
