"""A layered network as a factor graph: layers are times, pairs of input and output are windows.

    x(n+1) = g_n(W(n) x(n) + b(n)) + model error,    n = 0 … N-1

Weights W(n), b(n) belong to one layer and are shared by all pairs; x(n) belong to one layer of one pair.
(Abarbanel, Rozdeba, Shirman, Neural Computation 30, 2025 (2018).)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from hpcda.action.activation import Function
from hpcda.action.factors import DataLoss, Factors, gaussian, identity
from hpcda.action.graph import GraphAction
from hpcda.action.layer import dense_layer
from hpcda.problem import Array, Variable, Variables


@dataclass(frozen=True, eq=False)
class Network:
    """A network and its pairs.

    Attributes:
        widths: Units of the layers, from input to output.
        activations: g of each layer after the input, plain Python of one number.
        inputs: Shape (pairs, widths[0]).
        outputs: What is measured at the last layer, shape (pairs, widths[-1]).
        output: Loss of the outputs, such as softmax, or the standard deviation of their Gaussian noise.
        input_std: Standard deviation of the inputs' Gaussian noise; None where they are exact.
        weight_std: Standard deviation of a Gaussian prior of mean 0 on weights and biases; None for none.
        start: Range in which weights and biases start.
    """

    widths: tuple[int, ...]
    activations: Sequence[Function]
    inputs: Array
    outputs: Array
    output: DataLoss | float
    input_std: float | None = None
    weight_std: float | None = None
    start: tuple[float, float] = (-1.0, 1.0)

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return len(self.inputs)

    @property
    def weights(self) -> int:
        """Number of weights and biases."""
        return sum(after * (before + 1) for before, after in pairwise(self.widths))

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
        """All factors."""
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
                    weight=1.0 / self.input_std**2, data=self.inputs,
                )
            )  # fmt: skip
        squares = not isinstance(self.output, DataLoss)
        found.append(
            Factors(
                "outputs",
                "measurement",
                identity(self.widths[-1]),
                self._units(last),
                self.output if isinstance(self.output, DataLoss) else "squares",
                weight=1.0 / self.output**2 if squares else 1.0,  # type: ignore[operator]
                data=self.outputs,
            )
        )
        return found

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
                    dense_layer(before, after, self.activations[n], given=exact),
                    self.variables.index(pieces),
                    constants=self.inputs if exact else (),
                    scaled=True,
                )
            )
        return found

    def _priors(self) -> list[Factors]:
        if self.weight_std is None:
            return []
        first = self.variables.part("W", None, 0).first
        places = np.arange(first, self.variables.size)
        return [gaussian("weights and biases", "prior", places, 0.0, self.weight_std)]
