"""Turns pydantic's errors into messages that name the key, the value found and what to write instead."""

from __future__ import annotations

import copy
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hpcda.errors import Mistake
from hpcda.job.any import AnyJob
from hpcda.job.kinds import MARK, Section, short
from hpcda.job.networks import NetworkJob
from hpcda.job.schema import Job, source_of_data
from hpcda.job.text import quoted
from hpcda.names import nearest, shortened

Place = tuple[str | int, ...]
S = TypeVar("S", bound=Section)


def dotted(place: Sequence[str | int]) -> str:
    """A place as a person writes it: ``data[1].observed.x0``."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else ("." if text else "") + quoted(shortened(step))
    return text or "the job"


def parse(
    raw: dict[str, Any], found: Iterable[tuple[Place, Mistake]] = (), context: Mapping[str, Any] | None = None
) -> tuple[AnyJob | None, list[Mistake]]:
    """The job that `raw` describes, or every mistake in it.

    Args:
        raw: The tables.
        found: Mistakes found before, each with its place.
        context: What validators ask for, see `hpcda.job.kinds.one_of`.
    """
    data = source_of_data(bool(raw.get("data")), bool(raw.get("twin")))
    known = [*found, *(((key,), Mistake(key, problem, remedy)) for key, problem, remedy in data)]
    if "network" in raw:
        return parse_as(NetworkJob, "the job", raw, known, context)
    return parse_as(Job, "the job", raw, known, context)


def parse_as(
    root: type[S],
    noun: str,
    raw: dict[str, Any],
    known: Iterable[tuple[Place, Mistake]] = (),
    context: Mapping[str, Any] | None = None,
) -> tuple[S | None, list[Mistake]]:
    """The tables of a kind `root` that `raw` describes, or every mistake in them.

    A table with a wrong key has its other checks made as well: the wrong keys are left out and the rest is
    read again.

    Args:
        root: The kind of the outermost table.
        noun: What a person calls it.
        raw: The tables.
        known: Mistakes found before, each with its place.
        context: What validators ask for.
    """
    found: list[tuple[Place, Mistake]] = list(known)
    reader = _Reader(root, noun, raw)
    removed: list[Place] = []
    rest: Any = raw
    while True:
        try:
            read = root.model_validate(rest, context=dict(context or {}))
        except ValidationError as error:
            wrong = [one for one in _singles(error) if not _follows(*one, removed)]
        else:
            break
        found += [
            (place, reader.mistake(place, detail)) for place, detail in wrong if place not in dict(found)
        ]
        cut = [place for place, _ in wrong if _holds(rest, place)]
        if not cut:
            break
        removed += cut
        rest = copy.deepcopy(rest) if rest is raw else rest
        for place in sorted(cut, key=len, reverse=True):
            _remove(rest, place)
    if not found:
        return read, []
    order = _order(raw)
    return None, [mistake for _, mistake in sorted(found, key=lambda one: order(one[0]))]


def _singles(error: ValidationError) -> list[tuple[Place, ErrorDetails]]:
    """Each mistake of the error with its place; a section's own checks may bring several."""
    singles: list[tuple[Place, ErrorDetails]] = []
    for detail in error.errors(include_url=False):
        steps = detail["loc"]
        if steps[-1:] == ("[key]",) and detail["type"] != "extra_forbidden":
            steps = steps[:-1]  # the key itself is wrong
        key = steps[-1:] if detail["type"] == "extra_forbidden" else ()  # whatever it looks like
        tagged = steps[: len(steps) - len(key)]
        untagged = (step for step in tagged if not (isinstance(step, str) and step.startswith(MARK)))
        place: Place = (*untagged, *key)
        if detail["type"] == "hpcda_section":
            for name, problem, remedy in detail["ctx"]["wrong"]:
                inside = name.startswith(("noise_std.", "ladder."))
                inner = (*place, *name.split(".", 1)) if inside else (*place, name)
                context = {"problem": problem, "remedy": remedy}
                singles.append((inner, {**detail, "type": "hpcda", "ctx": context}))
        else:
            singles.append((place, detail))
    return singles


def _follows(place: Place, detail: ErrorDetails, removed: list[Place]) -> bool:
    """Whether a mistake comes only from the keys that were left out."""
    if any(one[: len(place)] == place for one in removed):
        return True
    problem = str(detail.get("ctx", {}).get("problem", ""))
    beside = {one[len(place) - 1] for one in removed if one[: len(place) - 1] == place[:-1]}
    if problem.startswith(("is missing", "names no")):
        return bool(beside)
    if problem.startswith("has no effect"):
        return bool(beside & {"estimate", "per_time"})
    return problem.endswith("of observed") and any(one[: len(place) - 2] == place[:-2] for one in removed)


def _at(raw: Any, place: Place) -> Any:
    """What stands at a place; one table stands for a list of one."""
    for step in place:
        if isinstance(raw, list | tuple) and isinstance(step, int) and step < len(raw):
            raw = raw[step]
        elif isinstance(raw, dict) and step in raw:
            raw = raw[step]
        elif not (isinstance(raw, dict) and step == 0):
            raise KeyError(step)
    return raw


def _holds(raw: Any, place: Place) -> bool:
    try:
        parent = _at(raw, place[:-1])
    except KeyError:
        return False
    return bool(place) and isinstance(parent, dict) and place[-1] in parent


def _remove(raw: Any, place: Place) -> None:
    if _holds(raw, place):
        del _at(raw, place[:-1])[place[-1]]


def _order(raw: dict[str, Any]) -> typing.Callable[[Place], tuple[int, ...]]:
    """Sorts places as the keys stand in the job; missing keys come last in their table."""

    def key(place: Place) -> tuple[int, ...]:
        ranks: list[int] = []
        for depth, step in enumerate(place):
            try:
                inside = _at(raw, place[:depth])
            except KeyError:
                break
            if isinstance(inside, dict):
                ranks.append(list(inside).index(step) if step in inside else len(inside))
            elif isinstance(step, int):
                ranks.append(step)
        return tuple(ranks)

    return key


def _shown(place: Place, raw: dict[str, Any]) -> str:
    single = len(place) > 1 and place[1] == 0 and isinstance(raw.get(str(place[0])), dict)
    return dotted((place[0], *place[2:]) if single else place)


_COMPARISONS = {
    "greater_than": ("is not above", "gt"),
    "greater_than_equal": ("is below", "ge"),
    "less_than": ("is not below", "lt"),
    "less_than_equal": ("is above", "le"),
}
_EXPECTED = {
    "float_type": "is not a number",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "string_type": "is not a string",
    "string_unicode": "is not a string",
    "bool_type": "is neither true nor false",
    "dict_type": "is not a table",
    "mapping_type": "is not a table",
    "model_type": "is not a table",
    "model_attributes_type": "is not a table",
    "tuple_type": "is not a list",
    "finite_number": "is not a finite number",
    "string_pattern_mismatch": "is not accepted",
    "int_parsing_size": "is too large",
    "invalid_key": "is not a string",
}


def _problem(kind: str, found: Any, context: dict[str, Any]) -> str:
    if kind in _COMPARISONS:
        words, key = _COMPARISONS[kind]
        return f"{short(found)} {words} {context[key]:g}"
    if kind in ("too_short", "string_too_short") or (kind == "missing" and not found):
        return "is empty" if not found else f"{short(found)} has too few values"
    if kind == "too_long":
        return f"{short(found)} has too many values"
    return f"{short(found)} {_EXPECTED.get(kind, 'is not accepted')}"


def _unwrap(annotation: Any) -> list[Any]:
    """The alternatives of an annotation, without Annotated, Optional and unions."""
    if get_origin(annotation) is Annotated:
        return _unwrap(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [one for choice in get_args(annotation) for one in _unwrap(choice)]
    return [annotation]


@dataclass(frozen=True)
class _Reader:
    """Puts pydantic's errors about one kind of tables into words.

    Attributes:
        root: The kind of the outermost table.
        noun: What a person calls it.
        raw: The tables as they were given.
    """

    root: type[Section]
    noun: str
    raw: dict[str, Any]

    def mistake(self, place: Place, detail: ErrorDetails) -> Mistake:
        shown, kind, context = _shown(place, self.raw), detail["type"], detail.get("ctx", {})
        if kind == "hpcda":
            return Mistake(shown, context["problem"], context["remedy"])
        if kind == "extra_forbidden":
            known = self.keys(place[:-1], detail)
            return Mistake(shown, f"is not a key of {self.noun}", nearest(str(place[-1]), known))
        remedy = "give " + (self.description(place) or "a value of another kind")
        if kind == "missing":
            return Mistake(shown, "is missing", remedy)
        if kind == "literal_error":
            expected = str(context["expected"]).replace(" or ", ", ").replace("'", "")
            words = [word for word in expected.split(", ") if word]
            found = detail["input"]
            if len(words) > 1:
                remedy = (
                    nearest(found, words) if isinstance(found, str) else f"use one of: {', '.join(words)}"
                )
            return Mistake(shown, f"{short(found)} is not accepted", remedy)
        return Mistake(shown, _problem(kind, detail["input"], context), remedy)

    def walk(self, place: Place) -> tuple[list[Any], FieldInfo | None]:
        """The kinds of value accepted at a place, and the last field on the way there."""
        kinds: list[Any] = [self.root]
        field: FieldInfo | None = None
        for step in place:
            inner: list[Any] = []
            for kind in kinds:
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    for name, one in kind.model_fields.items():
                        if (one.alias or name) == step:
                            field = one
                            inner += _unwrap(one.annotation)
                elif get_origin(kind) is dict:
                    inner += _unwrap(get_args(kind)[1])
                elif get_origin(kind) is tuple and isinstance(step, int):
                    inner += _unwrap(get_args(kind)[0])
            kinds = inner
        return kinds, field

    def keys(self, place: Place, detail: ErrorDetails) -> list[str]:
        """The keys of the table at a place; of several kinds of it, those of the kind that pydantic chose."""
        kinds, _ = self.walk(place)
        sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        chosen = {str(step).removeprefix(MARK) for step in detail["loc"] if str(step).startswith(MARK)}
        fits = [
            one
            for one in sections
            if "kind" in one.model_fields and chosen & {*get_args(one.model_fields["kind"].annotation)}
        ]
        names = [one.alias or name for kind in fits or sections for name, one in kind.model_fields.items()]
        return list(dict.fromkeys(names))

    def description(self, place: Place) -> str | None:
        _, field = self.walk(place)
        return field.description if field else None
