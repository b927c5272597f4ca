"""Whether the path obeys the equation of each state at the end of the ladder: the result and its sentence.

The model error of state a costs Rf s_a r² / 2, so that an error of 1 / √(Rf s_a) a step is free. Where a
state moves by less than that, its equation binds nothing, however large Rf is for the others; the data then
pull the state, or nothing does. What counts is what would change if the equations held exactly: the estimates
and their standard deviations (`hpcda.analysis.obedience` computes both).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SHIFT = 0.5
"""Largest shift of an estimate, in its standard deviations, by which equations still count as obeyed."""
WIDER = 1.5
"""Largest factor by which a state's standard deviation may exceed the one with exact equations."""
FEW = 6
"""Equations that are named in a sentence."""


@dataclass(frozen=True)
class Equation:
    """How one state's equation is obeyed, in the window where it is obeyed least.

    Attributes:
        state: Name of the state.
        window: Number of the window.
        error: Root mean square of the model errors that are left, in the state's unit.
        motion: Root mean square change of the state over one interval, in its unit.
        allowed: 1 / √(Rf s), the error that costs half a nat, in its unit.
        shift: How far an estimate moves when these model errors are taken away, in the standard deviations
            it has with exact equations: of a parameter, or the root mean square of a state over a window,
            whichever is more.
        wider: Standard deviation of the state over the one it has with exact equations.
        obeyed: Whether none of this is too much.
    """

    state: str
    window: int
    error: float
    motion: float
    allowed: float
    shift: float
    wider: float
    obeyed: bool


@dataclass(frozen=True)
class Obedience:
    """How the equations of all states are obeyed.

    Attributes:
        equations: One a state, in the model's order.
        shift: How far an estimate moves when all model errors are taken away together, see `Equation.shift`.
        moved: Name of that estimate.
    """

    equations: tuple[Equation, ...]
    shift: float
    moved: str

    @property
    def disobeyed(self) -> tuple[Equation, ...]:
        """Equations that are not obeyed, the worst first."""
        return tuple(
            sorted((one for one in self.equations if not one.obeyed), key=lambda one: (-one.shift, one.state))
        )

    @property
    def obeyed(self) -> bool:
        """Whether all equations are."""
        return not self.disobeyed

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        equations = [asdict(one) for one in self.equations]
        return {"obeyed": self.obeyed, "shift": self.shift, "moved": self.moved, "equations": equations}


def sentence(record: Mapping[str, Any]) -> str:
    """What `Obedience.record` holds, for people."""
    wrong = sorted((one for one in record["equations"] if not one["obeyed"]), key=lambda one: -one["shift"])
    if not wrong:
        return (
            f"obeyed: without model error no estimate would shift by more than {record['shift']:.2g} of its "
            f"standard deviation ({record['moved']})"
        )
    more = f", and {len(wrong) - FEW} more" if len(wrong) > FEW else ""
    return f"not obeyed: {'; '.join(_told(one, wrong) for one in wrong[:FEW])}{more}"


def _told(one: Mapping[str, Any], wrong: Sequence[Mapping[str, Any]]) -> str:
    where = f" in window {one['window']}" if any(other["window"] for other in wrong) else ""
    text = f"{one['state']}{where}, whose model error is {one['error']:.2g} per step, "
    text += (
        f"while the state changes by {one['motion']:.2g} ({one['allowed']:.2g} adds half a nat to the action)"
    )
    if one["shift"] > SHIFT:
        many = "more than 100" if one["shift"] > 100.0 else f"{one['shift']:.2g}"
        return f"{text}: without it an estimate shifts by {many} standard deviations"
    return f"{text}: its standard deviation is {one['wider']:.2g} times that of a path that obeys"
