"""The summary of a run that assimilated data, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpcda.analysis.bars import bar_words
from hpcda.formatting import counted
from hpcda.search.evidence import facts

SHOWN = 12
"""Minima that are shown, and parameters of the candidate where not all are shown."""
ALL = 30
"""Parameters up to which all are shown."""
PARAMETERS = "parameters.csv"
"""The table of all parameters of the candidate, beside summary.json."""


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
    if summary.get("refinement"):
        lines += ["", *wrapped(summary["refinement"]["sentence"], "Refinement in time: ")]
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
    return textwrap.wrap(text, 100, initial_indent=title, subsequent_indent=" " * len(title))


def bound_words(candidate: dict[str, Any], times: int) -> str:
    """What of the candidate sits at a bound, for people: "k, x at 12 of 61 times".

    Args:
        candidate: Its record.
        times: Number of times of the paths, over all windows.
    """
    states = [f"{name} at {count} of {times} times" for name, count in candidate["states_at_bound"].items()]
    return ", ".join([*candidate["at_bound"], *states])
