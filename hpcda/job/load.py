"""Reads a job from a TOML file or a mapping."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpcda.errors import InputError, Mistake
from hpcda.extensions import KEY, Extension, extended, load
from hpcda.job.any import AnyJob
from hpcda.job.given import taken_out
from hpcda.job.mistakes import Place, dotted, parse

DEEPEST, LARGEST = 30, 10**300
"""Tables within tables, and the size of a whole number."""
HOW_TO_BEGIN = "give the path of a job file; 'hpcda init NAME' writes an example"


def load_job(source: str | os.PathLike[str] | Mapping[str, Any]) -> AnyJob:
    """The job in a TOML file, or the one that a table describes.

    Args:
        source: Path of the job file, or the tables of a job as a mapping. Relative files are looked up in the
            job file's folder; for a mapping, in the current directory; the key ``folder`` names another one.
            In a mapping ``model.name`` may be a `Model`, and ``data.file`` arrays by the names of columns.

    Raises:
        InputError: All the mistakes in the job, one `Mistake` each, whose place is the dotted key.
    """
    if isinstance(source, Mapping):
        return _job(_plain(source), Path.cwd())
    path = Path(source)
    return _job(read_tables(path, "job", HOW_TO_BEGIN), path.absolute().parent)


def _job(raw: dict[str, Any], folder: Path) -> AnyJob:
    raw, given = taken_out(raw)
    named = raw.get("folder", "")
    if isinstance(named, str | os.PathLike) and "\0" not in os.fspath(named):
        try:
            whole = os.path.normpath(folder / Path(named).expanduser())
        except RuntimeError:  # the home of a user who does not exist
            whole = os.fspath(named)
        raw = {"folder": whole, **{k: v for k, v in raw.items() if k != "folder"}}
    files, mistakes = _extensions(raw)
    known = {one.sha256 for one in (*files, *extended())}
    job, wrong = parse(raw, mistakes, {"files": known, "whole": not mistakes})
    if job is None:
        raise InputError(wrong)
    job = _self_contained(job, files)
    return job if given.empty else job.with_given(given)


def _extensions(raw: Mapping[str, Any]) -> tuple[list[Extension], list[tuple[Place, Mistake]]]:
    """The files that the job names under `extensions`, loaded, and what is wrong with them."""
    named, folder = raw.get(KEY, ()), raw.get("folder", "")
    if not isinstance(folder, str) or "\0" in folder:
        folder = ""  # the schema refuses it
    files: list[Extension] = []
    mistakes: list[tuple[Place, Mistake]] = []
    for number, name in enumerate(named if isinstance(named, list | tuple) else ()):
        if not isinstance(name, str | os.PathLike) or not os.fspath(name) or "\0" in os.fspath(name):
            continue  # its kind tells
        place = (KEY, number)
        try:
            file = Path(folder) / Path(name).expanduser()
            files.append(load(file.resolve(), dotted(place)))
        except RuntimeError:
            continue  # the home of a user who does not exist
        except InputError as error:
            mistakes += [(place, mistake) for mistake in error.mistakes]
    return files, mistakes


def _self_contained(job: AnyJob, files: Sequence[Extension]) -> AnyJob:
    """The job with the files of `hpcda.extend` that it uses among its own: its run says all it needs."""
    own = {one.sha256 for one in files}
    chosen = job.chosen
    more = [
        os.fspath(one.file)
        for one in extended()
        if one.sha256 not in own and not chosen.isdisjoint(one.names)
    ]
    return job.model_copy(update={KEY: (*job.extensions, *more)}) if more else job


def read_tables(path: Path, noun: str, remedy: str) -> dict[str, Any]:
    """The tables of a TOML file.

    Args:
        path: The file.
        noun: What a person calls it.
        remedy: What to do where there is none.

    Raises:
        InputError: There is no such file, or it is not TOML.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(Mistake(str(path), "there is no such file", remedy)) from None
    except IsADirectoryError:
        raise InputError(Mistake(str(path), f"is a directory, not a {noun} file", remedy)) from None
    except UnicodeDecodeError as error:
        raise InputError(
            Mistake(str(path), f"byte {error.start} is not UTF-8 text", f"save the {noun} as UTF-8")
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(Mistake(str(path), f"cannot be read: {error}", remedy)) from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            Mistake(
                str(path), f"is not TOML: {error}", "correct that line; strings need quotes, lists brackets"
            )
        ) from None
    except (RecursionError, ValueError) as error:
        raise InputError(
            Mistake(
                str(path),
                f"is not a {noun}: {type(error).__name__}: {error}",
                f"correct the value; {noun} files hold plain numbers and short lists",
            )
        ) from None
    try:
        _refuse_endless(tables)
    except InputError as error:
        raise InputError(replace(one, place=f"{path}: {one.place}") for one in error.mistakes) from None
    return tables


def _refuse_endless(tables: Mapping[str, Any]) -> None:
    """Refuse tables within tables without end, and whole numbers that no float holds.

    Raises:
        InputError: The first of them.
    """
    left: list[tuple[tuple[str | int, ...], Any]] = [((), tables)]
    while left:
        place, value = left.pop()
        if len(place) > DEEPEST:
            shown, remedy = dotted((*place[:3], "…")), f"nest at most {DEEPEST} of them"
            raise InputError(Mistake(shown, "nests tables or lists too deeply", remedy))
        if isinstance(value, int) and abs(value) > LARGEST:
            problem = "is a whole number with hundreds of digits"
            raise InputError(Mistake(dotted(place), problem, "give a smaller number"))
        if isinstance(value, Mapping):
            left += [((*place, str(key)), item) for key, item in reversed(list(value.items()))]
        elif isinstance(value, list | tuple):
            left += [((*place, k), item) for k, item in reversed(list(enumerate(value)))]


def _plain(source: Mapping[str, Any]) -> dict[str, Any]:
    """A copy whose tables are dictionaries with text keys, as a TOML file would give."""

    def copy(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key if isinstance(key, str) else str(key): copy(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [copy(item) for item in value]
        return value

    _refuse_endless(source)
    result: dict[str, Any] = copy(source)
    return result
