"""Differences between two jobs, and whether a stored run may be resumed with a changed job.

A run grows by more starts, a larger budget, more rungs; where its files lie and how long a start may take do
not change what it has found, nor does it change a network how many ranks share its pairs. Anything else makes
it another run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.job.any import AnyJob
from hpcda.job.networks import NetworkJob
from hpcda.job.schema import Job, LadderTable
from hpcda.job.text import inline, quoted

FREE = (
    "folder", "output.directory", "solver.max_seconds", "ensemble.budget", "ensemble.core_seconds",
    "twin.max_seconds",
)  # fmt: skip
FREE_OF_NETWORKS = ("ensemble.ranks_per_start",)
GROWS = ("ensemble.starts", "ladder.rungs", "ladder.rf_max", "ladder.end")
CHOSEN = "action.steps_per_sample"
"""Where "auto" stands for what the run has chosen when it began."""
SHOWN = ("monitor", "view", "log_", "info")
"""Parts of the names of PETSc options that only show something."""
ANEW = "start a new run with --output DIR"
_NUMBER = re.compile(r"^(\w+)\[\d+\](?=\.)")


def settled(job: AnyJob, options: Mapping[str, str]) -> AnyJob:
    """The job with the PETSc options of a command line in it, but for those that only show something."""
    kept = {name: value for name, value in options.items() if not any(part in name for part in SHOWN)}
    if not kept:
        return job
    solver = job.solver.model_copy(update={"petsc": {**job.solver.petsc, **kept}})
    return job.model_copy(update={"solver": solver})


def refuse_changed(old: AnyJob, new: AnyJob) -> None:
    """Refuse to go on with a run whose job has changed.

    Args:
        old: The job of the run.
        new: The job that it is to go on with.

    Raises:
        InputError: All the keys that differ and may not, with both values.
    """
    if type(old) is not type(new):
        words = "trains a network", "assimilates data"
        problem = "{} now, and the run {}".format(*words if isinstance(new, NetworkJob) else words[::-1])
        raise InputError(Mistake("the job", problem, ANEW))
    before, after = flat(old), flat(new)
    free = FREE + FREE_OF_NETWORKS if isinstance(new, NetworkJob) else FREE
    mistakes = []
    for key in [*before, *(key for key in after if key not in before)]:
        was, now = before.get(key), after.get(key)
        if was == now or _NUMBER.sub(r"\1", key) in free or key in GROWS:
            continue
        if key == CHOSEN and now == "auto":
            continue
        mistakes.append(
            Mistake(
                key,
                f"is {_shown(now)}, but was {_shown(was)} when this run began",
                f"restore it, or {ANEW}",
            )
        )
    if new.ensemble.starts < old.ensemble.starts:
        mistakes.append(_fewer("ensemble.starts", old.ensemble.starts, new.ensemble.starts))
    if isinstance(old, Job) and isinstance(new, Job):
        mistakes += _ladders(old.ladder, new.ladder)
    if mistakes:
        raise InputError(mistakes)


def _ladders(old: LadderTable, new: LadderTable) -> list[Mistake]:
    """What is wrong with another ladder: it has lost rungs, or has new ones below that at infinity."""
    key = "ladder.rungs" if new.rungs is not None else "ladder.rf_max"
    if old.infinity and not new.infinity:
        problem = f"is {new.end!r}, but was {old.end!r} when this run began"
        return [Mistake("ladder.end", problem, f"restore it, or {ANEW}")]
    if old.infinity and new.finite != old.finite:
        problem = (
            f"has {counted(new.finite, 'rung')} below the one at infinity, but this run has {old.finite}"
        )
        return [Mistake(key, problem, f"restore it, or {ANEW}")]
    return [_fewer(key, old.finite, new.finite)] if new.finite < old.finite else []


def _fewer(key: str, old: int, new: int) -> Mistake:
    what = "start" if key == "ensemble.starts" else "rung"
    problem = f"has {counted(new, what)}, but this run has {old}"
    return Mistake(key, problem, "a run can only be extended: give as many or more")


def _shown(value: Any) -> str:
    return "not given" if value is None else inline(value)


def _same(value: Any) -> Any:
    """The value of a PETSc option, alike however it was written."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return float(value)
    except ValueError:
        return str(value)


def flat(job: AnyJob) -> dict[str, Any]:
    """Dotted keys and plain values."""
    return flat_tables(plain_tables(job))


def plain_tables(job: AnyJob) -> dict[str, Any]:
    """The tables of a job, all its defaults among them."""
    return job.model_dump(by_alias=True, exclude_none=True, mode="python")


def flat_tables(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys and plain values of a job's tables, as they are; nothing is loaded."""
    found: dict[str, Any] = {}

    def visit(value: Any, place: str) -> None:
        if isinstance(value, Mapping) and (value or not place):
            for key, item in value.items():
                visit(item, f"{place}.{quoted(key)}" if place else quoted(key))
        elif isinstance(value, list | tuple) and value and all(isinstance(one, Mapping) for one in value):
            for number, item in enumerate(value):
                visit(item, f"{place}[{number}]" if len(value) > 1 else place)
        elif place.startswith("solver.petsc."):
            found[place] = _same(value)
        else:
            found[place] = list(value) if isinstance(value, tuple) else value

    visit(tables, "")
    return {key: value for key, value in found.items() if value not in ({}, [])}
