"""Why a rung ended: one reason each, whose value is the sentence a person reads."""

from __future__ import annotations

import enum

from hpcda.native.declared import enumeration


class Reason(enum.Enum):
    """How the minimisation at one rung ended."""

    CONVERGED_GRADIENT = "the gradient is within the tolerance"
    CONVERGED_DECREMENT = "no further decrease is possible in double precision"
    CONVERGED_ESTIMATE = "by Newton's estimate the minimum is within the tolerance between rungs"
    NOT_RUN = "this rung was not run"
    STOPPED_ITERATIONS = "the limit of iterations was reached"
    STOPPED_SECONDS = "the time that one start may take was over"
    STOPPED_HOPELESS = "it fell too slowly to come to the lowest level found before"
    FAILED_LINE_SEARCH = "no step along the search direction lowers the action"
    FAILED_TRUST_REGION = "the trust region shrank to nothing"
    FAILED_LINEAR = "the linear system could not be solved"
    FAILED_NON_FINITE = "the action or its derivatives became infinite or not a number"
    FAILED_MODEL = "the path could not be made to obey the model exactly"
    FAILED_OTHER = "the minimiser gave up for a reason of its own"

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
        """Whether the minimiser failed: it neither came to a minimum nor was stopped."""
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
