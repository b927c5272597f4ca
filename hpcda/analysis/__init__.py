"""What an ensemble says: levels, candidate, distribution, prediction, figures, report."""

from hpcda.analysis.analyze import analyze, format_summary
from hpcda.analysis.network import NetworkRun
from hpcda.analysis.opened import open_run
from hpcda.analysis.rundata import Run

__all__ = ["NetworkRun", "Run", "analyze", "format_summary", "open_run"]
