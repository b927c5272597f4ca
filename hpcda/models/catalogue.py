"""Finds a model by name, in this folder or as a function in a user's Python file.

A file of this folder that defines ``def build(…)`` at its top level is a catalogue model under the
file's name; nothing has to be registered.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hpcda.errors import InputError, Mistake
from hpcda.models.model import Model
from hpcda.names import nearest
from hpcda.userfile import load_file, raised

Builder = Callable[..., Model]
_BUILD = re.compile(r"^def build\(", re.MULTILINE)
_KINDS: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "a text"),
}


@cache
def _names() -> tuple[str, ...]:
    """Names of the catalogue models, found in the files' text without importing them."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple(file.stem for file in files if _BUILD.search(file.read_text(encoding="utf-8")))


def _build(name: str, **options: Any) -> Model:
    module = importlib.import_module(f"hpcda.models.{name}")
    model: Model = module.build(**options)
    return model


def catalogue() -> Mapping[str, Builder]:
    """The models that come with hpcda: name -> a function of the model's options that builds it.

    A model's module is imported when its function is first called.
    """
    return MappingProxyType({name: partial(_build, name) for name in _names()})


def load_model(name: str, options: Mapping[str, Any] | None = None, folder: Path | None = None) -> Model:
    """Build a model.

    Args:
        name: A catalogue name (``"lorenz96"``), or a file and a function in it (``"neuron.py:build"``).
        options: Arguments of the model's `build`, as in ``model.options`` of the job.
        folder: Folder of the job, from which a file's path is taken; by default the working directory.

    Raises:
        InputError: No such model, file or function; options it does not take; or an exception in the file,
            with the line where it was raised.
    """
    return _call(builder(name, folder), dict(options or {}), name)


def builder(name: str, folder: Path | None = None) -> Builder:
    """Find the function that builds a model; arguments as those of `load_model`.

    Raises:
        InputError: No such model, file or function.
    """
    path, colon, function = name.rpartition(":")
    if not colon and not name.endswith(".py"):
        if name not in _names():
            raise InputError(
                Mistake(
                    "model.name",
                    f"there is no model {name!r} in the catalogue",
                    f"{nearest(name, _names())}; or give a function in a file, as 'neuron.py:build'",
                )
            )
        found: Builder = importlib.import_module(f"hpcda.models.{name}").build
        return found
    if not colon or not function.isidentifier():
        remedy = "give the file and the function that builds the model, as 'neuron.py:build'"
        raise InputError(Mistake("model.name", f"{name!r} has no function name", remedy))
    try:
        file = (folder or Path.cwd()) / Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(Mistake("model.name", f"{name!r}: {error}", "write the whole path")) from None
    module = load_file(file, "model.name")
    given = getattr(module, function, None)
    if not callable(given):
        functions = [
            n for n, value in vars(module).items() if inspect.isfunction(value) and not n.startswith("_")
        ]
        raise InputError(
            Mistake("model.name", f"{file} defines no function {function!r}", nearest(function, functions))
        )
    return given


def _call(builder: Callable[..., Any], options: dict[str, Any], name: str) -> Model:
    """Call `builder` with options that have been checked against its signature."""
    try:
        signature = inspect.signature(builder, eval_str=True)
    except Exception:  # annotations may be any text
        try:
            signature = inspect.signature(builder)
        except (TypeError, ValueError):
            problem = f"{name} cannot be called with options"
            raise InputError(Mistake("model.name", problem, "name a function that returns a Model")) from None
    mistakes = _option_mistakes(signature, options, name)
    if mistakes:
        raise InputError(mistakes)
    try:
        model = builder(**options)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise raised(error, Path(inspect.getsourcefile(builder) or name), "model.options") from error
    if not isinstance(model, Model):
        found = type(model).__name__
        raise InputError(
            Mistake("model.name", f"{name} returns a {found}, not a Model", "return hpcda.Model(…)")
        )
    return model


def _option_mistakes(signature: inspect.Signature, options: dict[str, Any], name: str) -> list[Mistake]:
    """Options that the builder does not take, takes of another kind, or needs."""
    Kind = inspect.Parameter
    taken = {
        key: p
        for key, p in signature.parameters.items()
        if p.kind in (Kind.POSITIONAL_OR_KEYWORD, Kind.KEYWORD_ONLY)
    }
    anything = any(p.kind is Kind.VAR_KEYWORD for p in signature.parameters.values())
    mistakes = []
    for key, value in options.items():
        place = f"model.options.{key}"
        if key not in taken:
            if not anything:
                mistakes.append(Mistake(place, f"{name} takes no such option", nearest(key, taken)))
            continue
        kind = _KINDS.get(taken[key].annotation)
        if kind and (not isinstance(value, kind[0]) or (isinstance(value, bool) and bool not in kind[0])):
            mistakes.append(Mistake(place, f"{value!r} is not {kind[1]}", f"write {kind[1]}"))
    for key, parameter in taken.items():
        if parameter.default is Kind.empty and key not in options:
            mistakes.append(
                Mistake(f"model.options.{key}", f"{name} needs it", "add it to the options of the model")
            )
    return mistakes
