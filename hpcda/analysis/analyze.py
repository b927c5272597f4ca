"""The complete analysis of a run: read in parallel, judge, draw, write `analysis/` in its directory."""

from __future__ import annotations

import csv
import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcda.analysis.bars import parameter_bars
from hpcda.analysis.opened import open_run
from hpcda.analysis.parallel import default_processes, in_turn, workers
from hpcda.analysis.rundata import Result
from hpcda.analysis.summary import summarize
from hpcda.analysis.summary_text import PARAMETERS
from hpcda.analysis.summary_text import format_summary as format_data_summary
from hpcda.errors import InputError, Mistake
from hpcda.problem import Problem
from hpcda.search.refinement import refinable

if TYPE_CHECKING:
    from hpcda.analysis.network import NetworkResult

DRAFT = ".summary.json"
STARTS_A_WORKER = 2000
"""A worker process takes about a second to start, in which it could read at least as many starts."""


def analyze(
    run_dir: str | os.PathLike[str],
    scheduler: str | None = None,
    processes: int | None = None,
    problem: Problem | None = None,
    trust: bool = False,
    refine: int | None = None,
) -> dict[str, Any]:
    """Analyze a run and write summary.json, tables, figures and report.html into its `analysis/`.

    Args:
        run_dir: Directory of the run.
        scheduler: Address of a Dask scheduler; by default local worker processes are started, and ended,
            where there are many starts.
        processes: Number of local worker processes; 0 reads everything in this process.
        problem: The problem, where it cannot be made again from job.toml.
        trust: Execute Python files that the job names also where another user wrote them; what needs them is
            left out otherwise, with a note.
        refine: Levels of a refinement in time: the candidate is solved again at 2, 4, … times as many steps.

    Returns:
        What summary.json holds.

    Raises:
        InputError: There is no such run, it is being written, it left nothing, its directory cannot be
            written, or it has no steps to refine.
        OSError: The scheduler cannot be reached.
    """
    run = open_run(Path(run_dir).absolute(), problem, trust)
    if refine is not None:
        if not isinstance(run, Result):
            what = f"{run.file.name} trained a network, which has layers in place of time steps"
            raise InputError(Mistake("refine", what, "leave it out"))
        refinable(run.problem, refine)
    folder = _folder(run.file.run_dir / "analysis")
    if processes is None:
        processes = min(default_processes(), len(run.file.start) // STARTS_A_WORKER)
        processes = 0 if processes < 2 else processes
    with workers(scheduler, processes) as mapping:
        run.use(mapping, max(1, 4 * processes, len(run.file.start) // 1000))
        if isinstance(run, Result):
            summary = summarize(run, refine)
        else:
            from hpcda.analysis.network_summary import summarize_network

            summary = summarize_network(run)
    run.use(in_turn, 1)
    try:
        return _write(run, summary, folder, refine)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _folder(folder: Path) -> Path:
    """Make the folder, and see that files can be written and replaced there, before any work is done."""
    try:
        folder.mkdir(exist_ok=True)
        draft = folder / DRAFT
        draft.write_text("", encoding="utf-8")
        draft.unlink()
        for path in folder.iterdir():
            if path.is_file() and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def _unwritable(folder: Path, error: OSError) -> InputError:
    place = os.fspath(error.filename or folder)
    problem = f"cannot be written: {error.strerror or error}"
    return InputError(
        Mistake(place, problem, "make it writable, or copy the run's directory to a writable place")
    )


def format_summary(summary: dict[str, Any]) -> str:
    """What an analysis found, for a terminal.

    Args:
        summary: What `analyze` returned, or summary.json read back.
    """
    if "weights" in summary:
        from hpcda.analysis.network_summary import format_network_summary

        return format_network_summary(summary)
    return format_data_summary(summary)


def _write(
    run: Result | NetworkResult, summary: dict[str, Any], folder: Path, refine: int | None
) -> dict[str, Any]:
    figures = _drawn(run, folder)
    if refine is not None and summary.get("refinement"):
        from hpcda.analysis.figures import draw_refinement

        assert isinstance(run, Result)
        figures["Refinement in time"] = draw_refinement(run, refine, folder / "refinement.png")
    summary["notes"] = list(run.notes)
    summary["figures"] = [path.name for path in figures.values()]
    report = folder / "report.html"
    summary["report"] = os.fspath(report)
    if isinstance(run, Result):
        from hpcda.analysis.report import write_report

        write_report(run, summary, figures, report)
    else:
        from hpcda.analysis.network_report import write_network_report

        write_network_report(run, summary, figures, report)
    draft = folder / DRAFT
    draft.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    draft.replace(folder / "summary.json")
    return summary


def _drawn(run: Result | NetworkResult, folder: Path) -> dict[str, Path]:
    """Write the candidate, and draw all figures: title -> file."""
    from hpcda.analysis.figures import draw_all, draw_network

    kept = run.candidate is not None and run.candidate.has_path
    if isinstance(run, Result):
        if kept:
            write_candidate(run, folder / "candidate.csv")
        if run.candidate is not None and run.candidate.parameters:
            write_parameters(run, folder / PARAMETERS)
        return draw_all(run, folder)
    if kept:
        write_weights(run, folder / "candidate.csv")
    return draw_network(run, folder)


def write_weights(run: NetworkResult, path: Path) -> None:
    """Write the candidate's weights as a table: label, value.

    Args:
        run: The run.
        path: The file; what is there is replaced.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["weight", "value"])
        writer.writerows(
            [label, repr(float(value))]
            for label, value in zip(run.file.header.unknown, run.theta(), strict=True)
        )


def write_parameters(run: Result, path: Path) -> None:
    """Write the candidate's parameters as a table: estimate, unit and own error bar of each.

    Columns parameter, unit, estimate, kind, std, low, high, as in `Result.error_bars`; the last four are
    empty where there are no error bars, `std` where the law is no Gaussian.

    Args:
        run: The run, which has a candidate.
        path: The file; what is there is replaced.
    """
    assert run.candidate is not None
    bars = {} if run.bars is None else parameter_bars(run.problem, run.bars)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["parameter", "unit", "estimate", "kind", "std", "low", "high"])
        units = run.file.header.parameter_unit
        for (name, value), unit in zip(run.candidate.parameters.items(), units, strict=True):
            bar = bars.get(name, {})
            numbers = ["" if bar.get(key) is None else repr(bar[key]) for key in ("std", "low", "high")]
            writer.writerow([name, unit, repr(value), bar.get("kind", ""), *numbers])


def write_candidate(run: Result, path: Path) -> None:
    """Write the candidate's path as a table: t, every state; `window` where there are several.

    Args:
        run: The run.
        path: The file; what is there is replaced.
    """
    header = run.file.header
    blocks, _ = run.kept_path()
    several = len(blocks) > 1
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*(["window"] if several else []), "t", *header.unknown])
        for number, (window, block) in enumerate(zip(run.windows, blocks, strict=True)):
            for t, row in zip(window.t, block, strict=True):
                writer.writerow(
                    [*([number] if several else []), repr(float(t)), *(repr(float(x)) for x in row)]
                )
