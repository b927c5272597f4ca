"""Assembles a translation unit from generated code and the C files of this folder.

Kernels and the loops that call them are compiled together, so that the compiler sees through the calls.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable

FOLDER: Traversable = files("hpcda.native")
"""Where the C files are."""
_GENERATED = """#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function" /* not every unit uses all kernels */
#pragma GCC diagnostic ignored "-Wunused-const-variable"
{}
#pragma GCC diagnostic pop"""
_INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def unit(lanes: int, *names: str, generated: Sequence[str] = ()) -> str:
    """C text of a translation unit.

    Args:
        lanes: W, the numbers of the vector type `vd`: 1, 2, 4 or 8. Every width gives the same bits.
        names: C files of this folder, included in this order after the generated code.
        generated: Generated code, which may use lanes.h and functions.h.
    """
    includes = [f'#include "{name}"' for name in names]
    written = [_GENERATED.format("\n".join(generated))] if generated else []
    return "\n".join([f"#define W {lanes}", '#include "functions.h"', *written, *includes, ""])


def length(code: str) -> int:
    """Characters of a translation unit with all that it includes."""
    return len(code) + sum(map(len, included(code).values()))


def included(code: str) -> dict[str, str]:
    """Text of every file of this folder that C code includes, at once or through others, by name."""
    found: dict[str, str] = {}
    texts = [code]
    while texts:
        for name in _INCLUDE.findall(texts.pop()):
            if name not in found:
                found[name] = FOLDER.joinpath(name).read_text()
                texts.append(found[name])
    return found
