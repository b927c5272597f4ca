# ruff: noqa: E501
"""Strategies that damage what a user writes."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.chance import FACTOR


def cases(count: int) -> settings:
    """So many cases, HPCDA_FUZZ times."""
    return settings(max_examples=count * FACTOR, suppress_health_check=list(HealthCheck))


HOSTILE: list[Any] = [
    0, -1, 1, 2**63, -(2**63) - 1, 10**30, 10**400, 0.0, -0.0, 5e-324, -5e-324, 1e-160, 1e160, 1.7e308, -1.7e308,
    float("nan"), float("inf"), float("-inf"), True, False, None, "", " ", "\0", "\u202e", "é", "x" * 300, "../..",
    "~nobody/x.csv", "/", "/dev/null", "x.csv", "neuron.py:neuron", "auto", "random", "final", "best:0", "x", "t",
    "x/0", "1/0*x", "(-1)**0.5*x", "log(x)", "sqrt(-x)", "x**-3", "__import__('os')", "lambda: x", "(" * 500,
    [], {}, [[]], [{}], {"": 0}, {"column": "s"}, {"kind": "sine"}, [1, 2], [2, 1], [0, float("inf")], [1e308, -1e308],
]  # fmt: skip
"""Values at the ends of what Python, TOML and floats can hold, and some of another kind than is asked for."""

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    [
        "x",
        "rho",
        "kind",
        "column",
        "value",
        "bounds",
        "start",
        "estimate",
        "file",
        "__class__",
        "a.b",
        "[key]",
    ]
)
leaves = st.sampled_from(HOSTILE) | st.integers() | st.floats() | names
values = leaves | st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container within `value` with each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in list(items) for found in ((value, key), *_places(inner))]


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """Tables of `whole` with one to three values replaced, removed, renamed, repeated or added."""
    tables = copy.deepcopy(draw(whole))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(tables)
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["replace", "replace", "replace", "wrap", "remove", "rename", "add"])):
            case "replace":
                holder[key] = copy.deepcopy(draw(values))
            case "wrap":
                holder[key] = [holder[key]] * draw(st.integers(1, 3))
            case "remove":
                del holder[key]
            case "rename" if isinstance(holder, dict):
                holder[draw(names)] = holder.pop(key)
            case "add" if isinstance(holder, dict):
                holder[draw(names)] = copy.deepcopy(draw(values))
    return tables


@st.composite
def scrambled(draw: st.DrawFn, whole: st.SearchStrategy[bytes], pieces: list[bytes]) -> bytes:
    """The bytes of a file, cut short, with some of them changed, repeated, removed or put in."""
    content = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 4))):
        begin, end = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        match draw(st.sampled_from(["cut", "remove", "repeat", "insert", "flip"])):
            case "cut":
                del content[end:]
            case "remove":
                del content[begin : min(end, begin + 20)]
            case "repeat":
                content[begin:begin] = content[begin : min(end, begin + 200)]
            case "insert":
                content[begin:begin] = draw(st.sampled_from(pieces) | st.binary(max_size=8))
            case "flip" if begin < len(content):
                content[begin] ^= 1 << draw(st.integers(0, 7))
    return bytes(content)
