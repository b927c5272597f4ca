"""Weights of the model errors from the variability of the states: `action.model_error_weight = "auto"`.

    s_a = (4 / m_a)²,    m_a = 2^round(log2 spread_a)

Rf s_a then counts the model errors of every state in units of its own spread, so that Rf binds all equations
alike, in whatever units they are written. Rf means for all of them what it means without weights for a state
of spread 4, which is about that of Lorenz 1996, so that ladders made for such models serve for any.

The spread of a state that is measured by itself is the standard deviation of its data about their mean in
each window. One that is not measured has the root mean square of those that are, of the same unit and of the
same range in model and job; else that of a uniform distribution over the range in which it starts. It is
rounded to a power of two: rounding errors of data and sums then do not change the weights, and the weights
cause none.
"""

from __future__ import annotations

import numpy as np

from hpcda.action.weights import loosest
from hpcda.problem import Array, Problem

USUAL = 2
"""Power of two that is the spread of a state of weight 1."""
LIKE = 100.0
"""Largest ratio of two states' spreads, in units that their weights make alike, that needs no word."""
FREE = 0.1
"""Part of its spread that a state's model error may be when it still costs half a nat at the last Rf."""
MOST = 160
"""Largest power of two, either way: weights are from 1e-97 to 1e97."""


def spreads(problem: Problem) -> Array:
    """The variability of each state, in its unit, shape (D,); above 0."""
    low, high = problem.state_start.reshape(-1, 2).T
    width, size = (high - low) / np.sqrt(12.0), np.maximum(np.abs(low), np.abs(high))
    spread = np.where(width > 0.0, width, np.where(size > 0.0, size, 1.0))
    measured = _measured(problem)
    starts = map(tuple, problem.state_start.tolist())
    kinds = [(s.unit, s.range, start) for s, start in zip(problem.model.states, starts, strict=True)]
    for state, kind in enumerate(kinds):
        like = [value for other, value in measured.items() if kinds[other] == kind]
        if state in measured:
            spread[state] = measured[state]
        elif like:
            spread[state] = np.sqrt(np.mean(np.square(like)))
    return np.asarray(spread, dtype=np.float64)


def _measured(problem: Problem) -> dict[int, float]:
    """Position of each state that is measured by itself, and changes -> standard deviation of its data."""
    found: dict[int, float] = {}
    for column, expression in enumerate(problem.observed.values()):
        if expression.strip() not in problem.model.state_names:
            continue
        series = [window.data[np.isfinite(window.data[:, column]), column] for window in problem.windows]
        squares = sum(float(np.sum((one - one.mean()) ** 2)) for one in series if len(one))
        if squares > 0.0:
            name = problem.model.state_names.index(expression.strip())
            found[name] = float(np.sqrt(squares / sum(map(len, series))))
    return found


def automatic(problem: Problem) -> Array:
    """Weights of the model errors from the variability of the states, shape (D,)."""
    power = np.clip(np.round(np.log2(spreads(problem))), -MOST, MOST).astype(int)
    return np.asarray(np.ldexp(1.0, 2 * (USUAL - power)))


def unlike(problem: Problem, rf: float) -> str | None:
    """A warning if the weights constrain the equations of some states far less than others; else None.

    Args:
        problem: The problem.
        rf: The last Rf.
    """
    spread, names = spreads(problem), problem.model.state_names
    weights = loosest(problem)
    bound = np.sqrt(weights) * spread
    loose = np.flatnonzero((bound * LIKE < bound.max()) | (np.sqrt(rf) * bound * FREE < 1.0))
    if not len(loose):
        return None
    k, most = int(loose[np.argmin(bound[loose])]), int(np.argmax(bound))
    more = f", and {len(loose) - 1} more like it" if len(loose) > 1 else ""
    beside = f" beside {names[most]}, by {spread[most]:.2g}" if most != k else ""
    allowed = 1.0 / np.sqrt(rf * weights[k])
    return (
        f"{names[k]} moves by about {spread[k]:.2g}{more}{beside}: at Rf = {rf:.2g} a model error of "
        f"{allowed:.2g} per step costs half a nat, so its equation may be violated. Write "
        'action.model_error_weight = "auto".'
    )
