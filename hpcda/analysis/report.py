"""The report: one HTML file that holds everything, figures included, and says how to make it again."""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Any

from hpcda.analysis.bars import bar_words
from hpcda.analysis.rundata import Run
from hpcda.analysis.summary import band_words, bound_words
from hpcda.search.evidence import facts
from hpcda.words import counted

SHOWN = 25
"""Minima in the table; all are in summary.json."""

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
  color: #222; background: #fff;
  max-width: 62rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.sub { color: #555; margin-top: 0; }
.verdict { border-left: 5px solid #0072B2; background: #f2f7fb; padding: 0.8rem 1.1rem; margin: 1.4rem 0; }
.verdict.warn { border-color: #D55E00; background: #fdf4ee; }
.verdict b { display: block; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
th, td { padding: 0.25rem 0.8rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th { font-weight: 600; border-bottom: 2px solid #999; }
td.text, th.text { text-align: left; white-space: normal; }
tr.first td { font-weight: 600; color: #0072B2; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.2rem; font-size: 0.92rem; }
dt { color: #555; } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; }
figcaption { font-size: 0.88rem; color: #444; }
pre { background: #f6f6f6; padding: 0.7rem 1rem; overflow-x: auto; font-size: 0.85rem; }
.note { color: #8a3b00; }
@media print { body { margin: 0; max-width: none; } figure, table { break-inside: avoid; } }
"""

_CAPTIONS = {
    "Action levels": (
        "Action A of every start on its way up the ladder of Rf; a colour is a distinct minimum at the "
        "last Rf, the numbers at the right are how many starts ended there, its action, and its reduced "
        "level 2 · measurement / (number of data). A level that splits off below all others, lies in the "
        "χ² band and no longer changes with Rf is the answer. Dashes at the right mark the limit of large "
        "Rf, crosses starts that ended early."
    ),
    "Estimated path": (
        "The candidate's states with its own error bars (two standard deviations, no farther than the "
        "bounds; none where the data leave a state open, or where the notes say why there are none at all), "
        "the data, and, after the dotted line, what the "
        "model predicts from the last estimated state, beside data that were kept back."
    ),
    "Final actions": "Actions at the last Rf, in rising order and counted, coloured by level.",
    "Parameters": (
        "Estimated parameters of every start, over its final action; the grey band is that of χ², the blue "
        "one the candidate's own error bar, missing where the data leave the parameter open."
    ),
}


def write_report(run: Run, summary: dict[str, Any], figures: dict[str, Path], path: Path) -> Path:
    """Write the report.

    Args:
        run: The run.
        summary: What `summarize` returned.
        figures: Title -> PNG file, in the order of the report.
        path: HTML file to write.
    """
    header = run.file.header
    title = f"{header.model}: {counted(summary['starts'], 'start')}"
    verdict = summary["verdict"]
    source = " · ".join(x for x in (header.model_title, header.model_citation) if x)
    word = verdict["code"].replace("_", " ").capitalize()
    good = verdict["stable"]
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="sub">{_text(source)}</p>',
        f'<div class="verdict{"" if good else " warn"}"><b>{_text(word)}</b>'
        f"{_text(verdict['sentence'])}</div>",
        _list(facts(verdict["evidence"])),
        *(f'<p class="note">{_text(note)}</p>' for note in summary["notes"]),
        "<h2>Distinct minima</h2>",
        _minima(summary),
        "<h2>The candidate</h2>" if summary["candidate"] else "",
        _candidate(summary),
        _mixture(summary),
        _equations(summary),
    ]
    for name, file in figures.items():
        image = base64.b64encode(file.read_bytes()).decode()
        caption = _CAPTIONS.get(name.partition(",")[0], "")
        parts.append(
            f'<h2>{_text(name)}</h2><figure><img alt="{_text(name)}" src="data:image/png;base64,{image}">'
            f"<figcaption>{_text(caption)}</figcaption></figure>"
        )
    parts += [
        "<h2>Starts by way and first rung</h2>",
        "<p>How often a level was hit says nothing about what another way of starting would have found.</p>",
        _ways(summary),
        "<h2>Cost</h2>",
        _list(_cost(summary)),
        "<h2>Provenance</h2>",
        _list({**header.provenance, "seed": header.seed, "fingerprint": header.fingerprint}),
        "<h2>Make it again</h2>",
        _again(run),
    ]
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )
    path.write_text(page, encoding="utf-8")
    return path


def _text(value: Any) -> str:
    return html.escape(str(value))


def _number(value: Any, digits: int = 6) -> str:
    return "" if value is None else f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _rows(heads: list[str], rows: list[list[str]], text: int = 0, first: bool = False) -> str:
    """A table whose first `text` columns are words."""

    def cells(tag: str, row: list[str]) -> str:
        return "".join(
            f"<{tag}{' class=text' if k < text else ''}>{_text(cell)}</{tag}>" for k, cell in enumerate(row)
        )

    body = "".join(
        f"<tr{' class=first' if first and k == 0 else ''}>{cells('td', row)}</tr>"
        for k, row in enumerate(rows)
    )
    head = f"<thead><tr>{cells('th', heads)}</tr></thead>"
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def _minima(summary: dict[str, Any]) -> str:
    minima = summary["minima"]
    if not minima:
        return "<p>None: no start came to the end of the ladder.</p>"
    names = list(minima[0]["parameters"])[:8]
    heads = ["", "action", "A(∞)", "measurement", "model error", "reduced", "starts", "one of them", *names]
    rows = [
        [
            str(place + 1), *(_number(m[key], 7) for key in ("action", "limit", "measurement")),
            _number(m["model"], 4), _number(m["reduced"], 4), str(m["count"]), str(m["start"]),
            *(_number(m["parameters"][n], 5) for n in names),
        ]
        for place, m in enumerate(minima[:SHOWN])
    ]  # fmt: skip
    more = (
        f"<p>{counted(len(minima) - SHOWN, 'more is', 'more are')} in summary.json.</p>"
        if len(minima) > SHOWN
        else ""
    )
    ended = [f"{summary['complete']} of {counted(summary['starts'], 'start')} came to the end of the ladder"]
    for key in ("stopped", "failed"):
        if summary[key]:
            why = ", ".join(f"{count} × {name}" for name, count in summary[f"{key}_reasons"].items())
            ended.append(f"{summary[key]} {key} ({why})")
    return f"<p>{_text('; '.join(ended))}.</p>{_rows(heads, rows, first=True)}{more}"


def _candidate(summary: dict[str, Any]) -> str:
    candidate = summary["candidate"]
    if candidate is None:
        return ""
    band, apart, plateau = summary["band"], candidate["separation"], candidate["plateau"] or {}
    gap = "" if apart["gap"] is None else f"{_number(apart['gap'], 4)} above"
    rows = {
        "reached by": f"{candidate['count']} of {counted(summary['complete'], 'start')}",
        "reduced level": f"{candidate['reduced']:.4f}, {band_words(candidate, band)}, "
        f"{counted(summary['data'], 'data value')}",
        "next level": gap,
        "change with Rf": "the ladder is too short to tell"
        if plateau.get("change") is None
        else f"{plateau['rise']:.2g} nats to A(∞); {plateau['change'] * candidate['action']:.2g} nats per "
        f"decade over the last {plateau['decades']:.2g} decades",
        "A(∞), without model error": ""
        if plateau.get("error") is None
        else _number(plateau["limit"], 7)
        + (f" ± {_number(plateau['error'], 1)}" if plateau["error"] else ""),
    }
    if "rmse_prediction" in candidate:
        rows["prediction"] = (
            "it grows without bound"
            if candidate["rmse_prediction"] is None
            else f"RMSE {_number(candidate['rmse_prediction'], 4)}, "
            f"{_number(candidate['rmse_prediction_over_noise'], 3)} times the noise; within 3 σ for "
            f"{_number(candidate['prediction_valid_time'], 4)} of "
            f"{_number(candidate['prediction_span'], 4)} time units"
        )
    for key, label in (
        ("rmse_truth_observed", "truth, observed states"),
        ("rmse_truth_unobserved", "truth, other states"),
    ):
        if candidate.get(key) is not None:
            rows[label] = f"RMSE {_number(candidate[key], 4)}"
    if candidate["states_at_bound"]:
        rows["at a bound"] = bound_words(candidate, summary["times"])
    bars, true = candidate.get("error_bars", {}), candidate.get("true_parameters", {})
    none = f"none: {candidate['no_error_bars']}" if candidate["no_error_bars"] else ""
    table = [
        [
            name, _number(value, 7),
            bar_words(value, bars[name]) if name in bars else none,
            _number(true.get(name), 7),
            "at a bound" if name in candidate["at_bound"] else "",
        ]
        for name, value in candidate["parameters"].items()
    ]  # fmt: skip
    heads = ["parameter", "estimate", "its standard deviation", "truth", ""]
    return _list(rows) + (_rows(heads, table, text=1) if table else "")


def _mixture(summary: dict[str, Any]) -> str:
    """The distribution over several minima, which is none of theirs."""
    mixture = summary.get("distribution")
    if mixture is None or not mixture["parameters"] or len(mixture["weights"]) + len(mixture["missing"]) < 2:
        return ""
    weights = ", ".join(f"start {start} {weight:.3g}" for start, weight in mixture["weights"].items())
    missing = "".join(f" Missing: {one}." for one in mixture["missing"])
    table = [
        [
            name, "" if one["std"] is None else _number(one["mean"], 6),
            "open" if one["std"] is None else f"± {_number(one['std'], 2)}",
        ]
        for name, one in mixture["parameters"].items()
    ]  # fmt: skip
    heads = ["parameter", "mean of the mixture", "standard deviation of the mixture"]
    return (
        "<h2>All minima together</h2>"
        f"<p>Each minimum's Gaussian with its weight: {_text(weights)}.{_text(missing)}</p>"
        + _rows(heads, table, text=1)
    )


def _equations(summary: dict[str, Any]) -> str:
    obedience = summary["verdict"]["evidence"].get("obedience")
    if obedience is None:
        return ""
    heads = ["state", "weight", "window", "model error left", "motion", "error that costs nothing"]
    heads += ["shift", "wider", ""]
    weights = summary["model_error_weight"]
    rows = [
        [
            one["state"], _number(weights.get(one["state"]), 4), str(one["window"]),
            *(_number(one[key], 3) for key in ("error", "motion", "allowed", "shift", "wider")),
            "" if one["obeyed"] else "not obeyed",
        ]
        for one in obedience["equations"]
    ]  # fmt: skip
    text = (
        "Root mean squares over one step, in the window where the equation is obeyed least. Shift: how many "
        "standard deviations an estimate moves when these errors are taken away (0 where all of them "
        "together move none). Wider: the state's standard deviation over that of a path that obeys."
    )
    return f"<h2>Equations</h2><p>{text}</p>{_rows(heads, rows, text=1)}"


def _ways(summary: dict[str, Any]) -> str:
    heads = [
        "way",
        "first β",
        "starts",
        "failed",
        "stopped",
        "minima",
        "reached the candidate",
        "core-seconds",
    ]
    keys = ("way", "first_beta", "starts", "failed", "stopped", "minima", "hits", "core_seconds")
    return _rows(heads, [[_number(row[key], 4) for key in keys] for row in summary["ways"]], text=1)


def _cost(summary: dict[str, Any]) -> dict[str, str]:
    timing = summary["timing"]
    per_hit = timing["core_seconds_per_hit"]
    return {
        "core-seconds": _number(timing["core_seconds"], 4),
        "median of a start": f"{_number(timing['median_start_seconds'], 3)} s",
        "core-seconds a hit": "" if per_hit is None else _number(per_hit, 3),
        "iterations": str(timing["iterations"]),
        "ranks": str(timing["ranks"]),
        "wall clock": f"{_number(timing['wall_seconds'], 4)} s",
    }


def _list(values: dict[str, Any]) -> str:
    return (
        "<dl>"
        + "".join(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in values.items() if v != "")
        + "</dl>"
    )


def _again(run: Run) -> str:
    header = run.file.header
    options = header.provenance.get("petsc_options", "")
    steps = f"hpcda run job.toml --output again{f' -- {options}' if options else ''}\nhpcda analyze again"
    job = (
        f"<details><summary>job.toml as resolved</summary><pre>{_text(header.job_toml)}</pre></details>"
        if header.job_toml
        else ""
    )
    where = "In the run's directory, the one above this report, which holds the job as resolved:"
    return f"<p>{where}</p><pre>{_text(steps)}</pre>{job}"
