r"""Local truncation errors of a discretization along a path: model errors that the exact flow leaves.

    τ_k = Σ_j position[k, j] Φ_j - dt Σ_q rate[k, q] F(z_q),    Φ_0 = x_0,  Φ_j = Φ(x_0, j dt)

with the coefficients of `hpcda.action.scheme` and the stages z_q of the points Φ. The flow Φ is integrated in
every interval by classical Runge-Kutta steps, halved until τ no longer changes. Where that takes too many, as
for stiff models, it is integrated with steps that follow its error, explicit or implicit
(`hpcda.models.flow`), to two tolerances that have to agree. Known series, and parameters of one time, are
linear between the points of the path.
"""

from __future__ import annotations

import numpy as np

from hpcda.action import Action
from hpcda.action.rates import Rates
from hpcda.annealing.scale import scales
from hpcda.models.flow import End, Flow
from hpcda.patience import Patience
from hpcda.problem import Array, Numbers

SUBSTEPS, MOST_SUBSTEPS = 4, 512
"""Runge-Kutta steps a step of the path: the first number tried, and the last one."""
FINEST, COARSER = 1e-11, 1e-9
"""Tolerances of the steps that follow their error: that of τ, and the one that it is compared with."""
MANY = 100
"""Explicit ones of order 8, for each step of the path, above which a model counts as stiff."""
FOLLOWED = 1e-9
"""τ relative to the size of its state that such steps do not tell."""
SETTLED = 1e-3
"""Change of τ relative to its largest value, for each error, at which its integration has converged."""
ROUNDING = 1e-13
"""τ relative to the size of its state that is rounding."""
MOST_RATES = 2e9
"""Rates of single states that may be evaluated."""
MOST_FOLLOWED, SECONDS = 2e8, 60.0
"""Those that steps which follow their error may evaluate, one by one, and the time for one integration."""
FEW = 3
"""Intervals without a finite τ that are looked at for the reason."""
DIFFERENCE = 1e-4
"""Step of central differences, in the natural sizes of the unknowns."""


class StepUnknownError(Exception):
    """What the time step does cannot be told; the message says why.

    Attributes:
        stiff: Whether the model is known to be stiff.
    """

    def __init__(self, message: str, stiff: bool = False) -> None:
        self.stiff = stiff
        super().__init__(message)


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
        stiff: Whether the flow took implicit steps, or more than `MANY` explicit ones a step of the path.

    Raises:
        UnboundedFlowError: The flow grows without bound within a step.
        StepUnknownError: Its integration does not settle.
    """

    def __init__(self, action: Action, rates: Rates, number: int, path: Array) -> None:
        problem, self._scheme = action.problem, action.structure.scheme
        window, span = problem.windows[number], self._scheme.span
        blocks, constants = problem.split(path)
        seen = problem.layout.seen(number)
        self._p = constants[seen]
        block = blocks[number]
        self._rates, self._dt = rates, window.steps[: window.times - 1 : span]
        starts = np.arange(0, window.times - 1, span)
        points = starts + np.arange(span + 1)[:, None]
        self._x = block[starts, : problem.dimension].T.copy()
        self._q = block[:, problem.dimension :].T[:, points]
        self._series = window.series.T[:, points]
        self._t = window.t[starts]
        self._places = problem.layout.points(number)[points]
        self._shared = problem.layout.tail.start + seen
        self._sizes = DIFFERENCE * scales(problem)
        self._evaluations = 4.0 * block.size
        size = np.tile(np.abs(block[:, : problem.dimension]).max(axis=0), self._scheme.errors)
        self._path, self._window, self._problem = block, window, problem
        self._substeps: int | None = None
        self.stiff = False
        settled = self._settled(ROUNDING * size)
        if settled is None:
            self.values = self._by_followed(FOLLOWED * size)
        else:
            self.values, self._substeps = settled
            self._cost = self._substeps * self._evaluations

    def _settled(self, room: Array) -> tuple[Array, int] | None:
        """τ, to within `room` at least, and the substeps that it took; None where these would be too many."""
        substeps, spent = SUBSTEPS, SUBSTEPS * self._evaluations
        before = self._of(self._x, self._q, self._p, substeps)
        while True:
            spent += 2 * substeps * self._evaluations
            if 2 * substeps > MOST_SUBSTEPS or spent > MOST_RATES:
                return None
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
        if count * self._cost > (MOST_FOLLOWED if self._substeps is None else MOST_RATES):
            raise StepUnknownError("integrating all steps would take too long", self.stiff)
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

    def _by_followed(self, room: Array) -> Array:
        """τ by steps that follow their error, to within `room` at least."""
        # The flow knows parameters of one time as series, as it knows the stimuli.
        problem = self._problem
        stimuli = problem.model.stimulus_names
        self._names = (*stimuli, *problem.series, *(one.name for one in problem.varying))
        self._carrier = Flow(problem.model, self._names)
        self._cost = 0.0
        found = self._of(self._x, self._q, self._p, None)
        self._refuse_lost(found)
        before = self._of(self._x, self._q, self._p, None, COARSER)
        if not (np.abs(found - before) <= SETTLED * np.abs(found).max(axis=0) + room).all():
            raise StepUnknownError(
                "the flow of a single step cannot be integrated closely enough", self.stiff
            )
        return found

    def _carried(self, x: Array, q: Array, p: Array, tolerance: float) -> list[Array]:
        """`_flow` by steps that follow their error."""
        span, problem, window = self._scheme.span, self._problem, self._window
        parameters = dict(problem.fixed) | {
            one.name: float(value) for one, value in zip(problem.seen, p, strict=True)
        }
        points = [x, *(np.full_like(x, np.nan) for _ in range(span))]
        # Neighboring intervals may differ in what they share, a parameter at their common point.
        parts = 2 if len(q) and not np.array_equal(q[:, span, :-1], q[:, 0, 1:]) else 1
        cost = 0.0
        for part in range(parts):
            chosen = np.arange(part, x.shape[1], parts)
            states = self._path[:, : problem.dimension].copy()
            series = np.hstack([window.series, self._path[:, problem.dimension :]])
            for j in range(span + 1):
                series[chosen * span + j, window.series.shape[1] :] = q[:, j, chosen].T
            for j in range(span):
                states[chosen * span + j] = points[j][:, chosen].T
                patience = Patience(f"following {problem.model.name} from step to step", SECONDS)
                course = self._carrier.carry(
                    states, window.t, parameters, series, tolerance=tolerance, patience=patience
                )
                if course.end is End.LATE:
                    raise StepUnknownError(f"integrating all steps takes more than {SECONDS:g} s")
                many = np.isfinite(course.states).all() and course.steps > MANY * (len(window.t) - 1)
                self.stiff = bool(self.stiff or course.implicit or many)
                cost += float(course.evaluations) * problem.dimension
                points[j + 1][:, chosen] = course.states[chosen * span + j + 1].T
        self._cost = max(self._cost, cost)
        return points

    def _refuse_lost(self, found: Array) -> None:
        """Refuse errors that are not finite.

        Raises:
            UnboundedFlowError: The flow grows without bound within a step.
            StepUnknownError: It cannot be followed for another reason.
        """
        lost = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if not len(lost):
            return
        problem, span, t = self._problem, self._scheme.span, self._window.t
        parameters = dict(problem.fixed) | {
            one.name: float(value) for one, value in zip(problem.seen, self._p, strict=True)
        }
        series = np.hstack([self._window.series, self._path[:, problem.dimension :]])
        ends = []
        for number in lost[:FEW]:
            part = slice(number * span, (number + 1) * span + 1)
            course = self._carrier.run(self._x[:, number], t[part], parameters, series[part])
            if course.end is End.UNBOUND:
                raise UnboundedFlowError("the flow grows without bound within a single step", self.stiff)
            ends.append(course.end)
        why = next((one.value for one in ends if one is not End.REACHED), "its errors are not finite")
        raise StepUnknownError(f"the flow of a single step cannot be followed: {why}", self.stiff)

    def _of(self, x: Array, q: Array, p: Array, substeps: int | None, tolerance: float = FINEST) -> Array:
        """τ where the intervals begin with x, shape (intervals, K · D); without substeps by `_carried`."""
        scheme = self._scheme
        with np.errstate(all="ignore"):
            followed = (
                self._carried(x, q, p, tolerance) if substeps is None else self._flow(x, q, p, substeps)
            )
            points = np.stack(followed)
            rates = np.zeros((scheme.stages, *x.shape))
            for stage in range(scheme.stages):
                state = np.einsum("j,jki->ki", scheme.state[stage], points)
                state += self._dt * np.einsum("s,ski->ki", scheme.inner[stage], rates)
                rates[stage] = self._rate(state, q, p, scheme.known[stage])
            errors = np.einsum("ej,jki->eki", scheme.position, points)
            errors -= self._dt * np.einsum("es,ski->eki", scheme.rate, rates)
        return errors.reshape(-1, x.shape[1]).T.copy()
