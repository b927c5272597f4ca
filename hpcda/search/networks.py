"""The lowest action of a layered network at Rf = ∞: starts of several kinds, in turn.

    small    weights near 0, downhill
    wide     the same with hidden layers 1.4 times as wide, of which unit after unit is then taken out
    widened  the lowest network so far with a few new hidden units, downhill, and pruned again

Wide networks have few wrong minima, and what is left of a good one is good (`hpcda.search.pruning`). The
search ends where starts that know nothing of each other came to the lowest level, that level is what noise
alone makes of the data, and widening its network found nothing lower; else where its seconds are over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np

from hpcda.action import Parts
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.factors import DataLoss
from hpcda.action.network import Network
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.annealing.reasons import Reason
from hpcda.problem import Array
from hpcda.search.canonical import canonical
from hpcda.search.pruning import pruned
from hpcda.search.streams import narrowable

WIDER = 1.4
NEW = 2
"""Units that a grown network has more in each hidden layer."""
FAINT = 0.01
"""Outgoing weights of a new unit, as a part of the layer's."""
FIRST, BETWEEN, LAST = ExactSettings(200), ExactSettings(25), ExactSettings(500)
"""Limits of a first descent, of one between two units that are taken out, and of the last."""
SAME = 1e-4
"""Relative distance of actions that are one level."""
HITS, PROBES = 2, 2
"""Starts that came to the lowest level, and widened networks that came to none lower, which end a search."""
DEVIATIONS = 2.0
"""Standard deviations above what noise leaves of the misfit up to which a level is noise's."""


@dataclass(frozen=True)
class Trained:
    """A network that a start came to.

    Attributes:
        theta: Its weights in canonical form, flat, after the inputs where these are noisy.
        parts: Its action by terms.
        way: The kind of start.
        reason: Why its descent ended.
        seconds: CPU seconds that it took.
    """

    theta: Array
    parts: Parts
    way: str
    reason: Reason
    seconds: float


def train(network: Network, seconds: float = 60.0, starts: int = 100, seed: int = 0) -> list[Trained]:
    """Search for the lowest action; what all starts came to, lowest first.

    Args:
        network: The network and its pairs; `Network.start` is the range of first weights.
        seconds: CPU seconds after which no start begins.
        starts: Most starts.
        seed: What is random follows from it.

    Raises:
        InputError: An activation cannot be differentiated.
        CompilerError: No C compiler, or no place for compiled code.
    """
    action, found = ExactNetwork(network), list[Trained]()
    end, probes = time.process_time() + seconds, 0
    for start, way in enumerate(islice(cycle(WAYS), starts)):
        began = time.process_time()
        if began >= end:
            break
        rng = np.random.default_rng([seed, start])
        theta = WAYS[way](action, found, rng)
        if theta is None:
            continue
        last = descend(action, theta, LAST)
        spent = time.process_time() - began
        lower = not found or last.parts.total < found[0].parts.total * (1.0 - SAME)
        probes = 0 if lower else probes + (way == PROBE)
        found.append(Trained(canonical(action, last.path), last.parts, way, last.reason, spent))
        found.sort(key=lambda one: one.parts.total)
        if probes >= PROBES and _settled(action, found):
            break
    return found


def _small(action: ExactNetwork, found: list[Trained], rng: np.random.Generator) -> Array:
    return _first(action, rng)


def _wide(action: ExactNetwork, found: list[Trained], rng: np.random.Generator) -> Array | None:
    widths = action.network.widths
    inner = tuple(max(int(np.ceil(WIDER * width)), width + 1) for width in widths[1:-1])
    wider = ExactNetwork(replace(action.network, widths=(widths[0], *inner, widths[-1])))
    if wider.size == action.size or not narrowable(wider.network, widths):
        return None
    return _narrowed(wider, _first(wider, rng), widths)


def _widened(action: ExactNetwork, found: list[Trained], rng: np.random.Generator) -> Array | None:
    widths = action.network.widths
    if not found or len(widths) < 3:
        return None
    layers = [(matrix.copy(), bias.copy()) for matrix, bias in action.weights(found[0].theta)]
    for n in range(len(layers) - 1):
        (matrix, bias), (after, after_bias) = layers[n], layers[n + 1]
        new = np.std(matrix) * rng.standard_normal((NEW, matrix.shape[1]))
        layers[n] = np.vstack([matrix, new]), np.append(bias, np.std(bias) * rng.standard_normal(NEW))
        faint = FAINT * np.std(after) * rng.standard_normal((len(after), NEW))
        layers[n + 1] = np.hstack([after, faint]), after_bias
    inner = tuple(width + NEW for width in widths[1:-1])
    wider = ExactNetwork(replace(action.network, widths=(widths[0], *inner, widths[-1])))
    if not narrowable(wider.network, widths):
        return None
    return _narrowed(wider, wider.replaced(found[0].theta, layers), widths)


Start = Callable[[ExactNetwork, list[Trained], np.random.Generator], Array | None]
PROBE = "widened"
WAYS: dict[str, Start] = {"small": _small, "wide": _wide, PROBE: _widened}


def _first(action: ExactNetwork, rng: np.random.Generator) -> Array:
    return action.first(rng.uniform(*action.network.start, action.size - action.inputs))


def _narrowed(wider: ExactNetwork, theta: Array, widths: tuple[int, ...]) -> Array:
    fitted = descend(wider, theta, FIRST).path
    return pruned(wider, fitted, widths, lambda action, theta: descend(action, theta, BETWEEN).path)[1]


def _settled(action: ExactNetwork, found: list[Trained]) -> bool:
    """Whether the lowest level is noise's own, and starts that know nothing of each other came to it."""
    lowest = found[0].parts.total
    hits = sum(one.parts.total <= lowest * (1.0 + SAME) and one.way != PROBE for one in found)
    return hits >= HITS and _noise_alone(action, found[0])


def _noise_alone(action: ExactNetwork, one: Trained) -> bool:
    mean, variance = _expected(action, one)
    return one.parts.measurement <= mean + DEVIATIONS * np.sqrt(variance)


def _expected(action: ExactNetwork, one: Trained) -> tuple[float, float]:
    """Expectation and variance of the misfit that noise leaves where all weights are fitted."""
    output, last = action.network.output, action.states(one.theta)[-1]
    if isinstance(output, DataLoss):
        if not output.loss.joint:
            last = last[action.network.measured]
        mean, variance = output.loss.noise(last, np.ones_like(last), output.loss.optional(output.options))
        left = float(np.sum(mean)) + 0.5 * action.inputs - 0.5 * action.size
        return max(left, 0.0), float(np.sum(variance)) + 0.5 * action.inputs
    free = max(action.data - action.size, 0)
    return 0.5 * free, 0.5 * free


def levels(found: list[Trained]) -> Iterator[tuple[float, int]]:
    """Actions that differ, lowest first, and how many starts came to each."""
    rest = [one.parts.total for one in found]
    while rest:
        own = [value for value in rest if value <= rest[0] * (1.0 + SAME)]
        yield own[0], len(own)
        rest = rest[len(own) :]
