r"""The local errors of a discretization along a path: the model errors that the model's own flow leaves.

    τ_k = Σ_j position[k, j] Φ_j - dt Σ_q rate[k, q] F(z_q),    Φ_0 = x_0,  Φ_j = Φ(x_0, j dt)

with the coefficients of `hpcda.action.scheme` and the stages z_q of the points Φ. The flow Φ is integrated in
every interval by classical Runge-Kutta steps, halved until τ no longer changes. Known series, and parameters
of one time, are linear between the points of the path.
"""

from __future__ import annotations

import numpy as np

from hpcda.action import Action
from hpcda.action.rates import Rates
from hpcda.annealing.scale import scales
from hpcda.problem import Array, Numbers

SUBSTEPS, MOST_SUBSTEPS = 4, 4096
"""Runge-Kutta steps a step of the path: the first number tried, and the last one."""
SETTLED = 1e-3
"""Change of τ relative to its largest value, for each error, at which its integration has converged."""
ROUNDING = 1e-13
"""τ relative to the size of its state that is rounding."""
MOST_RATES = 2e9
"""Rates of single states that may be evaluated."""
DIFFERENCE = 1e-4
"""Step of central differences, in the natural sizes of the unknowns."""


class StepUnknownError(Exception):
    """What the time step does cannot be told; the message says why."""


class UnboundedFlowError(StepUnknownError):
    """The flow grows without bound within a step: the path is far from any that the model follows."""


class LocalErrors:
    """All intervals of one window side by side.

    Args:
        action: The action of a flow.
        rates: The model's rates.
        number: Number of the window.
        path: Flat path, shape (size,).

    Attributes:
        values: τ, shape (intervals, K · D).

    Raises:
        UnboundedFlowError: The flow grows without bound within a step.
        StepUnknownError: Its integration does not settle.
    """

    def __init__(self, action: Action, rates: Rates, number: int, path: Array) -> None:
        problem, self._scheme = action.problem, action.structure.scheme
        window, span = problem.windows[number], self._scheme.span
        blocks, self._p = problem.split(path)
        block = blocks[number]
        self._rates, self._dt = rates, window.dt
        starts = np.arange(0, window.times - 1, span)
        points = starts + np.arange(span + 1)[:, None]
        self._x = block[starts, : problem.dimension].T.copy()
        self._q = block[:, problem.dimension :].T[:, points]
        self._series = window.series.T[:, points]
        self._t = window.t[starts]
        first, last = problem.offsets[number], problem.offsets[-1]
        unknown = np.arange(problem.block)
        self._places = first + problem.block * points[:, :, None] + unknown
        self._shared = last + np.arange(problem.shared)
        self._sizes = DIFFERENCE * scales(problem)
        self._evaluations = 4.0 * block.size
        size = np.abs(block[:, : problem.dimension]).max(axis=0)
        self.values, self._substeps = self._settled(np.tile(ROUNDING * size, self._scheme.errors))

    def _settled(self, room: Array) -> tuple[Array, int]:
        """τ, to within `room` at least, and the substeps that it took."""
        substeps, spent = SUBSTEPS, SUBSTEPS * self._evaluations
        before = self._of(self._x, self._q, self._p, substeps)
        while True:
            spent += 2 * substeps * self._evaluations
            if 2 * substeps > MOST_SUBSTEPS or spent > MOST_RATES:
                if not np.isfinite(before).all():
                    raise UnboundedFlowError("the flow grows without bound within a single step")
                raise StepUnknownError(
                    f"the flow of a single step needs more than {substeps} substeps to be integrated"
                )
            substeps *= 2
            found = self._of(self._x, self._q, self._p, substeps)
            finite = np.isfinite(found).all() and np.isfinite(before).all()
            if finite and (np.abs(found - before) <= SETTLED * np.abs(found).max(axis=0) + room).all():
                return found, substeps
            before = found

    def gradient(self, multipliers: Array) -> tuple[Numbers, Array]:
        """Derivatives of Σ multipliers · τ by every unknown, by central differences.

        Args:
            multipliers: Of each error, shape (intervals, K · D).

        Returns:
            Indices of the unknowns, which may be repeated, and the parts of their derivatives, both flat.

        Raises:
            StepUnknownError: It would take too many evaluations.
        """
        dimension, points = len(self._x), len(self._places)
        varying = len(self._q)
        count = 2 * (dimension + points * varying + len(self._p))
        if count * self._substeps * self._evaluations > MOST_RATES:
            raise StepUnknownError("the flow of all steps would take too long")
        places, slopes = [], []

        def add(place: Numbers, x: Array, q: Array, p: Array) -> None:
            """Central difference by the unknowns at `place`, one an interval, moved by x, q and p."""
            moved = [
                self._of(self._x + side * x, self._q + side * q, self._p + side * p, self._substeps)
                for side in (1.0, -1.0)
            ]
            sums = np.sum(multipliers * (moved[0] - moved[1]), axis=1)
            at = np.broadcast_to(place, sums.shape)
            places.append(at)
            slopes.append(sums / (2.0 * self._sizes[at]))

        no_x, no_q, no_p = np.zeros_like(self._x), np.zeros_like(self._q), np.zeros_like(self._p)
        for k in range(dimension):
            x = no_x.copy()
            x[k] = self._sizes[self._places[0, :, k]]
            add(self._places[0, :, k], x, no_q, no_p)
        for j in range(points):
            for k in range(varying):
                q, place = no_q.copy(), self._places[j, :, dimension + k]
                q[k, j] = self._sizes[place]
                add(place, no_x, q, no_p)
        for k, place in enumerate(self._shared):
            p = no_p.copy()
            p[k] = self._sizes[place]
            add(np.asarray(place), no_x, no_q, p)
        return np.concatenate(places), np.concatenate(slopes)

    def _rate(self, x: Array, q: Array, p: Array, mix: Array) -> Array:
        """F at the states x; all else is mixed from the interval's points, `mix` of shape (m + 1,)."""
        known = (np.einsum("j,kji->ki", mix, values) for values in (q, self._series))
        varying, series = known
        return self._rates(x, varying, p, series, self._t + self._dt * float(mix @ np.arange(len(mix))))

    def _between(self, share: float) -> Array:
        """Weights of the points for linear interpolation `share` steps after the first, shape (m + 1,)."""
        places = np.arange(self._scheme.span + 1)
        return np.maximum(0.0, 1.0 - np.abs(share - places))

    def _flow(self, x: Array, q: Array, p: Array, substeps: int) -> list[Array]:
        """States at the points of each interval, m + 1 arrays of shape (D, intervals)."""
        h, points = self._dt / substeps, [x]
        for step in range(self._scheme.span * substeps):
            begin, middle, end = (self._between((step + part) / substeps) for part in (0.0, 0.5, 1.0))
            a = self._rate(x, q, p, begin)
            b = self._rate(x + 0.5 * h * a, q, p, middle)
            c = self._rate(x + 0.5 * h * b, q, p, middle)
            d = self._rate(x + h * c, q, p, end)
            x = x + h / 6.0 * (a + 2.0 * b + 2.0 * c + d)
            if (step + 1) % substeps == 0:
                points.append(x)
        return points

    def _of(self, x: Array, q: Array, p: Array, substeps: int) -> Array:
        """τ where the intervals begin with x, shape (intervals, K · D)."""
        scheme = self._scheme
        with np.errstate(all="ignore"):
            points = np.stack(self._flow(x, q, p, substeps))
            rates = np.zeros((scheme.stages, *x.shape))
            for stage in range(scheme.stages):
                state = np.einsum("j,jki->ki", scheme.state[stage], points)
                state += self._dt * np.einsum("s,ski->ki", scheme.inner[stage], rates)
                rates[stage] = self._rate(state, q, p, scheme.known[stage])
            errors = np.einsum("ej,jki->eki", scheme.position, points)
            errors -= self._dt * np.einsum("es,ski->eki", scheme.rate, rates)
        return errors.reshape(-1, x.shape[1]).T.copy()
