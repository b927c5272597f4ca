"""The action about the minima of a run: the Gaussian at each, and which of them lie in one flat valley."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from hpcda.action import Action
from hpcda.analysis.laplace import Bar, Gaussian, NotAMinimumError, gaussian, named, steps_of
from hpcda.analysis.levels import VALLEY, Minimum, in_valleys
from hpcda.analysis.valley import WALKS, Patience, one_valley, straight_valley
from hpcda.errors import CompilerError, InputError
from hpcda.formatting import counted
from hpcda.linalg.blocktridiagonal import NotBlockTridiagonalError
from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.problem import Array, Problem
from hpcda.results.table import RunTable
from hpcda.search.local_errors import StepUnknownError
from hpcda.search.relaxed import precision, relaxed

NEAREST = 3
"""Points of a valley, the nearest first, that a further one is tried to be joined with by a straight path."""


class Neighborhoods:
    """The action about the kept paths of minima; what was computed of a minimum is kept.

    Args:
        file: The results.
        problem: Gives the problem when it is first needed; what it raises passes through.
        note: Is told what could not be done.

    Attributes:
        lowest: The lowest minimum whose path was kept, None as long as none is known.
    """

    def __init__(
        self, file: RunTable, problem: Callable[[], Problem], note: Callable[[str | None], None]
    ) -> None:
        self._file, self._problem, self._note = file, problem, note
        self.lowest: Minimum | None = None
        self._gaussians: dict[int, Gaussian | str] = {}
        self._nearby: dict[int, Array] = {}
        self._places: dict[int, Array] = {}
        self._unit: Array | None = None
        self._patience = Patience()

    @cached_property
    def action(self) -> Action:
        """The action, compiled."""
        return Action(self._problem())

    @property
    def exact(self) -> bool:
        """Whether the ladder ends at Rf = ∞."""
        return bool(np.isinf(self._file.header.rf[-1]))

    @cached_property
    def rf(self) -> float:
        """Rf at which Hessians are computed: the last one, in place of infinity one that comes close.

        Raises:
            StepUnknownError: The ladder ends at infinity, and no path was stored.
        """
        rf = self._file.header.rf
        if not self.exact:
            return float(rf[-1])
        if self.lowest is None:
            raise StepUnknownError("no path was stored")
        return precision(self.action, self._path(self.lowest), float(rf[-2]) if len(rf) > 1 else 1.0)

    def smooth_path(self, minimum: Minimum) -> Array:
        """The minimum at that Rf, flat.

        Raises:
            StepUnknownError: There is none near an exact one.
        """
        if not self.exact:
            return self._path(minimum)
        if minimum.start not in self._nearby:
            self._nearby[minimum.start] = relaxed(self.action, self._path(minimum), self.rf)
        return self._nearby[minimum.start]

    def gaussian(self, minimum: Minimum) -> Gaussian | str:
        """The Gaussian at a minimum, or why there is none.

        Raises:
            InputError: The problem cannot be made again.
            CompilerError: There is no C compiler to compile the action with.
        """
        if not minimum.has_path:
            return "its path was not stored"
        if minimum.start not in self._gaussians:
            action = self.action
            made: Gaussian | str
            try:
                path = self.smooth_path(minimum)
                _, gradient, values = action.derivatives(path, self.rf)
                csr = (action.sparsity.indptr, action.sparsity.indices, values)
                made = gaussian(self._problem(), path, csr, gradient)
                made = made.moved(self._path(minimum)) if self.exact else made
            except (
                NotAMinimumError, NotPositiveDefiniteError, NotBlockTridiagonalError, StepUnknownError,
            ) as error:  # fmt: skip
                made = str(error)
            self._gaussians[minimum.start] = made
        return self._gaussians[minimum.start]

    def known_gaussian(self, minimum: Minimum) -> Gaussian | str:
        """As `gaussian`, also where the problem cannot be made again."""
        try:
            return self.gaussian(minimum)
        except (InputError, CompilerError) as error:
            return str(error).splitlines()[0]

    def joined(self, minima: tuple[Minimum, ...]) -> tuple[Minimum, ...]:
        """Minima, the lowest first, with all points of one flat valley as one; told where it cannot be."""
        self.lowest = next((one for one in minima if one.has_path), None)
        try:
            found = in_valleys(minima, self._one_valley, self._place)
            near = [m for m in found[1:] if not m.has_path and m.action - found[0].action <= VALLEY]
            if near and self._is_loose(found[0]):
                self._note(
                    f"{counted(len(near), 'minimum', 'minima')} close to the lowest action stored no path "
                    f"(keep_paths = {self._file.header.keep_paths!r}) and may be points of the lowest one's "
                    "flat valley"
                )
            return found
        except (InputError, CompilerError, StepUnknownError) as error:
            self._note(
                "minima of nearly equal action are counted separately, though they may lie in one flat "
                f"valley: {str(error).splitlines()[0]}"
            )
            return minima

    def _path(self, minimum: Minimum) -> Array:
        return self._problem().join(*self._file.path(minimum.start))

    def _one_valley(self, valley: Sequence[Minimum], other: Minimum) -> bool:
        """Whether a minimum lies in a valley: by straight paths to its points, else a walk from the nearest.

        A point near by along a curved valley is joined by a straight path where the lowest may not be.
        """
        if not any(self._is_loose(minimum) for minimum in (valley[0], other)):
            return False
        rf, two = self.rf, self.smooth_path(other)
        here = self._place(other)
        near = sorted(valley, key=lambda point: float(np.linalg.norm(self._place(point) - here)))[:NEAREST]
        if any(straight_valley(self.action, self.smooth_path(point), two, rf) for point in near):
            return True
        one = self.smooth_path(near[0])
        if not self._patience:
            asked = counted(WALKS - self._patience.walks, "pair")
            self._note(
                f"more than {asked} of minima may lie in one flat valley: those compared last are counted "
                "separately"
            )
            return False
        return one_valley(self.action, one, two, rf, self._patience)

    def _place(self, minimum: Minimum) -> Array:
        """Parameters and initial states of a minimum in natural scales of the first one asked for."""
        if minimum.start not in self._places:
            path, problem = self._path(minimum), self._problem()
            if self._unit is None:
                self._unit = steps_of(problem, path)
            _, places = named(problem)
            self._places[minimum.start] = (path / self._unit)[places]
        return self._places[minimum.start]

    def _is_loose(self, minimum: Minimum) -> bool:
        """Whether something is open at a minimum."""
        found = self.gaussian(minimum)
        return not (isinstance(found, str) or found.is_lost) and bool((found.kinds == Bar.OPEN).any())
