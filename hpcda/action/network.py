"""A layered network as a factor graph: layers correspond to times, pairs of input and output to windows.

    x(n+1) = g_n(W(n) x(n) + b(n)) + model error,    n = 0 … N-1

or, where layers are residual, x(n+1) = x(n) + g_n(W(n) x(n) + b(n)) + model error (K. He, X. Zhang, S. Ren,
J. Sun, Proc. CVPR, 770 (2016)). Weights W(n), b(n) belong to one layer and are shared by all pairs; x(n)
belong to one layer of one pair.
(Abarbanel, Rozdeba, Shirman, Neural Computation 30, 2025 (2018).)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.action.activation import Function
from hpcda.action.continuum import Continuum
from hpcda.action.factors import DataLoss, Factors, gaussian, identity
from hpcda.action.graph import GraphAction
from hpcda.action.layer import dense_layer
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array, Variable, Variables


@dataclass(frozen=True, eq=False)
class Network:
    """A network and its pairs.

    Attributes:
        widths: Units of the layers, from input to output.
        activations: g of each layer after the input, plain Python of one number.
        inputs: Shape (pairs, widths[0]); NaN where nothing is measured.
        outputs: What is measured at the last layer, shape (pairs, widths[-1]); NaN where nothing is.
        output: Loss of the outputs, such as softmax, or the standard deviation of their Gaussian noise: one,
            or one of each unit, shape (widths[-1],).
        input_std: Standard deviation of the inputs' Gaussian noise; None where they are exact.
        missing_std: Standard deviation of a Gaussian prior of mean 0 on inputs that are not measured.
        weight_std: Standard deviation of a Gaussian prior of mean 0 on weights, and on biases unless
            `bias_std` is given; None for none.
        bias_std: Standard deviation of that on biases, infinite for none; None for that of the weights.
        start: Range in which weights and biases start.
        residual: Whether layers of as many units as the one before add to it what they compute, but the last.
        continuum: How the hidden layers integrate a field, whose weights and biases have its priors; None
            where they are layers.

    Raises:
        InputError: Standard deviations do not fit, or a loss cannot be used with these outputs.
    """

    widths: tuple[int, ...]
    activations: Sequence[Function]
    inputs: Array
    outputs: Array
    output: DataLoss | float | Array
    input_std: float | None = None
    weight_std: float | None = None
    start: tuple[float, float] = (-1.0, 1.0)
    residual: bool = False
    missing_std: float = 1.0
    bias_std: float | None = None
    continuum: Continuum | None = None

    def __post_init__(self) -> None:
        if self.input_std is None and not self.known.all():
            pair, unit = np.argwhere(~self.known)[0]
            problem, remedy = f"input {unit} of pair {pair} is not measured", "give input_std, or fill it in"
            raise InputError(Mistake("inputs", problem, remedy))
        output = self.output
        if isinstance(output, DataLoss):
            if output.unknown_scale:
                problem = "the noise of a network's outputs must have a known scale"
                raise InputError(Mistake("output", problem, "leave unknown_scale out"))
            if output.loss.joint and not self.measured.all():
                pair = int(np.argmin(self.measured.all(axis=1)))
                problem = f"pair {pair} is measured in part; the loss {output.loss.name!r} needs all outputs"
                raise InputError(Mistake("outputs", problem, "leave out the pair, or fill it in"))
            return
        std = np.asarray(output, dtype=np.float64)
        if std.shape not in ((), (self.widths[-1],)):
            problem = f"standard deviations of shape {std.shape} for {self.widths[-1]} units"
            raise InputError(Mistake("output", problem, "give one, or one per unit"))
        if not (np.isfinite(std).all() and (std > 0.0).all()):
            problem = f"standard deviations of {std.tolist()}"
            raise InputError(Mistake("output", problem, "give numbers above 0"))

    def part(self, pairs: slice) -> Network:
        """The network of some pairs alone."""
        return replace(self, inputs=self.inputs[pairs], outputs=self.outputs[pairs])

    @cached_property
    def measured(self) -> npt.NDArray[np.bool_]:
        """Which outputs are measured, shape (pairs, widths[-1])."""
        return ~np.isnan(np.asarray(self.outputs, dtype=np.float64))

    @cached_property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which inputs are measured, shape (pairs, widths[0])."""
        return ~np.isnan(np.asarray(self.inputs, dtype=np.float64))

    @property
    def means(self) -> Array:
        """Inputs where they are measured, and the mean 0 of their prior, shape (pairs, widths[0])."""
        return np.where(self.known, self.inputs, 0.0)

    @cached_property
    def prior_std(self) -> Array:
        """Standard deviation of the prior of every weight and bias, infinite for none, shape (weights,).

        Without that on changes of weights, `Continuum.walk`.
        """
        weights = np.inf if self.weight_std is None else self.weight_std
        biases = weights if self.bias_std is None else self.bias_std
        found = []
        for number, (after, before) in enumerate(self.matrices):
            own = (weights, biases)
            if self.continuum is not None and number in self.field:
                own = self.continuum.std, self.continuum.std
            found.append(np.repeat(own, [after * before, after]))
        return np.concatenate(found)

    @property
    def prior_terms(self) -> int:
        """Number of Gaussian terms of the prior that are independent."""
        found = int(np.isfinite(self.prior_std).sum())
        if self.continuum is not None and self.continuum.walk and np.isinf(self.continuum.std):
            after, before = self.matrices[self.field[0]]
            found += (len(self.field) - 1) * after * (before + 1)
        return found

    @property
    def precision(self) -> Array:
        """One over the variance of Gaussian outputs, 0 where nothing is measured, (pairs, widths[-1])."""
        return self.measured / np.asarray(self.output, dtype=np.float64) ** 2

    @property
    def skips(self) -> tuple[int, ...]:
        """Of each layer after the input, how many layers back lies what it adds to; 0 for none."""
        if self.continuum is not None:
            return (*(0,) * self._lift, *self.continuum.back, 0)
        pairs = list(pairwise(self.widths))
        return tuple(int(self.residual and a == b and n < len(pairs) - 1) for n, (a, b) in enumerate(pairs))

    @cached_property
    def _lift(self) -> int:
        """How many layers go before the field."""
        return 0 if self.continuum is None else self.continuum.lift(self.widths)

    @cached_property
    def owners(self) -> tuple[int, ...]:
        """Of each layer after the input, the number of its weights and biases among those that differ."""
        if self.continuum is None:
            return tuple(range(len(self.widths) - 1))
        field = [self._lift + own for own in self.continuum.owners]
        return (*range(self._lift), *field, field[-1] + 1)

    @property
    def field(self) -> range:
        """The numbers of the weights of the field."""
        count = 0 if self.continuum is None else self.continuum.matrices
        return range(self._lift, self._lift + count)

    @cached_property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """Shapes of all W that differ."""
        shapes = [(after, before) for before, after in pairwise(self.widths)]
        return tuple(dict(zip(reversed(self.owners), reversed(shapes), strict=True))[n]
                     for n in range(self.owners[-1] + 1))  # fmt: skip

    @property
    def parts(self) -> tuple[float, ...]:
        """By what the activation of each layer after the input is multiplied."""
        if self.continuum is None:
            return (1.0,) * (len(self.widths) - 1)
        return (*(1.0,) * self._lift, *self.continuum.parts, 1.0)

    def alike(self, weights: Array) -> Array:
        """Weights, flat, shape (weights,), with those of all steps of a field as those of the first."""
        if len(self.field) < 2:
            return weights
        found, (after, before) = weights.copy(), self.matrices[self.field[0]]
        found[self.field_places] = np.tile(found[self.field_places][: after * (before + 1)], len(self.field))
        return found

    @cached_property
    def field_places(self) -> slice:
        """Where the weights of a field stand among all, step after step."""
        sizes = np.cumsum([0, *(after * (before + 1) for after, before in self.matrices)])
        return slice(int(sizes[self.field.start]), int(sizes[self.field.stop]))

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return len(self.inputs)

    @property
    def weights(self) -> int:
        """Number of weights and biases."""
        return sum(after * (before + 1) for after, before in self.matrices)

    @cached_property
    def variables(self) -> Variables:
        """Units "x" of every pair and layer, weights "W" and biases "b" of every layer."""
        free = self.widths if self.input_std is not None else (0, *self.widths[1:])
        matrices = tuple((after, before) for before, after in pairwise(self.widths))
        biases = tuple((after,) for after in self.widths[1:])
        units = Variable("x", shapes=tuple((d,) for d in free), per_time=True, per_window=True)
        weights = Variable("W", shapes=matrices, per_time=True, start=self.start)
        bias = Variable("b", shapes=biases, per_time=True, start=self.start)
        return Variables((units, weights, bias), (len(self.widths),) * self.pairs)

    def factors(self) -> list[Factors]:
        """All factors.

        Raises:
            InputError: The layers integrate a field.
        """
        if self.continuum is not None:
            problem = "is obeyed exactly: there are no finite rungs of its layers"
            raise InputError(Mistake("network.continuum", problem, "use hidden layers with residual = true"))
        return [*self._ends(), *self._layers(), *self._priors()]

    def action(self) -> GraphAction:
        """The action.

        Raises:
            InputError: An activation cannot be differentiated, or data are impossible.
            CompilerError: No C compiler, or no place for compiled code.
        """
        return GraphAction(self.variables, self.factors())

    def _units(self, layer: int) -> Any:
        return self.variables.index([[("x", pair, layer)] for pair in range(self.pairs)])

    def _ends(self) -> list[Factors]:
        last = len(self.widths) - 1
        found = []
        if self.input_std is not None:
            found.append(
                Factors(
                    "inputs", "measurement", identity(self.widths[0]), self._units(0),
                    weight=self.known / self.input_std**2, data=self.means,
                )
            )  # fmt: skip
        found.append(self._measurement(last))
        return found

    def _measurement(self, last: int) -> Factors:
        """The factors of the outputs: one a pair, or one a unit where not all are measured."""
        name, group, units, measured = "outputs", "measurement", self._units(last), self.measured
        size = self.widths[-1]
        if not isinstance(self.output, DataLoss):
            data = np.where(measured, self.outputs, 0.0)
            return Factors(name, group, identity(size), units, weight=self.precision, data=data)
        if measured.all():
            return Factors(name, group, identity(size), units, self.output, data=self.outputs)
        one = units[measured][:, None]
        return Factors(name, group, identity(1), one, self.output, data=self.outputs[measured][:, None])

    def _layers(self) -> list[Factors]:
        found = []
        for n, (before, after) in enumerate(pairwise(self.widths)):
            exact = n == 0 and self.input_std is None
            pieces = [
                [("x", pair, n), ("W", None, n), ("b", None, n), ("x", pair, n + 1)]
                for pair in range(self.pairs)
            ]
            found.append(
                Factors(
                    f"layer {n}",
                    "model",
                    dense_layer(before, after, self.activations[n], exact, bool(self.skips[n])),
                    self.variables.index(pieces),
                    constants=self.inputs if exact else (),
                    scaled=True,
                )
            )
        return found

    def _priors(self) -> list[Factors]:
        found, first = [], self.variables.part("W", None, 0).first
        held = np.isfinite(self.prior_std)
        if held.any():
            std = self.prior_std[held]
            found.append(
                gaussian("weights and biases", "prior", first + np.flatnonzero(held), np.zeros_like(std), std)
            )
        if not self.known.all():
            places = self._units(0)[~self.known]
            std = np.full(len(places), self.missing_std)
            found.append(gaussian("inputs not measured", "prior", places, np.zeros_like(std), std))
        return found
