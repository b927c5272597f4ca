"""Progress of a run: a bar on a terminal, occasional lines in a log, and progress.json in its directory.

Lines in a log come at times that double, from ten seconds to ten minutes apart, so that the log of a
week stays small.
progress.json appears whole or not at all: it is written under another name and then renamed.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TextIO

from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.process import born

State = Literal["running", "done", "stopped", "failed"]
FILE = "progress.json"
FILE_EVERY, BAR_EVERY, LINE_FIRST, LINE_LAST = 2.0, 0.2, 10.0, 600.0


@dataclass(frozen=True)
class Snapshot:
    """What progress.json says.

    Attributes:
        state: "running", "done", "stopped" (may be taken up again) or "failed".
        starts: How many paths start.
        done: How many of them have ended, failed ones included.
        failed: How many of them failed.
        rungs: How many rungs all starts have together.
        rungs_done: How many of these are done.
        lowest: The lowest action at the end of a ladder so far, or None.
        ranks: MPI ranks at work.
        host: Where rank 0 runs.
        process: Its process number.
        began: When it began, in seconds since 1970-01-01 UTC.
        updated: When this was written, likewise.
        reason: Why the run stopped or failed.
        rungs_before: How many of the rungs that are done were done before it was taken up again.
        born: When that process began, in clock ticks since its host started; 0 where that is not known.
        drawing: The way, or the escape, by which rank 0 is drawing the first path of a start; empty where it
            draws none.
    """

    state: State
    starts: int
    rungs: int
    ranks: int
    host: str
    process: int
    began: float
    updated: float
    done: int = 0
    failed: int = 0
    rungs_done: int = 0
    lowest: float | None = None
    reason: str = ""
    rungs_before: int = 0
    born: int = 0
    drawing: str = ""

    @property
    def seconds(self) -> float:
        """Time from the beginning to the last news, in s."""
        return max(self.updated - self.began, 0.0)

    @property
    def remaining(self) -> float | None:
        """Expected time to the end, in s; None where nothing is known yet."""
        done = self.rungs_done - self.rungs_before
        if done < 1 or self.state != "running":
            return None
        return self.seconds * max(self.rungs - self.rungs_done, 0) / done

    def line(self) -> str:
        """One line for people."""
        parts = [
            f"{self.done}/{counted(self.starts, 'start')}",
            f"{self.rungs_done}/{counted(self.rungs, 'rung')}",
        ]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.drawing and self.state == "running":
            parts.append(f"drawing a first path ({self.drawing})")
        if self.lowest is not None:
            parts.append(f"lowest action {self.lowest:.6g}")
        parts.append(duration(self.seconds))
        if self.remaining is not None:
            parts.append(f"about {duration(self.remaining)} left")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time for people: ``12 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = round(seconds)
    for size, name, smaller, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s" if whole or not seconds else "less than 1 s"


class Progress:
    """Tells how far a run is; rank 0 keeps one, best in a ``with``, and calls `update` as often as it likes.

    Args:
        directory: Directory of the run, which exists.
        starts: How many paths start.
        rungs: How many rungs all starts have together.
        ranks: MPI ranks at work.
        quiet: Write progress.json alone.
        stream: Where the bar or the lines go; standard error where it is not given.
        clock: The time in seconds since 1970-01-01 UTC.
        mark: What tells its file from those of other parts of the run; empty where there are none.
    """

    def __init__(
        self,
        directory: Path,
        *,
        starts: int,
        rungs: int,
        ranks: int = 1,
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.time,
        mark: str = "",
    ) -> None:
        now = clock()
        self._file = directory / (f"progress-{mark}.json" if mark else FILE)
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._bar = self._stream.isatty()
        self._clock = clock
        self._wait = LINE_FIRST
        self._next_file, self._next_bar, self._next_line = now, now, now + self._wait
        self._width = 0
        self.snapshot = Snapshot(
            "running",
            starts,
            rungs,
            ranks,
            socket.gethostname(),
            os.getpid(),
            now,
            now,
            born=born(os.getpid()),
        )
        self._store()

    def expect(self, starts: int, rungs: int) -> None:
        """Tell of a further round: so many starts more, with so many rungs together."""
        self.snapshot = replace(
            self.snapshot, starts=self.snapshot.starts + starts, rungs=self.snapshot.rungs + rungs
        )

    def drawing(self, way: str) -> None:
        """Tell by which way or escape a first path is being drawn; empty once it is there."""
        self.snapshot = replace(self.snapshot, drawing=way)

    def had(self, rungs: int) -> None:
        """Tell that so many rungs were done before the run was taken up again."""
        self.snapshot = replace(self.snapshot, rungs_before=self.snapshot.rungs_before + rungs)

    def update(self, *, done: int, rungs_done: int, failed: int = 0, lowest: float | None = None) -> None:
        """Tell the counts so far; written where it is time to."""
        now = self._clock()
        if lowest is not None and lowest != lowest:
            lowest = None
        self.snapshot = replace(
            self.snapshot, done=done, rungs_done=rungs_done, failed=failed, lowest=lowest, updated=now
        )
        if now >= self._next_file:
            self._next_file = now + FILE_EVERY
            self._store()
        if self._quiet:
            return
        if self._bar and now >= self._next_bar:
            self._next_bar = now + BAR_EVERY
            self._draw()
        elif not self._bar and now >= self._next_line:
            self._wait = min(2.0 * self._wait, LINE_LAST)
            self._next_line = now + self._wait
            self._write(self.snapshot.line() + "\n")

    def finish(self, state: State, reason: str = "") -> None:
        """Tell that the run has ended; the first call counts."""
        if self.snapshot.state != "running":
            return
        self.snapshot = replace(self.snapshot, state=state, reason=reason, updated=self._clock())
        self._store()
        if not self._quiet:
            if self._bar:
                self._write("\r" + " " * self._width + "\r")
            if state != "stopped":  # whoever stopped it tells how to go on
                self._write(f"{state}: {self.snapshot.line()}" + (f" ({reason})" if reason else "") + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish("done")
        elif issubclass(kind, KeyboardInterrupt):
            self.finish("stopped", "interrupted")
        else:
            self.finish("failed", f"{kind.__name__}: {error}"[:500])

    def _draw(self) -> None:
        columns = shutil.get_terminal_size().columns - 1
        text = self.snapshot.line()
        room = min(columns - len(text) - 3, 40)
        if room >= 5:
            full = round(room * self.snapshot.rungs_done / max(self.snapshot.rungs, 1))
            text = "[" + "#" * min(full, room) + "." * (room - min(full, room)) + "] " + text
        text = text[:columns]
        self._write("\r" + text + " " * (self._width - len(text)))
        self._width = len(text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads any more; the run goes on
            self._quiet = True

    def _store(self) -> None:
        """Write progress.json; a full disk or a lost directory does not end a run."""
        scratch = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            scratch.write_text(json.dumps(asdict(self.snapshot), indent=1) + "\n", encoding="utf-8")
            scratch.replace(self._file)
        except OSError:
            scratch.unlink(missing_ok=True)


def progress_files(run: Path) -> list[str]:
    """Names of the files that show the progress of a run, or each of its parts; at least one."""
    return sorted(file.name for file in run.glob("progress*.json")) or [FILE]


def read_progress(run: Path, name: str = FILE) -> Snapshot:
    """How far a run is, or the part of it whose file has this name.

    Raises:
        InputError: The directory holds no run, or its progress.json is damaged.
    """
    remedy = "give the directory of a run, the one that output.directory or --output named"
    try:
        values: Any = json.loads((run / name).read_text(encoding="utf-8"))
        snapshot = Snapshot(**values)
        snapshot.line()
    except (FileNotFoundError, NotADirectoryError):
        problem = f"holds no {FILE}" if run.is_dir() else "is not a directory"
        raise InputError(Mistake(str(run), problem, remedy)) from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(Mistake(str(run / name), f"cannot be read: {error}", remedy)) from None
    return snapshot
