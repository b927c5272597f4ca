"""Building blocks of the HTML reports; a report is one self-contained file with its figures."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpcda.results.table import RunTable

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load or run of a page: the figures in it and its style; no script, whoever wrote it."""
STYLE = """
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


def escaped(value: Any) -> str:
    """A value as text of HTML."""
    return html.escape(str(value))


def number(value: Any, digits: int = 6) -> str:
    """A number of some digits; nothing for None."""
    return "" if value is None else f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def table(heads: list[str], rows: list[list[str]], text: int = 0, first: bool = False) -> str:
    """A table whose first `text` columns are words."""

    def cells(tag: str, row: list[str]) -> str:
        return "".join(
            f"<{tag}{' class=text' if k < text else ''}>{escaped(cell)}</{tag}>" for k, cell in enumerate(row)
        )

    body = "".join(
        f"<tr{' class=first' if first and k == 0 else ''}>{cells('td', row)}</tr>"
        for k, row in enumerate(rows)
    )
    head = f"<thead><tr>{cells('th', heads)}</tr></thead>"
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


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
    return table(heads, [[number(row[key], 4) for key in keys] for row in summary["ways"]], text=1)


def _cost(summary: dict[str, Any]) -> dict[str, str]:
    timing = summary["timing"]
    per_hit = timing["core_seconds_per_hit"]
    return {
        "core-seconds": number(timing["core_seconds"], 4),
        "median of a start": f"{number(timing['median_start_seconds'], 3)} s",
        "core-seconds per hit": "" if per_hit is None else number(per_hit, 3),
        "iterations": str(timing["iterations"]),
        "ranks": str(timing["ranks"]),
        "wall clock": f"{number(timing['wall_seconds'], 4)} s",
    }


def listing(values: dict[str, Any]) -> str:
    """Titles and what is said of each, but of those of which nothing is."""
    return (
        "<dl>"
        + "".join(f"<dt>{escaped(k)}</dt><dd>{escaped(v)}</dd>" for k, v in values.items() if v != "")
        + "</dl>"
    )


def _again(file: RunTable) -> str:
    header = file.header
    options = header.provenance.get("petsc_options", "")
    steps = f"hpcda run job.toml --output again{f' -- {options}' if options else ''}\nhpcda analyze again"
    job = (
        f"<details><summary>job.toml as resolved</summary><pre>{escaped(header.job_toml)}</pre></details>"
        if header.job_toml
        else ""
    )
    where = "In the run's directory, the one above this report, which holds the job as resolved:"
    return f"<p>{where}</p><pre>{escaped(steps)}</pre>{job}"


def head_of(
    file: RunTable, title: str, verdict: dict[str, Any], evidence: dict[str, str], notes: Sequence[str]
) -> list[str]:
    """The beginning of a report: what was run, what came out, and what that rests on."""
    source = " · ".join(x for x in (file.header.model_title, file.header.model_citation) if x)
    word = verdict["code"].replace("_", " ").capitalize()
    return [
        f"<h1>{escaped(title)}</h1>",
        f'<p class="sub">{escaped(source)}</p>',
        f'<div class="verdict{"" if verdict["stable"] else " warn"}"><b>{escaped(word)}</b>'
        f"{escaped(verdict['sentence'])}</div>",
        listing(evidence),
        *(f'<p class="note">{escaped(note)}</p>' for note in notes),
    ]


def figure(name: str, file: Path, caption: str) -> str:
    """A figure under its title."""
    image = base64.b64encode(file.read_bytes()).decode()
    return (
        f'<h2>{escaped(name)}</h2><figure><img alt="{escaped(name)}" src="data:image/png;base64,{image}">'
        f"<figcaption>{escaped(caption)}</figcaption></figure>"
    )


def end_of(file: RunTable, summary: dict[str, Any]) -> list[str]:
    """The end of a report: starts by way, cost, provenance, and how to make it again."""
    header = file.header
    return [
        "<h2>Starts by starting strategy and first rung</h2>",
        "<p>These counts hold for the strategies that were used. They do not show what another strategy "
        "would find.</p>",
        _ways(summary),
        "<h2>Cost</h2>",
        listing(_cost(summary)),
        "<h2>Provenance</h2>",
        listing({**header.provenance, "seed": header.seed, "fingerprint": header.fingerprint}),
        "<h2>Reproduce</h2>",
        _again(file),
    ]


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escaped(title)}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )
