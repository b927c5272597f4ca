r"""Refinement in time is depth: networks that integrate a field, trained at few steps and prolonged to many.

The layers of a `hpcda.action.continuum.Continuum` are steps of dx/dt = g(W(t) x + b(t)), and its priors are
integrals over time: neither changes what it says when the number of steps N grows, so that the minima of N,
2 N, 4 N, … steps approach one limit, at the order of the scheme (R. Chen et al., NeurIPS 2018,
arXiv:1806.07366). W and b are prolonged linearly in t, constant beyond the middles of the first and the last
step; constant ones, and the layers before and after the field, are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpcda.action.exact_network import ExactNetwork
from hpcda.action.network import Network
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.annealing.record import Rung
from hpcda.errors import InputError, Mistake
from hpcda.problem import Array


def with_steps(network: Network, steps: int) -> Network:
    """The network of the same field and pairs with another number of steps.

    Raises:
        InputError: It integrates no field, or there is no step.
    """
    if network.continuum is None:
        remedy = "give it a continuum ([network.continuum] in a job)"
        raise InputError(Mistake("network", "integrates no field", remedy))
    continuum = replace(network.continuum, steps=steps)
    before = network.continuum.lift(network.widths)
    activations = list(network.activations)
    return replace(
        network,
        widths=continuum.widths(network.widths[0], network.widths[before], network.widths[-1]),
        activations=[*activations[:before], *[activations[before]] * continuum.layers, activations[-1]],
        continuum=continuum,
    )


@dataclass(frozen=True)
class Depth:
    """The minimum at one number of steps.

    Attributes:
        steps: Steps of the field.
        action: The action at Rf = ∞.
        first: Weights it began from.
        rung: The minimum.
    """

    steps: int
    action: ExactNetwork
    first: Array
    rung: Rung


def prolonged(action: ExactNetwork, theta: Array, finer: ExactNetwork) -> Array:
    """Weights of a network of the same field at other steps, interpolated linearly in t.

    Args:
        action: The network as it is.
        theta: All its unknowns, shape (size,).
        finer: That with other steps.

    Returns:
        All unknowns of the other one.
    """
    old, new = action.network, finer.network
    assert old.continuum is not None and new.continuum is not None
    found = np.empty(finer.size)
    found[: finer.inputs] = theta[: action.inputs]
    own, to = action.matrices(theta), finer.matrices(found)
    for n in range(old.field.start):
        to[n][0][:], to[n][1][:] = own[n]
    to[-1][0][:], to[-1][1][:] = own[-1]
    times = np.array(new.continuum.times)
    stacked = np.array([np.column_stack(own[n]) for n in old.field])
    columns = [
        np.interp(times, old.continuum.times, column) for column in stacked.reshape(len(stacked), -1).T
    ]
    between = np.stack(columns, axis=1).reshape(len(times), *stacked.shape[1:])
    for n, one in zip(new.field, between, strict=True):
        to[n][0][:], to[n][1][:] = one[:, :-1], one[:, -1]
    return found


def deepened(
    network: Network, first: Array, steps: Sequence[int], settings: ExactSettings | None = None
) -> tuple[Depth, ...]:
    """Train at few steps, prolong, train at more, and so on.

    Args:
        network: A network that integrates a field, at any number of steps.
        first: Weights that the coarsest one starts from, shape (size,).
        steps: Numbers of steps, one after another.
        settings: Limits of each descent.

    Raises:
        InputError: It integrates no field, there is no step, or `first` does not fit.
    """
    found: list[Depth] = []
    for count in steps:
        action = ExactNetwork(with_steps(network, count))
        theta = prolonged(found[-1].action, found[-1].rung.path, action) if found else first
        if theta.shape != (action.size,):
            raise InputError(Mistake("first", f"has the shape {theta.shape}", f"give {action.size} weights"))
        found.append(Depth(count, action, theta, descend(action, theta, settings)))
    return tuple(found)
