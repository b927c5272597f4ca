"""The report: one self-contained HTML file with figures, evidence, and how to reproduce the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpcda.analysis.bars import bar_words
from hpcda.analysis.momenta import momentum_sentences
from hpcda.analysis.page import end_of, escaped, figure, head_of, listing, number, page, table
from hpcda.analysis.rundata import Result
from hpcda.analysis.summary_text import band_words, bound_words
from hpcda.formatting import counted
from hpcda.search.evidence import facts
from hpcda.search.time_step import ACTION

SHOWN = 25
"""Minima in the table; all are in summary.json."""

_MOMENTUM = (
    "Canonical momenta of the candidate, those of the largest size, times the spread of each state where "
    "states have different units: they jump where something is measured, and are 0 before the first datum "
    "and after the last one."
)
_CAPTIONS = {
    "Action levels": (
        "Action A of every start on its way up the ladder of Rf; a color is a distinct minimum at the "
        "last Rf, the numbers at the right are how many starts ended there, its action, and its reduced "
        "level 2 · measurement / (number of data). A level that splits off below all others, lies in the "
        "χ² band and no longer changes with Rf is the answer. Dashes at the right mark the limit of "
        "large Rf; "
        "crosses mark starts that ended early."
    ),
    "Estimated path": (
        "The candidate's states with its own error bars (two standard deviations, no farther than the "
        "bounds; none where the data do not determine a state, or where the notes say why), the "
        "data, and, after the dotted line, the model's prediction from the last estimated state, beside "
        "held-out data."
    ),
    "Momentum": _MOMENTUM,
    "Momentum and energy": f"{_MOMENTUM} Below, the energy.",
    "Refinement in time": (
        "Left: how far action and parameters are from their limits of infinitely short steps, in standard "
        "deviations, against the number of steps; a step is fine enough below the gray line. Right: root "
        "mean square change of the states when the number of steps is doubled. Dotted: the order of the "
        "discretization."
    ),
    "Final actions": "Actions at the last Rf, sorted and as a histogram, colored by level.",
    "Parameters": (
        "Estimated parameters of every start against its final action; the gray band is that of χ², the blue "
        "one the candidate's own error bar, missing where the data do not determine the parameter."
    ),
}


def write_report(run: Result, summary: dict[str, Any], figures: dict[str, Path], path: Path) -> Path:
    """Write the report.

    Args:
        run: The run.
        summary: What `summarize` returned.
        figures: Title -> PNG file, in the order of the report.
        path: HTML file to write.
    """
    title, verdict = f"{run.file.header.model}: {counted(summary['starts'], 'start')}", summary["verdict"]
    parts = [
        *head_of(run.file, title, verdict, facts(verdict["evidence"]), summary["notes"]),
        "<h2>Distinct minima</h2>",
        _minima(summary),
        "<h2>The candidate</h2>" if summary["candidate"] else "",
        _candidate(summary),
        _mixture(summary),
        _equations(summary),
        _momenta(summary),
        _refinement(summary),
    ]
    parts += [figure(name, file, _CAPTIONS.get(name.partition(",")[0], "")) for name, file in figures.items()]
    parts += end_of(run.file, summary)
    path.write_text(page(title, parts), encoding="utf-8")
    return path


def _minima(summary: dict[str, Any]) -> str:
    minima = summary["minima"]
    if not minima:
        return "<p>None: no start reached the end of the ladder.</p>"
    names = list(minima[0]["parameters"])[:8]
    heads = ["", "action", "A(∞)", "measurement", "model error", "reduced", "starts", "one of them", *names]
    body = [
        [
            str(place + 1), *(number(m[key], 7) for key in ("action", "limit", "measurement")),
            number(m["model"], 4), number(m["reduced"], 4), str(m["count"]), str(m["start"]),
            *(number(m["parameters"][n], 5) for n in names),
        ]
        for place, m in enumerate(minima[:SHOWN])
    ]  # fmt: skip
    more = (
        f"<p>{counted(len(minima) - SHOWN, 'more is', 'more are')} in summary.json.</p>"
        if len(minima) > SHOWN
        else ""
    )
    ended = [f"{summary['complete']} of {counted(summary['starts'], 'start')} reached the end of the ladder"]
    for key in ("stopped", "failed"):
        if summary[key]:
            why = ", ".join(f"{count} × {name}" for name, count in summary[f"{key}_reasons"].items())
            ended.append(f"{summary[key]} {key} ({why})")
    return f"<p>{escaped('; '.join(ended))}.</p>{table(heads, body, first=True)}{more}"


def _candidate(summary: dict[str, Any]) -> str:
    candidate = summary["candidate"]
    if candidate is None:
        return ""
    band, apart, plateau = summary["band"], candidate["separation"], candidate["plateau"] or {}
    gap = "" if apart["gap"] is None else f"{number(apart['gap'], 4)} above"
    rows = {
        "reached by": f"{candidate['count']} of {counted(summary['complete'], 'start')}",
        "reduced level": f"{candidate['reduced']:.4f}, {band_words(candidate, band)}, "
        f"{counted(summary['data'], 'data value')}",
        "next level": gap,
        "change with Rf": "none: the model is obeyed exactly"
        if plateau.get("exact")
        else "the ladder is too short to tell"
        if plateau.get("change") is None
        else f"{plateau['rise']:.2g} nats to A(∞); {plateau['change'] * candidate['action']:.2g} nats per "
        f"decade over the last {plateau['decades']:.2g} decades",
        "A(∞), without model error": ""
        if plateau.get("error") is None
        else number(plateau["limit"], 7) + (f" ± {number(plateau['error'], 1)}" if plateau["error"] else ""),
    }
    if "rmse_prediction" in candidate:
        rows["prediction"] = (
            "it grows without bound"
            if candidate["rmse_prediction"] is None
            else f"RMSE {number(candidate['rmse_prediction'], 4)}, "
            f"{number(candidate['rmse_prediction_over_noise'], 3)} times the noise; within 3 σ for "
            f"{number(candidate['prediction_valid_time'], 4)} of "
            f"{number(candidate['prediction_span'], 4)} time units"
        )
    for key, label in (
        ("rmse_truth_observed", "truth, observed states"),
        ("rmse_truth_unobserved", "truth, other states"),
    ):
        if candidate.get(key) is not None:
            rows[label] = f"RMSE {number(candidate[key], 4)}"
    if candidate["states_at_bound"]:
        rows["at a bound"] = bound_words(candidate, summary["times"])
    bars, true = candidate.get("error_bars", {}), candidate.get("true_parameters", {})
    none = f"none: {candidate['no_error_bars']}" if candidate["no_error_bars"] else ""
    body = [
        [
            name, number(value, 7),
            bar_words(value, bars[name]) if name in bars else none,
            number(true.get(name), 7),
            "at a bound" if name in candidate["at_bound"] else "",
        ]
        for name, value in candidate["parameters"].items()
    ]  # fmt: skip
    heads = ["parameter", "estimate", "its standard deviation", "truth", ""]
    return listing(rows) + (table(heads, body, text=1) if body else "")


def _mixture(summary: dict[str, Any]) -> str:
    """The distribution over several minima, which is none of theirs."""
    mixture = summary.get("distribution")
    if mixture is None or not mixture["parameters"] or len(mixture["weights"]) + len(mixture["missing"]) < 2:
        return ""
    weights = ", ".join(f"start {start} {weight:.3g}" for start, weight in mixture["weights"].items())
    missing = "".join(f" Missing: {one}." for one in mixture["missing"])
    body = [
        [
            name, "" if one["std"] is None else number(one["mean"], 6),
            "open" if one["std"] is None else f"± {number(one['std'], 2)}",
        ]
        for name, one in mixture["parameters"].items()
    ]  # fmt: skip
    heads = ["parameter", "mean of the mixture", "standard deviation of the mixture"]
    return (
        "<h2>All minima combined</h2>"
        f"<p>Each minimum's Gaussian with its weight: {escaped(weights)}.{escaped(missing)}</p>"
        + table(heads, body, text=1)
    )


def _momenta(summary: dict[str, Any]) -> str:
    record = summary.get("momenta")
    if record is None:
        return ""
    return f"<h2>Mechanics</h2><p>{escaped(' '.join(momentum_sentences(record)))}</p>"


def _refinement(summary: dict[str, Any]) -> str:
    record = summary.get("refinement")
    if record is None:
        return ""
    levels, names = record["levels"], [ACTION, *list(record["levels"][0]["parameters"])[:8]]
    body = [
        [
            str(one["steps_per_sample"]), number(one["action"], 7),
            *(number(one["parameters"][name], 6) for name in names[1:]),
        ]
        for one in levels
    ]  # fmt: skip
    limits = [record["limits"][name] for name in names]
    for head, key, digits in (("limit", "value", 7), ("its error", "error", 1), ("order", "order", 3)):
        body.append([head, *(number(one[key], digits) for one in limits)])
    text = table(["steps per sample", "action", *names[1:]], body, text=1)
    return f"<h2>Refinement in time</h2><p>{escaped(record['sentence'])}</p>{text}"


def _equations(summary: dict[str, Any]) -> str:
    obedience = summary["verdict"]["evidence"].get("obedience")
    if obedience is None:
        return ""
    heads = ["state", "weight", "window", "model error", "change of the state", "error of half a nat"]
    heads += ["shift", "wider", ""]
    weights = summary["model_error_weight"]
    body = [
        [
            one["state"], number(weights.get(one["state"]), 4), str(one["window"]),
            *(number(one[key], 3) for key in ("error", "motion", "allowed", "shift", "wider")),
            "" if one["obeyed"] else "not obeyed",
        ]
        for one in obedience["equations"]
    ]  # fmt: skip
    text = (
        "Root mean squares over one step, in the window where the equation is violated most. Error of half "
        "a nat: the model error that adds half a nat to the action. Shift: by how many standard deviations "
        "an estimate changes when the model error is removed (0 if removing it in all equations changes "
        "none). Wider: the state's standard deviation divided by that of a path that obeys the model "
        "exactly."
    )
    return f"<h2>Equations</h2><p>{text}</p>{table(heads, body, text=1)}"
