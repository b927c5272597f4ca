"""Packed netCDF and HDF5 variables: scale factor, offset and fill value from their attributes.

The attributes are those of the CF conventions (https://cfconventions.org, sections 2.5.1 and 8.1) and of the
netCDF users' guide, appendix A: a value is `stored · scale_factor + add_offset`; `_FillValue` and
`missing_value` stand for missing values, `valid_min`, `valid_max` and `valid_range` bound the others, all in
stored numbers, or in those after unpacking where they are of its type and not of the stored one; `_Unsigned`
says that signed integers stand for unsigned ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

PACKING = (
    "scale_factor", "add_offset", "_FillValue", "missing_value", "valid_min", "valid_max", "valid_range",
    "_Unsigned",
)  # fmt: skip
"""Attributes that are applied."""
UNITS = ("units", "unit")
FACTORS = ("conversion", "scale", "scaling", "gain", "slope", "multiplier", "factor", "calibration")
OFFSETS = ("offset", "intercept", "bias")
"""Attributes that other formats and instruments scale by, each in its own way: told, not applied."""


class PackingError(Exception):
    """An attribute that cannot be applied.

    Attributes:
        attribute: Its name.
        problem: What is wrong with it.
    """

    def __init__(self, attribute: str, problem: str) -> None:
        self.attribute, self.problem = attribute, problem
        super().__init__(f"{attribute}: {problem}")


def text_of(value: Any) -> str:
    """The text of an attribute."""
    one = value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.size == 1 else value
    return one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one)


def unit_of(attributes: Mapping[str, Any]) -> str:
    """The unit that a variable names, "" where it names none."""
    return next((text_of(attributes[name]).strip() for name in UNITS if name in attributes), "")


def stored_numbers(stored: npt.NDArray[Any], attributes: Mapping[str, Any]) -> npt.NDArray[Any]:
    """The stored numbers, those of `_Unsigned` variables as what they stand for.

    Raises:
        PackingError: `_Unsigned` is neither true nor false.
    """
    if "_Unsigned" not in attributes:
        return stored
    word = text_of(attributes["_Unsigned"]).lower()
    if word not in ("true", "false"):
        raise PackingError("_Unsigned", f"is {word!r}, neither true nor false")
    wanted = "u" if word == "true" else "i"
    return stored.view(_other(stored.dtype, wanted)) if stored.dtype.kind in "iu" else stored


def unpack(stored: npt.NDArray[Any], attributes: Mapping[str, Any]) -> tuple[Array, npt.NDArray[np.int8]]:
    """The values of a packed array, shape (n,), and for each which attribute calls it missing.

    Args:
        stored: As `stored_numbers` gives them, shape (n,).
        attributes: Those of the variable.

    Returns:
        Values, NaN where one is missing; and positions in `PACKING`, -1 where no attribute does.

    Raises:
        PackingError: An attribute that cannot be applied.
    """
    why = np.full(stored.shape, -1, dtype=np.int8)
    turned = "_Unsigned" in attributes
    for name in ("_FillValue", "missing_value"):
        if name in attributes:
            for one in _numbers(name, attributes[name]):
                why[(stored == _like(stored, one, turned)) & (why < 0)] = PACKING.index(name)
    scale, offset = _factor("scale_factor", attributes, 1.0), _factor("add_offset", attributes, 0.0)
    if scale == 0.0:
        raise PackingError("scale_factor", "is 0")
    with np.errstate(over="ignore", invalid="ignore"):
        plain = stored.astype(np.float64)
        values = plain * scale + offset if scaled(attributes) else plain
    for name, lower, upper in _limits(attributes):
        unpacked = scaled(attributes) and stored.dtype.kind in "iu" and _is_float(attributes[name])
        with np.errstate(invalid="ignore"):
            compared = values if unpacked else plain
            outside = (compared < lower) | (compared > upper)
        why[outside & (why < 0)] = PACKING.index(name)
    values[why >= 0] = np.nan
    return values, why


def scaled(attributes: Mapping[str, Any]) -> bool:
    """Whether the stored numbers are not the values."""
    return "scale_factor" in attributes or "add_offset" in attributes


def unapplied(attributes: Mapping[str, Any]) -> list[str]:
    """Attributes that seem to scale the numbers and are not applied, with their values."""
    found = []
    for name, value in attributes.items():
        array = np.asarray(value)
        neutral = 1.0 if name.lower() in FACTORS else 0.0 if name.lower() in OFFSETS else None
        if neutral is not None and array.dtype.kind in "iuf" and (array != neutral).any():
            found.append(f"{name} = {text_of(value)}")
    return found


def resolution(attributes: Mapping[str, Any], stored: npt.NDArray[Any]) -> float:
    """The least difference of two packed values, 0 if unknown."""
    if stored.dtype.kind not in "iu" or not scaled(attributes):
        return 0.0
    return abs(_factor("scale_factor", attributes, 1.0))


def _other(kind: np.dtype[Any], wanted: str) -> np.dtype[Any]:
    """The signed ("i") or unsigned ("u") type of the same size."""
    return np.dtype(f"{kind.byteorder.replace('|', '=')}{wanted}{kind.itemsize}")


def _is_float(value: Any) -> bool:
    return np.asarray(value).dtype.kind == "f"


def _numbers(name: str, value: Any) -> npt.NDArray[Any]:
    array = np.asarray(value).reshape(-1)
    if array.dtype.kind in "iuf":
        return array
    try:
        return np.array([float(text_of(one)) for one in array])
    except ValueError:
        raise PackingError(name, f"is {text_of(value)[:40]!r}, which is not a number") from None


def _factor(name: str, attributes: Mapping[str, Any], default: float) -> float:
    if name not in attributes:
        return default
    numbers = _numbers(name, attributes[name])
    if len(numbers) != 1 or not np.isfinite(numbers[0]):
        raise PackingError(name, f"is {np.array2string(numbers, threshold=4)}, not one finite number")
    return float(numbers[0])


def _like(stored: npt.NDArray[Any], mark: Any, turned: bool) -> Any:
    """A mark in the type of the stored numbers; NaN, which equals nothing, where that type cannot hold it.

    Args:
        stored: The numbers.
        mark: The mark.
        turned: Whether `_Unsigned` has made them what they are, which marks follow: the same bits.
    """
    if stored.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return stored.dtype.type(mark)
    if not np.isfinite(mark) or int(mark) != mark:
        return np.nan
    limits = np.iinfo(stored.dtype)
    span = int(limits.max) - int(limits.min) + 1
    if turned and stored.dtype.kind == "u" and -span // 2 <= mark < 0:
        mark = int(mark) + span
    elif turned and stored.dtype.kind == "i" and limits.max < mark < span:
        mark = int(mark) - span
    return stored.dtype.type(int(mark)) if limits.min <= int(mark) <= limits.max else np.nan


def _limits(attributes: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Name, lowest and highest valid number of every attribute that bounds them."""
    found = []
    unsigned = "_Unsigned" in attributes and text_of(attributes["_Unsigned"]).lower() == "true"
    for name, count in (("valid_range", 2), ("valid_min", 1), ("valid_max", 1)):
        if name not in attributes:
            continue
        numbers = _numbers(name, attributes[name])
        if unsigned and numbers.dtype.kind == "i":
            numbers = np.ascontiguousarray(numbers).view(_other(numbers.dtype, "u"))
        if len(numbers) != count or np.isnan(numbers.astype(np.float64)).any():
            raise PackingError(name, f"holds {len(numbers)} numbers" if len(numbers) != count else "is nan")
        lower = -np.inf if name == "valid_max" else float(numbers[0])
        upper = np.inf if name == "valid_min" else float(numbers[-1])
        if lower > upper:
            raise PackingError(name, f"is from {lower:g} to {upper:g}")
        found.append((name, lower, upper))
    return found
