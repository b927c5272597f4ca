"""The interface that `hpcda.runner.lifecycle` needs of every kind of job."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hpcda.annealing import Team
from hpcda.ensemble import Setting
from hpcda.job import AnyJob, Job, NetworkJob
from hpcda.results.layout import RunLayout
from hpcda.search import Plan, Share

if TYPE_CHECKING:
    from hpcda.store import Part


class Study(Protocol):
    """One subject of a run; every rank of a world makes its own."""

    @property
    def context(self) -> Setting:
        """What the ensemble searches."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know, one sentence each."""
        ...

    @property
    def max_seconds(self) -> float:
        """Seconds after which a start ends; 0 for never."""
        ...

    def options(self) -> contextlib.AbstractContextManager[object]:
        """What holds while the run works."""
        ...

    def try_once(self, world: Any, share: Share) -> str:
        """Refuse what no start can begin with; how linear systems are solved, as a sentence, or empty.

        Raises:
            InputError: A mistake that only a first step shows.
        """
        ...

    def layout(self, world: Any, solver: str, whole: AnyJob) -> RunLayout:
        """What every shard holds beside its starts.

        Args:
            world: The ranks.
            solver: What `try_once` returned.
            whole: The job, with what the command line adds to it.
        """
        ...

    def team(self, world: Any, share: Share, watch: Callable[[int, float], None]) -> Team:
        """What works on a group's starts; calls `watch` with (iteration, action) as it goes on."""
        ...

    def plan(self, world: Any, share: Share) -> Plan:
        """Which starts are run."""
        ...


def study_of(job: AnyJob, world: Any, petsc_options: Sequence[str]) -> Study:
    """The subject of a job, made on all ranks of a world, or on none.

    Raises:
        InputError: What is wrong with the job, its data or the options.
    """
    if isinstance(job, NetworkJob):
        from hpcda.runner.networks import NetworkStudy

        return NetworkStudy(job, world, petsc_options)
    from hpcda.runner.paths import PathStudy

    return PathStudy(job, world, petsc_options)


def share_of(job: AnyJob, part: Part) -> Share:
    """The starts of a part."""
    unit = len(job.ladder.first_rungs) if isinstance(job, Job) else 1
    return Share(part.number - 1, part.count, unit)
