"""Outliers: data farther from the candidate than noise explains, which carry most of the misfit.

The standardized residual of a datum is r = (y - h(x)) / σ. Where the candidate fits, the r are about standard
normal; where it does not, they are wider all together, by the scale 1.4826 · median |r| (the normalized
median absolute deviation, P. J. Rousseeuw, C. Croux, J. Am. Stat. Assoc. 88, 1273 (1993)), which fewer than
half of the data cannot move. A datum counts as an outlier beyond `DEVIATIONS` times that scale, or times 1
where it is less: among a billion data that are as wide as the noise two are expected there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpcda.formatting import counted
from hpcda.results.windows import StoredWindow

Array = npt.NDArray[np.float64]

DEVIATIONS = 6.0
NORMAL = 1.4826
"""Standard deviation of a normal variable over the median of its absolute values."""
SHOWN = 3
"""Outliers that are told in sentences of their own."""


@dataclass(frozen=True)
class Outlier:
    """A datum that lies too far from a path.

    Attributes:
        place: File, line or row, and column; quantity and time if the data do not come from a file.
        window: Number of the window.
        observed: Name of the measured quantity.
        t: Time.
        value: The datum.
        fitted: h(x) of the path.
        deviations: (value - fitted) / σ.
        share: Its fraction of the measurement part of the action, 0 to 1.
    """

    place: str
    window: int
    observed: str
    t: float
    value: float
    fitted: float
    deviations: float
    share: float

    def sentence(self) -> str:
        """The outlier for people."""
        return (
            f"{self.place}: {self.value:.6g} lies {abs(self.deviations):.3g} σ from the candidate "
            f"({self.fitted:.6g}) "
            f"and contributes {self.share:.0%} of the measurement error"
        )


def outliers(
    windows: Sequence[StoredWindow],
    fits: Sequence[Array],
    residuals: Sequence[Array],
    observed: Sequence[str],
) -> list[Outlier]:
    """The data that lie too far from a path, farthest first.

    Args:
        windows: The windows.
        fits: The path's values of the measured quantities, one array of shape (N, L) per window.
        residuals: Data minus `fits` in units of the noise, of the same shapes.
        observed: Names of the L measured quantities.
    """
    sizes = np.abs(np.concatenate([r[np.isfinite(r)] for r in residuals]))
    if not len(sizes):
        return []
    limit = DEVIATIONS * max(1.0, NORMAL * float(np.median(sizes)))
    total = float(np.sum(sizes**2))
    several = len(windows) > 1
    found = []
    for k, (window, fit, r) in enumerate(zip(windows, fits, residuals, strict=True)):
        with np.errstate(invalid="ignore"):
            far = np.argwhere(np.abs(r) > limit)
        for n, quantity in far.tolist():
            place = None if window.source is None else window.source.place(n, quantity)
            if place is None:
                place = f"{observed[quantity]} at t = {window.t[n]:.6g}"
            if several:
                place += f" (window {k})"
            found.append(
                Outlier(
                    place=place,
                    window=k,
                    observed=observed[quantity],
                    t=float(window.t[n]),
                    value=float(window.data[n, quantity]),
                    fitted=float(fit[n, quantity]),
                    deviations=float(r[n, quantity]),
                    share=float(r[n, quantity] ** 2) / total,
                )
            )
    return sorted(found, key=lambda one: -abs(one.deviations))


def sentences(found: Sequence[Outlier]) -> list[str]:
    """The outliers as notes: the furthest ones, and how many more there are."""
    notes = [f"{one.sentence()}. Check whether it is correct." for one in found[:SHOWN]]
    rest = found[SHOWN:]
    if rest:
        share = sum(one.share for one in rest)
        values = counted(len(rest), "more datum lies", "more data lie")
        notes.append(
            f"{values} beyond {DEVIATIONS:g} σ, with {share:.0%} of the measurement error "
            "(all are in summary.json)."
        )
    return notes
