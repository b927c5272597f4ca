"""Loads user files that define objects of the registries: discretizations, losses, strategies and others.

A job names them under the key ``extensions``; from Python, `extend` makes a file known to all jobs of the
process. A file defines one object or several, each under the attribute of its registry. Within a process a
name stands for one object: another file that defines it again is refused; a file that has changed takes the
place of what it was.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpcda.action.activations import ACTIVATIONS
from hpcda.action.discretizations import SCHEMES
from hpcda.action.losses import LOSSES
from hpcda.annealing.eliminations import ELIMINATIONS
from hpcda.annealing.minimizers import MINIMIZERS
from hpcda.errors import InputError, Mistake
from hpcda.registry import Registry
from hpcda.search.escapes import ESCAPES
from hpcda.search.trainings import TRAININGS
from hpcda.search.ways import WAYS
from hpcda.userfile import load_file, read_file

REGISTRIES: tuple[Registry[Any], ...] = (
    SCHEMES, LOSSES, WAYS, ESCAPES, MINIMIZERS, ELIMINATIONS, ACTIVATIONS, TRAININGS,
)  # fmt: skip
"""All kinds of objects that a file may define."""
KEY = "extensions"


Objects = tuple[tuple[Registry[Any], Any], ...]


@dataclass(frozen=True)
class Extension:
    """A loaded extension file.

    Attributes:
        file: Its absolute path.
        content: Its bytes.
        objects: The objects it defines, each with its registry.
    """

    file: Path
    content: bytes
    objects: Objects

    @property
    def sha256(self) -> str:
        """Checksum of what it holds; by it registries know what the file defines."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what it defines."""
        return tuple(one.name for _, one in self.objects)

    def join(self) -> None:
        """Add all its objects to the registries; if one cannot be added, none is.

        Raises:
            InputError: A name stands already.
        """
        joined: list[tuple[Registry[Any], Any]] = []
        try:
            for registry, one in self.objects:
                registry.add(one, str(self.file), self.sha256)
                joined.append((registry, one))
        except InputError:
            for registry, one in joined:
                registry.remove(one.name)
            raise

    def leave(self) -> None:
        """Remove its objects from the registries."""
        for registry, one in self.objects:
            registry.remove(one.name)


_loaded: dict[Path, Extension] = {}
_extended: list[Path] = []


def extend(file: str | os.PathLike[str]) -> tuple[str, ...]:
    """Make the objects of a Python file available to all jobs of this process.

    A job that uses one lists the file in its `extensions`, so that another process can resume its run.

    Args:
        file: The file.

    Returns:
        Names of the objects it defines.

    Raises:
        InputError: The file does not exist, raises an exception, defines nothing, or defines a name that is
            already taken.
    """
    found = load(Path(file).expanduser().resolve(), KEY)
    if found.file not in _extended:
        _extended.append(found.file)
    return found.names


def extended() -> tuple[Extension, ...]:
    """The files given to `extend`, as last loaded."""
    return tuple(_loaded[file] for file in _extended)


def load(file: Path, place: str) -> Extension:
    """Load a file, unless it is loaded already and unchanged.

    Args:
        file: Its absolute path.
        place: Key of the job that names it.

    Raises:
        InputError: See `extend`.
    """
    content = read_file(file, place)
    before = _loaded.get(file)
    if before is not None and before.content == content:
        return before
    rest = [one for path, one in _loaded.items() if path != file]
    alike = next((one for one in rest if one.content == content), None)
    shared = before is not None and any(one.content == before.content for one in rest)
    new = Extension(file, content, _defined(file, content, place) if alike is None else alike.objects)
    if before is not None and not shared:
        before.leave()
    if alike is None:
        try:
            new.join()
        except InputError as error:
            if before is not None and not shared:
                before.join()
            raise _at(place, error) from None
    _loaded[file] = new
    return new


def _defined(file: Path, content: bytes, place: str) -> Objects:
    """Execute a file: what it defines.

    Raises:
        InputError: It raises an exception, or defines nothing, or what is no object of a registry.
    """
    namespace = vars(load_file(file, place, content))
    try:
        found = [(registry, registry.of(namespace, str(file))) for registry in REGISTRIES]
    except InputError as error:
        raise _at(place, error) from None
    objects = tuple((registry, one) for registry, one in found if one is not None)
    if not objects:
        attributes = ", ".join(f"{one.attribute} ({one.noun})" for one in REGISTRIES)
        raise InputError(Mistake(place, f"{file} defines nothing", f"define one of {attributes} in it"))
    return objects


def _at(place: str, error: InputError) -> InputError:
    """The same mistakes at a key of the job."""
    return InputError(Mistake(place, f"{one.place}: {one.problem}", one.remedy) for one in error.mistakes)
