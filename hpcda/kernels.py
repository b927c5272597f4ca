"""Which code OpenBLAS executes: named by what the processor can, before NumPy brings the library.

OpenBLAS knows processors by their model numbers. One that is newer than the library is taken for the oldest
there is, whose code uses vectors of two numbers: products of matrices then take twice to four times as long,
and their last digits depend on where a matrix stands in memory. What names the code by instruction sets
instead is the environment variable ``OPENBLAS_CORETYPE``, read when the library is loaded.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path

VARIABLE = "OPENBLAS_CORETYPE"
KINDS = {
    "SkylakeX": ("avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd", "avx2", "fma"),
    "Haswell": ("avx2", "fma"),
}
"""OpenBLAS's name of each kind of code, the fastest first -> what a processor must have, in Linux's names."""


def fitting(flags: str) -> str | None:
    """The fastest kind of code that a processor executes; None where it is none of `KINDS`.

    Args:
        flags: What it has, as Linux lists it.
    """
    has = set(flags.split())
    return next((kind for kind, needs in KINDS.items() if has.issuperset(needs)), None)


def name_kernels(info: Path = Path("/proc/cpuinfo")) -> None:
    """Name OpenBLAS's code, unless the user has, or NumPy has brought the library already.

    Args:
        info: What Linux says of the processors.
    """
    if VARIABLE in os.environ or "numpy" in sys.modules or platform.machine() != "x86_64":
        return
    try:
        flags = re.search(r"^flags\s*:\s*(.*)$", info.read_text(), re.MULTILINE)
    except OSError:
        return
    kind = fitting(flags[1]) if flags else None
    if kind is not None:
        os.environ[VARIABLE] = kind
