"""What is varied: settings, and edits of the compiled code's text that switch one idea off or another on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from unittest import mock

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Lockstep, Settings
from hpcda.native.unit import FOLDER

Edits = tuple[tuple[str, str, str], ...]
"""(file, a text that it holds once, what stands there instead)."""

ONWARD = "        begin_rung(B, l, B->rf[B->rung[l]++]);\n"
BEGIN = "/* A rung of lane l begins:"
BEFORE = "  B->before[l] = before;\n"
ANEW = "tick.anew[l] = -(B->factorizations[l] == 0);"

CLASSIC: Edits = (
    ("lockstep.c", "a.lifted = 1", "a.lifted = 0"),
    (
        "assemble.c",
        "  if (a->lifted)\n    for (int k = 0; k < D; k++) a->mu",
        "  for (int k = 0; k < D; k++) a->mu",
    ),
    ("assemble.c", "  if (a->lifted)\n    for (int k = 0; k < Q * D", "  for (int k = 0; k < Q * D"),
)
"""Second derivatives weighted by Rf s r of the path, as in Newton's method for the action."""

GAUSS_NEWTON: Edits = (
    ("assemble.c", "for (int k = 0; k < D; k++) a->mu[k] *= a->bend;", "memset(a->mu, 0, sizeof(vd) * D);"),
    (
        "assemble.c",
        "for (int k = 0; k < Q * D; k++) a->mu[k] *= a->bend;",
        "memset(a->mu, 0, sizeof(vd) * Q * D);",
    ),
)
"""No second derivatives of the model."""

NO_PAUSE: Edits = (("climb.c", "if (B->bend[l] > 0 && B->weight[l] == 0) {", "if (0) {"),)
"""A matrix that is indefinite is shifted at once."""


def spaced(rule: str) -> Edits:
    """The next rung is `stride[l]` further, which `rule` sets: `n` factorizations were taken at this one."""
    edit = """        const int from = B->rung[l], n = B->factorizations[l];
        if (B->before[l] != 0) { %s }
        const int to = (STATION) ? (from / (STATION) + 1) * (STATION) : B->rungs;
        B->rung[l] = from + stride[l] < to ? from + stride[l] : to;
        if (B->rung[l] >= B->rungs) B->rung[l] = B->rungs - 1;
        keep(B, l, from);
        begin_rung(B, l, B->rf[from]);
"""
    return (
        ("climb.c", ONWARD, edit % rule),
        ("climb.c", BEFORE, BEFORE + "  if (before == 0) stride[l] = FIRST;\n"),
    )


def spacing(rule: str, first: int = 1, station: int = 0, back: str = "") -> Edits:
    """Rungs further apart.

    Args:
        rule: Sets stride[l], in C.
        first: Stride after a start's first rung.
        station: Every so many rungs one is never passed; 0: none.
        back: When a rung more than one further is given up for one half as far, in C; never where empty.
    """
    head = (
        f"#define FIRST {first}\n#define STATION {station}\n"
        + """static int stride[W], last_rung[W], wasted[W];
static double *kept;
static void keep(const Batch *B, int l, int from) {
  static int size;
  if (size != B->size) kept = realloc(kept, sizeof(double) * W * (size = B->size));
  for (int i = 0; i < B->size; i++) kept[(size_t)i * W + l] = B->x[i][l];
  last_rung[l] = from;
}
"""
    )
    edits = (("climb.c", BEGIN, head + BEGIN), *spaced(rule))
    if not back:
        return edits
    retreat = """
      if (!ended[l] && B->before[l] != 0 && B->rung[l] > last_rung[l] + 1 && (%s)) {
        const int spent = wasted[l] + B->factorizations[l];
        for (int i = 0; i < B->size; i++) B->x[i][l] = kept[(size_t)i * W + l];
        stride[l] = (B->rung[l] - last_rung[l]) / 2;
        B->rung[l] = last_rung[l] + stride[l];
        begin_rung(B, l, B->rf[last_rung[l]]);
        wasted[l] = spent, accepted[l] = holding[l] = 0;
        continue;
      }
"""
    limit = "      if (!ended[l] && B->factorizations[l] >= B->most)"
    counted = "  r->factorizations = B->factorizations[l];\n"
    return (
        *edits,
        ("climb.c", limit, retreat % back + limit),
        ("climb.c", counted, "  r->factorizations = B->factorizations[l] + wasted[l];\n  wasted[l] = 0;\n"),
        ("climb.c", "static void record(", "static int wasted[W];\nstatic void record("),
    )


def every(number: int) -> Edits:
    """Every so many rungs of the ladder."""
    return spacing("", first=number)


ADAPTIVE = "stride[l] = n <= 2 ? 2 * stride[l] : n > 4 && stride[l] > 1 ? stride[l] / 2 : stride[l];"
"""Twice as far after 1 or 2 factorizations, half as far after more than 4."""
WHOLE = "stride[l] = B->rungs;"
"""As far as the next station."""
SLOW = "B->factorizations[l] >= 8"
"""The rung takes long."""
FAR = "B->factorizations[l] == 1 && B->taken[l] < 1"
"""The first step is longer than `longest`."""
THIRD = "B->factorizations[l] == 1 && B->length[l] > B->longest * sqrt(B->size) / 3"
"""The first step is longer than a third of it."""


def tangent(scale: str) -> Edits:
    """Before each rung a step along dX/dRf, by the matrix at the last rung's minimum and Rf.

    Args:
        scale: Length in units of Rf dX/dRf, in C, `ratio` the factor from Rf to Rf.
    """
    guess = """
      if (lead[l]) {
        accepted[l] = !bad[l] && B->slope[l] <= 0 && isfinite(B->length[l]) && isfinite(moved);
        lead[l] = 0, guesses++;
        continue;
      }
"""
    counted = "      B->factorizations[l]++, B->value[l] = value;\n"
    aims = f"""
      drive[l] = ahead[l] = 1;
      if (lead[l]) {{
        const double ratio = tick.rf[l] / B->before[l];
        tick.rf[l] = B->before[l], ahead[l] = ratio, drive[l] = 1 + {scale};
      }}
"""
    globals_ = "static vd drive, ahead;\nint guesses;\n"
    force, trial = "a->weight[row] * r[row];", "    const Terms to = probe(B, &tick);\n"
    residuals = "for (int row = 0; !a->lifted && row < rows; row++) lambda[row] = a->weight[row] * r[row];"
    return (
        ("assemble.c", "static inline vd *slot(", globals_ + "static inline vd *slot("),
        ("assemble.c", "a->force[row] = " + force, "a->force[row] = drive * " + force),
        ("assemble.c", "if (!a->lifted) memcpy(lambda, a->force, sizeof(vd) * rows);", residuals),
        ("lockstep.c", "lambda[row] = tick->rf * T->", "lambda[row] = tick->rf * ahead * T->"),
        ("climb.c", BEGIN, "static int lead[W];\n" + BEGIN),
        ("climb.c", BEFORE, BEFORE + "  lead[l] = before != 0;\n"),
        ("climb.c", ANEW, ANEW + aims),
        ("climb.c", counted, counted + guess),
        ("climb.c", trial, "    drive = v_all(1);\n" + trial),
    )  # fmt: skip


def secant(scale: str) -> Edits:
    """Before each rung a step along the last two minima, and the multipliers with it."""
    code = """static double *past, *past_lambda;
static int known[W], led[W];
static void extrapolate(const Batch *B, int l, double ratio) {
  static int size;
  size_t count = 0, at = 0;
  for (int n = 0; n < B->windows; n++)
    count += (size_t)(B->stretch[n].w->N - 1) / B->stretch[n].T->m * B->stretch[n].T->K * B->stretch[n].T->D;
  if (size != B->size) {
    past = realloc(past, sizeof(double) * W * (size = B->size));
    past_lambda = realloc(past_lambda, sizeof(double) * W * count);
  }
  const double far = %s;
  for (int i = 0; i < B->size; i++) {
    const double x = B->x[i][l], to = x + far * (x - past[(size_t)i * W + l]);
    if (known[l]) B->x[i][l] = fmin(fmax(to, B->lower[i]), B->upper[i]);
    past[(size_t)i * W + l] = x;
  }
  for (int n = 0; n < B->windows; n++) {
    const Stretch *s = B->stretch + n;
    const size_t end = (size_t)(s->w->N - 1) / s->T->m * s->T->K * s->T->D;
    for (size_t i = 0; i < end; i++, at++) {
      const double was = s->k->lambda[i][l];
      if (known[l]) s->k->lambda[i][l] = was + far * (was - past_lambda[at * W + l]);
      past_lambda[at * W + l] = was;
    }
  }
  led[l] = known[l], known[l] = 1;
}
"""
    begin = "  led[l] = 0;\n  if (before == 0) known[l] = 0;\n"
    onward = "        extrapolate(B, l, B->rf[B->rung[l]] / B->rf[B->rung[l] - 1]);\n"
    return (
        ("climb.c", BEGIN, code % scale + BEGIN),
        ("climb.c", BEFORE, BEFORE + begin),
        ("climb.c", ONWARD, ONWARD + onward),
        ("climb.c", ANEW, "tick.anew[l] = -(B->factorizations[l] == 0 && !led[l]);"),
    )


@dataclass(frozen=True)
class Variant:
    """One way up the ladder: its idea, settings, and edits of the code."""

    idea: str
    settings: Settings = field(default_factory=Settings)
    edits: Edits = ()


TIGHT = Settings(rung_tolerance=1e-12)
VARIANTS = {
    "default": Variant(""),
    "residual weights": Variant("multipliers", edits=CLASSIC),
    "no second derivatives": Variant("multipliers", edits=GAUSS_NEWTON),
    "tight rungs": Variant("tolerance", TIGHT),
    "rungs 1e-3": Variant("tolerance", Settings(rung_tolerance=1e-3)),
    "residual weights, tight": Variant("tolerance", TIGHT, CLASSIC),
    "tangent": Variant("predictor", edits=tangent("log(ratio)")),
    "tangent in 1/Rf": Variant("predictor", edits=tangent("(1 - 1 / ratio)")),
    "tangent, tight": Variant("predictor", TIGHT, tangent("(1 - 1 / ratio)")),
    "tangent, residual weights": Variant("predictor", edits=(*CLASSIC, *tangent("log(ratio)"))),
    "secant": Variant("predictor", edits=secant("1")),
    "secant in 1/Rf": Variant("predictor", edits=secant("1 / ratio")),
    "secant, tight": Variant("predictor", TIGHT, secant("1 / ratio")),
    "secant, residual weights": Variant("predictor", edits=(*CLASSIC, *secant("1"))),
    "every 2nd": Variant("spacing", edits=every(2)),
    "every 3rd": Variant("spacing", edits=every(3)),
    "every 5th": Variant("spacing", edits=every(5)),
    "every 10th": Variant("spacing", edits=every(10)),
    "adaptive": Variant("spacing", edits=spacing(ADAPTIVE)),
    "adaptive, 5th kept": Variant("spacing", edits=spacing(ADAPTIVE, station=5)),
    "adaptive, back after 8": Variant("spacing", edits=spacing(ADAPTIVE, back=SLOW)),
    "adaptive, back if far": Variant("spacing", edits=spacing(ADAPTIVE, back=FAR)),
    "adaptive, back sooner": Variant("spacing", edits=spacing(ADAPTIVE, back=THIRD)),
    "every 5th, back if far": Variant("spacing", edits=spacing(WHOLE, 1000, 5, FAR)),
    "every 5th, back sooner": Variant("spacing", edits=spacing(WHOLE, 1000, 5, THIRD)),
    "every 10th, back if far": Variant("spacing", edits=spacing(WHOLE, 1000, 10, FAR)),
    "every 10th, back sooner": Variant("spacing", edits=spacing(WHOLE, 1000, 10, THIRD)),
    "last rung, back sooner": Variant("spacing", edits=spacing(WHOLE, 1000, 0, THIRD)),
    "every 5th, residual w.": Variant("spacing", edits=(*CLASSIC, *every(5))),
    "longest 0.01": Variant("steps", Settings(longest=0.01)),
    "longest 0.1": Variant("steps", Settings(longest=0.1)),
    "longest 1": Variant("steps", Settings(longest=1.0)),
    "no pause": Variant("steps", edits=NO_PAUSE),
    "pause up to 4": Variant("steps", edits=(("climb.c", "PAUSE 32", "PAUSE 4"),)),
}  # fmt: skip


class _Text:
    """A package's folder whose files are edited as they are read."""

    def __init__(self, place: Traversable, edits: Edits) -> None:
        self.place, self.edits = place, edits

    def joinpath(self, name: str) -> _Text:
        """A file of it."""
        return _Text(self.place.joinpath(name), tuple(edit for edit in self.edits if edit[0] == name))

    def read_text(self) -> str:
        """The file, edited."""
        text = self.place.read_text()
        for name, old, new in self.edits:
            assert text.count(old) == 1, f"{name} holds {text.count(old)} times: {old}"
            text = text.replace(old, new)
        return text


@contextmanager
def edited(edits: Edits) -> Iterator[None]:
    """Lockstep made here is compiled from edited text."""
    with mock.patch("hpcda.native.unit.FOLDER", _Text(FOLDER, edits)):
        yield


def make(variant: Variant, action: Action, ladder: Ladder, settings: Settings | None = None) -> Lockstep:
    """The lockstep of a variant."""
    with edited(variant.edits):
        return Lockstep(action, ladder, settings=settings or variant.settings)
