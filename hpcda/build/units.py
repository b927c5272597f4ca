"""Compares units named in a data file with the model's: contradictions are refused, others reported."""

from __future__ import annotations

from hpcda.data import Table
from hpcda.errors import InputError, Mistake
from hpcda.models.model import Model

_SECONDS = {
    1e-9: "ns nsec nanosecond nanoseconds", 1e-6: "us µs μs usec microsecond microseconds",
    1e-3: "ms msec msecs millisecond milliseconds", 1.0: "s sec secs second seconds",
    60.0: "min mins minute minutes", 3600.0: "h hr hrs hour hours", 86400.0: "d day days",
    604800.0: "week weeks wk", 31556952.0: "y yr yrs year years a",
}  # fmt: skip
SECONDS = {word: seconds for seconds, words in _SECONDS.items() for word in words.split()}
"""Seconds of a unit of time; a year is the mean Gregorian one."""


def seconds(unit: str) -> float | None:
    """How long a unit of time is, None if unknown."""
    return SECONDS.get(unit.strip().lower())


def time_unit_note(table: Table, name: str, model: Model, place: str) -> str:
    """What is to be said of the unit that a file names for its times, "" where there is nothing.

    The part after "since" names the origin alone, which the equations do not know.

    Raises:
        InputError: It is another one than the model's.
    """
    written = table.column(name).unit
    if not written:
        return ""
    unit, _, origin = (part.strip() for part in written.partition(" since "))
    what = f"{table.shown} gives {name!r} in {written!r}"
    own, found = seconds(model.time_unit), seconds(unit)
    if own is not None and found is not None and own != found:
        remedy = f"multiply the times by {found / own:.9g}, or write {model.name} for {unit}"
        raise InputError(
            Mistake(place, f"{what}, and the time unit of {model.name} is {model.time_unit}", remedy)
        )
    if model.time_unit == "1":
        return f"{what}; {model.name} has no time unit, so its rates are taken to be per {unit}."
    if own is None or found is None:
        if unit == model.time_unit:
            return ""
        return f"{what}; the time unit of {model.name} is {model.time_unit}: nothing was converted."
    return f"{what}: only differences of times matter." if origin else ""


def unit_note(table: Table, name: str, quantity: str, own: str) -> str:
    """What is to be said of the unit that a file names for a state or a stimulus."""
    written = table.column(name).unit
    if not written or own == "1" or written == own:
        return ""
    return f"{table.shown} gives {name!r} in {written!r}, and {quantity} is in {own}: nothing was converted."
