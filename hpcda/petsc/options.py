"""PETSc options: those of the job, overridden by the command line, under one prefix.

`-tao_gatol 1e-8` and `-hpcda_tao_gatol 1e-8` mean the same. Options that are not a solver's (`-log_view`) go
to PETSc as they are. What no solver asked for is reported.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping, Sequence
from types import TracebackType

from hpcda.errors import InputError, Mistake
from hpcda.petsc.start import PETSc

PREFIX = "hpcda_"
_SOLVER = ("tao_", "ksp_", "pc_", "snes_", "mat_", "vec_", "sub_", "redundant_", "mg_", "fieldsplit_", "bnk_")

_WORDS = r"|(petsc_)?(default|decide|determine|unlimited|current|nodefault)"
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?)" + _WORDS)
_WHOLE = re.compile(r"[+-]?\d+" + _WORDS)
_NAME = re.compile(r"\S+")
_KINDS = {
    **{
        f"_{end}": (_NUMBER, "a number", "-tao_gatol 1e-9")
        for end in "gatol grtol gttol catol crtol steptol stol rtol atol divtol fmin".split()
    },
    **{
        f"_{end}": (_WHOLE, "a whole number", "-tao_max_it 200") for end in ("max_it", "max_funcs", "restart")
    },
    "_type": (_NAME, "a name", "-tao_type bnls"),
}
"""How the names of options end that take a number or a name: pattern, what it is, an example."""

house_defaults: set[str] = set()
"""Options that solvers have put into PETSc's database themselves, where nobody had given them."""

Value = str | int | float | bool


class SolverOptions:
    """PETSc options that hold while the `with` block lasts.

    Args:
        job: Options of the job file, names without dash.
        line: Options of the command line, as typed (``["-tao_gatol", "1e-9", "-tao_monitor"]``); they win.

    Raises:
        InputError: The command line is not a list of options, or a value is missing or of another kind.
    """

    def __init__(self, job: Mapping[str, Value] | None = None, line: Sequence[str] = ()) -> None:
        self._given = {
            _full(name.lstrip("-")): (_text(value), f"solver.petsc.{name}")
            for name, value in (job or {}).items()
        }
        for name, value in _read(line).items():
            self._given[_full(name)] = (value, f"-{name}")
        self._put: list[str] = []
        if wrong := [mistake for name in self._given if (mistake := self._misfit(name)) is not None]:
            raise InputError(wrong)

    def _misfit(self, name: str) -> Mistake | None:
        """What is wrong with the value of an option whose kind its name tells."""
        value, place = self._given[name]
        found = next((kind for end, kind in _KINDS.items() if name.endswith(end)), None)
        if found is None or found[0].fullmatch(value.strip().lower()):
            return None
        problem = f"{value!r} is not {found[1]}" if value.strip() else "it has no value"
        return Mistake(place, problem, f"give {found[1]}, as in {found[2]}")

    def __enter__(self) -> SolverOptions:
        database = PETSc.Options()
        for name, (value, _) in self._given.items():
            database.setValue(name, value)
            self._put.append(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        database = PETSc.Options()
        for name in self._put:
            database.delValue(name)
        self._put.clear()

    def unused(self) -> list[Mistake]:
        """One mistake for each option that no solver has asked for so far."""
        return [
            Mistake(
                place,
                f"no solver uses the PETSc option '{name.removeprefix(PREFIX)}'",
                "check its spelling, and in PETSc's manual that the chosen minimizer, KSP or PC has it",
            )
            for name, (_, place) in self._given.items()
            if not _used(name)
        ]

    def check(self) -> None:
        """Raise an `InputError` that names every unused option."""
        mistakes = self.unused()
        if mistakes:
            raise InputError(mistakes)


def given_options(line: Sequence[str]) -> dict[str, str]:
    """Names, without dash and our prefix, and values of the options of a command line.

    Raises:
        InputError: It is not a list of options.
    """
    return {name.removeprefix(PREFIX): value for name, value in _read(line).items()}


def _full(name: str) -> str:
    return PREFIX + name if name.startswith(_SOLVER) else name


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(line: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for word in line:
        if word.startswith("-") and not _is_number(word):
            name = word.lstrip("-")
            found[name] = ""
        elif not name or found[name]:
            raise InputError(
                Mistake(
                    f"PETSc option {word!r}",
                    "it stands where an option's name is expected",
                    "write -name value, as in -tao_gatol 1e-9",
                )
            )
        else:
            found[name] = word
    return found


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _used(name: str) -> bool:
    answer = ctypes.c_int(0)
    library = ctypes.CDLL(PETSc.__file__)
    library.PetscOptionsUsed.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    library.PetscOptionsUsed(None, name.encode(), ctypes.byref(answer))
    return bool(answer.value)
