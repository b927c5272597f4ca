"""What a discretization is: coefficients that turn points of a path and rates of the model into model errors.

An interval holds the points x_0 … x_m of a path. The model is evaluated at Q stages

    z_q = Σ_j state[q, j] x_j + dt Σ_{s<q} inner[q, s] F(z_s),

its time, known series and time-dependent parameters at Σ_j known[q, j] (·)_j, and the K model errors of the
interval are

    r_k = Σ_j position[k, j] x_j - dt Σ_q rate[k, q] F(z_q).

For a map dt is 1 and F the next state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scheme:
    """One discretization.

    Attributes:
        name: As the job file names it.
        kind: The kind of model it is for, "flow" or "map".
        state: Shape (Q, m + 1).
        known: Shape (Q, m + 1).
        inner: Shape (Q, Q), zero on and above the diagonal.
        position: Shape (K, m + 1).
        rate: Shape (K, Q).
        order: Order of convergence in dt.
    """

    name: str
    kind: Literal["flow", "map"]
    state: Table
    known: Table
    inner: Table
    position: Table
    rate: Table
    order: int

    @property
    def span(self) -> int:
        """m, the number of steps of the path in one interval."""
        return self.state.shape[1] - 1

    @property
    def stages(self) -> int:
        """Q, evaluations of the model an interval."""
        return self.state.shape[0]

    @property
    def errors(self) -> int:
        """K, vectors of model error an interval."""
        return self.position.shape[0]

    @property
    def staged(self) -> bool:
        """Whether a stage uses the rates of earlier stages."""
        return bool(self.inner.any())

    @cached_property
    def nodes(self) -> tuple[int, ...] | None:
        """The path point that each stage is, where every stage is one; neighbours then share evaluations."""
        same = np.array_equal(self.state, self.known) and not self.staged
        unit = ((self.state == 0) | (self.state == 1)).all() and (self.state.sum(axis=1) == 1).all()
        return tuple(int(j) for j in self.state.argmax(axis=1)) if same and unit else None


def scheme(
    name: str,
    *,
    state: list[list[float]],
    position: list[list[float]],
    rate: list[list[float]],
    order: int,
    known: list[list[float]] | None = None,
    inner: list[list[float]] | None = None,
    kind: Literal["flow", "map"] = "flow",
) -> Scheme:
    """A `Scheme` from plain lists; `known` is `state` and `inner` is zero where they are not given."""
    stages = np.array(state, dtype=float)
    return Scheme(
        name=name,
        kind=kind,
        state=stages,
        known=stages if known is None else np.array(known, dtype=float),
        inner=np.zeros((len(stages), len(stages))) if inner is None else np.array(inner, dtype=float),
        position=np.array(position, dtype=float),
        rate=np.array(rate, dtype=float),
        order=order,
    )
