"""What an ensemble says: levels, candidate, distribution, prediction, figures, report."""

from typing import TYPE_CHECKING, Any

from hpcda.analysis.analyze import analyze, format_summary
from hpcda.analysis.opened import open_run
from hpcda.analysis.rundata import Run

if TYPE_CHECKING:
    from hpcda.analysis.network import NetworkRun

__all__ = ["NetworkRun", "Run", "analyze", "format_summary", "open_run"]


def __getattr__(name: str) -> Any:
    if name == "NetworkRun":  # most runs are none
        from hpcda.analysis.network import NetworkRun

        return NetworkRun
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
