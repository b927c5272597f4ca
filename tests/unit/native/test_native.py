"""C code: no warnings, structures and codes as in Python, sizes that are refused where they enter.

$HPCDA_TEST_OPTIMIZED=yes compiles for warnings as for use, which takes minutes but sees more.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache

import numpy as np
import pytest

from hpcda.action import native
from hpcda.action.native import Equations, Native
from hpcda.annealing.lockstep import ACTIVE, EMPTY, ENDED
from hpcda.annealing.reasons import Reason
from hpcda.errors import CompilerError, InputError
from hpcda.models.flow import Flow
from hpcda.native import compile as compiling
from hpcda.native import declared, unit
from hpcda.native.compile import FLAGS, WARNINGS, compiler, instruction_set, library
from tests.unit.graphs import GRAPHS
from tests.unit.problems import example
from tests.unit.units import PROBLEMS, units

OPTIMIZED = bool(os.environ.get("HPCDA_TEST_OPTIMIZED"))
COMPILERS = [[], *([name] for name in ("clang", "clang-14") if OPTIMIZED and shutil.which(name))]
NAMES = tuple(
    ["banded.c", "symbolic.c", "flow.c", "stiff.c", "pointwise.c"]
    + [
        f"{name} {lanes}"
        for name in ("smoother.c", "rates.c", "tree_single.c", "instances.c")
        for lanes in (1, 2, 4, 8)
    ]
    + [f"{name} {scheme}" for name in ("single.c", "lagrangian.c") for scheme in PROBLEMS]
    + [f"climb.c {scheme} {lanes}" for scheme in PROBLEMS for lanes in (1, 2, 4, 8)]
    + [f"graph.c {name} {lanes}" for name in GRAPHS for lanes in (1, 8)]
    + [f"graph_steps.c {lanes}" for lanes in (1, 2, 4, 8)]
    + [f"graph.c {name} 8" for name in PROBLEMS]
)
every_unit = cache(units)


def test_every_c_file_is_part_of_a_unit():
    assert set(every_unit()) == set(NAMES)
    found = set().union(*(unit.included(text) for text in every_unit().values()))
    assert found == {file.name for file in unit.FOLDER.iterdir() if file.name.endswith((".c", ".h"))}


@pytest.mark.parametrize("command", COMPILERS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_no_warning(name, command, tmp_path):
    text = every_unit()[name]
    source = tmp_path / "code.c"
    source.write_text(text + declared.layouts(text))
    flags = [*FLAGS, f"-march={instruction_set()}", *WARNINGS, *([] if OPTIMIZED else ["-O0"])]
    build = [
        *(command or compiler()),
        *flags,
        f"-I{unit.FOLDER}",
        "-o",
        str(tmp_path / "code.so"),
        str(source),
    ]
    run = subprocess.run([*build, "-lm"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[:4000]


class Edited:
    """The folder of C files, with one text in them changed."""

    def __init__(self, old: str, new: str) -> None:
        self.folder, self.old, self.new, self.count = unit.FOLDER, old, new, 0

    def joinpath(self, name):
        self.text = self.folder.joinpath(name).read_text()
        self.count += self.text.count(self.old)
        return self

    def read_text(self):
        return self.text.replace(self.old, self.new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  int entries, *row, *column; ", "  int entries, *more, *row, *column; "),
        ("  int D, U, map;", "  int D, map, U;"),
        ("  double tolerance; ", "  float tolerance; "),
    ],
    ids=["added", "moved", "of another type"],
)
def test_a_field_that_only_one_side_has_is_caught(old, new, monkeypatch):
    flow = Flow(example("lorenz63", "trapezoid", "states alone")[0].model)
    declared.structures("flow.c")
    edited = Edited(old, new)
    monkeypatch.setattr(unit, "FOLDER", edited)
    with pytest.raises(RuntimeError, match="internal error: Flow has a different layout in compiled code"):
        flow.run([1.0, 2.0, 3.0], [0.0, 0.1], {"sigma": 10.0, "rho": 28.0, "beta": 2.0})
    assert edited.count


def test_a_field_that_c_does_not_have_is_no_library(monkeypatch):
    flow = Flow(example("lorenz63", "trapezoid", "states alone")[0].model)
    declared.structures("flow.c")
    monkeypatch.setattr(unit, "FOLDER", Edited("const double *least, *most; ", "const double *least; "))
    with pytest.raises(CompilerError, match="most"):
        flow.run([1.0, 2.0, 3.0], [0.0, 0.1], {"sigma": 10.0, "rho": 28.0, "beta": 2.0})


def test_flags_that_change_layouts_are_caught(monkeypatch):
    monkeypatch.setenv("HPCDA_CFLAGS", "-fpack-struct=4")
    with pytest.raises(RuntimeError, match="different layout.*HPCDA_CFLAGS"):
        Native(Equations(example("lorenz63", "trapezoid", "states alone")[0]), 1, ("single.c",), NO_PRIORS)


NO_PRIORS = (np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))


def test_structures_refuse_what_they_cannot_hold():
    tables = declared.structures("assemble.c")["Tables"]
    assert tables(D=2**31 - 1).D == 2**31 - 1
    with pytest.raises(OverflowError, match=r"2147483648 is too large for D of the structure Tables"):
        tables(D=2**31)
    with pytest.raises(AttributeError, match="the structure Tables has no field dimension"):
        tables(dimension=3)


def test_functions_know_their_arguments():
    action = library(every_unit()["single.c rk4"]).action
    assert action.restype is None
    assert Counter(action.argtypes) == {ctypes.c_void_p: 12, ctypes.c_double: 1, ctypes.c_int: 1}
    with pytest.raises(TypeError):
        action(1, 2, 3)
    with pytest.raises(ctypes.ArgumentError):
        action(*[None] * 4, "1", *[None] * 9)


def test_reasons_and_states_of_lanes_are_those_of_c():
    codes = {reason.name: reason.code for reason in Reason}
    assert codes == declared.enumeration("climb.c", "Reason")
    assert len(set(codes.values())) == len(codes)
    assert all((codes[name] > 0) == name.startswith("CONVERGED") for name in codes)
    assert (EMPTY, ACTIVE, ENDED) == (0, 1, 2)


def test_flags_of_ones_own(monkeypatch):
    monkeypatch.setenv("HPCDA_CFLAGS", "-DANSWER=42")
    found = library("int answer(void) { return ANSWER; }")
    assert found.answer() == 42
    monkeypatch.setenv("HPCDA_CFLAGS", "-DANSWER=43")
    assert library("int answer(void) { return ANSWER; }").answer() == 43
    monkeypatch.setenv("HPCDA_CFLAGS", "-Wall 'x")
    with pytest.raises(CompilerError, match=r"HPCDA_CFLAGS=-Wall 'x cannot be parsed: .*\. Write flags as"):
        library("int answer(void) { return 1; }")
    monkeypatch.setenv("HPCDA_CFLAGS", "--no-such-flag")
    with pytest.raises(CompilerError, match="Unset HPCDA_CFLAGS=--no-such-flag, or set CC"):
        library("int answer(void) { return 1; }")


def test_warnings_do_not_refuse_code_in_use():
    code = "#warning told\nint answer(int unused) { int x; return 5; }"
    assert library(code).answer(1) == 5


def test_a_sanitizer_that_is_not_known_or_not_loaded_is_refused(monkeypatch):
    monkeypatch.setenv("HPCDA_SANITIZE", "adress")
    with pytest.raises(CompilerError, match="HPCDA_SANITIZE=adress: adress is unknown"):
        library("int answer(void) { return 1; }")
    monkeypatch.setenv("HPCDA_SANITIZE", "address,undefined")
    monkeypatch.setattr(compiling, "_loaded", lambda *names: False)
    with pytest.raises(CompilerError, match=r"Set LD_PRELOAD=\$\(.* -print-file-name=libasan.so\)"):
        library("int answer(void) { return 1; }")


BEYOND = """
import ctypes, sys
from hpcda.native.compile import library
code = {code!r}
print(library(code).answer(int(sys.argv[1])), flush=True)
"""


@pytest.mark.parametrize(
    ("code", "good", "bad", "said"),
    [
        ("int answer(int n) { return 2147483642 + n; }", "5", "6", "signed integer overflow"),
        ("int answer(int n) { int a[] = {1, 2, 3, 4}; return a[n]; }", "3", "4", "out of bounds"),
    ],
)
def test_what_c_leaves_undefined_ends_the_process(code, good, bad, said):
    environment = os.environ | {"HPCDA_SANITIZE": "undefined"}
    command = [sys.executable, "-c", BEYOND.format(code=code)]
    run = subprocess.run([*command, good], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    run = subprocess.run([*command, bad], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode != 0 and said in run.stderr


def test_problems_that_are_too_large_are_refused(monkeypatch):
    problem, _ = example("lorenz63", "trapezoid", "states alone")
    equations = Equations(problem)
    monkeypatch.setattr(native, "MOST_WIDTH", 6)
    Equations(problem)
    monkeypatch.setattr(native, "MOST_WIDTH", 5)
    with pytest.raises(InputError, match="a step of the path touches 6 unknowns, .* at most 5"):
        Equations(problem)
    with pytest.raises(InputError, match="touches 6"):
        equations.of(problem)
    monkeypatch.undo()
    monkeypatch.setattr(native, "MOST_UNKNOWNS", problem.size)
    Equations(problem)
    monkeypatch.setattr(native, "MOST_UNKNOWNS", problem.size - 1)
    with pytest.raises(InputError, match=f"a path has {problem.size} unknowns"):
        Equations(problem)


def test_limits_keep_products_of_sizes_within_whole_numbers_of_c():
    assert native.MOST_WIDTH**2 < 2**31
    assert native.MOST_UNKNOWNS * declared.number("assemble.c", "MOST_STAGES") < 2**31


def test_tables_refuse_numbers_of_more_than_32_bits():
    made = Native(Equations(example("lorenz63", "trapezoid", "states alone")[0]), 1, ("single.c",), NO_PRIORS)
    made.pointer(np.array([2**31 - 1, -(2**31)]), np.int32)
    for beyond in (2**31, -(2**31) - 1):
        with pytest.raises(OverflowError):
            made.pointer(np.array([0, beyond]), np.int32)
