"""``hpcda status``: the state of a run from its directory: running, killed, stopped, or queued in Slurm.

A run says of itself that it runs; whether that is still so is seen from its lock, and from its process where
that is on this host. Whoever was killed, or lost its node, is dead: it can be taken up again.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from hpcda.errors import InputError
from hpcda.formatting import counted
from hpcda.lock import SILENT, holder, left_by
from hpcda.process import alive
from hpcda.progress import Snapshot, duration, progress_files, read_progress

SLURM = "slurm.json"
_PART = re.compile(r"progress-p(\d+)of(\d+)\.json")


def status(run: Path, now: float) -> str:
    """Several lines for people.

    Args:
        run: Directory of the run.
        now: The time, in seconds since 1970-01-01 UTC.

    Raises:
        InputError: The directory holds no run, or its progress.json is damaged.
    """
    slurm = _slurm(run)
    lines: list[str] = []
    for name in progress_files(run):
        try:
            snapshot = read_progress(run, name)
        except InputError:
            if not slurm or (run / name).exists():
                raise
            lines.append("not begun")
            continue
        mark = _PART.fullmatch(name)
        if mark is None:
            lines += describe(run, snapshot, now)
        else:
            first, *more = describe(run, snapshot, now, "/".join(mark.groups()))
            lines += [f"part {mark[1]} of {mark[2]} {first}", *(f"  {line}" for line in more)]
    return "\n".join([*lines, *slurm])


def describe(run: Path, snapshot: Snapshot, now: float, part: str = "") -> list[str]:
    """The lines about one progress file.

    Args:
        run: Directory of the run.
        snapshot: What the file says.
        now: The time, in seconds since 1970-01-01 UTC.
        part: The part "K/N" of the run that it is of, "" for the whole.
    """
    dead = _death(run, snapshot, now, part) if snapshot.state == "running" else ""
    word = "dead" if dead else snapshot.state
    shown = replace(snapshot, state="failed") if dead else snapshot  # nothing is left to wait for
    began = datetime.fromtimestamp(snapshot.began).astimezone()
    ranks = counted(snapshot.ranks, "rank")
    lines = [
        f"{word}: {shown.line()}",
        f"began {began:%Y-%m-%d %H:%M:%S %Z} on {snapshot.host}, {ranks}",
    ]
    left = snapshot.starts - snapshot.done
    if word == "running" and left > 0:
        lines.append(f"{counted(left, 'start')} at work or waiting, {_rate(snapshot)}")
    if (last := _last_commit(run, part)) is not None and word != "done":
        lines.append(f"last commit {duration(max(now - last, 0.0))} ago")
    if snapshot.reason:
        lines.append(f"reason: {snapshot.reason}")
    again = f"`hpcda resume {run}{f' --part {part}' if part else ''}` continues the run"
    if dead:
        lines.append(f"{dead}; all committed rungs are intact, {again}")
    elif word in ("stopped", "failed"):
        lines.append(again)
    elif word == "running" and (silent := now - snapshot.updated) > SILENT:
        lines.append(f"no news for {duration(silent)}: a rung takes long, or the run is stuck")
    return lines


def _rate(snapshot: Snapshot) -> str:
    rate = snapshot.rungs_done / snapshot.seconds if snapshot.seconds else 0.0
    per, every = (rate, "second") if rate >= 1.0 or not rate else (60.0 * rate, "minute")
    return f"{counted(per, 'rung')} a {every}"


def _death(run: Path, snapshot: Snapshot, now: float, part: str) -> str:
    """Why a run that says it runs does not; empty where it does."""
    if holder(run, part) is not None:
        return ""
    left = left_by(run, part) or left_by(run)
    if left is not None:
        return f"its process {left.pid} on {left.host} has ended: it was killed, or its node was lost"
    who = f"its process {snapshot.process} on {snapshot.host}"
    if snapshot.host == socket.gethostname():
        return (
            "" if alive(snapshot.process, snapshot.born) else f"{who} has ended: it was killed, or it failed"
        )
    silent = now - snapshot.updated
    return f"{who} has been silent for {duration(silent)}" if silent > SILENT else ""


def _last_commit(run: Path, part: str) -> float | None:
    """When a shard of the run, or of a part, was last written, in seconds since 1970-01-01 UTC."""
    times = []
    mark = f"p{part.replace('/', 'of')}-" if part else ""
    for shard in (run / "shards").glob(f"rank-{mark}*.h5"):
        try:
            times.append(shard.stat().st_mtime)
        except OSError:
            continue
    return max(times, default=None)


def _slurm(run: Path) -> list[str]:
    """What Slurm says of the job that the run was submitted as; empty where it was not."""
    try:
        known = json.loads((run / SLURM).read_text(encoding="utf-8"))
        job, submitted = str(known["job"]), str(known.get("submitted", ""))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []
    head = f"Slurm job {job}" + (f", submitted {submitted}" if submitted else "")
    queued = _ask("squeue", "--noheader", "--jobs", job, "--format=%i|%T|%M|%l|%R")
    if queued is None:
        return [f"{head}; squeue is not available here"]
    lines = []
    for line in queued.splitlines():
        number, state, used, limit, reason = [*line.split("|", 4), "", "", "", ""][:5]
        where = reason if reason.startswith("(") else f"on {reason}"
        lines.append(f"Slurm job {number}: {state}, {used} of {limit}, {where}")
    if lines:
        return [head, *lines] if len(lines) > 1 else lines
    ended = _ask("scontrol", "show", "job", "--oneliner", job) or ""
    words = dict(word.split("=", 1) for word in ended.split() if "=" in word)
    if "JobState" in words:
        return [f"{head}: {words['JobState']}, exit code {words.get('ExitCode', '?').split(':')[0]}"]
    return [f"{head}: no longer known to Slurm"]


def _ask(*command: str) -> str | None:
    """What a command of Slurm answers, "" where it refuses, None where there is no such command or answer."""
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=10.0, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if asked.returncode and "Invalid job id" not in asked.stderr:
        return None
    return asked.stdout.strip() if not asked.returncode else ""
