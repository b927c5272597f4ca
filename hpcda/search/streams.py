"""Hidden units that residual layers connect to one unit across layers.

A residual layer x(n+1) = x(n) + g(W x(n) + b) keeps its units: unit j of layer n is unit j of layer n + 1.
Layers that are joined so, a stream, have their units exchanged, reversed, or taken out together. A layer that
is not joined to another is a stream by itself.
"""

from __future__ import annotations

import numpy as np

from hpcda.action.network import Network
from hpcda.problem import Array, Numbers

Layers = list[tuple[Array, Array]]


def streams(network: Network) -> list[range]:
    """The layers of every stream of hidden units, from first to last; that of the inputs is left out."""
    found, skips = list[range](), network.skips
    first = 0
    for n, skip in enumerate([*skips, False][1:], start=1):
        if not skips[n - 1]:
            first = n
        if first and not skip and n < len(skips):
            found.append(range(first, n + 1))
    return found


def reordered(layers: Layers, stream: range, order: Numbers) -> None:
    """Exchange, or leave out, units of a stream, in place.

    Args:
        layers: (W, b) of every layer.
        stream: The layers of the stream.
        order: The units that are left, in their order.
    """
    for n in range(stream[0] - 1, stream[-1] + 1):
        matrix, bias = layers[n]
        if n >= stream[0]:
            matrix = matrix[:, order]
        if n < stream[-1]:
            matrix, bias = matrix[order], bias[order]
        layers[n] = matrix, bias


def narrowable(network: Network, widths: tuple[int, ...]) -> bool:
    """Whether units can be taken out, one after the other, until layers have these widths.

    What is residual must stay so, and nothing may become it on the way: where layers may be residual, of two
    that follow one another the same one is to be the wider.
    """
    if not network.residual:
        return True
    now, then = (np.sign(np.diff(own[:-1])) for own in (network.widths, widths))
    return bool((now == then).all())
