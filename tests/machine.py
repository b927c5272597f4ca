"""The machine under the tests, in a few lines: processor, compiler, instruction sets, BLAS kernels, the seed.

`python -m tests.machine` prints them, `python -m tests.machine --sets` the instruction sets alone; `again`
says how a test is run once more as it was run here.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

from hpcda.native.compile import compiler
from tests.chance import FACTOR, SEED

LEVELS = {
    "x86-64-v2": "cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3",
    "x86-64-v3": "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave",
    "x86-64-v4": "avx512bw avx512cd avx512dq avx512f avx512vl",
}
"""Each level of the x86-64 psABI, and what it asks beyond the one before, in Linux's names."""
MATTERS = (
    "HPCDA_TEST_SEED",
    "HPCDA_FUZZ",
    "HPCDA_MARCH",
    "CC",
    "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES",
    "GLIBC_TUNABLES",
)
"""Settings of the environment that may change what a test sees."""


def _of_processor(key: str) -> str:
    """What Linux says of the first processor, empty where it says nothing."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    found = re.search(rf"^{key}\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1] if found else ""


def processor() -> str:
    """Its name, family, model and how many of it this process may use."""
    name = _of_processor("model name") or platform.processor() or platform.machine()
    numbers = "".join(f", {key} {value}" for key in ("cpu family", "model") if (value := _of_processor(key)))
    return f"{name}{numbers}; {len(os.sched_getaffinity(0))} of them"


@cache
def instruction_sets() -> tuple[str, ...]:
    """The levels of x86-64 that the compiler makes code for and this processor executes, lowest first."""
    has, found = set(_of_processor("flags").split()), []
    for level, needs in LEVELS.items():
        if not set(needs.split()) <= has:
            break
        command = [*compiler(), f"-march={level}", "-E", "-x", "c", os.devnull]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            found.append(level)
    return tuple(found)


def compiler_version() -> str:
    """The C compiler that models are compiled with."""
    said = subprocess.run([*compiler(), "--version"], capture_output=True, text=True, check=False).stdout
    return f"{shlex.join(compiler())}: {said.splitlines()[0] if said else 'says no version'}"


def blas() -> str:
    """The kernels that each OpenBLAS loaded by NumPy and SciPy has chosen."""
    import numpy.linalg  # noqa: F401
    import scipy.linalg  # noqa: F401

    maps = Path("/proc/self/maps")
    loaded = sorted(set(re.findall(r"/\S*openblas\S*", maps.read_text()))) if maps.exists() else []
    found = []
    for path in loaded:
        library = ctypes.CDLL(path)
        for name in ("", "scipy_"):
            for suffix in ("", "64_", "_64_"):
                corename = getattr(library, f"{name}openblas_get_corename{suffix}", None)
                if corename is not None:
                    corename.restype = ctypes.c_char_p
                    found.append(f"{corename().decode()} ({Path(path).name})")
    return ", ".join(found) or "no OpenBLAS"


def lines() -> list[str]:
    """What a run of the tests is to be known by."""
    fuzz = f", HPCDA_FUZZ {FACTOR}" if FACTOR > 1 else ""
    return [
        f"processor   {processor()}",
        f"compiler    {compiler_version()}",
        f"instruction sets to execute: {' '.join(instruction_sets()) or 'none of ' + ' '.join(LEVELS)}; "
        f"HPCDA_MARCH {os.environ.get('HPCDA_MARCH') or 'native'}",
        f"BLAS        {blas()}",
        f"HPCDA_TEST_SEED {SEED}{fuzz}",
    ]


def again(nodeid: str, ranks: int = 1) -> str:
    """The command that runs a test once more as it ran here.

    Args:
        nodeid: pytest's name of the test.
        ranks: Size of its world.
    """
    kept = [f"{name}={shlex.quote(os.environ[name])}" for name in MATTERS if os.environ.get(name)]
    if nodeid.startswith("tests/mpi/"):
        kept.append(f"HPCDA_TEST_RANKS={ranks}")
    return " ".join([*kept, "tests/run", shlex.quote(nodeid)])


if __name__ == "__main__":
    print(*instruction_sets()) if sys.argv[1:] == ["--sets"] else print("\n".join(lines()))
