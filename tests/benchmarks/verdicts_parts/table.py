"""A table of verdicts beside what is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STABLE = "consistent_and_stable"


@dataclass(frozen=True)
class Row:
    """One twin.

    Attributes:
        name: What it is.
        verdict: Code of the conclusion.
        off: Largest distance of an estimate from the right one, in its standard deviations.
        seconds: Core-seconds of the run.
    """

    name: str
    verdict: str
    off: float
    seconds: float

    @property
    def stable(self) -> bool:
        """Whether the answer was called stable."""
        return self.verdict == STABLE


def line(row: Row, wrong: float) -> str:
    """A row as text; what is wrong and stable is marked."""
    mark = "  WRONG AND STABLE" if row.stable and not row.off <= wrong else ""
    return f"{row.name:44}{row.off:10.3g}{row.seconds:8.1f} s  {row.verdict}{mark}"


def counts(rows: Sequence[Row], wrong: float, right: float) -> str:
    """How many wrong answers were called stable, and how many right ones were not.

    Args:
        rows: The twins.
        wrong: Distance from which an answer is wrong.
        right: Distance up to which it is right.
    """
    bad = [row for row in rows if not row.off <= wrong]
    good = [row for row in rows if row.off <= right]
    middle = [row for row in rows if row not in bad and row not in good]
    return (
        f"{len(rows)} answers: {len(bad)} wrong (more than {wrong:g} standard deviations off), "
        f"{sum(row.stable for row in bad)} of them called stable; {len(good)} right (at most {right:g} off), "
        f"{sum(not row.stable for row in good)} of them not called stable; {len(middle)} between, "
        f"{sum(row.stable for row in middle)} of them stable"
    )
