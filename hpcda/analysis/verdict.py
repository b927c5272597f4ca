"""What the ensemble says, in one word and one sentence that tells what to do next."""

from __future__ import annotations

import enum

from hpcda.analysis.candidate import Band, Plateau, Separation
from hpcda.analysis.levels import Minimum


class Verdict(enum.Enum):
    """Outcome of an ensemble; the value is the sentence for people."""

    CONSISTENT_AND_SEPARATE = (
        "The lowest level agrees with the data, no longer depends on Rf and stands apart from all others: "
        "take it as the estimate, and trust it as far as it predicts data that were kept back."
    )
    CONSISTENT_RIVALS_REMAIN = (
        "The lowest level agrees with the data, but other levels lie within three χ² deviations of it: "
        "they cannot be told apart. Measure more quantities or a longer window, and compare what the levels "
        "predict."
    )
    CONSISTENT_NOT_SETTLED = (
        "The lowest level agrees with the data, but whether it depends on Rf is not known from so few rungs: "
        "let the ladder cover at least the decade of Rf before its end."
    )
    RISING_WITH_RF = (
        "The lowest level still rises with Rf: the model cannot follow the data as closely as the noise "
        "is said to be, or the ladder ends too early. Raise rf_max; if the level leaves the χ² band, look"
        " at the residuals in time for the equation or the noise_std that is wrong, and try smaller time "
        "steps (steps_per_sample)."
    )
    INCONSISTENT = (
        "The lowest level lies above the χ² band: either the search has missed a lower one, or the model "
        'or the noise is wrong. Add starts of other ways and other first rungs (way = "auto", '
        "first_rungs); if they end no lower, doubt the model and noise_std."
    )
    BELOW_NOISE = (
        "The lowest level lies below the χ² band: the path follows the noise, or noise_std is too large. "
        "Raise rf_max if the level still grows with Rf; otherwise check noise_std."
    )
    FAILED = (
        "No start came to the end of the ladder: look at the reasons, the bounds and the range of the starts."
    )

    @property
    def code(self) -> str:
        """The word for programs."""
        return self.name.lower()

    @property
    def sentence(self) -> str:
        """The sentence for people."""
        return str(self.value)


def judge(minima: tuple[Minimum, ...], band: Band, settled: Plateau | None, apart: Separation) -> Verdict:
    """The verdict over the distinct minima, lowest first.

    Args:
        minima: Distinct minima at the last Rf.
        band: χ² band.
        settled: Plateau of the lowest level.
        apart: Its distance to the others.
    """
    if not minima or settled is None:
        return Verdict.FAILED
    if settled.reached is False:
        return Verdict.RISING_WITH_RF if minima[0].reduced >= band.low else Verdict.BELOW_NOISE
    if minima[0].reduced > band.high:
        return Verdict.INCONSISTENT
    if minima[0].reduced < band.low:
        return Verdict.BELOW_NOISE
    if not apart.apart:
        return Verdict.CONSISTENT_RIVALS_REMAIN
    if settled.reached is None:
        return Verdict.CONSISTENT_NOT_SETTLED
    return Verdict.CONSISTENT_AND_SEPARATE
