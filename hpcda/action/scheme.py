"""Defines `Scheme`: the coefficients by which a discretization turns path points and rates into model errors.

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

from hpcda.errors import InputError, Mistake
from hpcda.native.declared import number

Table = npt.NDArray[np.float64]
MOST_STAGES = number("assemble.c", "MOST_STAGES")
"""Stages of an interval that the compiled code has room for."""
EXACT = 1e-12
"""Rounding error allowed in the conditions on the coefficients."""


@dataclass(frozen=True, eq=False)
class Scheme:
    """A discretization of a flow or a map, as the tables of the equations above.

    Attributes:
        name: The value of `action.discretization` in a job file.
        sentence: Description in one line, for people.
        kind: The kind of model it is for, "flow" or "map".
        state: Weights of the path points in each stage, shape (Q, m + 1).
        known: Weights of time, stimuli and time-dependent parameters in each stage, shape (Q, m + 1).
        inner: Weights of earlier stages' rates, shape (Q, Q), strictly lower triangular.
        position: Weights of the path points in each model error, shape (K, m + 1).
        rate: Weights of the rates in each model error, shape (K, Q).
        order: Order of convergence in dt.
        place: Position in lists, smallest first; "auto" takes the first of its kind.

    Raises:
        InputError: The shapes do not match, the coefficients are not consistent, or there are more than
            `MOST_STAGES` stages.
    """

    name: str
    sentence: str
    kind: Literal["flow", "map"]
    state: Table
    known: Table
    inner: Table
    position: Table
    rate: Table
    order: int
    place: int = 100

    def __post_init__(self) -> None:
        wrong = _wrong(self)
        if wrong:
            raise InputError(Mistake(f"discretization {self.name!r}", *wrong))

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
    def duration(self) -> float:
        """The time that a model error is integrated over, in steps of the path; 1 for a map."""
        return 1.0 if self.kind == "map" else float(np.abs(self.position @ np.arange(self.span + 1.0)).max())

    @property
    def staged(self) -> bool:
        """Whether a stage uses the rates of earlier stages."""
        return bool(self.inner.any())

    @cached_property
    def nodes(self) -> tuple[int, ...] | None:
        """The path point that each stage is, where every stage is one; neighbors then share evaluations."""
        same = np.array_equal(self.state, self.known) and not self.staged
        unit = ((self.state == 0) | (self.state == 1)).all() and (self.state.sum(axis=1) == 1).all()
        return tuple(int(j) for j in self.state.argmax(axis=1)) if same and unit else None


def scheme(
    name: str,
    sentence: str,
    *,
    state: list[list[float]],
    position: list[list[float]],
    rate: list[list[float]],
    order: int,
    known: list[list[float]] | None = None,
    inner: list[list[float]] | None = None,
    kind: Literal["flow", "map"] = "flow",
    place: int = 100,
) -> Scheme:
    """A `Scheme` from plain lists; `known` is `state` and `inner` is zero where they are not given.

    Raises:
        InputError: See `Scheme`.
    """
    tables = {"state": state, "position": position, "rate": rate}
    tables |= {key: value for key, value in (("known", known), ("inner", inner)) if value is not None}
    arrays = {key: _table(name, key, value) for key, value in tables.items()}
    stages = arrays["state"]
    return Scheme(
        name=name,
        sentence=sentence,
        kind=kind,
        state=stages,
        known=arrays.get("known", stages),
        inner=arrays.get("inner", np.zeros((len(stages), len(stages)))),
        position=arrays["position"],
        rate=arrays["rate"],
        order=order,
        place=place,
    )


def _table(name: str, key: str, rows: list[list[float]]) -> Table:
    try:
        table = np.array(rows, dtype=float)
    except (TypeError, ValueError):
        table = np.zeros(0)
    if table.ndim != 2:
        problem = f"{key} = {str(rows)[:60]} is not a table of numbers"
        raise InputError(Mistake(f"discretization {name!r}", problem, "give rows of equal length"))
    return table


def _wrong(scheme: Scheme) -> tuple[str, str] | None:
    """What is wrong with a discretization, and the remedy."""
    if scheme.kind not in ("flow", "map"):
        return f"its kind is {scheme.kind!r}", 'write kind = "flow" or kind = "map"'
    return _wrong_shape(scheme) or _wrong_limit(scheme) or _wrong_coefficients(scheme)


def _wrong_shape(scheme: Scheme) -> tuple[str, str] | None:
    for name in ("state", "position", "rate", "known", "inner"):
        if getattr(scheme, name).ndim != 2:
            return f"{name} has {getattr(scheme, name).ndim} dimensions", "give a two-dimensional table"
    stages, points = scheme.state.shape
    errors = len(scheme.position)
    if not stages or not errors or points < 2:
        found = f"it has {stages} stages, {errors} errors and {points} points"
        return found, "give at least one stage, one error and two points"
    wanted = {
        "known": (stages, points),
        "inner": (stages, stages),
        "position": (errors, points),
        "rate": (errors, stages),
    }
    for name, shape in wanted.items():
        found = getattr(scheme, name).shape
        if found != shape:
            return (
                f"{name} has the shape {found}, where state says {stages} stages of {points} points, and "
                f"position {errors} errors",
                f"give {name} the shape {shape}",
            )
    return None


def _wrong_limit(scheme: Scheme) -> tuple[str, str] | None:
    if scheme.stages > MOST_STAGES:
        problem = f"it has {scheme.stages} stages, and the compiled code has room for {MOST_STAGES}"
        return problem, "use one with fewer stages"
    if np.triu(scheme.inner).any():
        return "inner is not 0 on and above its diagonal", "let a stage use only the rates of earlier stages"
    if scheme.staged and (scheme.span > 1 or scheme.state[:, 1:].any()):
        problem = (
            f"stages that use rates of others (inner) reach over {scheme.span} steps or from the next point"
        )
        return problem, "start all stages at the first of two points, or omit inner"
    return None


def _wrong_coefficients(scheme: Scheme) -> tuple[str, str] | None:
    """Conditions without which it has no order: a path at rest, and one of constant rate, have no error."""
    tables = (scheme.state, scheme.known, scheme.inner, scheme.position, scheme.rate)
    if not all(np.isfinite(table).all() for table in tables):
        return "a coefficient is not finite", "give numbers"
    if not isinstance(scheme.order, int) or scheme.order < 1:
        return f"order = {scheme.order!r}", "give its order of convergence, a whole number from 1"
    for name in ("state", "known"):
        rows = getattr(scheme, name).sum(axis=1)
        if np.abs(rows - 1.0).max() > EXACT:
            stage = int(np.abs(rows - 1.0).argmax())
            return f"row {stage} of {name} has the sum {rows[stage]:g}", "make the sum of every row 1"
    rest, moved = scheme.position.sum(axis=1), scheme.position @ np.arange(scheme.span + 1.0)
    rates = scheme.rate.sum(axis=1)
    if scheme.kind == "map":
        if np.abs(rest - rates).max() > EXACT:
            return (
                "a fixed point of the map has a model error",
                "make the sums of position and rate of each error agree",
            )
        return None
    if np.abs(rest).max() > EXACT:
        return "a path at rest has a model error", "make the sum of every row of position 0"
    if np.abs(moved - rates).max() > EXACT * max(1.0, np.abs(moved).max()):
        return (
            "a path of constant rate has a model error",
            "make the sum of every row of rate that of j times its position at point j",
        )
    return None
