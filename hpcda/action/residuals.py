"""The action as a sum of squares A = ½ Σ ρ², with the sparse Jacobian of ρ.

Residuals in order: sqrt(Rm)(h - y) of every measured value, sqrt(Rf s) r of every model error, the random
walks of parameters, and (X - mean)/std of every prior.
"""

from __future__ import annotations

import numpy as np

from hpcda.action.action import Action
from hpcda.action.weights import step_weights
from hpcda.problem import Array, Numbers


class Residuals:
    """Residuals ρ and their Jacobian in compressed rows.

    Attributes:
        count: Number of residuals.
        indptr: Row starts, shape (count + 1,).
        indices: Column of every value.
    """

    def __init__(self, action: Action) -> None:
        self.action = action
        problem, structure = action.problem, action.structure
        row_columns = [np.array([entry.column for entry in row]) for row in structure.rows]
        self._rows, variables = _slopes_of_a_time(action)
        order = np.argsort(self._rows, kind="stable")
        self._order = order[self._rows[order] >= 0]
        columns: list[Numbers] = []
        self._data: list[Numbers] = []
        for number, window in enumerate(problem.windows):
            points = problem.layout.points(number)
            known = np.isfinite(window.data)
            self._data.append(known)
            for n, l in np.argwhere(known):  # noqa: E741
                columns.append(_places(action, number, points[n], variables[self._rows == l]))
            for begin in points[: -1 : structure.scheme.span, 0]:
                columns += [structure.places(problem, number, begin, c) for c in row_columns]
            columns += [step for walk in problem.walks if walk.window == number for step in walk.places]
        columns += [np.array([index]) for index in action.priors[0]]
        self._work = [action.full_work(window.times) for window in problem.windows]
        self.count = len(columns)
        self.indptr = np.concatenate([[0], np.cumsum([len(c) for c in columns])]).astype(np.int32)
        self.indices = problem.ties.tied(np.arange(problem.size))[np.concatenate(columns)].astype(np.int32)

    def evaluate(self, path: Array, rf: float) -> tuple[Array, Array]:
        """ρ, shape (count,), and the values of its Jacobian, in the order of `indices`."""
        action, problem = self.action, self.action.problem
        rows = action.structure.scheme.errors * problem.dimension
        widths = [len(row) for row in action.structure.rows]
        values, slopes = [], []
        path = np.ascontiguousarray(problem.ties.tied(path), dtype=np.float64)
        gradient, parts = np.empty(action.size), np.empty(3)
        for number, window in enumerate(problem.windows):
            intervals = (window.times - 1) // action.structure.scheme.span
            root = np.sqrt(rf * np.tile(step_weights(problem, window), (1, rows // problem.dimension)))
            work, errors, entries = self._work[number]
            misfit = np.zeros((window.times, len(problem.observed)))
            slope = np.zeros((window.times, len(self._rows)))
            action.evaluate_window(
                number, path, rf, 1, parts, gradient, work=work, misfit=misfit, slopes=slope
            )
            known = self._data[number]
            values.append(misfit[known])
            slopes.append(slope[:, self._order][known[:, self._rows[self._order]]])
            values.append((errors.reshape(intervals, -1) * root).ravel())
            slopes.append((entries.reshape(intervals, -1) * np.repeat(root, widths, axis=1)).ravel())
            for walk in (one for one in problem.walks if one.window == number):
                weight = 1.0 / walk.std
                values.append(weight * np.diff(path[walk.places])[:, 0])
                slopes.append(np.stack([-weight, weight], axis=1).ravel())
        indices, means, weights = action.priors
        values.append(np.sqrt(weights) * (path[indices] - means))
        slopes.append(np.sqrt(weights))
        return np.concatenate(values), np.concatenate(slopes)


def _slopes_of_a_time(action: Action) -> tuple[Numbers, Numbers]:
    """Measured quantity and variable of every derivative of a misfit at one time, as assemble.c has them.

    The quantity is -1 where another derivative takes the place of one.
    """
    equations = action.equations
    with_cost = {cost.row for cost in equations.costs}
    pairs = [(-1 if row in with_cost else row, variable) for row, variable in equations.observed.jacobian]
    pairs += [(cost.row, variable) for cost in equations.costs for _, variable in cost.residual.jacobian]
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _places(action: Action, window: int, point: Numbers, variables: Numbers) -> Numbers:
    """Indices in a flat path of variables of the kernels at a point, whose unknowns are at `point`."""
    layout = action.problem.layout
    tail = layout.tail.start + layout.seen(window)
    every = np.concatenate([point, tail])
    return every[variables]
