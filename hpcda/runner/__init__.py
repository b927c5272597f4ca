"""Runs a job: builds the problem, runs the ensemble on all ranks, writes the store.

Everything is imported when it is first used: an ensemble in memory needs no file.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcda.runner.lifecycle import resume as resume
    from hpcda.runner.lifecycle import run as run

__all__ = ["resume", "run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from hpcda.runner import lifecycle

        return getattr(lifecycle, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
