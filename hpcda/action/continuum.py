"""Weights as functions of the layer: layers that integrate dx/dt = g(W(t) x + b(t)) over 0 ≤ t ≤ T.

    euler      x(n+1) = x(n) + h g(W(n) x(n) + b(n))                                              order 1
    midpoint   u = x(n) + h/2 g(W(n) x(n) + b(n)),    x(n+1) = x(n) + h g(W(n) u + b(n))          order 2

with h = T/N, and W(n), b(n) at the middle of step n (E. Haber, L. Ruthotto, Inverse Problems 34, 014004
(2018); R. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, Adv. Neural Inf. Process. Syst. 31 (2018)).
Weights of each step are determined as h → 0 only by a prior, on their size or on their change,

    ½ ∫ |W|² + |b|² dt / weight_std²,        ½ ∫ |dW/dt|² + |db/dt|² dt / walk_std²,

discretized as h Σ |W(n)|² and Σ |W(n+1) - W(n)|² / h; "constant" weights are one W of all steps. With
p = -∂A/∂x, D = diag g', and sums over pairs, W obeys at a minimum (L. Pontryagin et al., The Mathematical
Theory of Optimal Processes, Wiley (1962))

    W / weight_std² = Σ D p xᵀ,        d²W/dt² / walk_std² = -Σ D p xᵀ,  dW/dt = 0 at both ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from hpcda.errors import InputError, Mistake
from hpcda.names import nearest

SCHEMES: Mapping[str, tuple[tuple[int, float], ...]] = {
    "euler": ((1, 1.0),),
    "midpoint": ((1, 0.5), (2, 1.0)),
}
"""Name -> layers of a step: how many layers back lies what each adds to, and its part of the step."""
WEIGHTS = ("free", "walk", "constant")
"""How weights depend on time: each step's by themselves, a random walk, or not at all."""


class Given(Protocol):
    """What a job, or Python, gives of a field; see `Continuum`."""

    @property
    def time(self) -> float: ...  # noqa: D102
    @property
    def steps(self) -> int: ...  # noqa: D102
    @property
    def scheme(self) -> str: ...  # noqa: D102
    @property
    def weights(self) -> str: ...  # noqa: D102
    @property
    def weight_std(self) -> float | None: ...  # noqa: D102
    @property
    def walk_std(self) -> float | None: ...  # noqa: D102


@dataclass(frozen=True)
class Continuum:
    """How the hidden layers of a network integrate a field.

    Attributes:
        time: T.
        steps: N.
        scheme: "euler" or "midpoint".
        weights: "free", "walk" or "constant".
        weight_std: Standard deviation of the prior on the size of W and b over time; None for none.
        walk_std: Standard deviation of their change over a unit of time, of "walk" alone.

    Raises:
        InputError: These do not fit together, or weights would not be determined.
    """

    time: float
    steps: int
    scheme: str = "midpoint"
    weights: str = "walk"
    weight_std: float | None = None
    walk_std: float | None = None

    def __post_init__(self) -> None:
        found = conflicts(self)
        if found:
            raise InputError([Mistake(f"network.continuum.{key}", *told) for key, *told in found])

    @property
    def step(self) -> float:
        """H."""
        return self.time / self.steps

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return self.steps * len(SCHEMES[self.scheme])

    @property
    def matrices(self) -> int:
        """How many W there are."""
        return 1 if self.weights == "constant" else self.steps

    @property
    def back(self) -> tuple[int, ...]:
        """Of each layer, how many layers back lies what it adds to."""
        return tuple(back for back, _ in SCHEMES[self.scheme]) * self.steps

    @property
    def owners(self) -> tuple[int, ...]:
        """Of each layer, the number of its W."""
        stages = len(SCHEMES[self.scheme])
        return tuple(0 if self.weights == "constant" else n // stages for n in range(self.layers))

    @property
    def std(self) -> float:
        """Standard deviation of each weight by its size alone, infinite for none."""
        if self.weight_std is None:
            return float("inf")
        return self.weight_std / (self.time if self.weights == "constant" else self.step) ** 0.5

    @property
    def walk(self) -> float:
        """One over the variance of the change from step to step, 0 for none."""
        return 0.0 if self.walk_std is None else 1.0 / (self.walk_std**2 * self.step)

    @property
    def times(self) -> tuple[float, ...]:
        """The times of all W: the middles of the steps."""
        count = self.matrices
        return tuple((n + 0.5) * self.time / count for n in range(count))

    @property
    def parts(self) -> tuple[float, ...]:
        """Of each layer, by what its activation is multiplied."""
        return tuple(self.step * part for _, part in SCHEMES[self.scheme]) * self.steps

    def widths(self, inputs: int, width: int, outputs: int) -> tuple[int, ...]:
        """Units of all layers: where inputs are not as many as the field's units, a layer goes before."""
        before = () if inputs == width else (inputs,)
        return (*before, *(width,) * (self.layers + 1), outputs)

    def lift(self, widths: tuple[int, ...]) -> int:
        """How many layers go before the field.

        Raises:
            InputError: The layers are not those of the field.
        """
        before = len(widths) - 2 - self.layers
        if before not in (0, 1) or len(set(widths[before:-1])) > 1:
            problem = f"has {self.layers} layers of one width, which {widths} do not hold"
            raise InputError(Mistake("network.continuum", problem, "use Continuum.widths"))
        return before


def conflicts(given: Given) -> list[tuple[str, str, str]]:
    """What is wrong, each as key, problem and remedy."""
    found = []
    if given.scheme not in SCHEMES:
        found.append(("scheme", f"{given.scheme!r} is not accepted", nearest(given.scheme, list(SCHEMES))))
    if given.weights not in WEIGHTS:
        found.append(("weights", f"{given.weights!r} is not accepted", nearest(given.weights, WEIGHTS)))
    for key in ("time", "weight_std", "walk_std"):
        value = getattr(given, key)
        if value is not None and not 0.0 < value < float("inf"):
            found.append((key, f"is {value:g}", "give a number above 0"))
    if given.steps < 1:
        found.append(("steps", f"is {given.steps}", "give a whole number from 1"))
    if given.weights == "free" and given.weight_std is None:
        problem = (
            'is missing: with weights = "free" each step has weights of its own, which data alone cannot'
        )
        problem += " determine as steps become finer"
        remedy = 'give weight_std, such as 1.0, or weights = "walk" with walk_std, or weights = "constant"'
        found.append(("weight_std", problem, remedy))
    if given.weights == "walk" and given.walk_std is None:
        problem = 'is missing, with weights = "walk"'
        remedy = "give the standard deviation of the change of weights over a unit of time, such as 1.0"
        found.append(("walk_std", problem, remedy))
    if given.weights != "walk" and given.walk_std is not None:
        problem = f"has no effect with weights = {given.weights!r}"
        found.append(("walk_std", problem, 'remove it, or set weights = "walk"'))
    return found
