"""The journal of a search: one line per round, written before the round starts.

A run that is taken up again goes through the same rounds, whatever has become of its budget since.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from hpcda.annealing import Task
from hpcda.errors import InputError, Mistake
from hpcda.store.space import writing

FILE = "plan.jsonl"


@dataclass(frozen=True)
class Decision:
    """A round.

    Attributes:
        cap: Action above which its starts end early.
        tasks: Its starts.
    """

    cap: float
    tasks: tuple[Task, ...]


class Journal:
    """The decisions of a run, or of one of its parts.

    Args:
        file: The file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> list[Decision]:
        """All decisions; a last line that was being written when its process was killed is left out.

        Raises:
            InputError: The file is damaged.
        """
        try:
            text = self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        found = []
        for number, line in enumerate(text.split("\n")[:-1], start=1):
            try:
                given = json.loads(line)
                cap = float("inf") if given["cap"] is None else float(given["cap"])
                rows = [Task(int(s), str(w), int(f), tuple(map(int, p))) for s, w, f, p in given["tasks"]]
                found.append(Decision(cap, tuple(rows)))
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(
                    Mistake(
                        f"{self._file}, line {number}",
                        f"is not a round of a search: {error}",
                        "restore the file from a copy, or start a new run with --output DIR",
                    )
                ) from None
        return found

    def write(self, cap: float, tasks: Sequence[Task]) -> None:
        """Add a round; it is on the disk when this returns.

        Raises:
            StorageError: It cannot be written.
        """
        rows = [astuple(task) for task in tasks]
        line = json.dumps({"cap": None if cap == float("inf") else cap, "tasks": rows}) + "\n"
        with writing(self._file), self._file.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
