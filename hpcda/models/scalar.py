"""Compiled code that works on one number at a time and gives the same bits on every processor.

Where the processor has no fused multiply-add (x86-64-v2), the kernels of many lanes round twice; here the C
library's fma, which rounds once as well, stands in for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from hpcda.models.compile import library
from hpcda.models.kernels import prelude

_ROUNDS_ONCE = """
#ifndef __FP_FAST_FMA /* for lanes.h: fma() rounds once everywhere, fast or not */
#define __FP_FAST_FMA 1
#endif
"""


def scalar_library(kernels: Sequence[str], sources: Sequence[str]) -> Any:
    """The library of kernels (`hpcda.models.kernels.source`) and of C files beside this module, in order.

    Raises:
        CompilerError: No C compiler, or no place for compiled code.
    """
    texts = [files("hpcda.models").joinpath(name).read_text() for name in sources]
    return library("\n".join([_ROUNDS_ONCE, prelude(1), *kernels, *texts]))
