"""Executes Python files of a user; their exceptions become input errors."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from hpcda.errors import InputError, Mistake
from hpcda.names import nearest

T = TypeVar("T")
_PREFIX = "_hpcda_file_"
"""How the names of modules begin that users' files become."""


def read_file(file: Path, place: str) -> bytes:
    """What a Python file holds.

    Args:
        file: The file.
        place: Key of the job that names it.

    Raises:
        InputError: It is not there, cannot be read, or is not a Python file.
    """
    try:
        there = file.is_file()
    except OSError as error:
        raise InputError(_unreadable(file, error, place)) from None
    if not there:
        others = sorted(other.name for other in file.parent.glob("*.py")) if file.parent.is_dir() else []
        raise InputError(Mistake(place, f"there is no file {file}", nearest(file.name, others)))
    if file.suffix != ".py":
        raise InputError(Mistake(place, f"{file} is not a Python file", "give a file that ends in .py"))
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(_unreadable(file, error, place)) from None


def load_file(file: Path, place: str, content: bytes | None = None) -> ModuleType:
    """Execute a file under a name of its own, so that two files of one name do not meet.

    Args:
        file: The file.
        place: Key of the job that names it.
        content: What it holds, where it has been read.

    Raises:
        InputError: See `read_file`; or what the file raises, with the line.
    """
    content = read_file(file, place) if content is None else content
    digest = hashlib.sha256(str(file.resolve()).encode() + content).hexdigest()[:12]
    unique = f"{_PREFIX}{file.stem}_{digest}"
    module = ModuleType(unique)
    module.__file__ = str(file)
    module.__spec__ = importlib.util.spec_from_file_location(unique, file)
    before = sys.modules.get(unique)
    sys.modules[unique] = module
    try:
        exec(compile(content, str(file), "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        if before is None:
            del sys.modules[unique]
        else:
            sys.modules[unique] = before
        if isinstance(error, InputError):
            where = _where(error, file)
            raise InputError(
                Mistake(place, f"{where} {one.place}: {one.problem}", one.remedy) for one in error.mistakes
            ) from error
        raise raised(error, file, place) from error
    return module


def called(function: Callable[..., T], place: str, *arguments: Any) -> T:
    """What a function returns that a user's file may define.

    Args:
        function: The function.
        place: What a person calls it, or the key of the job that names it.
        arguments: Its arguments.

    Raises:
        InputError: It raises an exception in a user's file, with the line.
    """
    try:
        return function(*arguments)
    except InputError:
        raise
    except Exception as error:
        files = [
            frame.f_code.co_filename
            for frame, _ in traceback.walk_tb(error.__traceback__)
            if str(frame.f_globals.get("__name__", "")).startswith(_PREFIX)
        ]
        module = str(getattr(function, "__module__", ""))
        if not files and module.startswith(_PREFIX):  # called in a way that it is not meant to be
            files = [str(sys.modules[module].__file__)]
        if not files:
            raise
        raise raised(error, Path(files[-1]), place) from error


def raised(error: Exception | SystemExit, file: Path, place: str) -> InputError:
    """The mistake of a user's file that raised `error`, with the last of its lines on the way there."""
    remedy = "correct the file; it must also run with plain `python`"
    problem = f"{_where(error, file)} raises {type(error).__name__}: {error}"
    return InputError(Mistake(place, problem, remedy))


def _where(error: Exception | SystemExit, file: Path) -> str:
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)
    ]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    return f"{file}, line {line}," if line else f"{file}"


def _unreadable(file: Path, error: OSError, place: str) -> Mistake:
    return Mistake(place, f"{file} cannot be read: {error.strerror}", "name another file")
