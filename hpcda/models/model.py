"""Defines `Model`: named states, parameters and stimuli, and equations in plain Python."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np

from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.models.trace import ENTRY_BY_ENTRY, apply, boxed, product, where

Equations = Callable[..., Any]
T = TypeVar("T")


def _float(value: Any) -> Any:
    """A number as a float, whatever kind of number it is; `Model` refuses what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return value
    try:
        return float(value)
    except OverflowError:  # a whole number that no float holds
        return value


def _floats(pair: Any) -> Any:
    """A range as a pair of floats."""
    plain = isinstance(pair, tuple | list) or (isinstance(pair, np.ndarray) and pair.ndim == 1)
    return tuple(map(_float, pair)) if plain and len(pair) == 2 else pair


@dataclass(frozen=True)
class State:
    """One state of a model.

    Attributes:
        name: As in the paper the model comes from.
        unit: Physical unit, "1" where there is none.
        range: Default range of initial paths, in `unit`.
        initial: Default initial value of synthetic data, in `unit`.
    """

    name: str
    unit: str = "1"
    range: tuple[float, float] = (-10.0, 10.0)
    initial: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "range", _floats(self.range))
        object.__setattr__(self, "initial", _float(self.initial))


@dataclass(frozen=True)
class Parameter:
    """One parameter of a model, or an array of them.

    Attributes:
        name: As in the paper the model comes from.
        default: The paper's value, in `unit`, used if the job gives none. For an array one value for all
            entries, or an array of its shape.
        unit: Physical unit, "1" where there is none.
        range: Default uniform range of the initial guess if it is estimated, in `unit`. If it is None: from
            0.5 to 1.5 times the default value.
        shape: Shape of an array parameter. Equations use it whole, ``p.W @ x``; jobs and results name its
            entries, ``W[3,4]``; a job's table for ``W`` applies to all entries. () for a number.
    """

    name: str
    default: Any
    unit: str = "1"
    range: tuple[float, float] | None = None
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "range", _floats(self.range))
        object.__setattr__(self, "default", _float(self.default))
        object.__setattr__(self, "shape", tuple(self.shape))

    @property
    def entries(self) -> tuple[Parameter, ...]:
        """The entries of an array as single parameters in C order; a single parameter gives itself.

        Raises:
            InputError: The default does not fit the shape.
        """
        if not self.shape:
            return (self,)
        try:
            values = np.broadcast_to(np.asarray(self.default, dtype=np.float64), self.shape)
        except (TypeError, ValueError):
            raise InputError(
                Mistake(
                    f"parameter {self.name}",
                    f"the default of shape {np.shape(self.default)} does not fit shape {self.shape}",
                    "give one number, or an array of the shape",
                )
            ) from None
        return tuple(
            Parameter(entry_name(self.name, index), float(values[index]), self.unit, self.range)
            for index in np.ndindex(self.shape)
        )

    @property
    def start(self) -> tuple[float, float]:
        """Range of the initial guess, in `unit`."""
        if self.range is not None:
            return self.range
        low, high = sorted((0.5 * self.default, 1.5 * self.default))
        return (low, high) if low < high else (-1.0, 1.0)


def entry_name(name: str, index: Sequence[int]) -> str:
    """Name of an entry of an array, such as ``W[3,4]``."""
    return f"{name}[{','.join(map(str, index))}]"


@dataclass(frozen=True)
class Stimulus:
    """A known input of a model, given as a function of time by the data."""

    name: str
    unit: str = "1"


class Named:
    """Values by name, ``p.sigma`` or ``p["sigma"]``: what `equations` receives as p and u."""

    __slots__ = ("_kind", "_values")

    def __init__(self, kind: str, values: dict[str, Any]) -> None:
        self._kind = kind
        self._values = values

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            names = ", ".join(self._values) or "none"
            raise AttributeError(f"the model has no {self._kind} '{name}' (it has: {names})") from None


class StateVector(np.ndarray[Any, Any]):
    """The states as an array with named entries; also the type of arrays computed from them.

    ``x[0]``, ``np.roll(x, 1)``, ``V, m, h, n = x``, ``x.V`` and ``x["V"]`` all work; a state whose name is an
    attribute of NumPy arrays (``T``) is reached by unpacking, index or ``x["T"]``.
    """

    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Any, names: Sequence[str], dtype: Any = None) -> StateVector:
        """View `values`, shape (D,) or (D, ...), as a vector with names."""
        array = np.asarray(values, dtype=dtype).view(cls)
        array.names = tuple(names)
        return array

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key not in self.names:
                raise AttributeError(f"the model has no state '{key}' (it has: {', '.join(self.names)})")
            key = self.names.index(key)
        item = super().__getitem__(key)
        return item

    def __getattr__(self, name: str) -> Any:
        if name in self.names:
            return self[self.names.index(name)]
        if name.startswith("__"):
            raise AttributeError(name)
        known = f" (it has: {', '.join(self.names)})" if self.names else ""
        raise AttributeError(f"the model has no state '{name}'{known}")

    def dot(self, other: Any) -> Any:  # type: ignore[override]
        """The same as `np.dot`."""
        return np.dot(self, other)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = tuple(map(_plain, inputs))
        if (
            ufunc is np.matmul
            and method == "__call__"
            and not options
            and (made := product(*inputs)) is not None
        ):
            return StateVector.of(made, ()) if isinstance(made, np.ndarray) else made
        if out := options.pop("out", None):
            out[0][...] = getattr(ufunc, method)(*inputs, **options)
            return out[0]
        if (
            method != "__call__"
            or options
            or ufunc.signature
            or all(getattr(value, "dtype", None) != np.dtype(object) for value in arrays)
        ):
            return getattr(ufunc, method)(*arrays, **options)
        return StateVector.of(np.frompyfunc(partial(apply, ufunc), len(arrays), 1)(*arrays), ())

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if self.dtype == np.dtype(object) and function is np.where and len(args) == 3:
            return StateVector.of(np.frompyfunc(where, 3, 1)(*map(_plain, args)), ())
        if function is np.dot and len(args) == 2 and not kwargs:
            return np.matmul(*args) if all(map(np.ndim, args)) else np.multiply(*args)
        return super().__array_function__(function, types, args, kwargs)


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, StateVector) else boxed(value)


def _finite(value: Any) -> bool:
    return isinstance(value, float) and bool(np.isfinite(value))


def _range_mistakes(model: str, quantities: Sequence[State] | Sequence[Parameter]) -> list[Mistake]:
    """Ranges that are not two finite numbers, the lower one first and below the other."""
    mistakes = []
    for one in quantities:
        pair: Any = one.range
        if pair is None and isinstance(one, Parameter):
            continue
        numbers = isinstance(pair, tuple) and len(pair) == 2 and all(_finite(end) for end in pair)
        if not numbers or pair[0] >= pair[1] or not np.isfinite(pair[1] - pair[0]):
            room = ", which is empty" if numbers and pair[0] == pair[1] else ""
            shown = f"({pair[0]:g}, {pair[1]:g})" if numbers else str(pair)[:60]
            problem = f"the range of {one.name} is {shown}{room}"
            mistakes.append(Mistake(f"model {model}", problem, "give two numbers, the lower one first"))
    return mistakes


@dataclass(frozen=True)
class Model:
    """A dynamical model dx/dt = F(x, p, u, t), or a map x(n+1) = f(x(n), p, u, n).

    Attributes:
        name: Catalogue name.
        states: The D states, in the order of `equations`.
        parameters: All parameters, estimated or not; of an array parameter, its entries.
        equations: ``equations(x, p, u, t)``, where u and t may be omitted, returning D values: dx/dt for a
            flow, the next state for a map. Ordinary operators, NumPy functions, `np.roll` and indexing are
            allowed.
        stimuli: Known inputs.
        kind: "flow" or "map".
        time_unit: Unit of t.
        title: One line for people.
        citation: The publication with the equations.

    Raises:
        InputError: A name is repeated or not a string, a range, default or initial value is not finite, or
            `equations` takes other than 2 to 4 arguments.
    """

    name: str
    states: tuple[State, ...]
    parameters: tuple[Parameter, ...]
    equations: Equations
    stimuli: tuple[Stimulus, ...] = ()
    kind: Literal["flow", "map"] = "flow"
    time_unit: str = "1"
    title: str = ""
    citation: str = ""
    arguments: int = field(init=False, default=4)
    arrays: dict[str, tuple[int, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        arrays = {one.name: one.shape for one in self.parameters if one.shape}
        entries = tuple(entry for one in self.parameters for entry in one.entries)
        object.__setattr__(self, "arrays", arrays)
        object.__setattr__(self, "parameters", entries)
        names = [*self.state_names, *self.parameter_names, *arrays, *self.stimulus_names]
        wrong = [name for name in names if not isinstance(name, str) or not name]
        if wrong:
            raise InputError(
                Mistake(
                    f"model {self.name}",
                    f"{wrong[0]!r} is not a valid name",
                    "use non-empty strings as names",
                )
            )
        repeated = sorted(name for name, count in Counter(names).items() if count > 1)
        if repeated:
            raise InputError(
                Mistake(
                    f"model {self.name}",
                    f"the name {repeated[0]!r} is used twice",
                    "give every state, parameter and stimulus its own name",
                )
            )
        if self.kind not in ("flow", "map"):
            raise InputError(
                Mistake(
                    f"model {self.name}", f"its kind is {self.kind!r}", 'write kind = "flow" or kind = "map"'
                )
            )
        mistakes = [*_range_mistakes(self.name, self.states), *_range_mistakes(self.name, self.parameters)]
        for what, name, value in (
            *(("initial", state.name, state.initial) for state in self.states),
            *(("default", one.name, one.default) for one in self.parameters),
        ):
            if not _finite(value):
                mistakes.append(
                    Mistake(f"model {self.name}", f"the {what} of {name} is {value!r}", "give a number")
                )
        if mistakes:
            raise InputError(mistakes)
        if not self.states:
            raise InputError(Mistake(f"model {self.name}", "it has no states", "give at least one state"))
        count = len(inspect.signature(self.equations).parameters)
        if not 2 <= count <= 4:
            raise InputError(
                Mistake(
                    f"model {self.name}",
                    f"its equations take {count} arguments",
                    "write equations(x, p), equations(x, p, u) or equations(x, p, u, t)",
                )
            )
        object.__setattr__(self, "arguments", count)

    @property
    def dimension(self) -> int:
        """D, the number of states."""
        return len(self.states)

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the D states."""
        return tuple(state.name for state in self.states)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of all parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def stimulus_names(self) -> tuple[str, ...]:
        """Names of the known inputs."""
        return tuple(stimulus.name for stimulus in self.stimuli)

    @property
    def defaults(self) -> dict[str, float]:
        """The papers' value of every parameter."""
        return {parameter.name: parameter.default for parameter in self.parameters}

    def entries_of(self, name: str) -> tuple[str, ...]:
        """Names of the entries of an array of parameters; of any other name, itself alone."""
        shape = self.arrays.get(name)
        return (name,) if shape is None else tuple(entry_name(name, index) for index in np.ndindex(shape))

    def expanded(self, given: Mapping[str, T]) -> dict[str, T]:
        """What is given by name of parameters, given of each entry where the name is that of an array.

        What is given of an entry by itself goes before what is given of its array.
        """
        of_arrays = {
            entry: value
            for name, value in given.items()
            if name in self.arrays
            for entry in self.entries_of(name)
        }
        return of_arrays | {name: value for name, value in given.items() if name not in self.arrays}

    def _with_arrays(self, p: dict[str, Any]) -> dict[str, Any]:
        """Parameters by name, arrays besides their entries."""
        if not self.arrays:
            return p
        made = dict(p)
        for name, shape in self.arrays.items():
            values = [p[entry] for entry in self.entries_of(name)]
            plain = all(isinstance(value, float | np.floating) for value in values)
            array = np.empty(len(values), dtype=np.float64 if plain else object)
            array[:] = values
            made[name] = array.reshape(shape) if plain else StateVector.of(array.reshape(shape), ())
        return made

    def __call__(self, x: Any, p: dict[str, Any], u: dict[str, Any] | None = None, t: Any = 0.0) -> list[Any]:
        """The D values that `equations` returns.

        Args:
            x: States, shape (D,) or (D, T); numbers or traced expressions.
            p: Every parameter by name.
            u: Every stimulus by name.
            t: Time.

        Raises:
            InputError: The equations raise, or return another number of values than there are states.
        """
        vector = StateVector.of(x, self.state_names)
        arguments = (vector, Named("parameter", self._with_arrays(p)), Named("stimulus", u or {}), t)[
            : self.arguments
        ]
        try:
            result = self.equations(*arguments)
            values = list(result)
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            if isinstance(error, TypeError) and "ufunc" in str(error):
                raise InputError(
                    Mistake(
                        f"model {self.name}",
                        f"NumPy cannot apply a function to a plain array of states or parameters: {error}",
                        f"apply it to x, to a slice such as x[:2], or entry by entry: {ENTRY_BY_ENTRY}",
                    )
                ) from error
            raise InputError(
                Mistake(
                    f"model {self.name}",
                    f"its equations raise {type(error).__name__}: {error}",
                    "they must run with ordinary operators, NumPy functions and indexing on x, p, u and t",
                )
            ) from error
        if len(values) != self.dimension:
            raise InputError(
                Mistake(
                    f"model {self.name}",
                    f"its equations return {counted(len(values), 'value')} for "
                    f"{counted(self.dimension, 'state')}",
                    f"return one value per state, in the order {', '.join(self.state_names)}",
                )
            )
        return values
