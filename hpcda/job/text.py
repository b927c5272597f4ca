"""Writes TOML, the subset that jobs need: tables, lists, strings, numbers, booleans."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(values: Mapping[str, Any]) -> str:
    """`values` as TOML text; `tomllib.loads` gives them back, tuples as lists.

    Raises:
        TypeError: A value is of a kind that TOML does not have.
    """
    return "\n".join(_table(values, ())).strip() + "\n"


def quoted(key: str) -> str:
    """A key as TOML writes it: bare where it can be."""
    return key if _BARE.fullmatch(key) else _text(key)


def inline(item: Any) -> str:
    """A value as it stands behind its key."""
    return _value(item)


def _table(values: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"{quoted(key)} = {_value(item)}" for key, item in values.items() if not _is_table(item)]
    for key, item in values.items():
        if not _is_table(item):
            continue
        inner = (*path, key)
        name = ".".join(quoted(part) for part in inner)
        if isinstance(item, Mapping):
            lines += ["", f"[{name}]", *_table(item, inner)]
        else:
            for one in item:
                lines += ["", f"[[{name}]]", *_table(one, inner)]
    return lines


def _is_table(item: Any) -> bool:
    if isinstance(item, list | tuple):
        return bool(item) and all(isinstance(one, Mapping) for one in item)
    return isinstance(item, Mapping)


def _value(item: Any) -> str:
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, str):
        return _text(item)
    if isinstance(item, int):
        return str(int(item))
    if isinstance(item, float):
        return repr(float(item))
    if isinstance(item, list | tuple):
        return "[" + ", ".join(_value(one) for one in item) + "]"
    if isinstance(item, Mapping):
        return "{ " + ", ".join(f"{quoted(key)} = {_value(one)}" for key, one in item.items()) + " }"
    raise TypeError(f"TOML has no value like {item!r}")


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
