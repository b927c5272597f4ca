"""Compiles C code to a shared library, cached on disk and shared by all processes.

The file is named by a hash of the code, all that it includes, the compiler, its flags and the processor, so
that a cache on a file system that different machines share never hands one machine the code of another. It
appears under its name only when it is whole.

Code is compiled for the processor at hand, or for the instruction set that $HPCDA_MARCH names, such as
x86-64-v2, x86-64-v3 or x86-64-v4. The compiler may not contract a * b + c, so that the numbers are the same
for all that have fused multiply-add, which the code asks for by itself (lanes.h).

Flags of one's own come last, from $HPCDA_CFLAGS. $HPCDA_SANITIZE=address,undefined, or one of the two,
compiles code that ends the process where it reads or writes beyond its arrays, or does what C leaves
undefined.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from hpcda.errors import CompilerError
from hpcda.native.cache import cache_folder
from hpcda.native.declared import bind, layouts
from hpcda.native.unit import included

FLAGS = (
    "-O3",
    "-ffp-contract=off",
    "-fPIC",
    "-shared",
    "-std=gnu11",
    "-fno-math-errno",
    "-fno-trapping-math",
)
WARNINGS = (
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wconversion",
    "-Wno-psabi",  # of vectors wider than registers: all functions that take them are of one unit
    "-Wno-sign-conversion",  # sizes are size_t, what counts and indexes is int
    "-Wcast-qual",
    "-Wpointer-arith",
    "-Wstrict-prototypes",
    "-Wundef",
    "-Wvla",
    "-Wwrite-strings",
    "-Werror",
)
"""Flags that all code compiles with, in the tests."""
SANITIZERS = ("address", "undefined")
FEATURE = re.compile(r"#define (__(?:SSE|AVX|FMA|BMI|F16C|LZCNT|MOVBE|POPCNT|ARM_FEATURE)\w*) ")
"""Macros by which compilers tell what instructions they use."""
END = b"\0end of a library of hpcda\0"


@cache
def compiler() -> tuple[str, ...]:
    """The C compiler as a command: $CC, else the first of cc, gcc, clang on PATH or beside Python.

    Raises:
        CompilerError: There is none, or $CC is no program.
    """
    wanted = os.environ.get("CC")
    if wanted:
        try:
            command = tuple(shlex.split(wanted))
        except ValueError:
            command = ()
        if not command or not shutil.which(command[0]):
            raise CompilerError(f"CC={wanted}: command not found. Set CC to a C compiler, or unset it.")
        return command
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    for name in ("cc", "gcc", "clang"):
        found = shutil.which(name, path=places)
        if found:
            return (found,)
    raise CompilerError(
        "no C compiler was found (looked for $CC, cc, gcc, clang). "
        "Load your cluster's compiler module, install gcc, or set CC."
    )


@cache
def instruction_set() -> str:
    """What the compiler is told to compile for: $HPCDA_MARCH, else "native".

    Raises:
        CompilerError: The compiler does not know it, or this processor cannot execute it.
    """
    wanted = os.environ.get("HPCDA_MARCH") or "native"
    if wanted != "native":
        missing = sorted(_features(wanted) - _features("native"))
        if missing:
            raise CompilerError(
                f"HPCDA_MARCH={wanted}: this processor does not support it (missing: {', '.join(missing)}). "
                "Choose a supported instruction set, such as x86-64-v2, or unset it."
            )
    return wanted


def vector_lanes() -> int:
    """Numbers of double precision that a vector register holds in compiled code, at least 4."""
    if instruction_set() != "native":
        return 8 if "__AVX512F__" in _features(instruction_set()) else 4
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return 4
    return 8 if "avx512f" in flags else 4


@cache
def _features(march: str) -> frozenset[str]:
    """Macros of the instructions that the compiler uses for an instruction set."""
    command = [*compiler(), f"-march={march}", "-dM", "-E", "-x", "c", os.devnull]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise CompilerError(
            f"HPCDA_MARCH={march}: {shlex.join(compiler())} does not support it ({_first_line(run.stderr)}). "
            "Choose a supported one, such as x86-64-v3, or unset it."
        )
    return frozenset(FEATURE.findall(run.stdout))


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0][:200] if lines else "no output"


@cache
def _machine() -> str:
    cpu = platform.processor() + platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        cpu += "".join(
            next((line for line in lines if line.startswith(key)), "") for key in ("model name", "flags")
        )
    version = subprocess.run([*compiler(), "--version"], capture_output=True, text=True, check=False).stdout
    return cpu + version


def library(code: str) -> ctypes.CDLL:
    """The compiled `code`, from the cache or made now; its functions (ENTRY) know their arguments' types.

    Safe when many processes ask at once: one compiles, the others wait for it.

    Raises:
        CompilerError: There is no compiler, it refuses the code, or the cache cannot be written.
        RuntimeError: Structures have another layout in the compiled code than in Python.
    """
    target = _place(code)
    if _whole(target):
        try:
            return bind(ctypes.CDLL(str(target)), code)
        except OSError:
            target.unlink(missing_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _whole(target):
            _compile(code, target)
    return bind(ctypes.CDLL(str(target)), code)


def kept(code: str) -> bool:
    """Whether `library` finds this code compiled."""
    return _whole(_place(code))


def _flags() -> tuple[str, ...]:
    return (*FLAGS, f"-march={instruction_set()}", *_sanitizers(), *_own_flags())


def _own_flags() -> list[str]:
    wanted = os.environ.get("HPCDA_CFLAGS", "")
    try:
        return shlex.split(wanted)
    except ValueError as error:
        raise CompilerError(
            f"HPCDA_CFLAGS={wanted} cannot be parsed: {error}. Write flags as in a shell, such as -Wall -g."
        ) from None


def _sanitizers() -> list[str]:
    wanted = [name.strip() for name in os.environ.get("HPCDA_SANITIZE", "").split(",") if name.strip()]
    unknown = [name for name in wanted if name not in SANITIZERS]
    if unknown:
        raise CompilerError(
            f"HPCDA_SANITIZE={','.join(wanted)}: {unknown[0]} is unknown. Use "
            f"one or both of {', '.join(SANITIZERS)}, or unset it."
        )
    if "address" in wanted and not _loaded("libasan", "libclang_rt.asan"):
        raise CompilerError(
            "HPCDA_SANITIZE=address requires its library to be loaded first. "
            f"Set LD_PRELOAD=$({shlex.join(compiler())} -print-file-name=libasan.so)."
        )
    if not wanted:
        return []
    return [
        f"-fsanitize={','.join(wanted)}",
        "-fno-sanitize-recover=all",
        "-fno-omit-frame-pointer",
        "-g",
        "-O0",
    ]


@cache
def _loaded(*names: str) -> bool:
    """Whether one of these libraries is loaded in this process."""
    return any(name in Path("/proc/self/maps").read_text(encoding="utf-8") for name in names)


def _place(code: str) -> Path:
    texts = [part for file in sorted(included(code).items()) for part in file]
    parts = [code, *texts, *compiler(), *_flags(), _machine()]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    return cache_folder() / f"{key}.so"


def _whole(file: Path) -> bool:
    """Whether a library ends as it should: loading one that was cut off, by a full disk, ends the process."""
    try:
        with file.open("rb") as binary:
            binary.seek(-len(END), os.SEEK_END)
            return binary.read() == END
    except OSError:
        return False


def _remedy() -> str:
    own = os.environ.get("HPCDA_CFLAGS")
    return f"Unset HPCDA_CFLAGS={own}, or set CC" if own else "Set CC to a C compiler that works"


def _compile(code: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        text, binary = Path(folder) / "code.c", Path(folder) / "code.so"
        try:
            for name, included_text in included(code).items():
                (Path(folder) / name).write_text(included_text)
            text.write_text(code + layouts(code))
            run = subprocess.run(
                [*compiler(), *_flags(), "-o", str(binary), str(text), "-lm"],
                capture_output=True,
                text=True,
                check=False,
            )
            if run.returncode == 0:
                with binary.open("ab") as end:
                    end.write(END)
                binary.replace(target)
        except OSError as error:
            raise CompilerError(
                f"compiled code cannot be written to {target.parent}: {error}. Set HPCDA_CACHE."
            ) from error
    if run.returncode != 0:
        said = run.stderr[-2000:].strip() or f"no output, exit code {run.returncode}"
        raise CompilerError(
            f"{shlex.join(compiler())} failed to compile generated code. {_remedy()}:\n{said}"
        )
