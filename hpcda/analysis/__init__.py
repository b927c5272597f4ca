"""What an ensemble says: levels, candidate, distribution, prediction, figures, report."""

from hpcda.analysis.analyze import analyze
from hpcda.analysis.rundata import Run, open_run
from hpcda.analysis.summary import format_summary

__all__ = ["Run", "analyze", "format_summary", "open_run"]
