"""Errors in the input: each names the place, the value found, and the remedy."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mistake:
    """One mistake in the input.

    Attributes:
        place: The key, file and column, or option that is wrong, as the user wrote it (``ladder.alpha``).
        problem: What is wrong with it, with the value that was found.
        remedy: What to write instead.
    """

    place: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}\n    {self.remedy}"


class InputError(Exception):
    """One or several mistakes in the user's input; the command line prints all and returns exit code 2.

    Args:
        mistakes: All the mistakes that were found, in the order of the input.
    """

    def __init__(self, mistakes: Iterable[Mistake] | Mistake) -> None:
        self.mistakes = (mistakes,) if isinstance(mistakes, Mistake) else tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class DataWarning(UserWarning):
    """Data that contradict the problem, such as values outside bounds; nothing is refused."""


class StoppedError(Exception):
    """A run was stopped before its end and can be resumed; the command line returns exit code 75.

    Attributes:
        directory: Directory of the run.
    """

    def __init__(self, message: str, directory: Path) -> None:
        self.directory = directory
        super().__init__(message)


class StorageError(Exception):
    """Results cannot be written: the disk is full, a quota is used up, the directory is gone, a device fails.

    All committed rungs are intact; the command line returns exit code 1.

    Args:
        place: The file or directory.
        problem: What happened, the OS error text, if any.
        remedy: What to do.
    """

    def __init__(self, place: str, problem: str, remedy: str) -> None:
        super().__init__(f"{place}: {problem}\n    {remedy}")


ROOM = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of the quota",
    errno.EFBIG: "lift the limit",
}
"""What to do where there is no room for a file."""


def no_room(directory: Path, error: OSError) -> StorageError | None:
    """The error of a full disk or an exceeded quota, which is not a mistake in the input.

    Args:
        directory: Directory of the run.
        error: The error of the operating system.

    Returns:
        The error to raise; None if the cause is another.
    """
    if error.errno not in ROOM:
        return None
    begun = (directory / "job.toml").exists()
    then = f"`hpcda resume {directory}`. All committed rungs are intact." if begun else "begin again"
    problem = f"it cannot be written: {error.strerror}"
    return StorageError(os.fspath(directory), problem, f"{ROOM[error.errno]}, then {then}")


class CompilerError(Exception):
    """The C compiler is missing or failed to compile generated code."""
