"""Compiled functions of one number at a time, with the same bits on every processor.

Where the processor has no fused multiply-add (x86-64-v2), the kernels of many lanes round twice; here the C
library's fma, which rounds once as well, stands in for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpcda.native.compile import library
from hpcda.native.unit import unit

_ROUNDS_ONCE = """
#ifndef __FP_FAST_FMA /* for lanes.h: fma() rounds once everywhere, fast or not */
#define __FP_FAST_FMA 1
#endif
"""


def scalar_unit(kernels: Sequence[str], name: str) -> str:
    """The translation unit of kernels (`hpcda.native.kernels.source`) and of a C file of this folder."""
    return _ROUNDS_ONCE + unit(1, name, generated=kernels)


def scalar_library(kernels: Sequence[str], name: str) -> Any:
    """The library of kernels and of a C file of this folder.

    Raises:
        CompilerError: No C compiler, or no place for compiled code.
    """
    return library(scalar_unit(kernels, name))
