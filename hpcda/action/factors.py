"""Factors, the terms of an action: a kernel of a few unknowns, a loss of its values, and many instances.

    squares   ½ Σ_r w_r (h_r - y_r)²         Gaussian model errors, data, priors, walks
    plain     w Σ_r h_r                      a scalar that is its own share, such as a discrete Lagrangian
    a loss    w φ(h; y, s)                   data of any noise (`hpcda.action.losses`)

Weights of factors that are `scaled` are times Rf. The action is the negative logarithm of the product of all
factors, up to a constant (Kschischang, Frey, Loeliger, IEEE Trans. Inf. Theory 47, 498 (2001)).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hpcda.action.kernel import Kernel, kernel_of
from hpcda.action.losses import Loss
from hpcda.errors import InputError, Mistake
from hpcda.models.traced import Traced, trace
from hpcda.problem import Array, Numbers

NO_OPTIONS: Mapping[str, float] = {}


@dataclass(frozen=True, eq=False)
class DataLoss:
    """The loss of data, and how it is used.

    Attributes:
        loss: The loss.
        options: Its options; those not given are at their defaults.
        unknown_scale: Whether the last row of the kernel is the scale s of the noise of all others; log s is
            then added for each.
    """

    loss: Loss
    options: Mapping[str, float] = field(default_factory=dict)
    unknown_scale: bool = False

    def __post_init__(self) -> None:
        if self.unknown_scale and not self.loss.scaled:
            raise InputError(
                Mistake(f"loss {self.loss.name!r}", "its noise has no scale", "leave unknown_scale out")
            )

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others."""
        return self.loss.name, tuple(sorted(self.loss.optional(self.options).items())), self.unknown_scale

    def values(self, rows: int) -> int:
        """Number of rows that data are about."""
        return rows - self.unknown_scale

    def share(self, h: Any, y: Any, s: Any) -> Any:
        """Share of one instance: h, y, s of length R, numbers or symbols, s the last of h where unknown."""
        options = self.loss.optional(self.options)
        if self.unknown_scale:
            h, s = h[:-1], np.array([h[-1]] * (len(h) - 1), dtype=object)
        if self.loss.joint:
            return self.loss.share(h, y, s, options)
        total = sum(self.loss.share(*one, options) for one in zip(h, y, s, strict=True))
        return total + sum(np.log(one) for one in s) if self.unknown_scale else total

    def traced(self, rows: int) -> Traced:
        """φ as a traced function of the rows; its constants are y, then s."""

        def function(given: Any) -> list[Any]:
            def column(kind: str, first: int, count: int) -> Any:
                found = np.empty(count, dtype=object)
                found[:] = [given(kind, first + k) for k in range(count)]
                return found

            count = self.values(rows)
            return [self.share(column("v", 0, rows), column("c", 0, count), column("c", count, count))]

        return trace(function)


FactorLoss = Literal["squares", "plain"] | DataLoss


@dataclass(frozen=True, eq=False)
class Factors:
    """Factors of one kind.

    Attributes:
        name: What they are, for messages.
        group: Share of the action that they belong to, such as "measurement", "model", "prior".
        kernel: h, of `rows` values.
        index: Unknowns of each instance in the flat vector, shape (instances, kernel.unknowns).
        loss: "squares", "plain", or the loss of data.
        constants: Constants of each instance, shape (instances, kernel.constants), or what broadcasts to it.
        weight: Of squares: w of each row, what broadcasts to (instances, rows); else w of each instance.
        data: y of each row, what broadcasts to (instances, rows).
        noise_scale: s of each row, likewise.
        scaled: Whether weights are times Rf.

    Raises:
        InputError: Shapes do not fit, an instance lists an unknown twice, or data are impossible.
    """

    name: str
    group: str
    kernel: Kernel
    index: Numbers
    loss: FactorLoss = "squares"
    constants: npt.ArrayLike = ()
    weight: npt.ArrayLike = 1.0
    data: npt.ArrayLike = 0.0
    noise_scale: npt.ArrayLike = 1.0
    scaled: bool = False

    def __post_init__(self) -> None:
        instances, kernel = len(self.index), self.kernel
        index = np.ascontiguousarray(self.index, dtype=np.int64)
        if index.shape != (instances, kernel.unknowns):
            raise self._mistake(
                f"index has the shape {index.shape}, its kernel has {kernel.unknowns} unknowns",
                f"give one index for each unknown, shape (instances, {kernel.unknowns})",
            )
        ordered = np.sort(index, axis=1)
        if (ordered[:, 1:] == ordered[:, :-1]).any():
            raise self._mistake(
                "an instance lists an unknown twice", "list it once; the kernel may use it several times"
            )
        if kernel.curvature and self.loss != "squares":
            raise self._mistake(
                "its kernel supports only squared residuals",
                "give the loss a kernel of its own on unknown outputs",
            )
        squares = self.loss == "squares"
        shapes = {
            "index": (instances, kernel.unknowns),
            "constants": (instances, kernel.constants),
            "weight": (instances, kernel.rows) if squares else (instances,),
            "data": (instances, self.values),
            "noise_scale": (instances, self.values),
        }
        for name, shape in shapes.items():
            kind = np.int64 if name == "index" else np.float64
            given = np.asarray(getattr(self, name), dtype=kind)
            if given.shape == shape[:1] and shape[1:] == (1,):
                given = given[:, None]
            empty = given.size == 0 and not np.prod(shape)
            try:
                full = given.reshape(shape) if empty else np.broadcast_to(given, shape)
            except ValueError:
                raise self._mistake(
                    f"{name} has the shape {given.shape}", f"give an array that broadcasts to {shape}"
                ) from None
            object.__setattr__(self, name, np.ascontiguousarray(full))
        self._check()

    def _check(self) -> None:
        for name in ("constants", "weight", "data", "noise_scale"):
            if not np.isfinite(getattr(self, name)).all():
                raise self._mistake(
                    f"{name} contains values that are not finite", "leave out instances without data"
                )
        if isinstance(self.loss, DataLoss) and not np.all(self.loss.loss.accepts(self.y)):
            raise self._mistake(
                f"its data are not all {self.loss.loss.possible}", "correct them or choose another loss"
            )

    def _mistake(self, problem: str, remedy: str) -> InputError:
        return InputError(Mistake(f"factors {self.name!r}", problem, remedy))

    @property
    def instances(self) -> int:
        """Number of factors."""
        return len(self.index)

    @property
    def values(self) -> int:
        """Number of rows that data are about."""
        rows = self.kernel.rows
        return self.loss.values(rows) if isinstance(self.loss, DataLoss) else rows

    @property
    def lifted(self) -> bool:
        """Whether second derivatives may be weighted by multipliers: of Gaussian model errors."""
        return self.scaled and self.loss == "squares"

    @property
    def y(self) -> Array:
        """Data, shape (instances, values)."""
        return np.asarray(self.data, dtype=np.float64)

    @property
    def loss_data(self) -> Array:
        """What the compiled loss takes of each instance."""
        if isinstance(self.loss, DataLoss):
            return np.concatenate([self.y, np.asarray(self.noise_scale, dtype=np.float64)], axis=1)
        return self.y

    @property
    def precision(self) -> float:
        """Sum over data of one over the variance of their noise, about; 0 of plain factors."""
        if self.loss == "squares":
            return float(np.sum(self.weight))
        if not isinstance(self.loss, DataLoss):
            return 0.0
        loss, scale = self.loss.loss, np.asarray(self.noise_scale, dtype=np.float64)
        return float(np.sum(loss.deviation(self.y, scale, loss.optional(self.loss.options)) ** -2.0))

    def _parts(self, rows: Array) -> tuple[Array, Array]:
        """Values h, and scale of their noise, of the rows of all instances."""
        scale = np.asarray(self.noise_scale, dtype=np.float64)
        if isinstance(self.loss, DataLoss) and self.loss.unknown_scale:
            return rows[:, :-1], np.broadcast_to(rows[:, -1:], scale.shape)
        return rows, scale

    def noise(self, rows: Array) -> tuple[float, float] | None:
        """Expectation and variance of the share where noise alone makes it; None of plain factors.

        Args:
            rows: h of all instances, shape (instances, rows), where it is true.
        """
        weight = np.asarray(self.weight, dtype=np.float64)
        if self.loss == "squares":
            count = float((weight > 0.0).sum())
            return 0.5 * count, 0.5 * count
        if not isinstance(self.loss, DataLoss):
            return None
        h, scale = self._parts(rows)
        mean, variance = self.loss.loss.noise(h, scale, self.loss.loss.optional(self.loss.options))
        each = weight if self.loss.loss.joint else weight[:, None]
        own = float(np.sum(each * mean))
        if self.loss.unknown_scale:
            own += float(np.sum(each * np.log(scale)))
        return own, float(np.sum(each**2 * variance))

    def draw(self, rng: np.random.Generator, rows: Array, rf: float = 1.0) -> Array:
        """Data as noise draws them where h is true, shape (instances, values).

        Args:
            rng: Random numbers.
            rows: h of all instances, shape (instances, rows).
            rf: Precision of model errors, of scaled squares.

        Raises:
            TypeError: Plain factors are no density of data.
        """
        h, scale = self._parts(rows)
        if self.loss == "squares":
            weight = np.asarray(self.weight, dtype=np.float64) * (rf if self.scaled else 1.0)
            width = np.where(weight > 0.0, 1.0 / np.sqrt(np.where(weight > 0.0, weight, 1.0)), 0.0)
            return np.asarray(h + width * rng.standard_normal(h.shape), dtype=np.float64)
        if not isinstance(self.loss, DataLoss):
            raise TypeError(f"factors {self.name!r} are not a probability density of data")
        return self.loss.loss.draw(rng, h, scale, self.loss.loss.optional(self.loss.options))


def identity(size: int) -> Kernel:
    """The kernel h = v."""
    return kernel_of(trace(lambda given: [given("v", k) for k in range(size)]), size, 0)


def gaussian(name: str, group: str, index: npt.ArrayLike, mean: npt.ArrayLike, std: npt.ArrayLike) -> Factors:
    """Independent Gaussians of single unknowns, such as priors: index, mean and std of shape (instances,)."""
    places = np.asarray(index, dtype=np.int64).reshape(-1, 1)
    width = np.broadcast_to(np.asarray(std, dtype=np.float64), (len(places),))
    center = np.broadcast_to(np.asarray(mean, dtype=np.float64), (len(places),))
    return Factors(name, group, identity(1), places, weight=(1.0 / width**2)[:, None], data=center[:, None])
