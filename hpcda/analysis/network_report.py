"""The report of a run that trained a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpcda.analysis.network import NetworkResult
from hpcda.analysis.network_summary import distribution_words, network_facts, score_words
from hpcda.analysis.page import end_of, escaped, figure, head_of, listing, number, page, table
from hpcda.formatting import counted

SHOWN = 25
"""Minima in the table; all are in summary.json."""
_CAPTIONS = {
    "Final actions": "Actions of all starts, sorted and as a histogram, colored by level.",
    "Outputs": (
        "Outputs of the candidate against the measured outputs: blue points are training pairs, orange "
        "points held-out pairs."
    ),
    "Categories": (
        "Left: confusion matrix, true category (row) against predicted category (column), of the held-out "
        "pairs where "
        "there are any. Right: calibration, the fraction that is right against the predicted probability; "
        "on the dashed line both agree."
    ),
    "Weights": (
        "Weights of the candidate in canonical form, one panel per layer: each row is a unit, the last "
        "column its "
        "bias."
    ),
}


def write_network_report(
    run: NetworkResult, summary: dict[str, Any], figures: dict[str, Path], path: Path
) -> Path:
    """Write the report.

    Args:
        run: The run.
        summary: What `summarize_network` returned.
        figures: Title -> PNG file, in the order of the report.
        path: HTML file to write.
    """
    title, verdict = f"{run.file.header.model}: {counted(summary['starts'], 'start')}", summary["verdict"]
    evidence = network_facts(verdict["evidence"], summary["candidate"])
    parts = [
        *head_of(run.file, title, verdict, evidence, summary["notes"]),
        "<h2>Distinct minima</h2>",
        _minima(summary),
        "<h2>The candidate</h2>" if summary["candidate"] else "",
        _candidate(summary),
        *(figure(name, file, _CAPTIONS[name]) for name, file in figures.items()),
        *end_of(run.file, summary),
    ]
    path.write_text(page(title, parts), encoding="utf-8")
    return path


def _minima(summary: dict[str, Any]) -> str:
    minima = summary["minima"]
    if not minima:
        return "<p>None: no start finished.</p>"
    heads = ["", "action", "measurement", "prior", "reduced", "starts", "one of them"]
    body = [
        [
            str(place + 1), *(number(one[key], 7) for key in ("action", "measurement", "prior")),
            number(one["reduced"], 4), str(one["count"]), str(one["start"]),
        ]
        for place, one in enumerate(minima[:SHOWN])
    ]  # fmt: skip
    left = len(minima) - SHOWN
    more = f"<p>{escaped(counted(left, 'more is', 'more are'))} in summary.json.</p>" if left > 0 else ""
    return table(heads, body, first=True) + more


def _candidate(summary: dict[str, Any]) -> str:
    candidate = summary["candidate"]
    if candidate is None:
        return ""
    apart = candidate["separation"]
    rows = {
        "reached by": f"{candidate['count']} of {counted(summary['complete'], 'start')}",
        "weights and biases": str(summary["weights"]),
        "next level": "" if apart["gap"] is None else f"{number(apart['gap'], 4)} above",
        "training pairs": score_words(candidate["trained"]) if "trained" in candidate else "",
        "held-out pairs": score_words(candidate["held_back"]) if "held_back" in candidate else "",
        "distribution of weights": distribution_words(summary["distribution"]),
    }
    return listing(rows)
