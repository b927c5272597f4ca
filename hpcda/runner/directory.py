"""The directory of a run: lock, state left by earlier processes, stored job, index.

All but `named_part` are for rank 0 alone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tomllib
from pathlib import Path

from hpcda.build import refuse_used
from hpcda.ensemble import EarlierRun, read_earlier_run
from hpcda.errors import InputError, Mistake, StorageError, no_room
from hpcda.formatting import counted
from hpcda.job import AnyJob, Job, load_job, refuse_changed
from hpcda.job.stored import FILE as JOB
from hpcda.job.stored import refuse_edited
from hpcda.lock import RunLock
from hpcda.pilot import choose
from hpcda.runner.extensions import keep
from hpcda.store import (
    INDEX,
    PLAN,
    SHARDS,
    Journal,
    Part,
    RunLayout,
    build_index,
    clear,
    in_use,
    put_by,
    set_aside,
    shards_of,
    survey,
)


def named_part(text: str | None) -> Part:
    """The part that "K/N" names.

    Raises:
        InputError: It is none.
    """
    if text is None:
        return Part()
    number, slash, count = text.partition("/")
    if slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count) <= 999_999:
        return Part(int(number), int(count))
    raise InputError(
        Mistake("--part", f"{text!r} is not a part K/N", "give K from 1 to N, such as --part 2/8")
    )


def admit(job: AnyJob, directory: Path, part: Part, again: bool) -> None:
    """Refuse what must not be run in a directory; on rank 0.

    Raises:
        InputError: It holds another run, or this one and `again` is False.
    """
    own = f"rank-{part.mark}-*" if part.mark else "*"
    refuse_used(directory, None if again else own)
    if (directory / JOB).exists() and (again or part.count > 1):
        refuse_changed(load_job(directory / JOB), job)
        refuse_edited(directory, [one.file for one in job.extension_files])


def chosen_steps(job: Job, directory: Path, quiet: bool) -> int:
    """The steps from sample to sample that "auto" stands for: those of the run that is there, or a pilot's.

    Raises:
        InputError: There is no such number, or the job holds mistakes.
    """
    if (directory / JOB).exists():
        stored = load_job(directory / JOB)
        assert isinstance(stored, Job)  # or `admit` would have refused it
        return stored.steps
    chosen = choose(job)
    if not quiet:
        sys.stderr.write(f"note: steps_per_sample = {chosen}\n")
    return chosen.steps


def hold(held: contextlib.ExitStack, job: AnyJob, directory: Path, part: Part, again: bool) -> None:
    """Take the lock of the run, or of the part, until `held` ends; on rank 0, before anything is written.

    Raises:
        InputError: Somebody else holds it, or has run another job there meanwhile; ranks of a world that has
            lost its rank 0 are still at work; or the directory cannot be written.
        StorageError: There is no room in it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(directory, error) from None
    held.enter_context(RunLock(directory, str(part)))
    admit(job, directory, part, again)
    used = [shard.name for shard in shards_of(directory, part) if in_use(shard)]
    if used:
        raise InputError(
            Mistake(
                os.fspath(directory),
                counted(
                    len(used),
                    "earlier process of the run still writes",
                    "earlier processes of the run still write",
                )
                + f" it ({used[0]})",
                "wait for them to end, or kill them",
            )
        )
    try:
        clear(directory, part)
    except OSError as error:
        raise _unwritable(directory, error) from None


def prepare(job: AnyJob, directory: Path, layout: RunLayout, part: Part, again: bool) -> None:
    """Write job.toml whole or not at all; of several parts the first one does. Its extensions come before it.

    Raises:
        InputError: The directory cannot be written, or another part has begun another job there meanwhile.
    """
    target = directory / JOB
    draft = directory / f".{JOB}.{socket.gethostname()}.{os.getpid()}"
    try:
        if not again:
            (directory / part.file(PLAN)).unlink(missing_ok=True)
        keep(directory, job)
        if again and target.exists() and target.read_text(encoding="utf-8") == layout.job_toml:
            return
        draft.write_text(layout.job_toml, encoding="utf-8")
        if part.count == 1 or again:
            draft.replace(target)
            return
        with contextlib.suppress(FileExistsError):
            target.hardlink_to(draft)
        draft.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise _unwritable(directory, error) from None
    refuse_changed(load_job(target), load_job(tomllib.loads(layout.job_toml)))


def left_there(job: AnyJob, directory: Path, part: Part, layout: RunLayout, again: bool) -> EarlierRun:
    """The state left by earlier processes of the run, read on rank 0. Damaged shards are set aside.

    Raises:
        InputError: It cannot be read, or belongs to another run.
    """
    if not again:
        return EarlierRun()
    for shard in set_aside(directory, layout.fingerprints, part):
        sys.stderr.write(f"hpcda: {shard}\n")
    put_by(directory, part, layout)
    found = survey(directory, part, layout)
    informed = job.ensemble.way == "auto"
    decisions = Journal(directory / part.file(PLAN)).read() if informed else []
    if informed and len(found.start) and not decisions:
        raise InputError(
            Mistake(
                os.fspath(directory / part.file(PLAN)),
                "it is missing, and only it records the decisions of this search",
                "restore it from a copy, or start a new run with --output DIR",
            )
        )
    return read_earlier_run(found, decisions, informed, len(layout.rf), job.ensemble.ranks_per_start)


def index(directory: Path, part: Part) -> None:
    """Make the index where there is none, unless other parts are at work, the last of which makes it.

    Raises:
        InputError: A shard has been damaged meanwhile; but not where it is another part's.
    """
    shards = sorted((directory / SHARDS).glob("rank-*.h5"))
    if shards and not (directory / INDEX).exists() and not any(in_use(shard) for shard in shards):
        try:
            build_index(directory)
        except InputError as error:
            if part.count == 1:
                raise
            sys.stderr.write(f"hpcda: {INDEX} is not written yet: {error}\n")


def _unwritable(directory: Path, error: OSError) -> InputError | StorageError:
    problem = f"{directory} cannot be written: {error.strerror}"
    return no_room(directory, error) or InputError(Mistake("output.directory", problem, "give --output DIR"))
