"""Code for another architecture, where a compiler for it is at hand: it builds, and gives the same bits."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from hpcda.action import Action
from hpcda.annealing.lockstep import code_of
from hpcda.native.compile import FLAGS, compiler
from hpcda.native.unit import FOLDER, unit
from tests.unit.native.test_functions import CALLS, DOMAINS, POWER
from tests.unit.problems import example

CROSS, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
NUMBERS = 4096
# Uniform numbers from whole random ones; a hash (FNV-1a) of the bits that a function makes of them.
MAIN = """
#include <stdio.h>
#include <stdint.h>
static double x[{numbers}], y[{numbers}];
static uint64_t state = 88172645463325252ULL;
static void draw(double low, double high) {{
  for (int i = 0; i < {numbers}; i++) {{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    x[i] = low + (high - low) * ((state >> 11) * 0x1p-53);
  }}
}}
static void show(const char *name) {{
  uint64_t hash = 1469598103934665603ULL, bits;
  for (int i = 0; i < {numbers}; i++) memcpy(&bits, y + i, 8), hash = (hash ^ bits) * 1099511628211ULL;
  printf("%s %016llx\\n", name, (unsigned long long)hash);
}}
int main(void) {{
  {calls}
  return 0;
}}
"""

needs_cross = pytest.mark.skipif(not shutil.which(CROSS), reason=f"no {CROSS}, a compiler for aarch64")
needs_emulator = pytest.mark.skipif(not shutil.which(EMULATOR), reason=f"no {EMULATOR} to run its code")
needs_fused = pytest.mark.skipif(
    platform.machine() == "x86_64" and " fma " not in Path("/proc/cpuinfo").read_text(encoding="utf-8"),
    reason="this processor has no fused multiply-add",
)


def program(lanes):
    calls = [
        f'draw({low!r}, {high!r}); of_{name}(x, y, {NUMBERS}); show("{name}");'
        for name, domains in DOMAINS.items()
        for low, high in domains
        if high < 1e6  # beyond, the C library reduces the arguments of sin, cos and tan
    ]
    calls += [f'draw(0, 100); of_pow(x, y, {NUMBERS}, {power}); show("pow");' for power in (0.7, 17.0)]
    text = MAIN.format(numbers=NUMBERS, calls="\n  ".join(calls))
    return "\n".join([unit(lanes), CALLS, POWER, text])


def output(folder, command, code, run):
    """What a program prints."""
    flags = [flag for flag in FLAGS if flag not in ("-fPIC", "-shared")]
    source, binary = folder / "program.c", folder / command[0].rsplit("/", 1)[-1]
    source.write_text(code)
    subprocess.run(
        [*command, *flags, f"-I{FOLDER}", "-static", "-o", str(binary), str(source), "-lm"], check=True
    )
    return subprocess.run([*run, str(binary)], capture_output=True, text=True, check=True).stdout


@needs_cross
@needs_emulator
@needs_fused
@pytest.mark.parametrize("lanes", [1, 4, 8])
def test_elementary_functions_of_another_architecture_have_the_same_bits(tmp_path, lanes):
    here = output(tmp_path, [*compiler(), "-march=native"], program(lanes), [])
    assert here.count("\n") > len(DOMAINS)
    assert output(tmp_path, [CROSS], program(lanes), [EMULATOR]) == here


@needs_cross
@pytest.mark.parametrize("scheme", ["trapezoid", "rk4"])
def test_the_climb_builds_for_another_architecture(tmp_path, scheme):
    source = tmp_path / "code.c"
    source.write_text(code_of(Action(example("lorenz96", scheme, "states alone")[0]), 2))
    subprocess.run([CROSS, *FLAGS, f"-I{FOLDER}", "-o", str(tmp_path / "climb.so"), str(source)], check=True)
