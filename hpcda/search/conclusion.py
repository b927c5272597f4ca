"""The verdict on the lowest level, as one pure function of the evidence.

The analysis of a finished run and a search that wants to stop judge by it alone, on what
`hpcda.search.evidence` counts. Five tests need no truth.

- *Noise.* The lowest level's measurement error is what noise leaves. Upward the whole action is tested: the
  global minimum is no higher than the true path, and an action can only grow with Rf.
- *Dependence on Rf.* The level no longer changes with Rf (Ye et al., Nonlin. Processes Geophys. 22, 205,
  2015): it has come to its limit (`hpcda.search.plateau`).
- *The equations.* Exact equations of all states would not change the estimates (`hpcda.search.obeyed`).
- *The time step.* Steps of the model's own flow in place of the discretization's would not move the level by
  more than a small part of its error bars (`hpcda.search.time_step`).
- *The other levels.* How far they lie above. How many starts, of which ways, came to the lowest.

A wrong minimum of a chaotic system lies many deviations above the noise where there are many data values
for each unknown; there the first test alone finds it out. Where there are few, or where another level was
seen within three deviations, or where the lowest lies high in the band itself, wrong minima may fit too:
then the lowest has to be confirmed by many starts, of ways that agree or of one that comes there time and
again, and escapes from it have to find nothing lower. How often a level was hit proves nothing about what
other ways would find: I. J. Good's estimate of what is missed (Biometrika 40, 237, 1953) is made for each
way, never over all.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from hpcda.search.escapes import ESCAPES
from hpcda.search.evidence import DEVIATIONS, Evidence, Level, evidence_of, joined, noise_of
from hpcda.search.expected import Expected
from hpcda.search.obeyed import Obedience
from hpcda.search.time_step import TimeStep

ENOUGH, TOGETHER = 12, 6
"""Starts that confirm a level where wrong minima may fit: of one way alone, and of ways that agree."""
EASY = 0.5
"""Elsewhere two starts of a way are enough if they are this share of the way's starts."""
PROBES, EASY_PROBES = 16, 6
"""Escapes from the lowest level, to nothing lower, that it takes to confirm one where wrong minima may fit;
the second where every way comes there with the share `EASY` of its starts; twice the first, and twice
`ENOUGH` starts, where hardly any but escapes come there."""
SURE = 1.0
"""Score above which a level is doubted."""
MANY = 3
"""Rivals from which on the data do not determine the path."""
PREDICTS = 2.5
"""Largest error of the first predicted samples, in units of the noise, that chaos explains."""
UNTESTED = (
    "The lowest level is consistent with the data, but there are no more data values than unknowns: no "
    "degrees of freedom are left to test the model and the noise, and the data may not determine the path. "
    "Measure more "
    "quantities or a longer window, or add priors."
)
"""The sentence of NOT_ENOUGH_MEASUREMENTS where no degrees of freedom are left."""


class Conclusion(enum.Enum):
    """What an ensemble says; the value is the sentence for people, with what to do next."""

    CONSISTENT_AND_STABLE = (
        "The lowest level agrees with the data, no longer depends on Rf, has no rival and is "
        "confirmed: take it as the estimate, as far as it predicts held-out data."
    )
    CONSISTENT_RIVALS_REMAIN = (
        "The lowest level agrees with the data, but others are nearly as probable: they cannot be "
        "distinguished. Measure more quantities or a longer window, and compare what the levels "
        "predict."
    )
    CONSISTENT_NOT_CONFIRMED = (
        "The lowest level agrees with the data, but too few starts reached it, or only those of one "
        "starting strategy, to exclude a lower level. Add starts by other strategies and from other first "
        'rungs (way = "auto", first_rungs), and see whether they agree.'
    )
    CONSISTENT_NOT_SETTLED = (
        "The lowest level agrees with the data, but so few rungs do not show whether it depends on Rf: "
        "let the ladder cover at least one decade of Rf before its end."
    )
    CONSISTENT_STEP_TOO_COARSE = (
        "The lowest level agrees with the data, but it depends on the time step: with the exact "
        "flow of the model it would shift by a considerable part of its standard deviations. Take "
        "more steps from sample to sample (action.steps_per_sample), or a discretization of higher order."
    )
    CONSISTENT_PREDICTS_BADLY = (
        "The lowest level agrees with the data, but its prediction fails at the first held-out "
        "samples, sooner than chaos explains: do not trust it. Add starts by other strategies; if they end "
        "no lower, the data do not determine the last state (measure more quantities), or the model is wrong "
        "after the window."
    )
    CONSISTENT_NOT_CONVERGED = (
        "The lowest level agrees with the data, but its minimizer stopped at the iteration limit: there is "
        "a lower action in the same valley. Raise solver.max_iterations; if the valley is flat, the data "
        "do not determine some parameters: give them priors or bounds."
    )
    STABLE_NOISE_ESTIMATED = (
        "The lowest level no longer depends on Rf, has no rival and is confirmed: take it as the global "
        "minimum. The noise scale was estimated too, so χ² cannot test the model: compare the scale with "
        "the instrument's specification, and hold out data to test the prediction "
        "(data.hold_back)."
    )
    CONSISTENT_PARAMETERS_OPEN = (
        "The lowest level agrees with the data and is confirmed, but it is a flat valley: other "
        "values of the "
        "quantities listed in the evidence fit as well. Use the other estimates; for these, add priors, "
        "fix them, or measure quantities that depend on them."
    )
    NOT_ENOUGH_MEASUREMENTS = (
        "The lowest level agrees with the data, but so do many others: the data do not determine the path. "
        "Measure more quantities or a longer window, or add priors."
    )
    RISING_WITH_RF = (
        "The lowest level still rises with Rf: the model does not fit the data to "
        "within noise_std, or the ladder ends too early. Raise rf_max, or weight the equations that are not "
        'obeyed (action.model_error_weight = "auto"); if the level leaves the χ² band, look in the '
        "residuals for a wrong equation or noise_std, and try smaller time steps "
        "(steps_per_sample)."
    )
    EQUATION_NOT_OBEYED = (
        "The lowest level agrees with the data, but the path does not obey the equations of all states: at "
        "the largest Rf their model errors are still nearly unpenalized, and affect the estimates. Weight "
        'every equation by the spread of its state (action.model_error_weight = "auto"), raise rf_max, or '
        "choose units in which all states are of similar size."
    )
    INCONSISTENT = (
        "The lowest level lies above the χ² band: the search missed a lower one, or the model or "
        'the noise is wrong. Add starts by other strategies and from other first rungs (way = "auto", '
        "first_rungs); if they end no lower, check the model and noise_std."
    )
    BELOW_NOISE = (
        "The lowest level lies below the χ² band: the path follows the noise, or noise_std is too large. "
        "Raise rf_max if the level still grows with Rf; otherwise check noise_std."
    )
    INCOMPLETE = (
        "Some of the requested starts have not finished, and may end lower. Resume the run and "
        "let it finish before judging."
    )
    FAILED = (
        "No start reached the end of the ladder: look at the reasons, the bounds and the range of the starts."
    )

    @property
    def code(self) -> str:
        """The word for programs."""
        return self.name.lower()

    @property
    def sentence(self) -> str:
        """The sentence for people."""
        return str(self.value)

    @property
    def stable(self) -> bool:
        """Whether the lowest level may be taken as the answer, and a search may stop."""
        return self in (Conclusion.CONSISTENT_AND_STABLE, Conclusion.STABLE_NOISE_ESTIMATED)


ELSEWHERE = (
    "The lowest level agrees with the data, but its time step is too coarse: the path is far from those of "
    "the model's own flow, and where the level would lie under it is not known. Take more steps from "
    "sample to sample (action.steps_per_sample), or a discretization of higher order."
)
"""What is said of too coarse a time step where the shift is not known."""


def conclude(
    levels: Sequence[Level],
    tried: Mapping[str, int],
    data: int,
    settled: bool | None,
    predicted: float | None = None,
    complete: float = 1.0,
    *,
    absorbed: int = 0,
    priors: int = 0,
    probed: int = 0,
    left_open: Sequence[str] = (),
    obedience: Obedience | None = None,
    step: TimeStep | None = None,
    escapes: Collection[str] | None = None,
    expected: Expected | None = None,
    confirms: Callable[[Evidence], bool] | None = None,
) -> tuple[Conclusion, Evidence]:
    """Judge the lowest level.

    Args:
        levels: Distinct minima at the last Rf, lowest first.
        tried: Way of starting -> its starts that have ended, wherever.
        data: Number of data values.
        settled: Whether the lowest level no longer depends on Rf; None where the ladder does not tell.
        predicted: Root mean square error of the first samples after the window over the noise (infinite
            where the prediction is lost); None where nothing is kept back.
        complete: Share of the starts asked for that have ended; 1 where their number was not fixed.
        absorbed: Unknowns that are left where the model is obeyed: states at one time of each window, and
            parameters.
        priors: Number of Gaussian priors in the action.
        probed: Escapes from the lowest level that have ended.
        left_open: Parameters and initial states that the data leave open there; () where that is not known.
        obedience: How the equations are obeyed at the lowest level; None where that is not known.
        step: Whether the time step is fine enough for the lowest level, where that was asked.
        escapes: Those of `tried` whose starts began from minima; by default those of the package.
        expected: What noise alone makes of the measurement part, where it is not Gaussian of known width.
        confirms: Whether enough starts came to the lowest level; by default `confirmed`.
    """
    noise = noise_of(expected or Expected.gaussian(data), data, priors, absorbed)
    levels = joined(levels, DEVIATIONS * noise.scale)
    began = set(ESCAPES) if escapes is None else escapes
    evidence = evidence_of(levels, tried, noise, settled, predicted, complete, probed, obedience, began)
    evidence = replace(evidence, left_open=tuple(left_open))
    evidence = replace(evidence, step=step)
    found = _judged(evidence, confirms or confirmed)
    if complete < 1.0 and (levels or not any(tried.values())):
        so_far = found.code if levels else None
        return Conclusion.INCOMPLETE, replace(evidence, so_far=so_far)
    return found, evidence


def sentence_of(conclusion: Conclusion, evidence: Evidence) -> str:
    """What a conclusion says, for people, with what the evidence adds to it."""
    step, sentence = evidence.step, conclusion.sentence
    if conclusion is Conclusion.NOT_ENOUGH_MEASUREMENTS and not evidence.freedom:
        sentence = UNTESTED
    if step is None or not step.coarse:
        return sentence
    if conclusion is not Conclusion.CONSISTENT_STEP_TOO_COARSE:
        return f"{sentence} The time step is too coarse: {step.advice}"
    return f"{sentence if step.shift else ELSEWHERE} {step.advice}"


def _judged(evidence: Evidence, confirms: Callable[[Evidence], bool]) -> Conclusion:
    """What the starts that have ended say."""
    if not evidence.levels:
        return Conclusion.FAILED
    fit = _fit(evidence)
    if fit is not None:
        return fit
    if evidence.step is not None and evidence.step.coarse:
        return Conclusion.CONSISTENT_STEP_TOO_COARSE
    if evidence.predicted is not None and not evidence.predicted <= PREDICTS:
        return Conclusion.CONSISTENT_PREDICTS_BADLY
    if not evidence.converged:
        return Conclusion.CONSISTENT_NOT_CONVERGED
    if evidence.rivals:
        return Conclusion.CONSISTENT_RIVALS_REMAIN
    if evidence.plateau is None:
        return Conclusion.CONSISTENT_NOT_SETTLED
    if not confirms(evidence):
        return Conclusion.CONSISTENT_NOT_CONFIRMED
    if evidence.left_open:
        return Conclusion.CONSISTENT_PARAMETERS_OPEN
    return Conclusion.CONSISTENT_AND_STABLE if evidence.tested else Conclusion.STABLE_NOISE_ESTIMATED


def _fit(evidence: Evidence) -> Conclusion | None:
    """What is wrong with the lowest level by itself, or None."""
    z, whole, rises = evidence.z, evidence.whole, evidence.plateau is False
    if not evidence.tested:
        return _untested(evidence, rises)
    if z is None or whole is None:
        return Conclusion.INCONSISTENT if _misfits(evidence, rises) else Conclusion.NOT_ENOUGH_MEASUREMENTS
    if not (z if rises else whole) <= DEVIATIONS:
        return Conclusion.INCONSISTENT
    disobeyed = evidence.obedience is not None and not evidence.obedience.obeyed
    if disobeyed and not (rises and z >= -DEVIATIONS):
        return Conclusion.EQUATION_NOT_OBEYED
    if z < -DEVIATIONS:
        return Conclusion.BELOW_NOISE
    if rises:
        return Conclusion.RISING_WITH_RF
    return Conclusion.NOT_ENOUGH_MEASUREMENTS if evidence.rivals >= MANY else None


def _untested(evidence: Evidence, rises: bool) -> Conclusion | None:
    """The same where the scale of the noise is estimated, so that χ² says nothing."""
    if rises:
        return Conclusion.RISING_WITH_RF
    if evidence.obedience is not None and not evidence.obedience.obeyed:
        return Conclusion.EQUATION_NOT_OBEYED
    return Conclusion.NOT_ENOUGH_MEASUREMENTS if evidence.rivals >= MANY else None


def _misfits(evidence: Evidence, rises: bool) -> bool:
    """Whether a level without degrees of freedom lies above what noise gives of all data values.

    At the true path 2 · measurement is a χ² variable of n degrees of freedom; no minimum lies above it.
    """
    part = evidence.fit if rises else evidence.action
    if part is None:
        return False
    return not 2.0 * part <= evidence.values + DEVIATIONS * (2.0 * evidence.values) ** 0.5


def confirmed(evidence: Evidence) -> bool:
    """Whether enough starts came to the lowest level, and differently enough."""
    anew = {way: one for way, one in evidence.hits.items() if one.anew}
    if evidence.few or evidence.near or evidence.whole is None or evidence.whole > SURE:
        often = any(one.hits >= ENOUGH for one in anew.values())
        agree = evidence.agreement is True and any(one.hits for one in anew.values())
        if not (often or (agree and evidence.count >= TOGETHER)):
            return evidence.count >= 2 * ENOUGH and evidence.probed >= 2 * PROBES
        easy = agree and all(one.hits >= EASY * one.tried for one in anew.values())
        return evidence.probed >= (EASY_PROBES if easy else PROBES)
    return any(one.hits >= max(2, min(EASY * one.tried, ENOUGH)) for one in anew.values())
