"""The summary of a run: what summary.json holds, and the same for people."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hpcda.analysis.bars import bar_words, parameter_bars
from hpcda.analysis.levels import Minimum
from hpcda.analysis.outcome import Outcome
from hpcda.analysis.prediction import Prediction, observed_states, prediction_errors, rmse, valid_time
from hpcda.analysis.rundata import Result
from hpcda.errors import CompilerError, InputError
from hpcda.formatting import counted
from hpcda.results.table import RunTable
from hpcda.search.conclusion import sentence_of
from hpcda.search.evidence import facts

Array = npt.NDArray[np.float64]
VERSION = 1
AT_BOUND = 1e-4
"""Part of the width between its bounds, or of its size, within which an estimate counts as at a bound."""
GIVEN_UP = "too far above the lowest level"
"""Why a search ends a start whose path is a minimum."""
MOST_OUTLIERS = 1000
"""Outliers that are listed."""
SHOWN = 12
"""Minima that the tables for people show, and parameters of the candidate where not all are shown."""
ALL = 30
"""Parameters up to which all are shown."""
PARAMETERS = "parameters.csv"
"""The table of all parameters of the candidate, beside summary.json."""
MAYBE = ("distribution", "momenta")
"""Keys of a summary that are left out where there is nothing to say."""


class Ended(Protocol):
    """A run of any kind that has ended."""

    @property
    def file(self) -> RunTable:
        """Its files."""
        ...

    @property
    def outcome(self) -> Outcome:
        """How every start ended."""
        ...

    @property
    def levels(self) -> tuple[Minimum, ...]:
        """Distinct minima, lowest first."""
        ...

    @property
    def candidate(self) -> Minimum | None:
        """The lowest of them."""
        ...


def summarize(run: Result) -> dict[str, Any]:
    """All that the analysis found, as plain values for JSON.

    Args:
        run: The run.

    Returns:
        Keys: version, run, model, discretization, model_error, model_error_weight, starts, asked, complete,
            stopped, failed, failed_reasons, stopped_reasons, data, times, band, minima, candidate, verdict,
            momenta and distribution (where there is one), outliers, timing, ladder, ways, provenance, notes.
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
        "outliers": [asdict(one) for one in run.outliers[:MOST_OUTLIERS]],
        "distribution": distribution_record(run),
        "timing": timing(run),
        "ladder": {"rf": header.rf, "beta": header.beta, "alpha": header.alpha},
        "ways": ways(run),
        "provenance": header.provenance,
        "notes": run.notes,
    }
    return {key: plain(value) for key, value in summary.items() if value is not None or key not in MAYBE}


def ended_record(run: Ended) -> dict[str, Any]:
    """How many starts there are, how they ended, and why."""
    header, outcome = run.file.header, run.outcome
    names = {code: name for code, (name, _) in header.reasons.items()}
    stopped = ~outcome.failed & ~outcome.complete
    given_up = stopped & run.file.finished & (outcome.reason > 0)

    def reasons(which: npt.NDArray[np.bool_]) -> dict[str, int]:
        return dict(
            Counter(names.get(int(code), f"code {code}") for code in outcome.reason[which]).most_common()
        )

    return {
        "starts": len(outcome.start),
        "asked": max(header.starts, len(outcome.start)),
        "complete": int(outcome.complete.sum()),
        "stopped": int(stopped.sum()),
        "failed": int(outcome.failed.sum()),
        "failed_reasons": reasons(outcome.failed),
        "stopped_reasons": ({GIVEN_UP: int(given_up.sum())} if given_up.any() else {})
        | reasons(stopped & ~given_up),
    }


def as_record(minimum: Minimum) -> dict[str, Any]:
    """One minimum as plain values."""
    record = asdict(minimum)
    record["starts"] = list(minimum.starts)
    record["limit"] = minimum.limit
    return record


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


def bound_words(candidate: dict[str, Any], times: int) -> str:
    """What of the candidate sits at a bound, for people: "k, x at 12 of 61 times".

    Args:
        candidate: Its record.
        times: Number of times of the paths, over all windows.
    """
    states = [f"{name} at {count} of {times} times" for name, count in candidate["states_at_bound"].items()]
    return ", ".join([*candidate["at_bound"], *states])


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


def timing(run: Ended) -> dict[str, Any]:
    """What the ensemble cost."""
    outcome, header = run.outcome, run.file.header
    ranks_per_start = int(header.provenance.get("ranks_per_start", "1") or 1)
    seconds = outcome.seconds * ranks_per_start
    opened, closed = header.clock[:, 0], header.clock[:, 1]
    order = np.argsort(opened)
    wall, until = 0.0, -np.inf
    for begin, end in zip(opened[order], closed[order], strict=True):
        if np.isfinite(end):
            wall += max(0.0, end - max(begin, until))
            until = max(until, end)
    hits = run.candidate.count if run.candidate else 0
    return {
        "core_seconds": float(seconds.sum()),
        "median_start_seconds": float(np.median(seconds)),
        "longest_start_seconds": float(seconds.max()),
        "core_seconds_per_hit": float(seconds.sum() / hits) if hits else None,
        "iterations": int(outcome.iterations.sum()),
        "rungs": int(run.file.visited.sum()),
        "merged": int((run.file.same_as != run.file.start).sum()),
        "rungs_saved": int(run.file.taken_over.sum()),
        "ranks": int(header.provenance.get("ranks", header.ranks)),
        "ranks_per_start": ranks_per_start,
        "wall_seconds": wall,
    }


def ways(run: Ended) -> list[dict[str, Any]]:
    """Starts, failures and hits of the candidate by way the start began and first rung.

    How often a level was hit says nothing about what other ways would have found: coverage is stated for
    each.
    """
    outcome, header = run.outcome, run.file.header
    hits = np.isin(outcome.start, run.candidate.starts if run.candidate else ())
    table = []
    for way, first in sorted(set(zip(outcome.way.tolist(), outcome.first_rung.tolist(), strict=True))):
        which = (outcome.way == way) & (outcome.first_rung == first)
        found = sum(bool(set(minimum.starts) & set(outcome.start[which].tolist())) for minimum in run.levels)
        table.append(
            {
                "way": header.ways[way],
                "first_rung": first,
                "first_beta": int(header.beta[first]) if 0 <= first < len(header.beta) else None,
                "starts": int(which.sum()),
                "failed": int((which & outcome.failed).sum()),
                "stopped": int((which & ~outcome.failed & ~outcome.complete).sum()),
                "minima": found,
                "hits": int((which & hits).sum()),
                "core_seconds": float(outcome.seconds[which].sum()),
            }
        )
    return table


def plain(value: Any) -> Any:
    """JSON's own types: no NumPy, no NaN, no infinity."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def format_summary(summary: dict[str, Any]) -> str:
    """The table of minima, the candidate, the verdict, and where the report lies, for a terminal.

    Args:
        summary: What `analyze` returned, or summary.json read back.
    """
    lines = [_counts(summary)]
    timing = summary["timing"]
    if timing.get("merged"):
        lines.append(
            f"merged: {timing['merged']} of {counted(summary['starts'], 'start')} joined the path of "
            f"another, {timing['rungs_saved']} of {counted(timing['rungs'], 'rung')} not computed again"
        )
    minima = summary["minima"]
    if minima:
        lines += ["", *_table(minima, summary["candidate"])]
        if len(minima) > SHOWN:
            lines.append(f"  … and {len(minima) - SHOWN} more, all in summary.json")
        lines += ["", *_candidate(summary)]
    verdict = summary["verdict"]
    evidence = facts(verdict["evidence"])
    if evidence:
        lines += ["", "Evidence"]
        for title, fact in evidence.items():
            lines += wrapped(fact, f"  {title:<16} ")
    lines += ["", f"Verdict: {verdict['code']}", *wrapped(verdict["sentence"])]
    for note in summary["notes"]:
        lines += wrapped(f"Note: {note}")
    if summary.get("report"):
        lines += ["", f"Report: {summary['report']}"]
    return "\n".join(lines)


def _counts(summary: dict[str, Any]) -> str:
    parts = [f"{summary['complete']} complete"]
    for key in ("stopped", "failed"):
        if summary[key]:
            why = ", ".join(f"{count} {name}" for name, count in summary[f"{key}_reasons"].items())
            parts.append(f"{summary[key]} {key} ({why})")
    missing = summary["asked"] - summary["starts"]
    if missing > 0:
        parts.append(f"{missing} not run")
    timing = summary["timing"]
    return (
        f"{summary['model']}: {counted(summary['starts'], 'start')}, {'; '.join(parts)}; "
        f"{counted(timing['core_seconds'], 'core-second')} on {counted(timing['ranks'], 'rank')}"
    )


def _table(minima: list[dict[str, Any]], candidate: dict[str, Any] | None) -> list[str]:
    names = list(minima[0]["parameters"])[:4]
    heads = ["", "action", "A(∞)", "measurement", "model", "reduced", "count", "start", *names]
    rows = [heads]
    for place, minimum in enumerate(minima[:SHOWN]):
        cells = [f"{minimum[key]:.6g}" for key in ("action", "limit", "measurement", "model")]
        cells += [f"{minimum['reduced']:.3f}", str(minimum["count"]), str(minimum["start"])]
        cells += [f"{minimum['parameters'][name]:.5g}" for name in names]
        rows.append([str(place + 1), *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return [
        "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def band_words(candidate: dict[str, Any], band: dict[str, Any]) -> str:
    """Where a reduced level lies, for people."""
    if candidate["within_band"] is None:
        return "not tested"
    side = "within" if candidate["within_band"] else "outside"
    return f"{side} {band['low']:.3f} … {band['high']:.3f}"


def _candidate(summary: dict[str, Any]) -> list[str]:
    candidate, band = summary["candidate"], summary["band"]
    lines = [
        f"Candidate: start {candidate['start']}, reached by {candidate['count']} of "
        f"{counted(summary['complete'], 'start')}",
        f"  reduced level   {candidate['reduced']:.4f}, {band_words(candidate, band)} "
        f"({counted(summary['data'], 'data value')})",
    ]
    plateau = candidate["plateau"]
    if plateau and plateau["exact"]:
        lines.append("  change with Rf  none: the model is obeyed exactly")
    elif plateau and plateau["change"] is not None:
        nats = plateau["change"] * candidate["action"]
        lines.append(
            f"  change with Rf  {_to_the_limit(plateau)}; {nats:.2g} nats per decade at the last rungs"
        )
    if candidate.get("rmse_prediction") is not None:
        lines.append(
            f"  prediction      RMSE {candidate['rmse_prediction']:.4g}, "
            f"{candidate['rmse_prediction_over_noise']:.3g} times the noise; within 3 σ for "
            f"{candidate['prediction_valid_time']:.4g} of {candidate['prediction_span']:.4g} time units"
        )
    elif "rmse_prediction" in candidate:
        lines.append("  prediction      it grows without bound")
    for key, label in (
        ("rmse_truth_observed", "truth, observed"),
        ("rmse_truth_unobserved", "truth, other"),
    ):
        if candidate.get(key) is not None:
            lines.append(f"  {label:<15} RMSE {candidate[key]:.4g}")
    if candidate["at_bound"] or candidate["states_at_bound"]:
        lines += wrapped(bound_words(candidate, summary["times"]), "  at a bound      ")
    where = Path(summary["report"]).with_name(PARAMETERS) if summary.get("report") else "summary.json"
    return lines + _parameters(candidate, where)


def _parameters(candidate: dict[str, Any], where: Path | str) -> list[str]:
    """The candidate's parameters, each with its own error bar; of many the first, and where all are."""
    bars = candidate.get("error_bars")
    if not bars:
        return _without_bars(candidate, where)
    shown = _shown(bars)
    width = max(map(len, shown))
    rows = []
    for name in shown:
        bar = bars[name]
        value = candidate["parameters"][name]
        span = candidate["valley"].get(name)
        ends = f"; starts ended from {span[0]:.4g} to {span[1]:.4g}" if span and bar["kind"] == "open" else ""
        rows.append(f"{name:<{width}}  {value:.6g} {bar_words(value, bar)}{ends}")
    if len(bars) > len(shown):
        rows.append(f"… and {len(bars) - len(shown)} more, all with their error bars in {where}")
    return [f"  {'' if k else 'parameters':<15} {row}" for k, row in enumerate(rows)]


def _shown(values: Mapping[str, Any]) -> list[str]:
    """Names of the parameters that are shown: all, or the first of many."""
    return list(values) if len(values) <= ALL else list(values)[:SHOWN]


def _without_bars(candidate: dict[str, Any], where: Path | str) -> list[str]:
    """The candidate's parameters where it has no error bars, and why."""
    why, values = candidate["no_error_bars"], candidate["parameters"]
    if why is None:
        return []
    shown = _shown(values)
    rows = [f"{name}  {values[name]:.6g}, error bar: none" for name in shown]
    if len(values) > len(shown):
        rows.append(f"… and {len(values) - len(shown)} more, all in {where}")
    lines = [f"  {'' if k else 'parameters':<15} {row}" for k, row in enumerate(rows)]
    return [*lines, *wrapped(f"none: {why}", "  error bars      ")]


def _to_the_limit(plateau: dict[str, Any]) -> str:
    error = f" ± {plateau['error']:.1g}" if plateau["error"] else ""
    return f"{plateau['rise']:.2g} nats to A(∞) = {plateau['limit']:.7g}{error}"


def wrapped(text: str, title: str = "  ") -> list[str]:
    """A text behind a title, in lines of a terminal's width."""
    import textwrap

    return textwrap.wrap(text, 100, initial_indent=title, subsequent_indent=" " * len(title))
