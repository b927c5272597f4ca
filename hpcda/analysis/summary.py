"""The summary of a run that assimilated data: what summary.json holds."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from hpcda.analysis.bars import parameter_bars
from hpcda.analysis.ended import VERSION, as_record, ended_record, plain, timing, ways
from hpcda.analysis.levels import Minimum
from hpcda.analysis.prediction import Prediction, observed_states, prediction_errors, rmse, valid_time
from hpcda.analysis.refinement import refinement_record
from hpcda.analysis.rundata import Result
from hpcda.errors import CompilerError, InputError
from hpcda.search.conclusion import sentence_of

AT_BOUND = 1e-4
"""Part of the width between its bounds, or of its size, within which an estimate counts as at a bound."""
MOST_OUTLIERS = 1000
"""Outliers that are listed."""
MAYBE = ("distribution", "momenta", "refinement")
"""Keys of a summary that are left out where there is nothing to say."""


def summarize(run: Result, refine: int | None = None) -> dict[str, Any]:
    """All that the analysis found, as plain values for JSON.

    Args:
        run: The run.
        refine: Levels of a refinement in time, if one is asked for.

    Returns:
        Keys: version, run, model, discretization, model_error, model_error_weight, starts, asked, complete,
            stopped, failed, failed_reasons, stopped_reasons, data, times, band, minima, candidate, verdict,
            momenta and distribution (where there is one), refinement (where asked for), outliers, timing,
            ladder, ways, provenance, notes.
    """
    header = run.file.header
    summary = {
        "version": VERSION,
        "run": run.file.name,
        "model": header.model,
        "discretization": header.discretization,
        "model_error": header.model_error,
        "model_error_weight": {}
        if header.model_error_weight is None
        else dict(zip(header.state, header.model_error_weight, strict=True)),
        **ended_record(run),
        "data": header.measured,
        "times": int(sum(header.lengths)),
        "band": {"low": run.band.low, "high": run.band.high, "scale": run.band.scale},
        "minima": [minimum_record(run, minimum) for minimum in run.levels],
        "candidate": candidate_record(run),
        "verdict": {
            "code": run.verdict.code,
            "stable": run.verdict.stable,
            "sentence": sentence_of(run.verdict, run.evidence),
            "evidence": run.evidence.record(),
        },
        "momenta": run.known_momenta,
        "refinement": None if refine is None else refinement_record(run, refine),
        "outliers": [asdict(one) for one in run.outliers[:MOST_OUTLIERS]],
        "distribution": distribution_record(run),
        "timing": timing(run),
        "ladder": {"rf": header.rf, "beta": header.beta, "alpha": header.alpha},
        "ways": ways(run),
        "provenance": header.provenance,
        "notes": run.notes,
    }
    return {key: plain(value) for key, value in summary.items() if value is not None or key not in MAYBE}


def minimum_record(run: Result, minimum: Minimum) -> dict[str, Any]:
    """One minimum with its own error bars, where it counts in the distribution."""
    record = as_record(minimum)
    mixture = run.known_mixture
    if mixture is not None and minimum.start in mixture.weights:
        found = run.bars_of(minimum)
        assert found is not None
        record["error_bars"] = parameter_bars(run.problem, found)
        record["weight"] = mixture.weights[minimum.start]
    return record


def distribution_record(run: Result) -> dict[str, Any] | None:
    """The mixture of all minima: its own mean and standard deviation of the parameters; None without one."""
    mixture = run.known_mixture
    if mixture is None:
        return None
    first = run.problem.layout.tail.start
    return {
        "weights": {str(start): weight for start, weight in mixture.weights.items()},
        "missing": list(mixture.missing),
        "parameters": {
            name: {
                "mean": float(mixture.mean[k]),
                "std": float(mixture.std[k]),
                "low": float(mixture.low[k]),
                "high": float(mixture.high[k]),
            }
            for k, name in enumerate(run.file.header.parameter, first)
        },
    }


def candidate_record(run: Result) -> dict[str, Any] | None:
    """The candidate with the tests it has to pass."""
    candidate = run.candidate
    if candidate is None:
        return None
    settled, apart = run.plateau, run.separation
    record = as_record(candidate)
    record.update(
        within_band=run.band.low <= candidate.reduced <= run.band.high if run.band.high > 0 else None,
        separation=asdict(apart),
        plateau=None if settled is None else asdict(settled),
        at_bound=at_bound(run),
        states_at_bound=states_at_bound(run),
        no_error_bars=run.no_bars,
        left_open=list(run.left_open),
    )
    if run.bars is not None:
        record["error_bars"] = parameter_bars(run.problem, run.bars)
        record["flat_directions"] = [dict(flat.moves) for flat in run.bars.flats]
    if candidate.has_path:
        record.update(truth_errors(run))
        record.update(prediction_record(run))
    else:
        run._note("the candidate's path was not stored: no prediction and no comparison with the truth")
    return record


def at_bound(run: Result) -> list[str]:
    """Parameters of the candidate that sit at one of their bounds."""
    assert run.candidate is not None
    found = []
    for (name, value), bounds in zip(
        run.candidate.parameters.items(), run.file.header.parameter_bounds, strict=True
    ):
        width = float(bounds[1] - bounds[0])
        scale = width if math.isfinite(width) else abs(value)
        if np.any(np.abs(value - bounds[np.isfinite(bounds)]) <= AT_BOUND * scale):
            found.append(name)
    return found


def states_at_bound(run: Result) -> dict[str, int]:
    """States and parameters of one time of the candidate that sit at a bound -> at how many of their times.

    None are told where the path was not kept or the problem cannot be made again.
    """
    if run.candidate is None or not run.candidate.has_path:
        return {}
    try:
        problem = run.problem
    except (InputError, CompilerError):
        return {}
    path = problem.join(*run.kept_path())
    lower, upper = problem.bounds
    width = np.where(np.isfinite(upper - lower), upper - lower, np.abs(path))
    near = np.minimum(path - lower, upper - path) <= AT_BOUND * width
    blocks, _ = problem.split(near.astype(np.float64))
    counts = np.concatenate(blocks).sum(axis=0)
    return {name: int(count) for name, count in zip(run.file.header.unknown, counts, strict=True) if count}


def prediction_record(run: Result) -> dict[str, Any]:
    """Errors of the candidate's prediction of the held-out data, over all windows."""
    if not any(len(window.beyond_t) for window in run.windows):
        return {}
    made: list[Prediction] = []
    try:
        made = [run.predicted(window=k) for k, window in enumerate(run.windows) if len(window.beyond_t)]
    except InputError as error:
        run._note(f"no prediction: {error}")
        return {}
    known = [window for window in run.windows if len(window.beyond_t)]
    errors = np.concatenate([prediction_errors(prediction) for prediction in made])
    noise = [np.nanmedian(window.noise_std, axis=0) for window in known]
    scaled = np.concatenate([prediction_errors(p) / s for p, s in zip(made, noise, strict=True)])
    times = [valid_time(prediction, s) for prediction, s in zip(made, noise, strict=True)]
    held = [time for time in times if time is not None]
    return {
        "rmse_prediction": rmse(errors),
        "rmse_prediction_by_quantity": {
            name: rmse(errors[:, column]) for column, name in enumerate(run.file.header.observed)
        },
        "rmse_prediction_over_noise": rmse(scaled),
        "prediction_span": max(float(p.t[-1] - p.t[0]) for p in made),
        "prediction_valid_time": min(held) if held else None,
    }


def truth_errors(run: Result) -> dict[str, Any]:
    """Errors of the candidate's path and parameters against the truth, where the run has one."""
    header = run.file.header
    if not any(len(window.truth_t) for window in run.windows):
        return {}
    blocks, _ = run.kept_path()
    states = len(header.state)
    found = []
    for window, block in zip(run.windows, blocks, strict=True):
        if not len(window.truth_t):
            continue
        at = np.clip(np.searchsorted(window.truth_t, window.t - 1e-9), 0, len(window.truth_t) - 1)
        same = np.isclose(window.truth_t[at], window.t, rtol=0.0, atol=1e-6 * abs(window.t[-1] - window.t[0]))
        found.append(block[same][:, :states] - window.truth[at[same]])
    error = np.concatenate(found)
    seen = observed_states(header.expression, header.state)
    assert run.candidate is not None
    return {
        "rmse_truth_observed": rmse(error[:, seen]),
        "rmse_truth_unobserved": rmse(error[:, ~seen]),
        "rmse_truth_by_state": {name: rmse(error[:, k]) for k, name in enumerate(header.state)},
        "true_parameters": {n: v for n, v in header.true_parameters.items() if n in run.candidate.parameters},
    }
