"""Python objects in a job (a model, arrays) in place of the names and files of a job file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpcda.errors import InputError, Mistake
from hpcda.models.model import Model

if TYPE_CHECKING:
    from hpcda.job.any import AnyJob

Columns = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Given:
    """Objects that stand in a job under a name of their own, in angle brackets.

    Attributes:
        models: Name -> model.
        arrays: Name -> columns by name.
        units: Name -> unit of each column that says it, as xarray does in ``attrs["units"]``.
    """

    models: Mapping[str, Model] = field(default_factory=dict)
    arrays: Mapping[str, Columns] = field(default_factory=dict)
    units: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether the job is a job file's."""
        return not (self.models or self.arrays)


def taken_out(raw: dict[str, Any]) -> tuple[dict[str, Any], Given]:
    """The tables of a job with names in place of the objects, and the objects.

    Args:
        raw: The tables, with numbers of Python or NumPy, lists, tuples or arrays; `model.name` (and
            `twin.model.name`) may be a `Model`, `data.file` a mapping from names of columns to arrays.

    Raises:
        InputError: A column is no array of numbers.
    """
    models: dict[str, Model] = {}
    arrays: dict[str, Columns] = {}
    units: dict[str, dict[str, str]] = {}

    def model(table: Any) -> Any:
        if isinstance(table, dict) and isinstance(one := table.get("name"), Model):
            models[f"<{one.name}>"] = one
            return {**table, "name": f"<{one.name}>"}
        return table

    def window(table: Any, place: str) -> Any:
        one: Any = table.get("file") if isinstance(table, dict) else None
        if not _columns(one):
            return table
        name = f"<arrays {len(arrays)}>"
        arrays[name] = _checked(one, f"{place}.file")
        units[name] = {str(key): unit for key in one.keys() if (unit := unit_of(one[key]))}  # noqa: SIM118
        return {**table, "file": name}

    def each(entries: Any, change: Callable[[Any, str], Any], place: str) -> Any:
        if isinstance(entries, list):
            return [change(one, f"{place}[{k}]") for k, one in enumerate(entries)]
        return change(entries, place)

    def twin(table: Any, place: str) -> Any:
        own = isinstance(table, dict) and "model" in table
        return {**table, "model": model(table["model"])} if own else table

    found = _plain(raw)
    if "model" in found:
        found["model"] = model(found["model"])
    if "twin" in found:
        found["twin"] = each(found["twin"], twin, "twin")
    if "data" in found:
        found["data"] = each(found["data"], window, "data")
    return found, Given(models, arrays, units)


class WithUnit(npt.NDArray[Any]):
    """An array that has a unit, ``attrs["units"]``, as arrays of xarray have."""

    attrs: Mapping[str, Any]


def unit_of(values: Any) -> str:
    """The unit that an array says it has, "" where it says none."""
    attrs = getattr(values, "attrs", None)
    unit = attrs.get("units", "") if isinstance(attrs, Mapping) else ""
    return unit if isinstance(unit, str) else ""


def with_unit(values: npt.NDArray[Any], like: Any) -> npt.NDArray[Any]:
    """An array with the unit that another says it has; as it is where that says none."""
    if not (unit := unit_of(like)):
        return values
    found = values.view(WithUnit)
    found.attrs = {"units": unit}
    return found


def _plain(value: Any) -> Any:
    """Tables with Python's numbers for NumPy's and lists for tuples and arrays; columns as they are."""
    if isinstance(value, Mapping):
        return {key: one if key == "file" else _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def _columns(value: Any) -> bool:
    return isinstance(value, Mapping) or (hasattr(value, "keys") and hasattr(value, "__getitem__"))


def _checked(columns: Any, place: str) -> Columns:
    names: Iterable[Any] = columns.keys()
    found: dict[str, npt.NDArray[Any]] = {}
    for name in names:
        values = np.asarray(columns[name])
        if values.dtype.kind not in "iufbU" or values.ndim not in (1, 2):
            what = f"{name!r} is an array of type {values.dtype} and {values.ndim} dimensions"
            raise InputError(Mistake(place, what, "give arrays of numbers, one number per time"))
        found[str(name)] = values
    return found


def with_model(job: AnyJob, model: Model | None) -> AnyJob:
    """A job that was stored, with the model that it was given as an object; the job itself without one."""
    return job if model is None else job.with_given(Given({f"<{model.name}>": model}))
