"""The summary of a run that trained a network: the contents of summary.json, and the text for a terminal."""

from __future__ import annotations

from typing import Any

from hpcda.analysis.ended import VERSION, as_record, ended_record, plain, timing, ways
from hpcda.analysis.levels import Minimum
from hpcda.analysis.network import NetworkResult
from hpcda.analysis.score import Score
from hpcda.analysis.summary_text import band_words, wrapped
from hpcda.formatting import counted
from hpcda.search.evidence import facts
from hpcda.search.networks import DEVIATIONS

SHOWN = 12
"""Minima that the table for people shows."""
_APART = ("depends on Rf", "equations", "time step", "first prediction")
"""Evidence that networks at Rf = ∞ have no need of, or that is told in other words."""


def summarize_network(run: NetworkResult) -> dict[str, Any]:
    """All that the analysis found, as plain values for JSON.

    Args:
        run: The run.

    Returns:
        Keys: version, run, model, starts, asked, complete, stopped, failed, failed_reasons, stopped_reasons,
            data, pairs, pairs_held_back, weights, band, minima, candidate, verdict, distribution, timing,
            ways, provenance, notes.
    """
    header = run.file.header
    summary = {
        "version": VERSION,
        "run": run.file.name,
        "model": header.model,
        **ended_record(run),
        "data": header.measured,
        "pairs": len(run.pairs.t),
        "pairs_held_back": len(run.pairs.beyond_t),
        "weights": run.network.weights,
        "band": {"low": run.band.low, "high": run.band.high, "scale": run.band.scale},
        "minima": [as_record(minimum) for minimum in run.levels],
        "candidate": _candidate_record(run),
        "verdict": {
            "code": run.verdict.code,
            "stable": run.verdict.stable,
            "sentence": run.message,
            "evidence": run.evidence.record(),
        },
        "distribution": _distribution_record(run),
        "timing": timing(run),
        "ways": ways(run),
        "provenance": header.provenance,
        "notes": run.notes,
    }
    return {key: plain(value) for key, value in summary.items()}


def _candidate_record(run: NetworkResult) -> dict[str, Any] | None:
    minimum: Minimum | None = run.candidate
    if minimum is None:
        return None
    apart = run.separation
    scores = {"trained": run.trained, "held_back": run.held_back}
    return {
        **as_record(minimum),
        "within_band": None if run.band.high == 0 else run.band.low <= minimum.reduced <= run.band.high,
        "separation": {"gap": apart.gap, "deviations": apart.deviations, "rivals": apart.rivals},
        "flat_directions": run.flat,
        **{name: one.record() for name, one in scores.items() if one is not None},
    }


def _distribution_record(run: NetworkResult) -> dict[str, Any]:
    """Standard deviations of weights, and the temperature that predicts best."""
    known, by_temperature = run.distribution, run.tempered
    if isinstance(known, str):
        return {"none": known}
    record: dict[str, Any] = {
        "std": dict(zip(run.file.header.unknown, known.std.tolist(), strict=True)),
    }
    if by_temperature is not None:
        losses = [{"temperature": t, "loss": loss} for t, loss in by_temperature.losses.items()]
        record |= {"temperature": by_temperature.temperature, "held_back": losses}
    return record


def network_facts(record: dict[str, Any], candidate: dict[str, Any] | None) -> dict[str, str]:
    """Evidence for people: title -> what was found."""
    found = {title: fact for title, fact in facts(record).items() if title not in _APART}
    if "noise" in found and record["z"] is not None:
        found["noise"] = (
            f"{record['whole']:+.2f} χ² deviations (up to {DEVIATIONS:g}: noise alone; "
            f"{counted(record['freedom'], 'degree')} of freedom)"
        )
    if "noise" in found and not record["tested"]:
        found["noise"] = "categories allow no χ² test: judge by held-out pairs"
        if record["gap"] is not None:
            rivals = record["rivals"]
            more = f"; {rivals} nearly as probable" if rivals else ""
            found["next level"] = (
                f"{candidate['separation']['gap']:.3g} nats above{more}" if candidate else ""
            )
    for title, name in (("training pairs", "trained"), ("held-out pairs", "held_back")):
        if candidate is not None and name in candidate:
            found[title] = score_words(candidate[name])
    if candidate is not None and candidate["flat_directions"]:
        flat = counted(candidate["flat_directions"], "direction")
        found["flat"] = (
            f"weights can move in {flat} without changing the outputs: compare networks by their outputs"
        )
    return found


def distribution_words(record: dict[str, Any]) -> str:
    """What the distribution of weights is worth, for people."""
    if "none" in record:
        return f"none: {record['none']}"
    if "temperature" not in record:
        return "standard deviations in summary.json"
    losses = {one["temperature"]: one["loss"] for one in record["held_back"]}
    best = record["temperature"]
    text = (
        f"held-out loss {losses[0.0]:.4g} nats with the minimum alone, "
        f"{losses[1.0]:.4g} with the Laplace approximation"
    )
    if 0.0 < best < 1.0:
        text += f", {losses[best]:.4g} at temperature {best:g}"
    return (
        f"{text}; temperature {best:g} chosen on one half of the held-out pairs, losses from the other half"
    )


def score_words(record: dict[str, Any]) -> str:
    """A score, for people."""
    one = Score(**record)
    text = f"{counted(one.pairs, 'pair')}: "
    if one.accuracy is not None:
        nats = f"{one.loss:.4g} nats a pair (predicting the frequencies: {one.constant:.4g})"
        return f"{text}{one.accuracy:.2%} right, {nats}"
    over = "" if one.rmse_over_noise is None else f", {one.rmse_over_noise:.4g} times the noise"
    nats = f"{one.loss:.4g} nats a value (predicting the mean: {one.constant:.4g})"
    if one.rmse is None:
        return text + nats
    return f"{text}RMSE {one.rmse:.4g}{over}, {nats}"


def format_network_summary(summary: dict[str, Any]) -> str:
    """The table of minima, the candidate and the verdict, for a terminal.

    Args:
        summary: What `summarize_network` returned, or summary.json read back.
    """
    timing_, minima, candidate = summary["timing"], summary["minima"], summary["candidate"]
    parts = [f"{summary['complete']} complete"]
    for key in ("stopped", "failed"):
        if summary[key]:
            why = ", ".join(f"{count} {name}" for name, count in summary[f"{key}_reasons"].items())
            parts.append(f"{summary[key]} {key} ({why})")
    lines = [
        f"{summary['model']}: {counted(summary['weights'], 'weight')}, {counted(summary['pairs'], 'pair')}; "
        f"{counted(summary['starts'], 'start')}, {'; '.join(parts)}; "
        f"{counted(timing_['core_seconds'], 'core-second')} on {counted(timing_['ranks'], 'rank')}"
    ]
    if minima:
        heads = ["", "action", "measurement", "prior", "reduced", "count", "start"]
        rows = [heads]
        for place, one in enumerate(minima[:SHOWN]):
            cells = [f"{one[key]:.7g}" for key in ("action", "measurement", "prior")]
            rows.append(
                [str(place + 1), *cells, f"{one['reduced']:.4f}", str(one["count"]), str(one["start"])]
            )
        widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
        lines.append("")
        lines += ["  " + "  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
        if len(minima) > SHOWN:
            lines.append(f"  … and {len(minima) - SHOWN} more, all in summary.json")
    if candidate is not None:
        lines += [
            "",
            f"Candidate: start {candidate['start']}, reached by {candidate['count']} of "
            f"{counted(summary['complete'], 'start')}",
        ]
        if summary["band"]["high"]:
            lines.append(
                f"  reduced level   {candidate['reduced']:.4f}, {band_words(candidate, summary['band'])}"
            )
    if candidate is not None:
        lines += wrapped(distribution_words(summary["distribution"]), "  distribution    ")
    evidence = network_facts(summary["verdict"]["evidence"], candidate)
    lines += ["", "Evidence"]
    for title, fact in evidence.items():
        lines += wrapped(fact, f"  {title:<16} ")
    lines += ["", f"Verdict: {summary['verdict']['code']}", *wrapped(summary["verdict"]["sentence"])]
    for note in summary["notes"]:
        lines += wrapped(f"Note: {note}")
    if summary.get("report"):
        lines += ["", f"Report: {summary['report']}"]
    return "\n".join(lines)
