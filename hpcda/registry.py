"""Registries of what a job chooses by name: discretizations, starting strategies, escapes, minimizers.

A registry is a package folder. Every module of it defines one object under the registry's attribute, such as
``WAY = Way(...)``, and is found by scanning the folder: to add one, write one file. Files outside the package
join by `hpcda.extensions`. Everything else (the job's accepted names and messages, ``hpcda list``, ``hpcda
init``) follows from what is found.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from numbers import Real
from types import UnionType
from typing import Any, Generic, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from hpcda.errors import InputError, Mistake

LONGEST = 32
"""Letters of a name: results are stored with it."""
RESERVED = ("auto",)
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class Entry(Protocol):
    """The fields that every object of a registry has."""

    @property
    def name(self) -> str:
        """Its name in jobs and results."""
        ...

    @property
    def sentence(self) -> str:
        """Description in one line, for people."""
        ...

    @property
    def place(self) -> int:
        """Position in lists: smallest first, then by name."""
        ...


T = TypeVar("T", bound=Entry)


class Registry(Mapping[str, T], Generic[T]):
    """The objects of one kind by name: the package's own, then those of user files; each by place, then name.

    Args:
        noun: What one of them is called in messages.
        key: The job key that chooses one; empty if none does.
        attribute: Name under which a module defines its object.
        package: The folder, as a package.
        kind: Type of the objects.
        apart: Other registries that must not contain the same name.
    """

    def __init__(
        self,
        noun: str,
        key: str,
        attribute: str,
        package: str,
        kind: type[T],
        apart: Collection[Registry[Any]] = (),
    ) -> None:
        self.noun, self.key, self.attribute = noun, key, attribute
        self._package, self._kind = package, kind
        self._apart: list[Registry[Any]] = list(apart)
        for other in apart:
            other._apart.append(self)
        self._own: dict[str, T] | None = None
        self._homes: dict[str, str] = {}
        self._added: dict[str, T] = {}
        self._files: dict[str, str] = {}

    @property
    def plural(self) -> str:
        """What several of them are called."""
        return self.noun + ("es" if self.noun.endswith("s") else "s")

    def __getitem__(self, name: str) -> T:
        own = self._scanned
        return own[name] if name in own else self._added[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._scanned
        yield from (one.name for one in _ordered(self._added))

    def __len__(self) -> int:
        return len(self._scanned) + len(self._added)

    def known(self, files: Collection[str] = ()) -> tuple[T, ...]:
        """The package's objects, then those of some files.

        Args:
            files: Checksums of the files (`hpcda.extensions.Extension.sha256`).
        """
        return tuple(one for name, one in self.items() if name not in self._files or self.file(name) in files)

    def file(self, name: str) -> str | None:
        """Checksum of the file outside the package that defines a name; None for the package's own."""
        return self._files.get(name)

    def of(self, namespace: Mapping[str, Any], home: str) -> T | None:
        """The object that a module defines, or None.

        Args:
            namespace: The module's names.
            home: What a person calls the module.

        Raises:
            InputError: What stands under the attribute is of another kind, or its name cannot be one.
        """
        if self.attribute not in namespace:
            return None
        one = namespace[self.attribute]
        if not isinstance(one, self._kind):
            found = type(one).__name__
            remedy = f"write {self.attribute} = {self._kind.__name__}(...)"
            raise InputError(
                Mistake(
                    home,
                    f"its {self.attribute} is {article(found)}, not {article(self._kind.__name__)}",
                    remedy,
                )
            )
        wrong = misfit(one)
        if wrong:
            raise InputError(Mistake(home, f"its {self.attribute}: {wrong}", "check its fields"))
        name = one.name
        if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > LONGEST or name in RESERVED:
            remedy = (
                f'use small letters, digits and single hyphens, {LONGEST} at most, but not "auto", '
                'such as "my-own"'
            )
            problem = f"{name!r} cannot be the name of {article(self.noun)}"
            raise InputError(Mistake(home, problem, remedy))
        return one

    def home(self, name: str) -> str:
        """What a person calls the module or file that defines a name."""
        return self._homes[name]

    def refuse_clash(self, name: str, home: str) -> None:
        """Refuse a name that is already defined.

        Raises:
            InputError: The name is already defined.
        """
        for registry in (self, *self._apart):
            if name in registry:
                raise InputError(self._clash(name, home, registry))

    def add(self, one: T, home: str, file: str) -> None:
        """Add an object of a user file.

        Args:
            one: The object.
            home: What a person calls the file.
            file: Its checksum.

        Raises:
            InputError: The name is already defined.
        """
        self.refuse_clash(one.name, home)
        self._added[one.name], self._files[one.name], self._homes[one.name] = one, file, home

    def remove(self, name: str) -> None:
        """Remove an object that was added."""
        for table in (self._added, self._files, self._homes):
            del table[name]

    @property
    def _scanned(self) -> dict[str, T]:
        if self._own is None:
            found: dict[str, T] = {}
            package = importlib.import_module(self._package)
            for info in pkgutil.iter_modules(package.__path__, f"{self._package}."):
                one = self.of(vars(importlib.import_module(info.name)), info.name)
                if one is None:
                    remedy = f"write {self.attribute} = {self._kind.__name__}(...) in it, or move it away"
                    raise InputError(Mistake(info.name, f"it does not define {self.attribute}", remedy))
                taken = next((r for r in self._apart if r._own is not None and one.name in r._own), None)
                if one.name in found or taken is not None:
                    raise InputError(self._clash(one.name, info.name, taken or self))
                found[one.name] = one
                self._homes[one.name] = info.name
            self._own = {one.name: one for one in _ordered(found)}
        return self._own

    def _clash(self, name: str, home: str, other: Registry[Any]) -> Mistake:
        problem = f"it defines the {self.noun} {name!r}, which {other._homes[name]} defines already"
        if other is not self:
            problem += f" as one of the {other.plural}"
        return Mistake(home, problem, "give it another name")


def article(noun: str) -> str:
    """A noun with its article."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def misfit(one: Any) -> str:
    """Which field of a dataclass holds what is not of its type, in words; empty where none does."""
    if not is_dataclass(one):
        return ""
    hints = get_type_hints(type(one))
    for own in fields(one):
        value = getattr(one, own.name)
        if not _of(value, hints[own.name]):
            return f"{own.name} = {value!r} is not {_words(hints[own.name])}"
    return ""


_PLAIN: dict[Any, tuple[Callable[[Any], bool], str]] = {
    str: (lambda value: isinstance(value, str) and "\n" not in value, "a string of one line"),
    bool: (lambda value: isinstance(value, bool), "True or False"),
    int: (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    float: (lambda value: isinstance(value, Real) and not isinstance(value, bool), "a number"),
}


def _of(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, as far as that can be told at once."""
    kind = get_origin(hint) or hint
    if hint in _PLAIN:
        return _PLAIN[hint][0](value)
    if kind in (Union, UnionType):
        return any(_of(value, each) for each in get_args(hint))
    if kind is Callable:
        return callable(value)
    if kind is tuple and isinstance(value, tuple):
        kinds = get_args(hint)
        same = len(kinds) == 2 and kinds[1] is Ellipsis
        return not kinds or all(_of(each, kinds[0]) for each in value) if same else True
    return isinstance(value, kind) and not misfit(value) if isinstance(kind, type) else True


def _words(hint: Any) -> str:
    kind = get_origin(hint) or hint
    if hint in _PLAIN:
        return _PLAIN[hint][1]
    if kind in (Union, UnionType):
        return " or ".join(_words(each) for each in get_args(hint))
    if kind is Callable:
        return "a function"
    return article("value" if kind is type(None) else getattr(kind, "__name__", str(kind)))


def _ordered(objects: Mapping[str, T]) -> list[T]:
    return sorted(objects.values(), key=lambda one: (one.place, one.name))
