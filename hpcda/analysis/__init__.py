"""Analysis of a finished ensemble: levels, candidate, distribution, prediction, figures, report."""

from typing import TYPE_CHECKING, Any

from hpcda.analysis.analyze import analyze, format_summary
from hpcda.analysis.opened import open_run
from hpcda.analysis.rundata import Result

if TYPE_CHECKING:
    from hpcda.analysis.network import NetworkResult

__all__ = ["NetworkResult", "Result", "analyze", "format_summary", "open_run"]


def __getattr__(name: str) -> Any:
    if name == "NetworkResult":  # most runs are none
        from hpcda.analysis.network import NetworkResult

        return NetworkResult
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
