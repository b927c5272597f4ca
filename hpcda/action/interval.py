"""The model errors of one time interval as a kernel, by loops over the stages of the discretization.

The unknowns are those of the interval's points, time after time, then the constants that the model sees; the
kernel's constants are dt, the times of the points, the known series of the points, and the model's constants.
What each stage adds to derivatives is that of `hpcda.action.scheme`; see native/interval.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hpcda.action.kernel import ARGUMENTS, Kernel, Pair, c_array
from hpcda.action.native import Equations
from hpcda.action.weights import interval_steps
from hpcda.native.kernels import source
from hpcda.problem import Array, Problem

_CODE = """{arrays}
static const Interval {name}_interval = {{{numbers}}};
static void {name}_values({arguments}) {{
  (void)s; (void)t; (void)mu;
  interval_values(&{name}_interval, v, c, out);
}}
static void {name}_jacobian({arguments}) {{
  (void)s; (void)t; (void)mu;
  interval_jacobian(&{name}_interval, v, c, out);
}}
static void {name}_hessian({arguments}) {{
  (void)s; (void)t;
  interval_hessian(&{name}_interval, v, c, mu, out);
}}
"""


@dataclass(frozen=True, eq=False)
class IntervalTables:
    """The tables of interval.c for the equations of a problem."""

    equations: Equations

    @property
    def unknowns(self) -> int:
        """Unknowns of an interval: of its points, and the constants that the model sees."""
        structure = self.equations.structure
        return structure.local + structure.border

    @property
    def series(self) -> int:
        """Known series."""
        problem = self.equations.problem
        return len(problem.model.stimuli) + len(problem.series)

    @property
    def constants(self) -> int:
        """Constants of an interval."""
        scheme = self.equations.structure.scheme
        return 1 + (scheme.span + 1) * (1 + self.series) + len(self.equations.problem.fixed)

    @cached_property
    def spread(self) -> list[list[tuple[int, float, int, int]]]:
        """Of each stage that is not chained: (entry of the model's Hessian, weight, unknown, unknown)."""
        structure = self.equations.structure
        if structure.scheme.staged:
            return [[] for _ in range(structure.scheme.stages)]
        return [list(self._of_stage(stage)) for stage in range(structure.scheme.stages)]

    def _of_stage(self, stage: int) -> Iterator[tuple[int, float, int, int]]:
        structure = self.equations.structure
        for entry, (k, l) in enumerate(structure.model.hessian):  # noqa: E741
            for a, left in structure.columns(stage, k):
                for b, right in structure.columns(stage, l):
                    if k != l or a <= b:
                        yield entry, left * right, min(a, b), max(a, b)

    @cached_property
    def hessian(self) -> list[Pair]:
        """Entries of the Hessian of μ·r."""
        structure = self.equations.structure
        if structure.scheme.staged:
            active = structure.active if structure.model.hessian else []
            return [(a, b) for i, a in enumerate(active) for b in active[i:]]
        return sorted({(a, b) for group in self.spread for _, _, a, b in group})

    def arrays(self) -> dict[str, tuple[str, Any]]:
        """Kind and values of every table by its name in interval.c."""
        structure = self.equations.structure
        scheme, model = structure.scheme, structure.model
        entries = [entry for row in structure.rows for entry in row]
        terms = [term for entry in entries for term in entry.terms]
        place = {pair: number for number, pair in enumerate(self.hessian)}
        spread = [one for group in self.spread for one in group]
        doubles = {
            "state": scheme.state, "known": scheme.known, "inner": scheme.inner,
            "position": scheme.position, "rate": scheme.rate, "fixed": [entry.fixed for entry in entries],
            "weight": [term[2] for term in terms], "spread_weight": [one[1] for one in spread],
        }  # fmt: skip
        ints = {
            "jrow": [row for row, _ in model.jacobian], "jvar": [variable for _, variable in model.jacobian],
            "hk": [k for k, _ in model.hessian], "hl": [l for _, l in model.hessian],  # noqa: E741
            "term": np.cumsum([0, *(len(entry.terms) for entry in entries)]),
            "stage": [term[0] for term in terms], "slope": [term[1] for term in terms],
            "spread": np.cumsum([0, *(len(group) for group in self.spread)]),
            "spread_h": [one[0] for one in spread], "spread_to": [place[one[2:]] for one in spread],
        }  # fmt: skip
        found: dict[str, tuple[str, Any]] = {name: ("double", values) for name, values in doubles.items()}
        return found | {name: ("int", values) for name, values in ints.items()}

    def numbers(self) -> dict[str, int]:
        """Sizes by their names in interval.c."""
        structure = self.equations.structure
        scheme, model, problem = structure.scheme, structure.model, self.equations.problem
        return {
            "D": problem.dimension, "V": len(problem.varying), "P": structure.border, "U": self.series,
            "m": scheme.span, "Q": scheme.stages, "K": scheme.errors,
            "nj": len(model.jacobian), "nh": len(model.hessian),
            "na": len(structure.active) if scheme.staged else 0,
            "entries": sum(map(len, structure.rows)), "seconds": len(self.hessian),
        }  # fmt: skip

    @property
    def room(self) -> int:
        """Vectors of scratch, as `interval_room` hands them out."""
        n = self.numbers()
        wide, stages, active = n["D"] + n["V"] + n["P"], n["Q"], n["na"]
        own = wide + n["U"] + 1 + stages * (n["D"] + n["nj"]) + (stages + 1) * n["D"] + n["nh"]
        return own + stages * (wide + n["D"]) * active + wide * active

    def code(self, name: str) -> str:
        """C code of the kernel."""
        arrays = self.arrays()
        texts = [c_array(kind, f"{name}_{key}", values) for key, (kind, values) in arrays.items()]
        fields = {f".{key} = {value}" for key, value in self.numbers().items()}
        fields |= {f".{key} = {name}_{key}" for key in arrays}
        fields |= {f".{key} = {name}_model_{key}" for key in ("values", "jacobian", "hessian")}
        model = source(self.equations.model, f"{name}_model")
        numbers = ", ".join(sorted(fields))
        return model + _CODE.format(arguments=ARGUMENTS, name=name, arrays="\n".join(texts), numbers=numbers)


def interval_kernel(equations: Equations) -> Kernel:
    """The kernel of the model errors of one interval."""
    tables, structure = IntervalTables(equations), equations.structure
    jacobian = [(number, entry.column) for number, row in enumerate(structure.rows) for entry in row]
    return Kernel(
        len(structure.rows),
        tables.unknowns,
        tables.constants,
        jacobian,
        tables.hessian,
        tables.code,
        files=("interval.c",),
        room=tables.room,
    )


def interval_constants(problem: Problem, number: int, span: int) -> Array:
    """The kernel's constants in every interval of one window, shape (intervals, constants)."""
    window = problem.windows[number]
    begins = np.arange((window.times - 1) // span) * span
    points = begins[:, None] + np.arange(span + 1)
    return np.concatenate(
        [
            interval_steps(problem, window)[:, None],
            window.grid[points],
            window.series[points].reshape(len(begins), -1),
            np.tile(list(problem.fixed.values()), (len(begins), 1)),
        ],
        axis=1,
    )
