"""Stops a run early: on signals, and before its time limit.

SIGINT, SIGTERM and SIGUSR1 ask for an end that loses nothing; a second SIGINT ends the process at once. Time
is up when what is left of it might not be enough for another stretch of work and for closing the files.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import datetime
from types import FrameType, TracebackType
from typing import Any, Self

from hpcda.errors import InputError, Mistake
from hpcda.times import ACCEPTED, is_plain, seconds

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
TIME = 1000
"""Number of the reason that time is up; those of signals are the signals' own."""
CLOSING, PART = 10.0, 0.05
"""Seconds kept for closing the files, and the part of the time given that they may be at most."""
LONGER = 2.0
"""The next stretch of work may take this many times the longest so far."""
PATIENCE = 20.0
"""Seconds within which Slurm has to answer."""


def sentence(why: int) -> str:
    """What a person reads of a reason."""
    return "the time limit" if why == TIME else signal.Signals(why).name


def deadline(limit: str | float | None, began: float) -> float | None:
    """When a run's time is up, in seconds since 1970-01-01 UTC; None where it has no end.

    Args:
        limit: A number of seconds; a text that `hpcda.times.seconds` reads, but no plain number; or "slurm"
            for the end of the Slurm job that this is.
        began: When the run began.

    Raises:
        InputError: The limit is none of these, or no Slurm job tells its end.
    """
    if limit is None:
        return None
    if not isinstance(limit, str):
        found = limit if 0.0 < limit < math.inf else None
    elif limit.strip() == "slurm":
        return _slurm()
    elif is_plain(limit) and float(limit) > 0.0:
        number = limit.strip()
        problem = f"{number} has no unit; sbatch and hpcda submit would read it as minutes"
        remedy = f"write {number}s or {number}min"
        raise InputError(Mistake("--time-limit", problem, remedy))
    else:
        found = seconds(limit)
    if found is None:
        problem = f"{limit!r} is not a time above 0"
        raise InputError(Mistake("--time-limit", problem, f"give {ACCEPTED}, or slurm"))
    return began + found


def _slurm() -> float | None:
    """The end of this Slurm job."""
    job = os.environ.get("SLURM_JOB_ID")
    remedy = "give the time itself, as --time-limit 1:30:00"
    if job is None:
        raise InputError(Mistake("--time-limit", "slurm is given, but this is not a Slurm job", remedy))
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    if end.isdigit():
        return float(end)
    squeue = shutil.which("squeue")
    said = "squeue: command not found"
    if squeue is not None:
        command = [squeue, "--noheader", "--jobs", job, "--format", "%e"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
            said = (done.stdout.strip() or done.stderr.strip()).split("\n")[0]
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
    if said in ("N/A", "NONE", "UNLIMITED"):
        return None
    try:
        return datetime.fromisoformat(said).timestamp()
    except ValueError:
        raise InputError(
            Mistake("--time-limit", f"Slurm does not report the end time of job {job}: {said}", remedy)
        ) from None


class Stop:
    """Listens to signals while its ``with`` lasts, in the main thread; knows when time is up.

    Attributes:
        deadline: When time is up, in seconds since 1970-01-01 UTC; None for never.
        longest: The longest stretch of work so far, in s.
    """

    def __init__(self, began: float | None = None) -> None:
        self._began = time.time() if began is None else began
        self._signal = 0
        self._before: dict[int, Any] = {}
        self.deadline: float | None = None
        self.longest = 0.0

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def listen(self) -> None:
        """Take the signals, also back from a library that has taken them since."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            now = signal.getsignal(number)
            if now == signal.SIG_IGN:
                continue
            if number not in self._before:
                self._before[number] = now
            signal.signal(number, self._heard)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._signal == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        self._signal = number

    def timed(self, work: Callable[[], Any]) -> Any:
        """Do a stretch of work, and learn how long it takes."""
        began = time.monotonic()
        done = work()
        self.longest = max(self.longest, time.monotonic() - began)
        return done

    @property
    def why(self) -> int:
        """Why this process has to stop: the number of a signal, or `TIME`; 0 where it has not."""
        if self._signal:
            return self._signal
        if self.deadline is None:
            return 0
        closing = min(CLOSING, PART * max(self.deadline - self._began, 0.0))
        return TIME if time.time() + LONGER * self.longest + closing > self.deadline else 0
