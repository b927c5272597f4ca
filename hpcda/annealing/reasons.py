"""Reasons why a rung ended; the value of each is a sentence for the user."""

from __future__ import annotations

import enum

from hpcda.native.declared import enumeration


class Reason(enum.Enum):
    """How the minimization at one rung ended."""

    CONVERGED_GRADIENT = "the gradient is within the tolerance"
    CONVERGED_DECREMENT = "no further decrease possible in double precision"
    CONVERGED_ESTIMATE = "by Newton's estimate the minimum is within the tolerance between rungs"
    NOT_RUN = "this rung was not run"
    STOPPED_ITERATIONS = "the iteration limit was reached"
    STOPPED_SECONDS = "the time limit per start was reached"
    STOPPED_HOPELESS = "it decreased too slowly to reach the lowest level found so far"
    FAILED_LINE_SEARCH = "no step along the search direction lowers the action"
    FAILED_TRUST_REGION = "the trust region became too small"
    FAILED_LINEAR = "the linear system could not be solved"
    FAILED_NON_FINITE = "the action or its derivatives became infinite or not a number"
    FAILED_MODEL = "no path was found that obeys the model exactly"
    FAILED_OTHER = "the minimizer stopped for another reason"

    @property
    def code(self) -> int:
        """Number under which results are stored: not negative where the rung's path is a minimum."""
        return _CODES[self]

    @property
    def converged(self) -> bool:
        """Whether the path is a minimum of the action."""
        return self.code > 0

    @property
    def failed(self) -> bool:
        """Whether the minimizer failed: it neither came to a minimum nor was stopped."""
        return self.code < 0 and self not in _STOPPED

    @classmethod
    def from_code(cls, code: int) -> Reason:
        """The reason stored under a number.

        Raises:
            KeyError: There is none.
        """
        return _REASONS[code]


_CODES = {Reason[name]: code for name, code in enumeration("climb.c", "Reason").items()}
_REASONS = {code: reason for reason, code in _CODES.items()}
_STOPPED = frozenset({Reason.STOPPED_ITERATIONS, Reason.STOPPED_SECONDS, Reason.STOPPED_HOPELESS})
