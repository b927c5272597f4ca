"""Submission: writes the scripts to the run's directory, calls sbatch, records job numbers in slurm.json."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.slurm.script import FOLDER, Batch, analysis_script, job_script
from hpcda.store.shards import SHARDS, part_of

FILE = "slurm.json"
PATIENCE = 120.0
"""Seconds that a busy controller may take to answer."""
IF_THE_RUN_IS_DONE = "--dependency=afterok:{job}"
NEVER_WAIT_IN_VAIN = "--kill-on-invalid-dep=yes"


@dataclass(frozen=True)
class Submitted:
    """What was submitted.

    Attributes:
        job: Number of the job, or of the array.
        script: Its script.
        analysis: Number of the job that analyses the run, if there is one.
    """

    job: str
    script: Path
    analysis: str | None = None


def refuse_now(run: Path) -> None:
    """Refuse what cannot be submitted from here now, before time is spent on the job's checks.

    Args:
        run: The run's directory.

    Raises:
        InputError: There is no Slurm here, or an earlier job of this run is still in the queue.
    """
    if shutil.which("sbatch") is None:
        raise InputError(
            Mistake(
                "sbatch",
                "is not on PATH",
                "run hpcda submit where Slurm is available, on a login node; --dry-run shows the script "
                "without it",
            )
        )
    _refuse_queued(run)


def refuse_other_parts(batch: Batch) -> None:
    """Refuse to go on with a run in another number of parts than it was begun with.

    Raises:
        InputError: Its shards are those of another number of parts.
    """
    parts = (part_of(shard) for shard in sorted((batch.run / SHARDS).glob("rank-*.h5")))
    begun = {part.count for part in parts if part is not None} - {batch.array or 1}
    if begun:
        was, now = (f"in {counted(count, 'part')}" for count in (min(begun), batch.array or 1))
        remedy = f"give --array {min(begun)}" if min(begun) > 1 else "leave out --array"
        problem = f"{batch.run} was started {was} and cannot be resumed {now}"
        raise InputError(Mistake("--array", problem, f"{remedy}, or start a new run with --output DIR"))


def submit(batch: Batch, analyze: bool = False) -> Submitted:
    """Submit a job, and the one that analyses its run when it is done.

    Args:
        batch: The job.
        analyze: Submit the analysis too.

    Returns:
        Their numbers.

    Raises:
        InputError: There is no Slurm here, the directory cannot be written, an earlier job of this run is
            still in the queue, or sbatch refuses; nothing is left behind unless the first job was accepted.
    """
    refuse_now(batch.run)
    texts = {"job.sh": job_script(batch)}
    if analyze:
        texts["analyze.sh"] = analysis_script(batch)
    folder = batch.run.absolute() / FOLDER
    undo = _write(folder, texts)
    script = folder / "job.sh"
    try:
        job = _sbatch([str(script)])
    except InputError:
        undo()
        raise
    submitted = Submitted(job, script)
    _remember(batch, submitted)
    if analyze:
        try:
            options = [IF_THE_RUN_IS_DONE.format(job=job), NEVER_WAIT_IN_VAIN]
            analysis = _sbatch([*options, str(folder / "analyze.sh")])
        except InputError as error:
            added = Mistake(
                "--analyze",
                f"job {job} is queued, but its analysis is not",
                "when it is done: hpcda analyze",
            )
            raise InputError([*error.mistakes, added]) from None
        submitted = Submitted(job, script, analysis)
        _remember(batch, submitted)
    return submitted


def _sbatch(arguments: list[str]) -> str:
    """The number of the job that sbatch accepted."""
    done = _slurm("sbatch", "--parsable", *arguments)
    number = done.stdout.strip().partition(";")[0]
    if done.returncode or not re.fullmatch(r"\d+", number):
        said = " ".join((done.stderr or done.stdout).split()) or f"ended with code {done.returncode}"
        raise InputError(
            Mistake(
                "sbatch",
                f"refuses: {said}",
                "change the profile, or --ranks, --time, --array; --dry-run shows it",
            )
        )
    return number


def _slurm(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        problem = f"has not answered for {PATIENCE:g} s"
        raise InputError(Mistake(command[0], problem, "is Slurm up? sinfo says so")) from None
    except OSError as error:
        raise InputError(Mistake(command[0], f"cannot be called: {error}", "is Slurm installed?")) from None


def _refuse_queued(run: Path) -> None:
    """Two jobs of one run would stand in each other's way."""
    try:
        job = str(json.loads((run / FILE).read_text(encoding="utf-8"))["job"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if not re.fullmatch(r"\d+", job):
        return
    states = sorted(set(_slurm("squeue", "--noheader", f"--jobs={job}", "--format=%T").stdout.split()))
    if states:
        raise InputError(
            Mistake(
                str(run),
                f"job {job} of this run is in the queue ({', '.join(states).lower()})",
                f"wait for it, or scancel {job}",
            )
        )


def _write(folder: Path, texts: dict[str, str]) -> Callable[[], None]:
    """Write the scripts, and return what takes them back."""
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    before = {name: _text(folder / name) for name in texts}

    def undo() -> None:
        with suppress(OSError):  # what could not be written may not be removable either
            for name, text in before.items():
                if text is None:
                    (folder / name).unlink(missing_ok=True)
                else:
                    (folder / name).write_text(text, encoding="utf-8")
            for one in made:
                if one.is_dir() and not any(one.iterdir()):
                    one.rmdir()

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).touch(mode=0o700)  # a profile may hold what others are not to read
            (folder / name).chmod(0o700)
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        undo()
        raise InputError(
            Mistake("output.directory", f"{folder} cannot be written: {error.strerror}", "give --output DIR")
        ) from None
    return undo


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _remember(batch: Batch, submitted: Submitted) -> None:
    """Write slurm.json, whole or not at all."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    values = {
        "job": submitted.job,
        "submitted": now,
        "script": str(submitted.script),
        "ranks": batch.ranks,
        "array": batch.array,
        "requeue": batch.requeue,
        "analysis": submitted.analysis,
    }
    scratch = batch.run / f".{FILE}.{os.getpid()}"
    scratch.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    scratch.replace(batch.run / FILE)
