"""Python's view of the C declarations: structures, functions, enumerations and constants.

Each is written once, in C. Compiled code says where the fields of its structures are, and `bind` compares.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, ClassVar

from hpcda.native.unit import FOLDER, included

_NUMBERS: dict[str, Any] = {
    "int": ctypes.c_int,
    "double": ctypes.c_double,
    "long long": ctypes.c_longlong,
    "size_t": ctypes.c_size_t,
}
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRUCTURE = re.compile(r"^typedef struct \{([^{}]*)\} (\w+);", re.MULTILINE)
_CALLBACK = re.compile(r"\w+ \(\*(\w+)\)\([^()]*\)")
_FIELD = re.compile(r"(?:const )?((?:long )?\w+) (.*)")
_ENTRY = re.compile(r"^ENTRY ((?:long )?\w+) (\w+)\(([^()]*)\)", re.MULTILINE)
_ENUMERATION = re.compile(r"^enum (\w+) \{([^{}]*)\};", re.MULTILINE)
_DEFINE = re.compile(r"^#define (\w+) (\d+)\s*$", re.MULTILINE)
_LAYOUT = "hpcda_layout_"


class Structure(ctypes.Structure):
    """A structure of a C file; fields that are not given are 0, or null.

    Raises:
        AttributeError: It has no such field.
        OverflowError: A whole number is beyond what its field holds.
    """

    kinds: ClassVar[Mapping[str, Any]]

    def __init__(self, **values: Any) -> None:
        super().__init__()
        for name, value in values.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field."""
        if name not in self.kinds:
            raise AttributeError(f"the structure {type(self).__name__} has no field {name}")
        if self.kinds[name] is ctypes.c_int and not -(2**31) <= value < 2**31:
            raise OverflowError(f"{value} is too large for {name} of the structure {type(self).__name__}")
        super().__setattr__(name, value)


@cache
def structures(file: str) -> Mapping[str, type[Structure]]:
    """The structures of numbers and pointers that a C file declares, by name."""
    found = {}
    for text, name in _STRUCTURE.findall(_text(file)):
        fields = _fields(text)
        if fields is not None:
            found[name] = type(name, (Structure,), {"kinds": dict(fields), "_fields_": fields})
    return found


@cache
def enumeration(file: str, name: str) -> Mapping[str, int]:
    """Names and values of an enumeration that a C file declares."""
    items = [
        item.replace(" ", "").split("=") for item in _flat(dict(_ENUMERATION.findall(_text(file)))[name])
    ]
    return {name: int(value[0]) if value else place for place, (name, *value) in enumerate(items)}


@cache
def number(file: str, name: str) -> int:
    """A whole number that a C file defines."""
    return int(dict(_DEFINE.findall(_text(file)))[name])


def layouts(code: str) -> str:
    """C text that tells where fields are, of every structure that the files included by `code` declare."""
    return "".join(_layout(structure) for structure in _structures_of(code))


def bind(library: ctypes.CDLL, code: str) -> ctypes.CDLL:
    """Compare structures of compiled `code` with those of Python, and declare its functions to ctypes.

    Raises:
        RuntimeError: A structure has another layout there: C files or compiler do not fit this hpcda.
    """
    for structure in _structures_of(code):
        wanted = [ctypes.sizeof(structure)]
        for field in structure.kinds:
            place = getattr(structure, field)
            wanted += [place.offset, place.size]
        array = ctypes.c_ulonglong * len(wanted)
        if list(array.in_dll(library, _LAYOUT + structure.__name__)) != wanted:
            raise RuntimeError(
                f"internal error: {structure.__name__} has a different layout in compiled code and in "
                "Python. Reinstall hpcda, and check CC and HPCDA_CFLAGS for flags that change layouts."
            )
    for file in included(code):
        for kind, name, arguments in _ENTRY.findall(_text(file)):
            function = getattr(library, name)
            function.restype = None if kind == "void" else _NUMBERS[kind]
            function.argtypes = [_argument(one) for one in _flat(arguments)]
    return library


def _layout(structure: type[Structure]) -> str:
    name = structure.__name__
    numbers = [f"sizeof({name})"]
    for field in structure.kinds:
        numbers += [f"__builtin_offsetof({name}, {field})", f"sizeof((({name} *)0)->{field})"]
    return f"const unsigned long long {_LAYOUT}{name}[] = {{{', '.join(numbers)}}};\n"


def _structures_of(code: str) -> Iterator[type[Structure]]:
    for file in included(code):
        yield from structures(file).values()


def _text(file: str) -> str:
    return _COMMENT.sub("", FOLDER.joinpath(file).read_text())


def _flat(items: str) -> list[str]:
    return [" ".join(item.split()) for item in items.split(",") if item.strip()]


def _fields(text: str) -> list[tuple[str, Any]] | None:
    """(name, type) of every field, or None where one is neither a number nor a pointer."""
    found: list[tuple[str, Any]] = []
    for declaration in (" ".join(one.split()) for one in text.split(";")):
        callback = _CALLBACK.fullmatch(declaration)
        declared = _FIELD.fullmatch(declaration)
        if callback:
            found.append((callback[1], ctypes.c_void_p))
        elif declared:
            for name in _flat(declared[2]):
                if not (name.startswith("*") or (declared[1] in _NUMBERS and name.isidentifier())):
                    return None
                kind = ctypes.c_void_p if name.startswith("*") else _NUMBERS[declared[1]]
                found.append((name.lstrip("*"), kind))
    return found


def _argument(declaration: str) -> Any:
    kind, _, name = declaration.removeprefix("const ").rpartition(" ")
    return ctypes.c_void_p if "*" in kind or name.startswith("*") else _NUMBERS[kind]
