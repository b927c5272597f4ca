"""The minimization at Rf = ∞ behind the interface of a minimizer, for the weights of a network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from hpcda.action.exact_network import ExactNetwork
from hpcda.annealing.exact import ExactSettings, descend
from hpcda.annealing.layered import chosen, sentence
from hpcda.annealing.record import Rung
from hpcda.problem import Array


class ExactMinimizer:
    """Minimizes the action of a network at Rf = ∞; see `hpcda.annealing.minimizer.Minimizer`.

    Args:
        action: The network.
        settings: Limits; where they hold an elimination, it is freed in the end.
        canonical: (weights) -> the same network in a form of its own.
        watch: Called with (iteration, action) after a descent.
        interest: Gives the action above which a minimum is of no interest.

    Attributes:
        elimination: How steps are computed.
    """

    def __init__(
        self,
        action: ExactNetwork,
        settings: ExactSettings,
        canonical: Callable[[Array], Array],
        watch: Callable[[int, float], None],
        interest: Callable[[], float] = lambda: math.inf,
    ) -> None:
        known = settings.elimination
        self.elimination = chosen(action, known) if isinstance(known, str) else known
        self._action, self._settings = action, replace(settings, elimination=self.elimination)
        self._canonical, self._watch, self._interest = canonical, watch, interest

    @property
    def linear(self) -> str:
        """See `Minimizer`."""
        deal = self._action.deal
        return sentence(self.elimination, deal.pairs, deal.ranks.size)

    def minimize(self, path: Array, rf: float, fresh: bool = False) -> Rung:
        """See `Minimizer`."""
        found = descend(self._action, path, replace(self._settings, interest=self._interest()))
        self._watch(found.iterations, found.parts.total)
        return replace(found, path=self._canonical(found.path))

    def destroy(self) -> None:
        """See `Minimizer`."""
        self.elimination.destroy()
