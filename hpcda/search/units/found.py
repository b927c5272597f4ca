"""Finds permutations and sign changes of a problem's variables that leave its action unchanged.

Variables are the states, the parameters of one time and the constants that one window sees, in this order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hpcda.action.native import Equations, model_function, observed_function
from hpcda.models.automorphisms import Ints, Relations, Rules, orbits_of
from hpcda.models.model import entry_name
from hpcda.problem import Array, Estimated

POINTS = 4
"""Points of the problem at which a symmetry is tried."""
ROUNDING = 1e-9
"""Largest difference of two values there, in units of the largest value."""


@dataclass(frozen=True, eq=False)
class Family:
    """Units that may be exchanged.

    Attributes:
        swaps: For each unit but the last its exchange with the next one: the variable that comes to the place
            of each.
    """

    swaps: tuple[Ints, ...]

    @property
    def units(self) -> int:
        """How many there are."""
        return len(self.swaps) + 1

    @property
    def every(self) -> list[Ints]:
        """The exchange of each two units."""
        found = []
        for first, swap in enumerate(self.swaps):
            found.append(swap)
            for next_ in self.swaps[first + 1 :]:
                found.append(next_[found[-1]][next_])
        return found


class Finder:
    """Finds the symmetries of a problem.

    Args:
        equations: Its equations.
    """

    def __init__(self, equations: Equations) -> None:
        self._problem = problem = equations.problem
        layout = problem.layout
        self.names = (*layout.names, *layout.seen_names)
        self._own: list[Estimated] = [*problem.varying, *problem.seen]
        fixed, series = list(problem.fixed.values()), len(problem.model.stimuli) + len(problem.series)

        def known(kind: str, number: int) -> Hashable:
            return ("value", fixed[number]) if kind == "c" else (kind, number)

        model, observed = equations.model, equations.observed
        rules = [
            Rules(model.graph, model.values, range(problem.dimension), known),
            Rules(observed.graph, observed.values, [None] * observed.rows, known),
        ]
        self._relations = Relations([self._color(k) for k in range(len(self.names))], rules)
        self._looks: dict[int, int] = {}
        self._points = list(self._tried(fixed, series))

    @cached_property
    def _lines(self) -> list[list[int]]:
        """Entries of arrays of parameters that differ in one index alone."""
        place = {name: k for k, name in enumerate(self.names)}
        found: dict[tuple[str, int, tuple[int, ...]], list[int]] = {}
        for name, shape in self._problem.model.arrays.items():
            for index in np.ndindex(shape):
                entry = place.get(entry_name(name, index))
                for axis in range(len(shape)):
                    if entry is not None:
                        rest = index[:axis] + index[axis + 1 :]
                        found.setdefault((name, axis, rest), []).append(entry)
        return list(found.values())

    def families(self) -> tuple[Family, ...]:
        """Units that may be exchanged, the largest families first."""
        colors = self._relations.alike()
        lines = [[k for k in line if colors[k] == color] for line in self._lines for color in {*colors[line]}]
        found: list[Family] = []
        known: list[Ints] = []
        for line in sorted((one for one in lines if len(one) > 1), key=lambda one: (-len(one), one)):
            orbits = orbits_of(known, len(self.names))
            groups: list[tuple[list[int], list[Ints]]] = []
            for unit in line:
                for members, swaps in groups:
                    if (swap := self._exchange(line, members[-1], unit, known, orbits)) is not None:
                        members.append(unit)
                        swaps.append(swap)
                        break
                else:
                    groups.append(([unit], []))
            for _, swaps in groups:
                if any(all(swap is not one for one in known) for swap in swaps):
                    found.append(Family(tuple(swaps)))
                    known += found[-1].every
        return tuple(found)

    def _exchange(
        self, line: Sequence[int], one: int, other: int, known: Sequence[Ints], orbits: Ints
    ) -> Ints | None:
        """The exchange of two units of a line, None where the model is another then."""
        for swap in known:
            if swap[one] == other:
                return swap
        if self._look(int(orbits[one])) != self._look(int(orbits[other])):
            return None
        found = self._relations.exchange(line, one, other)
        return found if found is not None and self._holds(found, np.ones(len(self.names))) else None

    def _look(self, k: int) -> int:
        """What all else looks like from a variable."""
        if k not in self._looks:
            self._looks[k] = self._relations.look(k)
        return self._looks[k]

    def reversals(self) -> tuple[Array, ...]:
        """Variables that may change their sign, one sign each, shape (variables,)."""
        entries = dict.fromkeys(k for line in self._lines for k in line)
        may = [self._may_turn(k) for k in range(len(self.names))]
        found = []
        for one in self._relations.reversals(may, entries):
            signs = np.ones(len(self.names))
            signs[one] = -1.0
            if self._holds(np.arange(len(signs)), signs):
                found.append(signs)
        return tuple(found)

    def _color(self, k: int) -> Hashable:
        """What is known of a variable beside the equations."""
        problem = self._problem
        if k < problem.dimension:
            name = self.names[k]
            pairs = (problem.state_start[k], problem.state_bounds[k])
            prior = problem.initial_prior.get(name)
            return (
                "state",
                *(tuple(map(float, pair)) for pair in pairs),
                float(problem.model_error_weight[k]),
                prior,
            )
        one = self._own[k - problem.dimension]
        scale = one.name if any(noise.scale == one.name for noise in problem.noise.values()) else None
        varies = k < problem.layout.block
        return (
            varies, one.start, one.bounds, one.prior, one.walk_std, one.per_window, one.shared, scale
        )  # fmt: skip

    def _may_turn(self, k: int) -> bool:
        """Whether nothing that is known of a variable beside the equations tells its sign."""
        problem = self._problem
        if k < problem.dimension:
            start, bounds = problem.state_start[k], problem.state_bounds[k]
            prior = problem.initial_prior.get(self.names[k])
        else:
            one = self._own[k - problem.dimension]
            if any(noise.scale == one.name for noise in problem.noise.values()):
                return False
            start, bounds, prior = np.array(one.start), np.array(one.bounds), one.prior
        return (
            bool(start[0] == -start[1] and bounds[0] == -bounds[1])
            and (prior is None or prior[0] == 0.0)
        )  # fmt: skip

    def _tried(self, fixed: Sequence[float], series: int) -> Iterator[Callable[[Array], Array]]:
        """Equations and observations as functions of the variables, and points to try them at."""
        problem, rng = self._problem, np.random.default_rng(0)
        model, observed = model_function(problem), observed_function(problem)
        for _ in range(POINTS):
            window = problem.windows[rng.integers(len(problem.windows))]
            n = int(rng.integers(window.times))

            def rules(v: Array, window: Any = window, n: int = n) -> Array:
                def given(kind: str, index: int) -> Any:
                    if kind == "v":
                        return float(v[index])
                    if kind == "c":
                        return float(fixed[index])
                    return float(window.series[n, index]) if kind == "s" else float(window.t[n])

                with np.errstate(all="ignore"):
                    return np.array([*model(given), *observed(given)], dtype=np.float64)

            yield rules

    def _holds(self, comes: Ints, signs: Array) -> bool:
        """Whether equations at a point that is moved give the same values, moved alike."""
        states = self._problem.dimension
        ranges = np.array([*self._problem.state_start, *(one.start for one in self._own)])
        rng, tried = np.random.default_rng(1), 0
        for rules in self._points:
            v = rng.uniform(ranges[:, 0], ranges[:, 1])
            here, there = rules(v), rules((signs * v)[comes])
            wanted = here.copy()
            wanted[:states] = (signs[:states] * here[:states])[comes[:states]]
            known = np.isfinite(wanted) & np.isfinite(there)
            tried += int(known.all())
            size = max(1e-300, np.abs(wanted[known]).max(initial=0.0))
            if np.abs(wanted[known] - there[known]).max(initial=0.0) > ROUNDING * size:
                return False
        return tried > 0
